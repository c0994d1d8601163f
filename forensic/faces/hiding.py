"""Hide parts of a portrait without drawing on it.

What a mask hides is filled in with a normalized blur of what it leaves visible (Knutsson and Westin 1993, Normalized
and Differential Convolution): skin over a mouth, paper over hair. A grey square would be a shape of its own, and
an embedder answers to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from forensic.faces.align import PORTRAIT

SOFTNESS = 2.5
"""Standard deviation, in pixels, of the blur at the edge of a hidden region."""
CELL = 4
"""Side, in pixels, of the cells that a filling is computed from."""
REACH = 10.0
"""Standard deviation of a filling's blur, in pixels."""


def hide(portrait: Image.Image, masks: Iterable[NDArray[np.float32]]) -> Iterator[Image.Image]:
    """The portrait with each mask's part filled in from what it leaves visible.

    Args:
        portrait: 256 x 256.
        masks: 0 where the portrait stays and 1 where it is hidden, shape (256, 256) each.
    """
    pixels = np.asarray(portrait.convert("RGB"), dtype=np.float32)
    cells = _cells(pixels)
    blur, enlarge = _matrices()
    for mask in masks:
        visible = 1 - _cells(mask)[..., None]
        weights = np.concatenate([visible * cells, visible], axis=-1)
        mean = weights.mean((0, 1))  # of what is visible: it fills where nothing visible is near
        blurred = np.einsum("yi,ijc,xj->yxc", blur, weights, blur, optimize=True) + 1e-6 * mean
        filling = blurred[..., :3] / np.maximum(blurred[..., 3:], 1e-12)
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        hidden = pixels.copy()
        if rows.size:
            box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            large = np.einsum("yi,ijc,xj->yxc", enlarge[box[0]], filling, enlarge[box[1]], optimize=True)
            hidden[box] += mask[box][..., None] * (large - hidden[box])
        yield Image.fromarray(np.clip(hidden, 0, 255).round().astype(np.uint8))


def soften(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A hard mask with an edge that fades, since a sharp edge would be a line drawn on the face."""
    blurred = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(SOFTNESS))
    return np.asarray(blurred, dtype=np.float32) / np.float32(255)


def _cells(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over cells; a filling is smooth, so it need not be computed for every pixel."""
    side = PORTRAIT.size // CELL
    return np.asarray(pixels.reshape(side, CELL, side, CELL, *pixels.shape[2:]).mean((1, 3)), np.float32)


@lru_cache(maxsize=1)
def _matrices() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What blurs cells along one axis, and what interpolates pixels from cells."""
    centres = (np.arange(PORTRAIT.size // CELL) + 0.5) * CELL
    blur = np.exp(-(((centres[:, None] - centres) / REACH) ** 2) / 2)
    pixels = np.arange(PORTRAIT.size) + 0.5
    enlarge = np.stack([np.interp(pixels, centres, unit) for unit in np.eye(len(centres))], axis=1)
    blur /= blur.sum(1, keepdims=True)
    return blur.astype(np.float32), enlarge.astype(np.float32)
