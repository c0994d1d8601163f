"""Group differentials: whether some groups of strangers are taken for the person sought more often than others."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from forensic.evaluation.accuracy import Differential
from forensic.evaluation.closed_set import group_names
from forensic.evaluation.systems import Trial
from forensic.recognition.evaluation import Interval, bootstrap_interval

Array = NDArray[np.float64]


def differentials(trial: Trial, seed: int) -> Iterator[Differential]:
    """For every attribute of the distractors the groups that it makes; photos of unknown group are left out."""
    if trial.crowd is None:
        return
    seen, people = trial.probes.found, trial.probes.people[trial.probes.found]
    if not seen.any():
        return
    for attribute, values in trial.crowd.attributes.items():
        names = group_names(values)
        known = np.isin(values, names)
        sizes = {name: int((values == name).sum()) for name in names}
        for system in trial.added if names else ():
            scores = trial.added[system][seen]
            first = values[known][np.argmax(scores[:, known], axis=1)]
            for name in names:
                share = sizes[name] / int(known.sum())
                ahead = bootstrap_interval(first == name, people, seed=seed)
                smallest = min(sizes.values())
                best = bootstrap_interval(expected_best(scores[:, values == name], smallest), people, seed=seed)
                yield Differential(
                    route=system,
                    attribute=attribute,
                    value=name,
                    photos=sizes[name],
                    share=share,
                    first=ahead,
                    ratio=Interval(*(figure / share for figure in ahead)),
                    best=best,
                    sample=smallest,
                )


def expected_best(scores: Array, sample: int) -> Array:
    """Expected maximum of ``sample`` scores drawn from each row without replacement, shape (rows,).

    The best of a larger group is higher by number alone; at equal numbers groups can be compared. The k-th best of n
    is the sample's best with probability C(n - k, sample - 1) / C(n, sample).

    >>> expected_best(np.array([[3.0, 1.0, 2.0]]), 2)
    array([2.66666667])
    """
    count = scores.shape[1]
    weights = np.zeros(count)
    weights[0] = sample / count
    for k in range(1, count - sample + 1):
        weights[k] = weights[k - 1] * (count - k - sample + 1) / (count - k)
    expected: Array = -np.sort(-scores, axis=1) @ weights
    return expected
