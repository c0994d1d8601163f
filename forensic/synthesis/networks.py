"""Generators and discriminators that several methods share."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.synthesis.shares import Dropout

HALVINGS = {16: 1, 34: 2, 70: 3, 142: 4}
"""A patch's side -> a discriminator's convolutions of stride 2."""


def normal_init(network: nn.Module, deviation: float = 0.02) -> None:
    """Convolution weights from N(0, deviation), biases 0 (Isola et al. 2017, appendix 6.2)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def down(entering: int, leaving: int, *, first: bool = False, normalized: bool = True) -> nn.Sequential:
    """An encoder's level: LeakyReLU (but before the first), a 4 x 4 convolution of stride 2, normalization."""
    layers: list[nn.Module] = [] if first else [nn.LeakyReLU(0.2)]
    # A normalization takes a bias out again; Adam would chase the rounding noise that is its gradient.
    layers.append(nn.Conv2d(entering, leaving, 4, stride=2, padding=1, bias=not normalized))
    if normalized:
        layers.append(nn.InstanceNorm2d(leaving, affine=True))
    return nn.Sequential(*layers)


def up(entering: int, leaving: int, *, outermost: bool = False, dropout: float = 0.0) -> nn.Sequential:
    """A decoder's level: ReLU, a 4 x 4 transposed convolution of stride 2, normalization (but of the outermost)."""
    layers: list[nn.Module] = [
        nn.ReLU(),
        nn.ConvTranspose2d(entering, leaving, 4, stride=2, padding=1, bias=outermost),
    ]
    if not outermost:
        layers.append(nn.InstanceNorm2d(leaving, affine=True))
        if dropout:
            layers.append(Dropout(dropout))
    return nn.Sequential(*layers)


def encoder(inputs: int, width: int, depth: int) -> tuple[nn.ModuleList, list[int]]:
    """The levels of an encoder and the channels that each gives: ``width``, doubling up to ``8 * width``.

    The outermost and the innermost level have no normalization: the innermost may be 1 x 1, where instance
    normalization would leave nothing.
    """
    channels = [width * min(2**level, 8) for level in range(depth)]
    entering = [inputs, *channels[:-1]]
    levels = (
        down(a, b, first=level == 0, normalized=0 < level < depth - 1)
        for level, (a, b) in enumerate(zip(entering, channels, strict=True))
    )
    return nn.ModuleList(levels), channels


def every_level(levels: nn.ModuleList, images: Tensor) -> list[Tensor]:
    """What each level of an encoder makes of images, outermost first."""
    features = []
    for level in levels:
        images = level(images)
        features.append(images)
    return features


