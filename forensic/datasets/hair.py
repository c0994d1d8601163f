"""Hair of synthetic people: where it is, and how its strands run."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forensic.datasets.drawing import Array, curve, edge, lookup, value_noise
from forensic.datasets.head import Head, Relief
from forensic.datasets.persons import Person


class Style(NamedTuple):
    """A haircut; lengths in millimetres."""

    top: float  # rise above the skull
    sides: float  # rise beside the skull
    length: float  # how far down the sides hang, from the line of the eyes
    hairline: float  # shift of the hairline, positive down the forehead
    flow: str  # "fall" from a parting, "up", "side", "curl", "back"
    rough: float  # unevenness of the outer edge
    cover: float = 1.0  # opacity


STYLES = {
    "bald": Style(0, 0, 0, 0, "up", 0, 0.0),
    "buzz": Style(1.5, 1, -2, 0, "up", 0.6, 0.62),
    "crop": Style(15, 7, 4, 7, "up", 1.8),
    "side": Style(17, 9, 6, 6, "side", 1.6),
    "receding": Style(8, 7, 4, -12, "back", 1.6, 0.85),
    "curly": Style(26, 17, 14, 8, "curl", 4.5),
    "tied": Style(7, 3.5, 4, -1, "back", 0.8),
    "fringe": Style(15, 13, 92, 26, "fall", 1.6),
    "bob": Style(14, 14, 84, -3, "fall", 1.8),
    "long": Style(13, 13, 185, -5, "fall", 2.4),
}


class Hair:
    """Masks and strand coordinates over the picture's pixels.

    Attributes:
        front: opacity of the hair that lies on and before the head, [0, 1], shape (height, width).
        back: opacity of the hair behind the neck.
        across: strand coordinate, constant along a strand, about one unit a millimetre.
        along: coordinate along the strands.
    """

    def __init__(self, head: Head, relief: Relief) -> None:
        p = head.person
        self.style = STYLES[p.hair_style]
        rng = np.random.default_rng([p.seed, 0x4A12])
        self.table = np.clip(value_noise((64, 256), 1, rng), -2, 2)
        x, y = relief.x, relief.y
        self.across, self.along = self._flow(p, x, y)
        ragged = 0.7 * lookup(self.table, self.along * 0.02, self.across * 0.2)
        ragged += 0.45 * lookup(self.table, self.along * 0.03, self.across * 0.7)
        fringe = self._hairline(p, x) + ragged * (2.4 + 0.7 * self.style.rough)
        outer = self._outer(p, relief, y) + ragged * self.style.rough * 0.8
        front = edge(outer, 2.5) * edge(fringe - y, 8 if self.style.cover < 1 else 6)
        if self.style.length > 30:
            sides, self.back = self._sides(head, relief, ragged)
            front = np.maximum(front, sides)
        else:
            self.back = np.zeros_like(front)
        self.front = front * self.style.cover

    def _flow(self, p: Person, x: Array, y: Array) -> tuple[Array, Array]:
        top = -p.skull_height
        if self.style.flow == "fall":
            fall = np.sqrt(np.clip(y - top + 12, 1, None)) / 8
            return (x - p.parting * 0.6) / fall, y
        if self.style.flow == "side":
            far = np.copysign(130.0, p.parting)
            angle = np.arctan2(y - top * 0.1, x + far)
            distance = np.hypot(y - top * 0.1, x + far)
            return distance * 0.9, angle * 110
        if self.style.flow == "curl":
            return x + 5 * np.sin(y / 4.6 + p.parting), y + 5 * np.sin(x / 4.2)
        spread = 1 - 0.0035 * (y - top) if self.style.flow == "up" else 1 + 0.004 * (y - top)
        return x / np.clip(spread, 0.3, 2) + 0.12 * p.parting, y

    def _hairline(self, p: Person, x: Array) -> Array:
        """Height of the hairline over each x."""
        h = -p.hairline + self.style.hairline
        w = p.temple_width
        side_burn = self.style.length if self.style.length < 30 else 0.0
        slant = 0.16 * p.parting if self.style.flow in ("side", "fall") else 0.0
        recession = p.recession * (1.6 if p.hair_style == "receding" else 0.7)
        knots = [
            (-w - 30, side_burn),
            (-w + 1, side_burn - 2),
            (-w + 8, -24),
            (-0.62 * w, h + 15 - recession - slant),
            (-0.34 * w, h + 2 - recession * 1.3 - slant),
            (0, h),
            (0.34 * w, h + 2 - recession * 1.3 + slant),
            (0.62 * w, h + 15 - recession + slant),
            (w - 8, -24),
            (w - 1, side_burn - 2),
            (w + 30, side_burn),
        ]
        line = curve(knots, 120)
        height: Array = np.interp(x, line[:, 0], line[:, 1]).astype(np.float32)
        return height

    def _outer(self, p: Person, relief: Relief, y: Array) -> Array:
        """Distance within the hair's outer edge."""
        high = np.clip((-y - 20) / (p.skull_height - 20), 0, 1)
        rise = self.style.sides + (self.style.top - self.style.sides) * high**1.4
        within: Array = relief.inside + rise * p.hair_volume
        return within

    def _sides(self, head: Head, relief: Relief, ragged: Array) -> tuple[Array, Array]:
        """Hair that hangs beside the face, and behind the neck."""
        p, x, y = head.person, relief.x, relief.y
        down = np.clip((y + 30) / (self.style.length + 30), 0, 1)
        width = p.skull_width + self.style.sides * p.hair_volume + (9 if self.style.length > 120 else 1) * down
        width -= 14 * np.clip((y - self.style.length + 26) / 26, 0, 1) ** 2
        hanging = edge(width - np.abs(x) + ragged * self.style.rough * 0.7, 2.5)
        hanging *= edge(self.style.length + 3 * ragged - y, 5) * edge(y + 45, 20)
        clear = np.clip((y - 50) / 50, 0, 1) * (p.neck_width + 1)
        beside = edge(7 + 0.5 * p.hair_volume - relief.inside + ragged, 3) * edge(np.abs(x) - clear, 3)
        return hanging * beside, hanging

    def tone(self, head: Head, relief: Relief) -> Array:
        """Brightness of the strands, about [0, 1.4]: streaks, sheen and the shade near the neck."""
        if self.style.flow == "curl":
            fine = lookup(self.table, self.along * 0.16, self.across * 0.16)
            streaks = 0.6 * fine + 0.3 * lookup(self.table, self.along * 0.5, self.across * 0.5)
        else:
            fine = lookup(self.table, self.along * 0.012, self.across * 1.1)
            broad = lookup(self.table, self.along * 0.008 + 20, self.across * 0.21)
            streaks = 0.42 * fine + 0.5 * broad
        p = head.person
        sheen = np.exp(-0.5 * ((relief.y + p.skull_height * 0.72 + 0.06 * np.abs(relief.x)) / 13) ** 2)
        shade = np.clip((relief.y - 20) / 130, 0, 1)
        rim = edge(relief.inside + 0.8 * self.style.sides + 6, 22)
        tone: Array = np.clip((0.72 + 0.3 * streaks + 0.42 * sheen * (1 + 0.5 * streaks)) * (0.55 + 0.45 * rim), 0, 2)
        return tone * (1 - 0.35 * shade)
