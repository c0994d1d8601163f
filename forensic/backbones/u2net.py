"""U2-Net (Qin et al. 2020): a U of little Us, for salient objects and portrait drawings.

Qin, Zhang, Huang, Dehghan, Zaiane, Jagersand: U2-Net: Going Deeper with Nested U-Structure for Salient Object
Detection, Pattern Recognition 106, 2020, Figure 5 and Table 1. The attribute names are those of xuebinqin/U-2-Net,
whose checkpoints load as they are.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size = Literal["full", "small"]

DEPTHS = {"1": 7, "2": 6, "3": 5, "4": 4, "5": 0, "6": 0, "5d": 0, "4d": 4, "3d": 5, "2d": 6, "1d": 7}
"""Levels of each stage's U; 0 is the dilated one (RSU-4F), which keeps its resolution."""
FULL = {
    "1": (3, 32, 64), "2": (64, 32, 128), "3": (128, 64, 256), "4": (256, 128, 512), "5": (512, 256, 512),
    "6": (512, 256, 512), "5d": (1024, 256, 512), "4d": (1024, 128, 256), "3d": (512, 64, 128),
    "2d": (256, 32, 64), "1d": (128, 16, 64),
}  # fmt: skip
"""Channels in, inside and out of each stage (Table 1)."""
SMALL = {stage: (3 if stage == "1" else 128 if stage.endswith("d") else 64, 16, 64) for stage in DEPTHS}
"""The same of the small network, U2-Net+."""


class ConvBNReLU(nn.Module):
    """3 x 3 convolution, batch normalisation, ReLU."""

    def __init__(self, channels: int, out: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(channels, out, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same size."""
        y: Tensor = self.bn_s1(self.conv_s1(x)).relu()
        return y


class ResidualU(nn.Module):
    """A residual block whose branch is a U-Net (the paper's RSU-L, Figure 2 e).

    Args:
        levels: L; 0 makes RSU-4F, in which dilation takes the place of pooling.
        channels: Channels that enter.
        middle: Channels inside.
        out: Channels that leave.
    """

    def __init__(self, levels: int, channels: int, middle: int, out: int) -> None:
        super().__init__()
        self.pooled = levels > 0
        self.levels = levels or 4
        dilations = [1] * (self.levels - 1) + [2] if self.pooled else [1, 2, 4, 8]
        self.rebnconvin = ConvBNReLU(channels, out)
        for k, dilation in enumerate(dilations, 1):
            setattr(self, f"rebnconv{k}", ConvBNReLU(out if k == 1 else middle, middle, dilation))
        for k in range(self.levels - 1, 0, -1):
            leaving = out if k == 1 else middle
            setattr(self, f"rebnconv{k}d", ConvBNReLU(2 * middle, leaving, dilations[k - 1]))

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same size."""
        entered: Tensor = self.rebnconvin(x)
        encoded: list[Tensor] = []
        y: Tensor = entered
        for k in range(1, self.levels):
            y = getattr(self, f"rebnconv{k}")(halved(y) if self.pooled and k > 1 else y)
            encoded.append(y)
        y = getattr(self, f"rebnconv{self.levels}")(y)
        for k in range(self.levels - 1, 0, -1):
            skip = encoded[k - 1]
            y = getattr(self, f"rebnconv{k}d")(torch.cat([resized(y, skip), skip], dim=1))
        return y + entered


class U2Net(nn.Module):
    """Images (n, 3, h, w), sides at least 32, to the fused map (n, 1, h, w) in [0, 1].

    Args:
        size: ``full`` (44 million parameters) or ``small`` (1.1 million).
    """

    side6: nn.Conv2d

    def __init__(self, size: Size = "full") -> None:
        super().__init__()
        widths = FULL if size == "full" else SMALL
        for stage, levels in DEPTHS.items():
            setattr(self, f"stage{stage}", ResidualU(levels, *widths[stage]))
        for k in range(1, 7):
            setattr(self, f"side{k}", nn.Conv2d(widths["6" if k == 6 else f"{k}d"][2], 1, 3, padding=1))
        self.outconv = nn.Conv2d(6, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """The first of the seven maps, the one that is used."""
        encoded: list[Tensor] = []
        x: Tensor = images
        for k in range(1, 7):
            x = getattr(self, f"stage{k}")(x if k == 1 else halved(x))
            encoded.append(x)
        sides: list[Tensor] = [self.side6(x)]
        for k in range(5, 0, -1):
            skip = encoded[k - 1]
            x = getattr(self, f"stage{k}d")(torch.cat([resized(x, skip), skip], dim=1))
            sides.insert(0, getattr(self, f"side{k}")(x))
        fused: Tensor = self.outconv(torch.cat([resized(side, sides[0]) for side in sides], dim=1))
        return fused.sigmoid()


def halved(x: Tensor) -> Tensor:
    """Maximum over 2 x 2 pixels; an odd side is rounded up."""
    return F.max_pool2d(x, 2, stride=2, ceil_mode=True)


def resized(x: Tensor, like: Tensor) -> Tensor:
    """Brought to the other's size, bilinearly."""
    if x.shape[2:] == like.shape[2:]:
        return x
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)
