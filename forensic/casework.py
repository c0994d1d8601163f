"""Searches of cases: with the sketches that a case holds, and again later to see whether the list is the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from forensic import images
from forensic.candidates import Search
from forensic.errors import FaceError, ImageError, UsageError
from forensic.gallery import Filter, Gallery, audit, cases
from forensic.gallery.cases import Searched
from forensic.gallery.casework_models import Sketch
from forensic.identify import Identifier
from forensic.searching import record_of_candidates


class Repetition(NamedTuple):
    """A search that was repeated.

    Attributes:
        before: The one on record.
        search: The new one, which is on record too.
        identical: Whether both lists are the same to the byte: ranks, people, photos and every figure.
        changed: What else is not as it was: the gallery, models, code or libraries.
    """

    before: Searched
    search: Search
    identical: bool
    changed: tuple[str, ...]


def search_case(
    identifier: Identifier,
    reference: str,
    numbers: Sequence[int] = (),
    k: int = 10,
    *,
    together: bool = False,
    only: Filter | None = None,
) -> Iterator[tuple[str, Search | ImageError | FaceError]]:
    """Search with sketches of a case: with each one, or with all of them together.

    Args:
        identifier: Of the gallery; its searches become the case's.
        reference: The case.
        numbers: Which of its sketches; all where none is named.
        k: How many candidates.
        together: Whether the sketches show one person, and make one search.
        only: Who is searched.

    Returns:
        The sketches' names and the answer, for each search.

    Raises:
        UsageError: The case has no such sketch, or none at all.
        GalleryError: There is no such case; or as `Identifier.search` does.
    """
    chosen = _chosen(identifier.gallery, reference, numbers)
    identifier.case = reference
    for group in [chosen] if together else [[sketch] for sketch in chosen]:
        name = ", ".join(f"sketch {sketch.id} ({images.display_name(sketch.file_name)})" for sketch in group)
        try:
            pictures = [images.decode(sketch.data, sketch.file_name) for sketch in group]
            search = identifier.search_together(pictures, k, only=only)
            yield name, search.of_sketches({sketch.kind for sketch in group})
        except (ImageError, FaceError) as error:
            yield name, error


def rerun(
    gallery: Gallery, number: int, probes: Sequence[str | os.PathLike[str]] = (), *, device: str = "cpu"
) -> Repetition:
    """Repeat a search on record, with the sketches of its case or with the files that are given.

    Args:
        gallery: Where it is on record.
        number: Of the search.
        probes: Its sketches, in their order, where no case holds them.
        device: Where models run.

    Raises:
        UsageError: The sketches are not those of the search, or its case does not hold them.
        GalleryError: There is no such search, or its route cannot be searched any more.
    """
    before = cases.searched(gallery, number)
    record = before.record
    identifier = Identifier(
        gallery, record["route"], device=device, case=before.case, purpose=f"repetition of search {number}"
    )
    pictures = _probes(gallery, before, probes)
    chosen = record["filter"]
    only = None if chosen is None else Filter.parse(map(_stated, chosen["conditions"]), chosen["justification"])
    points = [None if given is None else np.array(given) for given in record["landmarks"]]
    search = identifier.search_together(pictures, record["asked_for"], landmarks=points, only=only)
    new = cases.searched(gallery, search.number or 0).record
    same = audit.canonical(record_of_candidates(search)) == audit.canonical(record["candidates"])
    parts = ("gallery", "filter", "models", "code", "versions", "device", "own_cohort", "calibration")
    return Repetition(before, search, same, tuple(part for part in parts if new[part] != record[part]))


def _chosen(gallery: Gallery, reference: str, numbers: Sequence[int]) -> list[Sketch]:
    found = {sketch.id: sketch for sketch in cases.sketches(gallery, reference)}
    if not found:
        raise UsageError(
            f"Case {reference!r} has no sketch yet. Add one: forensic case add {reference} FILE --kind KIND"
        )
    if unknown := [number for number in numbers if number not in found]:
        raise UsageError(f"Case {reference!r} has no sketch {unknown[0]}; it has {', '.join(map(str, found))}.")
    return [found[number] for number in numbers or found]


def _probes(gallery: Gallery, before: Searched, files: Sequence[str | os.PathLike[str]]) -> list[images.Decoded]:
    """The sketches of a search, from files or from its case."""
    wanted = before.record["probes"]
    if files:
        given = [images.read(file) for file in files]
        if [picture.sha256 for picture in given] != wanted:
            raise UsageError(f"These files are not the sketches of search {before.number}: their hashes differ.")
        return given
    held: dict[str, Any] = {}
    if before.case is not None:
        held = {sketch.sha256: sketch for sketch in cases.sketches(gallery, before.case)}
    if missing := [sha256 for sha256 in wanted if sha256 not in held]:
        raise UsageError(
            f"No case holds the sketch {missing[0][:12]}... of search {before.number}. Give its file with --probe FILE."
        )
    return [images.decode(held[sha256].data, held[sha256].file_name) for sha256 in wanted]


def _stated(condition: str) -> str:
    """A condition as it was given: an age is recorded with the birth years that it came to."""
    return condition.partition(" (")[0] if condition.startswith("age=") and "@" in condition else condition
