"""Open set, verification and likelihood ratios against the long way, on toy score tables."""

import numpy as np
import pytest
from evaluation.toys import repeated, side
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_curve

from forensic.evaluation import evidence, open_set
from forensic.evaluation.systems import Trial
from forensic.recognition import calibration, evaluation
from forensic.recognition.calibration import Calibration

SEED = 0
FITTED = Calibration(
    kind="viewed",
    population="nobody",
    people=9,
    mated=20,
    nonmated=90,
    slope=0.7,
    intercept=-0.6,
    lower=-1.2,
    upper=1.1,
)


def searches(trial: Trial, name: str, distractors: int) -> tuple[np.ndarray, np.ndarray]:
    """The mate's score in each search, and the best in the gallery without the person."""
    people = trial.gallery.people.tolist() + (trial.crowd.people.tolist() if distractors else [])
    rows = np.hstack([trial.own[name], trial.added[name]]) if distractors else trial.own[name]
    mates, strangers = [], []
    for row, person in zip(rows, trial.probes.people, strict=True):
        mates.append(max(s for s, who in zip(row, people, strict=True) if who == person))
        strangers.append(max(s for s, who in zip(row, people, strict=True) if who != person))
    return np.array(mates), np.array(strangers)


@pytest.mark.parametrize("seed", range(3))
def test_fnir_by_trying_every_threshold(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_set, "FPIRS", (0.3, 0.1, 0.003))
    trial, _ = repeated(seed)
    for row in open_set.open_set(trial, SEED):
        mates, strangers = searches(trial, row.route, row.distractors)
        for fpir in (0.3, 0.1, 0.003):
            tried = [np.mean(mates <= threshold) for threshold in strangers if np.mean(strangers > threshold) <= fpir]
            got = row.fnir[f"{fpir:g}"]
            assert got.figure.value == pytest.approx(min(tried))
            assert got.figure.low <= got.figure.value <= got.figure.high
            assert got.allowed == int(fpir * len(mates))
            assert got.resolved == (fpir * len(mates) >= 10)
        assert not row.fnir["0.003"].resolved
        assert (row.mated, row.nonmated, row.failed) == (len(mates), len(mates), 1)
        assert row.gallery == len(mates) - 1 + row.distractors  # one photo has no face
        assert all(np.diff(row.curve.misses) <= 0)
        assert all(np.diff(row.curve.alarms) > 0)


def test_without_a_threshold_the_rank_decides() -> None:
    trial, _ = repeated(0)
    ranks = evaluation.mate_ranks(trial.own["direct"], trial.probes.people, trial.gallery.people)
    row = next(row for row in open_set.open_set(trial, SEED) if (row.route, row.distractors) == ("direct", 0))
    assert row.no_threshold[1].value == pytest.approx(np.mean(ranks > 1))
    assert row.no_threshold[50].value == pytest.approx(np.mean(ranks > 50)) == pytest.approx(1 / len(ranks))


