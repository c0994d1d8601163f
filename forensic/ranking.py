"""One search in one state of a gallery: probes are described, compared with the templates, and people ranked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forensic.candidates import FILTERED, Candidate, Search
from forensic.errors import GalleryError, StaleIndex
from forensic.faces import Aligned
from forensic.gallery import Gallery, Matching
from forensic.gallery.records import Owner
from forensic.loading import Loaded, Memory
from forensic.recognition.index import best_per_person
from forensic.search_records import KNOWN_PROBE

STAGES = ("finding the face", "describing the face", "searching", "putting on record")
"""What a search does, one after the other."""
TRIES = 10
"""Searches in a row whose rows others change meanwhile, until it is told."""


class Probe(NamedTuple):
    """A sketch whose face was found; ``chosen`` is the number that was asked for."""

    name: str
    sha256: str
    face: Aligned
    chosen: int | None


class Ranking(NamedTuple):
    """Candidates, and what they were found in: ``size`` templates, and the owners of the photos that were ranked."""

    loaded: Loaded
    size: int
    candidates: tuple[Candidate, ...]
    owners: dict[int, Owner]


def rank(
    gallery: Gallery,
    memory: Memory,
    probes: Sequence[Probe],
    k: int,
    kept: Matching | None,
    watch: Callable[[str], None],
) -> Ranking:
    """The best candidates, of one state of the gallery: others may change it meanwhile.

    Args:
        gallery: Where they are.
        memory: What is loaded of it.
        probes: Sketches of one person.
        k: How many candidates.
        kept: Who is searched; None for everybody.
        watch: Called with the second and the third of ``STAGES`` as it comes to them.

    Raises:
        StaleIndex: The gallery lacks templates, or they were changed again and again.
        GalleryError: It is empty or damaged.
    """
    failed = False
    for _ in range(TRIES):
        loaded = memory.of(gallery)
        try:
            return _once(gallery, loaded, probes, k, kept, watch)
        except _Gone:
            continue
        except StaleIndex:  # the engine's rows were changed, which the gallery may know nothing of
            memory.forget()
        except GalleryError:  # the engine's collection may be gone, which is filled again then
            if failed or loaded.engine is None:
                raise
            failed = True
            memory.forget()
    raise StaleIndex(f"The templates were changed during each of {TRIES} searches in a row. Search again.")


def _once(
    gallery: Gallery,
    loaded: Loaded,
    probes: Sequence[Probe],
    k: int,
    kept: Matching | None,
    watch: Callable[[str], None],
) -> Ranking:
    matcher, calibration = loaded.matcher, loaded.calibration
    index = loaded.index if kept is None else loaded.index.only(kept.photo_ids)
    watch(STAGES[1])
    templates = [matcher.describe(probe.face, "probe") for probe in probes]
    watch(STAGES[2])
    query, owners = matcher.scoring.query(*templates), _Owners(gallery)
    try:
        found = best_per_person(index, query.vector[None], owners, k)[0] if len(index) else []
        rows = index.rows([best.id for best in found]) if found else ()
    except KeyError:
        raise _Gone from None
    photos = gallery.photos_by_number(best.id for best in found)
    if len(photos) < len(found):  # just now
        raise _Gone
    candidates = tuple(
        Candidate.of(
            place,
            photos[best.id],
            best.person.label,
            best.score + query.offset,
            matcher.own_scores(templates, row),
            calibration,
        )
        for place, (best, row) in enumerate(zip(found, rows, strict=True), 1)
    )
    return Ranking(loaded, len(index), candidates, owners.told)


def answer(gallery: Gallery, probes: Sequence[Probe], ranking: Ranking, kept: Matching | None) -> Search:
    """What a search found, not yet on record."""
    loaded, matcher, calibration = ranking.loaded, ranking.loaded.matcher, ranking.loaded.calibration
    translating = [route for route in matcher.routes if route.translated == "probe"]
    return Search(
        probe=", ".join(probe.name for probe in probes),
        sha256=", ".join(probe.sha256 for probe in probes),
        route=matcher.name,
        models=matcher.models,
        gallery_size=ranking.size,
        gallery_root=loaded.root,
        approximate=loaded.approximate,
        candidates=ranking.candidates,
        calibration=None if calibration is None else calibration.to_dict(),
        own_cohort=loaded.own_cohort,
        filter=None if kept is None else kept.to_json(),
        warnings=(
            *(warning for probe in probes for warning in (*probe.face.warnings, *_known(gallery, probe.sha256))),
            *loaded.warnings,
            *([FILTERED] if kept is not None and calibration is not None else []),
        ),
        faces=tuple(probe.face for probe in probes),
        synthesized=translating[0].synthesize(probes[0].face) if translating else None,
    )


def _known(gallery: Gallery, sha256: str) -> Sequence[str]:
    person = gallery.known([sha256]).get(sha256)
    return () if person is None else (f"{KNOWN_PROBE}, as {person!r}.",)


class _Gone(Exception):
    """Somebody who was found was expunged since."""


class _Owners:
    """Tells whose photos are, and keeps what it told: a list hangs on that too."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self.told: dict[int, Owner] = {}

    def __call__(self, photos: NDArray[np.int64]) -> dict[int, Owner]:
        self.told = self._gallery.owners(photos)
        return self.told
