"""Exact nearest-neighbour search over templates.

Rows lie in segments, which threads scan side by side, either as they are (``float32``) or in one byte a number
(``int8``), which is a quarter of the memory to read. Either way the answer is the same: a rough score comes with a
bound on its error, and whatever may belong among the best k by that bound is scored anew in double precision.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, cached_property, partial
from itertools import pairwise
from typing import Any, Generic, Literal, NamedTuple, Protocol, Self, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from forensic.exact import checked, inner_products
from forensic.recognition.bars import Bar, Kept, Passed, kth
from forensic.recognition.segments import Coder, Codes, Floats, Ids, Segment, Templates, rounding, summed

Person = TypeVar("Person", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")
Scan = Literal["float32", "int8"]
Kind = Literal["hnsw", "ivf-pq"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Indexes that look at a part of the rows; see `forensic.recognition.approximate`."""

ROWS = 1 << 14
"""Rows of a segment where the caller has no segments of its own: 8 MB of codes of 512 numbers."""
BATCH = 8
"""Queries from which on products of matrices are faster than scans."""
BLOCK = 1 << 12
"""Rows whose scores with a batch are computed together; those of 64 queries fit into a core's cache."""
FIRST = 1 << 10
"""Rows that a batch looks at before all others, with one core: they tell how good the others have to be."""
_LIMITING = threading.Lock()


class Best(NamedTuple, Generic[Person]):
    """A person found by a search, by the best of their templates."""

    person: Person
    id: int
    score: float


class Searchable(Protocol):
    """Templates that can be searched, in memory or elsewhere."""

    def __len__(self) -> int: ...

    def search(self, queries: NDArray[Any], k: int) -> tuple[Floats, Ids]:
        """The ``k`` nearest of each query, as `Index.search`; fewer only where no more can be had."""
        ...


