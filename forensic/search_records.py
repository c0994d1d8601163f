"""The record of a search: what has to be known later to say what was searched, by whom, with what, and to repeat it.

At least what Article 12(3) of the EU's AI Act asks of a record of use: start and end, the reference database, the
input data, and (by the decisions that are added to it) who verified the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from forensic import provenance
from forensic.candidates import Candidate, Search
from forensic.faces import Aligned
from forensic.faces.detect import MANUAL

KNOWN_PROBE = "this very file is enrolled in the gallery"
REPETITION = "repetition of search "
"""How the purpose of a repetition is put on record, with the search's number behind."""


class Use(NamedTuple):
    """The circumstances of a search.

    Attributes:
        started: When the probe was opened.
        ended: When the list was made.
        operator: Who searched.
        case: The case's reference, or None.
        purpose: What for, where there is no case.
        k: How many candidates were asked for.
        device: Where models ran.
        chosen: Which face of each probe was asked for, 1 for the largest; None for none in particular.
        owners: Photo -> its person, by number, of the nearest photos, in whose order the people are listed.
        kept: Digest of the photos that a filter kept; None for no filter.
    """

    started: datetime
    ended: datetime
    operator: str
    case: str | None
    purpose: str
    k: int
    device: str
    chosen: Sequence[int | None]
    owners: Mapping[int, int]
    kept: str | None


def record_of(search: Search, use: Use) -> dict[str, Any]:
    """A search as it is put on record: plain data, candidates by number, nothing that tells who they are."""
    return {
        "started": use.started.isoformat(),
        "ended": use.ended.isoformat(),
        "operator": use.operator,
        "purpose": use.purpose,
        "probes": search.sha256.split(", "),
        "landmarks": [_points(face) if face.face.method == MANUAL else None for face in search.faces],
        "faces": [_face(face, asked) for face, asked in zip(search.faces, use.chosen, strict=True)],
        "device": use.device,
        "asked_for": use.k,
        "gallery": {"photos": search.gallery_size, "root": search.gallery_root},
        "approximate": search.approximate,
        "route": search.route,
        "models": search.models,
        "code": provenance.code(),
        "versions": provenance.versions(),
        "filter": search.filter,
        "kept": use.kept,
        "owners": sorted([photo, person] for photo, person in use.owners.items()),
        "calibration": search.calibration,
        "own_cohort": search.own_cohort,
        "supported": search.supported,
        "candidates": record_of_candidates(search),
        "warnings": [text.partition(", as ")[0] if text.startswith(KNOWN_PROBE) else text for text in search.warnings],
    }


def _face(face: Aligned, asked: int | None) -> dict[str, Any]:
    """What was searched with, whoever found it; ``landmarks`` of a record are those of a person's hand alone."""
    return {"asked": asked, "method": face.face.method, "score": face.face.score, "landmarks": _points(face)}


def _points(face: Aligned) -> list[list[float]]:
    return [[float(x) for x in point] for point in face.face.landmarks]


def faces_of(record: Mapping[str, Any]) -> list[dict[str, Any] | None]:
    """The face of each probe of a search on record; None each where the record is older than that it holds them."""
    return list(record.get("faces") or [None] * len(record["probes"]))


def record_of_candidates(search: Search) -> list[dict[str, Any]]:
    """The list as it is on record: two searches agree where this is the same to the byte."""
    return [_candidate(candidate) for candidate in search.candidates]


def _candidate(candidate: Candidate) -> dict[str, Any]:
    """A candidate by number, with every figure in full: a repetition is compared by these bytes."""
    return {
        "rank": candidate.rank,
        "person_id": candidate.person_id,
        "photo_id": candidate.photo_id,
        "score": candidate.score,
        "log_lr": candidate.log_lr,
        "bounded": candidate.bounded,
        "routes": candidate.routes,
    }


def repeats(record: Mapping[str, Any]) -> int | None:
    """Number of the search that a search on record repeats; None for one of its own.

    >>> repeats({"purpose": "repetition of search 12"}), repeats({"purpose": "robbery"})
    (12, None)
    """
    number = record["purpose"].removeprefix(REPETITION)
    return int(number) if number != record["purpose"] and number.isdecimal() else None


def models_of(used: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Models of several routes as they stand on record: name and SHA-256.

    A method that takes part both ways has two models under one name; then the names say which way.

    Args:
        used: Name of a route -> its models.

    >>> models_of({"direct": {"e": "1"}, "sketch-to-photo:m": {"e": "1", "m": "2"}, "photo-to-sketch:m": {"m": "3"}})
    {'e': '1', 'm (sketch-to-photo)': '2', 'm (photo-to-sketch)': '3'}
    """
    digests: dict[str, set[str]] = {}
    for models in used.values():
        for name, digest in models.items():
            digests.setdefault(name, set()).add(digest)
    return {
        _directed(name, route) if len(digests[name]) > 1 else name: digest
        for route, models in used.items()
        for name, digest in models.items()
    }


def made_with(record: Mapping[str, Any], route: str, models: Mapping[str, str]) -> bool:
    """Whether these models of a route are the ones that a search on record was made with.

    >>> made_with({"models": {"e": "1", "m (sketch-to-photo)": "2"}}, "sketch-to-photo:m", {"e": "1", "m": "2"})
    True
    """
    known = record["models"]
    return all(known.get(_directed(name, route), known.get(name)) == digest for name, digest in models.items())


def _directed(name: str, route: str) -> str:
    """A model's name with its route's form, such as ``pix2pix (sketch-to-photo)``."""
    return f"{name} ({route.partition(':')[0]})"
