"""A synthetic head's geometry: the camera's view of it, its curves, and its relief.

Face coordinates are millimetres from the point between the pupils, x to the image's right, y down, z towards
the camera. ``View`` maps them to pixels and back; curves are (n, 2) arrays in face coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forensic.datasets.drawing import Array, blob, coarse, curve, edge
from forensic.datasets.persons import Person

SIZE = (256, 320)  # width and height of every picture, in pixels
SIDES = (-1, 1)  # the image's left and right


@dataclass(frozen=True, kw_only=True)
class Variation:
    """What differs between two pictures of one person: pose, light, expression, camera."""

    seed: int = 0
    roll: float = 0.0  # degrees
    yaw: float = 0.0  # tangent of the angle
    pitch: float = 0.0
    scale: float = 0.98  # pixels a millimetre
    shift: tuple[float, float] = (0.0, 0.0)  # pixels
    light: tuple[float, float] = (-0.3, -0.45)  # towards the light: x, y
    exposure: float = 1.0
    smile: float = 0.0
    lids: float = 1.0  # openness of the eyes
    background: float = 0.62
    noise: float = 0.012

    @classmethod
    def sample(cls, seed: int, strength: float = 1.0) -> Variation:
        """A likely variation of a seed; strength 0 gives the neutral one but for light and background."""
        rng = np.random.default_rng([seed, 0x51DE])
        wobble = np.clip(rng.normal(size=10), -2, 2) * strength
        return cls(
            seed=seed,
            roll=1.6 * wobble[0],
            yaw=0.035 * wobble[1],
            pitch=0.03 * wobble[2],
            scale=0.98 + 0.025 * wobble[3],
            shift=(3 * wobble[4], 3 * wobble[5]),
            light=(float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.6, -0.25))),
            exposure=1 + 0.06 * wobble[6],
            smile=float(np.clip(0.35 * wobble[7], -0.2, 0.7)),
            lids=1 + 0.05 * wobble[8],
            background=float(rng.uniform(0.42, 0.75)),
            noise=float(rng.uniform(0.008, 0.018)),
        )


class View:
    """The camera: face coordinates to pixels (``project``) and pixels to face coordinates (``grid``)."""

    def __init__(self, variation: Variation) -> None:
        angle = np.deg2rad(variation.roll)
        self.rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
        self.scale = variation.scale
        self.centre = np.array([SIZE[0] / 2, 148], np.float32) + np.array(variation.shift, np.float32)
        self.turn = np.array([variation.yaw, variation.pitch], np.float32)

    def project(self, points: Array) -> Array:
        """Pixels of points (n, 2)."""
        flat = points + self.turn * (_bulk(points[:, 0], points[:, 1]) - 40)[:, None]
        pixels: Array = (self.scale * flat) @ self.rotation.T + self.centre
        return pixels

    def grid(self) -> tuple[Array, Array]:
        """Face coordinates x and y of every pixel, each (height, width)."""
        columns, rows = np.meshgrid(
            np.arange(SIZE[0], dtype=np.float32) + 0.5, np.arange(SIZE[1], dtype=np.float32) + 0.5
        )
        flat = (np.stack([columns, rows], -1) - self.centre) @ self.rotation / self.scale
        points = flat
        for _ in range(2):  # the parallax is small, so its inverse converges at once
            points = flat - self.turn * (_bulk(points[..., 0], points[..., 1]) - 40)[..., None]
        return np.ascontiguousarray(points[..., 0]), np.ascontiguousarray(points[..., 1])


def _bulk(x: Array, y: Array) -> Array:
    """The depth that moves with a turn of the head: an egg and a nose."""
    egg = 75 * np.maximum(1 - (x / 85) ** 2 - ((y - 5) / 125) ** 2, 0)
    bulk: Array = (egg + 16 * blob(x, y, (0, 32), (15, 20))).astype(np.float32)
    return bulk


class Head:
    """The curves of a person's face, as they hold for one expression."""

    def __init__(self, person: Person, variation: Variation) -> None:
        self.person = person
        self.smile = variation.smile
        self.lids_open = variation.lids
        rng = np.random.default_rng([person.seed, 0xA5])
        self.skew = np.clip(rng.normal(size=6), -2, 2).astype(np.float32)  # no face is symmetric
        p = person
        self.mouth_y = p.nose_length + p.mouth_gap
        self.eyes = {side: (side * p.eye_distance / 2, 0.5 * float(self.skew[0]) * side) for side in SIDES}
        self.nose_tip = (p.nose_skew, p.nose_length - 8 - 1.5 * p.nose_upturn)
        self.outline = self._outline()
        offset = self.outline - np.array([0, 5], np.float32)
        angle = np.arctan2(offset[:, 1], offset[:, 0])
        order = np.argsort(angle)
        self._angle, self._radius = angle[order], np.hypot(*offset[order].T)

    def landmarks(self) -> Array:
        """Eye centres, nose tip and mouth corners, left before right as the image shows them: shape (5, 2)."""
        corners = [self.lips()[0][i] for i in (0, -1)]
        return np.array([self.eyes[-1], self.eyes[1], self.nose_tip, *corners], np.float32)

    def _outline(self) -> Array:
        p = self.person
        right = [
            (p.skull_width * 0.52, -p.skull_height * 0.93),
            (p.skull_width * 0.9, -p.skull_height * 0.68),
            (p.skull_width, -55),
            (p.temple_width, -18),
            (p.cheek_width, 22),
            ((p.cheek_width + p.jaw_width) / 2 + 2, (22 + p.jaw_height) / 2 + 4),
            (p.jaw_width, p.jaw_height),
            ((p.jaw_width + p.chin_width) / 2 + 1, (p.jaw_height + p.chin_height) / 2 + 6),
            (p.chin_width, p.chin_height - 3.5),
        ]
        left = [(-x * (1 + 0.008 * float(self.skew[1])), y) for x, y in reversed(right)]
        return curve([(0, -p.skull_height), *right, (0, p.chin_height), *left], 240, closed=True)

    def radius(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Distance from the head's centre, and the outline's distance in that direction."""
        angle = np.arctan2(y - 5, x)
        limit = np.interp(angle, self._angle, self._radius, period=2 * np.pi).astype(np.float32)
        return np.hypot(x, y - 5), limit

    def lids(self, side: int) -> tuple[Array, Array]:
        """Upper and lower lid from the image's left to its right, each (24, 2)."""
        p = self.person
        t = np.linspace(-1, 1, 24, dtype=np.float32)
        centre = self.eyes[side]
        tilt = -side * np.tan(np.deg2rad(p.eye_tilt + 0.8 * float(self.skew[2]) * side))
        height = p.eye_height * self.lids_open * (1 + 0.03 * side * float(self.skew[3]))
        arch = (1 - t * t) ** 0.75 * (1 + 0.5 * side * p.eye_peak * t)
        x = centre[0] + t * p.eye_width / 2
        base = centre[1] + 1.0 + tilt * t * p.eye_width / 2
        upper = base - 0.55 * height * arch
        lower = base + 0.45 * height * (1 - t * t) ** 0.9 * (1 + 0.35 * side * t) - 0.8 * self.smile * arch
        return np.stack([x, upper], 1), np.stack([x, lower], 1)

    def crease(self, side: int) -> Array:
        """The fold above the upper lid."""
        upper, _ = self.lids(side)
        t = np.linspace(-1, 1, len(upper), dtype=np.float32)
        rise = self.person.lid_crease * (0.45 + 0.55 * (1 - t * t)) + 0.6
        return upper + np.stack([side * 0.6 * np.ones_like(t), -rise], 1).astype(np.float32)

    def brow(self, side: int) -> tuple[Array, Array]:
        """An eyebrow from its inner to its outer end: middle line (20, 2) and half thickness (20,)."""
        p = self.person
        t = np.linspace(0, 1, 20, dtype=np.float32)
        x = side * (p.brow_gap + p.brow_length * t)
        arch = p.brow_arch * np.sin(np.pi * np.clip(t * 0.82, 0, 1) ** 1.25) * 1.1
        y = -p.brow_height + 2 - arch - np.tan(np.deg2rad(p.brow_tilt)) * p.brow_length * t + 5 * t**3
        y = y + 0.7 * side * self.skew[4]
        half = p.brow_thickness / 2 * (0.72 + 0.5 * t) * np.clip(1.25 - t**2.5 * 1.15, 0.08, 1)
        return np.stack([x, y], 1).astype(np.float32), half.astype(np.float32)

    def lips(self) -> tuple[Array, Array, Array]:
        """The line between the lips, the upper lip's upper and the lower lip's lower border, each (33, 2)."""
        p = self.person
        t = np.linspace(-1, 1, 33, dtype=np.float32)
        x = t * (p.mouth_width / 2) * (1 + 0.1 * self.smile)
        corner = p.mouth_curve + 4.5 * self.smile + 0.6 * float(self.skew[5]) * t
        middle = self.mouth_y - corner * np.abs(t) ** 1.8 + 0.9 * np.cos(3 * np.pi * t) * (1 - t * t)
        bow = p.lip_bow * np.exp(-((t / 0.16) ** 2))
        upper = middle - p.upper_lip * (1 - np.abs(t) ** 1.7) * (1 - 0.12 * self.smile) + bow
        lower = middle + p.lower_lip * (1 - t * t) ** 0.8 * (1 - 0.12 * self.smile)
        lines = [np.stack([x, y], 1).astype(np.float32) for y in (middle, np.minimum(upper, middle - 0.4), lower)]
        return lines[0], lines[1], lines[2]

    def wing(self, side: int) -> Array:
        """The curve round a wing of the nose, from its upper end round to the base."""
        p = self.person
        w, base = p.nose_width / 2, p.nose_length
        knots = [(w - 4.5, base - 15), (w - 0.5, base - 9.5), (w + 0.2, base - 4), (w - 4, base - 0.8)]
        return curve([(side * x + p.nose_skew * 0.6, y) for x, y in knots], 14)

    def nostril(self, side: int) -> Array:
        """Outline of a nostril."""
        p = self.person
        centre = (side * (p.nose_width * 0.235) + p.nose_skew * 0.6, p.nose_length - 2.6)
        angle = np.linspace(0, 2 * np.pi, 16, endpoint=False, dtype=np.float32)
        x = centre[0] + p.nose_width * 0.13 * np.cos(angle)
        y = centre[1] + (0.9 + 1.5 * p.nose_upturn) * np.sin(angle) + 0.18 * side * (x - centre[0])
        return np.stack([x, y], 1).astype(np.float32)

    def cheek_fold(self, side: int) -> Array:
        """The fold from the nose's wing towards the mouth's corner."""
        p = self.person
        w, m = p.nose_width / 2, p.mouth_width / 2
        knots = [
            (w + 1, p.nose_length - 9),
            ((w + m) / 2 + 6, p.nose_length + 4),
            (m + 6 + 2 * self.smile, self.mouth_y - 5),
            (m + 5, self.mouth_y + 5),
        ]
        return curve([(side * x, y) for x, y in knots], 20)


class Relief:
    """The face as a field of depths over the picture's pixels.

    Attributes:
        x: face coordinate of every pixel, shape (height, width); likewise ``y``.
        inside: millimetres within the head's outline, negative outside.
        depth: millimetres towards the camera.
    """

    def __init__(self, head: Head, view: View) -> None:
        self.view = view
        self.x, self.y = view.grid()
        distance, limit = head.radius(self.x, self.y)
        self.inside = limit - distance
        ratio = np.minimum(distance / limit, 1.0)
        self.depth = 78 * np.sqrt(1.02 - ratio**2.6)
        self._add_features(head)

    def around(self, centre: tuple[float, float], reach: tuple[float, float]) -> tuple[slice, slice]:
        """The part of the picture within ``reach`` (millimetres) of a point."""
        column, row = self.view.project(np.array([centre], np.float32))[0]
        width, height = (1.1 * self.view.scale * r + 3 for r in reach)
        rows = slice(max(int(row - height), 0), max(int(row + height), 0))
        return rows, slice(max(int(column - width), 0), max(int(column + width), 0))

    def bump(self, height: float, centre: tuple[float, float], spread: tuple[float, float]) -> None:
        """Raise the relief by a Gaussian bump."""
        part = self.around(centre, (3.2 * spread[0], 3.2 * spread[1]))
        self.depth[part] += height * blob(self.x[part], self.y[part], centre, spread)

    def _add_features(self, head: Head) -> None:
        p, mouth = head.person, head.mouth_y
        for side in SIDES:
            cx, cy = head.eyes[side]
            self.bump(-p.socket_depth, (cx * 0.97, cy - 2), (15, 11))
            self.bump(4.4 + 0.25 * p.socket_depth, (cx, cy + 0.5), (9.5, 7.5))
            self.bump(-2.2 * p.eye_bags, (cx * 0.98, cy + 13), (11, 2.6))
            self.bump(2.0 * p.eye_bags, (cx * 0.98, cy + 9.5), (11, 2.6))
            self.bump(p.brow_ridge, (side * 29, -p.brow_height + 2), (18, 6.5))
            self.bump(p.cheekbone, (side * 43, 25), (15, 11))
            self.bump(-p.cheek_hollow, (side * 45, p.nose_length + 14), (13, 17))
            self.bump(5.5, (side * (p.nose_width / 2 - 5.5) + p.nose_skew * 0.6, p.nose_length - 6.5), (5, 5.5))
            self.bump(3 * p.fold, (side * (p.mouth_width / 2 + 9), p.nose_length + 6), (9, 13))
            self.bump(2, (side * 24, -62), (20, 20))
        self._add_nose(p)
        self.bump(6, (0, mouth - 1), (24, 18))
        self.bump(-0.9, (0, (p.nose_length + mouth) / 2 - 3), (2.4, 7))
        self.bump(0.42 * p.upper_lip, (0, mouth - p.upper_lip * 0.45), (p.mouth_width * 0.3, 3))
        self.bump(0.42 * p.lower_lip, (0, mouth + p.lower_lip * 0.5), (p.mouth_width * 0.25, 3.6))
        self.bump(-3.2, (0, mouth + p.lower_lip + 5), (17, 4))
        self.bump(p.chin_bump, (0, p.chin_height - 13), (p.chin_width * 0.75, 10))
        self.bump(-2.2 * p.chin_cleft, (0, p.chin_height - 11), (1.8, 7))

    def _add_nose(self, p: Person) -> None:
        part = self.around((0, p.nose_length / 2), (45, p.nose_length / 2 + 30))
        y = self.y[part]
        x = self.x[part] - p.nose_skew * np.clip(y / p.nose_length, 0, 1)
        along = np.clip((y + 14) / (p.nose_length + 6), 0, 1)
        width = p.nose_bridge + (p.nose_tip * 1.25 - p.nose_bridge) * along**2
        ridge = (3.5 + 0.62 * p.nose_projection * along) * edge(y + 10, 30) * np.exp(-0.5 * (x / width) ** 2)
        self.depth[part] += ridge * edge(p.nose_length - 3.5 - y, 14)
        tip = (p.nose_skew, p.nose_length - 9.5)
        self.bump(0.24 * p.nose_projection, tip, (p.nose_tip, p.nose_tip * 0.85))

    def lighting(self, light: tuple[float, float]) -> tuple[Array, Array, Array]:
        """Diffuse light, highlight and openness to the sky (ambient), each about [0, 1]."""
        rise_y, rise_x = np.gradient(self.depth, 1 / self.view.scale)
        norm = 1 / np.sqrt(rise_x**2 + rise_y**2 + 1)
        key = np.array([*light, 1.0], np.float32) / np.float32(np.hypot(np.hypot(*light), 1))
        facing = (key[2] - rise_x * key[0] - rise_y * key[1]) * norm
        diffuse = np.clip((facing + 0.25) / 1.25, 0, 1)
        half = key + np.array([0, 0, 1], np.float32)
        half /= np.linalg.norm(half)
        shine = np.clip((half[2] - rise_x * half[0] - rise_y * half[1]) * norm, 0, 1)
        for _ in range(4):
            shine = shine * shine  # to the 16th
        hollow = coarse(self.depth, 12) - self.depth
        openness = np.exp(-0.08 * np.clip(hollow, 0, 8)) * (0.35 + 0.65 * np.sqrt(norm))
        return diffuse, shine, openness
