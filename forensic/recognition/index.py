"""Exact nearest-neighbour search over templates; the only file that imports faiss.

An index is a cache. The gallery's database is the truth, so a cache file that is missing, damaged or of
another state is not an error: ``Index.load`` gives ``None`` and the caller builds the index again.
"""

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Self, TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Person = TypeVar("Person", bound=Hashable)

FORMAT = "forensic-index-1"


class Best(NamedTuple, Generic[Person]):
    """A person found by a search, by the best of their templates."""

    person: Person
    id: int
    score: float


class Index:
    """Templates of one template space, searched exactly by inner product.

    Scores are computed anew in double precision for the templates that faiss brings, one row at a time. So
    a score depends on nothing but its two vectors: neither on the other probes of a batch nor on a row's
    place in the gallery, and equal templates have equal scores. Ties keep the order of the rows.

    Args:
        vectors: rows, shape (n, d): unit templates, or those of several routes side by side; kept, not copied, where
            they are contiguous float32 already.
        ids: what stands for each row in the answers, shape (n,), all different.

    Raises:
        ValueError: if the shapes do not fit, an id appears twice or a value is not finite.
    """

    def __init__(self, vectors: NDArray[Any], ids: NDArray[Any]) -> None:
        self.vectors: Floats = np.ascontiguousarray(vectors, dtype=np.float32)
        self.ids: Ids = np.ascontiguousarray(ids, dtype=np.int64)
        if self.vectors.ndim != 2 or self.ids.shape != self.vectors.shape[:1]:
            raise ValueError(
                f"Vectors of shape {self.vectors.shape} and ids of shape {self.ids.shape} do not make an "
                "index: give (n, d) vectors and n ids."
            )
        if len(np.unique(self.ids)) != len(self.ids):
            raise ValueError("An id appears twice: every row of an index needs an id of its own.")
        if not np.isfinite(self.vectors).all():
            raise ValueError("A template holds a value that is not finite; describe that face again.")
        self._flat = faiss.IndexFlatIP(self.vectors.shape[1])
        self._flat.add(self.vectors)
        self._longest = float(np.linalg.norm(self.vectors, axis=1).max(initial=1.0))

    @classmethod
    def build(cls, vectors: NDArray[Any], ids: NDArray[Any]) -> Self:
        """An index of ``vectors`` (n, d) under ``ids`` (n,); see the class."""
        return cls(vectors, ids)

    @classmethod
    def beside(cls, indexes: "Sequence[Index]") -> "Index":
        """One index of several routes' templates of the same photos, side by side.

        Raises:
            ValueError: if the indexes do not hold the same photos in the same order.
        """
        first, *others = indexes
        if not others:
            return first
        if any(not np.array_equal(first.ids, other.ids) for other in others):
            raise ValueError("The indexes hold different photos, or in another order.")
        return cls(np.hstack([index.vectors for index in indexes]), first.ids)

    def only(self, ids: NDArray[Any]) -> "Index":
        """The part of the index with these ids."""
        kept = np.isin(self.ids, ids)
        return self if kept.all() else type(self)(self.vectors[kept], self.ids[kept])

    def vector(self, id_: int) -> Floats:
        """The row with this id.

        Raises:
            KeyError: if there is none.
        """
        found = np.flatnonzero(self.ids == id_)
        if not len(found):
            raise KeyError(id_)
        row: Floats = self.vectors[found[0]]
        return row

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dimensions(self) -> int:
        """Length of a template."""
        return int(self.vectors.shape[1])

    def search(self, queries: NDArray[Any], k: int) -> tuple[Floats, Ids]:
        """The ``k`` nearest templates of each query, best first.

        Args:
            queries: rows, shape (q, d).
            k: how many; fewer come back where the index holds fewer.

        Returns:
            Scores (q, min(k, n)), the inner products, and the ids beside them.

        Raises:
            ValueError: if the queries are not (q, d) or ``k`` is below 1.
        """
        probes: Floats = np.ascontiguousarray(queries, dtype=np.float32)
        if probes.ndim != 2 or probes.shape[1] != self.dimensions:
            raise ValueError(f"Queries of shape {probes.shape} cannot search templates of {self.dimensions}.")
        if k < 1:
            raise ValueError(f"k is {k}: a search needs at least one candidate.")
        k = min(k, len(self))
        scores, ids = np.empty((len(probes), k), np.float32), np.empty((len(probes), k), np.int64)
        for at, probe in enumerate(probes):  # one by one: a batch would go through BLAS and round differently
            scores[at], rows = self._nearest(probe, k)
            ids[at] = self.ids[rows]
        return scores, ids

    def _nearest(self, probe: Floats, k: int) -> tuple[NDArray[np.float64], Ids]:
        if k == 0:
            return np.empty(0), np.empty(0, np.int64)
        # Twice the rounding error of a float32 inner product: a row that faiss left out by more than this
        # margin below the k-th score cannot belong among the k best.
        margin = (
            self.dimensions * float(np.finfo(np.float32).eps) * self._longest * max(1.0, float(np.linalg.norm(probe)))
        )
        fetch = min(k + 8, len(self))
        while True:
            rough, rows = self._flat.search(probe[None], fetch)
            if fetch == len(self) or rough[0, -1] < rough[0, k - 1] - margin:
                break
            fetch = min(4 * fetch, len(self))
        found = np.sort(rows[0])
        exact = (self.vectors[found].astype(np.float64) * probe.astype(np.float64)).sum(axis=1)
        order = np.argsort(-exact, kind="stable")[:k]  # stable: ties by row
        return exact[order], found[order]

    def to_bytes(self, *, space: str, revision: str) -> bytes:
        """The index as a cache file: raw numbers behind a text header (safetensors), nothing that can run.

        Args:
            space: the template space of the vectors.
            revision: the state of the gallery that they were read from.
        """
        header = {
            "format": FORMAT,
            "space": space,
            "revision": revision,
            "shape": f"{len(self)}x{self.dimensions}",
            "sha256": _digest(self.vectors, self.ids),
        }
        return save({"vectors": self.vectors, "ids": self.ids}, metadata=header)

    @classmethod
    def load(cls, data: bytes, *, space: str, revision: str) -> Self | None:
        """The index of a cache file's bytes, or ``None`` where it must be built again.

        Args:
            data: what ``to_bytes`` gave.
            space: the template space that is about to be searched.
            revision: the present state of the gallery.

        Returns:
            ``None`` if the bytes are cut short, altered, or of another space or revision.
        """
        try:
            tensors = load(data)  # which checks the layout, so that the header can be read
            length = int.from_bytes(data[:8], "little")
            header = json.loads(data[8 : 8 + length]).get("__metadata__", {})
            if [header.get(key) for key in ("format", "space", "revision")] != [FORMAT, space, revision]:
                return None
            vectors, ids = tensors["vectors"], tensors["ids"]
            if vectors.dtype != np.float32 or ids.dtype != np.int64:
                return None
            return cls(vectors, ids) if header.get("sha256") == _digest(vectors, ids) else None
        except (SafetensorError, ValueError, KeyError):
            return None


