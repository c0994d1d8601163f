"""Blocks that methods may share: deformable and dense convolutions, SPADE; and fixed filters."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEP = 0.1
"""Pixels of an offset in units of what the convolution for it gives: so it learns ten times slower, as is usual, and
does not leave maps of a few pixels, beyond which there is nothing to see and nothing to learn from."""


class DeformableConvolution(nn.Module):
    """A 3 x 3 convolution that looks where the features tell it to.

    Dai et al., Deformable Convolutional Networks, ICCV 2017. Beside its offset each tap has a weight in (0, 1), as in
    the second version (Zhu et al. 2019). Once ``reset`` it is a plain convolution whose taps weigh one half.

    Args:
        entering: Channels of the input, divisible by ``groups``.
        leaving: Channels of the output.
        groups: Groups of input channels with offsets of their own.
    """

    def __init__(self, entering: int, leaving: int, *, groups: int = 2) -> None:
        super().__init__()
        self.taps = 9 * groups
        self.convolution = nn.Conv2d(entering, leaving, 3, padding=1)
        self.offsets = nn.Conv2d(entering, 3 * self.taps, 3, padding=1)
        self.reset()

    def reset(self) -> None:
        """Take the offsets back to 0."""
        nn.init.zeros_(self.offsets.weight)
        assert self.offsets.bias is not None
        nn.init.zeros_(self.offsets.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, entering, h, w) to (n, leaving, h, w), in float32."""
        from torchvision.ops import deform_conv2d  # takes a second to load, and few methods need it

        offsets, weights = self.offsets(x).float().split([2 * self.taps, self.taps], dim=1)
        with torch.autocast(x.device.type, enabled=False):  # sampling takes one precision for all, and needs a fine one
            kernel, bias = self.convolution.weight.float(), self.convolution.bias
            y: Tensor = deform_conv2d(x.float(), STEP * offsets, kernel, bias, padding=(1, 1), mask=weights.sigmoid())
        return y


class ResidualDense(nn.Module):
    """A residual dense block (Zhang et al., Residual Dense Network for Image Super-Resolution, 2018), normalized.

    Args:
        channels: Channels of input and output.
        growth: Channels that each of its four dense convolutions adds.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.ModuleList(nn.Conv2d(channels + k * growth, growth, 3, padding=1) for k in range(4))
        self.fuse = nn.Conv2d(channels + 4 * growth, channels, 1)
        self.norm = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, channels, h, w) to as many."""
        known = x
        for convolution in self.dense:
            known = torch.cat([known, convolution(known).relu()], dim=1)
        out: Tensor = self.norm(x + self.fuse(known)).relu()
        return out


class SPADE(nn.Module):
    """Normalization whose scale and shift are convolutions of maps.

    Park et al., Semantic Image Synthesis with Spatially-Adaptive Normalization, CVPR 2019; over the instance.

    Args:
        channels: Channels of the features.
        classes: Channels of the maps; with 0 the features are normalized alone.
        hidden: Channels of the first convolution of the maps (the paper: 128).
    """

    def __init__(self, channels: int, classes: int, hidden: int) -> None:
        super().__init__()
        self.steered = classes > 0
        if self.steered:
            self.shared = nn.Sequential(nn.Conv2d(classes, hidden, 3, padding=1), nn.ReLU())
            self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
            self.beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, maps: Tensor | None) -> Tensor:
        """Features (n, channels, h, w), normalized and steered by maps (n, classes, ...) of any size."""
        normalized = F.instance_norm(x)
        if not self.steered or maps is None:
            return normalized
        steering = self.shared(F.interpolate(maps, size=x.shape[2:], mode="nearest"))
        steered: Tensor = normalized * (1 + self.gamma(steering)) + self.beta(steering)
        return steered


def gaussian_pyramid(images: Tensor, levels: int) -> list[Tensor]:
    """Images, each half as large as the one before (Burt and Adelson, The Laplacian Pyramid, 1983, w(0) = 3/8).

    Args:
        images: Shape (n, c, h, w), the sides divisible by ``2 ** (levels - 1)``.
        levels: How many.

    Returns:
        The images themselves, then (n, c, h / 2, w / 2) and so on: every second pixel after a blur with
        (1 4 6 4 1) / 16 along both axes, edges replicated.
    """
    pyramid = [images]
    taps = images.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    channels = images.shape[1]
    kernel = torch.outer(taps, taps).expand(channels, 1, 5, 5)
    while len(pyramid) < levels:
        padded = F.pad(pyramid[-1], (2, 2, 2, 2), mode="replicate")
        pyramid.append(F.conv2d(padded, kernel, stride=2, groups=channels))
    return pyramid


def sobel(images: Tensor) -> Tensor:
    """Sobel's gradients of images (n, 1, h, w): along x and along y, (n, 2, h, w); edges are replicated."""
    x = images.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    return F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), torch.stack([x, x.T])[:, None])
