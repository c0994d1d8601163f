"""SCOOT, the structure co-occurrence texture measure for face sketches.

Fan et al.: Scoot: A Perceptual Metric for Facial Sketches, ICCV 2019. Where the paper leaves a choice open, this
follows the authors' ``ScootMeasure.m``, and so the definitions of MATLAB's ``graycomatrix`` and ``graycoprops``.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.int64]

LEVELS = 6
BLOCKS = 4
OFFSETS = ((0, 1), (-1, 1), (-1, 0), (-1, -1))
"""Rows down and columns right to the neighbour: 0, 45, 90 and 135 degrees."""


def scoot(target: NDArray[np.uint8], synthesized: NDArray[np.uint8]) -> float:
    """Likeness of two sketches' strokes.

    Args:
        target: The artist's sketch, grey, shape (height, width).
        synthesized: The synthesized one, of the same shape. The measure is symmetric.

    Returns:
        1 / (1 + distance of the features), in (0, 1]; 1 for identical images.

    Raises:
        ValueError: The shapes differ, a side is below 8 pixels, the pixels are not uint8, or an image has one single
            grey, for which the authors' code is undefined too.
    """
    for image in (target, synthesized):
        if image.dtype != np.uint8 or image.ndim != 2 or min(image.shape) < 2 * BLOCKS:
            raise ValueError(f"Expected grey uint8 images of at least 8 x 8, got {image.dtype} {image.shape}.")
        if image.min() == image.max():
            raise ValueError("SCOOT is undefined for an image of one single grey.")
    if target.shape != synthesized.shape:
        raise ValueError(f"Expected images of one size, got {target.shape} and {synthesized.shape}.")
    distance = np.linalg.norm(features(target) - features(synthesized))
    return float(1 / (1 + distance))


def features(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Contrast and energy of each of the 4 x 4 blocks, row by row, shape (32,).

    Args:
        image: Grey, shape (height, width). Blocks end at ``floor(size * k / 4)``.
    """
    levels = quantized(image)
    rows, columns = (np.arange(BLOCKS + 1) * side // BLOCKS for side in levels.shape)
    return np.concatenate(
        [
            _statistics(levels[top:bottom, left:right])
            for top, bottom in pairwise(rows)
            for left, right in pairwise(columns)
        ]
    )


def quantized(image: NDArray[np.uint8]) -> Levels:
    """Greys 0 ... 255 to levels 0 ... 5, as ``graycomatrix`` scales uint8 images.

    >>> quantized(np.array([[0, 42, 43, 84, 85, 255]], np.uint8))
    array([[0, 0, 1, 1, 2, 5]])
    """
    slope = LEVELS / 255
    levels = np.floor(slope * image.astype(np.float64) + 1)
    return np.clip(levels, 1, LEVELS).astype(np.int64) - 1


def cooccurrences(levels: Levels, offset: tuple[int, int]) -> NDArray[Any]:
    """How often a pixel of level i has a neighbour of level j (``graycomatrix``, not symmetric).

    Args:
        levels: Levels 0 ... 5, shape (height, width).
        offset: Rows down and columns right to the neighbour; pixels whose neighbour lies outside do not count.

    Returns:
        Counts, shape (6, 6).

    >>> cooccurrences(np.array([[0, 1], [0, 1]]), (0, 1))[0, 1]
    np.int64(2)
    """
    (height, width), (down, right) = levels.shape, offset
    pixels = levels[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    neighbours = levels[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    return np.bincount((pixels * LEVELS + neighbours).ravel(), minlength=LEVELS**2).reshape(LEVELS, LEVELS)


def _statistics(block: Levels) -> NDArray[np.float64]:
    """Contrast and energy of the mean of the four matrices, which the authors round half up before normalising."""
    mean = np.mean([cooccurrences(block, offset) for offset in OFFSETS], axis=0)
    counts = np.floor(mean + 0.5)
    shares = counts / counts.sum()
    i, j = np.indices(shares.shape)
    return np.array([((i - j) ** 2 * shares).sum(), (shares**2).sum()])
