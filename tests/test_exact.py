import math

import numpy as np
import pytest

from forensic.exact import BLOCK, inner_products

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((3 * BLOCK + 5, 48)).astype(np.float32)
QUERIES = RNG.standard_normal((4, 48)).astype(np.float32)


def test_they_are_the_products_as_they_are_by_hand() -> None:
    found = inner_products([ROWS], QUERIES[0])
    expected = [math.fsum(float(x) * float(y) for x, y in zip(row, QUERIES[0], strict=True)) for row in ROWS]
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def test_a_product_is_the_same_to_the_bit_whatever_it_is_computed_with() -> None:
    alone = np.concatenate([inner_products([row[None]], QUERIES[1]) for row in ROWS])
    whose = RNG.integers(0, 4, len(ROWS))
    among_others = inner_products([ROWS[:, :20], ROWS[:, 20:]], QUERIES, np.where(np.arange(len(ROWS)) % 3, whose, 1))
    ours = np.arange(len(ROWS)) % 3 == 0
    assert inner_products([ROWS[::-1]], QUERIES[1])[::-1].tobytes() == alone.tobytes()
    assert among_others[ours].tobytes() == alone[ours].tobytes()


@pytest.mark.parametrize("count", [0, 1, BLOCK, BLOCK + 1])
def test_any_number_of_rows(count: int) -> None:
    assert inner_products([ROWS[:count]], QUERIES[0]).shape == (count,)
