"""Fusion: the scores of several routes become one score.

Each route's score is first normalised by its cohort (``cohort.py``), so that one unit means about the same in all.
The fused score is their weighted sum, the weights found by logistic regression on comparisons of validation
identities. Every step is linear in the photo's templates: the fused search is one inner product with the routes'
templates side by side, and the mean of several sketches' scores is the score of their mean query.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forensic.errors import DataError
from forensic.recognition.calibration import Calibration
from forensic.recognition.cohort import Cohort, Query

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scoring:
    """What makes one score of the templates of one or more routes.

    Attributes:
        weights: How much each route counts, shape (routes,).
        cohorts: Each route's cohort; None where a route has none and its cosines stand as they are.
        calibration: From a score to a likelihood ratio, where it was fitted.
    """

    weights: tuple[float, ...]
    cohorts: tuple[Cohort | None, ...]
    calibration: Calibration | None = None

    @classmethod
    def plain(cls, routes: int) -> "Scoring":
        """The mean of the routes' cosines: no cohort, no calibration."""
        return cls((1 / routes,) * routes, (None,) * routes)

    def query(self, *probes: Sequence[NDArray[np.floating]]) -> Query:
        """One search's query, to be scored with the routes' gallery templates side by side.

        Args:
            probes: One or more sketches **of one person**, each with its unit template under every route, shapes (d,).
        """
        queries = [self._one(templates) for templates in probes]
        vector: Array = np.mean([query.vector for query in queries], axis=0)
        return Query(vector, float(np.mean([query.offset for query in queries])))

    def scores(self, probes: Sequence[NDArray[np.floating]], gallery: Sequence[NDArray[np.floating]]) -> Array:
        """Scores of many probes with many photos, shape (probes, photos).

        Args:
            probes: For each route its templates, unit rows (probes, d).
            gallery: For each route its templates, unit rows (photos, d).
        """
        table = np.hstack([side.astype(np.float64) for side in gallery])
        queries = [self.query(templates) for templates in zip(*probes, strict=True)]
        if not queries:
            return np.empty((0, len(table)))
        vectors = np.stack([query.vector for query in queries])
        scores: Array = vectors @ table.T + np.array([query.offset for query in queries])[:, None]
        return scores

    def _one(self, templates: Sequence[NDArray[np.floating]]) -> Query:
        parts = []
        for weight, cohort, template in zip(self.weights, self.cohorts, templates, strict=True):
            query = Query(template.astype(np.float64), 0.0) if cohort is None else cohort.query(template)
            parts.append(Query(weight * query.vector, weight * query.offset))
        return Query(np.concatenate([part.vector for part in parts]), sum(part.offset for part in parts))


def fit_weights(scores: ArrayLike, mated: ArrayLike) -> tuple[float, ...]:
    """Weights of routes by logistic regression of 'the same person' on their scores; none is negative, they sum to 1.

    A route whose weight would be negative says nothing that the others do not; it is left out and the rest fitted
    again.

    Args:
        scores: Normalised scores of comparisons, shape (comparisons, routes).
        mated: Whether a comparison is of one person, shape (comparisons,).

    Raises:
        DataError: There is no mated or no other comparison, or no route tells them apart.
    """
    from sklearn.linear_model import LogisticRegression

    table, labels = np.asarray(scores, dtype=np.float64), np.asarray(mated, dtype=bool)
    if labels.all() or not labels.any():
        raise DataError("Fusion needs comparisons of one person and of two; one kind is missing.")
    weights = np.zeros(table.shape[1])
    kept = np.arange(table.shape[1])
    while len(kept):
        found = LogisticRegression(C=1e3, class_weight="balanced").fit(table[:, kept], labels).coef_[0]
        if (found > 0).all():
            weights[kept] = found / found.sum()
            return tuple(weights.tolist())
        kept = kept[found > 0]
    raise DataError("No route tells mates from others: every weight is zero or below.")
