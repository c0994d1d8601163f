import numpy as np
import pytest

from forensic.recognition import index
from forensic.recognition.bars import Bar, Kept, kth
from forensic.recognition.index import Index


def best(scores: np.ndarray, k: int) -> set[int]:
    return set(np.argsort(-scores, kind="stable")[:k].tolist())


@pytest.mark.parametrize("blocks", [1, 2, 7])
@pytest.mark.parametrize("searched", [1.0, 0.3])
def test_every_probes_best_and_what_may_be_better_are_kept(blocks: int, searched: float) -> None:
    rng = np.random.default_rng(blocks)
    k, margin = 5, 0.05
    scores = np.round(rng.standard_normal((blocks * 40, 3)), 2).astype(np.float32)  # with ties
    scores[rng.random(len(scores)) > searched] = -np.inf
    kept = Kept(k, np.full(3, margin, np.float32))
    for number in range(blocks):
        rows, probes, found = kept.passed(scores[40 * number : 40 * number + 40])
        kept.take((probes, np.full(len(rows), number), rows, found))
    kept.thin()
    whose, at, rows = kept.of(0, 3)
    assert (np.diff(at) >= 0).all()
    for probe in range(3):
        of_probe = scores[:, probe]
        mine = (40 * at + rows)[whose == probe]
        assert set(mine.tolist()) == set(np.flatnonzero(of_probe >= kth(of_probe, k) - np.float32(margin)).tolist())
    whose, _, _ = kept.of(1, 2)
    assert set(whose.tolist()) == {0}


def test_fewer_rows_than_are_wanted_are_all_kept() -> None:
    kept = Kept(50, np.zeros(2, np.float32))
    scores = np.random.default_rng(0).standard_normal((20, 2)).astype(np.float32)
    rows, probes, found = kept.passed(scores)
    kept.take((probes, np.zeros_like(rows), rows, found))
    kept.thin()
    assert len(kept.of(0, 1)[2]) == len(kept.of(1, 2)[2]) == 20


def test_a_bar_lets_the_best_pass_and_less_and_less_besides() -> None:
    rng = np.random.default_rng(0)
    blocks = [rng.standard_normal(1000).astype(np.float32) for _ in range(6)]
    bar, passed = Bar(10, 0.1), []
    for number, scores in enumerate(blocks):
        found, rows = bar.passed(scores)
        np.testing.assert_array_equal(found, scores[rows])
        passed.append(set((1000 * number + rows).tolist()))
    assert best(np.concatenate(blocks), 10) <= set.union(*passed)
    assert len(passed[-1]) < len(passed[0])


@pytest.mark.parametrize("first", [1, 40, 5000], ids=["as many as wanted", "some", "more than there are"])
@pytest.mark.parametrize("part", [None, 3])
def test_batches_in_many_blocks_answer_as_one_probe_at_a_time(
    part: int | None, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "BLOCK", 16)
    monkeypatch.setattr(index, "FIRST", first)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((900, 8)).round(1).astype(np.float32)  # with ties
    whole = Index.build(vectors, np.arange(900))
    searched = whole if part is None else whole.only(np.arange(0, 900, part))
    queries = rng.standard_normal((20, 8)).round(1).astype(np.float32)
    scores, ids = searched.search(queries, 30)
    for probe, score, numbers in zip(queries, scores, ids, strict=True):
        expected = searched.search(probe[None], 30)
        assert score.tobytes() == expected[0].tobytes()
        assert numbers.tobytes() == expected[1].tobytes()
