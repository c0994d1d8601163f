"""Invented pairs, for tests that train."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from forensic.synthesis.examples import Examples


def smooth_pairs(count: int, size: int = 32, seed: int = 0) -> Examples:
    """Invented pairs: smooth colour fields, and their grey negatives as 'sketches'."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=draw)
    photo = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    sketch = 1 - photo.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    return Examples((photo * 255).byte(), (sketch * 255).byte())


def pair_folder(folder: Path, stems: str) -> Path:
    """A plain folder of pairs of CUFS's size: one photo and one sketch for each letter."""
    draw = np.random.default_rng(0)
    for side in ("photos", "sketches"):
        (folder / side).mkdir(parents=True)
        for stem in stems:
            image = Image.fromarray(draw.integers(0, 256, (5, 4, 3), dtype=np.uint8)).resize((200, 250))
            image.save(folder / side / f"{stem}.png")
    return folder


def noise(count: int, height: int, width: int, seed: int) -> torch.Tensor:
    """Faces of noise, (count, 3, height, width) in [-1, 1]."""
    return 2 * torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed)) - 1
