"""How well scores recognize: pure functions of score arrays, in the field's words.

A mate is the gallery's entry of the probe's own person. A higher score is a better one; ``-inf`` stands for a
comparison that could not be made because a face was not found. Terms follow ISO/IEC 19795-1 and NIST's FRTE:
CMC, FMR, FNMR, TAR, FPIR, FNIR.
"""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
MIDDLE = (0.025, 0.975)
"""Between these quantiles of the drawn figures lies a 95 % interval."""


class Interval(NamedTuple):
    """A figure and its bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, drawn: Array) -> Self:
        """A figure with the 95 % interval of its draws, shape (repeats,); those that are NaN could tell nothing."""
        low, high = np.nanquantile(drawn, MIDDLE)
        return cls(float(value), float(low), float(high))


class Difference(NamedTuple):
    """Mean of ``a - b`` over the same probes, its bootstrap interval and two-sided p-value."""

    value: float
    low: float
    high: float
    p: float


class Rates(NamedTuple):
    """Error rates of accepting every score of at least a threshold, thresholds falling."""

    thresholds: Array
    false_match: Array
    true_match: Array


def mate_ranks(scores: ArrayLike, probe_ids: ArrayLike, gallery_ids: ArrayLike) -> Array:
    """Rank of each probe's mate among the gallery's people, closed set.

    A person counts once, by the best of their entries. Ties count against the mate: everybody who scores at
    least as much as the mate stands before it, so that a constant score earns nothing.

    Args:
        scores: similarity of each probe to each gallery entry, shape (probes, gallery).
        probe_ids: person of each probe, shape (probes,).
        gallery_ids: person of each entry, shape (gallery,).

    Returns:
        1-based ranks, shape (probes,); infinite where the mate's score is ``-inf``.

    Raises:
        ValueError: if the shapes do not fit, a score is NaN or a probe has no mate in the gallery.

    >>> mate_ranks([[0.9, 0.1], [0.5, 0.5]], ["ann", "bob"], ["ann", "bob"])
    array([1., 2.])
    """
    table = np.asarray(scores, dtype=np.float64)
    people, columns = np.unique(np.asarray(gallery_ids), return_inverse=True)
    probes = np.asarray(probe_ids)
    if table.shape != (*probes.shape, *columns.shape):
        raise ValueError(f"Scores {table.shape} for {probes.shape} probes and {columns.shape} entries.")
    if np.isnan(table).any():
        raise ValueError("A score is NaN; use -inf where no comparison could be made.")
    if strangers := sorted(set(probes.tolist()) - set(people.tolist())):
        raise ValueError(f"{len(strangers)} probes have no mate in the gallery, among them {strangers[0]!r}.")
    order = np.argsort(columns, kind="stable")
    first = np.searchsorted(columns[order], np.arange(len(people)))
    best = np.maximum.reduceat(table[:, order], first, axis=1)
    mates = best[np.arange(len(probes)), np.searchsorted(people, probes)]
    return np.where(np.isneginf(mates), np.inf, (best >= mates[:, None]).sum(axis=1))


def hits(ranks: ArrayLike, depth: int) -> Array:
    """1 where a probe's mate is among the first 1, 2, ... depth candidates, shape (probes, depth)."""
    return (np.asarray(ranks)[:, None] <= np.arange(1, depth + 1)).astype(np.float64)


def resample(identities: ArrayLike, repeats: int, seed: int) -> tuple[Array, NDArray[Any]]:
    """How often each identity was drawn in each bootstrap repeat (repeats, people), and each row's person."""
    people, rows = np.unique(np.asarray(identities), return_inverse=True)
    uniform = np.full(len(people), 1 / len(people))
    return np.random.default_rng(seed).multinomial(len(people), uniform, repeats).astype(np.float64), rows


