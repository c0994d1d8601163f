import numpy as np
import pytest

from forensic.errors import DataError
from forensic.recognition.cohort import Cohort
from forensic.recognition.fusion import Scoring, fit_weights


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def scoring() -> Scoring:
    rng = np.random.default_rng(0)
    cohort = Cohort(unit(rng.normal(size=(60, 6))), unit(rng.normal(size=(70, 6))))
    return Scoring((0.25, 0.75), (cohort, None))


def test_scores_are_the_weighted_sum_of_the_routes_scores(scoring: Scoring) -> None:
    rng = np.random.default_rng(1)
    probes = [unit(rng.normal(size=(4, 6))), unit(rng.normal(size=(4, 3)))]
    gallery = [unit(rng.normal(size=(9, 6))), unit(rng.normal(size=(9, 3)))]
    found = scoring.scores(probes, gallery)
    cohort = scoring.cohorts[0]
    assert cohort is not None
    for i in range(4):
        query = cohort.query(probes[0][i])
        for j in range(9):
            first = query.vector @ np.float64(gallery[0][j]) + query.offset
            second = np.float64(probes[1][i]) @ np.float64(gallery[1][j])
            assert found[i, j] == pytest.approx(0.25 * first + 0.75 * second)


def test_adding_a_probe_changes_no_score(scoring: Scoring) -> None:
    rng = np.random.default_rng(2)
    probes = [unit(rng.normal(size=(30, 6))), unit(rng.normal(size=(30, 3)))]
    gallery = [unit(rng.normal(size=(9, 6))), unit(rng.normal(size=(9, 3)))]
    alone = scoring.scores([side[:1] for side in probes], gallery)
    np.testing.assert_allclose(scoring.scores(probes, gallery)[:1], alone, atol=1e-12)


def test_several_sketches_of_one_person_are_averaged(scoring: Scoring) -> None:
    rng = np.random.default_rng(3)
    probes = [unit(rng.normal(size=(3, 6))), unit(rng.normal(size=(3, 3)))]
    gallery = [unit(rng.normal(size=(5, 6))), unit(rng.normal(size=(5, 3)))]
    query = scoring.query(*zip(*probes, strict=True))
    together = np.hstack(gallery).astype(np.float64) @ query.vector + query.offset
    np.testing.assert_allclose(together, scoring.scores(probes, gallery).mean(axis=0))


def test_no_probe_gives_no_score(scoring: Scoring) -> None:
    empty = [np.empty((0, 6), np.float32), np.empty((0, 3), np.float32)]
    gallery = [np.ones((2, 6), np.float32), np.ones((2, 3), np.float32)]
    assert scoring.scores(empty, gallery).shape == (0, 2)


def test_weights_follow_what_a_route_tells() -> None:
    """Independent Gaussian scores: the best linear weights are separation over variance (Fisher)."""
    rng = np.random.default_rng(4)
    mated = np.arange(40000) < 20000
    separation, deviation = np.array([2.0, 1.0]), np.array([1.0, 2.0])
    scores = rng.normal(size=(len(mated), 2)) * deviation + mated[:, None] * separation
    expected = separation / deviation**2
    np.testing.assert_allclose(fit_weights(scores, mated), expected / expected.sum(), atol=0.02)


def test_a_route_that_misleads_is_left_out() -> None:
    rng = np.random.default_rng(5)
    mated = np.arange(2000) < 100
    good = rng.normal(size=2000) + 3 * mated
    weights = fit_weights(np.stack([good, rng.normal(size=2000) - mated], axis=1), mated)
    assert weights == (1.0, 0.0)
    with pytest.raises(DataError, match="tells mates"):
        fit_weights(-good[:, None], mated)
    with pytest.raises(DataError, match="one kind is missing"):
        fit_weights(good[:, None], np.ones(2000, bool))
