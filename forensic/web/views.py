"""What is shown of things, alike on pages and in the API: a search with likelihood ratios only where they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from forensic.candidates import beyond, meaning_of_lr, strength, words
from forensic.gallery import Gallery
from forensic.gallery.casework import cases, listing
from forensic.gallery.casework.cases import Opinion, Searched
from forensic.gallery.casework.casework_models import Case, Sketch


class Enrolled(NamedTuple):
    """Who a candidate is.

    Attributes:
        id: The person's number.
        label: The agency's own name of them.
    """

    id: int
    label: str


class Lead(NamedTuple):
    """A candidate of a search on record, as it may be shown.

    Attributes:
        rank: 1 for the most similar.
        score: Comparable within the search only.
        log_lr: Decimal logarithm of the likelihood ratio; None where there is none that holds.
        bounded: Whether it is 'at least' or 'at most'.
        strength: It as a person reads it.
        words: It on the verbal scale.
        routes: Each route's own similarity, -1 to 1.
        person: Whose photo it is now; None when no longer enrolled.
        photo: The photo's number.
        opinions: What examiners say, as far as the visitor may know.
    """

    rank: int
    score: float
    log_lr: float | None
    bounded: bool
    strength: str | None
    words: str | None
    routes: dict[str, float]
    person: Enrolled | None
    photo: int
    opinions: list[Opinion]


class SearchView(NamedTuple):
    """A search on record, as it may be shown.

    Attributes:
        number: The search's.
        case: The case; None for a search without one.
        sketches: The case's sketches that it was made with, in their order; without bytes.
        record: What was put on record.
        warnings: What a person must know of it, with the reason why likelihood ratios are withheld.
        calibration: What the likelihood ratios hold for; None where there are none that hold.
        meaning: What the figures say, in words.
        leads: The candidates.
        opinions: All examiners' verdicts.
        disagreements: Ranks of which examiners say different things.
    """

    number: int
    case: Case | None
    sketches: list[Sketch]
    record: dict[str, Any]
    warnings: list[str]
    calibration: dict[str, Any] | None
    meaning: str
    leads: list[Lead]
    opinions: list[Opinion]
    disagreements: list[int]


def search(gallery: Gallery, number: int) -> SearchView:
    """A search, as the gallery's operator may see it.

    Raises:
        NotFound: There is none.
    """
    with gallery.snapshot():
        return _search(gallery, number)


def _search(gallery: Gallery, number: int) -> SearchView:
    case = listing.case_of(gallery, number)  # first: while it is at hand, nothing else looks it up
    found = cases.searched(gallery, number)
    record = found.record
    held = [] if case is None else listing.sketches(gallery, case.id, hashes=record["probes"])
    warning = beyond(record["calibration"], {sketch.kind for sketch in held})
    order: Sequence[str] = record["probes"]
    return SearchView(
        number=found.number,
        case=case,
        sketches=sorted(held, key=lambda sketch: order.index(sketch.sha256)),
        record=record,
        warnings=[*record["warnings"], *([warning] if warning else [])],
        calibration=None if warning else record["calibration"],
        meaning=meaning_of_lr(None if warning else record["calibration"]),
        leads=_leads(gallery, found, calibrated=warning is None),
        opinions=found.opinions,
        disagreements=found.disagreements,
    )


def _leads(gallery: Gallery, found: Searched, *, calibrated: bool) -> list[Lead]:
    candidates = found.record["candidates"]
    photos = gallery.photos_by_number(candidate["photo_id"] for candidate in candidates)
    leads = []
    for candidate in candidates:
        # By the photo: a person who was merged with another one is not gone.
        owner = photos[candidate["photo_id"]].person if candidate["photo_id"] in photos else None
        stated = candidate["log_lr"] if calibrated else None
        log_lr = None if stated is None else max(stated, 0.0)  # older records go below
        bounded = log_lr is not None and (candidate["bounded"] or log_lr != stated)
        leads.append(
            Lead(
                rank=candidate["rank"],
                score=candidate["score"],
                log_lr=log_lr,
                bounded=bounded,
                strength=strength(log_lr, bounded),
                words=words(log_lr),
                routes=candidate["routes"],
                person=None if owner is None else Enrolled(owner.id, owner.label),
                photo=candidate["photo_id"],
                opinions=[opinion for opinion in found.opinions if opinion.rank == candidate["rank"]],
            )
        )
    return leads
