"""What a server that holds a gallery's templates has to do: keep rows, say what it holds, and bring near ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Hashes = NDArray[np.bytes_]
"""SHA-256 hashes in hexadecimal, dtype S64: numpy orders them as the database does."""

LONGEST = 4.0
"""No row is longer: unit templates of up to 16 routes side by side. What rounding can hide hangs on it."""


class Listing(NamedTuple):
    """Whose templates there are, in the order of the photos' hashes, which is the order of ties.

    Attributes:
        ids: Photo numbers, shape (n,), all different and above 0.
        photos: SHA-256 of each photo, shape (n,).
        seals: A hash that tells which template each photo has, shape (n,).
    """

    ids: Ids
    photos: Hashes
    seals: Hashes


class Rows(NamedTuple):
    """Rows that a collection holds.

    Attributes:
        ids: Photo numbers, shape (n,).
        photos: SHA-256 of each photo, shape (n,).
        vectors: Templates, shape (n, d), as they were put to the last bit.
    """

    ids: Ids
    photos: Hashes
    vectors: Floats


class Collection(Protocol):
    """The templates of one layout, that is of one route or of several side by side, of one gallery.

    Every call raises `GalleryError` where the engine cannot be reached or refuses.

    Attributes:
        dimension: Length of a row.
        most: How many candidates one question may ask for.
    """

    dimension: int
    most: int

    def state(self) -> str:
        """What `settle` recorded last; empty where there is nothing, or where rows are being changed."""
        ...

    def settle(self, state: str) -> None:
        """Record a state, durably, and all that was put and removed before."""
        ...

    def held(self) -> tuple[Ids, Hashes]:
        """Photo numbers and seals of all rows, in any order."""
        ...

    def put(self, listed: Listing, vectors: Floats) -> None:
        """Store rows in place of those of the same photos. One call's rows fit into a message: some thousand."""
        ...

    def remove(self, ids: Sequence[int]) -> None:
        """Remove rows by photo number; those that are not there are passed over."""
        ...

    def nearest(self, query: Floats, k: int, only: Sequence[int] | None) -> Ids:
        """The ``k`` rows of the largest inner products in float32, exactly, in any order; fewer where fewer are held.

        Args:
            query: Shape (d,).
            k: At most `most`.
            only: Photo numbers to choose from; None for all.
        """
        ...

    def rows(self, ids: Sequence[int]) -> Rows:
        """Those of these rows that are held, in any order."""
        ...

    def count(self) -> int:
        """How many rows are held."""
        ...

    def purge(self) -> None:
        """Let the engine's files lose what was removed, as far as it can be asked to."""
        ...

    def destroy(self) -> None:
        """Remove the collection."""
        ...


class Engine(Protocol):
    """A server, or a file, with the collections of one gallery.

    Attributes:
        name: Its URL, never with a password.
    """

    name: str

    def layouts(self) -> list[str]:
        """The layouts of which the gallery has a collection here, sorted."""
        ...

    def collection(self, layout: str, dimension: int | None = None) -> Collection:
        """The collection of a layout.

        Args:
            layout: Up to 32 letters and digits.
            dimension: Of a row: the collection is made if it is not there; None for one that is.

        Raises:
            GalleryError: There is none, or what is there was made by another program or for another dimension.
        """
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...
