"""Augmentation: further hands, papers and alignments than the data sets' artists have.

Grey images (n, 1, h, w) in [0, 1] throughout; every function draws its own random numbers from ``rng``.
"""

import math
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Rng = np.random.Generator


def draw(photo: Tensor, rng: Rng) -> Tensor:
    """A drawing of one photo (1, 1, h, w) by a filter of random kind and settings.

    Dodge and burn draws lines and shading as most artists do; differences of Gaussians (Winnemoeller, XDoG, 2012)
    draw lines alone; local normalisation draws tone without lighting. Half of them get the grain of paper.
    """
    kind = rng.random()
    if kind < 0.6:
        drawn = _dodge(photo, rng)
    elif kind < 0.85:
        fine = rng.uniform(0.6, 1.8)
        edges = blur(photo, fine) - rng.uniform(0.9, 0.98) * blur(photo, 1.6 * fine)
        lines = torch.sigmoid(rng.uniform(15, 80) * (edges - rng.uniform(-0.01, 0.03)))
        shade = rng.uniform(0, 0.5)
        drawn = lines * (1 - shade) + photo * shade
    else:
        around = blur(photo, rng.uniform(4, 12))
        spread = (blur((photo - around).square(), 6) + 1e-3).sqrt()
        drawn = 0.75 + 0.2 * rng.uniform(0.5, 1.3) * (photo - around) / spread
    if rng.random() < 0.5:
        grain = blur(torch.from_numpy(rng.standard_normal(photo.shape)).float(), rng.uniform(0.4, 1.2))
        drawn = drawn + rng.uniform(0.02, 0.15) * grain * (1.1 - drawn)
    return drawn.clamp(0, 1)


class Hand(Protocol):
    """Who draws the photos anew.

    Attributes:
        draws_pairs: Whether it also draws the pairs' photos; further photos it always draws.
    """

    draws_pairs: bool

    def __call__(self, photos: Tensor, rows: Iterable[int], rng: Rng) -> Tensor:
        """Drawings of some rows of the photos (n, 1, h, w): those of the pairs, then the further ones."""
        ...


class Filters:
    """Filters of random kind, anew each time."""

    def __init__(self, *, draws_pairs: bool = True) -> None:
        self.draws_pairs = draws_pairs

    def __call__(self, photos: Tensor, rows: Iterable[int], rng: Rng) -> Tensor:
        """See `Hand`."""
        return torch.cat([draw(photos[row : row + 1], rng) for row in rows])


class Camera:
    """Nobody: photos as they are."""

    def __init__(self, *, draws_pairs: bool = True) -> None:
        self.draws_pairs = draws_pairs

    def __call__(self, photos: Tensor, rows: Iterable[int], rng: Rng) -> Tensor:
        """See `Hand`."""
        return photos[list(rows)]


def _dodge(photo: Tensor, rng: Rng) -> Tensor:
    around = blur(photo, rng.uniform(1.2, 7))
    lines = ((photo + 0.03) / (around + 0.03)).clamp(0, 1) ** rng.uniform(0.8, 4)
    shade = rng.uniform(0, 0.6)
    if rng.random() < 0.5:
        return lines * (1 - shade) + photo * shade
    return lines * (1 - shade * (1 - blur(photo, rng.uniform(1, 4))).square())


def bend(images: Tensor, rng: Rng, *, out: int, exaggeration: float = 0.0) -> Tensor:
    """Images as another alignment would cut them, (n, 1, out, out) from the middle; shapes exaggerated if asked for.

    Turned (deviation 3 degrees), scaled and stretched (4 %), moved (1.5 pixels); ``exaggeration`` is the largest
    deviation, in pixels, of a smooth field that moves the parts of the face against each other.
    """
    n, size = len(images), images.shape[-1]

    def normal(deviation: float) -> Tensor:
        return torch.from_numpy(rng.normal(0, deviation, n)).float()

    angle, scale, stretch = normal(math.radians(3)), normal(0.04).exp() * out / size, normal(0.04).exp()
    right, down = normal(1.5) * 2 / size, normal(1.5) * 2 / size
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    rows = [torch.stack([cosine * stretch, -sine, right], 1), torch.stack([sine, cosine / stretch, down], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), [n, 1, out, out], align_corners=False)
    if exaggeration:
        strength = torch.from_numpy(rng.uniform(0, exaggeration, (n, 1, 1, 1))).float()
        field = torch.from_numpy(rng.normal(0, 1, (n, 2, 5, 5))).float() * strength * 2 / size
        grid = grid + F.interpolate(field, (out, out), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def disturb(images: Tensor, rng: Rng) -> Tensor:
    """Tone of paper, contrast, blur, noise, parts covered, and a mirror image half of the time."""
    n = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (n, 1, 1, 1))).float()

    images = images.clamp(1e-3, 1) ** uniform(-0.5, 0.5).exp()
    images = (images * uniform(0.55, 1.1) + uniform(-0.1, 0.2)).clamp(0, 1)
    for k in range(n):
        if rng.random() < 0.2:
            images[k : k + 1] = blur(images[k : k + 1], rng.uniform(0.5, 1.5))
        if rng.random() < 0.25:
            noise = torch.from_numpy(rng.standard_normal(images[k].shape)).float()
            images[k] = (images[k] + rng.uniform(0.01, 0.06) * noise).clamp(0, 1)
        if rng.random() < 0.15:
            high, wide = rng.integers(15, 50, 2)
            top, left = rng.integers(0, images.shape[-1] - high), rng.integers(0, images.shape[-1] - wide)
            images[k, :, top : top + high, left : left + wide] = rng.uniform(0.3, 1)
    mirrored = torch.from_numpy(rng.random(n) < 0.5).view(-1, 1, 1, 1)
    return torch.where(mirrored, images.flip(-1), images)


def blur(images: Tensor, deviation: float) -> Tensor:
    """Images blurred by a Gaussian of this standard deviation in pixels, edges replicated."""
    reach = max(1, math.ceil(2.5 * deviation))
    offsets = torch.arange(-reach, reach + 1).float()
    kernel = torch.exp(-offsets.square() / (2 * deviation**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
