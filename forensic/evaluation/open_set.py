"""Open set, as NIST's FRTE 1:N reports it, and verification: what happens when the person may not be there.

Searches without a mate are the same probes in the same gallery with every photo of their own person taken out. NIST
takes other people for them; a data set of a few hundred would lose half of its searches of either kind by that. The
two searches of a probe are drawn together in the bootstrap, so that the interval knows of their kinship.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forensic.evaluation.accuracy import RESOLVED, AtRate, OpenSet, Tradeoff, Verification
from forensic.evaluation.systems import Trial
from forensic.recognition import evaluation
from forensic.recognition.evaluation import Interval

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

FPIRS = (0.01, 0.003)
FARS = (0.01, 0.001, 0.0001)
DEPTH = 50
CURVE = 120
GRID = 1000
"""Thresholds on which verification is bootstrapped; its figures themselves use every score."""
REPEATS = 1000


def same_person(trial: Trial, distractors: int) -> Bools:
    """Whether each comparison is of one person, shape (probes, photos)."""
    _, codes = np.unique(np.concatenate([trial.probes.people, trial.photo_people(distractors)]), return_inverse=True)
    probes = len(trial.probes.people)
    same: Bools = codes[:probes, None] == codes[None, probes:]
    return same


def open_set(trial: Trial, seed: int) -> Iterator[OpenSet]:
    """Identification by every system, without distractors and with all."""
    people = trial.probes.people
    for size in trial.sizes():
        same = same_person(trial, size)
        for name in trial.own:
            scores = trial.scores(name, size)
            mates = np.where(same, scores, -np.inf).max(axis=1)
            strangers = np.where(same, -np.inf, scores).max(axis=1)
            ranks = evaluation.mate_ranks(scores, people, trial.photo_people(size))
            yield OpenSet(
                route=name,
                distractors=size,
                gallery=trial.size(size),
                mated=len(mates),
                nonmated=len(strangers),
                failed=int((~trial.probes.found).sum()),
                depth=DEPTH,
                fnir={f"{fpir:g}": _fnir(mates, strangers, ranks, people, fpir, seed) for fpir in FPIRS},
                no_threshold={
                    rank: evaluation.bootstrap_interval(ranks > rank, people, seed=seed) for rank in (1, DEPTH)
                },
                curve=_tradeoff(mates, strangers, ranks),
            )


def _fnir(mates: Array, strangers: Array, ranks: Array, people: NDArray[np.str_], fpir: float, seed: int) -> AtRate:
    figure = evaluation.fnir_interval(mates, strangers, people, fpir, ranks=ranks, depth=DEPTH, seed=seed)
    return _at(figure, fpir, len(strangers))


def _at(figure: Interval, rate: float, trials: int) -> AtRate:
    allowed = int(rate * trials + 1e-9)
    return AtRate(figure, allowed, allowed >= RESOLVED)


def _tradeoff(mates: Array, strangers: Array, ranks: Array) -> Tradeoff:
    """FNIR wherever one more search without a mate returns somebody, thinned evenly in the logarithm."""
    count = len(strangers)
    allowed = np.unique(np.geomspace(1, max(count - 1, 1), CURVE).round().astype(int)) if count > 1 else [0]
    alarms = [int(k) / count for k in allowed]
    misses = [evaluation.fnir_at_fpir(mates, strangers, rate, ranks=ranks, depth=DEPTH) for rate in alarms]
    return Tradeoff(tuple(alarms), tuple(misses))


def verification(trial: Trial, seed: int) -> Iterator[Verification]:
    """Every probe compared with every photo by every system, without distractors and with all."""
    for size in trial.sizes():
        same = same_person(trial, size)
        for name in trial.own:
            scores = trial.scores(name, size)
            mated, nonmated = scores[same], scores[~same]
            if not len(nonmated):
                continue
            rates = evaluation.roc(mated, nonmated)
            counts = _counted(scores, same, trial.probes.people)
            drawn = _drawn(counts, trial.probes.people, seed)
            tar = {}
            for far in FARS:
                value = float(rates.true_match[rates.false_match <= far].max())
                accepted = np.where(drawn.false_match <= far, drawn.true_match, 0.0).max(axis=1)
                tar[f"{far:g}"] = _at(_around(value, accepted), far, len(nonmated))
            eer = _around(evaluation.eer(mated, nonmated), _equal(drawn))
            yield Verification(name, size, len(mated), len(nonmated), tar, eer, _det(rates))


class _Counts(NamedTuple):
    """Accepted comparisons of each person's probes at falling thresholds, shape (people, thresholds)."""

    mated: Array
    nonmated: Array


