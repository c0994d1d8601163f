"""People and photos as a CSV table with the photos beside it: what ``enroll`` reads and ``export`` writes.

The table's columns are ``person``, ``file`` (relative to the table) and any metadata. A cell that a spreadsheet would
run as a formula is written with an apostrophe before it, and read without: ``=1+1`` becomes ``'=1+1``.
"""

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from forensic.errors import DataError, GalleryError, UsageError
from forensic.gallery.records import PERSON_FIELDS, PHOTO_FIELDS, RESERVED

if TYPE_CHECKING:
    from forensic.gallery.store import Gallery

FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "BMP": ".bmp", "WEBP": ".webp"}


class Row(NamedTuple):
    """One row of an enrollment table.

    Args:
        line: its line in the file, for messages.
        file: the photo's path.
        metadata: every other column's text.
    """

    line: int
    person: str
    file: Path
    metadata: dict[str, str]


def escape(cell: str) -> str:
    """Text that no spreadsheet runs; ``unescape`` gives the cell back.

    >>> escape("=1+1"), escape("O'Neil"), unescape(escape("'=1"))
    ("'=1+1", "O'Neil", "'=1")
    """
    return "'" + cell if FORMULA.match(cell) else cell


def unescape(cell: str) -> str:
    """The cell that ``escape`` was given."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def read_table(table: Path) -> Iterator[Row]:
    """The rows of an enrollment table, in UTF-8 with or without a byte-order mark.

    Raises:
        DataError: it cannot be read, lacks ``person`` or ``file``, names a column twice, or has a row of another
            length than its header.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = [unescape(cell.strip()) for cell in next(rows, [])]
            names = [name.lower() if name.lower() in RESERVED else name for name in header]
            if not set(RESERVED) <= set(names) or len(set(names)) < len(names):
                raise DataError(f"{table}: the columns are {header}; expected 'person', 'file' and others, each once.")
            for cells in rows:
                if not cells:
                    continue
                if len(cells) != len(names):
                    raise DataError(f"{table}, line {rows.line_num}: {len(cells)} cells, expected {len(names)}.")
                values = dict(zip(names, map(unescape, cells), strict=True))
                person, photo = (values.pop(name) for name in RESERVED)
                yield Row(rows.line_num, person, table.parent / photo, values)
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a CSV table in UTF-8: {error}.") from error


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
        UsageError: the table or the originals' folder is there already.
    """
    table = out if out.suffix.lower() == ".csv" else out / "gallery.csv"
    folder = table.with_suffix("")
    if table.exists() or folder.exists():
        raise UsageError(f"{table} or {folder} is there already; give another name, or remove it first.")
    photos = sorted(gallery.photos(), key=lambda photo: (photo.person.label, photo.sha256))
    extras = sorted({key for photo in photos for key in photo.person.extra})
    try:
        folder.mkdir(mode=0o700, parents=True)
        with _private(table).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(map(escape, [*RESERVED, *PERSON_FIELDS, *PHOTO_FIELDS, *extras]))
            for photo in photos:
                original = folder / _safe_name(photo.person.label, photo.sha256, photo.format)
                _private(original).write_bytes(gallery.photo_bytes(photo))
                values = [getattr(photo.person, key) for key in PERSON_FIELDS]
                values += [getattr(photo, key) for key in PHOTO_FIELDS]
                values += [photo.person.extra.get(key) for key in extras]
                cells = ["" if value is None else str(value) for value in values]
                name = original.relative_to(table.parent).as_posix()
                writer.writerow(map(escape, [photo.person.label, name, *cells]))
    except OSError as error:
        raise GalleryError(f"The export to {out} stopped: {error}.") from error
    return table


def _private(path: Path) -> Path:
    """A new empty file that only its owner may read."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path


def _safe_name(label: str, sha256: str, format: str) -> str:
    """A file name without anything that a shell or a file system could take amiss."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", label).strip("_")[:40]
    return f"{plain or 'person'}-{sha256}{SUFFIXES.get(format, '.img')}"
