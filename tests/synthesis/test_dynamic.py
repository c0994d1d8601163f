"""Learned activations, by hand; the layers that they steer are tested with HIDA."""

import math

import pytest
import torch
from torch.nn import functional as F

from forensic.synthesis.dynamic import ACON, MetaACON


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def slopes(acon: ACON, p1: float, p2: float) -> None:
    with torch.no_grad():
        acon.p1.fill_(p1)
        acon.p2.fill_(p2)


def test_acon_by_hand() -> None:
    """p1 = 2 and p2 = .5 at x = 3: 4.5 sigma(.7 * 4.5) + 1.5."""
    acon = ACON(1)
    slopes(acon, 2.0, 0.5)
    out = acon(torch.tensor(3.0).view(1, 1, 1, 1), torch.tensor(0.7))
    assert out.item() == pytest.approx(4.5 * sigma(0.7 * 4.5) + 1.5)


def test_acon_is_linear_without_its_switch_and_the_larger_slope_with_a_sharp_one() -> None:
    acon = ACON(1)
    slopes(acon, 1.0, 0.2)
    x = torch.linspace(-3, 3, 7).view(1, 1, 1, -1)
    torch.testing.assert_close(acon(x, torch.tensor(0.0)), 0.6 * x)
    torch.testing.assert_close(acon(x, torch.tensor(1e4)), F.leaky_relu(x, 0.2))


def test_metaacon_switches_each_value_by_itself() -> None:
    """theta = sigma(x): at x = -2 it is sigma(-2)."""
    meta = MetaACON(1)
    slopes(meta.acon, 1.0, 0.25)
    out = meta(torch.tensor([-2.0, 1.0]).view(1, 1, 1, 2)).flatten().tolist()
    assert out == pytest.approx([0.75 * x * sigma(sigma(x) * 0.75 * x) + 0.25 * x for x in (-2.0, 1.0)])


def test_metaacon_of_channels_switches_by_their_means() -> None:
    meta = MetaACON(32, switch="channel")
    pool, first, second = meta.theta
    assert (first.out_channels, second.out_channels) == (16, 32)
    assert MetaACON(512, switch="channel").theta[1].out_channels == 32
    x = torch.randn(2, 32, 4, 4)
    theta = second(first(x.mean(dim=(2, 3), keepdim=True))).sigmoid()
    torch.testing.assert_close(meta(x), meta.acon(x, theta))
    assert pool.output_size == 1
