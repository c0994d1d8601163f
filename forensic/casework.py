"""Searches of cases: with the sketches that a case holds, and again later to see whether the list is the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from forensic import images
from forensic.candidates import Search
from forensic.errors import FaceError, ImageError, UsageError
from forensic.gallery import Filter, Gallery
from forensic.gallery.casework import cases
from forensic.gallery.casework.cases import Searched, Verdict
from forensic.gallery.casework.casework_models import Case, Sketch
from forensic.gallery.log import audit
from forensic.identify import Identifier
from forensic.search_records import REPETITION, faces_of

KEPT = "whom the filter keeps"
RATIOS = "how likelihood ratios are stated"
OWNERS = "whose the photos are (people were merged or split)"


class Repetition(NamedTuple):
    """A search that was repeated.

    Attributes:
        before: The one on record.
        search: The new one, which is on record too.
        identical: Whether both lists are the same to the byte: ranks, people, photos and every score.
        changed: What else is not as it was: the gallery, models, code, libraries, faces, ``KEPT`` or ``OWNERS``.
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
        The sketches' names and the answer, for each search; an error says of which sketch it is.

    Raises:
        UsageError: The case has no such sketch, or none at all.
        GalleryError: There is no such case; or as `Identifier.search` does.
    """
    chosen = chosen_sketches(identifier.gallery, reference, numbers)
    identifier.case = reference
    for group in [chosen] if together else [[sketch] for sketch in chosen]:
        name = ", ".join(map(name_of, group))
        try:
            pictures = [images.decode(sketch.data, name_of(sketch)) for sketch in group]
            yield name, identifier.search_together(pictures, k, only=only)
        except (ImageError, FaceError) as error:
            yield name, error


def rerun(
    gallery: Gallery,
    number: int,
    probes: Sequence[str | os.PathLike[str]] = (),
    *,
    device: str = "cpu",
    identifier: Identifier | None = None,
    decode: Callable[[bytes, str], images.Decoded] = images.decode,
) -> Repetition:
    """Repeat a search on record, with the sketches of its case or with the files that are given.

    Args:
        gallery: Where it is on record.
        number: Of the search.
        probes: Its sketches, in their order, where no case holds them.
        device: Where models run.
        identifier: One of the search's route, whose models are loaded already.
        decode: Opens the case's sketches; a server does that in another process.

    Raises:
        UsageError: The sketches are not those of the search, or its case does not hold them.
        GalleryError: There is no such search, or its route cannot be searched any more.
    """
    before = cases.searched(gallery, number)
    record = before.record
    if identifier is None:
        approximate = record.get("approximate")
        identifier = Identifier(gallery, record["route"], device=device, approximate=approximate)
    identifier.case, identifier.purpose = before.case, f"{REPETITION}{number}"
    pictures = _probes(gallery, before, probes, decode)
    chosen = record["filter"]
    only = None if chosen is None else Filter.parse(map(stated, chosen["conditions"]), chosen["justification"])
    points = [None if given is None else np.array(given) for given in record["landmarks"]]
    # Found again, not taken over: whether the program still finds these faces is a part of the repetition.
    faces = [None if face is None else face["asked"] for face in faces_of(record)]
    search = identifier.search_together(pictures, record["asked_for"], landmarks=points, faces=faces, only=only)
    same, changed = compared(record, cases.searched(gallery, search.number or 0).record)
    return Repetition(before, search, same, changed)


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[bool, tuple[str, ...]]:
    """Whether the lists of two searches on record are the same to the byte, and what else on record differs.

    Likelihood ratios are no part of the list: the same score may be stated otherwise since, by another calibration.
    """
    lists, ratios = zip(*(_list(record) for record in (before, after)), strict=True)
    same = lists[0] == lists[1]
    parts = ("gallery", "filter", "models", "code", "versions", "device", "own_cohort")
    changed = [part for part in parts if after[part] != before[part]]
    was, now = (_fitted(record["calibration"]) for record in (before, after))
    if was != now or (same and ratios[0] != ratios[1]):
        changed.append(RATIOS)
    known = before.keys() & after.keys()  # older records have no more than those
    changed += [part for part in ("approximate", "faces") if part in known and after[part] != before[part]]
    if "kept" in known and after["kept"] != before["kept"]:
        changed.append(KEPT)
    if "owners" in known:
        # Of photos that both lists come from: others are nearest where something else has changed, which is told.
        was, now = (dict(map(tuple, record["owners"])) for record in (before, after))
        if any(was[photo] != now[photo] for photo in was.keys() & now.keys()):
            changed.append(OWNERS)
    return same, tuple(changed)


def _list(record: Mapping[str, Any]) -> tuple[str, str]:
    """A record's candidates without their likelihood ratios, and these."""
    ratios = [(candidate["log_lr"], candidate["bounded"]) for candidate in record["candidates"]]
    plain = [{**candidate, "log_lr": None, "bounded": None} for candidate in record["candidates"]]
    return audit.canonical(plain), audit.canonical(ratios)


