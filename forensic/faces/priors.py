"""What is known of a face before anything is drawn: its parts, its outline, its depth, its landmarks.

A prior turns faces into maps of the same size. The toolkit's own network gives all of them, for photos and drawings
alike; published networks (``published.py``) can take its place. How it was trained and measured: its card in
``forensic/weights``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic import weights
from forensic.backbones.folding import folded
from forensic.errors import ModelError, UsageError

PARSING_CLASSES = (
    "background", "skin", "nose", "glasses", "left eye", "right eye", "left brow", "right brow", "left ear",
    "right ear", "inner mouth", "upper lip", "lower lip", "hair", "hat", "earring", "necklace", "neck", "cloth",
)  # fmt: skip
"""Classes of CelebAMask-HQ in its order (Lee et al. 2020, MaskGAN); left and right are the person's own."""

MIRRORED = (0, 1, 2, 3, 5, 4, 7, 6, 9, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""Where each class goes when the image is mirrored."""

Kind = Literal["parsing", "saliency", "depth"]
KINDS: tuple[Kind, ...] = ("parsing", "saliency", "depth")
KIND = "priors"
OWN = "priors"
"""What the toolkit's own network is called."""


class Prior(nn.Module):
    """Maps of one kind, frozen.

    Attributes:
        name: What its weights are called.
        digest: SHA-256 of the weight file.
    """

    name: str
    digest: str

    def forward(self, images: Tensor) -> Tensor:
        """Faces (n, 3, h, w) in [-1, 1] to maps (n, channels, h, w); gradients reach the images.

        Parsing has 19 channels of probabilities that sum to 1, in the order of ``PARSING_CLASSES``; saliency and
        depth have one channel in [0, 1]: foreground, and nearness with 0 behind the face.
        """
        raise NotImplementedError


class Maps(NamedTuple):
    """What the network says of faces, at half their resolution, before any activation.

    Attributes:
        parsing: Logits of the 19 classes, (n, 19, h / 2, w / 2).
        saliency: Logit of foreground, (n, 1, h / 2, w / 2).
        depth: Logit of nearness, (n, 1, h / 2, w / 2).
        landmarks: One heatmap a landmark, (n, 5, h / 2, w / 2); each one's softmax over the pixels says where it is.
    """

    parsing: Tensor
    saliency: Tensor
    depth: Tensor
    landmarks: Tensor


CHANNELS = (19, 1, 1, 5)


class PriorNetwork(nn.Module):
    """One encoder and one decoder for all priors: a small residual pyramid (Lin et al. 2017, FPN).

    Sides must be divisible by 32. The encoder halves five times; the image's mean feature is added at the bottom, so
    that every place knows the whole face; the decoder comes back to half the resolution.

    Args:
        widths: Channels of the five levels.
        decoder: Channels of the decoder.
    """

    def __init__(self, *, widths: Sequence[int] = (24, 48, 96, 160, 192), decoder: int = 64) -> None:
        super().__init__()
        self.widths, self.decoder_width = tuple(widths), decoder
        self.stem = nn.Sequential(_convolution(3, widths[0], stride=2), _convolution(widths[0], widths[0]))
        levels = []
        for level, repeats in enumerate((1, 1, 2, 1)):
            entering, leaving = widths[level], widths[level + 1]
            blocks = [_Residual(leaving) for _ in range(repeats)]
            levels.append(nn.Sequential(_convolution(entering, leaving, stride=2), *blocks))
        self.levels = nn.ModuleList(levels)
        self.context = nn.Conv2d(widths[-1], widths[-1], 1)
        self.lateral = nn.ModuleList(nn.Conv2d(width, decoder, 1) for width in widths[1:])
        self.smooth = nn.ModuleList(_convolution(decoder, decoder) for _ in widths[2:])
        self.narrow = nn.Conv2d(decoder, widths[0], 1)
        self.head = nn.Sequential(_convolution(2 * widths[0], 40), nn.Conv2d(40, sum(CHANNELS), 1))

    def forward(self, images: Tensor) -> Maps:
        """Faces (n, 3, h, w) in [-1, 1] to maps of half their resolution."""
        fine = self.stem(images)
        features, x = [], fine
        for level in self.levels:
            x = level(x)
            features.append(x)
        top = features[-1]
        features[-1] = top + self.context(top.mean(dim=(2, 3), keepdim=True))
        y = self.lateral[-1](features[-1])
        for lateral, smooth, skip in zip(
            reversed(self.lateral[:-1]), reversed(self.smooth), reversed(features[:-1]), strict=True
        ):
            y = smooth(_doubled(y) + lateral(skip))
        out = self.head(torch.cat([_doubled(self.narrow(y)), fine], dim=1))
        return Maps(*out.split(CHANNELS, dim=1))


class Priors(nn.Module):
    """Maps of several kinds, each by the network chosen for it; the toolkit's own runs once for all of its kinds.

    Args:
        chosen: Name of the network for each kind wanted.

    Raises:
        UsageError: There is no such kind.
        ModelError: Weights are missing, damaged or of another kind; the message says what to do.
    """

    def __init__(self, chosen: Mapping[Kind, str]) -> None:
        super().__init__()
        unknown = [kind for kind in chosen if kind not in KINDS]
        if unknown:
            raise UsageError(f"Unknown prior {unknown[0]!r}. Known: {', '.join(KINDS)}.")
        self._own = [kind for kind, name in chosen.items() if name == OWN]
        self._others = {kind: _published(kind, name) for kind, name in chosen.items() if name != OWN}
        self.published = nn.ModuleList(self._others.values())
        self.digests: dict[str, str] = {kind: digest(kind, name) for kind, name in chosen.items()}
        if self._own:
            self.network = network()
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> dict[Kind, Tensor]:
        """Maps of faces, each of the faces' size; gradients reach the faces.

        Args:
            images: (n, 3, h, w) in [-1, 1], the sides divisible by 32 for the toolkit's own network.

        Returns:
            For each kind what `Prior` says of it.
        """
        maps: dict[Kind, Tensor] = {}
        if self._own:
            raw = self.network(images)
            for kind in self._own:
                logits = _doubled(getattr(raw, kind))
                maps[kind] = logits.softmax(dim=1) if kind == "parsing" else logits.sigmoid()
        for kind, prior in self._others.items():
            maps[kind] = prior(images)
        return maps


class Points(NamedTuple):
    """Landmarks of faces.

    Attributes:
        places: Left eye (as seen in the image), right eye, nose, mouth corners left and right, (n, 5, 2), x then y,
            in pixels.
        confidence: How much of each landmark's probability lies within a small window around its place, (n, 5), 0
            to 1.
    """

    places: Tensor
    confidence: Tensor


@torch.inference_mode()
def landmarks(images: Tensor) -> Points:
    """Five landmarks of faces, found by the toolkit's own network.

    Args:
        images: Each with one face, (n, 3, h, w) in [-1, 1], the sides divisible by 32.

    Raises:
        ModelError: The network's weights are missing or damaged.
    """
    return locate(_shipped()(images).landmarks)


@torch.inference_mode()
def parse(images: Tensor) -> Tensor:
    """The likeliest class of each place of faces, by the toolkit's own network.

    Args:
        images: Each with one face, (n, 3, h, w) in [-1, 1], the sides divisible by 32.

    Returns:
        Indices of ``PARSING_CLASSES`` at half the resolution, (n, h / 2, w / 2).

    Raises:
        ModelError: The network's weights are missing or damaged.
    """
    classes: Tensor = _parser()(images.to(memory_format=torch.channels_last)).parsing.argmax(dim=1)
    return classes


def locate(heatmaps: Tensor, reach: int = 3) -> Points:
    """Where heatmaps (n, 5, h, w) of half the resolution peak: the mean place in a window around the top."""
    n, k, height, width = heatmaps.shape
    likely = heatmaps.flatten(2).softmax(dim=2).view(n, k, height, width)
    top = likely.flatten(2).argmax(dim=2)
    rows = torch.arange(height, device=heatmaps.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=heatmaps.device).view(1, 1, 1, -1)
    below, aside = rows - (top // width).view(n, k, 1, 1), columns - (top % width).view(n, k, 1, 1)
    window = likely * (below.abs().le(reach) & aside.abs().le(reach))
    mass = window.sum(dim=(2, 3))
    x = (window * columns).sum(dim=(2, 3)) / mass
    y = (window * rows).sum(dim=(2, 3)) / mass
    return Points(2 * torch.stack([x, y], dim=2) + 1, mass)  # the middle of a 2 x 2 cell


def network() -> PriorNetwork:
    """The toolkit's own network, frozen, in evaluation mode: a copy of the caller's own.

    Raises:
        ModelError: The weights are missing or damaged.
    """
    return copy.deepcopy(_shipped())


@lru_cache(maxsize=1)
def _parser() -> PriorNetwork:
    """The network made ready for speed on a CPU, which changes the last bits of what it computes."""
    return folded(network())


def _shipped() -> PriorNetwork:
    entry = _entry(KIND, OWN)
    if entry.sha256 not in _checked:
        weights.verified(entry)
        _checked.add(entry.sha256)
    return read(entry.path, entry.sha256)


_checked: set[str] = set()  # hashes that were found in their files, once a process


@lru_cache(maxsize=2)
def read(path: Path, sha256: str) -> PriorNetwork:
    """The network of a weight file whose hash is known; the hash is part of the cache's key.

    Raises:
        ModelError: The file is damaged or of another network.
    """
    state, about = weights.read(path)
    made = PriorNetwork(**about.get("settings", {}))
    weights.fit(made, state, f"{path} does not fit the network of the face priors")
    return made.requires_grad_(False).eval()


def _published(kind: Kind, name: str) -> Prior:
    from forensic.faces import published

    return published.load(_entry(kind, name))


def digest(kind: Kind, name: str = OWN) -> str:
    """SHA-256 of the weights that map a kind, without opening them.

    Raises:
        ModelError: There are none of that name.
    """
    return _entry(KIND if name == OWN else kind, name).sha256


def _entry(kind: str, name: str) -> weights.Entry:
    if kind == KIND:  # templates depend on the own network's landmarks (`routes.ALIGNMENT`)
        return weights.shipped(name)
    entries = weights.entries(kind)
    for entry in entries:
        if entry.name == name:
            return entry
    known = ", ".join([OWN, *sorted(entry.name for entry in entries)])
    raise ModelError(f"No {kind} network {name!r} is installed (there are: {known}): forensic models import FILE")


def pack(network: PriorNetwork) -> bytes:
    """The network's weight file, in half precision."""
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    settings = {"widths": list(network.widths), "decoder": network.decoder_width}
    return weights.pack(state, {"kind": KIND, "settings": settings})


def merged(parsing: Tensor, groups: Mapping[str, Sequence[str]]) -> Tensor:
    """Parsing with fewer classes.

    Args:
        parsing: Probabilities of the 19 classes, (n, 19, h, w).
        groups: For each class wanted, the names of ``PARSING_CLASSES`` that it unites.

    Returns:
        (n, len(groups), h, w); classes that no group names are left out, so the sum may be below 1.
    """
    index = PARSING_CLASSES.index
    return torch.stack([parsing[:, [index(name) for name in names]].sum(dim=1) for names in groups.values()], dim=1)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = (x + self.second(self.first(x))).relu()
        return y


def _convolution(entering: int, leaving: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(entering, leaving, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(leaving), nn.ReLU(inplace=True))


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
