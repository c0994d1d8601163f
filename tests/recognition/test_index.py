import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from forensic.recognition.index import Index, best_per_person


def unit(rows: int, dimensions: int = 16, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def brute_force(vectors: NDArray[np.float32], query: NDArray[np.float32]) -> list[tuple[float, int]]:
    """(score, row), best first, ties by row."""
    scores = [float(np.sum(row.astype(float) * query.astype(float))) for row in vectors]
    return sorted(((score, row) for row, score in enumerate(scores)), key=lambda pair: (-pair[0], pair[1]))


@pytest.mark.parametrize("k", [1, 7, 200, 500])
def test_search_is_exact(k: int) -> None:
    vectors, queries = unit(200), unit(12, seed=1)
    ids = np.random.default_rng(2).permutation(10_000)[:200]
    scores, found = Index.build(vectors, ids).search(queries, k)
    assert scores.dtype == np.float32
    assert scores.shape == found.shape == (12, min(k, 200))
    for at, query in enumerate(queries):
        expected = brute_force(vectors, query)[:k]
        np.testing.assert_allclose(scores[at], [score for score, _ in expected], atol=1e-6)
        assert found[at].tolist() == [ids[row] for _, row in expected]


def test_many_equal_templates_come_in_the_order_of_their_rows() -> None:
    vectors = np.concatenate([unit(5), np.repeat(unit(1, seed=9), 100, axis=0), unit(5, seed=3)])
    scores, found = Index.build(vectors, np.arange(110)).search(unit(1, seed=9), 30)
    assert found[0].tolist() == list(range(5, 35))
    assert len(set(scores[0].tolist())) == 1


def test_another_probe_in_the_batch_or_another_order_of_enrollment_changes_no_score() -> None:
    vectors, queries = unit(500, 128), unit(40, 128, seed=1)
    index = Index.build(vectors, np.arange(500))
    together, _ = index.search(queries, 10)
    for at, query in enumerate(queries):
        alone, _ = index.search(query[None], 10)
        np.testing.assert_array_equal(alone[0], together[at])
    order = np.random.default_rng(3).permutation(500)
    shuffled, ids = Index.build(vectors[order], order).search(queries, 10)
    np.testing.assert_array_equal(shuffled, together)
    np.testing.assert_array_equal(ids, index.search(queries, 10)[1])


def test_an_empty_index_finds_nothing() -> None:
    index = Index.build(np.empty((0, 16), np.float32), np.empty(0, np.int64))
    scores, ids = index.search(unit(3), 5)
    assert scores.shape == ids.shape == (3, 0)
    assert best_per_person(index, unit(3), {}, 5) == [[], [], []]


def test_what_makes_no_index_is_refused() -> None:
    with pytest.raises(ValueError, match="n ids"):
        Index.build(unit(3), np.arange(4))
    with pytest.raises(ValueError, match="twice"):
        Index.build(unit(2), np.array([1, 1]))
    with pytest.raises(ValueError, match="finite"):
        Index.build(np.full((1, 4), np.nan), np.array([1]))
    index = Index.build(unit(3), np.arange(3))
    with pytest.raises(ValueError, match="templates of 16"):
        index.search(unit(1, 8), 1)
    with pytest.raises(ValueError, match="at least one"):
        index.search(unit(1), 0)


def test_the_cache_gives_the_same_index() -> None:
    index = Index.build(unit(50), np.arange(50) + 7)
    loaded = Index.load(index.to_bytes(space="s", revision="3"), space="s", revision="3")
    assert loaded is not None
    np.testing.assert_array_equal(loaded.vectors, index.vectors)
    np.testing.assert_array_equal(loaded.ids, index.ids)


def test_a_cache_of_another_state_is_not_used() -> None:
    data = Index.build(unit(50), np.arange(50)).to_bytes(space="s", revision="3")
    assert Index.load(data, space="s", revision="3") is not None
    assert Index.load(data, space="t", revision="3") is None
    assert Index.load(data, space="s", revision="4") is None
    assert Index.load(save({"vectors": unit(5)}), space="s", revision="3") is None


def test_no_damage_to_the_cache_goes_unseen() -> None:
    whole = Index.build(unit(20, 4), np.arange(20)).to_bytes(space="s", revision="3")
    for length in range(0, len(whole), 37):
        assert Index.load(whole[:length], space="s", revision="3") is None
    survivors = 0
    for at in range(len(whole)):
        damaged = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        loaded = Index.load(damaged, space="s", revision="3")
        if loaded is not None:  # a byte of padding or of an unused part of the header
            survivors += 1
            np.testing.assert_array_equal(loaded.vectors, unit(20, 4))
            np.testing.assert_array_equal(loaded.ids, np.arange(20))
    assert survivors < 16


def people_by_brute_force(
    vectors: NDArray[np.float32], people: list[str], query: NDArray[np.float32], k: int
) -> list[tuple[str, int]]:
    best: dict[str, int] = {}
    for _, row in brute_force(vectors, query):
        best.setdefault(people[row], row)
    return list(best.items())[:k]


@pytest.mark.parametrize("k", [1, 5, 40, 100])
def test_people_are_ranked_by_their_best_photo(k: int) -> None:
    generator = np.random.default_rng(5)
    # Rounded vectors make ties; person p00 has two thirds of all photos, near the first query.
    vectors = np.round(unit(300, 6) * 2) / 2
    vectors[:200] = np.round(unit(1, 6, seed=1) * 2) / 2
    people = ["p00"] * 200 + [f"p{number:02}" for number in generator.integers(1, 40, 100)]
    index = Index.build(vectors, np.arange(300))
    queries = unit(10, 6, seed=1)
    found = best_per_person(index, queries, dict(enumerate(people)), k)
    for query, candidates in zip(queries, found, strict=True):
        assert [(best.person, best.id) for best in candidates] == people_by_brute_force(vectors, people, query, k)
        assert len({best.person for best in candidates}) == len(candidates) == min(k, len(set(people)))
        for best in candidates:
            assert best.score == pytest.approx(float(vectors[best.id] @ query), abs=1e-6)
