"""What lies in an SQLite file beside its rows: a reader of the documented format (https://sqlite.org/fileformat2.html).

A page of a B-tree holds a header, an array of pointers to its cells, and the cells; a cell that is too long goes on in
overflow pages. All other bytes belong to nobody: the gap between pointers and cells, freed blocks, the end of the last
overflow page, pages on the free list. SQLite never reads them, so that they may still tell of rows that are gone.

They are not all zero even in a file that VACUUM has just written, since SQLite leaves numbers of its own there: offsets
of cells behind the array of pointers, the first four bytes of what was a freed block, and in inner pages of tables,
numbers of pages and rows, which are all that these hold. The rows of a gallery are longer: what counts as their remains
is a run of more bytes without a zero. The pages of the schema are passed over. They hold definitions of tables alone,
and VACUUM itself leaves copies of these there.
"""

from __future__ import annotations

import json
import mmap
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

MAGIC = b"SQLite format 3\0"
FILE_HEADER = 100
SCHEMA = 1  # the root page of ``sqlite_schema``
LOCK_BYTE = 0x40000000  # the page that has this byte is used for locks alone
INTERIOR_INDEX, INTERIOR_TABLE, LEAF_INDEX, LEAF_TABLE = 2, 5, 10, 13
FREE_BLOCK = 4  # bytes of a freed block that point to the next one and tell its size
NUMBERS = 8  # bytes in a row that a page's number and a row's can come to: 2 ** 32 pages, 2 ** 28 rows


class Malformed(ValueError):
    """The file is none that this reader understands."""


class Remains(NamedTuple):
    """Bytes of a page that belong to no row and are neither zero nor SQLite's own numbers.

    Attributes:
        page: The page's number, from 1.
        bytes: How many.
    """

    page: int
    bytes: int


RUNS = re.compile(rb"[^\0]+")
Spans = list[tuple[int, int]]
"""Parts of a page that are in use: where each begins, and where the next byte after it is."""


def remains(path: Path, roots: Iterable[int]) -> Iterator[Remains]:
    """The pages of an SQLite file with bytes that may be of rows that are gone.

    Args:
        path: The file, without a write-ahead log or journal beside it; nobody may write it meanwhile.
        roots: The root pages of all tables and indexes, as ``sqlite_schema`` has them.

    Raises:
        Malformed: It is no plain SQLite file, or its pages do not hang together.
    """
    with path.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise Malformed("it is empty") from None
        with data:
            yield from _Reader(data).remains(roots)


