import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from forensic.errors import DataError
from forensic.recognition.cohort import Cohort
from forensic.recognition.fusion import Scoring, fit_weights
from forensic.recognition.index import Index, best_per_person


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
            assert found[i, j] == pytest.approx(0.25 * first + 0.75 * second, abs=1e-6)


def test_adding_a_probe_changes_no_score(scoring: Scoring) -> None:
    rng = np.random.default_rng(2)
    probes = [unit(rng.normal(size=(30, 6))), unit(rng.normal(size=(30, 3)))]
    gallery = [unit(rng.normal(size=(9, 6))), unit(rng.normal(size=(9, 3)))]
    alone = scoring.scores([side[:1] for side in probes], gallery)
    np.testing.assert_array_equal(scoring.scores(probes, gallery)[:1], alone)


def test_scores_are_to_the_bit_those_of_a_search(scoring: Scoring) -> None:
    rng = np.random.default_rng(4)
    probes = [unit(rng.normal(size=(5, 6))), unit(rng.normal(size=(5, 3)))]
    gallery = [unit(rng.normal(size=(40, 6))), unit(rng.normal(size=(40, 3)))]
    index = Index.build(np.hstack(gallery), np.arange(40))
    for row, *templates in zip(scoring.scores(probes, gallery), *probes, strict=True):
        query = scoring.query(templates)
        (found,) = best_per_person(index, query.vector[None], lambda ids: {int(one): int(one) for one in ids}, 40)
        assert [best.score + query.offset for best in found] == row[[best.id for best in found]].tolist()


def test_equal_photos_have_equal_scores_wherever_they_stand(scoring: Scoring) -> None:
    """So that a tie is a tie, and counts against the mate."""
    rng = np.random.default_rng(3)
    for count in (7, 50, 101, 333):
        probes = [unit(rng.normal(size=(11, 6))), unit(rng.normal(size=(11, 3)))]
        gallery = [unit(rng.normal(size=(count, 6))), unit(rng.normal(size=(count, 3)))]
        for side in gallery:
            side[-1] = side[0]
        found = scoring.scores(probes, gallery)
        np.testing.assert_array_equal(found[:, 0], found[:, -1])
        np.testing.assert_array_equal(found[:, 1:5], scoring.scores(probes, [side[1:5] for side in gallery]))


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


def searches(separation: np.ndarray, deviation: np.ndarray, count: int = 3000) -> list[tuple[np.ndarray, int]]:
    """Independent Gaussian scores of 40 photos; the mate's are higher by the separations."""
    rng = np.random.default_rng(4)
    found = []
    for k in range(count):
        scores = rng.normal(size=(40, len(separation))) * deviation
        scores[k % 40] += separation
        found.append((scores, k % 40))
    return found


def test_weights_follow_what_a_route_tells() -> None:
    """For Gaussian scores the mate's log-odds are linear, with separation over variance as weights (Fisher)."""
    separation, deviation = np.array([2.0, 1.5]), np.array([1.0, 2.0])
    expected = separation / deviation**2
    found = fit_weights(searches(separation, deviation))
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.02)


def test_weights_are_those_of_scikit_learn_for_two_photos() -> None:
    """Of two photos, the softmax is the logistic function of the difference: ordinary logistic regression."""
    rng = np.random.default_rng(5)
    made = [(rng.normal(size=(2, 3)) + np.array([[0.8, 0.5, 0.3], [0, 0, 0]]), 0) for _ in range(4000)]
    differences = np.array([scores[0] - scores[1] for scores, _ in made])
    both, labels = np.vstack([differences, -differences]), np.repeat([1, 0], len(made))
    coefficients = LogisticRegression(C=np.inf, fit_intercept=False).fit(both, labels).coef_[0]
    np.testing.assert_allclose(fit_weights(made), coefficients / coefficients.sum(), atol=1e-3)


def test_a_route_that_misleads_is_left_out() -> None:
    assert fit_weights(searches(np.array([2.0, -1.0]), np.ones(2))) == (1.0, 0.0)
    with pytest.raises(DataError, match="ranks mates"):
        fit_weights(searches(np.array([-2.0]), np.ones(1)))
    with pytest.raises(DataError, match="there is none"):
        fit_weights([])
