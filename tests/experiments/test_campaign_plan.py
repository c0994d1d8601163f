"""What fits a budget."""

import pytest


def cost(name, epoch, epochs, *, group=None, main=True, **begun):
    from campaign_plan import Cost

    return Cost(name, group or name, main, epoch, epochs, **begun)


@pytest.mark.parametrize(
    ("costs", "epochs"),
    [
        (lambda: [cost("a", 1, 200), cost("b", 2, 200)], {"a": 45, "b": 22}),
        (lambda: [cost("a", 1, 10), cost("b", 2, 200)], {"a": 10, "b": 40}),  # what a leaves is b's
        (lambda: [cost("a", 100, 5)], {"a": 0}),
        (lambda: [cost("a", 1, 80), cost("x", 1, 9, main=False)], {"a": 80, "x": 9}),
        (lambda: [cost("a", 1, 200), cost("x", 1, 9, main=False)], {"a": 90, "x": 0}),
        (  # rows of one table get equally many epochs
            lambda: [cost("x", 1, 99, group="t", main=False), cost("y", 2, 99, group="t", main=False)],
            {"x": 30, "y": 30},
        ),
        (lambda: [cost("a", 1, 200, fixed=60, spent=5.0), cost("b", 1, 200)], {"a": 60, "b": 30}),
    ],
)
def test_the_budget_is_divided(costs, epochs) -> None:
    from campaign_plan import allocate

    given = costs()
    shares = allocate(given, 100.0)
    assert {name: share.epochs for name, share in shares.items()} == epochs
    assert sum(share.seconds for share in shares.values()) <= 100.0 + 1e-9
