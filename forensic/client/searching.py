"""Searches at a server, as `forensic.identify` and `forensic.casework` make them on a folder.

A server searches with sketches of cases alone, so that nobody searches without a case; a file is added to it first.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensic import images
from forensic.candidates import Candidate, Search
from forensic.casework import Repetition, compared, name_of, pick, stated
from forensic.client import jobs, reading
from forensic.client.cases import Cases
from forensic.client.connection import Connection, Sent
from forensic.errors import FaceError, ForensicError, ImageError, UsageError
from forensic.gallery import Filter
from forensic.gallery.casework.cases import Drawing, Kind, same
from forensic.gallery.casework.casework_models import Case, Sketch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class RemoteIdentifier:
    """Searches with files, which become sketches of a case: the calls of `forensic.identify.Identifier`.

    Args:
        connection: The server's.
        route: Name of the matcher; the server has to offer it.
        case: Reference of the case.
        kind: How sketches came about that the case lacks yet; None where it has them all.

    Raises:
        UsageError: No case is given.
        NotFound: There is no such case.
    """

    def __init__(self, connection: Connection, route: str, case: str | None, kind: str | None) -> None:
        if case is None:
            raise UsageError("A server searches for a case alone: name it with --case REFERENCE (forensic case open).")
        self._connection, self._route, self._kind = connection, route, kind
        self._cases = Cases(connection)
        self._case = self._cases.find(case)
        self._held = {sketch.sha256: sketch for sketch in self._cases.sketches(case)}

    def search_all(
        self,
        files: Sequence[str | os.PathLike[str]],
        k: int = 10,
        *,
        face: int | None = None,
        landmarks: NDArray[np.float32] | None = None,
        only: Filter | None = None,
    ) -> Iterator[Search | ImageError | FaceError]:
        """Search with each file; one that is unusable is an error among the answers.

        Raises:
            UsageError: A face is chosen, which a server takes as landmarks alone; or the case lacks a file, and it is
                not known how it came about, or has it as a sketch of another kind.
        """
        if face is not None:
            raise UsageError("--face is for a gallery's folder: give the face's --landmarks to a server.")

        def answers() -> Iterator[Search | ImageError | FaceError]:
            for file in files:
                try:
                    yield self._search([file], k, only, None if landmarks is None else landmarks.tolist())
                except (ImageError, FaceError) as error:
                    yield error

        self._check(files)  # what is wrong with one is told before the first is searched with
        return answers()

    def search_together(
        self, files: Sequence[str | os.PathLike[str]], k: int = 10, *, only: Filter | None = None
    ) -> Search:
        """One search with several sketches of one person.

        Raises:
            ImageError, FaceError: A file is unusable.
            UsageError: As `search_all` does.
        """
        self._check(files)
        return self._search(files, k, only, None)

    def explain(self, search: Search) -> Search:
        """Not done here.

        Raises:
            UsageError: Always: a server explains a search in the browser.
        """
        raise UsageError("--explain is for a gallery's folder: at a server, the search's page explains a candidate.")

    def _search(
        self,
        files: Sequence[str | os.PathLike[str]],
        k: int,
        only: Filter | None,
        points: list[list[float]] | None,
    ) -> Search:
        sketches = [self._sketch(file) for file in files]
        name = ", ".join(images.display_name(file) for file in files)
        return ask(self._connection, self._case, sketches, name, route=self._route, k=k, only=only, points=points)

    def _check(self, files: Sequence[str | os.PathLike[str]]) -> None:
        """Stop where a kind is not known, or is another one; a file that cannot be read is told of in its turn."""
        for file in files:
            with suppress(ImageError):
                data = images.read_bytes(file)
                there = self._held.get(hashlib.sha256(data).hexdigest())
                if there is not None and self._kind is not None:
                    same(there, Drawing(data, images.display_name(file), Kind(self._kind)))
                elif there is None and self._kind is None:
                    raise UsageError(
                        f"{images.display_name(file)} is no sketch of case {self._case.reference!r} yet and would be "
                        f"added to it: say how it came about with --kind {'|'.join(Kind)}."
                    )

    def _sketch(self, file: str | os.PathLike[str]) -> Sketch:
        """The sketch of the case that a file is; added if the case lacks it."""
        picture = images.read(file)
        if picture.sha256 not in self._held:
            drawing = Drawing(picture.data, Path(file).name, Kind(self._kind or ""))
            number = self._cases.add_sketch(self._case.reference, drawing)
            added = Sketch(id=number, sha256=picture.sha256, file_name=drawing.file_name, kind=drawing.kind.value)
            self._held[picture.sha256] = added
        return self._held[picture.sha256]


def ask(
    connection: Connection,
    case: Case,
    sketches: Sequence[Sketch],
    name: str,
    *,
    route: str,
    k: int,
    only: Filter | None,
    points: list[list[float]] | None = None,
) -> Search:
    """One search with sketches of a case, all of one person.

    Args:
        connection: The server's.
        case: Whose they are.
        sketches: What is searched with.
        name: What the answer calls the probe.
        route: Name of the matcher.
        k: How many candidates.
        only: Who is searched.
        points: Five landmarks of the only sketch; None to have them found.
    """
    asked = {
        "case": case.id,
        "sketches": [sketch.id for sketch in sketches],
        "landmarks": None if points is None else [points],
        "route": route,
        "top": k,
        "where": [] if only is None else [stated(condition.text) for condition in only.conditions],
        "justification": "" if only is None else only.justification,
    }
    answer = jobs.finished(connection, "/searches", Sent(json=asked))
    found = recorded(connection, answer["search"], name)
    return found.of_sketches({sketch.kind for sketch in sketches})


def recorded(connection: Connection, number: int, name: str) -> Search:
    """A search on record, as it was answered; who has been expunged since is named by number."""

    def read(answer: reading.Plain) -> Search:
        return _search_of(answer["record"], {photo["id"]: photo for photo in answer["photos"]}, number, name)

    return connection.get(f"/records/{number}", read)


def _search_of(record: dict[str, Any], photos: dict[int, dict[str, Any]], number: int, name: str) -> Search:
    return Search(
        probe=name,
        sha256=", ".join(record["probes"]),
        route=record["route"],
        models=record["models"],
        gallery_size=record["gallery"]["photos"],
        gallery_root=record["gallery"]["root"],
        approximate=record.get("approximate"),  # servers of old do not say
        candidates=tuple(_candidate(one, photos.get(one["photo_id"])) for one in record["candidates"]),
        calibration=record["calibration"],
        own_cohort=record["own_cohort"],
        filter=record["filter"],
        warnings=tuple(record["warnings"]),
        faces=(),
        number=number,
    )


def _candidate(row: dict[str, Any], photo: dict[str, Any] | None) -> Candidate:
    known = photo or {"person": f"person {row['person_id']}, no longer enrolled", "file_name": "", "sha256": ""}
    return Candidate(person=known["person"], photo=known["file_name"], photo_sha256=known["sha256"], **row)


def search_case(
    connection: Connection,
    reference: str,
    numbers: Sequence[int],
    k: int,
    *,
    route: str,
    together: bool,
    only: Filter | None,
) -> Iterator[tuple[str, Search | ForensicError]]:
    """`forensic.casework.search_case`."""
    cases = Cases(connection)
    case = cases.find(reference)
    chosen = pick(cases.sketches(reference), reference, numbers)
    for group in [chosen] if together else [[sketch] for sketch in chosen]:
        name = ", ".join(map(name_of, group))
        try:
            yield name, ask(connection, case, group, name, route=route, k=k, only=only)
        except (ImageError, FaceError) as error:
            yield name, error


def rerun(connection: Connection, number: int) -> Repetition:
    """`forensic.casework.rerun`, with the sketches of the search's case."""
    cases = Cases(connection)
    before = cases.searched(number)
    answer = jobs.finished(connection, f"/searches/{number}/repetitions", Sent())
    again = recorded(connection, answer["search"], "image")
    same, changed = compared(before.record, cases.searched(answer["search"]).record)
    return Repetition(before, again, same, changed)
