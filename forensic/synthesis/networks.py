"""Generators and discriminators that several methods share."""

import torch
from torch import Tensor, nn


def normal_init(network: nn.Module, deviation: float = 0.02) -> None:
    """Convolution weights from N(0, deviation), biases 0 (Isola et al. 2017, appendix 6.2)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


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
        channels = [inputs, *(width * min(2**level, 8) for level in range(depth))]
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        for level in range(depth):
            self.down.append(self._down(channels[level], channels[level + 1], level, depth))
        for level in reversed(range(depth)):
            entering = channels[level + 1] * (1 if level == depth - 1 else 2)
            dropped = depth - 1 - level < 3 and channels[level] == 8 * width
            leaving = outputs if level == 0 else channels[level]
            self.up.append(self._up(entering, leaving, outermost=level == 0, dropout=dropout if dropped else 0.0))
        normal_init(self)

    @staticmethod
    def _down(entering: int, leaving: int, level: int, depth: int) -> nn.Module:
        layers: list[nn.Module] = [] if level == 0 else [nn.LeakyReLU(0.2)]
        normalized = 0 < level < depth - 1
        # A normalization takes a bias out again; Adam would chase the rounding noise that is its gradient.
        layers.append(nn.Conv2d(entering, leaving, 4, stride=2, padding=1, bias=not normalized))
        if normalized:
            layers.append(nn.InstanceNorm2d(leaving, affine=True))
        return nn.Sequential(*layers)

    @staticmethod
    def _up(entering: int, leaving: int, *, outermost: bool, dropout: float) -> nn.Module:
        layers: list[nn.Module] = [
            nn.ReLU(),
            nn.ConvTranspose2d(entering, leaving, 4, stride=2, padding=1, bias=outermost),
        ]
        if outermost:
            return nn.Sequential(*layers, nn.Tanh())
        layers.append(nn.InstanceNorm2d(leaving, affine=True))
        if dropout:
            layers.append(nn.Dropout(dropout))
        return nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, inputs, h, w) to (n, outputs, h, w) in [-1, 1]."""
        skips = []
        features = images
        for down in self.down:
            features = down(features)
            skips.append(features)
        features = skips.pop()
        for up in self.up[:-1]:
            features = torch.cat([up(features), skips.pop()], dim=1)
        faces: Tensor = self.up[-1](features)
        return faces


class PatchDiscriminator(nn.Module):
    """Scores every patch as real or synthesized (Isola et al. 2017, appendix 6.1.2).

    C64-C128-C256-C512 and a convolution to one channel, all 4 x 4: the first three of stride 2, the last two
    of stride 1, which makes the receptive field 70 pixels. The scores are raw (no sigmoid).

    Args:
        inputs: Channels of the input; a conditional discriminator sees source and target concatenated.
        width: Channels of the first layer (the paper: 64).
        halvings: Convolutions of stride 2; 1, 2, 3 and 4 see patches of 16, 34, 70 and 142 pixels.
    """

    def __init__(self, *, inputs: int = 6, width: int = 64, halvings: int = 3):
        super().__init__()
        layers: list[nn.Module] = []
        entering = inputs
        for index in range(halvings + 1):
            leaving = width * min(2**index, 8)
            layers.append(
                nn.Conv2d(entering, leaving, 4, stride=2 if index < halvings else 1, padding=1, bias=not index)
            )
            if index:
                layers.append(nn.InstanceNorm2d(leaving, affine=True))
            layers.append(nn.LeakyReLU(0.2))
            entering = leaving
        layers.append(nn.Conv2d(entering, 1, 4, stride=1, padding=1))
        self.layers = nn.Sequential(*layers)
        normal_init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, inputs, h, w) to scores (n, 1, h / 2 ** halvings - 2, w / 2 ** halvings - 2)."""
        scores: Tensor = self.layers(images)
        return scores