class _Drawn(NamedTuple):
    """Rates in each bootstrap repeat at falling thresholds, shape (repeats, thresholds)."""

    false_match: Array
    true_match: Array


def _counted(scores: Array, same: Bools, people: NDArray[np.str_]) -> _Counts:
    _, rows = np.unique(people, return_inverse=True)
    grid = _grid(scores[same], scores[~same])
    # At least a threshold: as many of the rising grid as are not above the score.
    passed = np.searchsorted(grid, scores, side="right")
    width = len(grid) + 1
    places = rows[:, None] * width + passed
    shape = rows.max() + 1, width
    tables = (np.bincount(places[mask], minlength=shape[0] * shape[1]).reshape(shape) for mask in (same, ~same))
    # Column k counts scores at or above the k-th threshold from the top; the last has every comparison.
    mated, nonmated = (np.cumsum(table[:, ::-1], axis=1, dtype=np.float64) for table in tables)
    return _Counts(mated, nonmated)


def _grid(mated: Array, nonmated: Array) -> Array:
    """Thresholds, rising: every score where they are few, else quantiles, dense where false accepts are rare."""
    finite = [scores[np.isfinite(scores)] for scores in (mated, nonmated)]
    every = np.unique(np.concatenate(finite))
    if len(every) <= GRID:
        return every
    parts = []
    for scores, tail in zip(finite, (np.linspace(0, 1, GRID // 2), _rare(len(finite[1]))), strict=True):
        if len(scores):
            parts.append(np.quantile(scores, 1 - tail))
    return np.unique(np.concatenate(parts))


def _rare(count: int) -> Array:
    tail: Array = np.geomspace(1 / count, 1, GRID // 2)
    return tail


def _drawn(counts: _Counts, people: NDArray[np.str_], seed: int) -> _Drawn:
    draws, _ = evaluation.resample(people, REPEATS, seed)
    mated, nonmated = draws @ counts.mated, draws @ counts.nonmated
    return _Drawn(nonmated / nonmated[:, -1:], mated / mated[:, -1:])


def _equal(drawn: _Drawn) -> Array:
    """Where each repeat's false match and false non-match rate cross, by straight lines between thresholds."""
    repeats = np.arange(len(drawn.false_match))
    gap = drawn.false_match - (1 - drawn.true_match)
    after = np.argmax(gap >= 0, axis=1)
    before = np.maximum(after - 1, 0)
    # Before the first threshold nothing is accepted: the gap is -1 and the false match rate 0.
    gap_before = np.where(after > 0, gap[repeats, before], -1.0)
    rate_before = np.where(after > 0, drawn.false_match[repeats, before], 0.0)
    share = gap[repeats, after] / (gap[repeats, after] - gap_before)
    rate = drawn.false_match[repeats, after]
    crossing: Array = rate + share * (rate_before - rate)
    return crossing


def _around(value: float, drawn: Array) -> Interval:
    """The interval of the drawn figures; it never leaves out the figure, which knows more thresholds."""
    around = Interval.of(value, drawn)
    return around._replace(low=min(around.low, value), high=max(around.high, value))


def _det(rates: evaluation.Rates) -> Tradeoff:
    """The curve, thinned evenly in the logarithm of the false match rate."""
    lowest = max(float(rates.false_match[rates.false_match > 0].min()), 1e-7)
    alarms = np.geomspace(lowest, 1, CURVE)
    at = np.searchsorted(rates.false_match, alarms * (1 + 1e-12), side="right") - 1
    kept = np.unique(at)
    kept = kept[rates.false_match[kept] > 0]
    return Tradeoff(tuple(rates.false_match[kept].tolist()), tuple((1 - rates.true_match[kept]).tolist()))
