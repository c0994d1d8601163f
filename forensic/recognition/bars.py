"""What the rough scores of a search must reach, while rows come in, for a row to be looked at again.

A row may be left out where k others are exactly better: where its rough score is below the k-th best one by more than
twice the largest error that a rough score can have.
"""

from __future__ import annotations

import threading

import numpy as np

from forensic.recognition.segments import Floats, Ids

LOWEST = float(np.finfo(np.float32).min)
"""Below every score, above that of a row that is not searched."""

Passed = tuple[Ids, Ids, Ids, Floats]
"""Numbers of the probe, the segment and its row, and the scores."""


class Bar:
    """What a row's approximate score must reach, while threads scan.

    It is the k-th best score so far less a margin, twice the largest error: a row below it is exactly worse than k
    others.
    """

    def __init__(self, k: int, margin: float) -> None:
        self._k, self._margin, self._height = k, margin, LOWEST
        self._top, self._taking = np.empty(0, np.float32), threading.Lock()

    def passed(self, scores: Floats) -> tuple[Floats, Ids]:
        """Scores, and the rows that have them, of those that may be among the best."""
        rows = np.flatnonzero(scores >= self._height)
        passing = scores[rows]
        with self._taking:
            top = np.concatenate([self._top, passing[passing > self._height + self._margin]])
            if len(top) >= self._k:
                self._top = np.partition(top, len(top) - self._k)[len(top) - self._k :]
                self._height = float(self._top[0]) - self._margin
            else:
                self._top = top
        stays = passing >= self._height
        return passing[stays], rows[stays]


class Kept:
    """The rows of each of some probes that may be among its best k, while segments come in.

    Args:
        k: How many are wanted.
        margins: For each probe, how far below the k-th best score a row may be, shape (q,).
    """

    def __init__(self, k: int, margins: Floats) -> None:
        self._k, self._margins = k, margins
        self._bar = np.full(len(margins), LOWEST, np.float32)
        self._rows: list[Passed] = []
        self._taken = 0

    def passed(self, scores: Floats) -> tuple[Ids, Ids, Floats]:
        """Those of some rows that may be among the best, of which probes, and how they score, by scores (n, q)."""
        if not self._rows and len(scores) >= self._k:
            best = np.partition(scores, len(scores) - self._k, axis=0)[len(scores) - self._k]
            np.maximum(self._bar, best - self._margins, out=self._bar)
        flat = np.flatnonzero(scores >= self._bar)  # much faster than nonzero of a matrix
        rows, probes = np.divmod(flat, len(self._bar))
        return rows, probes, scores.ravel()[flat]

    def take(self, found: Passed) -> None:
        """Keep what passed, and raise the bar whenever twice as many rows have been seen."""
        self._rows.append(found)
        self._taken += 1
        if self._taken.bit_count() == 1:
            self.thin()

    def thin(self) -> None:
        """Leave out what has turned out to be worse than k others, and order the rest by probe."""
        probe, at, row, score = (np.concatenate(column) for column in zip(*self._rows, strict=True))
        order = np.argsort(probe.astype(np.min_scalar_type(len(self._bar))), kind="stable")  # short numbers: by radix
        probe, at, row, score = probe[order], at[order], row[order], score[order]
        counts = np.bincount(probe, minlength=len(self._bar))
        if counts.max(initial=0) >= self._k:
            table = np.full((len(counts), counts.max()), LOWEST, np.float32)
            table[probe, np.arange(len(probe)) - (np.cumsum(counts) - counts)[probe]] = score
            best = np.partition(table, table.shape[1] - self._k, axis=1)[:, table.shape[1] - self._k]
            self._bar = np.maximum(self._bar, best - self._margins)
        stays = score >= self._bar[probe]
        self._rows = [(probe[stays], at[stays], row[stays], score[stays])]

    def of(self, first: int, last: int) -> tuple[Ids, Ids, Ids]:
        """The rows of the probes from one to before another, segment by segment; after `thin`.

        Returns:
            Each row's probe, counted from the first, its segment, and its place there.
        """
        probes, at, row, _ = self._rows[0]
        part = slice(*np.searchsorted(probes, [first, last]))
        order = np.argsort(at[part], kind="stable")
        return probes[part][order] - first, at[part][order], row[part][order]


def kth(scores: Floats, k: int) -> float:
    """The k-th best of at least k scores."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k])
