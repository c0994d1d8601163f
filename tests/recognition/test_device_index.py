"""On the processor, where PyTorch's products are other ones than a card's: bounds and choice are the same."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from forensic.errors import UsageError
from forensic.recognition import device_index
from forensic.recognition.device_index import GROUP, NUMBERS, DeviceIndex, Numbers
from forensic.recognition.index import Index, described
from forensic.recognition.segments import Segment

CPU = torch.device("cpu")


def unit(rows: int, dimensions: int = 31, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def segmented(vectors: NDArray[np.float32], pieces: int, cut: int = 0) -> Index:
    """In segments of which each has a scale of its own, and where ``cut`` two spaces side by side."""
    parts = np.array_split(np.random.default_rng(2).permutation(len(vectors)), pieces)
    spaces = [vectors[:, :cut], vectors[:, cut:]] if cut else [vectors]
    return Index(
        [Segment([described(space[part]) for space in spaces], part, part.astype(np.uint64)) for part in parts]
    )


def assert_same(mine: tuple[NDArray[np.float32], NDArray[np.int64]], theirs: object) -> None:
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("cut", [0, 7])
@pytest.mark.parametrize("probes", [1, 4, 9])
@pytest.mark.parametrize(("rows", "k"), [(1, 3), (100, 100), (900, 5), (900, 200), (900, 2000)])
def test_answers_are_those_of_the_index(
    numbers: Numbers, cut: int, probes: int, rows: int, k: int, monkeypatch
) -> None:
    """With templates that differ by less than a byte tells, and some that do not differ at all."""
    monkeypatch.setattr(device_index, "SEGMENTS", 3)
    base = unit(rows)
    base[rows // 2 :] = base[: rows - rows // 2] + 1e-4 * unit(rows - rows // 2, seed=4)
    base[-(rows // 5) :] = base[: rows // 5] if rows >= 5 else base[-(rows // 5) :]
    index = segmented(base, min(rows, 7), cut)
    queries = base[np.arange(probes) % rows] + 0.01 * unit(probes, seed=3)
    assert_same(DeviceIndex(index, CPU, numbers).search(queries, k), index.search(queries, k))


@pytest.mark.parametrize("numbers", NUMBERS)
@settings(deadline=None)
@given(seed=st.integers(0, 10**6), spread=st.floats(-6, 4), rows=st.integers(1, 400), k=st.integers(1, 60))
def test_nothing_near_is_passed_over(numbers: Numbers, seed: int, spread: float, rows: int, k: int) -> None:
    """Rows and columns of any length, negative scores alone, and columns without a value."""
    rng = np.random.default_rng(seed)
    vectors = (unit(rows, 12, seed) * 10 ** rng.uniform(min(spread, 0), max(spread, 0), 12)).astype(np.float32)
    vectors[:, rng.integers(12)] = 0
    query = -np.abs(unit(2, 12, seed + 1)) if seed % 2 else unit(2, 12, seed + 1)
    index = Index.build(np.abs(vectors) if seed % 2 else vectors, np.arange(rows))
    assert_same(DeviceIndex(index, CPU, numbers).search(query, k), index.search(query, k))


@pytest.mark.parametrize("numbers", NUMBERS)
def test_few_rows_are_scored_twice(numbers: Numbers) -> None:
    """The bound is near enough to the error that the look at all rows leaves few."""
    index, queries = Index.build(unit(20_000, 128), np.arange(20_000)), unit(3, 128, seed=1)
    most = {"float32": 101, "float16": 110, "int8": 250}[numbers]
    for places in DeviceIndex(index, CPU, numbers).near(queries, 100):
        assert 100 <= len(places) <= most
        assert (np.diff(places) > 0).all()


def test_a_bound_holds_for_every_row() -> None:
    """Each rough score is as near to the exact one as is said."""
    vectors, probes = unit(1000, 40), unit(3, 40, seed=5)
    for numbers in NUMBERS:
        (block,) = (made := DeviceIndex(Index.build(vectors, np.arange(1000)), CPU, numbers)).blocks
        asked = made._asked(block, probes)
        error = np.abs(made._products(block, asked)[:1000].numpy() - vectors.astype(float) @ probes.T.astype(float))
        assert (error.max(axis=0) <= asked.slack).all()
        assert block.rows.shape == (1024, 48)
        assert block.rows.shape[0] % GROUP == 0


def test_what_stayed_the_same_is_not_sent_again(monkeypatch) -> None:
    monkeypatch.setattr(device_index, "SEGMENTS", 2)
    index = segmented(unit(600), 6)
    first = DeviceIndex(index, CPU)
    changed = [
        *index.segments[:3],
        Segment([described(unit(50, seed=9))], np.arange(50) + 1000, np.arange(50, dtype=np.uint64)),
    ]
    later = Index([*changed, *index.segments[4:]])
    second = DeviceIndex(later, CPU, known=first.blocks)
    assert [mine is theirs for mine, theirs in zip(second.blocks, first.blocks, strict=True)] == [True, False, True]
    query = unit(1, seed=7)
    assert_same(second.search(query, 40), later.search(query, 40))
    assert_same(first.search(query, 40), index.search(query, 40))


def test_parts_and_rows_are_the_processors() -> None:
    vectors = unit(300)
    index = Index.build(vectors, np.arange(300) + 5)
    on_device = DeviceIndex(index, CPU)
    assert len(on_device) == 300
    np.testing.assert_array_equal(on_device.rows([9]), vectors[[4]])
    assert_same(
        on_device.only(np.array([8, 9])).search(vectors[:2], 5), index.only(np.array([8, 9])).search(vectors[:2], 5)
    )


def test_an_empty_index_answers_nothing() -> None:
    scores, ids = DeviceIndex(Index([]), CPU).search(unit(2), 3)
    assert scores.shape == ids.shape == (2, 0)


@pytest.mark.parametrize(
    ("queries", "k", "said"),
    [(np.zeros((1, 9)), 1, "templates of 31"), (np.zeros((1, 31)), 0, "at least one"), ([[np.nan] * 31], 1, "finite")],
)
def test_questions_that_cannot_be_are_refused(queries: NDArray[np.float64], k: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DeviceIndex(Index.build(unit(50), np.arange(50)), CPU).search(queries, k)


def test_a_memory_that_is_too_small_is_told(monkeypatch) -> None:
    def full(*shape: object, **how: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch, "zeros", full)
    with pytest.raises(UsageError, match=r"The memory of cpu does not hold 50 templates, which take 0\.0 GB there"):
        DeviceIndex(Index.build(unit(50), np.arange(50)), CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("numbers", NUMBERS)
def test_a_card_answers_the_same(numbers: Numbers) -> None:
    index = segmented(unit(50_000, 627), 5, 127)
    queries = unit(9, 627, seed=1)
    assert_same(DeviceIndex(index, torch.device("cuda"), numbers).search(queries, 100), index.search(queries, 100))
