import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from forensic.recognition.evaluation import (
    Interval,
    bootstrap_interval,
    bootstrap_means,
    det,
    eer,
    fnir_at_fpir,
    hits,
    mate_ranks,
    paired_difference,
    roc,
)

Array = NDArray[np.float64]


def score_lists(seed: int, ties: bool) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    mated, nonmated = generator.normal(1.5, 1, 150), generator.normal(0, 1, 400)
    return (np.round(mated, 1), np.round(nonmated, 1)) if ties else (mated, nonmated)


@pytest.mark.parametrize("seed", range(5))
def test_mate_ranks_by_walking_the_list(seed: int) -> None:
    generator = np.random.default_rng(seed)
    gallery = np.array([f"p{number}" for number in generator.permutation(np.arange(60) % 25)])
    probes = np.array([f"p{number}" for number in generator.integers(0, 25, 40)])
    scores = np.round(generator.normal(size=(40, 60)), 1)  # rounding makes ties
    for probe, row, rank in zip(probes, scores, mate_ranks(scores, probes, gallery), strict=True):
        mate = max(row[gallery == probe])
        ahead = {person for person, score in zip(gallery, row, strict=True) if score >= mate}
        assert rank == len(ahead | {probe})


def test_a_face_that_was_not_found_is_a_miss_at_every_rank() -> None:
    scores = np.array([[-np.inf] * 3, [0.1, -np.inf, 0.3], [0.1, -np.inf, 0.3]])
    ranks = mate_ranks(scores, ["a", "b", "c"], ["a", "b", "c"])
    assert ranks.tolist() == [np.inf, np.inf, 1]
    assert hits(ranks, 100).mean(axis=0).tolist() == [1 / 3] * 100


def test_a_constant_score_earns_the_last_rank() -> None:
    assert mate_ranks(np.zeros((4, 4)), range(4), range(4)).tolist() == [4] * 4


def test_scores_that_make_no_closed_set_are_refused() -> None:
    with pytest.raises(ValueError, match="no mate in the gallery, among them 'z'"):
        mate_ranks(np.zeros((2, 2)), ["a", "z"], ["a", "b"])
    with pytest.raises(ValueError, match="NaN"):
        mate_ranks([[np.nan]], ["a"], ["a"])
    with pytest.raises(ValueError, match="Scores"):
        mate_ranks(np.zeros((2, 3)), ["a", "b"], ["a", "b"])


def test_the_bootstrap_is_the_one_that_draws_people_one_by_one() -> None:
    generator = np.random.default_rng(0)
    identities = np.repeat(np.arange(80), generator.integers(1, 4, 80))
    values = (generator.random(len(identities)) < 0.3 + 0.6 * (identities % 2)).astype(float)
    draws = []
    for _ in range(4000):
        rows = np.concatenate([np.flatnonzero(identities == who) for who in generator.integers(0, 80, 80)])
        draws.append(values[rows].mean())
    value, low, high = bootstrap_interval(values, identities, repeats=4000)
    assert value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx(np.quantile(draws, (0.025, 0.975)), abs=0.01)


def test_the_bootstrap_is_seeded_and_takes_whole_curves() -> None:
    values = np.random.default_rng(0).integers(0, 2, (30, 4)).astype(float)
    means = bootstrap_means(values, range(30), seed=3, repeats=50)
    assert means.shape == (50, 4)
    for column in range(4):
        alone = bootstrap_means(values[:, column], range(30), seed=3, repeats=50)
        np.testing.assert_allclose(alone, means[:, column])
    assert not np.allclose(means, bootstrap_means(values, range(30), seed=4, repeats=50))


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(7)
    covered = 0
    for trial in range(300):
        person = np.repeat(generator.random(60) < 0.7, 3)  # a person's three probes stand or fall together
        _, low, high = bootstrap_interval(person, np.repeat(range(60), 3), seed=trial, repeats=400)
        covered += low <= 0.7 <= high
    assert 0.9 < covered / 300 < 0.98


def test_weights_count_rows_more_than_once() -> None:
    twice = bootstrap_interval([1, 1, 0, 1], ["a", "a", "b", "c"])
    weighted = bootstrap_interval([1, 0, 1], ["a", "b", "c"], weights=[2, 1, 1])
    assert twice == weighted
    assert weighted.value == 0.75


