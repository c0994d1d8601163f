"""Photos of a query that are read when they are asked for: the rows of a large gallery fit no memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

from sqlalchemy import Select

from forensic.errors import NotFound
from forensic.gallery import people
from forensic.gallery.models import Photo
from forensic.gallery.templates import chunks

if TYPE_CHECKING:
    from forensic.gallery.storage import Storage

PAGE = 1000
"""Rows that are in memory at a time."""


class Photos(Sequence[Photo]):
    """The photos that a query found, in its order, kept by number alone: 8 bytes each.

    Rows are as they are when they are read; an iteration and a slice pass over photos that were expunged meanwhile.

    Args:
        gallery: Where they are.
        query: Selects the photos' numbers.
    """

    def __init__(self, gallery: Storage, query: Select[int]) -> None:
        self._gallery = gallery
        with gallery.reading() as session:
            self.numbers = array("q", session.scalars(query.execution_options(yield_per=PAGE)))

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Photo]:
        for some in chunks(self.numbers, PAGE):
            yield from self._read(some)

    @overload
    def __getitem__(self, at: int) -> Photo: ...
    @overload
    def __getitem__(self, at: slice) -> list[Photo]: ...
    def __getitem__(self, at: int | slice) -> Photo | list[Photo]:
        if isinstance(at, slice):
            return self._read(self.numbers[at])
        found = self._read([self.numbers[at]])
        if not found:
            raise NotFound(f"Photo {self.numbers[at]} was expunged meanwhile.")
        return found[0]

    def _read(self, numbers: Sequence[int]) -> list[Photo]:
        with self._gallery.reading() as session:
            found = people.photos(session, numbers)
        return [found[number] for number in numbers if number in found]
