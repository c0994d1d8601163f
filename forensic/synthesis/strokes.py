"""Line drawings from the regions of a face: their boundaries as strokes, shifted at random, drawn anew.

Li et al. 2020 (DeepFacePencil, section 3.1) vectorize boundaries with AutoTrace and shift the points of its curves. Its
binding (pyautotrace) is GPL-2.0 and of alpha state, so the project traces by itself: boundaries run between the pixels,
are cut where three regions or more meet, thinned out to the points that matter, and joined by a smooth curve through
these (a centripetal Catmull-Rom spline, which has neither loops nor cusps).
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forensic.errors import UsageError
from forensic.synthesis import shares

Points = NDArray[np.float64]
Links = dict[int, list[int]]

TOLERANCE = 1.0
"""Pixels; AutoTrace's threshold of 2 on a mask of 512, at 256."""
MASK = 512  # pixels a side of CelebAMask-HQ's masks, in which papers give offsets
SPECK = 12
"""Closed boundaries of fewer pixels are left out: parsing's crumbs."""
PEN = 0.25  # pixels between two dots of a line, more or less


class Stroke(NamedTuple):
    """One line.

    Attributes:
        points: Points that the line passes through, (n, 2), x then y in pixels; pixel i covers i to i + 1.
        closed: Whether the last point is joined to the first.
    """

    points: Points
    closed: bool


