"""Face records of ANSI/NIST-ITL files (NIST SP 500-290), in the traditional encoding: .an2, .eft, .nist.

Such a file is one transaction about one person: a Type-1 record that says so, Type-2 records with what the agency
writes about the person, and records with images, of which Type 10 holds faces (and scars, tattoos, ...).

The file is cut into its records here, and nistitl reads a record's fields. Its own ``Message.parse`` serves no files
from strangers: its time grows with the square of the number of records and of fields, it raises whatever Python
raises, and one bad record loses all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import nistitl

from forensic import images
from forensic.errors import DataError, ImageError, UsageError
from forensic.gallery.records import RESERVED

PERSON, FILE = RESERVED
MAX_RECORDS = 1000
MAX_TEXT = 1024 * 1024
"""Bytes of text that are read of a file's records of Types 1, 2 and 10, images not counted."""
HEAD = 64
"""Bytes at a file's beginning that show what it is."""

FS = b"\x1c"
LENGTH = re.compile(rb"(\d{1,2})\.0{0,8}1:(\d{1,10})\x1d")
"""A record's first field: its own length in bytes, separators included."""
FIELD = re.compile(r"0{0,8}(\d{1,2})\.0{0,8}(\d{1,9})", re.ASCII)
READ = (1, 2, 10)
"""Types of records whose fields are read."""
FACE, IMAGE = "FACE", b"\x1d10.999:"
FRONTAL = 15
"""Degrees of yaw up to which a pose counts as frontal."""

Fields = Mapping[str, str]


@dataclass(frozen=True)
class Record:
    """One Type-10 record, or what could not be read as a record.

    Attributes:
        number: Its place in the file; the Type-1 record is 1.
        start: Where the image's bytes begin in the file.
        stop: Where they end.
        person: Label of the person, where a field was asked for.
        metadata: ``date_taken``, ``source`` and the columns that were asked for.
        warnings: What a person should know of the photo.
        compression: What the record says of its image's format (10.011).
        problem: Why there is no photo to enroll; empty if there is one.
        passed: The image type (10.003) if it is no face; there is nothing to enroll then, and nothing wrong.
    """

    number: int
    start: int = 0
    stop: int = 0
    person: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    compression: str = ""
    problem: str = ""
    passed: str = ""


class _Piece(NamedTuple):
    """Where a record lies, and what its text says; ``kind`` is 0 for one without a readable type."""

    number: int
    kind: int
    start: int
    stop: int
    problem: str = ""
    fields: Fields = MappingProxyType({})


def is_nist(path: Path) -> bool:
    """Whether a file begins as an ANSI/NIST-ITL file does, with the length of its Type-1 record."""
    try:
        head = images.read_bytes(path, stop=HEAD)
    except ImageError:
        return False
    return begins(head)


def begins(head: bytes) -> bool:
    """Whether a file's first ``HEAD`` bytes are those of an ANSI/NIST-ITL file."""
    found = LENGTH.match(head)
    return found is not None and int(found[1]) == 1


def parse_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """Column -> field, the fields in one spelling.

    Raises:
        UsageError: A field is not named like 2.054, or is none of a record of Type 1, 2 or 10.

    >>> parse_columns({"person": "2.54"})
    {'person': '2.054'}
    """
    parsed = {}
    for column, name in columns.items():
        field = _field_name(name)
        if field is None or int(field.partition(".")[0]) not in READ or column.lower() == FILE:
            raise UsageError(
                f"{column}={name}: expected COLUMN=TYPE.FIELD with a field of a record of Type 1, 2 or 10, "
                "such as person=2.054."
            )
        parsed[column] = field
    return parsed


