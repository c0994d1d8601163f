"""Approximate search with FAISS, for galleries that exact search is too slow for; the only file that imports faiss.

Both indexes are a choice that whoever searches makes and that the record names: somebody who is enrolled may be missing
from the list. What they bring is scored anew exactly, so that the scores shown are those of an exact search.

- ``hnsw``: a graph of near neighbours (Malkov and Yashunin 2018), 256 bytes a template more than the templates.
- ``ivf-pq``: lists of what is near to some centres, in 64 bytes a template (Jégou, Douze and Schmid 2011).
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from forensic.exact import checked
from forensic.recognition.index import Index, Kind, Upon
from forensic.recognition.segments import Floats, Ids

LINKS, BUILDING, SEARCHING = 32, 80, 256
"""Of a graph: neighbours of a node, and how many nodes are kept in view while it is built and searched."""
BYTES, PROBED = 64, 64
"""Of a product quantizer: bytes a template, and lists that are looked through."""
CENTRES = 256
"""Of each byte, which no fewer templates can be cut into: so few are all looked at."""
LEARNING = 50_000
"""Templates that centres are learned from."""
SPARE = 10
"""So many times the wanted candidates are fetched, and scored exactly."""


class Approximate(Upon):
    """An index that looks at a part of the rows; `only` does not, for a graph has few ways among few of its nodes.

    Args:
        index: All rows.
        kind: How it chooses.
    """

    def __init__(self, index: Index, kind: Kind) -> None:
        super().__init__(index)
        self.kind = kind
        self._starts = np.cumsum([0, *(len(segment.ids) for segment in index.segments)])
        self._faiss = _empty(index, kind)
        for segment in index.segments:
            self._faiss.add(segment.rows(np.arange(len(segment.ids))))

    def search(self, queries: NDArray[Any], k: int) -> tuple[Floats, Ids]:
        """Up to ``k`` near templates of each query, best first, by exact scores; as `Index.search` otherwise."""
        probes = checked(queries, self.index.dimensions, k)
        found = self._faiss.search(probes, min(SPARE * k, len(self)))[1]
        answers = [
            self.index.among(probe, *self._places(np.sort(rows[rows >= 0])), k)
            for probe, rows in zip(probes, found, strict=True)
        ]
        shape = (len(probes), min((len(ids) for _, ids in answers), default=0))
        scores, ids = np.empty(shape, np.float32), np.empty(shape, np.int64)
        for at, (score, number) in enumerate(answers):
            scores[at], ids[at] = score[: shape[1]], number[: shape[1]]
        return scores, ids

    def _places(self, rows: Ids) -> tuple[Ids, Ids]:
        """Segments of some rows, which FAISS counts through all of them, and their rows there."""
        at = np.searchsorted(self._starts, rows, side="right") - 1
        return at, rows - self._starts[at]


def recall(exact: Ids, approximate: Ids) -> float:
    """Share of the exact answers (q, k) that are among the approximate ones."""
    return float(np.mean([np.isin(mine, theirs).mean() for mine, theirs in zip(exact, approximate, strict=True)]))


def _empty(index: Index, kind: Kind) -> Any:
    """FAISS's index, which has learned what it has to."""
    dimensions, product = index.dimensions, faiss.METRIC_INNER_PRODUCT
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(dimensions, LINKS, product)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = BUILDING, SEARCHING
        return graph
    each = max(1, LEARNING // len(index.segments))
    sample = np.vstack([segment.rows(np.arange(len(segment.ids))[:each]) for segment in index.segments])
    if len(sample) < CENTRES:
        return faiss.IndexFlatIP(dimensions)
    lists = max(1, min(4 * int(len(index) ** 0.5), len(sample) // 39))
    # A random rotation first, to a length that can be cut into as many pieces as there are bytes.
    width = BYTES * -(-dimensions // BYTES)
    # np: no order of the codes for a filter by Hamming distance, which nobody asks for and takes minutes to find.
    trained = faiss.index_factory(dimensions, f"RR{width},IVF{lists},PQ{BYTES}np", product)
    with threadpool_limits(1, user_api="openmp"):  # its threads wait for each other thousands of times
        trained.train(sample)
    faiss.extract_index_ivf(trained).nprobe = min(PROBED, lists)
    return trained
