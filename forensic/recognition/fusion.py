"""Fusion: the scores of several routes become one score.

Each route's score is first normalised by its cohort (``cohort.py``), so that one unit means about the same in all.
The fused score is their weighted sum, the weights found by logistic regression on searches of validation
identities. Every step is linear in the photo's templates: the fused search is one inner product with the routes'
templates side by side, and the mean of several sketches' scores is the score of their mean query.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forensic.errors import DataError
from forensic.exact import inner_products
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
        digest: SHA-256 of the file that it comes from.
    """

    weights: tuple[float, ...]
    cohorts: tuple[Cohort | None, ...]
    calibration: Calibration | None = None
    digest: str | None = None

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
        """Scores of many probes with many photos, shape (probes, photos), to the bit as a search has them.

        Each depends on its two templates alone: equal photos have equal scores, and a tie is a tie.

        Args:
            probes: For each route its templates, unit rows (probes, d).
            gallery: For each route its templates, unit rows (photos, d).
        """
        table = np.hstack([side.astype(np.float32) for side in gallery])
        scores = np.empty((len(probes[0]), len(table)))
        for row, templates in zip(scores, zip(*probes, strict=True), strict=True):
            query = self.query(templates)
            row[:] = inner_products([table], query.vector.astype(np.float32)).astype(np.float32)
            row += query.offset
        return scores

    def _one(self, templates: Sequence[NDArray[np.floating]]) -> Query:
        parts = []
        for weight, cohort, template in zip(self.weights, self.cohorts, templates, strict=True):
            query = Query(template.astype(np.float64), 0.0) if cohort is None else cohort.query(template)
            parts.append(Query(weight * query.vector, weight * query.offset))
        return Query(np.concatenate([part.vector for part in parts]), sum(part.offset for part in parts))


def fit_weights(searches: Sequence[tuple[ArrayLike, int]]) -> tuple[float, ...]:
    """Weights of routes by conditional logistic regression; none is negative, they sum to 1.

    The probability that a probe's mate is the gallery's photo ``j`` is taken as the softmax over ``j`` of the weighted
    scores, and that of the true mates is made as large as can be (McFadden, "Conditional logit analysis", 1973). So
    weights are what ranks mates before the strangers who look most like the probe; a regression over all pairs would
    mostly tell mates from strangers who look nothing like it.

    Args:
        searches: For each probe the routes' scores with the gallery, shape (photos, routes), and the row of its mate.

    Raises:
        DataError: There is no search, or no route ranks mates before strangers.
    """
    from scipy.optimize import minimize
    from scipy.special import logsumexp

    tables = [(np.asarray(scores, dtype=np.float64), mate) for scores, mate in searches]
    if not tables:
        raise DataError("Fusion needs searches with a mate; there is none.")
    routes = tables[0][0].shape[1]

    def loss(weights: Array) -> tuple[float, Array]:
        """Negative log-likelihood a search, and its gradient."""
        total, slope = 0.0, np.zeros(routes)
        for scores, mate in tables:
            fused = scores @ weights
            ratio = fused - logsumexp(fused)
            total -= ratio[mate]
            slope += np.exp(ratio) @ scores - scores[mate]
        return total / len(tables), slope / len(tables)

    bounds = [(0.0, None)] * routes  # a route that misleads is left out, not turned round
    found: Array = minimize(loss, np.full(routes, 1 / routes), jac=True, bounds=bounds, method="L-BFGS-B").x
    if found.sum() < 1e-6:
        raise DataError("No route ranks mates before strangers: every weight is zero.")
    return tuple((found / found.sum()).tolist())
