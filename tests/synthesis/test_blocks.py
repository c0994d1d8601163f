"""Shared blocks, by hand."""

import math

import pytest
import torch
from torch.nn import functional as F

from forensic.synthesis.blocks import ACON, STEP, DeformableConvolution, MetaACON, gaussian_pyramid, sobel


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


def test_a_deformable_convolution_begins_as_a_plain_one_of_half_weight() -> None:
    block, x = DeformableConvolution(4, 3), torch.randn(2, 4, 5, 5)
    plain = F.conv2d(x, block.convolution.weight / 2, block.convolution.bias, padding=1)
    torch.testing.assert_close(block(x), plain)


def test_a_deformable_convolution_looks_where_its_offsets_say() -> None:
    """All taps moved one pixel to the right and weighed 1: the plain convolution of the image moved to the left."""
    block, x = DeformableConvolution(2, 1, groups=1), torch.randn(1, 2, 6, 6)
    with torch.no_grad():
        block.offsets.bias[:18] = torch.tensor([0.0, 1.0 / STEP] * 9)  # down, right
        block.offsets.bias[18:] = 50.0
    moved = F.pad(x, (0, 1, 0, 0))[..., 1:]
    plain = F.conv2d(moved, block.convolution.weight, block.convolution.bias, padding=1)
    torch.testing.assert_close(block(x)[..., 1:5], plain[..., 1:5])  # but at the padded edges


def test_a_deformable_convolution_keeps_float32_in_mixed_precision() -> None:
    block, x = DeformableConvolution(4, 3), torch.randn(1, 4, 5, 5, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = block(x)
    assert out.dtype == torch.float32
    out.sum().backward()
    for parameter in block.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert block.offsets.weight.grad.abs().sum() > 0


def test_gaussian_pyramid_by_hand() -> None:
    """An impulse of 256 in the middle of 8 x 8 becomes the outer product of (1 4 6 4 1), every second place of it."""
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 4, 4] = 256
    whole, half, quarter = gaussian_pyramid(image, 3)
    assert whole is image
    assert half[0, 0].tolist() == [[0, 0, 0, 0], [0, 1, 6, 1], [0, 6, 36, 6], [0, 1, 6, 1]]
    assert quarter.shape == (1, 1, 2, 2)
    for level in gaussian_pyramid(torch.full((2, 3, 16, 16), 0.7), 4):
        torch.testing.assert_close(level, torch.full_like(level, 0.7))


def test_sobel_by_hand() -> None:
    """Of a ramp of 2 a column: 2 * 2 * (1 + 2 + 1) inside, half at the edges; nothing along y."""
    ramp = torch.tensor([0.0, 2.0, 4.0, 6.0]).expand(1, 1, 4, 4)
    x, y = sobel(ramp)[0]
    assert x.tolist() == [[8, 16, 16, 8]] * 4
    assert not y.any()
    turned = sobel(ramp.mT)[0]
    assert torch.equal(turned[1], x.T)
