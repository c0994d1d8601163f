import numpy as np
import pytest

from forensic.recognition.cohort import NEAREST, STRENGTH, Cohort


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def cohort() -> Cohort:
    rng = np.random.default_rng(0)
    return Cohort(unit(rng.normal(size=(120, 8))), unit(rng.normal(size=(90, 8))))


def test_the_query_is_the_definition_in_one_product(cohort: Cohort) -> None:
    """Oracle: both corrections by their definitions, score by score."""
    rng = np.random.default_rng(1)
    probe, gallery = unit(rng.normal(size=8)), unit(rng.normal(size=(5, 8)))
    to_sketches = [(float(np.float64(probe) @ sketch), k) for k, sketch in enumerate(np.float64(cohort.sketches))]
    peers = [cohort.sketches[k] for _, k in sorted(to_sketches)[-NEAREST:]]

    def corrected_score(photo: np.ndarray) -> float:
        return float(np.float64(probe) @ photo - STRENGTH * np.mean([peer @ photo for peer in peers]))

    to_photos = sorted(corrected_score(photo) for photo in np.float64(cohort.photos))[-NEAREST:]
    query = cohort.query(probe)
    for photo in gallery.astype(np.float64):
        expected = (corrected_score(photo) - np.mean(to_photos)) / np.std(to_photos)
        assert query.vector @ photo + query.offset == pytest.approx(expected)


def test_a_hub_is_brought_down() -> None:
    """A photo that is near to every sketch of the probe's style loses against one that is near to the probe alone."""
    rng = np.random.default_rng(2)
    style = np.eye(16)[0]
    sketches = unit(style + 0.3 * rng.normal(size=(200, 16)))
    probe = unit(style + 0.6 * np.eye(16)[5])
    hub, mate = unit(style), unit(style + np.eye(16)[5] + np.eye(16)[7])
    cohort = Cohort(sketches, unit(rng.normal(size=(200, 16))))
    assert probe @ hub > probe @ mate
    query = cohort.query(probe)
    assert query.vector @ mate > query.vector @ hub


def test_a_probe_that_is_in_the_cohort_is_passed_over_there(cohort: Cohort) -> None:
    probe = cohort.sketches[7]
    without = cohort._replace(sketches=np.delete(cohort.sketches, 7, axis=0))
    np.testing.assert_array_equal(cohort.query(probe).vector, without.query(probe).vector)


def test_the_order_of_the_cohort_does_not_matter(cohort: Cohort) -> None:
    probe = unit(np.arange(8) - 3.0)
    turned = Cohort(cohort.sketches[::-1], cohort.photos[::-1])
    np.testing.assert_allclose(turned.query(probe).vector, cohort.query(probe).vector, atol=1e-12)


def test_a_small_cohort_serves_and_an_empty_one_is_refused(cohort: Cohort) -> None:
    probe = unit(np.ones(8))
    assert np.isfinite(Cohort(cohort.sketches[:3], cohort.photos[:2]).query(probe).vector).all()
    with pytest.raises(ValueError, match="at least"):
        Cohort(cohort.sketches[:0], cohort.photos).query(probe)
    with pytest.raises(ValueError, match="at least"):
        Cohort(cohort.sketches, cohort.photos[:1]).query(probe)
