"""MobileNet V1 (Howard et al. 2017), the network of 3DDFA_V2.

Howard et al.: MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, 2017, Table 1.
Guo, Zhu, Yang, Yang, Lei, Li: Towards Fast, Accurate and Stable 3D Dense Face Alignment, ECCV 2020. The attribute
names are those of cleardusk/3DDFA_V2, whose checkpoint loads once ``module.`` is taken off its keys.
"""

from __future__ import annotations

from torch import Tensor, nn

BLOCKS = {
    "dw2_1": (32, 64, 1), "dw2_2": (64, 128, 2), "dw3_1": (128, 128, 1), "dw3_2": (128, 256, 2),
    "dw4_1": (256, 256, 1), "dw4_2": (256, 512, 2), "dw5_1": (512, 512, 1), "dw5_2": (512, 512, 1),
    "dw5_3": (512, 512, 1), "dw5_4": (512, 512, 1), "dw5_5": (512, 512, 1), "dw5_6": (512, 1024, 2),
    "dw6": (1024, 1024, 1),
}  # fmt: skip
"""Channels in and out and stride of each block (Table 1)."""


class DepthwiseSeparable(nn.Module):
    """Depthwise 3 x 3, then pointwise 1 x 1, each with batch normalisation and ReLU."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
        self.bn_dw = nn.BatchNorm2d(channels)
        self.conv_sep = nn.Conv2d(channels, out, 1, bias=False)
        self.bn_sep = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same size or, with a stride, half of it."""
        x = self.bn_dw(self.conv_dw(x)).relu()
        y: Tensor = self.bn_sep(self.conv_sep(x)).relu()
        return y


class MobileNetV1(nn.Module):
    """Images (n, 3, h, w) to numbers (n, outputs)."""

    def __init__(self, outputs: int = 62) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        for name, (channels, out, stride) in BLOCKS.items():
            setattr(self, name, DepthwiseSeparable(channels, out, stride))
        self.fc = nn.Linear(1024, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Regress."""
        x = self.bn1(self.conv1(images)).relu()
        for name in BLOCKS:
            x = getattr(self, name)(x)
        numbers: Tensor = self.fc(x.mean(dim=(2, 3)))
        return numbers
