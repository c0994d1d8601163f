"""Which part of a face each pixel of a portrait belongs to, from five landmarks alone.

Five points give the eyes, the nose and the mouth well, the brows, cheeks and jaw roughly, and the hairline and ears
only where they usually are: a fringe counts as forehead, a bald head as hair. A network that parses faces can take
this place: it is any function of the type `Parser`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from forensic.faces.align import PORTRAIT

Masks = dict[str, NDArray[np.bool_]]
"""A mask of shape (height, width) for each of ``REGIONS``; every pixel is in exactly one."""
Parser = Callable[[Image.Image], Masks]
"""Makes the masks of an aligned 256 x 256 portrait."""

SURROUNDINGS = "surroundings"
REGIONS = (
    "hair",
    "forehead",
    "left brow",
    "right brow",
    "left eye",
    "right eye",
    "nose",
    "mouth",
    "left cheek",
    "right cheek",
    "chin and jaw",
    "ears and sides",
    SURROUNDINGS,
)
"""Left and right are the person's own: the left eye is the one on the image's right. Sketches and photos that were
mirrored cannot be told. Surroundings are the neck, the shoulders and the backdrop."""


def from_landmarks(portrait: Image.Image, landmarks: NDArray[np.floating] = PORTRAIT.landmarks) -> Masks:
    """The masks that five landmarks give; of the portrait, nothing but its size is looked at.

    Args:
        portrait: The aligned face, of any size.
        landmarks: Eyes, nose and mouth corners in its pixels, left before right as the image shows them, shape
            (5, 2).

    Raises:
        ValueError: The landmarks are no face's: two eyes and a mouth below them.
    """
    u, v = _coordinates(portrait.size, np.asarray(landmarks, dtype=np.float64))
    side = np.abs(u)
    own_left = u >= 0  # the image's right
    oval = (side / 1.22) ** 2 + ((v - 0.32) / np.where(v < 0.32, 1.42, 1.5)) ** 2 < 1
    head = (side / 1.62) ** 2 + ((v + 0.1) / 1.95) ** 2 < 1
    nose = np.where(v < 0.35, 0.14 + 0.1 * np.clip(v, 0, 1), 0.36)
    brow = (v < -0.17) & (v > -0.56) & (side > 0.1) & (side < 1.02)
    eye = ((side - 0.5) / 0.38) ** 4 + (v / 0.2) ** 4 < 1
    # The first that holds counts, so the order makes it a partition.
    rules = [
        ("left eye", eye & own_left),
        ("right eye", eye & ~own_left),
        ("left brow", brow & own_left),
        ("right brow", brow & ~own_left),
        ("nose", (side < nose) & (v > -0.3) & (v < 0.72)),
        ("mouth", (u / 0.62) ** 4 + ((v - 1) / 0.27) ** 4 < 1),
        ("forehead", oval & (v < -0.17)),
        ("chin and jaw", oval & (v > 1.12)),
        ("left cheek", oval & own_left),
        ("right cheek", oval),
        ("hair", head & (v < -0.56)),
        ("ears and sides", (side < 1.62) & (v > -0.56) & (v < 1.12)),
        (SURROUNDINGS, np.ones_like(oval)),
    ]
    masks, free = {}, np.ones_like(oval)
    for name, holds in rules:
        masks[name] = holds & free
        free &= ~holds
    return {name: masks[name] for name in REGIONS}


def _coordinates(
    size: tuple[int, int], landmarks: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every pixel's place in the face: the eyes lie at (-.5, 0) and (.5, 0), the mouth's middle at v = 1."""
    if landmarks.shape != (5, 2):
        raise ValueError(f"Expected five landmarks, shape (5, 2), got shape {landmarks.shape}.")
    points = landmarks @ (1, 1j)
    middle, across = (points[0] + points[1]) / 2, points[1] - points[0]
    if abs(across) < 1:
        raise ValueError("Expected two different eyes, got landmarks that coincide.")
    down = (((points[3] + points[4]) / 2 - middle) / across).imag * abs(across)
    if down < 1:
        raise ValueError("Expected the mouth below the eyes, the image's left eye first. Check the landmarks' order.")
    width, height = size
    # A pixel's centre is at half-integers.
    pixels = np.arange(width)[None, :] + 0.5 + 1j * (np.arange(height)[:, None] + 0.5)
    place = (pixels - middle) / across
    return place.real, place.imag * abs(across) / down
