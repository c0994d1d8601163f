"""What is to be enrolled: files, folders, tables, and the records of ANSI/NIST-ITL files, as a list of photos."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from forensic import images, urls
from forensic.errors import DataError, ForensicError, ImageError, UsageError
from forensic.gallery import exchange, nist
from forensic.text import printable

READERS = 32
"""Files of a URL whose beginnings are looked at together."""


class Item(NamedTuple):
    """One photo to enroll: a file, or a record in an ANSI/NIST-ITL file.

    Attributes:
        person: The label.
        path: The file; with ``data`` or ``url``, only its name counts.
        metadata: Columns of the table.
        record: Which part of the file it is.
        data: The file's bytes, where they came by another way than the disk.
        url: Where the file lies, if it is not on this machine's disk; see `forensic.urls`.
        line: Of the table that names it, from 1; None without a table.
        link: Whether it is a link to a folder, which is not followed.
    """

    person: str
    path: Path
    metadata: Mapping[str, str]
    record: nist.Record | None = None
    data: bytes | None = None
    url: str = ""
    line: int | None = None
    link: bool = False

    @property
    def name(self) -> str:
        """What messages call it: of two rows with one file too, it tells which is meant."""
        return self.file + self._place + (f" (line {self.line})" if self.line else "")

    @property
    def file(self) -> str:
        """What messages call the file that it is in."""
        return printable(self.url) or images.display_name(self.path)

    @property
    def file_name(self) -> str:
        """What the gallery keeps of where it came from."""
        return self.path.name + self._place

    @property
    def _place(self) -> str:
        return f", record {self.record.number}" if self.record else ""


def items_of(paths: Iterable[str | os.PathLike[str]], columns: Mapping[str, str] | None = None) -> list[Item]:
    """Files, and the files of folders; each names its person by its stem.

    Args:
        paths: Photos, ANSI/NIST-ITL files, folders, and as texts their URLs.
        columns: Column -> field of an ANSI/NIST-ITL file that fills it, such as ``{"person": "2.054"}``.

    Raises:
        UsageError: A path does not exist, there is no file at all, or a field cannot be one.
    """
    fields = nist.parse_columns(columns or {})
    items: list[Item] = []
    for path in paths:
        if isinstance(path, str) and urls.is_url(path):
            found = [Item(urls.path_of(url).stem, urls.path_of(url), {}, url=url) for url in urls.find(path)]
        else:
            if not os.path.lexists(path):
                raise UsageError(f"{images.display_name(path)} does not exist. Give files or folders of photos.")
            links: list[Path] = []
            found = [Item(file.stem, file, {}) for file in images.find_files(path, links.append)]
            found += [Item(link.name, link, {}, link=True) for link in links]
        items += _all(found, fields)
    if not items:
        raise UsageError("There is no file to enroll. Give files, folders of photos, or --csv FILE.")
    return items


def items_of_csv(
    path: str | os.PathLike[str], columns: Mapping[str, str] | None = None, stores: Sequence[str] = ()
) -> list[Item]:
    """The rows of a table with the columns ``person,file`` and any metadata; files are relative to the table.

    Args:
        path: The table.
        columns: As for `items_of`; what the table says of an ANSI/NIST-ITL file overrules what the file says.
        stores: URLs of folders in which files may lie. A table may be a stranger's, and its URLs are otherwise not
            followed.

    Raises:
        DataError: The table cannot be read, lacks a column, or has no rows; or it names a URL outside of ``stores``.
        UsageError: A field cannot be one, or a URL cannot.
    """
    # The table names the people.
    fields = {key: name for key, name in nist.parse_columns(columns or {}).items() if key != nist.PERSON}
    rows: list[Item] = []
    for row in exchange.read_table(Path(path)):
        if not urls.is_url(row.cell):
            rows.append(Item(row.person, row.file, row.metadata, line=row.line))
            continue
        url = urls.check(row.cell)
        if not urls.is_within(url, stores):
            raise DataError(
                f"{images.display_name(path)}, line {row.line}: {printable(url)} is in none of the folders that may be "
                "read for a table. Name its folder with --store URL, if you trust the table."
            )
        rows.append(Item(row.person, urls.path_of(url), row.metadata, url=url, line=row.line))
    items = _all(rows, fields)
    if not items:
        raise DataError(f"{images.display_name(path)}: the table has no rows.")
    return items


def _all(files: Sequence[Item], fields: Mapping[str, str]) -> list[Item]:
    """The items of files; the beginnings of those far away are looked at together."""
    if not any(item.url for item in files):
        return [item for file in files for item in _items(file, fields)]
    with ThreadPoolExecutor(READERS) as pool:
        return [item for items in pool.map(lambda file: _items(file, fields), files) for item in items]


def _items(item: Item, fields: Mapping[str, str]) -> list[Item]:
    """The item itself, or one for each face record of an ANSI/NIST-ITL file."""
    if not item.url:
        if item.link or not nist.is_nist(item.path):
            return [item]
        content = None
    else:
        try:
            if not nist.begins(urls.read_bytes(item.url, stop=nist.HEAD)):
                return [item]
            content = urls.read_bytes(item.url)
        except (ImageError, UsageError):
            return [item]  # reading it tells why
    try:
        records = nist.read(item.path, fields, content)
    except (DataError, ImageError) as error:
        records = [nist.Record(1, problem=reason_of(error, item))]
    return [
        item._replace(person=record.person or item.person, metadata={**record.metadata, **item.metadata}, record=record)
        for record in records
    ]


def reason_of(error: ForensicError, item: Item) -> str:
    """The error in words that do not name the item again; of a record, with the format that it claims to have."""
    reason = str(error).removeprefix(f"{item.name}: ").removeprefix(f"{item.file}: ")
    reason = reason.removeprefix(f"{images.display_name(item.path)}: ")
    if isinstance(error, ImageError) and item.record and item.record.compression:
        reason += f" The record says {item.record.compression[:20]!r} of its compression (10.011)."
    return reason


def shared_names(items: Sequence[Item]) -> list[str]:
    """Warnings. Stems name people: files of one stem in several folders may be several people by mistake."""
    if any(item.metadata and not item.record for item in items):  # a table, which names people on purpose
        return []
    folders = {(item.person, item.path.parent) for item in items if item.person == item.path.stem}
    counts = Counter(person for person, _ in folders)
    return [
        f"{count} folders have a file named {person!r}: its photos were enrolled as one person. Use --csv if not so."
        for person, count in counts.items()
        if count > 1
    ]
