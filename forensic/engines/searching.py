"""Exact search through an engine: it brings candidates, and scores are computed here in double precision.

The answer is that of `forensic.recognition.index.Index` over the same rows, to the last bit: scores depend on the two
vectors alone, and ties keep the order of the photos' hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensic.engines.protocol import LONGEST, Collection, Floats, Hashes, Ids
from forensic.errors import GalleryError, StaleIndex
from forensic.exact import checked, inner_products

FEW = 1000
"""So many photos are compared without the engine's help."""
PART = 20_000
"""So many photos are named in one question."""
SPARE = 8


class Served:
    """Templates that an engine holds, searched as an index in memory is.

    Args:
        collection: Where they are.
        ids: Photo numbers to search, in the order of the photos' hashes, shape (n,).
        state: What the collection recorded when it held the gallery's templates and no others.
        part: Whether it holds more than these.
    """

    def __init__(self, collection: Collection, ids: Ids, state: str, *, part: bool = False) -> None:
        self.collection, self.ids, self.state, self.part = collection, ids, state, part

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dimensions(self) -> int:
        """Length of a template."""
        return self.collection.dimension

    def only(self, ids: NDArray[Any]) -> Served:
        """The part with these ids."""
        kept = np.isin(self.ids, ids)
        return self if kept.all() else Served(self.collection, self.ids[kept], self.state, part=True)

    def rows(self, ids: Iterable[int]) -> Floats:
        """The rows with these ids, shape (m, d).

        Raises:
            KeyError: There is none of one of them.
        """
        wanted = [int(number) for number in ids]
        found = self.collection.rows(wanted)
        place = {number: row for row, number in enumerate(found.ids.tolist())}
        return found.vectors[[place[number] for number in wanted]]

    def search(self, queries: NDArray[Any], k: int) -> tuple[Floats, Ids]:
        """The ``k`` nearest templates of each query, best first; as `search`.

        Raises:
            StaleIndex: Somebody changed what the engine holds since.
            ValueError: As `search`.
        """
        answer = search(self.collection, queries, k, self.ids if self.part else None)
        if self.collection.state() != self.state:
            raise StaleIndex("The gallery's templates in its engine were changed during the search: search again.")
        return answer


def search(
    collection: Collection, queries: NDArray[Any], k: int, only: NDArray[Any] | None = None
) -> tuple[Floats, Ids]:
    """The ``k`` nearest templates of each query, best first, ties in the order of the photos' hashes.

    Args:
        collection: The templates.
        queries: Rows, shape (q, d).
        k: How many; fewer come back where fewer are held.
        only: Photo numbers to choose from; None for all.

    Returns:
        Scores (q, m), the inner products, and the photo numbers beside them; m is k, or how many there are.

    Raises:
        ValueError: The queries are not (q, d) or not finite, or ``k`` is below 1.
        GalleryError: The engine cannot answer, or cannot bring so many candidates.
    """
    probes = checked(queries, collection.dimension, k)
    parts = [None] if only is None else [only[at : at + PART].tolist() for at in range(0, len(only), PART)]
    found = [_best([_nearest(collection, probe, k, part) for part in parts], k) for probe in probes]
    shape = (len(probes), min((len(one[0]) for one in found), default=0))
    scores, ids = np.empty(shape, np.float32), np.empty(shape, np.int64)
    for at, (exact, numbers, _) in enumerate(found):
        scores[at], ids[at] = exact[: shape[1]], numbers[: shape[1]]
    return scores, ids


_Scored = tuple[NDArray[np.float64], Ids, Hashes]


def _best(parts: Sequence[_Scored], k: int) -> _Scored:
    """The best of several, by score and then by photo."""
    if not parts:
        return np.empty(0), np.empty(0, np.int64), np.empty(0, "S64")
    exact, ids, photos = (np.concatenate([part[side] for part in parts]) for side in range(3))
    order = np.lexsort((photos, -exact))[:k]
    return exact[order], ids[order], photos[order]


def _nearest(collection: Collection, probe: Floats, k: int, only: list[int] | None) -> _Scored:
    """The best of all rows, or of some.

    The engine orders rows by products that it rounded to float32, in an order of summation of its own. A row that it
    left out scores at most `margin` more than the least of those that it brought: once the k-th lies above that, no
    row that was left out can belong among the k best, not even by a tie.
    """
    if only is not None and len(only) <= FEW:
        return _best([_scored(collection, probe, only)], k)
    # Twice the bound of `Index`, which knows its library: an engine may add up in another order, or round products.
    epsilon = float(np.finfo(np.float32).eps)
    margin = 2 * collection.dimension * epsilon * LONGEST * max(1.0, float(np.linalg.norm(probe)))
    if k >= collection.most:
        raise GalleryError(f"{k} candidates were asked for; the engine brings fewer than {collection.most}.")
    fetch = min(k + SPARE, collection.most)
    while True:
        near = collection.nearest(probe, fetch, only)
        found = _scored(collection, probe, near.tolist())
        exact = np.sort(found[0])
        if len(near) < fetch:
            _check_all(collection, len(near), only)
            return _best([found], k)
        if len(exact) >= k and exact[-k] > exact[0] + margin:
            return _best([found], k)
        if fetch == collection.most:
            raise GalleryError(
                f"More than {fetch} templates score alike, so that the best {k} of them cannot be told apart by this "
                "engine: search with the index in memory (forensic gallery engine --none)."
            )
        fetch = min(4 * fetch, collection.most)


def _check_all(collection: Collection, brought: int, only: list[int] | None) -> None:
    """A short answer must be all that there is."""
    if brought < (held := collection.count() if only is None else len(only)):
        raise GalleryError(
            f"The engine brought {brought} of {held} templates: it is being changed, or does not search exactly. Try "
            "again; if that does not help: forensic gallery engine --sync."
        )


def _scored(collection: Collection, probe: Floats, ids: Sequence[int]) -> _Scored:
    """Exact scores of some rows; those that have gone since are left out."""
    found = collection.rows(ids)
    # Row by row as Index does it, so that the sum is the same to the last bit.
    exact = inner_products([found.vectors], probe)
    return exact, found.ids, found.photos
