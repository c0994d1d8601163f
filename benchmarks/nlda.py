"""Null-space LDA against the textbook's route, scikit-learn's LDA and a decomposition of the samples themselves.

python -m benchmarks.nlda [--pixels 62500] [--samples 600]

The textbook's route forms the d x d scatter matrices, 31 GB at 62,500 pixels: it is run at ``TEXTBOOK`` pixels, where
its subspace is compared with ours, and its time grows with the cube of the pixels. scikit-learn's LDA is no null-space
LDA; its own decomposition of the same samples is what is timed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, null_space, subspace_angles
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from forensic.recognition.lda import class_deviations
from forensic.recognition.nlda import NLDA

Array = NDArray[np.float64]
TEXTBOOK = 2_000
RUNS = 3


def pictures(samples: int, pixels: int) -> tuple[Array, NDArray[np.int64]]:
    """Two made-up grey pictures of each person: smooth, with values as bytes have them."""
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(samples, pixels)).cumsum(axis=1)
    basis -= np.linspace(0, 1, pixels) * basis[:, -1:]
    people = rng.normal(size=(samples // 2, samples)) @ basis
    made = np.repeat(people, 2, axis=0) + 0.3 * rng.normal(size=(samples, samples)) @ basis
    made = 128 + 40 * made / made.std() + rng.normal(size=made.shape)
    return np.clip(np.rint(made), 0, 255), np.repeat(np.arange(samples // 2), 2)


def textbook(features: Array, labels: NDArray[np.int64]) -> Array:
    """Chen et al. as it stands: the null space of Sw, and Sb's eigenvectors in it."""
    within, between = class_deviations(features, labels)
    null = null_space(within.T @ within, rcond=1e-10)
    _, vectors = eigh(null.T @ (between.T @ between) @ null)
    return np.asarray(null @ vectors[:, ::-1][:, : len(between) - 1])


def decomposed(features: Array, labels: NDArray[np.int64]) -> Array:
    """The same subspace by a thin decomposition of the samples."""
    left, spread, basis = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    rank = int(np.sum(spread > spread[0] * features.shape[1] * np.finfo(float).eps))
    within, between = class_deviations(left[:, :rank] * spread[:rank], labels)
    null = null_space(within, rcond=1e-10)
    _, _, directions = np.linalg.svd(between @ null, full_matrices=False)
    return np.asarray(basis[:rank].T @ (null @ directions[: len(between) - 1].T))


def seconds(call: Callable[[], object], runs: int = RUNS) -> float:
    """Median time of a call."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main(arguments: Sequence[str] | None = None) -> str:
    """The table, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", type=int, default=62_500)
    parser.add_argument("--samples", type=int, default=600)
    options = parser.parse_args(arguments)
    rows = []
    small, labels = pictures(options.samples, TEXTBOOK)
    ours, theirs = NLDA().fit(small, labels).projection_, textbook(small, labels)
    base = seconds(lambda: NLDA().fit(small, labels))
    time_taken = seconds(lambda: textbook(small, labels), 1)
    angle = float(subspace_angles(ours, theirs).max())
    rows.append((f"textbook, scatter matrices, {TEXTBOOK:,} pixels", time_taken, time_taken / base, f"{angle:.1e}"))
    large, labels = pictures(options.samples, options.pixels)
    mine = seconds(lambda: NLDA().fit(large, labels))
    ours = NLDA().fit(large, labels).projection_
    rows.insert(0, (f"`NLDA`, {options.pixels:,} pixels", mine, 1.0, ""))
    taken = seconds(lambda: decomposed(large, labels), 1)
    angle = float(subspace_angles(ours, decomposed(large, labels)).max())
    rows.append((f"decomposition of the samples, {options.pixels:,} pixels", taken, taken / mine, f"{angle:.1e}"))
    taken = seconds(lambda: LinearDiscriminantAnalysis().fit(large, labels), 1)
    rows.append((f"scikit-learn's LDA, {options.pixels:,} pixels", taken, taken / mine, ""))
    head = f"| {options.samples} samples of {options.samples // 2} people | s | times `NLDA` | largest angle, rad |"
    lines = [f"| {name} | {value:.2f} | {ratio:.1f} | {angle} |" for name, value, ratio, angle in rows]
    return "\n".join([head, "|---|---:|---:|---:|", *lines, ""])


if __name__ == "__main__":
    print(main())