def read(path: Path, columns: Mapping[str, str], data: bytes | None = None) -> list[Record]:
    """The face records of a file, and whatever in it could not be read.

    Args:
        path: The file.
        columns: Column -> field that fills it, as `parse_columns` gives them; ``person`` is the label.
        data: Its content, where that came by another way than the disk.

    Raises:
        ImageError: The file cannot be read.
        DataError: It does not begin with a whole Type-1 record, or has no Type-10 record.
    """
    name, data = images.display_name(path), images.read_bytes(path) if data is None else data
    pieces = list(_with_fields(data, _pieces(data)))
    if not pieces or pieces[0].kind != 1 or pieces[0].problem:
        raise DataError(f"{name}: an ANSI/NIST-ITL file begins with a whole Type-1 record. Export it again.")
    shared: dict[str, str] = {}
    for piece in pieces:
        if piece.kind in (1, 2):
            for key, value in piece.fields.items():
                shared.setdefault(key, value)  # of several Type-2 records, the first that has a field counts
    found = [_record(data, piece, shared, columns) for piece in pieces if piece.problem or piece.kind == 10]
    if not found:
        raise DataError(f"{name}: holds no Type-10 record, so no face. Give files with mugshots.")
    return found + _miscount(pieces)


def _pieces(data: bytes) -> Iterator[_Piece]:
    """The records in their order. After one whose length is wrong, the search goes on at the next that has a head."""
    start = number = 0
    while data[start : start + HEAD].strip(b"\0\r\n\t "):
        number += 1
        if number > MAX_RECORDS:
            yield _Piece(number, 0, start, start, f"more than {MAX_RECORDS} records; the rest was not read. Split it")
            return
        head = LENGTH.match(data, start)
        if head:
            kind, stop, sound = int(head[1]), start + int(head[2]), _sound(data, head)
        else:  # a record of Types 3 to 8 begins with its length in four bytes
            kind, stop = 0, start + int.from_bytes(data[start : start + 4])
            sound = start + 5 <= stop <= len(data)
        if kind == 1 and number > 1:
            yield _Piece(number, 1, start, stop, "a second Type-1 record: give each transaction a file of its own")
            return
        if sound:
            yield _Piece(number, kind, start, stop)
            start = stop
        else:
            yield _Piece(number, kind, start, stop, "its length is not that of the record: truncated or altered")
            following = (found.start() for found in LENGTH.finditer(data, start + 1) if _sound(data, found))
            start = next(following, len(data))


def _sound(data: bytes, head: re.Match[bytes]) -> bool:
    """Whether a record has the length that its head says: it ends with a separator."""
    stop = head.start() + int(head[2])
    return head.end() <= stop <= len(data) and data[stop - 1 : stop] == FS


def _with_fields(data: bytes, pieces: Iterable[_Piece]) -> Iterator[_Piece]:
    """The pieces with the fields of those that are read, as far as there is a sensible amount of text."""
    budget = MAX_TEXT
    for piece in pieces:
        if piece.problem or piece.kind not in READ:
            yield piece
            continue
        image = data.find(IMAGE, piece.start, piece.stop) if piece.kind == 10 else -1
        stop = piece.stop if image < 0 else image
        if stop - piece.start > budget:
            yield piece._replace(problem=f"more than {MAX_TEXT:,} bytes of text in the file; no mugshot has them")
            continue
        budget -= stop - piece.start
        try:
            yield piece._replace(fields=_fields(data[piece.start : stop], piece.kind))
        except DataError as error:
            yield piece._replace(problem=str(error))


def _fields(text: bytes, kind: int) -> Fields:
    """The fields of one record's text, "2.054" -> value; of a field that is there twice, the first.

    Raises:
        DataError: The text is not made of fields of this type of record.
    """
    fields: dict[str, str] = {}
    items: list[bytes] = []
    subfields: list[bytes] = []

    def end_subfield(value: bytes | None) -> None:
        subfields.append(b", ".join(items) if value is None else value)
        items.clear()

    def end_field(tag: str, value: bytes | None) -> None:
        name = _field_name(tag.removesuffix(":"))
        if name is None or not name.startswith(f"{kind}."):
            raise DataError(f"a field {tag[:20]!r} in a Type-{kind} record: damaged. Export it again")
        fields.setdefault(name, _text(b"; ".join(subfields) if value is None else value))
        subfields.clear()

    try:
        nistitl.parse_record(text, lambda: None, end_field, end_subfield, items.append)
    except nistitl.NistException as error:
        raise DataError(f"its fields cannot be read ({error}). Export it again") from None
    return fields