def test_paired_difference_sees_what_separate_intervals_do_not() -> None:
    generator = np.random.default_rng(1)
    base = (generator.random(400) < 0.6).astype(float)
    better = base.copy()
    better[np.flatnonzero(base == 0)[:12]] = 1
    difference = paired_difference(better, base, range(400))
    assert difference.value == pytest.approx(12 / 400)
    assert difference.low > 0
    assert difference.p < 0.01
    assert bootstrap_interval(better, range(400)).low < bootstrap_interval(base, range(400)).high
    same = paired_difference(base, base, range(400))
    assert same == (0, 0, 0, 1)


def test_paired_difference_of_noise_is_not_significant() -> None:
    generator = np.random.default_rng(2)
    p = [paired_difference(generator.random(50), generator.random(50), range(50), repeats=500).p for _ in range(60)]
    assert np.mean(np.array(p) < 0.05) < 0.15
    assert np.mean(p) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("ties", [False, True])
def test_roc_is_scikit_learns(ties: bool) -> None:
    mated, nonmated = score_lists(0, ties)
    truth = np.repeat([1, 0], [len(mated), len(nonmated)])
    expected = roc_curve(truth, np.concatenate([mated, nonmated]), drop_intermediate=False)
    ours = roc(mated, nonmated)
    np.testing.assert_allclose(ours.false_match, expected[0])
    np.testing.assert_allclose(ours.true_match, expected[1])
    np.testing.assert_allclose(ours.thresholds, expected[2])


@pytest.mark.parametrize("ties", [False, True])
def test_eer_is_where_the_det_crosses_the_diagonal(ties: bool) -> None:
    mated, nonmated = score_lists(1, ties)
    false_match, false_non_match = det(mated, nonmated)
    diagonal = np.linspace(0, 1, 200_001)
    crossing = np.interp(diagonal, false_match, false_non_match)
    rate = eer(mated, nonmated)
    assert rate == pytest.approx(diagonal[np.argmin(np.abs(diagonal - crossing))], abs=0.01)
    assert eer([2.0, 3.0], [0.0, 1.0]) == 0.0
    assert eer([0.0, 1.0], [2.0, 3.0]) == 1.0
    assert eer([1.0, 1.0], [1.0, 1.0]) == 0.5


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("fpir", [0.0, 0.003, 0.01, 0.29])
def test_fnir_at_fpir_by_trying_every_threshold(ties: bool, fpir: float) -> None:
    mates, strangers = score_lists(2, ties)
    ranks = np.random.default_rng(3).integers(1, 4, len(mates))
    tried = [
        (np.mean(mates <= threshold), np.mean((mates <= threshold) | (ranks > 1)))
        for threshold in np.concatenate([strangers, mates])
        if np.mean(strangers > threshold) <= fpir
    ]
    assert fnir_at_fpir(mates, strangers, fpir) == min(tried)[0]
    assert fnir_at_fpir(mates, strangers, fpir, ranks=ranks) == min(pair[1] for pair in tried)
    assert fnir_at_fpir(mates, strangers, fpir, ranks=ranks, depth=3) == min(tried)[0]


def test_open_set_misses_and_refusals() -> None:
    assert fnir_at_fpir([-np.inf, 2.0], [1.0, 0.0], 0.1) == 0.5
    with pytest.raises(ValueError, match="share"):
        fnir_at_fpir([1.0], [1.0], 1.0)
    with pytest.raises(ValueError, match="best_strangers"):
        fnir_at_fpir([1.0], [], 0.1)
    with pytest.raises(ValueError, match="NaN"):
        roc([np.nan], [0.0])


@pytest.mark.parametrize(("people", "least"), [(1, 1.0), (3, 0.25), (9, 2.0**-8), (60, 2 / 2001)])
def test_few_people_prove_little_however_sure_they_are(people: int, least: float) -> None:
    """As by a sign test: all of three in one direction come by chance once in four times."""
    ones = np.ones(2 * people)
    assert paired_difference(ones, 0 * ones, np.repeat(np.arange(people), 2)).p == pytest.approx(least)


def test_a_draw_that_tells_nothing_narrows_no_interval() -> None:
    assert Interval.of(0.5, np.array([0.4, np.nan, 0.6, np.nan, 0.5])) == Interval.of(0.5, np.array([0.4, 0.6, 0.5]))
