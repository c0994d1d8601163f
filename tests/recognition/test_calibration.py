import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from forensic.errors import DataError
from forensic.recognition import calibration
from forensic.recognition.calibration import Calibration, Measured

Array = NDArray[np.float64]
NAMES: dict[str, Any] = {"kind": "viewed", "population": "synthetic normal scores", "people": 500}


def normal(m: int, n: int, *, shift: float = 2.0, seed: int = 0) -> tuple[Array, NDArray[np.bool_]]:
    """Unit-variance scores around ``shift`` and 0: ln LR = shift * score - shift**2 / 2."""
    generator = np.random.default_rng(seed)
    scores = np.concatenate([generator.normal(shift, 1, m), generator.normal(0, 1, n)])
    return scores, np.arange(m + n) < m


def test_the_true_lr_of_equal_normals_is_found_whatever_the_prior_and_the_scale() -> None:
    for m, n, scale in ((20_000, 20_000, 1.0), (5_000, 200_000, 1.0), (20_000, 20_000, 0.01)):
        scores, mated = normal(m, n)
        fitted = Calibration.fit(scores * scale, mated, **NAMES)
        assert fitted.slope * scale * math.log(10) == pytest.approx(2.0, rel=0.05)
        assert fitted.intercept * math.log(10) == pytest.approx(-2.0, rel=0.05)
        assert (fitted.mated, fitted.nonmated, fitted.people) == (m, n, 500)


def test_log_lr_is_the_line_and_stays_at_the_bounds_beyond_them() -> None:
    fitted = replace(Calibration.fit(*normal(100, 900), **NAMES), slope=2.0, intercept=-1.0, lower=-0.5, upper=1.5)
    log_lr = fitted.log_lr([-1e9, 0.0, 0.5, 0.75, 2.0, 1e9])
    np.testing.assert_array_equal(log_lr, [-0.5, -0.5, 0.0, 0.5, 1.5, 1.5])
    np.testing.assert_array_equal(fitted.bounded(log_lr), [True, True, False, False, True, True])
    with pytest.raises(ValueError, match="not finite"):
        fitted.log_lr([0.1, -np.inf])


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the version of lir that is compared with is for Python 3.11")
def test_figures_are_lirs() -> None:
    from lir.algorithms.bayeserror import elub
    from lir.algorithms.isotonic_regression import IsotonicCalibrator
    from lir.algorithms.logistic_regression import LogitCalibrator
    from lir.data.models import LLRData
    from lir.metrics import cllr
    from lir.plotting.expected_calibration_error import calculate_ece

    for seed in range(30):
        m, n = np.random.default_rng(seed).integers(10, 400, 2)
        scores, mated = normal(m, n, shift=seed / 7, seed=seed)
        scores = scores.round(1) + 0.005 if seed % 2 else scores  # ties, between the steps of the bounds
        labels, classes = mated.astype(int), (scores[mated], scores[~mated])
        assert calibration.elub(*classes) == pytest.approx(elub(scores.copy(), labels), abs=1e-9)
        assert calibration.cllr(*classes) == pytest.approx(cllr(LLRData(features=scores, labels=labels)))
        best = IsotonicCalibrator().fit_transform(scores, labels)
        assert calibration.cllr_min(*classes) == pytest.approx(cllr(LLRData(features=best, labels=labels)))
        curve = calibration.ece_curve(*classes, [0.5]).system
        assert curve == pytest.approx(calculate_ece(10**scores, labels, np.array([1 / (1 + 10**-0.5)])))
        if seed:  # else the classes are alike, and no line is to be had
            standard = (scores - scores.mean()) / scores.std()
            lines = LogitCalibrator(tol=1e-8, max_iter=1000).fit(standard, labels).transform(standard)
            fitted = Calibration.fit(scores, mated, **NAMES)
            assert fitted.slope * scores + fitted.intercept == pytest.approx(lines, abs=1e-9)


@pytest.mark.parametrize(("m", "n"), [(10, 10), (30, 1000), (338, 50_000)])
def test_bounds_never_exceed_what_the_comparisons_allow(m: int, n: int) -> None:
    separate = np.concatenate([np.full(m, 50.0), np.full(n, -50.0)])
    lower, upper = calibration.elub(separate[:m], separate[m:])
    assert -math.log10(m + 1) <= lower < -math.log10(m + 1) + 0.2
    assert math.log10(n + 1) - 0.2 < upper <= math.log10(n + 1)
    fitted = Calibration.fit(separate, separate > 0, **NAMES)  # a finite slope though nothing overlaps
    assert fitted.lower >= lower
    assert fitted.upper <= upper


