"""People and photos as a CSV table with the photos beside it: what ``enroll`` reads and ``export`` writes.

The table's columns are ``person``, ``file`` (relative to the table) and any metadata. An export also has what was
measured on each photo (``photo:sha256`` and others), which enrolling finds anew and so passes over. A cell that a
spreadsheet would run as a formula is written with an apostrophe before it, and read without: ``=1+1`` is ``'=1+1``.
"""

import csv
import errno
import io
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from forensic import regular
from forensic.errors import DataError, GalleryError, UsageError
from forensic.gallery import address
from forensic.gallery.models import Person, Photo
from forensic.gallery.objects import partial, private_folders, sync, write_private
from forensic.gallery.photos import PAGE
from forensic.gallery.records import MEASURED, PERSON_FIELDS, PHOTO_FIELDS, RESERVED
from forensic.gallery.rights import Right, needs
from forensic.gallery.templates import chunks

if TYPE_CHECKING:
    from forensic.gallery.store import Gallery

MAX_TABLE = 128 * 1024 * 1024
MAX_ROWS = 500_000
MAX_CELLS = 5_000_000
MAX_LINE = 4 * 1024 * 1024
SHOWN = 300
BATCH = 32
"""Originals that are in memory at once."""
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
        content = regular.read(table, MAX_TABLE) if data is None else data
        if len(content) > MAX_TABLE:
            raise OSError(errno.EFBIG, f"it has more than {MAX_TABLE:,} bytes")
        with io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="") as file:
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
        reason, large = getattr(error, "strerror", None) or error, getattr(error, "errno", None) == errno.EFBIG
        advice = " Give it in several parts." if large else ""
        raise DataError(f"{table} cannot be read as a CSV table in UTF-8: {reason}.{advice}") from error


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
        GalleryError: an original is missing or altered, or the place cannot be written; it says what is left there.
        UsageError: the table or the originals' folder is there already, or would lie in a gallery.
    """
    table = out if out.suffix.lower() == ".csv" else out / "gallery.csv"
    folder = table.with_suffix("")
    address.check_outside(table)
    unfinished = partial(table)
    if there := [path for path in (table, folder, unfinished) if os.path.lexists(path)]:
        raise UsageError(f"{there[0]} is there already; give another name, or remove it first.")
    with gallery.writing() as session:
        gallery.note(session, "export")
    try:
        with _taken_back(folder, unfinished):
            private_folders(folder)
            files = _write_table(gallery, unfinished, folder.name)
            for some in chunks(list(files.items()), BATCH):
                write_private({folder / name: gallery.photo_bytes(photo) for photo, name in some})
            if os.path.lexists(table):
                raise FileExistsError(errno.EEXIST, "somebody else wrote such a table meanwhile")
            os.replace(unfinished, table)
    except OSError as error:
        left = [str(path) for path in (folder, unfinished) if os.path.lexists(path)]
        rest = f"a part is left, of people's photos: remove {' and '.join(left)}" if left else "nothing of it is left"
        raise GalleryError(f"The export to {out} stopped: {error.strerror or error}; {rest}.") from error
    with suppress(OSError):  # it is whole, if not yet sure to outlast a power cut
        sync([table.parent])
    return table


@contextmanager
def _taken_back(folder: Path, file: Path) -> Iterator[None]:
    """Remove what lies there if what is done meanwhile is not done to its end."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            file.unlink(missing_ok=True)
        raise


def _write_table(gallery: "Gallery", table: Path, folder: str) -> dict[int, str]:
    """Write a row for each photo, all of one state of the gallery; the name of each one's file in the folder beside."""
    files = {}
    query = select(Photo).join(Person).order_by(Person.label, Photo.sha256).execution_options(yield_per=PAGE)
    with gallery.reading() as session, open(table, "x", encoding="utf-8", newline="", opener=_private) as file:
        extras = sorted({key for extra in session.scalars(select(Person.extra)) for key in extra})
        writer = csv.writer(file)
        writer.writerow(map(escape, [*RESERVED, *PERSON_FIELDS, *PHOTO_FIELDS, *extras, *MEASURED]))
        for photo in session.scalars(query):
            files[photo.id] = _file_name(photo)
            writer.writerow(map(escape, _row(photo, f"{folder}/{files[photo.id]}", extras)))
    sync([table])
    return files


def _private(path: str, flags: int) -> int:
    """Opens a new file that only its owner may read."""
    return os.open(path, flags, 0o600)


def _row(photo: Photo, file: str, extras: Sequence[str]) -> Iterator[str]:
    """The cells of a photo whose original lies in a file named from the table's folder."""
    yield from (photo.person.label, file)
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


def _file_name(photo: Photo) -> str:
    """A name for an original without anything that a shell or a file system could take amiss."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", photo.person.label).strip("_")[:40]
    return f"{plain or 'person'}-{photo.sha256}{SUFFIXES.get(photo.format, '.img')}"