def _fitted(calibration: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A calibration without what was measured of it: that makes no figure another one."""
    return None if calibration is None else {name: calibration[name] for name in calibration if name != "measured"}


class Event(NamedTuple):
    """Something that was done in a case.

    Attributes:
        at: When.
        operator: Who did it.
        act: ``opened``, ``sketch``, ``search`` or ``decision``.
        number: Of the sketch or the search; None for the case itself.
        rank: The candidate's, of a decision.
        verdict: Of a decision; None where the operator may not see it yet.
    """

    at: datetime
    operator: str
    act: str
    number: int | None = None
    rank: int | None = None
    verdict: Verdict | None = None


def timeline(case: Case, sketches: Iterable[Sketch], searches: Iterable[Searched]) -> list[Event]:
    """What was done in a case, from the first act to the last."""
    events = [Event(case.opened_at, case.opened_by, "opened")]
    events += [Event(sketch.added_at, sketch.added_by, "sketch", sketch.id) for sketch in sketches]
    for search in searches:
        record = search.record
        events.append(Event(datetime.fromisoformat(record["ended"]), record["operator"], "search", search.number))
        events += [
            Event(said.at, said.examiner, "decision", search.number, said.rank, said.verdict)
            for said in search.opinions
        ]
    return sorted(events, key=lambda event: event.at)


def chosen_sketches(gallery: Gallery, reference: str, numbers: Sequence[int] = ()) -> list[Sketch]:
    """Sketches of a case with their bytes, by number; all where none is named.

    Raises:
        UsageError: The case has no such sketch, or none at all.
        NotFound: There is no such case.
    """
    return pick(cases.sketches(gallery, reference), reference, numbers)


def name_of(sketch: Sketch) -> str:
    """What a case's sketch is called where it is searched with."""
    return f"sketch {sketch.id} ({images.display_name(sketch.file_name)})"


def pick(sketches: Iterable[Sketch], reference: str, numbers: Sequence[int]) -> list[Sketch]:
    """Those of a case's sketches that have these numbers; all where none is given.

    Raises:
        UsageError: The case has no such sketch, or none at all.
    """
    found = {sketch.id: sketch for sketch in sketches}
    if not found:
        raise UsageError(
            f"Case {reference!r} has no sketch yet. Add one: forensic case add {reference} FILE --kind KIND"
        )
    if unknown := [number for number in numbers if number not in found]:
        raise UsageError(f"Case {reference!r} has no sketch {unknown[0]}; it has {', '.join(map(str, found))}.")
    return [found[number] for number in numbers or found]


def _probes(
    gallery: Gallery,
    before: Searched,
    files: Sequence[str | os.PathLike[str]],
    decode: Callable[[bytes, str], images.Decoded],
) -> list[images.Decoded]:
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
    return [decode(held[sha256].data, name_of(held[sha256])) for sha256 in wanted]


def stated(condition: str) -> str:
    """A filter's condition as it was given: an age is recorded with the birth years that it came to.

    >>> stated("age=30..45@2021 (birth_year=1975..1991)")
    'age=30..45@2021'
    """
    return condition.partition(" (")[0] if condition.startswith("age=") and "@" in condition else condition
