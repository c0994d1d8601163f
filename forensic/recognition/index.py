"""Exact nearest-neighbour search over templates.

Rows lie in segments, which threads scan side by side, either as they are (``float32``) or in one byte a number
(``int8``), which is a quarter of the memory to read. Either way the answer is the same: a rough score comes with a
bound on its error, and whatever may belong among the best k by that bound is scored anew in double precision.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from typing import Any, Generic, Literal, NamedTuple, Self, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from forensic.recognition.segments import Codes, Floats, Ids, Segment, Templates

Person = TypeVar("Person", bound=Hashable)
Scan = Literal["float32", "int8"]
SCANS: tuple[Scan, ...] = get_args(Scan)

ROWS = 1 << 14
"""Rows of a segment where the caller has no segments of its own: 8 MB of codes of 512 numbers."""
BATCH = 8
"""Queries from which on products of matrices are faster than scans."""
MERGED = 8
"""Segments after which a batch's candidates are thinned out."""


class Best(NamedTuple, Generic[Person]):
    """A person found by a search, by the best of their templates."""

    person: Person
    id: int
    score: float


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
            ValueError: if the queries are not (q, d) or ``k`` is below 1.
        """
        probes: Floats = np.ascontiguousarray(queries, dtype=np.float32)
        if probes.ndim != 2 or (self.segments and probes.shape[1] != self.dimensions):
            raise ValueError(f"Queries of shape {probes.shape} cannot search templates of {self.dimensions}.")
        if k < 1:
            raise ValueError(f"k is {k}: a search needs at least one candidate.")
        k = min(k, len(self))
        scores, ids = np.empty((len(probes), k), np.float32), np.empty((len(probes), k), np.int64)
        if k:
            few = len(probes) < BATCH
            answers = (self._nearest(probe, k) for probe in probes) if few else self._batch(probes, k)
            for at, answer in enumerate(answers):
                scores[at], ids[at] = answer
        return scores, ids

    def _nearest(self, probe: Floats, k: int) -> tuple[Floats, Ids]:
        codes = self.scan == "int8"
        margin = 2 * max(segment.slack(probe, codes=codes) for segment in self.segments)
        bar = _Bar(k, margin)

        def scanned(segment: Segment) -> tuple[Floats, Ids]:
            return bar.passed(segment.by_codes(probe) if codes else segment.by_floats(probe))

        found = list(_pool().map(scanned, self.segments)) if len(self.segments) > 1 else [scanned(self.segments[0])]
        at = np.repeat(np.arange(len(found)), [len(rows) for _, rows in found])
        scores, rows = (np.concatenate(column) for column in zip(*found, strict=True))
        best = _best(scores, k, margin)
        return self._settled(probe, at[best], rows[best], k)

    def _batch(self, probes: Floats, k: int) -> Iterable[tuple[Floats, Ids]]:
        """The answers to many probes, by products of matrices."""
        slacks = [max(segment.slack(probe, codes=False) for segment in self.segments) for probe in probes]
        kept = _Kept(k, 2 * np.array(slacks, np.float32))
        for at, segment in enumerate(self.segments):
            kept.take(at, segment.by_product(probes))
        kept.thin()
        return (self._settled(probe, *kept.of(number), k) for number, probe in enumerate(probes))

    def _settled(self, probe: Floats, at: Ids, rows: Ids, k: int) -> tuple[Floats, Ids]:
        """The best k of some rows of segments, by exact scores."""
        pieces = [(self.segments[one], rows[at == one]) for one in np.unique(at)]
        vectors = np.vstack([segment.rows(which) for segment, which in pieces])
        ids = np.concatenate([segment.ids[which] for segment, which in pieces])
        keys = np.concatenate([segment.keys[which] for segment, which in pieces])
        if len(ids) > 2 * k:  # most of them are far off, which single precision tells as well
            slack = max(segment.slack(probe, codes=False) for segment, _ in pieces)
            near = _best(np.vecdot(vectors, probe), k, 2 * slack)
            vectors, ids, keys = vectors[near], ids[near], keys[near]
        exact = (vectors.astype(np.float64) * probe.astype(np.float64)).sum(axis=1)
        order = np.lexsort((keys, -exact))[:k]
        return exact[order].astype(np.float32), ids[order]


class _Bar:
    """What a row's approximate score must reach, while threads scan.

    It is the k-th best score of some rows less a margin, twice the largest error: a row below it is exactly worse than
    k others. So it may be any thread's, an older one too.
    """

    def __init__(self, k: int, margin: float) -> None:
        self._k, self._margin, self._height = k, margin, -np.inf

    def passed(self, scores: Floats) -> tuple[Floats, Ids]:
        """Scores, and the rows that have them, of those that may be among the best."""
        rows = np.flatnonzero((scores >= self._height) & (scores > -np.inf))  # what is not searched does not pass
        if len(rows) > self._k:
            passing = scores[rows]
            height = float(np.partition(passing, len(passing) - self._k)[len(passing) - self._k]) - self._margin
            if height > self._height:
                self._height = height
                rows = rows[passing >= height]
        return scores[rows], rows


class _Kept:
    """The rows of each of some probes that may be among its best k, while segments come in.

    Args:
        k: How many are wanted.
        margins: For each probe, how far below the k-th best score a row may be, shape (q,).
    """

    def __init__(self, k: int, margins: Floats) -> None:
        self._k, self._margins = k, margins
        self._bar = np.full(len(margins), -np.inf, np.float32)
        self._rows: list[tuple[Ids, Ids, Ids, Floats]] = []

    def take(self, at: int, scores: Floats) -> None:
        """What a segment's scores (n, q) add."""
        if len(scores) > self._k and not np.isfinite(self._bar).all():
            best = np.partition(scores, len(scores) - self._k, axis=0)[len(scores) - self._k]
            np.maximum(self._bar, best - self._margins, out=self._bar)
        rows, probes = np.nonzero((scores >= self._bar) & (scores > -np.inf))
        self._rows.append((probes, np.full(len(rows), at), rows, scores[rows, probes]))
        if len(self._rows) > MERGED:
            self.thin()

    def thin(self) -> None:
        """Leave out what has turned out to be worse than k others."""
        probe, at, row, score = (np.concatenate(column) for column in zip(*self._rows, strict=True))
        order = np.lexsort((-score, probe))
        probe, at, row, score = probe[order], at[order], row[order], score[order]
        first = np.searchsorted(probe, np.arange(len(self._bar)))
        full = np.flatnonzero(np.diff(np.append(first, len(probe))) >= self._k)
        best = score[first[full] + self._k - 1] - self._margins[full]
        self._bar[full] = np.maximum(self._bar[full], best)
        stays = score >= self._bar[probe]
        self._rows = [(probe[stays], at[stays], row[stays], score[stays])]

    def of(self, probe: int) -> tuple[Ids, Ids]:
        """The segments and rows of a probe."""
        probes, at, row, _ = self._rows[0]
        part = slice(*np.searchsorted(probes, [probe, probe + 1]))
        return at[part], row[part]


