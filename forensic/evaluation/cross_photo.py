"""Cross-photo: the photo that a sketch was drawn from is gone; another picture of the person has to be found.

The protocol nearest to real use: a witness never drew from the mugshot.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forensic import datasets
from forensic.evaluation.accuracy import CrossPhoto, Paired
from forensic.evaluation.closed_set import FEW_RANKS, cumulative, over, paired
from forensic.evaluation.systems import Trial
from forensic.recognition import evaluation

Array = NDArray[np.float64]


def cross_photo(
    trial: Trial, pairs: Sequence[datasets.Pair], seed: int
) -> tuple[tuple[CrossPhoto, ...], tuple[Paired, ...]]:
    """Ranks of the best other photo of each probe's person, among people; without distractors and with all.

    Args:
        trial: probes in the order of the pairs, photos as ``trials.sides`` has them.
        pairs: the pairs that were evaluated.
        seed: of the bootstrap.
    """
    searches = datasets.cross_photo(pairs)
    if not searches:
        return (), ()
    columns = {photo: at for at, photo in enumerate(dict.fromkeys(pair.photo for pair in pairs))}
    probes = np.array([search.probe for search in searches])
    gone = np.zeros((len(searches), len(columns)), dtype=bool)
    for row, search in enumerate(searches):
        gone[row, [columns[pairs[at].photo] for at in search.excluded]] = True
    people = trial.probes.people[probes]
    rows: list[CrossPhoto] = []
    tests: list[Paired] = []
    for size in trial.sizes():
        ranks = {name: _ranks(trial, name, probes, gone, size) for name in trial.own}
        baseline = next(iter(ranks))
        for name, found in ranks.items():
            figures, curve = cumulative(found, people, FEW_RANKS, gone.shape[1] + size, seed)
            gain = None if name == baseline else over(found, ranks[baseline], people, seed)
            counts = len(found), len(np.unique(people)), trial.size(size), int(np.isinf(found).sum())
            rows.append(CrossPhoto(name, size, *counts, figures, gain, curve))
        tests += paired("cross-photo", "person", ranks, people, seed) if size == 0 else []
    return tuple(rows), tuple(tests)


def _ranks(trial: Trial, name: str, probes: NDArray[np.intp], gone: NDArray[np.bool_], size: int) -> Array:
    scores = trial.scores(name, size)[probes]
    scores[:, : gone.shape[1]][gone] = -np.inf
    return evaluation.mate_ranks(scores, trial.probes.people[probes], trial.photo_people(size))