class Index:
    """Templates, searched exactly by inner product.

    Scores are computed in double precision for the rows that a scan brings. So a score depends on nothing but its two
    vectors: neither on the other probes of a batch nor on a row's place in the gallery, and equal templates have equal
    scores. Ties are ordered by the rows' keys.

    Args:
        segments: The rows.
        scan: What is read of all rows: the templates themselves, or their codes.
    """

    def __init__(self, segments: Sequence[Segment], scan: Scan = "float32") -> None:
        self.segments, self.scan = tuple(segment for segment in segments if len(segment.ids)), scan

    @classmethod
    def build(cls, vectors: NDArray[Any], ids: NDArray[Any], scan: Scan = "float32") -> Self:
        """An index of ``vectors`` (n, d) under ``ids`` (n,), in memory; ties keep the order of the rows.

        Raises:
            ValueError: if the shapes do not fit, an id appears twice or a value is not finite.
        """
        rows: Floats = np.ascontiguousarray(vectors, dtype=np.float32)
        numbers: Ids = np.ascontiguousarray(ids, dtype=np.int64)
        if rows.ndim != 2 or numbers.shape != rows.shape[:1]:
            raise ValueError(
                f"Vectors of shape {rows.shape} and ids of shape {numbers.shape} do not make an index: give (n, d) "
                "vectors and n ids."
            )
        if len(np.unique(numbers)) != len(numbers):
            raise ValueError("An id appears twice: every row of an index needs an id of its own.")
        keys = np.arange(len(rows), dtype=np.uint64)
        parts = [slice(start, start + ROWS) for start in range(0, len(rows), ROWS)]
        return cls([Segment([described(rows[part])], numbers[part], keys[part]) for part in parts], scan)

    def only(self, ids: NDArray[Any]) -> Index:
        """The part of the index with these ids."""
        return type(self)([segment.only(ids) for segment in self.segments], self.scan)

    def rows(self, ids: Iterable[int]) -> Floats:
        """The rows with these ids, shape (m, d).

        Raises:
            KeyError: if there is none of one of them.
        """
        return np.vstack([self._row(int(id_)) for id_ in ids]) if self.segments else np.empty((0, 0), np.float32)

    def _row(self, id_: int) -> Floats:
        for segment, (first, last) in zip(self.segments, self._ranges, strict=True):
            if first <= id_ <= last and len(found := np.flatnonzero(segment.ids == id_)):
                return segment.rows(found)
        raise KeyError(id_)

    @cached_property
    def _ranges(self) -> list[tuple[int, int]]:
        return [(int(segment.ids.min()), int(segment.ids.max())) for segment in self.segments]

    @cached_property
    def _length(self) -> int:
        return sum(map(len, self.segments))

    def __len__(self) -> int:
        return self._length

    @property
    def dimensions(self) -> int:
        """Length of a row; 0 where there is none."""
        return sum(part.vectors.shape[1] for part in self.segments[0].parts) if self.segments else 0

    def search(self, queries: NDArray[Any], k: int) -> tuple[Floats, Ids]:
        """The ``k`` nearest templates of each query, best first.

        Args:
            queries: rows, shape (q, d).
            k: how many; fewer come back where the index holds fewer.

        Returns:
            Scores (q, min(k, n)), the inner products, and the ids beside them.

        Raises:
            ValueError: if the queries are not (q, d) or not finite, or ``k`` is below 1.
        """
        probes = checked(queries, self.dimensions if self.segments else None, k)
        k = min(k, len(self))
        if not k or not len(probes):
            return np.empty((len(probes), k), np.float32), np.empty((len(probes), k), np.int64)
        few = len(probes) < BATCH
        answers = [self._nearest(probe, k) for probe in probes] if few else self._batch(probes, k)
        scores, ids = zip(*answers, strict=True)
        return np.concatenate(scores), np.concatenate(ids)

    def _nearest(self, probe: Floats, k: int) -> tuple[Floats, Ids]:
        slack = self._rounding(probe)
        scans: list[Callable[[], Floats]] = [partial(segment.by_floats, probe) for segment in self.segments]
        if self.scan == "int8":
            coded = self._coder.of(probe)
            slack += max(sum(part.slack for part in parts) for parts in coded)
            scans = [partial(segment.by_codes, parts) for segment, parts in zip(self.segments, coded, strict=True)]
        bar = Bar(k, 2 * slack)
        found = _side_by_side(lambda scan: bar.passed(scan()), scans)
        at = np.repeat(np.arange(len(found)), [len(rows) for _, rows in found])
        scores, rows = (np.concatenate(column) for column in zip(*found, strict=True))
        return self._settled(probe, at, rows, scores, slack, k)

    def _batch(self, probes: Floats, k: int) -> list[tuple[Floats, Ids]]:
        """The answers to many probes, some of them at a time, by products of matrices."""
        kept = Kept(k, 2 * np.array([self._rounding(probe) for probe in probes], np.float32))

        def passed(block: tuple[int, slice]) -> Passed:
            at, part = block
            rows, probe, scores = kept.passed(self.segments[at].by_product(probes, part))
            return probe, np.full(len(rows), at), rows + part.start, scores

        def ranked(start: int) -> tuple[Floats, Ids]:
            whose, at, rows = kept.of(start, start + BATCH)
            return self._ranked(probes[start : start + BATCH], whose, at, rows, self._vectors(at, rows), k)

        first, *others = self._blocks(max(k, FIRST))
        with _one_thread_of_blas():
            kept.take(passed(first))
            for found in _pool().map(passed, others):
                kept.take(found)
        kept.thin()
        return _side_by_side(ranked, range(0, len(probes), BATCH))

    def _blocks(self, first: int) -> Iterator[tuple[int, slice]]:
        """All rows, some at a time: numbers of their segment, and where they are in it; ``first`` of them first."""
        for at, segment in enumerate(self.segments):
            starts = [0, *range(first if at == 0 else BLOCK, len(segment.ids), BLOCK), len(segment.ids)]
            yield from ((at, slice(*some)) for some in pairwise(starts))

    def among(self, probe: Floats, at: Ids, rows: Ids, k: int) -> tuple[Floats, Ids]:
        """The ``k`` nearest of some rows, ``rows`` of the segments ``at`` (in order), as `search` scores them."""
        k = min(k, len(rows))
        if not k:
            return np.empty(0, np.float32), np.empty(0, np.int64)
        scores, ids = self._settled(probe, at, rows, self._products(probe, at, rows)[1], self._rounding(probe), k)
        return scores[0], ids[0]

    def _settled(self, probe: Floats, at: Ids, rows: Ids, scores: Floats, slack: float, k: int) -> tuple[Floats, Ids]:
        """The best k of some rows by exact scores, (1, k) each.

        Args:
            probe: The query.
            at: Segments, in order.
            rows: Rows of them.
            scores: Approximate scores.
            slack: How far these may be from exact ones.
            k: How many.
        """
        # The best few show how good the k-th is, better than approximate scores do: fewer have to be read.
        most = k + k // 4
        few = np.sort(np.argpartition(scores, len(scores) - most)[len(scores) - most :]) if len(rows) > most else ...
        least = kth(self._products(probe, at[few], rows[few])[1], k) - 2 * self._rounding(probe)
        near = np.flatnonzero(scores >= least - slack)
        at, rows = at[near], rows[near]
        vectors, products = self._products(probe, at, rows)
        near = np.flatnonzero(products >= least)
        vectors, one = [part[near] for part in vectors], np.zeros(len(near), np.int64)
        return self._ranked(probe[None], one, at[near], rows[near], vectors, k)

    def _ranked(
        self, probes: Floats, whose: Ids, at: Ids, rows: Ids, vectors: Sequence[Floats], k: int
    ) -> tuple[Floats, Ids]:
        """The best k of each probe's rows by exact scores, (q, k) each.

        Args:
            probes: The queries, shape (q, d).
            whose: Each row's probe; at least k rows have the same.
            at: Segments, in order.
            rows: Rows of them.
            vectors: These rows' vectors, a matrix for each space.
            k: How many.
        """
        ids, keys = np.empty(len(rows), np.int64), np.empty(len(rows), np.uint64)
        for segment, piece in self._pieces(at):
            ids[piece], keys[piece] = segment.ids[rows[piece]], segment.keys[rows[piece]]
        exact = inner_products(vectors, probes, whose)
        order = np.lexsort((keys, -exact, whose))
        best = order[np.searchsorted(whose[order], np.arange(len(probes)))[:, None] + np.arange(k)]
        return exact[best].astype(np.float32), ids[best]

    def _products(self, probe: Floats, at: Ids, rows: Ids) -> tuple[list[Floats], Floats]:
        """Some rows' vectors, and their inner products with a query in single precision."""
        vectors = self._vectors(at, rows)
        queries = self.segments[0].split(probe)
        return vectors, summed([np.vecdot(part, query) for part, query in zip(vectors, queries, strict=True)])

    def _vectors(self, at: Ids, rows: Ids) -> list[Floats]:
        """Some rows' vectors, a matrix for each space."""
        widths = [part.vectors.shape[1] for part in self.segments[0].parts]
        vectors = [np.empty((len(rows), width), np.float32) for width in widths]
        for segment, piece in self._pieces(at):
            for part, made in zip(segment.parts, vectors, strict=True):
                np.take(part.vectors, rows[piece], axis=0, out=made[piece], mode="clip")
        return vectors

    def _pieces(self, at: Ids) -> Iterator[tuple[Segment, slice]]:
        """The segments of some rows that are ordered by segment, and where their rows are among them."""
        starts = np.flatnonzero(np.diff(at, prepend=-1)).tolist()
        for first, last in zip(starts, [*starts[1:], len(at)], strict=True):
            yield self.segments[at[first]], slice(first, last)

    def _rounding(self, probe: Floats) -> float:
        return rounding(probe, self._longest)

    @cached_property
    def _longest(self) -> float:
        return max(segment.longest for segment in self.segments)

    @cached_property
    def _coder(self) -> Coder:
        return Coder(self.segments)


