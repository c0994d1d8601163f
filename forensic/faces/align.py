"""Bring a face into a frame: a square of pixels in which five landmarks have fixed places."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forensic.faces.detect import Face

ARCFACE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
"""Landmarks of the 112 x 112 crop that face embedders are trained on (Deng et al. 2019, ArcFace)."""

FIELD_CROP = (200, 250)
"""Width and height of the aligned crops that the field compares (CUFS)."""
FIELD_BOX = (28, 3, 228, 253)
"""Where such a crop lies in a 256 x 256 portrait: left, top, right, bottom."""

PORTRAIT_SCALE = 1.45
PORTRAIT_OFFSET = (46.7, 54.2)
"""ArcFace's landmarks scaled and moved on those of the 200 x 250 CUFS crops, padded to 256 x 256."""


class Frame(NamedTuple):
    """Where five landmarks lie in a square image.

    Attributes:
        size: Side in pixels.
        landmarks: Left eye (as seen in the image), right eye, nose, mouth corners left and right, shape
            (5, 2), x then y, in pixels.
    """

    size: int
    landmarks: NDArray[np.float64]


CROP = Frame(112, ARCFACE)
PORTRAIT = Frame(256, ARCFACE * PORTRAIT_SCALE + PORTRAIT_OFFSET)


@dataclass(frozen=True)
class Aligned:
    """A face that was found, and the image it was found in.

    Attributes:
        image: The upright RGB image.
        face: Box and landmarks in the image's pixels.
        warnings: What a person must know of how the face was found.
    """

    image: Image.Image
    face: Face
    warnings: tuple[str, ...] = ()

    @cached_property
    def crop(self) -> Image.Image:
        """The face alone, 112 x 112: what an embedder takes."""
        return warp(self.image, self.face.landmarks, CROP)

    @cached_property
    def portrait(self) -> Image.Image:
        """The head with its hair, 256 x 256: what a translator takes."""
        return warp(self.image, self.face.landmarks, PORTRAIT)


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> tuple[complex, complex]:
    """Least-squares similarity (scale, rotation, shift) that takes source points to target points.

    A point (x, y) is the complex number x + iy, and the map is ``w = z a + t``.

    Args:
        source: Shape (n, 2).
        target: Shape (n, 2).

    Returns:
        ``a`` (its modulus is the scale, its argument the rotation) and ``t``.

    Raises:
        ValueError: The source points coincide.
    """
    p, q = (np.asarray(points, dtype=np.float64) @ (1, 1j) for points in (source, target))
    p0, q0 = p - p.mean(), q - q.mean()
    spread = np.vdot(p0, p0).real
    if spread <= 0:
        raise ValueError("Expected five different landmarks, got points that coincide.")
    a = complex(np.vdot(p0, q0) / spread)
    return a, complex(q.mean() - a * p.mean())


def warp(image: Image.Image, landmarks: NDArray[np.floating], frame: Frame) -> Image.Image:
    """The frame's square of the image, turned and scaled so that the landmarks fall on the frame's.

    Bicubic, after an area average where the image is reduced. What lies outside of the image repeats its
    border, as paper and studio backdrops go on.

    Args:
        image: RGB image.
        landmarks: Shape (5, 2), in the image's pixels.
        frame: Target frame.
    """
    a, t = similarity(frame.landmarks, landmarks)  # from the frame to the image
    reduction = int(abs(a))
    if reduction > 1:
        image = image.reduce(reduction)
        a, t = a / reduction, t / reduction
    corners = np.array([0, frame.size, frame.size * 1j, frame.size * (1 + 1j)]) * a + t
    image, shift = _extend(image, corners)
    t += shift
    # Pillow maps pixel centres: x' = A x + B y + C, y' = D x + E y + F.
    coefficients = (a.real, -a.imag, t.real, a.imag, a.real, t.imag)
    side = (frame.size, frame.size)
    return image.transform(side, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)


def _extend(image: Image.Image, corners: NDArray[np.complexfloating]) -> tuple[Image.Image, complex]:
    """Cut the image to the corners' bounding box and repeat its border where the box is larger."""
    margin = 3  # bicubic looks two pixels around
    left, top = int(np.floor(corners.real.min())) - margin, int(np.floor(corners.imag.min())) - margin
    right, bottom = int(np.ceil(corners.real.max())) + margin, int(np.ceil(corners.imag.max())) + margin
    columns = np.clip(np.arange(left, right), 0, image.width - 1)
    rows = np.clip(np.arange(top, bottom), 0, image.height - 1)
    pixels = np.asarray(image)[rows].take(columns, axis=1)
    return Image.fromarray(pixels), -complex(left, top)
