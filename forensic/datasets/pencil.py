"""A pencil drawing of a synthetic person, as an artist makes it from a witness's memory.

It starts from the person's traits, misremembered, and not from a photograph: contours, hatching along the
relief, strands of hair and smudged graphite on paper.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from forensic.datasets import features
from forensic.datasets.drawing import Array, Strokes, blur, edge, value_noise
from forensic.datasets.hair import Hair
from forensic.datasets.head import SIDES, SIZE, Head, Relief, Variation, View
from forensic.datasets.persons import Person

SHAPE = (SIZE[1], SIZE[0])
DISTORTION = 0.6  # sigma of what a witness misremembers, in units of each trait's spread


def draw_sketch(
    person: Person, variation: Variation, rng: np.random.Generator, distortion: float = DISTORTION
) -> Image.Image:
    """A drawing of a person from memory.

    Args:
        person: whom to draw.
        variation: pose and light of the drawing; expression as remembered.
        rng: the witness's errors and the artist's hand.
        distortion: sigma of the errors in units of each trait's spread; 0 draws the person as they are.

    Returns:
        RGB image, 256 x 320, grey graphite on light paper.
    """
    return Image.fromarray(_Drawing(person.distorted(distortion, rng), variation, rng).finish())


class _Drawing:
    """One sheet: layers of graphite, each the share of the paper that it covers, [0, 1]."""

    def __init__(self, person: Person, variation: Variation, rng: np.random.Generator) -> None:
        self.person, self.rng = person, rng
        self.head = Head(person, variation)
        self.view = View(variation)
        self.relief = Relief(self.head, self.view)
        self.hair = Hair(self.head, self.relief)
        self.x, self.y = self.relief.x, self.relief.y
        diffuse, _, openness = self.relief.lighting(variation.light)
        self.face = edge(self.relief.inside, 2) * (1 - self.hair.front)
        dark = 1 - (0.22 + 0.86 * diffuse) * openness + 0.1 * person.skin
        self.dark = np.clip(dark, 0, 1) * self.face
        self.white: Array = np.ones(SHAPE, np.float32)  # the paper that is still bare

    def finish(self) -> np.ndarray:
        """Draw everything: uint8 (height, width, 3)."""
        self.shade()
        self.hatch(550, 0.95, 0.5)
        self.hatch(260, 0.55, 0.38)
        self.draw_outlines()
        for side in SIDES:
            self.draw_eye(side)
        self.draw_brows()
        self.draw_nose_and_mouth()
        self.draw_lines_of_age()
        if self.person.beard != "none":
            self.draw_beard()
        if self.hair.style.cover:
            self.draw_hair()
        if self.person.glasses != "none":
            self.draw_glasses()
        tooth = self.rng.standard_normal(SHAPE, np.float32)
        graphite = np.clip((1 - self.white) * (1 + 0.13 * tooth), 0, 0.93)
        paper = 0.94 + 0.012 * value_noise(SHAPE, 50, self.rng) + 0.008 * tooth
        sheet = (paper * (1 - graphite))[..., None] * np.array([1.0, 0.992, 0.975], np.float32)
        pixels: np.ndarray = (np.clip(sheet, 0, 1) * 255 + 0.5).astype(np.uint8)
        return pixels

    def add(self, graphite: Array) -> None:
        """Lay graphite over what is there."""
        self.white *= 1 - np.clip(graphite, 0, 1)

    def pencil(self, layer: Strokes, path: Array, pressure: float, width: float = 0.8, loose: float = 0.5) -> None:
        """A line (n, 2) in face coordinates, by a hand: it wavers, swells and tapers."""
        points = self.view.project(path.astype(np.float32))
        count = len(points)
        knots = np.linspace(0, 1, 5)
        at = np.linspace(0, 1, count)
        waver = [np.interp(at, knots, self.rng.normal(size=5)) for _ in range(3)]
        points = points + loose * np.stack(waver[:2], 1).astype(np.float32)
        taper = 0.55 + 0.45 * np.sin(np.pi * np.clip(at, 0.04, 0.96))
        layer.line(points, (pressure * taper * (1 + 0.18 * waver[2])).astype(np.float32), width)

    def contours(self, paths: list[Array], pressure: float, width: float = 0.8, loose: float = 0.5) -> None:
        """Lines drawn twice, the second time not quite on the first."""
        for share in (1.0, 0.6):
            layer = Strokes(SIZE)
            for path in paths:
                self.pencil(layer, path, pressure * share, width, loose)
            self.add(layer.layer())

    def fill(self, outlines: list[Array], pressure: float, softness: float = 0.8) -> None:
        """Areas filled with soft graphite."""
        layer = Strokes(SIZE)
        for outline in outlines:
            layer.fill(self.view.project(outline), 1.0)
        self.add(pressure * blur(layer.layer(), softness))

    def shade(self) -> None:
        """Smudged tone of the face, the lips' and lids' shadows, and the shade under the jaw."""
        self.add(0.72 * blur(np.clip(self.dark - 0.06, 0, 1), 1.6))
        p = self.person
        neck = edge(p.neck_width + 5 - np.abs(self.x), 4) * edge(-self.relief.inside, 3) * edge(self.y - 40, 10)
        fall = np.exp(-np.clip(-self.relief.inside, 0, None) / 15)
        sides = np.clip(np.abs(self.x) / p.neck_width, 0, 1) ** 4
        below = neck * np.clip(0.42 * fall + 0.25 * sides + 0.08 * p.skin, 0, 1) * (1 - self.hair.front)
        self.add(0.8 * blur(below * edge(p.shoulder_height + 8 - self.y, 10), 2))

    def hatch(self, count: int, slant: float, pressure: float) -> None:
        """Short parallel strokes where the face is dark."""
        weight = np.clip(self.dark - 0.1, 0, 1) ** 1.2
        rows, columns = _scatter(weight, count, self.rng)
        level = self.dark[rows, columns]
        angle = slant + 0.12 * self.rng.normal(size=count)
        half = (2.5 + 4 * self.rng.random(count))[:, None] * np.stack([np.cos(angle), -np.sin(angle)], 1)
        middle = np.stack([columns, rows], 1) + self.rng.random((count, 2))
        layer = Strokes(SIZE)
        layer.lines(np.stack([middle - half, middle + half], 1), np.sqrt(level) * pressure, 0.6)
        self.add(layer.layer())

    def draw_outlines(self) -> None:
        p = self.person
        outline = self.head.outline
        jaw = outline[outline[:, 1] > -12]
        order = np.argsort(np.arctan2(jaw[:, 0], jaw[:, 1] - 5))
        paths, faint = [jaw[order]], []
        if not self.hair.style.cover:
            crown = outline[outline[:, 1] < 0]
            paths.append(crown[np.argsort(np.arctan2(crown[:, 0], 5 - crown[:, 1]))])
        t = np.linspace(0, 1, 24, dtype=np.float32)
        for side in SIDES:
            neck_y = p.jaw_height + 6 + t * (p.shoulder_height - p.jaw_height + 2)
            flare = 24 * np.clip((neck_y - 84) / 55, 0, 2) ** 2
            paths.append(np.stack([side * (p.neck_width + flare), neck_y], 1))
            slope = p.shoulder_height - 10 + 46 * t**0.8
            faint.append(np.stack([side * (p.neck_width + 14 + 75 * t), slope], 1))
            if self.hair.style.length <= 30:
                paths.extend(self.ear(side))
        collar = np.linspace(-1, 1, 30, dtype=np.float32)
        neckline = p.shoulder_height + 6 + 15 * np.sqrt(1 - collar**2)
        faint.append(np.stack([collar * (p.neck_width + 12), neckline], 1))
        self.contours(paths, 0.66, 0.9)
        self.contours(faint, 0.5, 0.9, loose=1.0)

    def ear(self, side: int) -> list[Array]:
        """The rim of an ear and the fold within it."""
        p = self.person
        turn = np.linspace(-0.75 * np.pi, 0.62 * np.pi, 22, dtype=np.float32)
        centre = side * (p.cheek_width - 1 + 0.7 * p.ear_spread)
        lines = []
        for size, share in ((1.0, slice(None)), (0.62, slice(3, 17))):
            v = p.ear_size * size * np.sin(turn)
            u = (4 + p.ear_size * 0.2) * size * np.cos(turn) / (1 + 0.25 * v / p.ear_size) - 0.16 * v
            lines.append(np.stack([centre + side * u, 8 + v], 1)[share])
        return lines

    def draw_eye(self, side: int) -> None:
        p, (cx, cy) = self.person, self.head.eyes[side]
        upper, lower = self.head.lids(side)
        part = self.relief.around((cx, cy), (24, 18))
        opening = Strokes(SIZE)
        opening.fill(self.view.project(np.concatenate([upper, lower[::-1]])), 1)
        mask = opening.layer()[part]
        r = np.hypot(self.x[part] - cx, self.y[part] - cy + 0.2)
        below_lid = np.clip((self.y[part] - cy + 0.55 * p.eye_height) / (0.5 * p.eye_height), 0, 1)
        iris = 0.86 - 0.5 * p.iris_colour + 0.25 * edge(r - 4.8, 1.5) - 0.2 * (1 - below_lid)
        ball = edge(5.8 - r, 1) * iris + edge(r - 5.8, 1) * (0.12 + 0.28 * (1 - below_lid))
        ball = np.maximum(ball, 0.97 * edge(2.4 - r, 1))
        glint = np.hypot(self.x[part] - cx + 1.4, self.y[part] - cy + 2.0)
        ball *= 1 - 0.95 * edge(1.1 - glint, 0.9)
        # The eye is drawn afresh: the shading laid before is lifted off with the rubber.
        self.white[part] = self.white[part] * (1 - mask) + mask * (1 - np.clip(ball, 0, 1))
        self.contours([upper], 0.95, 1.5 if p.sex == "female" else 1.2, loose=0.25)
        inward = slice(2, None) if side > 0 else slice(None, -2)
        self.contours([lower[inward]], 0.5, 0.7, loose=0.25)
        self.contours([self.head.crease(side)[1:-1]], 0.5, 0.8, loose=0.3)

    def draw_brows(self) -> None:
        p = self.person
        ink = 0.92 - 0.3 * p.hair_colour - 0.15 * p.grey
        self.fill([features.brow_outline(self.head, side) for side in SIDES], 0.5 * ink, 1.6)
        layer = Strokes(SIZE)
        for side in SIDES:
            for hair in features.brow_hairs(self.head, side, 60, self.rng):
                layer.line(self.view.project(hair), float(self.rng.uniform(0.5, 1) * ink), 0.7)
        self.add(layer.layer())

    def draw_nose_and_mouth(self) -> None:
        p = self.person
        self.fill([self.head.nostril(side) for side in SIDES], 0.85, 0.7)
        self.contours([self.head.wing(side) for side in SIDES], 0.55, 0.8, loose=0.3)
        middle, upper, lower = self.head.lips()
        self.fill([np.concatenate([upper, middle[::-1]])], 0.3 + 0.15 * p.lip_colour, 1.0)
        self.fill([np.concatenate([middle, lower[::-1]])], 0.12 + 0.15 * p.lip_colour, 1.2)
        self.contours([middle], 0.92, 1.2, loose=0.25)
        self.contours([upper[2:-2]], 0.4, 0.8, loose=0.3)
        self.contours([lower[6:-6]], 0.42, 0.9, loose=0.4)
        below = lower[9:-9] + np.array([0, 4.5], np.float32)
        self.contours([below], 0.26, 1.2, loose=0.5)

    def draw_lines_of_age(self) -> None:
        p = self.person
        self.contours([self.head.cheek_fold(side) for side in SIDES], 0.12 + 0.5 * p.fold, 0.8)
        if p.wrinkles > 0.15:
            self.contours(features.wrinkles(self.head), 0.55 * min(p.wrinkles, 0.9), 0.7, loose=0.7)
        bags = [self.head.lids(side)[1][3:-3] + np.array([0, 5.5], np.float32) for side in SIDES]
        self.contours(bags, 0.45 * p.eye_bags, 0.8)
        self.fill(features.moles(p), 0.65, 0.4)

    def draw_beard(self) -> None:
        p = self.person
        area = features.beard_area(self.head, self.relief) * p.beard_density
        full = p.beard != "stubble"
        ink = 0.95 - 0.4 * p.hair_colour - 0.25 * p.grey
        self.add(area * ink * (0.5 if full else 0.2))
        rows, columns = _scatter(area, 420 if full else 300, self.rng)
        layer = Strokes(SIZE)
        length = 6.0 if full else 1.6
        lean = 0.35 * (columns - SIZE[0] / 2) / 40 + 0.25 * self.rng.normal(size=len(columns))
        stroke = np.stack([lean, np.ones(len(lean))], 1) * length * self.rng.uniform(0.6, 1.2, (len(lean), 1))
        start = np.stack([columns, rows], 1)
        layer.lines(np.stack([start, start + stroke], 1), ink * self.rng.uniform(0.45, 0.9, len(rows)), 0.7)
        self.add(layer.layer())

    def draw_hair(self) -> None:
        p, mask = self.person, self.hair.front
        colour = features.hair_colour(p)
        ink = float(np.clip(1.05 - 1.15 * (colour @ np.array([0.3, 0.6, 0.1])) ** (1 / features.GAMMA), 0.28, 0.92))
        tone = self.hair.tone(self.head, self.relief)
        shadow = np.clip(1.45 - tone, 0.15, 1)
        if self.hair.style.length > 30:
            behind = self.hair.back * edge(np.abs(self.x) - p.neck_width, 2) * edge(-self.relief.inside, 2)
            self.add(0.8 * ink * blur(behind * (1 - mask), 1))
        self.white = self.white * (1 - 0.85 * mask) + 0.85 * mask  # hair is drawn on bare paper
        self.add(mask * ink * (0.25 + 0.5 * shadow))
        paths = self.strands(np.clip(mask, 0, 1) * (0.4 + shadow), 520)
        for some, strength in ((paths[::2], 0.75), (paths[1::2], 0.6)):
            layer = Strokes(SIZE)
            layer.lines(some, ink * strength * self.rng.uniform(0.5, 1.15, len(some)), 0.8)
            self.add(layer.layer() * np.clip(2.5 * blur(mask, 1.5), 0, 1))

    def strands(self, weight: Array, count: int) -> Array:
        """Strokes along the strands, in pixels, shape (count, points, 2)."""
        rows, columns = _scatter(weight, count, self.rng)
        slope_y, slope_x = np.gradient(self.hair.across)
        norm = np.hypot(slope_x, slope_y) + 1e-6
        forward = np.stack([-slope_y / norm, slope_x / norm], -1)  # strands run across the gradient
        at = np.stack([columns, rows], 1) + self.rng.random((count, 2))
        step = self.rng.uniform(1.5, 4.0, (count, 1))
        path = [at]
        for _ in range(6):
            column = np.clip(at[:, 0].astype(int), 0, SIZE[0] - 1)
            row = np.clip(at[:, 1].astype(int), 0, SIZE[1] - 1)
            at = at + step * forward[row, column]
            path.append(at)
        return np.stack(path, 1).astype(np.float32)

    def draw_glasses(self) -> None:
        frame, _ = features.glasses(self.head, self.x, self.y)
        self.add((0.85 if self.person.glasses_weight > 1.4 else 0.6) * frame)


def _scatter(weight: Array, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of pixels drawn with probability in proportion to a weight."""
    total = np.cumsum(weight.ravel(), dtype=np.float64)
    places = np.searchsorted(total, rng.random(count) * total[-1])
    rows, columns = np.divmod(np.minimum(places, weight.size - 1), weight.shape[1])
    return rows, columns
