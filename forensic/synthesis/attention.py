"""Attention: over places and channels (MSG-SARL), and over the widths of strokes (DeepFacePencil)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.synthesis.networks import every_level, normal_init

ChannelEnergy = Literal["printed", "danet"]
Attention = Literal["channels", "branches"]


class SARB(nn.Module):
    """A residual block, a 5 x 5 convolution and self-attention inside a global residual (MSG-SARL, Fig. 3)."""

    def __init__(self, channels: int, k: int, channel: ChannelEnergy) -> None:
        super().__init__()
        self.local = nn.Sequential(
            convolution(channels, channels, 3),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
        )
        self.conv5 = nn.Sequential(
            nn.Conv2d(channels, channels, 5, padding=2, bias=False), nn.InstanceNorm2d(channels, affine=True)
        )
        self.unit = SelfAttention(channels, k, channel) if k else nn.Identity()

    def forward(self, F_: Tensor) -> Tensor:
        """Features (n, c, h, w) to features of the same shape."""
        M = self.conv5(F_ + self.local(F_))
        out: Tensor = F_ + self.unit(M)
        return out


class SelfAttention(nn.Module):
    """Position and channel attention, added up (MSG-SARL, Fig. 4)."""

    def __init__(self, channels: int, k: int = 8, channel: ChannelEnergy = "printed") -> None:
        super().__init__()
        reduced = max(1, channels // k)  # C*
        self.channel = channel
        self.A, self.B = nn.Conv2d(channels, reduced, 1), nn.Conv2d(channels, reduced, 1)
        self.C = nn.Conv2d(channels, channels, 1)
        self.alpha, self.beta = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
        self.epsilon_H, self.epsilon_E = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.gamma = nn.Conv2d(channels, channels, 1)

    def forward(self, M: Tensor) -> Tensor:
        """Features (n, c, h, w) to N of the same shape."""
        N: Tensor = self.gamma(self.epsilon_H(self.H(M)) + self.epsilon_E(self.E(M))) + M  # equation 11
        return N

    def E(self, M: Tensor) -> Tensor:
        """Position self-attention (equation 8)."""
        A, B, C = (layer(M).flatten(2) for layer in (self.A, self.B, self.C))
        mu = (B.transpose(1, 2) @ A).softmax(dim=2)  # equations 6 and 7: [j, i]
        E: Tensor = self.alpha * (C @ mu.transpose(1, 2)).view_as(M) + M
        return E

    def H(self, M: Tensor) -> Tensor:
        """Channel self-attention (equation 10)."""
        flat = M.flatten(2)
        energy = flat @ flat.transpose(1, 2)
        if self.channel == "danet":
            energy = energy.amax(dim=2, keepdim=True) - energy
        x = energy.softmax(dim=2)  # equation 9: [j, i]
        return self.beta * (x @ flat).view_as(M) + M


def convolution(entering: int, leaving: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """A convolution, instance normalization and PReLU."""
    layer = nn.Conv2d(entering, leaving, kernel, stride=stride, padding=(kernel - 1) // 2, bias=False)
    return nn.Sequential(layer, nn.InstanceNorm2d(leaving, affine=True), nn.PReLU())


class SpatialAttentionPooling(nn.Module):
    """Strokes widened by several kernels, weighted from place to place (DeepFacePencil, section 3.2, Fig. 3).

    Args:
        width: Channels of R; C's layers have ``width``, ``2 * width`` and ``4 * width``.
        kernels: Kernel sizes of the pooling.
        reach: Kernel size of each first convolution.
        attention: Whether A has a channel for each of R's, or one for each kernel.
    """

    def __init__(self, width: int, kernels: Sequence[int], reach: int, attention: Attention) -> None:
        super().__init__()
        self.kernels, share = tuple(kernels), width // len(kernels)
        self.branches = nn.ModuleList(nn.Sequential(*_wide(1, share, reach), *_wide(share, share, 3)) for _ in kernels)
        weights = width if attention == "channels" else len(kernels)
        self.attend = nn.Sequential(
            *_wide(7 * width, width, reach), *_wide(width, width, 3), nn.Conv2d(width, weights, 3, padding=1)
        )
        normal_init(self)

    def forward(self, S: Tensor, F_C: Sequence[Tensor]) -> Tensor:
        """SAP(S), (n, width, h, w), of sketches (n, c, h, w) with dark strokes and C's features of them."""
        R = torch.cat([branch(P) for branch, P in zip(self.branches, self.P(S), strict=True)], dim=1)  # equation 1
        A = self.A(F_C, S.shape[2:])
        return A.repeat_interleave(R.shape[1] // A.shape[1], dim=1) * R  # equation 3

    def P(self, S: Tensor) -> list[Tensor]:
        """Pooling(S; r) for each kernel, (n, 1, h, w); black strokes are 1, paper is -1."""
        ink = -S.mean(dim=1, keepdim=True)  # so that the maximum widens strokes
        return [F.max_pool2d(F.pad(ink, [r // 2] * 4, mode="reflect"), r, stride=1) for r in self.kernels]

    def A(self, F_C: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """The attention (equation 2): channels that sum to 1 at every place."""
        large = [F.interpolate(f, size=list(size), mode="bilinear", align_corners=True) for f in F_C]
        attention: Tensor = self.attend(torch.cat(large, dim=1)).softmax(dim=1)
        return attention


class Classifier(nn.Module):
    """C: tells edge-aligned sketches from deformed ones by three convolutions of stride 2 (DeepFacePencil, 3.2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Sequential(nn.Conv2d(1, width, 3, stride=2, padding=1), nn.LeakyReLU(0.2))]
        for entering in (width, 2 * width):
            convolution = nn.Conv2d(entering, 2 * entering, 3, stride=2, padding=1, bias=False)
            norm = nn.InstanceNorm2d(2 * entering, affine=True)
            layers.append(nn.Sequential(convolution, norm, nn.LeakyReLU(0.2)))
        head = nn.Sequential(nn.Conv2d(4 * width, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.layers = nn.ModuleList([*layers, head])
        normal_init(self)

    def forward(self, S: Tensor) -> list[Tensor]:
        """F₁, F₂ and F₃ of sketches (n, c, h, w), with halved sides each, and the logits (n, 2)."""
        return every_level(self.layers, S.mean(dim=1, keepdim=True))


def _wide(entering: int, leaving: int, side: int) -> list[nn.Module]:
    return [nn.Conv2d(entering, leaving, side, padding=side // 2), nn.ReLU()]
