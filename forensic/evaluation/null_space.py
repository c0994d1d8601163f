"""The field's NLDA protocol: rank-1 after null-space LDA, over random splits of the test people.

N. Wang's scripts as the face-sketch papers use them: of CUFS's 338 test people 150 are drawn to fit PCA
(300 dimensions, all that 300 images span) and NLDA on their real and synthesized images, the other 188 are probe and
gallery, nearest neighbours by Euclidean distance at every dimension, 20 repeats. Where people have several pictures,
all of a person's stand on one side of a split and are one class, each of them is a mate, and PCA keeps all that these
images span: 300 dimensions of more would leave no null space.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from forensic.errors import DataError
from forensic.evaluation.accuracy import NullSpace
from forensic.evaluation.trials import Floats, Side, counting
from forensic.recognition.evaluation import Interval, bootstrap_interval
from forensic.recognition.lda import RegularizedLDA
from forensic.recognition.nlda import NLDA

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
People = NDArray[np.str_]

FITTING, TESTED = 150, 338
"""The field's share of fitting people; smaller data sets keep the share, larger ones the 150."""
INNER_FOLDS = 3
FEWEST_PEOPLE = 12
CHUNK = 4096
ROUNDING = 1e-9
"""By so much of the largest squared distance those of equal images may differ: their coordinates are computed apart."""


class Samples(NamedTuple):
    """Rows that are compared by Euclidean distance, the probes first and then the gallery.

    Attributes:
        rows: features, shape (n, d).
        people: person of each row.
        found: whether the row holds a face.
        probes: how many of the rows are probes.
    """

    rows: Array
    people: People
    found: Bools
    probes: int


def null_space(
    routes: Sequence[str], probes: Side, gallery: Side, *, repeats: int, seed: int, quiet: bool = True
) -> tuple[NullSpace, ...]:
    """The protocol on each route's pixels and, as a row of its own, on its embeddings.

    Every class has the images that the route compares: for a route that translates sketches the synthesized
    and the real photo, for one that translates photos the real and the synthesized sketch, and for one that
    translates nothing the sketch and the photo. The sketch's side is the probe. On embeddings, which have too
    few dimensions for a null space, regularized LDA takes NLDA's place.

    Raises:
        DataError: if fewer than ``FEWEST_PEOPLE`` people have a face on both sides.
    """
    splits = _splits(probes, gallery, repeats, seed)
    people = np.concatenate([probes.people, gallery.people])
    found = np.concatenate([probes.found, gallery.found])

    def row(route: str, features: str, analysis: str, rows: Array, fit: Callable[[], Any]) -> NullSpace:
        samples = Samples(rows, people, found, len(probes.found))
        trials = []
        label = f"{analysis} on {features}, {route}"
        # On matrices this small, threads only wait for each other.
        with threadpool_limits(1), counting(label, len(splits), quiet) as shown:
            for fitting in splits:
                trials.append(_trial(samples, fitting, fit, seed))
                shown(len(trials))
        return _summary(route, features, analysis, trials, samples, len(splits[0]), seed)

    results = []
    for route in routes:
        pixels = in_own_span(np.concatenate([probes.pixels[route], gallery.pixels[route]]))
        results.append(row(route, "pixels", "NLDA", pixels, NLDA))
        templates = np.concatenate([probes.templates[route], gallery.templates[route]]).astype(np.float64)
        results.append(row(route, "embeddings", "regularized LDA", templates, RegularizedLDA))
    return tuple(results)


def in_own_span(rows: Floats) -> Array:
    """Coordinates of n long rows in the at most n dimensions that they span, shape (n, r).

    A shift and a rotation: no distance changes, so whatever is fitted on some of the coordinates is what it
    would be on the rows themselves, and every repeat of the protocol takes milliseconds.
    """
    centred = rows - rows.mean(axis=0)
    products = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1], CHUNK):  # double precision without a double-precision copy of all
        part = centred[:, start : start + CHUNK].astype(np.float64)
        products += part @ part.T
    squares, axes = np.linalg.eigh(products)
    spanned = squares > squares[-1] * len(rows) * np.finfo(np.float64).eps
    coordinates: Array = axes[:, spanned] * np.sqrt(squares[spanned])
    return coordinates