def bootstrap_means(
    values: ArrayLike, identities: ArrayLike, *, weights: ArrayLike = 1.0, repeats: int = 2000, seed: int = 0
) -> Array:
    """Weighted means of ``values`` when identities, with all their rows, are drawn anew with replacement.

    Args:
        values: one row a probe, shape (probes,) or (probes, figures).
        identities: the person of each row, shape (probes,).
        weights: how much each row counts, shape (probes,) or one number.
        repeats: how many bootstrap samples.
        seed: of the draws; equal seeds draw equal people, so that figures can be compared pairwise.

    Returns:
        Shape (repeats,) or (repeats, figures).
    """
    table = np.asarray(values, dtype=np.float64)
    counts, rows = resample(identities, repeats, seed)
    shares = np.broadcast_to(np.asarray(weights, dtype=np.float64), rows.shape)
    totals = np.zeros((counts.shape[1], *table.shape[1:]))
    np.add.at(totals, rows, table * shares.reshape(-1, *[1] * (table.ndim - 1)))
    sizes = counts @ np.bincount(rows, weights=shares)
    means: Array = (counts @ totals) / sizes.reshape(-1, *[1] * (table.ndim - 1))
    return means


def bootstrap_interval(
    values: ArrayLike, identities: ArrayLike, *, weights: ArrayLike = 1.0, repeats: int = 2000, seed: int = 0
) -> Interval:
    """Mean of ``values`` with its 95 % percentile bootstrap interval over identities.

    Where every probe is a hit the interval is a point, and stands for none: the bootstrap knows nothing of what it has
    not seen.

    Args:
        values: one number a probe, for instance 1 for a hit and 0 for a miss, shape (probes,).
        identities: the person of each probe; a person's probes are drawn together.
        weights: how much each probe counts.
        repeats: bootstrap samples.
        seed: of the draws.

    >>> bootstrap_interval([1, 1, 0, 1], ["a", "b", "c", "d"], seed=1)
    Interval(value=0.75, low=0.25, high=1.0)
    """
    means = bootstrap_means(values, identities, weights=weights, repeats=repeats, seed=seed)
    shares = np.broadcast_to(np.asarray(weights, dtype=np.float64), np.shape(values))
    return Interval.of(np.average(np.asarray(values), weights=shares), means)


def paired_difference(
    a: ArrayLike, b: ArrayLike, identities: ArrayLike, *, repeats: int = 2000, seed: int = 0
) -> Difference:
    """Mean of ``a - b`` over the same probes, with a 95 % bootstrap interval and a p-value.

    The p-value is twice the smaller share of bootstrap samples on the other side of zero (ties on both), at most 1. It
    is no smaller than so many samples can tell, 2 / (repeats + 1), and than n people of whom all differ in one
    direction, 2 ** (1 - n) as by a sign test.

    Args:
        a: figure of each probe under the one route, shape (probes,).
        b: the same probes under the other route.
        identities: the person of each probe.
        repeats: bootstrap samples.
        seed: of the draws.
    """
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    means = bootstrap_means(differences, identities, repeats=repeats, seed=seed)
    low, high = np.quantile(means, MIDDLE)
    p = 2 * min(float(np.mean(means <= 0)), float(np.mean(means >= 0)))
    differing = len(np.unique(np.asarray(identities)[differences != 0]))
    least = max(2 / (repeats + 1), 2.0 ** (1 - differing))
    value = float(differences.mean())
    return Difference(value, float(low), float(high), min(max(p, least), 1.0))


def roc(mated: ArrayLike, nonmated: ArrayLike) -> Rates:
    """False and true match rate at every threshold that changes one of them (verification).

    Args:
        mated: scores of comparisons of one person with themselves, shape (m,).
        nonmated: scores of comparisons of two people, shape (n,).

    Returns:
        Thresholds from +inf (nothing is accepted) down to the lowest score (everything is).

    Raises:
        ValueError: if either list is empty or holds NaN.

    >>> roc([0.9, 0.4], [0.5, 0.1])
    Rates(thresholds=array([inf, 0.9, 0.5, 0.4, 0.1]), false_match=array([0. , 0. , 0.5, 0.5, 1. ]), \
true_match=array([0. , 0.5, 0.5, 1. , 1. ]))
    """
    mates, strangers = _scores(mated, "mated"), _scores(nonmated, "nonmated")
    thresholds = np.unique(np.concatenate([mates, strangers]))[::-1]
    return Rates(
        np.concatenate([[np.inf], thresholds]),
        np.concatenate([[0.0], _share_at_least(strangers, thresholds)]),
        np.concatenate([[0.0], _share_at_least(mates, thresholds)]),
    )