class UNet(nn.Module):
    """Encoder and decoder with a skip connection at every resolution (Isola et al. 2017, appendix 6.1.1).

    Every level halves the sides with a 4 x 4 convolution of stride 2; the channels double from ``width`` up
    to ``8 * width``. The outermost and the innermost convolution have no normalization: the innermost may
    be 1 x 1, where instance normalization would leave nothing.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        width: Channels of the first level (the paper: 64).
        depth: Number of levels (the paper: 8 at 256 x 256). The sides must be divisible by ``2 ** depth``.
        dropout: Rate in the first three decoder levels of full width (the paper: 0.5).
    """

    def __init__(self, *, inputs: int = 3, outputs: int = 3, width: int = 64, depth: int = 8, dropout: float = 0.5):
        super().__init__()
        self.down, channels = encoder(inputs, width, depth)
        self.up = nn.ModuleList()
        for level in reversed(range(depth)):
            entering = channels[level] * (1 if level == depth - 1 else 2)
            if level == 0:
                self.up.append(nn.Sequential(*up(entering, outputs, outermost=True), nn.Tanh()))
                continue
            dropped = depth - 1 - level < 3 and channels[level - 1] == 8 * width
            self.up.append(up(entering, channels[level - 1], dropout=dropout if dropped else 0.0))
        normal_init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, inputs, h, w) to (n, outputs, h, w) in [-1, 1]."""
        skips = every_level(self.down, images)
        features = skips.pop()
        for level in self.up[:-1]:
            features = torch.cat([level(features), skips.pop()], dim=1)
        faces: Tensor = self.up[-1](features)
        return faces


class TwinUNet(nn.Module):
    """A U-Net with two encoders, whose features meet at the bottleneck, and one or more last levels.

    Two encoders see the image and its parsing (Yu et al. 2021, Toward Realistic Face Photo-Sketch Synthesis via
    Composition-Aided GANs); each decoder level takes the skips of both, or of the first alone.

    Args:
        inputs: Channels of the two inputs.
        outputs: Channels of each last level; its output is raw.
        width: Channels of the first level of an encoder.
        depth: Number of levels; the sides must be divisible by ``2 ** depth``.
        joined: Whether the second encoder's features go into every decoder level, or at the bottleneck alone.
    """

    def __init__(
        self,
        *,
        inputs: tuple[int, int],
        outputs: Sequence[int],
        width: int = 64,
        depth: int = 8,
        joined: bool = True,
    ):
        super().__init__()
        self.joined = joined
        self.first, channels = encoder(inputs[0], width, depth)
        self.second, _ = encoder(inputs[1], width, depth)
        sources = 2 if joined else 1  # encoders whose skips a level takes
        entering = 2 * channels[-1]
        self.up = nn.ModuleList()
        for level in reversed(range(1, depth)):
            self.up.append(up(entering, channels[level - 1]))
            entering = channels[level - 1] * (1 + sources)
        self.heads = nn.ModuleList(up(entering, leaving, outermost=True) for leaving in outputs)
        normal_init(self)

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """Two inputs (n, inputs, h, w) to one raw output (n, outputs, h, w) for each last level."""
        one, two = every_level(self.first, first), every_level(self.second, second)
        features = torch.cat([one.pop(), two.pop()], dim=1)
        for level in self.up:
            skips = [one.pop(), two.pop()][: 2 if self.joined else 1]
            features = torch.cat([level(features), *skips], dim=1)
        return [head(features) for head in self.heads]


class PatchDiscriminator(nn.Module):
    """Scores every patch as real or synthesized (Isola et al. 2017, appendix 6.1.2).

    C64-C128-C256-C512 and a convolution to one channel, all 4 x 4: the first three of stride 2, the last two
    of stride 1, which makes the receptive field 70 pixels. The scores are raw (no sigmoid).

    Args:
        inputs: Channels of the input; a conditional discriminator sees source and target concatenated.
        width: Channels of the first layer (the paper: 64).
        patch: Receptive field in pixels: 16, 34, 70 or 142, with 1, 2, 3 or 4 convolutions of stride 2.
        normalized: Whether instance norms stand between the convolutions, as in the paper. They bound what a single
            pixel can do to the scores, and so hide lone spikes from the discriminator.

    Raises:
        UsageError: There is no such patch.
    """

    def __init__(self, *, inputs: int = 6, width: int = 64, patch: int = 70, normalized: bool = True):
        super().__init__()
        if patch not in HALVINGS:
            raise UsageError(f"patch is {patch}, expected one of {', '.join(map(str, HALVINGS))}.")
        halvings = HALVINGS[patch]
        layers: list[nn.Module] = []
        entering = inputs
        for index in range(halvings + 1):
            leaving = width * min(2**index, 8)
            norm = normalized and index > 0
            stride = 2 if index < halvings else 1
            layers.append(nn.Conv2d(entering, leaving, 4, stride=stride, padding=1, bias=not norm))
            if norm:
                layers.append(nn.InstanceNorm2d(leaving, affine=True))
            layers.append(nn.LeakyReLU(0.2))
            entering = leaving
        layers.append(nn.Conv2d(entering, 1, 4, stride=1, padding=1))
        self.layers = nn.Sequential(*layers)
        normal_init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, inputs, h, w) to scores (n, 1, h / 2 ** k - 2, w / 2 ** k - 2) with k convolutions of stride 2."""
        scores: Tensor = self.layers(images)
        return scores


class ResNet(nn.Module):
    """Convolutions of stride 2, residual blocks, and as many transposed convolutions (Johnson et al. 2016).

    CycleGAN's generator and pix2pixHD's global generator: c7s1-``width``, down-sampling that doubles the channels,
    residual blocks of two 3 x 3 convolutions, up-sampling, c7s1-``outputs``. Edges are reflected around the 7 x 7 and
    the residual convolutions.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        width: Channels of the first layer (both papers: 64).
        halvings: Convolutions of stride 2 (CycleGAN: 2, pix2pixHD: 4). The sides must be divisible by
            ``2 ** halvings``, and larger than that by 2 or more.
        blocks: Residual blocks (both papers: 9 at 256 x 256).
        block: Makes a residual block of so many channels; `ResidualBlock` where None.
    """

    def __init__(
        self,
        *,
        inputs: int = 3,
        outputs: int = 3,
        width: int = 64,
        halvings: int = 2,
        blocks: int = 9,
        block: Callable[[int], nn.Module] | None = None,
    ):
        super().__init__()
        layers = residual_encoder(inputs, width, halvings, blocks, block or ResidualBlock)
        self.layers = nn.Sequential(*layers, *doubling(width, outputs, halvings))
        rungs = [4 + 3 * level for level in range(halvings + 1)]  # layers up to the last ReLU at each resolution
        self._rungs = [*rungs, *(blocks + rungs[-1] + 3 * level for level in range(halvings + 1))]
        normal_init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, inputs, h, w) to (n, outputs, h, w) in [-1, 1]."""
        faces: Tensor = self.layers(images)
        return faces

    def stages(self, images: Tensor) -> list[Tensor]:
        """What is made on the way: features of every resolution, down and up again, and the faces last.

        Returns:
            ``halvings + 1`` features (n, width * 2 ** k, h / 2 ** k, w / 2 ** k), k from 0 on; as many again with k
            back to 0, the first of them after the residual blocks; the faces.
        """
        found = []
        for done, layer in enumerate(self.layers, start=1):
            images = layer(images)
            found += [images] * self._rungs.count(done)
        return [*found, images]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with reflected edges beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            *_activated(nn.Conv2d(channels, channels, 3, bias=False)),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features (n, c, h, w) to features of the same shape."""
        out: Tensor = features + self.layers(features)
        return out


