"""Likelihood ratios held against the truth: Cllr, ECE, Tippett and misleading evidence over all comparisons."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from forensic.evaluation.accuracy import Evidence
from forensic.evaluation.open_set import same_person
from forensic.evaluation.systems import Trial
from forensic.recognition import calibration, evaluation
from forensic.recognition.calibration import Calibration
from forensic.recognition.evaluation import Interval

Array = NDArray[np.float64]

CURVE_COMPARISONS = 100_000
"""Comparisons of a class that a curve is drawn from: of more than these, evenly spaced ones of the sorted."""
TIPPETT_POINTS = 201
REPEATS = 2000


def evidence(trial: Trial, calibrations: Mapping[str, Calibration], seed: int) -> Iterator[Evidence]:
    """The likelihood ratios of every calibrated system, without distractors and with all.

    Args:
        trial: everything compared with everything.
        calibrations: of the systems that have one, by name.
        seed: of the bootstrap.
    """
    for size in trial.sizes():
        same = same_person(trial, size)
        for name, fitted in calibrations.items():
            scores = trial.scores(name, size)
            made = np.isfinite(scores)
            if not (same & made).any() or not (~same & made).any():
                continue
            log_lr = np.zeros_like(scores)
            log_lr[made] = fitted.log_lr(scores[made])
            mated, nonmated = log_lr[same & made], log_lr[~same & made]
            masks, people = (same & made, ~same & made), (trial.probes.people, trial.photo_people(size))
            costs = np.log2(1 + 10.0 ** np.where(same, -log_lr, log_lr))
            wrong = np.where(same, log_lr < 0, log_lr > 0).astype(np.float64)
            cost, misled = (_by_class(values, masks, people, seed) for values in (costs, wrong))
            both = cost.mean(axis=1)
            yield Evidence(
                route=name,
                distractors=size,
                kind=fitted.kind,
                population=fitted.population,
                mated=len(mated),
                nonmated=len(nonmated),
                left_out=int((~made).sum()),
                cllr=Interval.of(both[0], both[1:]),
                cllr_min=calibration.cllr_min(mated, nonmated),
                misleading_mated=Interval.of(misled[0, 0], misled[1:, 0]),
                misleading_nonmated=Interval.of(misled[0, 1], misled[1:, 1]),
                ece=_ece(thinned(mated), thinned(nonmated)),
                tippett=_tippett(mated, nonmated),
            )


def _by_class(
    values: Array,
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    people: tuple[NDArray[np.str_], NDArray[np.str_]],
    seed: int,
) -> Array:
    """Means of the mated and of the other comparisons, shape (1 + repeats, 2): of all, then of each draw.

    People are drawn on both sides, whoever is on both as often on either (Owen 2007, "The pigeonhole bootstrap"): a
    photo that resembles everybody is in as many comparisons as a sketch that does.
    """
    probes, photos = people
    counts, rows = evaluation.resample(probes, REPEATS, seed)
    drawn, everyone = [counts], [np.unique(probes)]
    if len(others := np.setdiff1d(photos, probes)):
        drawn.append(evaluation.resample(others, REPEATS, seed + 1)[0])
        everyone.append(others)
    left, right = (np.vstack([np.ones(side.shape[1]), side]) for side in (counts, np.hstack(drawn)))
    column = {person: place for place, person in enumerate(np.concatenate(everyone).tolist())}
    columns = np.array([column[person] for person in photos.tolist()])

    def sums(table: Array) -> Array:
        """Over all pairs of people, each as often as both were drawn, shape (1 + repeats,)."""
        pairs = np.zeros((left.shape[1], right.shape[1]))
        np.add.at(pairs, (rows[:, None], columns[None]), table)
        summed: Array = ((left @ pairs) * right).sum(axis=1)
        return summed

    tables = values, np.ones_like(values)
    of_mates = [left @ np.bincount(rows, np.where(masks[0], table, 0.0).sum(axis=1)) for table in tables]
    of_others = [sums(np.where(masks[1], table, 0.0)) for table in tables]
    # A draw without any comparison of a class tells nothing of it.
    return np.stack([total / np.where(count, count, np.nan) for total, count in (of_mates, of_others)], axis=1)


def thinned(log_lr: Array) -> Array:
    """At most ``CURVE_COMPARISONS`` of the sorted values, evenly spaced, the ends among them."""
    if len(log_lr) <= CURVE_COMPARISONS:
        return log_lr
    ordered: Array = np.sort(log_lr)
    kept: Array = ordered[np.linspace(0, len(log_lr) - 1, CURVE_COMPARISONS).round().astype(int)]
    return kept


def _ece(mated: Array, nonmated: Array) -> dict[str, tuple[float, ...]]:
    curves = calibration.ece_curve(mated, nonmated)
    return {name: tuple(values.tolist()) for name, values in curves._asdict().items()}


def _tippett(mated: Array, nonmated: Array) -> dict[str, tuple[float, ...]]:
    lowest, highest = min(mated.min(), nonmated.min()), max(mated.max(), nonmated.max())
    curves = calibration.tippett(mated, nonmated, np.linspace(lowest, highest, TIPPETT_POINTS))
    return {name: tuple(values.tolist()) for name, values in curves._asdict().items()}