def det(mated: ArrayLike, nonmated: ArrayLike) -> tuple[Array, Array]:
    """Detection error trade-off: false match rate and false non-match rate at falling thresholds.

    >>> det([0.9, 0.4], [0.5, 0.1])
    (array([0. , 0. , 0.5, 0.5, 1. ]), array([1. , 0.5, 0.5, 0. , 0. ]))
    """
    rates = roc(mated, nonmated)
    return rates.false_match, 1 - rates.true_match


def eer(mated: ArrayLike, nonmated: ArrayLike) -> float:
    """Equal error rate: where the DET's straight-line segments cross FMR = FNMR.

    >>> eer([0.9, 0.4], [0.5, 0.1])
    0.5
    """
    false_match, false_non_match = det(mated, nonmated)
    gap = false_match - false_non_match  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = gap[after] / (gap[after] - gap[after - 1])
    return float(false_match[after] + share * (false_match[after - 1] - false_match[after]))


def fnir_at_fpir(
    mates: ArrayLike,
    best_strangers: ArrayLike,
    fpir: float,
    *,
    ranks: ArrayLike | None = None,
    depth: int = 1,
) -> float:
    """False negative identification rate at a false positive identification rate (open set).

    Candidates are returned above a threshold, the lowest one at which at most a share ``fpir`` of the
    searches without a mate returns anybody.

    Args:
        mates: the mate's score in each search that has a mate, ``-inf`` where no face was found, shape (m,).
        best_strangers: the highest score in each search that has no mate, shape (n,).
        fpir: the false positive identification rate, in [0, 1).
        ranks: the mate's rank in each search that has one; a mate beyond ``depth`` is missed then.
        depth: length of the candidate list, used with ``ranks``.

    Raises:
        ValueError: if a list is empty or holds NaN, or ``fpir`` is outside [0, 1).

    >>> fnir_at_fpir([0.9, 0.4, 0.8], [0.5, 0.1], fpir=0.0)
    0.3333333333333333
    """
    found, strangers = _scores(mates, "mates"), np.sort(_scores(best_strangers, "best_strangers"))[::-1]
    if not 0 <= fpir < 1:
        raise ValueError(f"FPIR is {fpir}; give a share in [0, 1).")
    # The epsilon keeps 0.29 * 100 from being 28; 'above' is strict, so a tie at the threshold is turned away.
    threshold = strangers[int(fpir * len(strangers) + 1e-9)]
    missed = found <= threshold
    if ranks is not None:
        missed |= np.asarray(ranks) > depth
    return float(missed.mean())


def fnir_interval(
    mates: ArrayLike,
    best_strangers: ArrayLike,
    identities: ArrayLike,
    fpir: float,
    *,
    ranks: ArrayLike,
    depth: int,
    repeats: int = 2000,
    seed: int = 0,
) -> Interval:
    """``fnir_at_fpir`` with its 95 % bootstrap interval, where every probe is searched with and without its mate.

    Identities are drawn anew with both searches of all their probes, and the threshold is sought again each time.

    Args:
        mates: the mate's score in each probe's search with the mate, shape (probes,).
        best_strangers: the highest score in the same probe's search without, shape (probes,).
        identities: the person of each probe.
        fpir: the false positive identification rate.
        ranks: the mate's rank in the search with it; beyond ``depth`` it is missed.
        depth: length of the candidate list.
        repeats: bootstrap samples.
        seed: of the draws.
    """
    found, strangers = _scores(mates, "mates"), _scores(best_strangers, "best_strangers")
    value = fnir_at_fpir(found, strangers, fpir, ranks=ranks, depth=depth)
    counts, rows = resample(identities, repeats, seed)
    drawn = counts[:, rows]
    order = np.argsort(-strangers, kind="stable")
    above = np.cumsum(drawn[:, order], axis=1)
    at = np.argmax(above > fpir * above[:, -1:] + 1e-9, axis=1)
    missed = (found <= strangers[order][at][:, None]) | (np.asarray(ranks) > depth)
    return Interval.of(value, (drawn * missed).sum(axis=1) / drawn.sum(axis=1))


def _scores(scores: ArrayLike, name: str) -> Array:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not len(values) or np.isnan(values).any():
        raise ValueError(f"{name} must be a list of at least one score without NaN; shape {values.shape}.")
    return values


def _share_at_least(scores: Array, thresholds: Array) -> Array:
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    share: Array = (len(scores) - below) / len(scores)  # not 1 - ...: 1/n stays the nearest number to 1/n
    return share
