"""Photos that are uploaded for enrollment, made a job: pages and API ask through the same function.

Who is on the photos travels with the files, which are removed when the job ends; what the job is asked, and its answer,
name nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from starlette.datastructures import UploadFile

from forensic import images
from forensic.errors import UsageError
from forensic.gallery import exchange
from forensic.gallery.enrolling import check_day
from forensic.gallery.records import parse_label, parse_metadata
from forensic.gallery.rights import Right, check
from forensic.web import uploads
from forensic.web.access import Visitor
from forensic.web.jobs import File
from forensic.web.problems import TooLarge
from forensic.web.state import Job

ROWS = "rows"
"""Name of the file that says who is on the others."""
NOT_SENT = "The file that the table names was not sent."
NOT_NAMED = "No row of the table names this file."


class Row(NamedTuple):
    """One photo to enroll.

    Attributes:
        file: The file's place among those that were uploaded, from 0; None for one that was not sent.
        line: Of the table, from 1; None without a table.
        person: The label.
        metadata: The other columns.
        fault: Why it cannot be enrolled, in words that name nobody; empty where nothing is known against it.
    """

    file: int | None
    line: int | None
    person: str
    metadata: dict[str, str]
    fault: str = ""


def ask_for_person(
    visitor: Visitor,
    person: str,
    metadata: Mapping[str, str],
    photos: Sequence[UploadFile],
    keep_until: date | None = None,
) -> Job:
    """Enroll photos of one person.

    Args:
        visitor: Who asks.
        person: The label; somebody who is enrolled already gets further photos.
        metadata: Columns, as in a table.
        photos: The files.
        keep_until: Last day (UTC) on which new people may be kept, where nothing else is said of it.

    Raises:
        RightsError: The visitor may not.
        UsageError: There is no file, label or metadata cannot be stored, or the day has passed.
        Busy: The queue is full.
    """
    check(visitor.gallery, Right.ENROLL)
    label = parse_label(person)
    parse_metadata(metadata)
    files, faults = _take(visitor, photos)
    rows = [Row(index, None, label, dict(metadata), fault) for index, fault in enumerate(faults)]
    return _submit(visitor, rows, files, keep_until)


def ask_for_table(
    visitor: Visitor, table: UploadFile, photos: Sequence[UploadFile], keep_until: date | None = None
) -> Job:
    """Enroll photos as a CSV table with the columns ``person,file`` and any metadata says.

    A row's file is found among the uploaded ones by its path, or else by its name alone.

    Args:
        visitor: Who asks.
        table: The table.
        photos: The files that it names.
        keep_until: As for `ask_for_person`.

    Raises:
        RightsError: The visitor may not.
        DataError: The table cannot be read.
        UsageError: There is no file, the table has no rows or names several files of one name, or the day has passed.
        TooLarge: The table has more bytes than the server takes.
        Busy: The queue is full.
    """
    check(visitor.gallery, Right.ENROLL)
    sent = uploads.take(visitor.server, table)
    rows = list(exchange.read_table(Path(images.display_name(sent.name)), sent.data))
    if not rows:
        raise UsageError("The table has no rows: give a line for each photo.")
    places = _places(photos)
    files, faults = _take(visitor, photos)
    found = []
    for row in rows:
        path = PurePosixPath(uploads.unescaped(row.file.as_posix()).replace("\\", "/"))
        index = places.get(str(path), places.get(path.name))
        fault = NOT_SENT if index is None else faults[index]
        found.append(Row(index, row.line, row.person, row.metadata, fault))
    named = {row.file for row in found}
    found += [Row(index, None, "", {}, NOT_NAMED) for index in range(len(photos)) if index not in named]
    return _submit(visitor, found, files, keep_until)


def rows_of(file: File) -> list[Row]:
    """The rows of a job's first file."""
    return [Row(*row) for row in json.loads(file.data)]


def names_of(visitor: Visitor, job: str) -> list[str]:
    """The names of the files that came with a job, as long as they are in memory; they may be people's."""
    found: list[str] | None = visitor.server.engine.find(("names of files", job))
    return found or []


def _submit(visitor: Visitor, rows: Sequence[Row], files: Sequence[File], keep_until: date | None) -> Job:
    check_day(keep_until)
    content = json.dumps([list(row) for row in rows]).encode()
    asked: dict[str, Any] = {"rows": len(rows), "keep_until": keep_until and keep_until.isoformat()}
    job = visitor.server.jobs.submit("enroll", asked, visitor.operator, [File(ROWS, content), *files])
    visitor.server.engine.kept(("names of files", job.id), lambda: [file.name for file in files])
    return job


def _take(visitor: Visitor, photos: Sequence[UploadFile]) -> tuple[list[File], list[str]]:
    """The files, and what is wrong with each: one that is of no use does not keep the others out."""
    if not any(photo.filename for photo in photos):
        raise UsageError("No photo was given. Choose one or more files.")
    files, faults = [], []
    for photo in photos:
        try:
            files.append(uploads.take(visitor.server, photo))
            faults.append("")
        except TooLarge:
            faults.append(f"It has more than {visitor.server.settings.upload_bytes:,} bytes. Save a smaller copy.")
        except UsageError:
            faults.append("It is empty, or its name cannot be used. Copy it again from its source.")
        if faults[-1]:
            files.append(File(uploads.path_of(photo)[: uploads.LONGEST_NAME], b""))
    return files, faults


def _places(photos: Sequence[UploadFile]) -> dict[str, int]:
    """Where each file stands, by the path and by the name that the browser sent.

    Raises:
        UsageError: Several have one path, so that a row could mean any of them.
    """
    paths = [uploads.path_of(photo) for photo in photos]
    if len(set(paths)) < len(paths):
        raise UsageError("Several of the files have one name. Give each another name, in the table too.")
    names = [PurePosixPath(path).name for path in paths]
    alone = {name: index for index, name in enumerate(names) if names.count(name) == 1}
    return alone | {path: index for index, path in enumerate(paths)}
