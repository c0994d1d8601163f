import numpy as np
import pytest
from numpy.typing import NDArray

from forensic.recognition.approximate import Approximate, recall
from forensic.recognition.index import KINDS, Index, Kind, best_per_person


def clustered(rows: int, dimensions: int = 32) -> NDArray[np.float32]:
    """Templates as faces have them: some centres, and what lies about them."""
    rng = np.random.default_rng(0)
    made = rng.normal(size=(50, dimensions))[rng.integers(0, 50, rows)] + 0.5 * rng.normal(size=(rows, dimensions))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_most_of_what_is_near_is_found_with_exact_scores(kind: Kind) -> None:
    vectors = clustered(5000)
    exact = Index.build(vectors, np.arange(5000) + 3)
    near = Approximate(exact, kind)
    queries = vectors[:40]
    scores, found = near.search(queries, 20)
    assert recall(exact.search(queries, 20)[1], found) > 0.95
    products = (vectors[found[0] - 3].astype(float) * queries[0].astype(float)).sum(axis=1)
    np.testing.assert_array_equal(scores[0], products.astype(np.float32))
    assert (np.diff(scores, axis=1) <= 0).all()
    assert len(near) == 5000
    np.testing.assert_array_equal(near.rows([7]), vectors[[4]])


def test_a_part_is_searched_exactly() -> None:
    exact = Index.build(clustered(2000), np.arange(2000))
    chosen = np.arange(0, 2000, 100)
    mine, theirs = (one.only(chosen).search(clustered(2000)[:3], 5) for one in (Approximate(exact, "hnsw"), exact))
    np.testing.assert_array_equal(mine[1], theirs[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 20, 255, 256])
def test_a_small_gallery_is_looked_at_too(rows: int, kind: Kind) -> None:
    exact = Index.build(clustered(rows), np.arange(rows))
    queries = clustered(300)[-3:]
    _, found = Approximate(exact, kind).search(queries, 5)
    if rows < 256:
        np.testing.assert_array_equal(found, exact.search(queries, 5)[1])
    assert found.shape == (3, min(rows, 5))


@pytest.mark.parametrize(
    ("queries", "k", "said"),
    [(np.zeros((1, 9)), 1, "templates of 32"), (np.zeros((1, 32)), 0, "at least one"), ([[np.nan] * 32], 1, "finite")],
)
def test_questions_that_cannot_be_are_refused(queries: NDArray[np.float64], k: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Approximate(Index.build(clustered(50), np.arange(50)), "hnsw").search(queries, k)


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_for_more_people_than_there_are_ends(kind: Kind) -> None:
    near = Approximate(Index.build(clustered(3000), np.arange(3000)), kind)
    (found,) = best_per_person(near, clustered(3000)[:1], lambda ids: {int(one): int(one) % 8 for one in ids}, 10)
    assert len({best.person for best in found}) == len(found) <= 8
    assert found[0].id == 0


def test_recall_is_the_share_that_was_found() -> None:
    assert recall(np.array([[1, 2], [3, 4]]), np.array([[2, 9], [4, 3]])) == 0.75