def test_scores_that_say_nothing_say_nothing() -> None:
    assert calibration.elub(np.zeros(50), np.zeros(50)) == (0.0, 0.0)


def test_what_cannot_be_calibrated_is_refused() -> None:
    scores, mated = normal(50, 50)
    with pytest.raises(DataError, match="0 mated and 100 non-mated"):
        Calibration.fit(scores, np.zeros(100, dtype=bool), **NAMES)
    with pytest.raises(DataError, match="100 mated and 0 non-mated"):
        Calibration.fit(scores, np.ones(100, dtype=bool), **NAMES)
    with pytest.raises(DataError, match="higher score would not mean more alike"):
        Calibration.fit(-scores, mated, **NAMES)
    with pytest.raises(DataError, match="slope is 0"):
        Calibration.fit(np.full(100, 0.1), mated, **NAMES)
    with pytest.raises(DataError, match="not finite"):
        Calibration.fit(np.where(mated, -np.inf, scores), mated, **NAMES)
    with pytest.raises(DataError, match="one bool a score"):
        Calibration.fit(scores, mated.astype(int), **NAMES)


def test_it_travels_as_json_and_damage_is_refused() -> None:
    fitted = Calibration.fit(*normal(50, 500), **NAMES)
    data = json.loads(json.dumps(fitted.to_dict()))
    assert Calibration.from_dict(data) == fitted
    damaged: list[tuple[dict[str, Any], str]] = [
        ({**data, "prior": 0.5}, "unknown keys prior"),
        ({key: data[key] for key in data if key != "upper"}, "upper missing"),
        ({**data, "slope": "1"}, "slope is '1'; give a float"),
        ({**data, "mated": True}, "mated is True; give a int"),
        ({**data, "mated": 3}, "3 mated"),
        ({**data, "intercept": math.nan}, "not finite"),
        ({**data, "lower": 0.5}, "must enclose 0"),
        ({**data, "kind": " "}, "one is empty"),
        ({**data, "measured": 1}, "measured is no list"),
        ({**data, "measured": [{"cllr": 0.1}]}, "measured is no list"),
        ({**data, "measured": [{"data": "d", "cllr": -0.1, "source": "s"}]}, "is no measurement"),
        ({**data, "measured": [{"data": "d", "cllr": math.nan, "source": "s"}]}, "is no measurement"),
    ]
    for given, words in damaged:
        with pytest.raises(DataError, match=words):
            Calibration.from_dict(given)


def test_it_carries_how_good_it_was_found_to_be() -> None:
    fitted = Calibration.fit(*normal(50, 500), **NAMES)
    assert "measured" not in fitted.to_dict()  # what was written before is read, and written as it was
    told = replace(fitted, measured=(Measured("40 sketches", 0.25, "results.md"),))
    data = json.loads(json.dumps(told.to_dict()))
    assert data["measured"] == [{"data": "40 sketches", "cllr": 0.25, "source": "results.md"}]
    assert Calibration.from_dict(data) == told