def test_the_fnir_interval_is_the_bootstrap_done_one_by_one() -> None:
    generator = np.random.default_rng(0)
    people = np.repeat(np.arange(60), generator.integers(1, 4, 60))
    mates, strangers = generator.normal(1.5, 1, len(people)), generator.normal(0, 1, len(people))
    ranks = generator.integers(1, 4, len(people))
    draws = []
    for _ in range(1500):
        rows = np.concatenate([np.flatnonzero(people == who) for who in generator.integers(0, 60, 60)])
        draws.append(evaluation.fnir_at_fpir(mates[rows], strangers[rows], 0.1, ranks=ranks[rows], depth=2))
    got = evaluation.fnir_interval(mates, strangers, people, 0.1, ranks=ranks, depth=2)
    assert got.value == evaluation.fnir_at_fpir(mates, strangers, 0.1, ranks=ranks, depth=2)
    assert (got.low, got.high) == pytest.approx(np.quantile(draws, (0.025, 0.975)), abs=0.02)


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.003, 0.05, 0.3]))
def test_one_draw_of_everybody_is_the_figure_itself(seed: int, fpir: float) -> None:
    """Where all probes are of one person every draw is the whole: the interval is a point at the figure."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 30))
    mates, strangers = np.round(generator.normal(0.5, 1, (2, count)), 1)
    ranks = generator.integers(1, 4, count)
    got = evaluation.fnir_interval(mates, strangers, ["ann"] * count, fpir, ranks=ranks, depth=2, repeats=3)
    assert got == pytest.approx((evaluation.fnir_at_fpir(mates, strangers, fpir, ranks=ranks, depth=2),) * 3)


@pytest.mark.parametrize("seed", range(3))
def test_verification_is_scikit_learns(seed: int) -> None:
    trial, pairs = repeated(seed)
    for row in open_set.verification(trial, SEED):
        scores = trial.scores(row.route, row.distractors)
        people = trial.photo_people(row.distractors)
        truth = np.array([[pair.person == who for who in people] for pair in pairs])
        finite = np.where(np.isneginf(scores), -99, scores)
        false, true, _ = roc_curve(truth.ravel(), finite.ravel(), drop_intermediate=False)
        assert (row.mated, row.nonmated) == (truth.sum(), (~truth).sum())
        for far in (0.01, 0.001, 0.0001):
            got = row.tar[f"{far:g}"]
            assert got.figure.value == pytest.approx(true[false <= far].max())
            assert got.figure.low <= got.figure.value <= got.figure.high
            assert got.resolved == (far * (~truth).sum() >= 10)
        assert row.eer.value == pytest.approx(evaluation.eer(finite[truth], finite[~truth]))
        assert row.eer.low <= row.eer.value <= row.eer.high
        assert row.curve.alarms[-1] == 1


def tar_at_far(mated: np.ndarray, nonmated: np.ndarray, far: float) -> float:
    """True accept rate at the loosest threshold whose false accept rate is at most ``far``."""
    rates = evaluation.roc(mated, nonmated)
    return float(rates.true_match[rates.false_match <= far].max())


def test_the_verification_interval_is_the_bootstrap_of_probes_done_one_by_one() -> None:
    trial, _ = repeated(0, people=30)
    same = open_set.same_person(trial, 0)
    scores, people = trial.own["direct"], trial.probes.people
    row = next(row for row in open_set.verification(trial, SEED) if row.route == "direct")
    generator, names = np.random.default_rng(5), np.unique(people)
    accepted, equal = [], []
    for _ in range(800):
        rows = np.concatenate([np.flatnonzero(people == who) for who in generator.choice(names, len(names))])
        mated, nonmated = scores[rows][same[rows]], scores[rows][~same[rows]]
        accepted.append(tar_at_far(mated, nonmated, 0.01))
        equal.append(evaluation.eer(mated, nonmated))
    assert tuple(row.tar["0.01"].figure[1:]) == pytest.approx(np.quantile(accepted, (0.025, 0.975)), abs=0.03)
    assert tuple(row.eer[1:]) == pytest.approx(np.quantile(equal, (0.025, 0.975)), abs=0.02)


def test_many_scores_are_bootstrapped_on_a_grid_that_keeps_rare_accepts() -> None:
    generator = np.random.default_rng(0)
    mated, nonmated = generator.normal(3, 1, 500), generator.normal(0, 1, 200_000)
    grid = open_set._grid(mated, nonmated)
    assert len(grid) <= open_set.GRID
    for far in (0.01, 0.001, 0.0001):
        exact = tar_at_far(mated, nonmated, far)
        on_grid = max(np.mean(mated >= t) for t in grid if np.mean(nonmated >= t) <= far)
        assert on_grid == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("distractors", [0, 30])
def test_evidence_is_the_formulas(distractors: int) -> None:
    trial, pairs = repeated(0)
    row = next(row for row in evidence.evidence(trial, {"direct": FITTED}, SEED) if row.distractors == distractors)
    people = trial.photo_people(distractors)
    mated, nonmated, left_out = [], [], 0
    for pair, scores in zip(pairs, trial.scores("direct", distractors), strict=True):
        for who, score in zip(people, scores, strict=True):
            if score == -np.inf:
                left_out += 1
                continue
            log_lr = min(max(0.7 * score - 0.6, -1.2), 1.1)
            (mated if who == pair.person else nonmated).append(log_lr)
    assert (row.mated, row.nonmated, row.left_out) == (len(mated), len(nonmated), left_out)
    cost = (np.mean(np.log2(1 + 10.0 ** -np.array(mated))) + np.mean(np.log2(1 + 10.0 ** np.array(nonmated)))) / 2
    assert row.cllr.value == pytest.approx(cost) == pytest.approx(calibration.cllr(mated, nonmated))
    assert row.cllr.low < cost < row.cllr.high
    assert row.cllr_min <= cost
    assert row.misleading_mated.value == pytest.approx(np.mean(np.array(mated) < 0))
    assert row.misleading_nonmated.value == pytest.approx(np.mean(np.array(nonmated) > 0))
    even = row.ece["prior_log_odds"].index(0.0) if 0.0 in row.ece["prior_log_odds"] else 30
    assert row.ece["system"][even] == pytest.approx(cost, abs=1e-6)
    assert row.tippett["mated"][0] == row.tippett["nonmated"][0] == 1


def test_the_evidence_interval_draws_people() -> None:
    """All probes of one person, all other photos of another: nothing to draw, the interval is a point."""
    names = [f"p-{at}" for at in range(5)]
    scores = np.random.default_rng(0).normal(size=(5, 8))
    others = [f"q{at}" for at in range(3)]
    trial = Trial(side(names, ["p"] * 5), side([*names, *others], ["p"] * 5 + ["q"] * 3), None, {"a": scores}, {})
    (row,) = evidence.evidence(trial, {"a": FITTED}, SEED)
    assert row.cllr.low == pytest.approx(row.cllr.value) == pytest.approx(row.cllr.high)


def test_thinning_keeps_the_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=50_001)
    assert evidence.thinned(values) is values
    monkeypatch.setattr(evidence, "CURVE_COMPARISONS", 5_000)
    thin = evidence.thinned(values)
    assert (len(thin), thin.min(), thin.max()) == (5_000, values.min(), values.max())
    assert np.quantile(thin, [0.1, 0.5, 0.99]) == pytest.approx(np.quantile(values, [0.1, 0.5, 0.99]), abs=1e-3)


def test_the_evidence_interval_draws_the_people_of_the_photos_too() -> None:
    """Each draw written out: whoever is drawn twice has every sketch and every photo twice, also on the other side."""
    generator = np.random.default_rng(0)
    sketches, photos = np.array(list("caabdd")), np.array(list("abbcdzzy"))
    values = generator.random((6, 8))
    same = sketches[:, None] == photos
    masks = same & (values > 0.1), ~same & (values > 0.1)
    means = evidence._by_class(values, masks, (sketches, photos), SEED)
    assert means[0] == pytest.approx([values[mask].mean() for mask in masks])
    counts = evaluation.resample(sketches, 2000, SEED)[0].astype(int)
    others = evaluation.resample(np.array(["y", "z"]), 2000, SEED + 1)[0].astype(int)
    for draw in range(5):
        times = dict(zip("abcd", counts[draw], strict=True)) | dict(zip("yz", others[draw], strict=True))
        rows, columns = ([k for k, who in enumerate(side) for _ in range(times[who])] for side in (sketches, photos))
        written_out = values[np.ix_(rows, columns)][masks[1][np.ix_(rows, columns)]]
        assert means[1 + draw, 1] == pytest.approx(written_out.mean())
        of_mates = [k for k in rows for _ in range(masks[0][k].sum())]
        assert means[1 + draw, 0] == pytest.approx(
            np.sum([values[k][masks[0][k]].sum() for k in rows]) / len(of_mates) if of_mates else 0
        )


def test_strangers_photos_that_resemble_everybody_widen_the_interval() -> None:
    """Nominal 95 % intervals hold the true rate in most of many trials, though all that differs is the photo."""
    generator, people, held = np.random.default_rng(0), np.arange(40).astype(str), 0
    same = np.eye(40, dtype=bool)
    for _ in range(40):
        wrong = (0.5 * generator.normal(size=(1, 40)) + generator.normal(size=(40, 40)) > 1).astype(float)
        drawn = evidence._by_class(wrong, (same, ~same), (people, people), SEED)[:, 1]
        interval = evaluation.Interval.of(drawn[0], drawn[1:])
        held += interval.low <= norm.sf(1 / np.hypot(0.5, 1)) <= interval.high
    assert held >= 34  # 18 of them, if only sketches were drawn