def _best(scores: Floats, k: int, margin: float) -> Ids:
    """Where those scores are that reach the k-th best less a margin."""
    if len(scores) <= k:
        return np.arange(len(scores))
    return np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k] - margin)


def described(vectors: Floats, root: str = "") -> Templates:
    """Templates (n, d) with their codes.

    Raises:
        ValueError: if a value is not finite.
    """
    if not np.isfinite(vectors).all():
        raise ValueError("A template holds a value that is not finite; describe that face again.")
    return Templates(vectors, Codes.of(vectors), root)


def best_per_person(
    index: Index, queries: NDArray[Any], people: Callable[[Ids], Mapping[int, Person]], k: int
) -> list[list[Best[Person]]]:
    """The ``k`` nearest people of each query: each counts once, by the best of their templates.

    Exact: the search grows until ``k`` different people are among its answers or the index is exhausted.

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
    index: Index, query: NDArray[Any], people: Callable[[Ids], Mapping[int, Person]], k: int
) -> list[Best[Person]]:
    fetch = k
    while True:
        scores, ids = index.search(query, fetch)
        persons, best = people(ids[0]), dict[Person, Best[Person]]()
        for id_, score in zip(ids[0].tolist(), scores[0].tolist(), strict=True):
            best.setdefault(persons[id_], Best(persons[id_], id_, score))
        if len(best) >= k or len(ids[0]) == len(index):
            return list(best.values())[:k]
        fetch *= 4


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads that scan; they wait for nothing, so that all searches can share them."""
    return ThreadPoolExecutor(os.cpu_count() or 1, "scan")
