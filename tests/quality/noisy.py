"""Invented images."""

import numpy as np
from PIL import Image

from forensic.quality.pairing import to_grey


def noise(seed: int, size: tuple[int, int] = (200, 250), *, colour: bool = False) -> Image.Image:
    """Smooth noise of all greys or colours."""
    shape = (size[1] // 5 + 1, size[0] // 5 + 1, 3 if colour else 1)
    small = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(np.broadcast_to(small, (*shape[:2], 3)).copy()).resize(size)


def grey(seed: int, size: tuple[int, int] = (200, 250)) -> np.ndarray:
    return to_grey(noise(seed, size))
