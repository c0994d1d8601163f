from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from forensic.recognition.index import Index, Scan, best_per_person, described
from forensic.recognition.segments import Coder, Segment, rounding

SCANS: tuple[Scan, ...] = get_args(Scan)


def unit(rows: int, dimensions: int = 16, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def brute_force(vectors: NDArray[np.float32], query: NDArray[np.float32]) -> list[tuple[float, int]]:
    """(score, row), best first, ties by row."""
    scores = [float(np.sum(row.astype(float) * query.astype(float))) for row in vectors]
    return sorted(((score, row) for row, score in enumerate(scores)), key=lambda pair: (-pair[0], pair[1]))


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("probes", [1, 12])
@pytest.mark.parametrize("k", [1, 7, 200, 500])
def test_search_is_exact(k: int, probes: int, scan: Scan) -> None:
    vectors, queries = unit(200), unit(probes, seed=1)
    ids = np.random.default_rng(2).permutation(10_000)[:200]
    scores, found = Index.build(vectors, ids, scan).search(queries, k)
    assert scores.dtype == np.float32
    assert scores.shape == found.shape == (probes, min(k, 200))
    for at, query in enumerate(queries):
        expected = brute_force(vectors, query)[:k]
        np.testing.assert_allclose(scores[at], [score for score, _ in expected], atol=1e-6)
        assert found[at].tolist() == [ids[row] for _, row in expected]


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("probes", [1, 9])
@pytest.mark.parametrize("dimensions", [31, 128])
def test_several_segments_are_searched_as_one(dimensions: int, probes: int, scan: Scan) -> None:
    """With templates that differ by less than their codes tell, and some that do not differ at all."""
    base = unit(300, dimensions)
    near = base[:200] + 1e-4 * unit(200, dimensions, seed=4)
    vectors = np.concatenate([base, near, base[::-1]]).astype(np.float32)
    keys = np.random.default_rng(1).permutation(800).astype(np.uint64)
    parts = np.array_split(np.random.default_rng(2).permutation(800), 7)
    index = Index([Segment([described(vectors[part])], part, keys[part]) for part in parts], scan)
    queries = base[:probes] + 0.01 * unit(probes, dimensions, seed=3)
    scores, found = index.search(queries, 100)
    for at, query in enumerate(queries):
        exact = (vectors.astype(float) * query.astype(np.float32).astype(float)).sum(axis=1)
        expected = np.lexsort((keys, -exact))[:100]
        assert found[at].tolist() == expected.tolist()
        np.testing.assert_array_equal(scores[at], exact[expected].astype(np.float32))


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("probes", [1, 9])
def test_spaces_side_by_side_are_searched_as_one_row(probes: int, scan: Scan) -> None:
    left, right, ids = unit(500, 24), unit(500, 33, seed=1), np.arange(500) + 5
    both = Index.build(np.hstack([left, right]), ids)
    parts = [Index.build(side, ids, scan).segments[0] for side in (left, right)]
    beside = Index([Segment.beside(parts)], scan)
    queries = unit(probes, 57, seed=2)
    for mine, theirs in zip(beside.search(queries, 50), both.search(queries, 50), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(beside.rows([7, 5]), np.hstack([left, right])[[2, 0]])
    other = Index.build(right, ids[::-1]).segments[0]
    with pytest.raises(ValueError, match="different photos"):
        Segment.beside([parts[0], other])


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("probes", [1, 9])
def test_a_part_is_searched_as_if_the_rest_were_not_there(probes: int, scan: Scan) -> None:
    vectors, queries = unit(400), unit(probes, seed=1)
    chosen = np.random.default_rng(0).permutation(400)[:30]
    part = Index.build(vectors, np.arange(400), scan).only(chosen)
    alone = Index.build(vectors[np.sort(chosen)], np.sort(chosen))
    assert len(part) == 30
    for k in (5, 100):
        for mine, theirs in zip(part.search(queries, k), alone.search(queries, k), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert len(part.only([])) == 0
    assert part.only([]).search(queries, 5)[0].shape == (probes, 0)


@pytest.mark.parametrize("dimensions", [16, 127, 160])
def test_no_error_of_an_approximate_score_is_above_its_bound(dimensions: int) -> None:
    vectors = unit(300, dimensions) * np.random.default_rng(1).uniform(0.1, 3, (300, 1)).astype(np.float32)
    (segment,) = Index.build(vectors, np.arange(300)).segments
    for query in unit(20, dimensions, seed=2):
        exact = vectors.astype(float) @ query.astype(float)
        rough = rounding(query, segment.longest)
        assert np.abs(segment.by_floats(query) - exact).max() <= rough
        ((coded,),) = Coder([segment]).of(query)
        error = np.abs(segment.by_codes([coded]) - exact).max()
        assert 10 * rough < error <= coded.slack + rough < 20 * error


@pytest.mark.parametrize("scan", SCANS)
def test_many_equal_templates_come_in_the_order_of_their_rows(scan: Scan) -> None:
    vectors = np.concatenate([unit(5), np.repeat(unit(1, seed=9), 100, axis=0), unit(5, seed=3)])
    scores, found = Index.build(vectors, np.arange(110), scan).search(unit(1, seed=9), 30)
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
    assert best_per_person(index, unit(3), lambda ids: {}, 5) == [[], [], []]


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


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("probes", [1, 9])
@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e39])
def test_a_query_that_is_not_finite_gets_no_other_ones_answer(value: float, probes: int, scan: Scan) -> None:
    queries = unit(probes).astype(float)
    queries[0, 3] = value
    with pytest.raises(ValueError, match="A query holds a value that is not finite"):
        Index.build(unit(50), np.arange(50), scan).search(queries, 3)


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
    found = best_per_person(index, queries, lambda ids: {int(one): people[one] for one in ids}, k)
    for query, candidates in zip(queries, found, strict=True):
        assert [(best.person, best.id) for best in candidates] == people_by_brute_force(vectors, people, query, k)
        assert len({best.person for best in candidates}) == len(candidates) == min(k, len(set(people)))
        for best in candidates:
            assert best.score == pytest.approx(float(vectors[best.id] @ query), abs=1e-6)
