"""Decoding layers that are steered by what is known of a face: DOG, InfoACON and DySPADE (HIDA's Fig. 2b).

Gao, Zhu, Jiang, Wang: Human-Inspired Facial Sketch Synthesis with Dynamic Adaptation, ICCV 2023. `methods.hida` says
how the paper is read.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.synthesis.blocks import DeformableConvolution
from forensic.synthesis.shares import Dropout

Activation = Literal["InfoACON", "metaACON", "ReLU"]
Switch = Literal["pixel", "channel"]
"""What the switch θ of a metaACON is computed from."""


class ACON(nn.Module):
    """An activation between two slopes, ACON-C (Ma et al., Activate or Not: Learning Customized Activation, 2021).

    Each channel learns its slopes p₁ and p₂; θ says how sharply it goes from one to the other: with θ = 0 the channel
    is linear.

    Args:
        channels: Channels of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.p1 = nn.Parameter(torch.randn(1, channels, 1, 1))
        self.p2 = nn.Parameter(torch.randn(1, channels, 1, 1))

    def forward(self, x: Tensor, theta: Tensor) -> Tensor:
        """Features (n, channels, h, w) with a switch θ that broadcasts to them."""
        difference = (self.p1 - self.p2) * x
        return difference * (theta * difference).sigmoid() + self.p2 * x  # equation 1


class MetaACON(nn.Module):
    """ACON whose switch comes from the features themselves, metaACON.

    Args:
        channels: Channels of the input.
        switch: ``"pixel"`` takes θ = σ(x), one for each value; ``"channel"`` takes σ of two 1 x 1 convolutions of the
            channels' means, one for each channel.
    """

    def __init__(self, channels: int, *, switch: Switch = "pixel") -> None:
        super().__init__()
        self.acon = ACON(channels)
        self.theta: nn.Module = nn.Identity()
        if switch == "channel":
            hidden = max(16, channels // 16)
            self.theta = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, channels, h, w) to as many."""
        y: Tensor = self.acon(x, self.theta(x).sigmoid())
        return y


class InfoACON(ACON):
    """ACON whose switch comes from what is known of the face (equation 2).

    Args:
        channels: Channels of the input.
    """

    def forward(self, H: Tensor, theta: Tensor) -> Tensor:
        """Features (n, channels, h, w), steered by θ of the same shape, before its sigmoid."""
        return super().forward(H, theta.sigmoid())


class DySPADE(nn.Module):
    """Normalized features, scaled and shifted by what is known of the face, beside the identity."""

    def forward(self, H: Tensor, F_l: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Raw features H, the normalized F_l, γ - 1 and β, all of one shape."""
        return H + ((1 + gamma) * F_l + beta)  # equations 3 and 4


class DOG(nn.Sequential):
    """Twice the size by a deformable convolution.

    Args:
        entering: Channels of the input.
        leaving: Channels of the output.
    """

    def __init__(self, entering: int, leaving: int) -> None:
        twice = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        super().__init__(twice, DeformableConvolution(entering, leaving))


class Design(NamedTuple):
    """What the generator is made of; each field is the argument of `HIDA` that is called so."""

    depth: bool
    DySPADE: bool
    activation: Activation
    DOG: str
    switch: Switch
    dropout: float

    def activate(self, channels: int, *, encoder: bool = False) -> nn.Module:
        """A layer of Table 3: metaACON, or ReLU in the encoder and LeakyReLU in the decoder."""
        if self.activation == "ReLU":
            return nn.ReLU() if encoder else nn.LeakyReLU(0.2)
        return MetaACON(channels, switch=self.switch)

    def encode(self, entering: int, leaving: int, *, normalized: bool) -> nn.Sequential:
        """An encoding layer, which halves the sides."""
        convolution = nn.Conv2d(entering, leaving, 4, stride=2, padding=1)
        layers = [convolution, self.activate(leaving, encoder=True)]
        return nn.Sequential(*layers, *([nn.InstanceNorm2d(leaving)] if normalized else []))

    def last(self, entering: int) -> nn.Sequential:
        """The last decoding layer, raw."""
        return nn.Sequential(self.activate(entering), nn.ConvTranspose2d(entering, 1, 4, stride=2, padding=1))


class DecodingLayer(nn.Module):
    """DOG or a transposed convolution, InfoACON, DySPADE and their sum (Fig. 2b).

    Args:
        design: What it is made of.
        entering: Channels of the layer before (0 for the first layer) and of the encoding layer of the same size.
        leaving: Channels of the output.
        styles: Number of styles.
        deformed: Whether it enlarges by DOG.
    """

    def __init__(self, design: Design, entering: tuple[int, int], leaving: int, *, styles: int, deformed: bool) -> None:
        super().__init__()
        before, skip = entering
        self.enlarge: nn.Module = nn.ConvTranspose2d(before + skip, leaving, 4, stride=2, padding=1)
        if deformed:
            self.enlarge = DOG(before + skip, leaving)
        info = design.activation == "InfoACON"
        self.activate = InfoACON(leaving) if info else design.activate(leaving)
        branches = ["theta"] * info + ["gamma", "beta"] * design.DySPADE
        self.appearance = self.shared = None
        if branches and before:
            enlarge = nn.ConvTranspose2d(skip, 1, 4, stride=2, padding=1)
            self.appearance = nn.Sequential(enlarge, design.activate(1))
        if branches:
            conditions = design.depth + styles + (self.appearance is not None)
            convolution = nn.Conv2d(conditions, leaving, 3, padding=1)
            self.shared = nn.Sequential(convolution, design.activate(leaving))
        self.branches = nn.ModuleDict({name: nn.Conv2d(leaving, leaving, 3, padding=1) for name in branches})
        self.dyspade = DySPADE()
        self.dropout = Dropout(design.dropout)

    def forward(self, K: Tensor | None, E: Tensor, D: Tensor | None, s: Tensor) -> Tensor:
        """The next features.

        Args:
            K: Features of the layer before, (n, c, h, w); None for the first layer.
            E: What the encoder made at this size, likewise.
            D: Depth of twice the size, (n, 1, 2 h, 2 w); None without.
            s: One-hot styles, (n, styles).

        Returns:
            (n, leaving, 2 h, 2 w).
        """
        H = self.enlarge(E if K is None else torch.cat([K, E], dim=1))
        steering = self.steering(E, D, s, H.shape[2:])
        activated = self.activate(H, steering["theta"]) if "theta" in steering else self.activate(H)
        out: Tensor = F.instance_norm(activated)
        if "gamma" in steering:
            out = self.dyspade(H, out, steering["gamma"], steering["beta"])
        dropped: Tensor = self.dropout(out)
        return dropped

    def steering(self, E: Tensor, D: Tensor | None, s: Tensor, size: torch.Size) -> dict[str, Tensor]:
        """What the shared network makes of (D, S, A): θ before its sigmoid, γ - 1 and β; each (n, leaving, *size)."""
        if self.shared is None:
            return {}
        condition = [] if D is None else [D]
        condition.append(s[:, :, None, None].expand(-1, -1, *size))
        if self.appearance is not None:
            condition.append(self.appearance(E))
        hidden = self.shared(torch.cat(condition, dim=1))
        return {name: branch(hidden) for name, branch in self.branches.items()}
