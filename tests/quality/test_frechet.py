"""The Frechet distance against its closed form and its formula."""

import math

import numpy as np
import pytest
from scipy import linalg

from forensic.quality.frechet import frechet_distance


def with_moments(mean: np.ndarray, deviations: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Features with exactly this mean and this diagonal covariance."""
    raw = np.random.default_rng(seed).normal(size=(count, len(mean)))
    orthogonal, _ = np.linalg.qr(raw - raw.mean(axis=0))
    return orthogonal * math.sqrt(count - 1) * deviations + mean


@pytest.mark.parametrize("count", [6, 40])
def test_frechet_distance_of_diagonal_covariances(count: int) -> None:
    means = np.array([1.0, -2.0, 0.5, 3.0]), np.array([0.0, 1.0, 0.5, -1.0])
    deviations = np.array([1.0, 2.0, 0.5, 0.0]), np.array([3.0, 1.0, 0.25, 1.0])
    sets = [with_moments(mean, spread, count, 1) for mean, spread in zip(means, deviations, strict=True)]
    expected = ((means[0] - means[1]) ** 2).sum() + ((deviations[0] - deviations[1]) ** 2).sum()
    assert frechet_distance(*sets) == pytest.approx(expected)


def test_frechet_distance_is_the_formula_with_a_matrix_root() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(50, 6)) @ draw.normal(size=(6, 6)), draw.normal(size=(30, 6)) + 1
    sa, sb = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(sa @ sb)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(sa + sb - 2 * root.real)
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_frechet_distance_of_fewer_images_than_dimensions() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(5, 400)), draw.normal(size=(7, 400))
    assert frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 2) == pytest.approx(4 * 400)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    for wrong in (a[:1], a[:, :3], a * np.nan):
        with pytest.raises(ValueError, match=r"Expected|finite"):
            frechet_distance(wrong, b)
