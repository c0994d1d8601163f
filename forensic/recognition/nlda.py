"""Null-space linear discriminant analysis, the recognizer of the face-sketch papers.

Chen, Liao, Ko, Lin and Yu, "A new LDA-based face recognition system which can solve the small sample size
problem", Pattern Recognition 33 (2000). Where samples are fewer than dimensions, whole directions exist in
which the samples of each class coincide (``w' Sw w = 0``); among those the method takes the ones that spread
the classes most (the largest ``w' Sb w``).
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from forensic.errors import DataError
from forensic.recognition.lda import Array, Projection, class_deviations, fix_signs

LARGE, NOTHING = 1e-4, 1e-7
"""Of the largest singular value: what its square keeps to eight digits, and what rounding of squares makes of zero."""


class NLDA(Projection):
    """Null-space LDA with orthonormal directions, ordered by falling between-class scatter.

    The first m columns of the projection are the projection to m dimensions, so one fit serves all.

    Args:
        n_components: at most so many directions; as many as the null space has if None (classes - 1 for
            samples in general position).
        pca: principal components that are kept before; all that the samples span if None.

    Attributes:
        mean_: mean of the fitting samples, shape (d,).
        projection_: orthonormal columns, shape (d, k).
    """

    def __init__(self, n_components: int | None = None, *, pca: int | None = None) -> None:
        self.n_components = n_components
        self.pca = pca

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to samples ``X`` (n, d) of classes ``y`` (n,).

        Raises:
            ValueError: if shapes or settings do not fit, or there are fewer than two classes.
            DataError: if the within-class scatter has no null space that separates the classes.
        """
        if any(setting is not None and setting < 1 for setting in (self.n_components, self.pca)):
            raise ValueError(f"n_components {self.n_components}, pca {self.pca}: give at least 1, or None.")
        features = np.asarray(X, dtype=np.float64)
        class_deviations(features[:, :1] if features.ndim == 2 else features, y)  # checks before the work
        mean = features.mean(axis=0)
        centred = features - mean
        # Outside the samples' own span both scatters vanish: the samples' coordinates in it say all.
        scores, spread = principal(centred)
        noise = spread.max(initial=0) * max(features.shape) * np.finfo(np.float64).eps
        rank = min(len(spread), self.pca or len(spread))
        scores, spread = scores[:, :rank], spread[:rank]
        within, between = class_deviations(scores * spread, y)

        _, lengths, axes = np.linalg.svd(np.linalg.qr(within, mode="r"), full_matrices=True)
        null = axes[int(np.sum(lengths > noise)) :].T
        _, separation, directions = np.linalg.svd(between @ null, full_matrices=False)
        kept = min(int(np.sum(separation > noise)), self.n_components or len(separation))
        if kept == 0:
            raise DataError(
                f"{features.shape[0]} samples of {len(between)} classes in {rank} dimensions leave no null "
                "space: NLDA needs more dimensions than samples less classes. Use RegularizedLDA here."
            )
        self.mean_ = mean
        # Transposed: that product is much faster where samples are few.
        self.projection_ = fix_signs(((scores / spread @ (null @ directions[:kept].T)).T @ centred).T)
        return self


def principal(centred: Array) -> tuple[Array, Array]:
    """Left singular vectors (n, r) and singular values (r,) of centred samples (n, d), those that are not zero.

    Samples of many dimensions are decomposed by the n x n matrix of their inner products, which costs a sixth of a
    decomposition of their own. That squares the singular values, so that small ones drown in rounding: where some are
    neither large nor nothing, they are computed from the samples.
    """
    n, d = centred.shape
    if n < d:
        squares, axes = np.linalg.eigh(centred @ centred.T)
        spread = np.sqrt(np.maximum(squares[::-1], 0))
        clear = spread > LARGE * spread[0]
        if not np.any(spread[~clear] > NOTHING * spread[0]):
            return axes[:, ::-1][:, clear], spread[clear]
    scores, spread, _ = np.linalg.svd(centred, full_matrices=False)
    clear = spread > spread[0] * max(n, d) * np.finfo(np.float64).eps
    return scores[:, clear], spread[clear]