def best_per_person(
    index: Index, queries: NDArray[Any], people: Mapping[int, Person], k: int
) -> list[list[Best[Person]]]:
    """The ``k`` nearest people of each query: each counts once, by the best of their templates.

    Exact: the search grows until ``k`` different people are among its answers or the index is exhausted.

    Args:
        index: templates of the gallery.
        queries: unit rows, shape (q, d).
        people: the person of each id of the index.
        k: how many people; fewer come back where the gallery holds fewer.

    Returns:
        For each query its people, best first; people with equal scores in the order of the rows.

    Raises:
        ValueError: as ``Index.search``.
        KeyError: if an id of the index has no person.
    """
    return [_best_people(index, query[None], people, k) for query in np.asarray(queries)]


def _best_people(index: Index, query: NDArray[Any], people: Mapping[int, Person], k: int) -> list[Best[Person]]:
    fetch = k
    while True:
        scores, ids = index.search(query, fetch)
        best: dict[Person, Best[Person]] = {}
        for id_, score in zip(ids[0].tolist(), scores[0].tolist(), strict=True):
            best.setdefault(people[id_], Best(people[id_], id_, score))
        if len(best) >= k or len(ids[0]) == len(index):
            return list(best.values())[:k]
        fetch *= 4


def _digest(vectors: Floats, ids: Ids) -> str:
    digest = hashlib.sha256(repr((vectors.shape, ids.shape)).encode())
    digest.update(np.ascontiguousarray(vectors).data)
    digest.update(np.ascontiguousarray(ids).data)
    return digest.hexdigest()