def traced(labels: NDArray[Any], *, tolerance: float = TOLERANCE, speck: int = SPECK) -> list[Stroke]:
    """Boundaries of regions as strokes, each boundary once; the image's edge is none.

    Args:
        labels: What region each pixel belongs to, (h, w), integers.
        tolerance: Pixels that a stroke's points, joined by straight lines, may be off the boundary.
        speck: Length in pixels below which a closed boundary is left out.

    Raises:
        UsageError: The labels have no two dimensions.
    """
    if labels.ndim != 2:
        raise UsageError(f"Labels have the shape {labels.shape}, expected (height, width).")
    strokes = []
    for chain in _chains(_cracks(labels)):
        corners = np.stack([chain % (labels.shape[1] + 1), chain // (labels.shape[1] + 1)], axis=1).astype(np.float64)
        closed = bool(chain[0] == chain[-1])
        if closed and len(corners) <= speck:
            continue
        middles = (corners[1:] + corners[:-1]) / 2  # of the pixels' sides: a slope is no staircase there
        if closed:
            strokes.append(Stroke(_thinned_ring(middles, tolerance), closed=True))
        else:
            strokes.append(Stroke(_thinned(np.concatenate([corners[:1], middles, corners[-1:]]), tolerance), False))
    return strokes


def deformed(strokes: Sequence[Stroke], d: float, *, generator: torch.Generator | None = None) -> list[Stroke]:
    """Strokes whose points are shifted, each by its own random offset (section 3.1).

    Args:
        strokes: The strokes.
        d: Largest offset in pixels; offsets are uniform in [-d, d] across and down.
        generator: Where the offsets are drawn from; torch's global generator where None.

    Raises:
        UsageError: d is negative.
    """
    if d < 0:
        raise UsageError(f"The largest offset d is {d}, expected 0 or more.")
    count = sum(len(stroke.points) for stroke in strokes)
    offsets = d * (2 * torch.rand(count, 2, dtype=torch.float64, generator=generator).numpy() - 1)
    parts = np.split(offsets, np.cumsum([len(stroke.points) for stroke in strokes])[:-1]) if strokes else []
    return [Stroke(stroke.points + part, stroke.closed) for stroke, part in zip(strokes, parts, strict=True)]


def drawn(strokes: Sequence[Stroke], height: int, width: int) -> NDArray[np.bool_]:
    """Strokes as lines of one pixel; what lies outside is cut off.

    Returns:
        (height, width), True where there is ink.
    """
    ink = np.zeros((height, width), dtype=np.bool_)
    windows = [_windows(stroke) for stroke in strokes]
    if windows:
        x, y = np.floor(_curve(np.concatenate(windows)) + 1e-6).astype(np.int64).T
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        ink[y[inside], x[inside]] = True
    return ink


def sketches(labels: Tensor, d: float) -> tuple[Tensor, Tensor]:
    """Edge-aligned line drawings and their deformed twins: Sₛᵧₙ and S_dfm.

    Both are drawn by the same pen, so that with d = 0 they are the same.

    Args:
        labels: Regions of faces, (n, h, w), integers.
        d: Largest offset in pixels; offsets come from torch's global generator.

    Returns:
        Each (n, 1, h, w) on the CPU: lines of -1 on 1.
    """
    faces = [traced(face) for face in labels.cpu().numpy()]
    height, width = labels.shape[1:]
    aligned, moved = [drawn(strokes, height, width) for strokes in faces], []
    own, _ = shares.rows(len(faces))
    points = shares.gathered(torch.tensor([sum(len(stroke.points) for stroke in strokes) for strokes in faces]))
    for row, count in enumerate(points.tolist()):
        if row in own:
            moved.append(drawn(deformed(faces[row - own.start], d), height, width))
        else:  # a face of another process: its offsets are drawn, too
            deformed([Stroke(np.zeros((count, 2)), False)], d)
    first, second = (1 - 2 * torch.from_numpy(np.stack(side)).float() for side in (aligned, moved))
    return first[:, None], second[:, None]


def _cracks(labels: NDArray[Any]) -> Links:
    """The sides between pixels of different regions: a graph of pixel corners, numbered row by row."""
    height, width = labels.shape
    corner = np.arange((height + 1) * (width + 1)).reshape(height + 1, width + 1)
    upright, level = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    first = np.concatenate([corner[:-1, 1:-1][upright], corner[1:-1, :-1][level]])
    second = np.concatenate([corner[1:, 1:-1][upright], corner[1:-1, 1:][level]])
    links: Links = {}
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        links.setdefault(a, []).append(b)
        links.setdefault(b, []).append(a)
    return links


def _chains(links: Links) -> Iterator[NDArray[np.int64]]:
    """Every edge of a graph once, in chains that end where there are not two ways on; used up on the way."""
    passed = {node: len(ways) == 2 for node, ways in links.items()}
    ends = [node for node, through in passed.items() if not through]
    for start in (*ends, *links):  # what the ends leave over are rings
        while links[start]:
            chain = [start]
            while links[chain[-1]] and (len(chain) == 1 or passed[chain[-1]]):
                here = chain[-1]
                there = links[here].pop()
                links[there].remove(here)
                chain.append(there)
            yield np.array(chain)


def _thinned(points: Points, tolerance: float) -> Points:
    """Fewer points; those left out are no farther than the tolerance from the lines between (Douglas, Peucker 1973)."""
    kept = np.zeros(len(points), dtype=np.bool_)
    kept[[0, -1]] = True
    spans = [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        away = _distances(points[first + 1 : last], points[first], points[last])
        farthest = int(away.argmax())
        if away[farthest] > tolerance:
            middle = first + 1 + farthest
            kept[middle] = True
            spans += [(first, middle), (middle, last)]
    return points[kept]


def _thinned_ring(points: Points, tolerance: float) -> Points:
    """A ring is cut at its first point and at the one farthest from it; no ring has fewer than three points."""
    far = int(np.square(points - points[0]).sum(axis=1).argmax())
    halves = points[: far + 1], np.concatenate([points[far:], points[:1]])
    ring = np.concatenate([_thinned(half, tolerance)[:-1] for half in halves])
    return ring if len(ring) > 2 else points[[0, far // 2, far]]


def _distances(points: Points, start: Points, end: Points) -> NDArray[np.float64]:
    """Distances of points (n, 2) from the line between two."""
    along = end - start
    length = float(along @ along)
    share = np.clip((points - start) @ along / length, 0, 1) if length else np.zeros(len(points))
    return np.asarray(np.hypot(*(points - start - share[:, None] * along).T))


def _windows(stroke: Stroke) -> NDArray[np.float64]:
    """For each piece of a stroke its two points between their neighbours, (pieces, 4, 2)."""
    points = stroke.points
    if stroke.closed:
        padded = np.concatenate([points[-1:], points, points[:2]])
    else:  # beyond an end the line goes on straight
        padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    return np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]], axis=1)


def _curve(windows: NDArray[np.float64]) -> Points:
    """Dots along the centripetal Catmull-Rom splines of pieces (n, 4, 2), from the second to the third point."""
    steps = np.sqrt(np.linalg.norm(np.diff(windows, axis=1), axis=2)).clip(min=1e-3)  # square root: centripetal
    knots = np.concatenate([np.zeros((len(windows), 1)), np.cumsum(steps, axis=1)], axis=1)
    dots = np.ceil(np.square(steps[:, 1]) / PEN).astype(np.int64) + 1
    piece = np.repeat(np.arange(len(windows)), dots)
    place = np.arange(len(piece)) - np.repeat(np.cumsum(dots) - dots, dots)
    T, P = knots[piece].T[..., None], windows[piece].transpose(1, 0, 2)
    t = T[1] + (place / (dots[piece] - 1))[:, None] * (T[2] - T[1])

    def between(a: Points, b: Points, i: int, j: int) -> Points:
        return np.asarray((T[j] - t) / (T[j] - T[i]) * a + (t - T[i]) / (T[j] - T[i]) * b)

    # Barry and Goldman 1988: straight lines between straight lines.
    A1, A2, A3 = (between(P[i], P[i + 1], i, i + 1) for i in range(3))
    return between(between(A1, A2, 0, 2), between(A2, A3, 1, 3), 1, 2)
