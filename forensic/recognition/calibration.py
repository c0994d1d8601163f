"""Scores as evidence: calibrated and bounded likelihood ratios, their words, and how good they are.

A score only ranks. The likelihood ratio LR = P(score | same person) / P(score | different people) says how much
more the score of one probe and one gallery person is to be expected if they are one person than if they are
two. It holds for the kind of sketch and the population that it was fitted on, and is no probability of a match:
that takes the prior odds as well, which are not the toolkit's to know.

Every LR here is a log10, so 0 is neutral. The measures take those of mated comparisons (one person with themselves),
shape (m,), and of non-mated ones (two people), shape (n,); an empty list or a NaN is a ``ValueError``.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forensic.errors import DataError

Array = NDArray[np.float64]

MINIMUM = 10
"""Fewest comparisons of either class that a calibration is fitted to."""
STEP = 0.01
"""Grid of the log10 LR on which the bounds are sought."""
BITS = math.log2(10)
"""In a decimal digit."""
SUPPORT = (
    (6.0, "extremely strong"),
    (4.0, "very strong"),
    (3.0, "strong"),
    (2.0, "moderately strong"),
    (1.0, "moderate"),
    (float(np.log10(2)), "weak"),
)
"""Least size of the log10 LR that earns each word."""


class Bounds(NamedTuple):
    """The smallest and the largest log10 LR that the data allow."""

    lower: float
    upper: float


class CrossEntropy(NamedTuple):
    """Empirical cross entropy in bits over prior log10 odds; the curves of ``ece_curve``."""

    prior_log_odds: Array
    system: Array
    pav: Array
    reference: Array


class Tippett(NamedTuple):
    """Share of mated and of non-mated comparisons with at least each log10 LR."""

    log_lr: Array
    mated: Array
    nonmated: Array


class Misleading(NamedTuple):
    """Share of mated comparisons with LR < 1, and of non-mated ones with LR > 1."""

    mated: float
    nonmated: float


class Measured(NamedTuple):
    """How good a calibration's likelihood ratios were found to be, on comparisons that it was not fitted to.

    Attributes:
        data: What was compared, in words.
        cllr: Cost of the log LRs in bits, see `cllr`.
        source: Where the measurement is published.
    """

    data: str
    cllr: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """``log10 LR = clip(slope * score + intercept, lower, upper)``, and what it was fitted on.

    Applying it needs numpy alone; ``fit`` needs scikit-learn.

    Args:
        kind: kind of sketch, for instance 'viewed'.
        population: the reference population, in words.
        people: how many people the comparisons were drawn from.
        mated: number of comparisons of one person with themselves.
        nonmated: number of comparisons of two people.
        slope: log10 LR per unit of score, above 0: more alike is never weaker evidence.
        intercept: log10 LR of the score 0, before bounding.
        lower: the smallest log10 LR that is stated, at most 0.
        upper: the largest one, at least 0.
        measured: how good its LRs were elsewhere; empty where nobody measured them.

    Raises:
        DataError: if a field has another type or lies outside its range.
    """

    kind: str
    population: str
    people: int
    mated: int
    nonmated: int
    slope: float
    intercept: float
    lower: float
    upper: float
    measured: tuple[Measured, ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "measured" and type(value) is not field.type:
                wanted = getattr(field.type, "__name__", field.type)
                raise DataError(f"Calibration: {field.name} is {value!r}; give a {wanted}.")
        if not (self.kind.strip() and self.population.strip()):
            raise DataError("Calibration: name the kind of sketch and the reference population; one is empty.")
        if min(self.mated, self.nonmated) < MINIMUM or self.people < 2:
            raise DataError(
                f"Calibration: {self.mated} mated and {self.nonmated} non-mated comparisons of {self.people} people; "
                f"give at least {MINIMUM} of each, of at least 2 people."
            )
        if not np.isfinite([self.slope, self.intercept, self.lower, self.upper]).all():
            raise DataError("Calibration: a parameter is not finite; fit it again.")
        if self.slope <= 0:
            raise DataError(
                f"Calibration: the slope is {self.slope:g}, so a higher score would not mean more alike. "
                "Check that higher scores are better ones and that the mated flags are right."
            )
        if not self.lower <= 0 <= self.upper:
            raise DataError(f"Calibration: bounds {self.lower:g} to {self.upper:g} must enclose 0.")
        for line in self.measured:
            if not (line.data and line.source and type(line.cllr) is float and 0 <= line.cllr < np.inf):
                raise DataError(f"Calibration: {line!r} is no measurement; give data, a Cllr of at least 0, a source.")

    @classmethod
    def fit(cls, scores: ArrayLike, mated: ArrayLike, *, kind: str, population: str, people: int) -> Self:
        """Fit a logistic regression to the scores, and the bounds to its LRs.

        Both classes weigh the same, so the share of mated comparisons, which is the design's and not the case's,
        cancels from the odds. Millions of non-mated comparisons are used as they are.

        Args:
            scores: similarity of one probe and one gallery person, higher is more alike, shape (n,).
            mated: True where the two are one person, shape (n,).
            kind: kind of sketch.
            population: the reference population, in words.
            people: how many people the comparisons were drawn from.

        Raises:
            DataError: if shapes or types do not fit, a score is not finite, either class has fewer than
                ``MINIMUM`` comparisons, or the fitted slope is not positive.
        """
        values, labels = np.asarray(scores, dtype=np.float64), np.asarray(mated)
        if values.ndim != 1 or labels.shape != values.shape or labels.dtype != np.bool_:
            raise DataError(f"Scores {values.shape}, mated flags {labels.shape} {labels.dtype}: give one bool a score.")
        if not np.isfinite(values).all():
            raise DataError("A score is not finite; leave out comparisons that could not be made.")
        count = int(labels.sum())
        if min(count, len(labels) - count) < MINIMUM:
            raise DataError(
                f"{count} mated and {len(labels) - count} non-mated comparisons; give at least {MINIMUM} of each."
            )
        slope, intercept = _logistic(values, labels)
        log_lr = slope * values + intercept
        lower, upper = elub(log_lr[labels], log_lr[~labels])
        # Comparisons that share a person are not independent: beyond one in so many people nothing was observed.
        limit = float(np.log10(people))
        lower, upper = max(lower, -limit), min(upper, limit)
        others = len(labels) - count
        return cls(
            kind=kind,
            population=population,
            people=people,
            mated=count,
            nonmated=others,
            slope=slope,
            intercept=intercept,
            lower=lower,
            upper=upper,
        )

    def log_lr(self, scores: ArrayLike) -> Array:
        """Bounded log10 LR of each score, any shape.

        Raises:
            ValueError: if a score is not finite: a comparison that could not be made is no evidence.
        """
        values = np.asarray(scores, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("A score is not finite; leave out comparisons that could not be made.")
        return np.clip(self.slope * values + self.intercept, self.lower, self.upper)

    def of_leads(self) -> Self:
        """The calibration as its LRs are stated of a search's candidates: never below 1.

        Mates are mostly another photo than the one that was drawn, and more than half of such comparisons have an LR
        below 1 (``misleading, mated`` in docs/results/recognition.md, FS2K): that must not speak against the person.
        """
        return replace(self, lower=0.0)

    def bounded(self, log_lr: ArrayLike) -> NDArray[np.bool_]:
        """True where a log10 LR lies at a bound: read it as 'at least' above 0 and as 'at most' below."""
        values = np.asarray(log_lr, dtype=np.float64)
        return np.asarray((values <= self.lower) | (values >= self.upper))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; without ``measured`` where it is empty."""
        plain = asdict(self)
        measured = [line._asdict() for line in plain.pop("measured")]
        return plain | ({"measured": measured} if measured else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The calibration that ``to_dict`` wrote.

        Raises:
            DataError: if a key is unknown or missing, or a value does not fit.
        """
        known = {field.name for field in fields(cls)}
        needed = known - {"measured"}
        if unknown := sorted(set(data) - known):
            raise DataError(f"Calibration: unknown keys {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
        if missing := sorted(needed - set(data)):
            raise DataError(f"Calibration: {', '.join(missing)} missing; write it with to_dict().")
        try:
            measured = tuple(Measured(**line) for line in data.get("measured", ()))
        except TypeError:
            raise DataError("Calibration: measured is no list of data, cllr and source.") from None
        return cls(**{**data, "measured": measured})


def elub(mated: ArrayLike, nonmated: ArrayLike) -> Bounds:
    """Empirical lower and upper bound of log10 LRs: where more data would be needed to go on.

    At a threshold t, decide 'same person' if LR > t. A stated LR of t is worth its name while deciding by the
    system costs no more than deciding without it, one misleading comparison being added to each class so that
    n comparisons never speak for more than n + 1 (Vergeer et al., "Numerical likelihood ratios outputted by LR
    systems are often based on extrapolation: when to stop extrapolating?", Science & Justice 56, 2016).

    They are sought by counting in sorted arrays, which takes two million comparisons one by one; a table of every
    comparison at every threshold would take more than 10 GB.
    """
    mates, strangers = np.sort(_checked(mated, "mated")), np.sort(_checked(nonmated, "nonmated"))
    lowest = max(min(mates[0], strangers[0]), -np.log10(len(mates) + 1))
    highest = min(max(mates[-1], strangers[-1]), np.log10(len(strangers) + 1))
    steps = np.arange(min(0, int(lowest // STEP)), max(0, int(highest // STEP) + 1) + 1)
    thresholds = 10.0 ** (steps * STEP)
    missed = (np.searchsorted(mates, steps * STEP, side="right") + 1) / (len(mates) + 1)
    accepted = (len(strangers) - np.searchsorted(strangers, steps * STEP, side="right") + 1) / (len(strangers) + 1)
    neutral = np.minimum(thresholds, 1.0)  # the cost of LR = 1: accept everybody below t = 1, nobody from there on
    worse = neutral < missed + thresholds * accepted
    lower = np.max(steps[worse & (steps <= 0)] + 1, initial=steps[0])
    upper = np.min(steps[worse & (steps >= 0)] - 1, initial=steps[-1])
    return Bounds(float(min(lower, 0) * STEP), float(max(upper, 0) * STEP))


def verbal(log_lr: float) -> str:
    """What a log10 LR supports and how strongly, short enough for a table's cell.

    Words and intervals of the ENFSI Guideline for Evaluative Reporting in Forensic Science (2015): LR from 2 weak,
    10 moderate, 100 moderately strong, 1,000 strong, 10,000 very strong, 1,000,000 extremely strong; below 1 the
    same of 1 / LR, for the alternative. An interval holds its lower end; between 1/2 and 2 neither is supported.

    Raises:
        ValueError: if ``log_lr`` is NaN.

    >>> verbal(2.5), verbal(-1.0), verbal(0.1)
    ('moderately strong support: same person', 'moderate support: different people', 'no support for either')
    """
    if np.isnan(log_lr):
        raise ValueError("The log10 LR is NaN; a comparison that could not be made has no verbal equivalent.")
    proposition = "same person" if log_lr > 0 else "different people"
    for least, words in SUPPORT:
        if abs(log_lr) >= least:
            return f"{words} support: {proposition}"
    return "no support for either"


def cllr(mated: ArrayLike, nonmated: ArrayLike) -> float:
    """Cost of the log LRs in bits: 0 is perfect, 1 is what LR = 1 throughout costs, more is harmful.

    Brümmer and du Preez, "Application-independent evaluation of speaker detection", 2006.

    >>> cllr([0.0], [0.0])
    1.0
    """
    return _cross_entropy(_checked(mated, "mated"), _checked(nonmated, "nonmated"), 0.0)


def cllr_min(mated: ArrayLike, nonmated: ArrayLike) -> float:
    """The part of ``cllr`` that no recalibration removes: its value after pool-adjacent-violators (PAV)."""
    return cllr(*_pav(mated, nonmated))


def ece_curve(mated: ArrayLike, nonmated: ArrayLike, prior_log_odds: ArrayLike | None = None) -> CrossEntropy:
    """How uncertain one remains on average with the LRs, for every prior (Ramos and Gonzalez-Rodriguez, 2013).

    ``prior_log_odds``, of 'same person' beforehand, are -3 to 3 in steps of 0.1 if None. The curves are those of
    the LRs, of their best monotone recalibration (PAV) and of LR = 1. The system's at 0 is its ``cllr``; where it
    lies above the reference, the LRs do harm.
    """
    grid = np.linspace(-3, 3, 61) if prior_log_odds is None else np.asarray(prior_log_odds, dtype=np.float64)
    system = _checked(mated, "mated"), _checked(nonmated, "nonmated")
    neutral = np.zeros(1), np.zeros(1)
    curves = (
        np.array([_cross_entropy(*log_lrs, log_odds) for log_odds in grid])
        for log_lrs in (system, _pav(*system), neutral)
    )
    return CrossEntropy(grid, *curves)


def tippett(mated: ArrayLike, nonmated: ArrayLike, log_lrs: ArrayLike | None = None) -> Tippett:
    """Share of comparisons with at least each log10 LR; at 501 points over their range if none are given.

    >>> tippett([1.0, 2.0], [-1.0, 1.0], [0.0, 1.0, 2.0])
    Tippett(log_lr=array([0., 1., 2.]), mated=array([1. , 1. , 0.5]), nonmated=array([0.5, 0.5, 0. ]))
    """
    mates, strangers = np.sort(_checked(mated, "mated")), np.sort(_checked(nonmated, "nonmated"))
    ends = min(mates[0], strangers[0]), max(mates[-1], strangers[-1])
    grid = np.linspace(*ends, 501) if log_lrs is None else np.asarray(log_lrs, dtype=np.float64)
    shares = (1 - np.searchsorted(values, grid) / len(values) for values in (mates, strangers))
    return Tippett(grid, *shares)


def misleading(mated: ArrayLike, nonmated: ArrayLike) -> Misleading:
    """Rates of misleading evidence: how often an LR supports the wrong proposition.

    >>> misleading([1.0, -0.5], [-1.0, 0.0, 0.2, -2.0])
    Misleading(mated=0.5, nonmated=0.25)
    """
    mates, strangers = _checked(mated, "mated"), _checked(nonmated, "nonmated")
    return Misleading(float(np.mean(mates < 0)), float(np.mean(strangers > 0)))


def _logistic(scores: Array, mated: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of the log10 LR by a logistic regression in which both classes weigh the same."""
    from sklearn.linear_model import LogisticRegression

    centre, spread = float(scores.mean()), float(scores.std())
    if np.ptp(scores) == 0:
        return 0.0, 0.0
    # Standardized, the regression's weak ridge means the same for every scale of scores; it keeps the slope finite
    # where the classes do not overlap.
    standard = ((scores - centre) / spread).reshape(-1, 1)
    line = LogisticRegression(class_weight="balanced", tol=1e-8, max_iter=1000).fit(standard, mated)
    slope = float(line.coef_[0, 0]) / (spread * math.log(10))
    return slope, float(line.intercept_[0]) / math.log(10) - slope * centre


def _cross_entropy(mates: Array, strangers: Array, log_odds: float) -> float:
    """Mean uncertainty in bits that the LRs leave at these prior log10 odds of 'same person'."""
    prior = 1 / (1 + 10.0**-log_odds)
    missed = np.logaddexp2(0.0, -BITS * (mates + log_odds)).mean()
    accepted = np.logaddexp2(0.0, BITS * (strangers + log_odds)).mean()
    return float(prior * missed + (1 - prior) * accepted)


def _pav(mated: ArrayLike, nonmated: ArrayLike) -> tuple[Array, Array]:
    """The log10 LRs after their best monotone recalibration, for which their order alone counts."""
    from sklearn.isotonic import IsotonicRegression

    mates, strangers = _checked(mated, "mated"), _checked(nonmated, "nonmated")
    order = np.unique(np.concatenate([mates, strangers]), return_inverse=True)[1]
    labels = np.arange(len(order)) < len(mates)
    # At even odds beforehand the posterior odds are the LR.
    weights = np.where(labels, 1 / len(mates), 1 / len(strangers))
    posterior = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(order, labels, sample_weight=weights)
    with np.errstate(divide="ignore"):
        best = np.log10(posterior) - np.log10(1 - posterior)
    return best[labels], best[~labels]


def _checked(log_lr: ArrayLike, name: str) -> Array:
    values = np.asarray(log_lr, dtype=np.float64)
    if values.ndim != 1 or not len(values) or np.isnan(values).any():
        raise ValueError(f"{name} must be a list of at least one log10 LR without NaN; shape {values.shape}.")
    return values