def _record(data: bytes, piece: _Piece, shared: Fields, columns: Mapping[str, str]) -> Record:
    """What a Type-10 record, or one that is broken, comes to."""
    if piece.problem:
        return Record(piece.number, problem=piece.problem)
    own = piece.fields
    kind, image = own.get("10.003", "").strip(), data.find(IMAGE, piece.start, piece.stop)
    if kind and kind.upper() != FACE:
        return Record(piece.number, passed=kind)
    if not kind or image < 0:
        lacking = "no image (10.999)" if kind else "no image type (10.003), which says that it is a FACE"
        return Record(piece.number, problem=f"the Type-10 record has {lacking}. Export it again with one")
    metadata, warnings = _metadata(own)
    metadata |= {column: _value(column, own.get(name, shared.get(name, ""))) for column, name in columns.items()}
    person = metadata.pop(PERSON, "")
    if PERSON in columns and not person:
        problem = f"field {columns[PERSON]}, which is to name the person, is empty or not there. Choose another"
        return Record(piece.number, problem=problem)
    span = image + len(IMAGE), piece.stop - len(FS)
    compression = own.get("10.011", "").strip()
    return Record(piece.number, *span, person, metadata, (*warnings, *_pose(own)), compression)


def _metadata(own: Fields) -> tuple[dict[str, str], list[str]]:
    """Date and source of a photo, and a warning where the date is none."""
    taken = own.get("10.005", "").strip()
    metadata, warnings = {"source": own.get("10.004", "").strip(), "date_taken": _date(taken)}, []
    if taken and not metadata["date_taken"]:
        warnings.append(f"its date (10.005) is {taken[:20]!r}, no YYYYMMDD; it was left out.")
    return {key: value for key, value in metadata.items() if value}, warnings


def _date(text: str) -> str:
    """YYYYMMDD as YYYY-MM-DD, and without the parts that are 00; empty if it is no date.

    >>> _date("20190517"), _date("20190500"), _date("20191301")
    ('2019-05-17', '2019-05', '')
    """
    if not re.fullmatch(r"\d{8}", text, re.ASCII):
        return ""
    year, month, day = text[:4], text[4:6], text[6:]
    known = 1 if month == day == "00" else 2 if day == "00" else 3
    try:
        date(int(year), int(month) if known > 1 else 1, int(day) if known > 2 else 1)
    except ValueError:
        return ""
    return "-".join((year, month, day)[:known])


def _pose(own: Fields) -> list[str]:
    """A warning about a pose (10.020, with the angle of 10.021) that is not frontal."""
    pose, angle = own.get("10.020", "").strip().upper(), own.get("10.021", "").strip()
    turned = pose == "A" and not (re.fullmatch(r"[+-]?\d{1,3}", angle, re.ASCII) and abs(int(angle)) <= FRONTAL)
    if pose in ("L", "R") or turned:
        degrees = f" by {angle[:10]!r} degrees" if turned and angle else ""
        return [f"its pose (10.020) is {pose!r}{degrees}, not frontal; it is compared poorly."]
    return []


def _value(column: str, text: str) -> str:
    """A field's value for a column; of a date of birth, the year."""
    value = text.strip()
    return value[:4] if column == "birth_year" and _date(value) else value


def _miscount(pieces: Sequence[_Piece]) -> list[Record]:
    """A record that stands for those that the Type-1 record announces (1.003) and that are not there."""
    listed = re.match(r"1, 0*(\d{1,6});|1, 0*(\d{1,6})$", pieces[0].fields.get("1.003", ""))
    there = len(pieces) - 1
    if listed is None or any(piece.problem for piece in pieces) or int(listed[1] or listed[2]) == there:
        return []
    announced = listed[1] or listed[2]
    problem = f"the Type-1 record announces {announced} further records (1.003), and {there} are there. Export it again"
    return [Record(1, problem=problem)]


def _field_name(text: str) -> str | None:
    """``2.54`` or ``02.054`` as 2.054; None for what names no field."""
    found = FIELD.fullmatch(text)
    return f"{int(found[1])}.{int(found[2]):03}" if found else None


def _text(value: bytes) -> str:
    """Text is in UTF-8 or in an 8-bit code, whatever 1.015 says of it."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
