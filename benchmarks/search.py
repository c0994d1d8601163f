"""Exact search of one probe against numpy's product and sort, by the gallery's size.

python -m benchmarks.search
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from forensic.recognition.index import Index

SIZES = (1_000, 10_000, 100_000)
DIMENSION = 127
TOP = 100
RUNS = 15


def milliseconds(call: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def main(arguments: Sequence[str] | None = None) -> str:
    """The table, in Markdown."""
    del arguments
    rng = np.random.default_rng(0)
    rows = []
    for size in SIZES:
        vectors = rng.normal(size=(size, DIMENSION)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        index = Index.build(vectors, np.arange(size))
        probe = vectors[:1]
        index.search(probe, TOP)
        times = [
            (
                milliseconds(lambda: index.search(probe, TOP)),  # noqa: B023 - called at once
                milliseconds(lambda: np.argsort(-(vectors @ probe[0]))[:TOP]),  # noqa: B023
            )
            for _ in range(RUNS)
        ]
        ours, numpys = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(a / b for a, b in times)
        rows.append(f"| {size:,} | {ours:.2f} | {numpys:.2f} | {ratio:.2f} |")
    head = f"| templates ({DIMENSION} dimensions), top {TOP}, median of {RUNS} | index, ms | numpy, ms | ratio |"
    return "\n".join([head, "|---|---|---|---|", *rows, ""])


if __name__ == "__main__":
    print(main())