def rank_one_curve(samples: Samples, fitting: Bools, testing: Bools, analysis: Any) -> Bools:
    """Whether the nearest gallery row is the probe's mate, at dimension 1, 2, ... of the projection.

    Args:
        samples: all rows.
        fitting: rows that the analysis is fitted on, shape (n,).
        testing: rows that are probes and gallery, shape (n,).
        analysis: an estimator whose first m dimensions are its projection to m dimensions.

    Returns:
        Shape (dimensions, tested probes). A tie with a stranger and a face that was not found are misses; distances
        tie that rounding may have set apart.
    """
    analysis.fit(samples.rows[fitting], samples.people[fitting])
    at_probe = np.arange(len(testing)) < samples.probes
    probe, gallery = np.flatnonzero(testing & at_probe), np.flatnonzero(testing & ~at_probe)
    left, right = analysis.transform(samples.rows[probe]), analysis.transform(samples.rows[gallery])
    mates = samples.people[probe][:, None] == samples.people[gallery][None]
    absent = ~(samples.found[probe][:, None] & samples.found[gallery][None])
    distances = np.where(absent, np.inf, 0.0)
    curve = np.empty((left.shape[1], len(probe)), dtype=bool)
    for dimension in range(left.shape[1]):
        distances += (left[:, None, dimension] - right[None, :, dimension]) ** 2
        mate = np.where(mates, distances, np.inf).min(axis=1)
        rounding = ROUNDING * distances.max(initial=0.0, where=~absent)
        curve[dimension] = mate + rounding < np.where(mates, np.inf, distances).min(axis=1)
    return curve


class _Trial(NamedTuple):
    """One random split: the curve of its tested probes, which they are, and the dimension chosen inside."""

    curve: Bools
    tested: Bools
    dimension: int


def _trial(samples: Samples, fitting_people: People, fit: Callable[[], Any], seed: int) -> _Trial:
    inside = np.isin(samples.people, fitting_people)
    curve = rank_one_curve(samples, inside & samples.found, ~inside, fit())
    folds = np.array_split(np.random.default_rng(seed).permutation(fitting_people), INNER_FOLDS)
    inner = []
    for held_back in folds:
        out = np.isin(samples.people, held_back)
        part = rank_one_curve(samples, inside & ~out & samples.found, inside & out, fit()).mean(axis=1)
        # Fewer people give fewer dimensions: dimension m here stands for the same share of them there.
        shares = np.arange(1, len(curve) + 1) / len(curve)
        inner.append(part[np.ceil(shares * len(part) - 1e-9).astype(int) - 1])
    mean = np.mean(inner, axis=0)
    best = np.flatnonzero(mean >= mean.max() - 1e-9)
    return _Trial(curve, ~inside[: samples.probes], int(best[len(best) // 2]))


def whole_people(probes: Side, gallery: Side) -> People:
    """People with a face on both sides."""
    return np.intersect1d(probes.people[probes.found], gallery.people[gallery.found])


def _splits(probes: Side, gallery: Side, repeats: int, seed: int) -> list[People]:
    """The fitting people of each repeat, drawn among those with a face on both sides."""
    people = np.unique(probes.people)
    whole = whole_people(probes, gallery)
    count = min(FITTING, round(len(people) * FITTING / TESTED), len(whole) - 1)
    if len(whole) < FEWEST_PEOPLE:
        raise DataError(
            f"The NLDA protocol fits on one part of the people and tests on the other: at least {FEWEST_PEOPLE} with a "
            f"face on both sides are needed, {len(whole)} are here. Leave the protocol 'nlda' out."
        )
    generator = np.random.default_rng(seed)
    return [generator.permutation(whole)[:count] for _ in range(repeats)]


def _summary(
    route: str,
    features: str,
    analysis: str,
    trials: Sequence[_Trial],
    samples: Samples,
    fitting: int,
    seed: int,
) -> NullSpace:
    depth = min(len(trial.curve) for trial in trials)
    curves = np.array([trial.curve[:depth].mean(axis=1) for trial in trials])
    people = samples.people[: samples.probes]
    mean = curves.mean(axis=0)
    best = int(np.argmax(mean))
    dimensions = [min(trial.dimension, depth - 1) for trial in trials]
    chosen = curves[np.arange(len(trials)), dimensions]
    return NullSpace(
        route=route,
        features=features,
        analysis=analysis,
        probe="the sketch, or the photo synthesized from it",
        repeats=len(trials),
        fitting=fitting,
        testing=len(np.unique(people)) - fitting,
        mean=tuple(mean.tolist()),
        deviation=tuple(curves.std(axis=0).tolist()),
        maximum=_over_repeats(trials, [best] * len(trials), people, seed),
        maximum_at=best + 1,
        chosen=_over_repeats(trials, dimensions, people, seed),
        chosen_deviation=float(chosen.std()),
        chosen_at=float(np.mean(dimensions)) + 1,
    )


def _over_repeats(trials: Sequence[_Trial], dimensions: Sequence[int], people: People, seed: int) -> Interval:
    """Rank-1 over all repeats; a probe counts as often as it was tested, and people are drawn anew."""
    tested = np.sum([trial.tested for trial in trials], axis=0)
    hit = np.zeros(len(people))
    for trial, dimension in zip(trials, dimensions, strict=True):
        hit[trial.tested] += trial.curve[dimension]
    ever = tested > 0
    return bootstrap_interval(hit[ever] / tested[ever], people[ever], weights=tested[ever], seed=seed)