class Upon:
    """What searches an index in another way; its rows, and parts of it, are the index's own.

    Args:
        index: All rows.
    """

    def __init__(self, index: Index) -> None:
        self.index = index

    def __len__(self) -> int:
        return len(self.index)

    def only(self, ids: NDArray[Any]) -> Index:
        """A part is searched as `Index` does: exactly, and by the processor."""
        return self.index.only(ids)

    def rows(self, ids: Iterable[int]) -> Floats:
        """The rows with these ids, as `Index.rows`."""
        return self.index.rows(ids)


def described(vectors: Floats, root: str = "") -> Templates:
    """Templates (n, d) with their codes.

    Raises:
        ValueError: if a value is not finite.
    """
    if not np.isfinite(vectors).all():
        raise ValueError("A template holds a value that is not finite; describe that face again.")
    return Templates(vectors, Codes.of(vectors), root)


def best_per_person(
    index: Searchable, queries: NDArray[Any], people: Callable[[Ids], Mapping[int, Person]], k: int
) -> list[list[Best[Person]]]:
    """The ``k`` nearest people of each query: each counts once, by the best of their templates.

    Exact: the search grows until ``k`` different people are among its answers, or brings less than it was asked for.

    Args:
        index: templates of the gallery.
        queries: unit rows, shape (q, d).
        people: tells the person of each of some ids of the index.
        k: how many people; fewer come back where the gallery holds fewer.

    Returns:
        For each query its people, best first; people with equal scores in the order of the rows.

    Raises:
        ValueError: as ``Index.search``.
        KeyError: if an id of the index has no person.
    """
    return [_best_people(index, query[None], people, k) for query in np.asarray(queries)]


def _best_people(
    index: Searchable, query: NDArray[Any], people: Callable[[Ids], Mapping[int, Person]], k: int
) -> list[Best[Person]]:
    fetch = k
    while True:
        scores, ids = index.search(query, fetch)
        persons, best = people(ids[0]), dict[Person, Best[Person]]()
        for id_, score in zip(ids[0].tolist(), scores[0].tolist(), strict=True):
            best.setdefault(persons[id_], Best(persons[id_], id_, score))
        if len(best) >= k or len(ids[0]) < fetch:
            return list(best.values())[:k]
        fetch *= 4


def _side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What comes of some items, in threads where there are several."""
    return list(map(work, items)) if len(items) == 1 else list(_pool().map(work, items))


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads that scan; they wait for nothing, so that all searches can share them."""
    return ThreadPoolExecutor(os.cpu_count() or 1, "scan")


@contextmanager
def _one_thread_of_blas() -> Iterator[None]:
    """Products run with one thread each, side by side; one caller at a time, for the limit is the process's."""
    with _LIMITING, _blas().limit(limits=1, user_api="blas"):
        yield


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