class _Reader:
    """The file's pages; each may be reached once."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        if data[: len(MAGIC)] != MAGIC:
            raise Malformed("it does not begin as a plain SQLite file does")
        self.size = _number(data, 16, 2) if _number(data, 16, 2) > 1 else 65536
        self.usable = self.size - data[20]
        self.count = len(data) // self.size
        if self.usable < 480 or len(data) % self.size or _number(data, 28, 4) != self.count:
            raise Malformed(f"its {len(data)} bytes are not the pages that its header tells of")
        if _number(data, 52, 4):
            raise Malformed("it has pages of pointers (auto_vacuum), which a gallery's database never has")
        self.waiting = bytearray(b"\1" * (self.count + 1))

    def remains(self, roots: Iterable[int]) -> Iterator[Remains]:
        for _ in self._tree(SCHEMA):
            pass  # its pages are in use, and not judged
        for root in roots:
            yield from self._tree(root)
        yield from self._free_list()
        for number in range(1, self.count + 1):
            if self.waiting[number] and (LOCK_BYTE // self.size) + 1 != number:
                yield from self._beside(number, self._page(number), [])

    def _tree(self, root: int) -> Iterator[Remains]:
        below = [root]
        while below:
            number = below.pop()
            page = self._page(number)
            spans, children, chains = self._tree_page(page, FILE_HEADER if number == SCHEMA else 0)
            below += children
            inner = page[FILE_HEADER if number == SCHEMA else 0] == INTERIOR_TABLE
            yield from self._beside(number, page, spans, NUMBERS if inner else FREE_BLOCK)
            for first, length in chains:
                yield from self._chain(first, length)

    def _page(self, number: int) -> bytes:
        if not 0 < number <= self.count or not self.waiting[number]:
            raise Malformed(f"page {number} is not there, or is used twice")
        self.waiting[number] = 0
        return self.data[(number - 1) * self.size : number * self.size]

    def _beside(self, number: int, page: bytes, spans: Spans, most: int = 0) -> Iterator[Remains]:
        """Runs of more than ``most`` bytes without a zero between the parts in use."""
        count, at = 0, 0
        for start, stop in (*sorted(spans), (self.size, self.size)):
            if start < at:
                raise Malformed(f"parts of page {number} overlap")
            count += sum(len(run) for run in RUNS.findall(page, at, start) if len(run) > most)
            at = stop
        if count:
            yield Remains(number, count)

    def _tree_page(self, page: bytes, header: int) -> tuple[Spans, list[int], Spans]:
        """The parts of a B-tree's page in use, the pages below it, and overflow pages: the first, and bytes in them."""
        kind = page[header]
        if kind not in (INTERIOR_INDEX, INTERIOR_TABLE, LEAF_INDEX, LEAF_TABLE):
            raise Malformed(f"a page of a B-tree has the type {kind}")
        interior = kind in (INTERIOR_INDEX, INTERIOR_TABLE)
        cells, pointers = _number(page, header + 3, 2), header + (12 if interior else 8)
        spans, children, chains = self._free_blocks(page, header), list[int](), Spans()
        if interior:
            children.append(_number(page, header + 8, 4))
        for cell in range(cells):
            start = _number(page, pointers + 2 * cell, 2)
            at, payload = start, 0
            if interior:
                children.append(_number(page, at, 4))
                at += 4
            if kind != INTERIOR_TABLE:
                payload, at = _varint(page, at)
            if kind in (INTERIOR_TABLE, LEAF_TABLE):
                _, at = _varint(page, at)  # the row's number
            local = self._local(payload, kind)
            at += local
            if local < payload:
                chains.append((_number(page, at, 4), payload - local))
                at += 4
            spans.append((start, at))
        end = pointers + 2 * cells
        content = min((start for start, _ in spans), default=self.size)
        while end + 2 <= content and end + 2 < _number(page, end, 2) < self.usable:  # of cells that were
            end += 2
        return [(0, end), *spans], children, chains

    def _local(self, payload: int, kind: int) -> int:
        """How many bytes of a cell's payload lie in its page; the rest is in overflow pages."""
        most = self.usable - 35 if kind == LEAF_TABLE else (self.usable - 12) * 64 // 255 - 23
        if payload <= most:
            return payload
        least = (self.usable - 12) * 32 // 255 - 23
        fitting = least + (payload - least) % (self.usable - 4)
        return fitting if fitting <= most else least

    def _free_blocks(self, page: bytes, header: int) -> Spans:
        """The first bytes of the freed blocks, by which SQLite finds them again."""
        spans, at = Spans(), _number(page, header + 1, 2)
        while at:
            spans.append((at, at + FREE_BLOCK))
            following = _number(page, at, 2)
            if following and following < at + FREE_BLOCK:
                raise Malformed("freed blocks are not in order")
            at = following
        return spans

    def _chain(self, number: int, length: int) -> Iterator[Remains]:
        """Overflow pages: four bytes that name the next one, then content."""
        while length > 0:
            page, used = self._page(number), min(length, self.usable - 4)
            yield from self._beside(number, page, [(0, 4 + used)])
            number, length = _number(page, 0, 4), length - used

    def _free_list(self) -> Iterator[Remains]:
        """Pages that wait to be used again: trunks with the numbers of others, which hold nothing of their own."""
        number = _number(self.data, 32, 4)
        while number:
            page = self._page(number)
            leaves = _number(page, 4, 4)
            yield from self._beside(number, page, [(0, 8 + 4 * leaves)])
            number = _number(page, 0, 4)


def _number(data: bytes | mmap.mmap, at: int, length: int) -> int:
    if at + length > len(data):
        raise Malformed("a pointer leads out of its page")
    return int.from_bytes(data[at : at + length], "big")


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """A number in one to nine bytes, seven bits each but for the ninth; and where the next byte is."""
    value = 0
    for place in range(at, min(at + 8, len(page))):
        value = value << 7 | page[place] & 0x7F
        if page[place] < 0x80:
            return value, place + 1
    if at + 9 > len(page):
        raise Malformed("a number leads out of its page")
    return value << 8 | page[at + 8], at + 9


if __name__ == "__main__":  # in a process of its own, see `apart`
    try:
        print(json.dumps(list(remains(Path(sys.argv[1]), map(int, sys.argv[2:])))))
    except Malformed as error:
        print(json.dumps(str(error)))
