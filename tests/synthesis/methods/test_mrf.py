"""Belief propagation against all combinations of states; the field's costs pixel by pixel."""

import itertools

import pytest
import torch
from invented import noise
from torch import Tensor

from forensic.errors import UsageError
from forensic.images import luminance
from forensic.synthesis import create
from forensic.synthesis.methods.mrf import MRF, Layer, field, propagated
from forensic.synthesis.patchwork import Grid, grid


def of_least_cost(evidence: Tensor, first: Tensor, second: Tensor, costs: Tensor) -> list[int]:
    """The states of least cost among all k^n."""
    n, k = evidence.shape
    states = torch.tensor(list(itertools.product(range(k), repeat=n)))
    cost = evidence[torch.arange(n), states].sum(dim=1)
    for i, j, table in zip(first.tolist(), second.tolist(), costs, strict=True):
        cost += table[states[:, i], states[:, j]]
    return list(states[cost.argmin()].tolist())


def edges(*pairs: tuple[int, int]) -> tuple[Tensor, Tensor]:
    first, second = torch.tensor(pairs).T
    return first, second


TREE = edges((0, 1), (1, 2), (1, 3), (3, 4), (5, 3))
GRID = edges((0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5))
PYRAMID = edges((0, 1), (2, 3), (0, 2), (1, 3), (0, 4), (1, 4), (2, 4), (3, 4))


@pytest.mark.parametrize("graph", [TREE, GRID, PYRAMID], ids=["tree", "grid", "two scales"])
def test_states_found_are_those_of_least_cost(graph: tuple[Tensor, Tensor]) -> None:
    draw = torch.Generator().manual_seed(0)
    nodes = int(torch.cat(graph).max()) + 1
    for _ in range(5):
        evidence = torch.rand(nodes, 4, generator=draw)
        costs = torch.rand(len(graph[0]), 4, 4, generator=draw) * (1 if graph is TREE else 0.3)
        assert propagated(evidence, *graph, costs, rounds=40).tolist() == of_least_cost(evidence, *graph, costs)


def rectangle(place: tuple[int, int], size: int) -> set[tuple[int, int]]:
    return {(place[0] + y, place[1] + x) for y in range(size) for x in range(size)}


def test_what_states_cost_is_the_difference_of_the_pixels_that_they_share() -> None:
    """Two layers on 9 x 10 pixels, nodes as rectangles: neighbours in a layer, and the patch in which one lies."""
    draw = torch.Generator().manual_seed(0)
    grids = [grid(9, 10, 4, 2), grid(9, 10, 8, 4)]
    layers = [
        Layer(where, torch.rand(len(where.places), 3, 3, size, size, generator=draw), torch.empty(0))
        for where, size in zip(grids, (4, 8), strict=True)
    ]
    nodes = [(tuple(place), layer, i) for layer in layers for i, place in enumerate(layer.grid.places.tolist())]
    first, second, costs = field(layers)
    found = {(i, j): table for i, j, table in zip(first.tolist(), second.tolist(), costs, strict=True)}
    assert len(found) == len(costs)
    below = len(grids[0].places)
    assert {i for i, j in found if j >= below > i} == set(range(below))  # each has one patch above
    assert len([pair for pair in found if pair[1] >= below > pair[0]]) == below
    assert {pair for pair in found if pair[1] < below} == neighbours(grids[0])
    for (i, j), table in found.items():
        (here, a, one), (there, b, other) = nodes[i], nodes[j]
        shared = rectangle(here, a.states.shape[-1]) & rectangle(there, b.states.shape[-1])
        if j >= below > i:
            assert shared == rectangle(here, 4)
        by_hand = torch.zeros(3, 3)
        for y, x in shared:
            left = a.states[one, :, :, y - here[0], x - here[1]]
            right = b.states[other, :, :, y - there[0], x - there[1]]
            by_hand += (left[:, None] - right).square().sum(dim=2)
        torch.testing.assert_close(table, by_hand, rtol=1e-4, atol=1e-5)


def neighbours(where: Grid) -> set[tuple[int, int]]:
    columns = len(where.columns)
    numbers = range(len(where.rows) * columns)
    return {(i, j) for i in numbers for j in numbers if j - i == columns or (j - i == 1 and j % columns)}


def test_the_whole_field_is_minimized() -> None:
    """On 8 x 8 pixels nine patches of 4 and, above, one of 8: 3^10 combinations."""
    photos, sketches, probe = noise(3, 8, 8, seed=0), noise(3, 8, 8, seed=1), noise(1, 8, 8, seed=2)
    mrf = MRF(patch=4, overlap=2, candidates=3, compatibility=0.2, search=1).fit(photos, sketches)
    x = luminance(probe)[0, 0]
    layers = [mrf._layer(x, scale) for scale in range(2)]
    first, second, costs = field(layers)
    evidence = torch.cat([layer.evidence for layer in layers])
    best = of_least_cost(evidence, first, second, 0.2 / 3 * costs)
    assert propagated(evidence, first, second, 0.2 / 3 * costs, rounds=30).tolist() == best


def test_alone_every_patch_is_its_nearest() -> None:
    photos, sketches, probe = noise(3, 12, 12, seed=0), noise(3, 12, 12, seed=1), noise(1, 12, 12, seed=2)
    mrf = MRF(patch=4, overlap=0, scales=1, candidates=3, compatibility=0.0, search=0).fit(photos, sketches)
    made = mrf.translate(probe)[0]
    for y, x in itertools.product((0, 4, 8), (0, 4, 8)):
        there = (slice(None), slice(y, y + 4), slice(x, x + 4))
        distances = (luminance(photos) - luminance(probe))[(slice(None), *there)].square().sum(dim=(1, 2, 3))
        assert torch.equal(made[there], sketches[(int(distances.argmin()), *there)])


def test_compatible_neighbours_are_preferred() -> None:
    """Of two persons one is much nearer on the left, the other a little on the right: together the first is chosen."""
    photos = torch.stack([torch.full((3, 8, 12), value) for value in (0.1, -0.1)])
    sketches = torch.stack([torch.full((3, 8, 12), value) for value in (0.5, -0.5)])
    probe = torch.zeros(1, 3, 8, 12)
    probe[..., :6], probe[..., 6:] = 0.04, -0.01
    settings = {"patch": 4, "overlap": 2, "scales": 1, "candidates": 2, "search": 0}
    apart = create("mrf", compatibility=0.0, **settings).fit(photos, sketches).translate(probe)  # type: ignore[attr-defined]
    together = create("mrf", compatibility=1.0, **settings).fit(photos, sketches).translate(probe)  # type: ignore[attr-defined]
    assert set(apart.unique().tolist()) == {0.5, -0.5}
    assert together.unique().tolist() == [0.5]


def test_bad_settings_are_refused() -> None:
    for settings in ({"scales": 0}, {"compatibility": -1.0}, {"rounds": 0}, {"overlap": 4}, {"candidates": 0}):
        with pytest.raises(UsageError, match="mrf"):
            create("mrf", **settings)
    create("mrf", overlap=4, scales=1)
