"""Bringing a collection to the state of a gallery: only what differs is sent, and a cut-off attempt is gone on with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from forensic.engines.protocol import LONGEST, Collection, Engine, Floats, Ids, Listing
from forensic.errors import GalleryError

BATCH = 1000


class Changes(NamedTuple):
    """What a synchronizing did.

    Attributes:
        put: Rows that were new or changed.
        removed: Rows of photos that have gone.
    """

    put: int
    removed: int


def fingerprint(listed: Listing) -> str:
    """The state of a collection that holds exactly these rows: SHA-256 over numbers, photos and seals in their order.

    It tells what is there, not when, so that two galleries that share a past cannot take each other's rows for theirs.
    """
    total = hashlib.sha256(f"templates 1 {len(listed.ids)}\n".encode())
    for column, kind in ((listed.ids, "<i8"), (listed.photos, "S64"), (listed.seals, "S64")):
        total.update(np.ascontiguousarray(column, dtype=kind).tobytes())
    return total.hexdigest()


def synchronize(
    collection: Collection,
    listed: Listing,
    vectors_of: Callable[[Sequence[int]], Floats],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Changes:
    """Make a collection hold the listed templates and no others.

    The state is empty from the first change to the end, so that nobody takes what a killed attempt left for a whole
    gallery; the next attempt finds by the seals what is there already. Nobody else may change the collection meanwhile.

    Args:
        collection: Where the templates are to be.
        listed: What the gallery has.
        vectors_of: Gives the templates of some photo numbers, shape (len(numbers), d), unit vectors or several of them
            side by side.
        progress: Called with how many of the rows to put are there, of how many.

    Raises:
        GalleryError: The engine cannot be reached, refuses, or does not hold what was put.
        ValueError: A template is not of the collection's dimension, not finite, or longer than `LONGEST`.
    """
    state = fingerprint(listed)
    if collection.state() == state and collection.count() == len(listed.ids):
        return Changes(0, 0)
    collection.settle("")
    ids, seals = collection.held()
    gone = ids[~np.isin(ids, listed.ids)]
    for at in range(0, len(gone), BATCH):
        collection.remove(gone[at : at + BATCH].tolist())
    fresh = _differing(listed, ids, seals)
    for at in range(0, len(fresh), BATCH):
        places = fresh[at : at + BATCH]
        some = Listing(listed.ids[places], listed.photos[places], listed.seals[places])
        collection.put(some, _checked(vectors_of(some.ids.tolist()), (len(some.ids), collection.dimension)))
        progress(min(at + BATCH, len(fresh)), len(fresh))
    if (count := collection.count()) != len(listed.ids):
        raise GalleryError(
            f"The engine holds {count} templates after {len(listed.ids)} were put: somebody else changes it. Let them "
            "end, then try again."
        )
    if len(gone):
        collection.purge()
    collection.settle(state)
    return Changes(len(fresh), len(gone))


def forget(engine: Engine, ids: Sequence[int]) -> int:
    """Remove photos from every collection of a gallery; how many rows that were.

    Raises:
        GalleryError: The engine cannot be reached, or rows are still there.
    """
    removed = 0
    for layout in engine.layouts():
        collection = engine.collection(layout)
        if there := held_of(collection, ids):
            collection.settle("")  # it is not what anybody recorded any more
            for at in range(0, len(ids), BATCH):
                collection.remove(list(ids[at : at + BATCH]))
            if left := held_of(collection, ids):
                raise GalleryError(f"The engine {engine.name} keeps {left} templates that it was told to remove.")
            removed += there
        collection.purge()  # also after a kill between the removal and this
    return removed


def held_of(collection: Collection, ids: Sequence[int]) -> int:
    """How many of these photos a collection holds."""
    return sum(len(collection.rows(ids[at : at + BATCH]).ids) for at in range(0, len(ids), BATCH))


def _differing(listed: Listing, ids: Ids, seals: np.ndarray) -> Ids:
    """Places in the listing of the photos that are not held, or are held with another template."""
    order = np.argsort(ids)
    ids, seals = ids[order], seals[order]
    at = np.searchsorted(ids, listed.ids)
    known = np.zeros(len(listed.ids), bool)
    inside = at < len(ids)
    known[inside] = (ids[at[inside]] == listed.ids[inside]) & (seals[at[inside]] == listed.seals[inside])
    return np.flatnonzero(~known)


def _checked(vectors: Floats, shape: tuple[int, int]) -> Floats:
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.shape != shape:
        raise ValueError(f"Templates of shape {rows.shape} were given; expected {shape}.")
    if not np.isfinite(rows).all():
        raise ValueError("A template holds a value that is not finite; describe that face again.")
    if len(rows) and (length := float(np.linalg.norm(rows, axis=1).max())) > LONGEST:
        raise ValueError(f"A template has the length {length:.6g}; expected at most {LONGEST:g}.")
    return rows
