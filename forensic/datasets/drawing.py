"""Small tools of the draughtsman: curves, soft edges, value noise, pencil strokes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[Any]  # float32 where nothing else is said

SUPERSAMPLING = 2  # strokes are drawn on a canvas this many times as large, then reduced


def vector(*values: float) -> Array:
    """A colour or a displacement."""
    return np.array(values, np.float32)


def edge(distance: Array, softness: float = 1.0) -> Array:
    """1 where a signed distance is positive, 0 where negative, with a soft step ``softness`` wide between."""
    step = np.clip(distance / softness + 0.5, 0, 1)
    smooth: Array = step * step * (3 - 2 * step)
    return smooth


def blob(x: Array, y: Array, centre: tuple[float, float], spread: tuple[float, float]) -> Array:
    """A Gaussian bump of height 1."""
    exponent = ((x - centre[0]) / spread[0]) ** 2 + ((y - centre[1]) / spread[1]) ** 2
    bump: Array = np.exp(-0.5 * exponent)
    return bump


def curve(points: Sequence[tuple[float, float]], count: int, closed: bool = False) -> Array:
    """A smooth (Catmull-Rom) curve through points, sampled ``count`` times: shape (count, 2)."""
    knots = np.asarray(points, np.float32)
    if closed:
        knots = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    spans = len(knots) - 3
    position = np.linspace(0, spans, count, endpoint=not closed, dtype=np.float32)
    start = np.minimum(position.astype(int), spans - 1)
    t = (position - start)[:, None]
    a, b, c, d = (knots[start + i] for i in range(4))
    sampled: Array = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return sampled


def blur(mask: Array, radius: float) -> Array:
    """Gaussian blur of values in [0, 1], radius in pixels, to a precision of 1/255."""
    image = Image.fromarray((np.clip(mask, 0, 1) * 255 + 0.5).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


def coarse(field: Array, factor: int) -> Array:
    """A field without its details finer than about ``factor`` pixels."""
    image = Image.fromarray(field)
    small = image.resize((image.width // factor, image.height // factor), Image.Resampling.BOX)
    return np.asarray(small.resize(image.size, Image.Resampling.BICUBIC), np.float32)


def value_noise(shape: tuple[int, int], cell: float, rng: np.random.Generator) -> Array:
    """Smooth noise of about unit variance, features ``cell`` pixels wide."""
    height, width = shape
    grid = rng.normal(size=(int(height / cell) + 2, int(width / cell) + 2)).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC), np.float32)


def lookup(table: Array, row: Array, column: Array) -> Array:
    """A table at fractional, wrapping positions (bilinear); its sides are powers of two."""
    height, width = table.shape
    top, left = np.floor(row), np.floor(column)
    v, u = row - top, column - left
    i = (top.astype(np.int32) & (height - 1)) * width
    k = (top.astype(np.int32) + 1 & (height - 1)) * width
    j = left.astype(np.int32) & (width - 1)
    m = j + 1 & (width - 1)
    flat = table.ravel()
    over, under = flat.take(i + j), flat.take(k + j)
    over += (flat.take(i + m) - over) * u
    under += (flat.take(k + m) - under) * u
    sampled: Array = over + (under - over) * v
    return sampled


class Strokes:
    """A layer of pencil or hair strokes, drawn supersampled.

    Later strokes cover earlier ones; put strokes that should add up on layers of their own.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._image = Image.new("L", (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING))
        self._draw = ImageDraw.Draw(self._image)

    def line(self, path: Array, pressure: float | Array, width: float = 1.0) -> None:
        """Draw a path (n, 2) in pixels; pressure in [0, 1], one for all or one a point."""
        points = np.asarray(path, np.float32) * SUPERSAMPLING
        pen = max(1, round(width * SUPERSAMPLING))
        if isinstance(pressure, (int, float)):
            self._draw.line(points.ravel().tolist(), fill=int(255 * min(pressure, 1)), width=pen, joint=_joint(pen))
            return
        fills = (np.clip(pressure, 0, 1) * 255).astype(int).tolist()
        corners = points.tolist()
        for i in range(len(corners) - 1):
            self._draw.line((*corners[i], *corners[i + 1]), fill=fills[i], width=pen)

    def lines(self, paths: Array, pressures: Array, width: float = 1.0) -> None:
        """Draw many paths of equal length, shape (count, points, 2), each with its pressure."""
        corners = (paths * SUPERSAMPLING).reshape(len(paths), -1).tolist()
        fills = (np.clip(pressures, 0, 1) * 255).astype(int).tolist()
        pen = max(1, round(width * SUPERSAMPLING))
        for path, tone in zip(corners, fills, strict=True):
            self._draw.line(path, fill=tone, width=pen)

    def fill(self, path: Array, pressure: float) -> None:
        """Fill a polygon (n, 2) in pixels."""
        points = np.asarray(path, np.float32) * SUPERSAMPLING
        self._draw.polygon(points.ravel().tolist(), fill=int(255 * min(pressure, 1)))

    def layer(self) -> Array:
        """The layer in [0, 1], shape (height, width)."""
        return np.asarray(self._image.reduce(SUPERSAMPLING), np.float32) / 255


def _joint(pen: int) -> str | None:
    return "curve" if pen > 3 else None
