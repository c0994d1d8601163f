"""SCOOT against its definition, pixel by pixel."""

import math

import numpy as np
import pytest
from quality.noisy import grey
from scipy import ndimage

from forensic.quality.scoot import OFFSETS, cooccurrences, features, quantized, scoot


def test_cooccurrences_are_those_of_matlab_by_hand() -> None:
    levels = np.array([[0, 0, 1], [1, 2, 3], [1, 3, 2]])
    by_hand = {
        (0, 1): {(0, 0): 1, (0, 1): 1, (1, 2): 1, (2, 3): 1, (1, 3): 1, (3, 2): 1},
        (-1, 1): {(1, 0): 1, (2, 1): 1, (1, 2): 1, (3, 3): 1},
        (-1, 0): {(1, 0): 1, (2, 0): 1, (3, 1): 1, (1, 1): 1, (3, 2): 1, (2, 3): 1},
        (-1, -1): {(2, 0): 1, (3, 0): 1, (3, 1): 1, (2, 2): 1},
    }
    for offset, expected in by_hand.items():
        found = cooccurrences(levels, offset)
        assert {(i, j): found[i, j] for i, j in np.argwhere(found).tolist()} == expected, offset


def test_quantisation_is_matlabs() -> None:
    greys = np.arange(256, dtype=np.uint8)[None]
    levels = quantized(greys)[0]
    assert levels.min() == 0
    assert levels.max() == 5
    assert (np.flatnonzero(np.diff(levels)) + 1).tolist() == [43, 85, 128, 170, 213]


def brute_force_scoot(target: np.ndarray, synthesized: np.ndarray) -> float:
    """The measure pixel by pixel, from the authors' description."""
    total = 0.0
    height, width = target.shape
    for k in range(4):
        for m in range(4):
            edges = slice(height * k // 4, height * (k + 1) // 4), slice(width * m // 4, width * (m + 1) // 4)
            statistics = []
            for block in (target[edges].tolist(), synthesized[edges].tolist()):
                counts = [[0.0] * 6 for _ in range(6)]
                for y, row in enumerate(block):
                    for x, value in enumerate(row):
                        for down, right in OFFSETS:
                            if 0 <= y + down < len(block) and 0 <= x + right < len(row):
                                i, j = (min(6 * v // 255, 5) for v in (value, block[y + down][x + right]))
                                counts[i][j] += 0.25
                rounded = [[math.floor(count + 0.5) for count in row] for row in counts]
                whole = sum(map(sum, rounded))
                contrast = sum((i - j) ** 2 * rounded[i][j] for i in range(6) for j in range(6)) / whole
                energy = sum((count / whole) ** 2 for row in rounded for count in row)
                statistics.append((contrast, energy))
            total += sum((a - b) ** 2 for a, b in zip(*statistics, strict=True))
    return 1 / (1 + math.sqrt(total))


@pytest.mark.parametrize("size", [(40, 50), (37, 45)])
def test_scoot_is_its_definition(size: tuple[int, int]) -> None:
    for seed in range(4):
        target, synthesized = grey(2 * seed, size), grey(2 * seed + 1, size)
        assert scoot(target, synthesized) == pytest.approx(brute_force_scoot(target, synthesized), abs=1e-12)


def test_scoot_is_one_for_itself_and_symmetric() -> None:
    a, b = grey(0), grey(1)
    assert features(a).shape == (32,)
    assert scoot(a, a) == 1
    assert scoot(a, b) == scoot(b, a)
    assert 0 < scoot(a, b) < 1


def test_scoot_knows_strokes_from_their_blur() -> None:
    """A sketch with other strokes of the same kind is nearer than a blurred one: what the measure was made for."""
    draw = np.random.default_rng(0)
    strokes, others = (draw.integers(0, 2, (250, 200)).astype(np.uint8) * 255 for _ in range(2))
    blurred = ndimage.gaussian_filter(strokes, 2)
    assert scoot(strokes, others) > 0.5 > scoot(strokes, blurred)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((250, 200), 200, np.uint8), "one single grey"),
        (np.eye(7, dtype=np.uint8), "at least 8 x 8"),
        (np.eye(90), "uint8"),
        (grey(1, (200, 251)), "one size"),
    ],
)
def test_what_scoot_refuses(image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scoot(grey(0), image)
