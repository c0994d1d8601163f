"""Approximate indexes against exact search: recall, time and what building costs.

python -m benchmarks.approximate [--templates 100000] [--photos DIR]

Templates are those of real photos, if a folder of them is given, and others between them: a template of a made-up
person is the mean of two real ones, with noise. Without a folder all are made up, around a thousand centres.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.search import PROBES, TOP, medians, unit
from forensic import enrollment, images, matching
from forensic.errors import ForensicError
from forensic.faces import Detector, Finder
from forensic.recognition.approximate import Approximate, recall
from forensic.recognition.index import KINDS, Index, Searchable

DIMENSION = 127
NOISE = 0.5


def described(folder: Path) -> NDArray[np.float32]:
    """Templates of the photos of a folder, by the route ``direct``."""
    route, finder = matching.load("direct").routes[0], Finder(Detector())
    made = []
    for item in enrollment.items_of([folder]):
        try:
            face = finder.one(images.read(item.path).image)
        except ForensicError:
            continue
        made.append(route.describe([face], "gallery")[0])
    return np.stack(made).astype(np.float32)


def crowd(real: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The real templates, and made-up ones between them."""
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, len(real), (max(0, count - len(real)), 2))
    noise = NOISE * unit(len(pairs), real.shape[1], seed=2)
    made = np.concatenate([real, real[pairs].mean(axis=1, dtype=np.float32) + noise])[:count]
    rows: NDArray[np.float32] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> str:
    """The table, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", type=int, default=100_000)
    parser.add_argument("--photos", type=Path)
    options = parser.parse_args(arguments)
    real = unit(1000, DIMENSION, seed=3) if options.photos is None else described(options.photos)
    vectors = crowd(real, options.templates)
    exact = Index.build(vectors, np.arange(len(vectors)), "int8")
    probes = real[:PROBES] + NOISE * unit(min(PROBES, len(real)), real.shape[1], seed=4)
    truth = exact.search(probes, TOP)[1]
    indexes: dict[str, Searchable] = {"exact, bytes": exact}
    built = {"exact, bytes": ""}
    for kind in KINDS:
        started = time.perf_counter()
        indexes[kind] = Approximate(exact, kind)
        built[kind] = f"{time.perf_counter() - started:.1f}"
    taken = medians({name: partial(index.search, probes[:1], TOP) for name, index in indexes.items()})
    rows = [
        f"| {name} | {recall(truth, index.search(probes, TOP)[1]):.3f} | {taken[name]:.2f} | {built[name]} |"
        for name, index in indexes.items()
    ]
    kinds = "made-up centres" if options.photos is None else "real"
    what = f"{len(vectors):,} templates, {min(len(real), len(vectors)):,} of them {kinds}"
    head = f"| {what}; top {TOP} | recall@{TOP} | one probe, ms | built in, s |"
    return "\n".join([head, "|---|---:|---:|---:|", *rows, ""])


if __name__ == "__main__":
    print(main())
