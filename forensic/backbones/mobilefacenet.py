"""MobileFaceNet (Chen et al. 2018), the trunk of the default embedder.

Chen, Liu, Gao, Han: MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile
Devices, CCBR 2018, Table 1. The attribute names are those of the Apache-2.0 checkpoint that training starts
from, so that its state dict loads as it is. That checkpoint has ReLU where the paper has PReLU.
"""

from __future__ import annotations

from torch import Tensor, nn

BOTTLENECKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Expansion t, channels c, repeats n and first stride s of each row of Table 1."""


def conv_bn_relu(channels: int, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias, batch normalisation, ReLU6; 'same' padding."""
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6(inplace=True))


class Bottleneck(nn.Module):
    """Inverted residual: expand by t, depthwise 3 x 3, project linearly; a shortcut where shapes agree."""

    def __init__(self, channels: int, out: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.conv = nn.Sequential(
            conv_bn_relu(channels, hidden, kernel=1),
            conv_bn_relu(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same size or, with a stride, half of it."""
        y: Tensor = self.conv(x)
        return x + y if self.shortcut else y


class DepthwiseSeparable(nn.Module):
    """Depthwise 3 x 3, then pointwise 1 x 1, each followed by batch normalisation and ReLU."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same size or, with a stride, half of it."""
        x = self.bn1(self.depthwise(x)).relu_()
        y: Tensor = self.bn2(self.pointwise(x)).relu_()
        return y


class GlobalDepthwise(nn.Module):
    """Global depthwise convolution: one learned weight a position instead of an average (the paper's GDConv)."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, side, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same size or, with a stride, half of it."""
        y: Tensor = self.bn(self.depthwise(x))
        return y


class MobileFaceNet(nn.Module):
    """Aligned faces (n, 3, 112, 112) in [-1, 1] to features (n, 128), not normalised."""

    dimension = 128

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(3, 64, stride=2)
        self.dw_conv = DepthwiseSeparable(64, 64)
        blocks: list[nn.Module] = []
        channels = 64
        for expansion, out, repeats, stride in BOTTLENECKS:
            for k in range(repeats):
                blocks.append(Bottleneck(channels, out, expansion, stride if k == 0 else 1))
                channels = out
        self.features = nn.Sequential(*blocks)
        self.conv2 = conv_bn_relu(channels, 512, kernel=1)
        self.gdconv = GlobalDepthwise(512, side=7)
        self.conv3 = nn.Conv2d(512, self.dimension, 1)
        self.bn = nn.BatchNorm1d(self.dimension)

    def forward(self, faces: Tensor) -> Tensor:
        """Describe faces."""
        x = self.conv2(self.features(self.dw_conv(self.conv1(faces))))
        features: Tensor = self.bn(self.conv3(self.gdconv(x)).flatten(1))
        return features
