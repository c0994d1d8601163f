"""A photograph of a synthetic person: a lit relief with skin, eyes, hair, clothes and sensor noise."""

from __future__ import annotations

import numpy as np
from PIL import Image

from forensic.datasets import features
from forensic.datasets.drawing import Array, Strokes, blob, blur, edge, lookup, value_noise, vector
from forensic.datasets.hair import Hair
from forensic.datasets.head import SIDES, SIZE, Head, Relief, Variation, View
from forensic.datasets.persons import Person

SHAPE = (SIZE[1], SIZE[0])
EVERYWHERE = (slice(None), slice(None))


def draw_photo(person: Person, variation: Variation) -> Image.Image:
    """A mugshot-like frontal photograph of a person who does not exist.

    Args:
        person: whom to draw.
        variation: pose, light, expression and camera; the same two arguments give the same pixels.

    Returns:
        RGB image, 256 x 320.
    """
    return Image.fromarray(_Photo(person, variation).develop())


class _Photo:
    """The painting of one photograph, from the background to the front, in linear light."""

    def __init__(self, person: Person, variation: Variation) -> None:
        self.person, self.variation = person, variation
        self.head = Head(person, variation)
        self.view = View(variation)
        self.relief = Relief(self.head, self.view)
        self.x, self.y = self.relief.x, self.relief.y
        self.hair = Hair(self.head, self.relief)
        self.chance = np.random.default_rng([person.seed, variation.seed, 0xF070])  # this picture's
        self.own = np.random.default_rng([person.seed, 0x5C1A])  # the person's: skin, clothes
        self.diffuse, self.shine, self.openness = self.relief.lighting(variation.light)
        self.pores = lookup(value_noise((128, 128), 1, self.own), self.y * 0.8, self.x * 0.8)
        self.canvas = np.zeros((3, *SHAPE), np.float32)  # planes: channels first is several times as fast

    def develop(self) -> np.ndarray:
        """Paint, then expose: uint8 (height, width, 3)."""
        self.paint_background()
        self.paint_neck()
        self.paint_clothes()
        self.paint_ears()
        self.paint_face()
        for side in SIDES:
            self.paint_eye(side)
            self.paint_lids(side)
        self.paint_brows()
        if self.person.beard != "none":
            self.paint_beard()
        if self.hair.style.cover:
            self.paint_hair()
        if self.person.glasses != "none":
            self.paint_glasses()
        picture = np.clip(self.canvas * self.variation.exposure, 0, 1) ** np.float32(1 / features.GAMMA)
        grain = self.chance.standard_normal((4, *SHAPE), np.float32)
        picture += self.variation.noise * (grain[0] + 0.4 * grain[1:])
        return np.ascontiguousarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))

    def over(self, mask: Array, colour: Array, part: tuple[slice, slice] = EVERYWHERE) -> None:
        """Lay a colour (3,) or picture (3, height, width) over a part of the canvas."""
        under = self.canvas[:, *part]
        under += mask * (colour.reshape(3, *(colour.shape[1:] or (1, 1))) - under)

    def lines(self, paths: list[Array], width: float) -> Array:
        """A layer of lines given in face coordinates."""
        layer = Strokes(SIZE)
        for path in paths:
            layer.line(self.view.project(path), 1.0, width)
        return layer.layer()

    def shapes(self, *outlines: Array) -> Array:
        """A layer of filled outlines given in face coordinates."""
        layer = Strokes(SIZE)
        for outline in outlines:
            layer.fill(self.view.project(outline), 1.0)
        return layer.layer()

    def paint_background(self) -> None:
        rows = np.linspace(1.06, 0.9, SIZE[1], dtype=np.float32)[:, None]
        columns = 1 - 0.1 * self.variation.light[0] * np.linspace(-1, 1, SIZE[0], dtype=np.float32)
        tone = self.variation.background * rows * columns + 0.006 * value_noise(SHAPE, 40, self.chance)
        shadow = np.roll(blur(edge(self.relief.inside + 14, 10), 12), (6, int(-12 * self.variation.light[0])), (0, 1))
        self.canvas[:] = _tinted(vector(0.97, 1.0, 1.04), tone**features.GAMMA * (1 - 0.16 * shadow))

    def paint_neck(self) -> None:
        p, x, y = self.person, self.x, self.y
        if self.hair.style.length > 30:
            self.over(self.hair.back, features.hair_colour(p) * np.float32(0.3))
        width = p.neck_width + 24 * np.clip((y - 84) / 55, 0, 2) ** 2
        roundness = np.sqrt(1.03 - np.clip(np.abs(x) / width, 0, 1) ** 2)
        jaw_shadow = 1 - 0.62 * blur(edge(self.relief.inside + 24, 16), 7) * edge(y - 30, 20)
        tendons = 0.05 * sum(blob(x, y, (side * 22, 145), (5, 34)) for side in SIDES)
        tone = (0.22 + 0.66 * roundness) * jaw_shadow * self._sidelight() + tendons
        skin = features.skin_colour(p) * vector(1.0, 0.92, 0.88)
        self.over(edge(width - np.abs(x), 2) * edge(y - 30, 10), _tinted(skin, tone))

    def paint_clothes(self) -> None:
        p = self.person
        top = max(int(self.view.centre[1] + self.view.scale * (p.shoulder_height - 40)), 0)
        part = (slice(top, None), slice(None))
        x, y = np.abs(self.x[part]), self.y[part]
        reach = p.neck_width + 12
        slope = p.shoulder_height - 16 + 46 * (np.clip(x - p.neck_width, 0, None) / 75) ** 0.8
        neckline = p.shoulder_height + 6 + 15 * np.sqrt(np.clip(1 - (x / reach) ** 2, 0, 1))
        border = np.where(x < reach, neckline, slope)
        cloth = features.cloth_colour(int(self.own.integers(99)))
        weave = 0.16 * value_noise(SHAPE, 26, self.own) + 0.04 * value_noise(SHAPE, 2, self.own)
        hem = 1 - 0.35 * np.exp(-0.5 * ((y - border - 6) / 1.2) ** 2) * edge(reach + 2 - x, 3)
        tone = (1 + weave[part]) * hem * self._sidelight()[part]
        self.over(edge(y - border, 2), _tinted(cloth, tone), part)

    def paint_ears(self) -> None:
        p = self.person
        skin = features.skin_colour(p) * vector(1.05, 0.86, 0.82)
        for side in SIDES:
            centre = (side * (p.cheek_width - 1 + 0.7 * p.ear_spread), 8.0)
            part = self.relief.around(centre, (24, p.ear_size + 3))
            v = self.y[part] - centre[1]
            u = (self.x[part] - centre[0]) * side + 0.16 * v
            narrow = 1 + 0.25 * np.clip(v / p.ear_size, -1, 1)
            within = 1 - np.hypot(u * narrow / (4 + p.ear_size * 0.2), v / p.ear_size)
            inner = np.exp(-0.5 * ((within - 0.4) / 0.13) ** 2) + 0.5 * blob(u, v, (-3, 0), (4, 8))
            tone = (0.62 - 0.34 * inner + 0.2 * np.clip(u / 10, -1, 1)) * (1 + 0.3 * side * self.variation.light[0])
            self.over(edge(within * 12, 1.6), _tinted(skin, tone), part)

    def paint_face(self) -> None:
        shade = self.cast_shadows()
        lit = self.diffuse * shade
        picture = self.skin() * ((0.2 + 0.92 * lit) * self.openness)
        # Light that scatters within skin is red: shadows turn warm.
        picture *= 1 + (1 - np.clip(lit, 0, 1)) * vector(0.12, -0.03, -0.07)[:, None, None]
        picture += 0.085 * self.shine * shade * (1 + 0.25 * self.pores)
        self.over(edge(self.relief.inside, 2.2), picture)

    def cast_shadows(self) -> Array:
        """What the nose, the lids and the hair keep from the light: 1 lit, 0 dark."""
        p, lx, mouth = self.person, self.variation.light[0], self.head.mouth_y
        base, wing = p.nose_length, -np.copysign(p.nose_width * 0.42, lx)
        hair = np.roll(blur(self.hair.front, 4), (5, int(-6 * lx)), (0, 1))
        shade = 1 - 0.38 * hair
        spots = [
            (0.3, (p.nose_skew - 12 * lx, base + 3), (p.nose_width * 0.3, 4.0)),
            (0.4 * abs(lx), (wing, base - 12), (5, 13)),
            (0.25, (0, mouth + p.lower_lip + 3.5), (p.mouth_width * 0.25, 2.4)),
            *((0.2, (self.head.eyes[side][0], self.head.eyes[side][1] - 6), (13, 4.5)) for side in SIDES),
        ]
        for dark, centre, spread in spots:
            part = self.relief.around(centre, (3 * spread[0], 3 * spread[1]))
            shade[part] -= dark * blob(self.x[part], self.y[part], centre, spread)
        return np.clip(shade, 0.1, 1)

    def skin(self) -> Array:
        """Albedo of the face, (3, height, width)."""
        p, x, y = self.person, self.x, self.y
        mottle = value_noise(SHAPE, 9, self.own)
        red = 0.12 * mottle + 0.5 * blob(x, y, (0, p.nose_length - 8), (13, 10))
        for side in SIDES:
            red += 0.55 * blob(x, y, (side * 40, 34), (19, 17))
        red *= 0.25 + 0.75 * p.ruddiness
        albedo = _tinted(features.skin_colour(p), (1 + 0.035 * self.pores + 0.03 * mottle) * (1 - self.marks()))
        albedo *= 1 - red * vector(0.04, 0.24, 0.22)[:, None, None]
        self.colour_lips(albedo)
        return albedo

    def marks(self) -> Array:
        """Wrinkles, folds, bags, nostrils, moles, freckles: how much they darken the skin."""
        p, head = self.person, self.head
        dark = 0.5 * p.wrinkles * blur(self.lines(features.wrinkles(head), 1), 1)
        dark += 0.6 * (0.1 + p.fold) * blur(self.lines([head.cheek_fold(side) for side in SIDES], 1.6), 1.6)
        dark += 0.42 * blur(self.lines([head.wing(side) for side in SIDES], 1.5), 1.0)
        for side in SIDES:
            centre = (head.eyes[side][0] * 0.96, 12.0)
            part = self.relief.around(centre, (36, 14))
            dark[part] += 0.2 * p.eye_bags * blob(self.x[part], self.y[part], centre, (12, 4.5))
        dark = np.maximum(dark, 0.84 * blur(self.shapes(*(head.nostril(side) for side in SIDES)), 0.8))
        dark = np.maximum(dark, 0.6 * self.shapes(*features.moles(p)))
        freckles = np.clip(self.pores - 1.2, 0, 1) * blob(self.x, self.y, (0, 26), (46, 20))
        dark += 0.35 * p.freckles * (1 - p.skin) * freckles
        return np.clip(dark, 0, 0.9)

    def colour_lips(self, albedo: Array) -> None:
        """Redden and part the lips, in place."""
        p = self.person
        middle, upper, lower = self.head.lips()
        soft = blur(self.shapes(np.concatenate([upper, lower[::-1]])), 1.3) * (0.5 + 0.5 * p.lip_colour)
        tint = vector(0.86, 0.5, 0.48) * (1 - 0.25 * p.lip_colour)
        albedo *= 1 - soft * (1 - tint[:, None, None])
        dark = 0.28 * blur(self.shapes(np.concatenate([upper, middle[::-1]])), 1.2)
        dark = np.maximum(dark, 0.95 * blur(self.lines([middle], 1.6), 0.8))
        for corner in (middle[0], middle[-1]):
            centre = (float(corner[0]), float(corner[1]))
            part = self.relief.around(centre, (8, 7))
            dark[part] += 0.4 * blob(self.x[part], self.y[part], centre, (2.6, 2))
        albedo *= 1 - np.clip(dark, 0, 0.92)

    def paint_eye(self, side: int) -> None:
        p, (cx, cy) = self.person, self.head.eyes[side]
        upper, lower = self.head.lids(side)
        part = self.relief.around((cx, cy), (22, 14))
        x, y = self.x[part], self.y[part]
        gaze = 0.4 * np.random.default_rng([p.seed, self.variation.seed, 0xE7E]).normal(size=2)
        u, v = (x - cx - gaze[0]).astype(np.float32), (y - cy + 0.2 - gaze[1]).astype(np.float32)
        r = np.hypot(u, v)
        mask = blur(self.shapes(np.concatenate([upper, lower[::-1]]))[part], 0.5)
        corner = np.clip(np.abs(x - cx) / (p.eye_width / 2), 0, 1)
        below_lid = np.clip((y - (cy - 0.55 * p.eye_height)) / (0.6 * p.eye_height), 0, 1)
        tone = (0.34 + 0.3 * self.diffuse[part]) * (1 - 0.45 * corner**3) * (0.42 + 0.58 * below_lid)
        self.over(mask, _tinted(vector(0.86, 0.8, 0.77), tone), part)
        rays = 1 + 0.3 * np.sin(np.arctan2(v, u) * 17 + p.seed) * np.clip(r / 5, 0, 1)
        ring = 1 - 0.72 * edge(r - 4.9, 1.6)
        lit = (0.8 + 0.35 * np.clip(v / 5, -1, 1)) * rays * ring * (0.45 + 0.55 * below_lid)
        self.over(mask * edge(5.8 - r, 1), _tinted(features.iris_colour(p), lit.astype(np.float32)), part)
        self.over(mask * edge(2.3 - r, 0.9), vector(0.006, 0.005, 0.005), part)
        glint = blob(u, v, (5 * self.variation.light[0], -2.0), (0.9, 0.9))
        self.over(0.9 * mask * np.clip(1.5 * glint, 0, 1), np.ones(3, np.float32), part)

    def paint_lids(self, side: int) -> None:
        p = self.person
        upper, lower = self.head.lids(side)
        part = self.relief.around(self.head.eyes[side], (26, 20))
        skin = features.skin_colour(p)
        inward = slice(3, -1) if side > 0 else slice(1, -3)
        rim = blur(self.lines([lower[2:-2] + vector(0, 0.8)], 1.3)[part], 0.7)
        self.over(0.4 * rim, skin * vector(0.85, 0.6, 0.55), part)
        crease = blur(self.lines([self.head.crease(side)[1:-1]], 1.3)[part], 0.9)
        self.over(0.55 * crease, skin * vector(0.26, 0.17, 0.14), part)
        corner = upper[-1 if side > 0 else 0] + np.array([[0, 0], [side * 2.2, -0.6]], np.float32)
        lashes = self.lines([upper, corner], 2.0 if p.sex == "female" else 1.5)[part]
        self.over(0.88 * blur(lashes, 0.5), vector(0.018, 0.013, 0.011), part)
        self.over(0.35 * self.lines([lower[inward]], 0.8)[part], vector(0.05, 0.03, 0.03), part)

    def paint_brows(self) -> None:
        hairs = [hair for side in SIDES for hair in features.brow_hairs(self.head, side, 75, self.own)]
        soft = blur(self.shapes(*(features.brow_outline(self.head, side) for side in SIDES)), 1.5)
        opacity = np.clip(0.55 * soft + 0.5 * blur(self.lines(hairs, 0.6), 0.35), 0, 0.94)
        self.over(opacity, features.brow_colour(self.person))

    def paint_beard(self) -> None:
        p = self.person
        area, colour = features.beard_area(self.head, self.relief), features.brow_colour(p)
        if p.beard == "stubble":
            self.over(np.clip(area * (0.36 + 0.16 * self.pores) * p.beard_density, 0, 0.8), colour)
            return
        bristles = lookup(value_noise((128, 128), 1, self.own), self.y * 0.35, self.x * 1.2)
        tone = np.clip(1.0 + 0.4 * bristles + 0.5 * (self.diffuse - 0.7), 0.25, 2.4)
        self.over(np.clip(area * (0.92 + 0.1 * bristles) * p.beard_density, 0, 1), _tinted(colour, tone))

    def paint_hair(self) -> None:
        tone = self.hair.tone(self.head, self.relief)
        lit = tone * (0.95 + 0.25 * self.variation.light[0] * np.clip(self.x / 70, -1, 1))
        sheen = 0.05 * np.clip(tone - 0.85, 0, 1) ** 1.2
        self.over(self.hair.front, _tinted(features.hair_colour(self.person), lit) + sheen)

    def paint_glasses(self) -> None:
        part = self.relief.around((0, 3), (95, 40))
        frame, lens = features.glasses(self.head, self.x[part], self.y[part])
        self.canvas[:, *part] *= 1 - 0.12 * np.roll(blur(frame, 2), 3, 0)
        self.over(0.05 * lens, vector(0.8, 0.85, 0.9), part)
        dark = vector(0.02, 0.018, 0.016) if self.person.glasses_weight > 1.4 else vector(0.2, 0.19, 0.17)
        self.over(0.93 * frame, dark, part)

    def _sidelight(self) -> Array:
        """The key light's fall across the body."""
        light: Array = 0.8 + 0.3 * self.variation.light[0] * np.clip(self.x / 60, -1.5, 1.5)
        return light


def _tinted(colour: Array, tone: Array) -> Array:
    """A colour (3,) at every tone (height, width): (3, height, width)."""
    picture: Array = colour[:, None, None] * tone
    return picture