def test_applying_a_calibration_loads_no_scikit_learn() -> None:
    code = (
        "import sys; from forensic.recognition.calibration import Calibration, verbal;"
        "c = Calibration(kind='a', population='b', people=9, mated=10, nonmated=10,"
        " slope=1.0, intercept=0.0, lower=-1.0, upper=1.0);"
        "print(verbal(c.log_lr(9)), [m for m in ('sklearn', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "moderate support: same person []\n"


WORDS = {1: "", 1.9: "", 2: "weak", 9.9: "weak", 10: "moderate", 100: "moderately strong", 1000: "strong"}
WORDS |= {10_000: "very strong", 999_999: "very strong", 1e6: "extremely strong", np.inf: "extremely strong"}


@pytest.mark.parametrize(("lr", "words"), WORDS.items())
def test_words_of_the_scale_on_both_sides(lr: float, words: str) -> None:
    for sign, proposition in ((1, "same person"), (-1, "different people")):
        expected = f"{words} support: {proposition}" if words else "no support for either"
        assert calibration.verbal(sign * np.log10(lr)) == expected


def test_cllr_by_its_formula_and_its_fixed_points() -> None:
    mated, nonmated = [1.0, -0.5], [-2.0, 0.3, 0.0]
    cost_mated = sum(math.log2(1 + 10**-x) for x in mated) / 2
    cost_nonmated = sum(math.log2(1 + 10**x) for x in nonmated) / 3
    assert calibration.cllr(mated, nonmated) == pytest.approx((cost_mated + cost_nonmated) / 2)
    assert calibration.cllr([0.0, 0.0], [0.0]) == 1.0
    assert calibration.cllr([400.0], [-400.0]) == 0.0
    assert calibration.cllr([-400.0], [400.0]) == pytest.approx(400 * math.log2(10))
    assert calibration.cllr([-np.inf], [0.0]) == np.inf


def pooled(values: Array, weights: Array) -> Array:
    """Isotonic regression by its max-min formula (Robertson, Wright and Dykstra, 1988, Theorem 1.4.4)."""
    sums, totals = (np.concatenate([[0.0], np.cumsum(part)]) for part in (values * weights, weights))
    means = np.array(
        [
            [np.inf] * s + [(sums[t + 1] - sums[s]) / (totals[t + 1] - totals[s]) for t in range(s, len(values))]
            for s in range(len(values))
        ]
    )
    return np.array([max(means[s, i:].min() for s in range(i + 1)) for i in range(len(values))])


def test_cllr_min_is_that_of_pooled_comparisons_and_knows_order_only() -> None:
    scores, mated = normal(20, 60)
    order = np.argsort(scores)
    posterior = np.empty(80)
    posterior[order] = pooled(mated[order].astype(float), np.where(mated, 1 / 20, 1 / 60)[order])
    expected = -(np.log2(posterior[mated]).mean() + np.log2(1 - posterior[~mated]).mean()) / 2
    found = calibration.cllr_min(scores[mated], scores[~mated])
    assert found == pytest.approx(expected)
    assert found == pytest.approx(calibration.cllr_min(3 * scores[mated] - 1, 3 * scores[~mated] - 1))
    assert found <= calibration.cllr(scores[mated], scores[~mated])
    assert calibration.cllr_min([1.0, 2.0], [0.0, -1.0]) == 0.0
    assert calibration.cllr_min([np.inf, 2.0], [-np.inf, -1.0]) == 0.0


def test_ece_by_its_formula_and_at_even_odds() -> None:
    scores, mated = normal(40, 90)
    a, b = scores[mated] / 2, scores[~mated] / 2
    found = calibration.ece_curve(a, b, [-1.0, 0.0, 2.0])
    for at, log_odds in enumerate([-1.0, 0.0, 2.0]):
        prior = 10**log_odds / (1 + 10**log_odds)
        system = (
            prior * np.log2(1 + 10 ** -(a + log_odds)).mean() + (1 - prior) * np.log2(1 + 10 ** (b + log_odds)).mean()
        )
        entropy = -prior * math.log2(prior) - (1 - prior) * math.log2(1 - prior)
        assert found.system[at] == pytest.approx(system)
        assert found.reference[at] == pytest.approx(entropy)
        assert found.pav[at] <= min(found.system[at], found.reference[at]) + 1e-12
    assert found.system[1] == pytest.approx(calibration.cllr(a, b))
    assert found.pav[1] == pytest.approx(calibration.cllr_min(a, b))
    assert len(calibration.ece_curve(a, b).prior_log_odds) == 61


def test_tippett_counts_and_falls() -> None:
    scores, mated = normal(30, 70)
    curves = calibration.tippett(scores[mated], scores[~mated])
    assert (curves.mated[0], curves.nonmated[0]) == (1.0, 1.0)
    assert (np.diff(curves.mated) <= 0).all()
    for value, share in zip(curves.log_lr[::50], curves.nonmated[::50], strict=True):
        assert share == pytest.approx(np.mean(scores[~mated] >= value))


def test_measures_refuse_empty_lists_and_nan() -> None:
    for measure in (calibration.cllr, calibration.cllr_min, calibration.ece_curve, calibration.tippett):
        with pytest.raises(ValueError, match="nonmated must be"):
            measure([1.0], [])
        with pytest.raises(ValueError, match="mated must be"):
            measure([np.nan], [1.0])
    with pytest.raises(ValueError, match="no verbal equivalent"):
        calibration.verbal(math.nan)
