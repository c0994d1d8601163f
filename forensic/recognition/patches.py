"""Patches of gradients: what an artist copies from a face is where its lines run.

Histograms of gradient orientations over overlapping patches (Dalal and Triggs, "Histograms of oriented gradients for
human detection", CVPR 2005), as the classic sketch recognizers use them (Klare, Li and Jain, "Matching forensic
sketches to mug shot photos", PAMI 2011). They know nothing of tone, so pencil and skin look alike where the lines do;
discriminant analysis (``lda.py``) then finds what separates people. Nothing is trained here.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.faces.align import PORTRAIT, Frame

SIZE = 128
FRAME = Frame(SIZE, PORTRAIT.landmarks * SIZE / PORTRAIT.size)
"""The head with its hair; the eyes are 25 pixels apart."""
CELL, STRIDE = 8, 4
"""Side and step of a patch in pixels."""
ORIENTATIONS = 8
SMOOTHING = 0.8
"""Standard deviation of the blur before the gradient, in pixels: grain of paper is no line."""
LEFT, RIGHT, TOP, BOTTOM = 4, 124, 0, 128
"""The head with its hair, without the sides' backdrop."""
BLANK = 0.02
"""Contrast below which a patch counts as blank and is not raised to full contrast."""


class PatchGradients(nn.Module):
    """Grey portraits (n, 3, 128, 128), the channels equal, to root histograms of their patches (n, dimension)."""

    across, down = (RIGHT - LEFT - CELL) // STRIDE + 1, (BOTTOM - TOP - CELL) // STRIDE + 1
    dimension = ORIENTATIONS * across * down

    def forward(self, portraits: Tensor) -> Tensor:
        """Histograms of all patches, each brought to the contrast of its neighbourhood."""
        grey = (portraits[:, :1, TOP:BOTTOM, LEFT:RIGHT] + 1) / 2
        smooth = _blur(grey)
        across = F.pad(smooth[..., 1:-1, 2:] - smooth[..., 1:-1, :-2], (1, 1, 1, 1))
        down = F.pad(smooth[..., 2:, 1:-1] - smooth[..., :-2, 1:-1], (1, 1, 1, 1))
        length, angle = torch.hypot(across, down), torch.atan2(down, across)
        width = math.pi / ORIENTATIONS  # a line has no direction: orientations fill half a turn
        centres = width * torch.arange(ORIENTATIONS, device=grey.device).view(1, -1, 1, 1)
        distance = ((angle - centres + math.pi / 2) % math.pi - math.pi / 2).abs()
        votes = length * (1 - distance / width).clamp(min=0)  # shared between the two nearest orientations
        histograms = F.avg_pool2d(votes, CELL, STRIDE)
        energy = histograms.square().sum(dim=1, keepdim=True)
        contrast = F.avg_pool2d(energy, 3, 1, 1, count_include_pad=False).sqrt()
        return (histograms / (contrast + BLANK)).sqrt().flatten(1)


def _blur(grey: Tensor) -> Tensor:
    reach = math.ceil(2.5 * SMOOTHING)
    offsets = torch.arange(-reach, reach + 1, device=grey.device)
    kernel = torch.exp(-offsets.square() / (2 * SMOOTHING**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(grey, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
