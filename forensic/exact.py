"""Inner products that do not depend on who computes them: the index and the engines give the same list, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 64
"""Rows that are converted together: new memory for all of them would take longer than the products."""


def checked(queries: NDArray[Any], dimensions: int | None, k: int) -> NDArray[np.float32]:
    """The queries of a search in single precision, shape (q, d).

    Args:
        queries: As they were given.
        dimensions: Length of a template; None where there is none.
        k: How many candidates are asked for.

    Raises:
        ValueError: They are not (q, d) or not finite, or ``k`` is below 1.
    """
    with np.errstate(over="ignore"):  # what is too large is told in words
        probes: NDArray[np.float32] = np.ascontiguousarray(queries, dtype=np.float32)
    if probes.ndim != 2 or dimensions not in (None, probes.shape[1]):
        raise ValueError(f"Queries of shape {probes.shape} cannot search templates of {dimensions}.")
    if not np.isfinite(probes).all():  # else it is nowhere in the order, and gets what another one found
        raise ValueError("A query holds a value that is not finite; describe that face again.")
    if k < 1:
        raise ValueError(f"k is {k}: a search needs at least one candidate.")
    return probes


def inner_products(
    parts: Sequence[NDArray[np.float32]], queries: NDArray[np.floating], whose: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Inner products of rows with queries in double precision, shape (n,).

    Each is a dot product of its own, so that it is the same whatever other rows there are. None of BLAS's threads is
    woken, which would look for more work for a while and slow down the networks' threads.

    Args:
        parts: The rows, in one or several matrices side by side, (n, d) together.
        queries: One query for all rows, (d,); or several, (q, d).
        whose: The number of each row's query, (n,), where there are several.
    """
    count, width = len(parts[0]), queries.shape[-1]
    products = np.empty(count)
    exact: NDArray[np.float64] = queries.astype(np.float64)
    rows, theirs = np.empty((BLOCK, width)), np.empty((BLOCK, width))
    for start in range(0, count, BLOCK):
        some = slice(start, min(start + BLOCK, count))
        held = rows[: some.stop - start]
        np.concatenate([part[some] for part in parts], axis=1, out=held)
        wanted = exact if whose is None else exact.take(whose[some], axis=0, out=theirs[: len(held)], mode="clip")
        np.vecdot(held, wanted, out=products[some])
    return products
