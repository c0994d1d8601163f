"""People and photos as a CSV table with the photos beside it: what ``enroll`` reads and ``export`` writes.

The table's columns are ``person``, ``file`` (relative to the table) and any metadata. An export also has what was
measured on each photo (``photo:sha256`` and others), which enrolling finds anew and so passes over. A cell that a
spreadsheet would run as a formula is written with an apostrophe before it, and read without: ``=1+1`` is ``'=1+1``.
"""

import csv
import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from forensic.errors import DataError, GalleryError, UsageError
from forensic.gallery import address
from forensic.gallery.objects import private_folders
from forensic.gallery.records import MEASURED, PERSON_FIELDS, PHOTO_FIELDS, RESERVED
from forensic.gallery.rights import Right, needs

if TYPE_CHECKING:
    from forensic.gallery.models import Photo
    from forensic.gallery.store import Gallery

MAX_TABLE = 128 * 1024 * 1024
MAX_ROWS = 500_000
MAX_CELLS = 5_000_000
MAX_LINE = 4 * 1024 * 1024
SHOWN = 300
FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # the last four are full-width = + - @
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "BMP": ".bmp", "WEBP": ".webp"}


class Row(NamedTuple):
    """One row of an enrollment table.

    Args:
        line: its line in the file, for messages.
        file: the photo's path.
        metadata: the text of every other column but those of an export's measurements.
        cell: what the table says of the file.
    """

    line: int
    person: str
    file: Path
    metadata: dict[str, str]
    cell: str = ""


def escape(cell: str) -> str:
    """Text that no spreadsheet runs; ``unescape`` gives the cell back.

    >>> escape("=1+1"), escape("O'Neil"), unescape(escape("'=1"))
    ("'=1+1", "O'Neil", "'=1")
    """
    return "'" + cell if FORMULA.match(cell) else cell


def unescape(cell: str) -> str:
    """The cell that ``escape`` was given."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def read_table(table: Path, data: bytes | None = None) -> Iterator[Row]:
    """The rows of an enrollment table, in UTF-8 with or without a byte-order mark.

    Args:
        table: the file; with ``data``, only its name counts.
        data: its content, where that came by another way than the disk.

    Raises:
        DataError: it cannot be read, lacks ``person`` or ``file``, names a column twice, or has a row of another
            length than its header.
    """
    rows = _rows(table, data)
    _, first = next(rows, (0, []))
    header = [unescape(cell.strip()) for cell in first]
    names = [name.lower() if name.lower() in {*RESERVED, *MEASURED} else name for name in header]
    if not set(RESERVED) <= set(names) or len(set(names)) < len(names):
        shown = str(header)[:SHOWN]
        raise DataError(f"{table}: the columns are {shown}; expected 'person', 'file' and others, each once.")
    for line, cells in rows:
        if len(cells) != len(names):
            raise DataError(f"{table}, line {line}: {len(cells)} cells, expected {len(names)}.")
        values = dict(zip(names, map(unescape, cells), strict=True))
        person, photo = (values.pop(name) for name in RESERVED)
        metadata = {name: value for name, value in values.items() if name not in MEASURED}
        yield Row(line, person, table.parent / photo, metadata, photo)


def _rows(table: Path, data: bytes | None) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the number of its last line; no more than fit in the memory.

    Raises:
        DataError: the table cannot be read or is too large.
    """
    count = cells = 0
    try:
        with _opened(table) if data is None else _received(table, data) as file:
            # A line is cut where it is too long for csv's reader, which then says so.
            reader = csv.reader(iter(lambda: file.readline(MAX_LINE), ""), strict=True)
            for row in reader:
                count, cells = count + 1, cells + len(row)
                if count > MAX_ROWS or cells > MAX_CELLS:
                    raise DataError(
                        f"{table} has more than {MAX_ROWS:,} rows or {MAX_CELLS:,} cells. Give it in several parts."
                    )
                if row:
                    yield reader.line_num, row
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a CSV table in UTF-8: {error}.") from error


def _received(table: Path, data: bytes) -> TextIO:
    if len(data) > MAX_TABLE:
        raise DataError(f"{table} has {len(data):,} bytes; expected at most {MAX_TABLE:,}. Give it in several parts.")
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")


def _opened(table: Path) -> TextIO:
    """The table, if it is a regular file of a sensible size: a pipe would wait for ever, a device never end."""
    file = open(os.open(table, os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8-sig", newline="")  # noqa: SIM115
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_TABLE:
        return file
    file.close()
    raise DataError(f"{table} is no file of at most {MAX_TABLE:,} bytes. Give the table as a file, or in several.")


@needs(Right.ENROLL)
def export(gallery: "Gallery", out: Path) -> Path:
    """Write all people and photos so that enrolling the table makes the same gallery.

    Args:
        gallery: the gallery.
        out: a folder, for ``gallery.csv`` and ``gallery/`` in it; or a file's name ending in ``.csv``, with the
            originals in a folder of that name without the ending.

    Returns:
        The table's path.

    Raises:
        GalleryError: an original is missing or altered.
        UsageError: the table or the originals' folder is there already, or would lie in a gallery.
    """
    table = out if out.suffix.lower() == ".csv" else out / "gallery.csv"
    folder = table.with_suffix("")
    address.check_outside(table)
    if table.exists() or folder.exists():
        raise UsageError(f"{table} or {folder} is there already; give another name, or remove it first.")
    with gallery.writing() as session:
        gallery.note(session, "export")
    photos = sorted(gallery.photos(), key=lambda photo: (photo.person.label, photo.sha256))
    extras = sorted({key for photo in photos for key in photo.person.extra})
    try:
        private_folders(folder)
        with _private(table).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(map(escape, [*RESERVED, *PERSON_FIELDS, *PHOTO_FIELDS, *extras, *MEASURED]))
            for photo in photos:
                original = folder / _safe_name(photo.person.label, photo.sha256, photo.format)
                _private(original).write_bytes(gallery.photo_bytes(photo))
                name = original.relative_to(table.parent).as_posix()
                writer.writerow(map(escape, [photo.person.label, name, *_cells(photo, extras)]))
    except OSError as error:
        raise GalleryError(f"The export to {out} stopped: {error}.") from error
    return table


def _cells(photo: "Photo", extras: Sequence[str]) -> Iterator[str]:
    """A photo's row but for its first two cells."""
    yield from (_cell(getattr(photo.person, key)) for key in PERSON_FIELDS)
    yield from (_cell(getattr(photo, key)) for key in PHOTO_FIELDS)
    yield from (_cell(photo.person.extra.get(key)) for key in extras)
    yield from (_cell(getattr(photo, key)) for key in MEASURED.values())


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return " ".join(map(str, value))  # warnings are sentences
    return "" if value is None else str(value)


def _private(path: Path) -> Path:
    """A new empty file that only its owner may read."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path


def _safe_name(label: str, sha256: str, format: str) -> str:
    """A file name without anything that a shell or a file system could take amiss."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", label).strip("_")[:40]
    return f"{plain or 'person'}-{sha256}{SUFFIXES.get(format, '.img')}"
