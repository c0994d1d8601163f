"""Closed-set identification: the mate is in the gallery; CMC, by subset and group, and between systems."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from forensic.evaluation.accuracy import ClosedSet, Curve, Distractors, Group, Paired
from forensic.evaluation.systems import Trial
from forensic.evaluation.trials import By, Side
from forensic.recognition import evaluation
from forensic.recognition.evaluation import Interval

Array = NDArray[np.float64]

RANKS = (1, 5, 10, 20, 50, 100)
FEW_RANKS = (1, 10, 50)
MOST_GROUPS = 8
"""Values of an attribute up to which it makes groups; ids and free text have more."""


def closed_set(trial: Trial, by: By, seed: int) -> tuple[ClosedSet, ...]:
    """Closed-set identification by every system, on the whole data set and within each of its subsets.

    Within a subset its probes search the photos of its people: a system that recognizes a subset's paper or lighting
    instead of a face gains on the whole set and nothing here.
    """
    probes, gallery = trial.probes, trial.gallery
    names = np.unique(probes.subsets)
    rows = []
    for subset in ["all", *(names if len(names) > 1 else [])]:
        chosen = np.ones(len(probes.found), bool) if subset == "all" else probes.subsets == subset
        mates = probes.labels(by)[chosen]
        among = (subset == "all") | np.isin(gallery.labels(by), mates)
        baseline: Array | None = None
        for name, scores in trial.own.items():
            ranks = evaluation.mate_ranks(scores[np.ix_(chosen, among)], mates, gallery.labels(by)[among])
            size = int(among.sum())
            figures, curve = cumulative(ranks, probes.people[chosen], RANKS, size, seed)
            gain = None if baseline is None else over(ranks, baseline, probes.people[chosen], seed)
            baseline = ranks if baseline is None else baseline
            missed = int(np.isinf(ranks).sum())
            rows.append(ClosedSet(name, by, str(subset), len(ranks), size, missed, figures, gain, curve))
    return tuple(rows)


def whole_ranks(trial: Trial, by: By) -> dict[str, Array]:
    """Each system's ranks of the mates in the whole gallery."""
    people = trial.probes.labels(by), trial.gallery.labels(by)
    return {name: evaluation.mate_ranks(scores, *people) for name, scores in trial.own.items()}


def cumulative(
    ranks: Array, people: NDArray[np.str_], wanted: Sequence[int], size: int, seed: int
) -> tuple[dict[int, Interval], Curve]:
    """Figures at the wanted ranks that the gallery has, and the CMC up to the last of them."""
    found = evaluation.hits(ranks, min(wanted[-1], size))
    low, high = np.quantile(evaluation.bootstrap_means(found, people, seed=seed), evaluation.MIDDLE, axis=0)
    curve = Curve(tuple(found.mean(axis=0).tolist()), tuple(low.tolist()), tuple(high.tolist()))
    at = [rank for rank in wanted if rank <= size]
    return {k: Interval(curve.value[k - 1], curve.low[k - 1], curve.high[k - 1]) for k in at}, curve


def over(ranks: Array, others: Array, people: NDArray[np.str_], seed: int) -> evaluation.Difference:
    """Gain in rank-1 over other ranks of the same probes."""
    return evaluation.paired_difference(ranks <= 1, others <= 1, people, seed=seed)


def paired(protocol: str, by: str, ranks: Mapping[str, Array], people: NDArray[np.str_], seed: int) -> list[Paired]:
    """Every system over every one before it, on the same probes."""
    return [
        Paired(protocol, by, later, earlier, len(people), over(ranks[later], ranks[earlier], people, seed))
        for earlier, later in combinations(ranks, 2)
    ]


def groups(probes: Side, by: By, ranks: Mapping[str, Array], seed: int) -> Iterator[Group]:
    """Rank-1, 10 and 50 of the probes of each value of each attribute, all in the same gallery.

    Args:
        probes: the probes.
        by: what counts as a mate.
        ranks: each system's ranks in the whole gallery.
        seed: of the bootstrap.
    """
    for attribute, values in {"subset": probes.subsets, **probes.attributes}.items():
        known = group_names(values)
        for name, found in ranks.items():
            for value in known:
                chosen = values == value
                figures = {
                    rank: evaluation.bootstrap_interval(found[chosen] <= rank, probes.people[chosen], seed=seed)
                    for rank in FEW_RANKS
                }
                yield Group(name, by, attribute, value, int(chosen.sum()), figures)


def group_names(values: NDArray[np.str_]) -> list[str]:
    """The groups that an attribute makes: its known values, where they are more than one and not too many.

    >>> group_names(np.array(["f", "m", "", "f"])), group_names(np.array(["f", "f"]))
    (['f', 'm'], [])
    """
    known: list[str] = [value for value in np.unique(values).tolist() if value]
    return known if 2 <= len(known) <= MOST_GROUPS else []


def distractor_sweep(trial: Trial, by: By, seed: int) -> Iterator[Distractors]:
    """The same probes against galleries that grow by nested random subsets of the distractors."""
    people = trial.probes.people
    for name in trial.own:
        for size in sweep_sizes(trial.sizes()[-1]):
            labels = trial.photo_labels(trial.gallery.labels(by), size)
            ranks = evaluation.mate_ranks(trial.scores(name, size), trial.probes.labels(by), labels)
            figures = {rank: evaluation.bootstrap_interval(ranks <= rank, people, seed=seed) for rank in FEW_RANKS}
            yield Distractors(name, by, size, len(ranks), trial.size(size), figures)


def sweep_sizes(available: int) -> list[int]:
    """No distractor, then 250, 500, 1000, ... doubled, and all that there are.

    >>> sweep_sizes(1200)
    [0, 250, 500, 1000, 1200]
    """
    sizes = [0, 250]
    while sizes[-1] < available:
        sizes.append(2 * sizes[-1])
    return [*(size for size in sizes if size < available), available]
