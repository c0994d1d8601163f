"""Frechet distance of two Gaussians that were fitted to features."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def frechet_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Squared 2-Wasserstein distance of the Gaussians fitted to two sets of features (Dowson and Landau, 1982).

    |m1 - m2|² + Tr(S1 + S2 - 2 (S1 S2)^½) with unbiased covariances. With S = AᵀA for the centred and scaled
    features A, the trace of the root is the sum of the singular values of A1 A2ᵀ: no root of a matrix has to be
    found, and covariances of deficient rank (fewer images than dimensions) are no special case.

    Args:
        first: Features, shape (n, d), n at least 2.
        second: Features, shape (m, d), m at least 2.

    Returns:
        The distance, 0 or more; it depends on n and m, so compare only figures of equal ones.

    Raises:
        ValueError: The shapes do not fit or a feature is not finite.

    >>> round(frechet_distance([[0.0], [2.0]], [[3.0], [5.0]]), 6)
    9.0
    """
    from scipy.linalg import svdvals

    sets = [np.asarray(features, dtype=np.float64) for features in (first, second)]
    if any(table.ndim != 2 or len(table) < 2 for table in sets) or sets[0].shape[1] != sets[1].shape[1]:
        raise ValueError(f"Expected features (n, d) and (m, d) of two or more, got {sets[0].shape}, {sets[1].shape}.")
    if not all(np.isfinite(table).all() for table in sets):
        raise ValueError("A feature is not finite.")
    means = [table.mean(axis=0) for table in sets]
    roots = [_root(table - mean) for table, mean in zip(sets, means, strict=True)]
    traces = sum(float((root**2).sum()) for root in roots)
    distance = float(((means[0] - means[1]) ** 2).sum()) + traces - 2 * float(svdvals(roots[0] @ roots[1].T).sum())
    return max(distance, 0.0)


def _root(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix R with RᵀR the covariance, and no more than d rows."""
    from scipy.linalg import qr

    scaled: NDArray[np.float64] = centred / np.sqrt(len(centred) - 1)
    if len(scaled) <= scaled.shape[1]:
        return scaled
    (root,) = qr(scaled, mode="r")
    shortened: NDArray[np.float64] = root[: scaled.shape[1]]
    return shortened