def residual_encoder(
    inputs: int, width: int, halvings: int, blocks: int, block: Callable[[int], nn.Module] = ResidualBlock
) -> list[nn.Module]:
    """c7s1-``width``, convolutions of stride 2 that double the channels, and residual blocks."""
    layers = [layer for level in halving(inputs, width, halvings) for layer in level]
    return layers + [block(width * 2**halvings) for _ in range(blocks)]


def halving(inputs: int, width: int, halvings: int) -> list[nn.Sequential]:
    """c7s1-``width``, then convolutions of stride 2 that double the channels: a level for each resolution."""
    levels = [nn.Sequential(nn.ReflectionPad2d(3), *_activated(nn.Conv2d(inputs, width, 7, bias=False)))]
    for entering, leaving in pairwise(width * 2**level for level in range(halvings + 1)):
        levels.append(nn.Sequential(*_activated(nn.Conv2d(entering, leaving, 3, stride=2, padding=1, bias=False))))
    return levels


def doubling(width: int, outputs: int, halvings: int) -> list[nn.Module]:
    """Transposed convolutions that halve the channels down to ``width``, then c7s1-``outputs`` and tanh."""
    layers: list[nn.Module] = []
    for entering, leaving in pairwise(width * 2**level for level in reversed(range(halvings + 1))):
        layers += enlarging(entering, leaving)
    return [*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh()]


def enlarging(entering: int, leaving: int) -> list[nn.Module]:
    """A 3 x 3 transposed convolution of stride 2, instance normalization and ReLU."""
    return _activated(nn.ConvTranspose2d(entering, leaving, 3, stride=2, padding=1, output_padding=1, bias=False))


def _activated(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [convolution, nn.InstanceNorm2d(convolution.out_channels, affine=True), nn.ReLU()]


class MultiScaleDiscriminator(nn.Module):
    """PatchGANs of one architecture that see the images at halved sizes (Wang et al. 2018, section 3.2).

    Each is C64-C128-C256-C512 and a convolution to one channel, all 4 x 4, padded by 2 as in the authors' code, so
    that small images still give scores; the patch is 70 pixels of its scale.

    Args:
        inputs: Channels of the input.
        width: Channels of the first layer (the paper: 64).
        scales: Number of discriminators (the paper: 3).
    """

    def __init__(self, *, inputs: int = 6, width: int = 64, scales: int = 3):
        super().__init__()
        self.scales = nn.ModuleList(_PatchLevels(inputs, width) for _ in range(scales))
        normal_init(self)

    def forward(self, images: Tensor) -> list[list[Tensor]]:
        """What each layer of each discriminator makes of images (n, inputs, h, w), finest first.

        The last of a discriminator's layers are its raw scores.
        """
        found = []
        for levels in self.scales:
            found.append(levels(images))
            images = F.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)
        return found


class _PatchLevels(nn.ModuleList):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__([nn.Sequential(nn.Conv2d(inputs, width, 4, stride=2, padding=2), nn.LeakyReLU(0.2))])
        for level, stride in enumerate((2, 2, 1)):
            entering, leaving = width * 2**level, width * 2 ** (level + 1)
            convolution = nn.Conv2d(entering, leaving, 4, stride=stride, padding=2, bias=False)
            self.append(nn.Sequential(convolution, nn.InstanceNorm2d(leaving, affine=True), nn.LeakyReLU(0.2)))
        self.append(nn.Conv2d(8 * width, 1, 4, padding=2))

    def forward(self, images: Tensor) -> list[Tensor]:
        return every_level(self, images)
