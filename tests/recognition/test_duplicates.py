import json

import numpy as np
import pytest

from forensic import routes
from forensic.recognition import duplicates
from forensic.recognition.calibration import Calibration


def brute(vectors, owners, least, apart=()):
    """Every pair, by two loops in double precision."""
    pairs = []
    for i in range(len(vectors)):
        for j in range(i + 1, len(vectors)):
            score = float(vectors[i].astype(np.float64) @ vectors[j].astype(np.float64))
            if owners[i] != owners[j] and score >= least and {owners[i], owners[j]} not in apart:
                pairs.append((-score, i, j))
    return sorted(pairs)


@pytest.fixture
def rows():
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(90, 8)).astype(np.float32)
    vectors[40:50] = vectors[:10]  # equal scores, in other rows
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, rng.integers(0, 30, 90)


@pytest.mark.parametrize("blocks", [(7, 11), (90, 90), (1, 1), (1024, 4096)])
@pytest.mark.parametrize("least", [-1.1, 0.3, 0.8])
def test_all_pairs_by_brute_force_whatever_the_blocks(rows, blocks, least, monkeypatch):
    vectors, owners = rows
    monkeypatch.setattr(duplicates, "ROWS", blocks[0])
    monkeypatch.setattr(duplicates, "COLUMNS", blocks[1])
    expected = brute(vectors, owners, least)
    found = duplicates.alike(vectors, owners, least, 10_000)
    assert found.found == len(found.scores) == len(expected)
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == {(i, j) for _, i, j in expected}
    np.testing.assert_allclose(found.scores, [-score for score, _, _ in expected], atol=1e-12)
    few = duplicates.alike(vectors, owners, least, 5)
    assert few.found == len(expected)
    np.testing.assert_allclose(few.scores, found.scores[:5], atol=1e-6)


def test_pairs_that_are_kept_apart_are_left_out(rows):
    vectors, owners = rows
    all_of_them = brute(vectors, owners, 0.5)
    _, i, j = all_of_them[0]
    apart = np.array([[owners[j], owners[i]]])
    found = duplicates.alike(vectors, owners, 0.5, 1000, apart=apart)
    assert found.found == len(brute(vectors, owners, 0.5, [{owners[i], owners[j]}])) < len(all_of_them)


def test_nobody_and_nonsense():
    nothing = duplicates.alike(np.empty((0, 8), np.float32), np.empty(0, np.int64), 0.5, 3)
    assert (nothing.found, len(nothing.scores)) == (0, 0)
    with pytest.raises(ValueError, match=r"give \(n, d\)"):
        duplicates.alike(np.ones((2, 3), np.float32), np.zeros(3, np.int64), 0.5, 3)


def test_the_stored_calibrations_fit_the_shipped_embedders():
    stored = json.loads(duplicates.CALIBRATIONS.read_text())
    assert stored
    for space, line in stored.items():
        assert routes.load(line["route"]).space == space, "fit it again: experiments/fit_photo_pairs.py"
        fitted = duplicates.calibration(space)
        assert isinstance(fitted, Calibration)
        assert fitted.kind == "photo with photo"
    assert "direct" in duplicates.calibrated()
    assert duplicates.calibration("0" * 64) is None
