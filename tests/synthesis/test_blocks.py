"""Shared blocks, by hand."""

import torch
from torch.nn import functional as F

from forensic.synthesis.blocks import STEP, DeformableConvolution, gaussian_pyramid, sobel


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
