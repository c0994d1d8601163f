"""Photos of different people that look like one person: exact search over all pairs, in bounded memory.

Likelihood ratios of two photos need a calibration of their own: those of sketches with photos do not hold for them.
``photo_pairs.json`` has one for each template space that was fitted; ``experiments/fit_photo_pairs.py`` makes it.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forensic.errors import UsageError
from forensic.recognition.calibration import Calibration

CALIBRATIONS = Path(__file__).with_name("photo_pairs.json")
ROWS, COLUMNS = 1024, 4096
"""Size of a block of similarities: 16 MB."""

Ids = NDArray[np.int64]


class Alike(NamedTuple):
    """Pairs of rows of different people, the most similar first.

    Attributes:
        first: Row of one, shape (pairs,); below ``second``.
        second: Row of the other, shape (pairs,).
        scores: Their inner products, shape (pairs,).
        found: How many pairs reach the limit, of which these are the most similar.
    """

    first: Ids
    second: Ids
    scores: NDArray[np.float64]
    found: int


def calibration(space: str) -> Calibration | None:
    """The calibration of two photos' similarity in a template space, by its digest; None where none was fitted."""
    line = _fitted().get(space)
    return None if line is None else Calibration.from_dict(line["calibration"])


def calibrated() -> list[str]:
    """Names of the routes whose spaces have a calibration."""
    return sorted(line["route"] for line in _fitted().values())


def uncalibrated(route: str) -> UsageError:
    """What is said of a route whose space has none."""
    return UsageError(
        f"The route {route[:60]!r} has no calibration for two photos; one for sketches does not hold for them. "
        f"Calibrated: {', '.join(calibrated())}."
    )


@cache
def _fitted() -> dict[str, Any]:
    fitted: dict[str, Any] = json.loads(CALIBRATIONS.read_text(encoding="utf-8"))
    return fitted


def alike(vectors: NDArray[np.float32], owners: Ids, least: float, most: int, *, apart: Ids | None = None) -> Alike:
    """All pairs of rows of different people with at least a similarity.

    Similarities are compared with ``least`` in single precision, block by block, and those that come back are computed
    anew in double precision, so that the blocks cannot be seen in them.

    Args:
        vectors: Unit rows, shape (n, d).
        owners: Number of each row's person, 0 or more, shape (n,).
        least: The least similarity.
        most: How many pairs come back; all are counted.
        apart: Pairs of people to leave out, numbers as in ``owners``, shape (k, 2).

    Raises:
        ValueError: The shapes do not fit, or ``most`` is below 1.
    """
    if vectors.ndim != 2 or owners.shape != vectors.shape[:1] or most < 1:
        raise ValueError(
            f"Vectors {vectors.shape}, owners {owners.shape}, most {most}: give (n, d), (n,) and 1 or more."
        )
    count = int(owners.max(initial=0)) + 1
    passed = np.empty(0, np.int64) if apart is None else _code(apart[:, 0], apart[:, 1], count)
    best: Block = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    found = 0
    for first, second, scores in _blocks(vectors, owners, np.float32(least)):
        if len(passed):
            kept = ~np.isin(_code(owners[first], owners[second], count), passed)
            first, second, scores = first[kept], second[kept], scores[kept]
        found += len(scores)
        best = _top((first, second, scores), best, most)
    first, second, _ = best
    exact = np.einsum("nd,nd->n", vectors[first].astype(np.float64), vectors[second].astype(np.float64))
    order = np.lexsort((second, first, -exact))
    return Alike(first[order], second[order], exact[order], found)


Block = tuple[Ids, Ids, NDArray[np.float32]]


def _blocks(vectors: NDArray[np.float32], owners: Ids, least: np.float32) -> Iterator[Block]:
    """Rows, columns and similarities of the pairs above the diagonal, block by block."""
    for top in range(0, len(vectors), ROWS):
        rows = vectors[top : top + ROWS]
        for left in range(top, len(vectors), COLUMNS):
            similar = rows @ vectors[left : left + COLUMNS].T
            down, across = np.nonzero(similar >= least)
            first, second = down + top, across + left
            kept = (first < second) & (owners[first] != owners[second])
            if kept.any():
                yield first[kept], second[kept], similar[down[kept], across[kept]]


def _top(one: Block, other: Block, most: int) -> Block:
    """The most similar of two lists; of equal ones those whose rows come first, so that blocks do not matter."""
    first, second = (np.concatenate([one[k], other[k]]) for k in (0, 1))
    scores = np.concatenate([one[2], other[2]])
    if len(scores) > most:
        order = np.lexsort((second, first, -scores))[:most]
        return first[order], second[order], scores[order]
    return first, second, scores


def _code(one: Ids, other: Ids, count: int) -> Ids:
    """One number for each pair of people, whatever their order."""
    codes: Ids = np.minimum(one, other) * count + np.maximum(one, other)
    return codes
