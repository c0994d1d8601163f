"""Parts of the face that a photograph and a drawing share: brows' hairs, lines, beard, glasses, colours."""

from __future__ import annotations

import numpy as np

from forensic.datasets.drawing import Array, edge
from forensic.datasets.head import SIDES, Head, Relief
from forensic.datasets.persons import Person

GAMMA = 2.2

# sRGB, 0 to 255, from the first to the last value of the trait
_SKIN = "f6d6c4 ecc4aa ddad8e c28d6b 986649 704a35 54382b"
_HAIR = "181413 30221b 523826 7c5837 b08a5a d6b886"
_IRIS = "26160e 4e2f18 6c542a 5c6a4a 607e92 86a8be"
_CLOTHES = "2c3446 606266 202124 96928a 582e2c 405242 bebebc"


def skin_colour(p: Person) -> Array:
    """Linear RGB, shape (3,), [0, 1]."""
    return _ramp(_SKIN, p.skin)


def hair_colour(p: Person) -> Array:
    """Linear RGB of the hair, greyed by age."""
    colour = _ramp(_HAIR, p.hair_colour) * (1 + p.hair_red * np.array([0.35, -0.02, -0.2], np.float32))
    grey: Array = colour * (1 - p.grey) + p.grey * np.array([0.36, 0.36, 0.37], np.float32)
    return grey


def brow_colour(p: Person) -> Array:
    """Linear RGB of brows and beard: darker than the hair."""
    colour: Array = _ramp(_HAIR, min(p.hair_colour, 0.7) * 0.7) * 0.8 + np.float32(0.1 * max(p.grey - 0.4, 0))
    return colour


def iris_colour(p: Person) -> Array:
    """Linear RGB."""
    return _ramp(_IRIS, p.iris_colour)


def cloth_colour(index: int) -> Array:
    """Linear RGB of the ``index``-th cloth, wrapping."""
    cloths = _colours(_CLOTHES)
    cloth: Array = cloths[index % len(cloths)]
    return cloth


def _ramp(colours: str, position: float) -> Array:
    """The colour at a position, 0 to 1, between the first and the last."""
    ramp = _colours(colours)
    at = float(np.clip(position, 0, 1)) * (len(ramp) - 1)
    i = min(int(at), len(ramp) - 2)
    mixed: Array = ramp[i] * (1 - at + i) + ramp[i + 1] * (at - i)
    return mixed


def _colours(colours: str) -> Array:
    """Linear RGB of hexadecimal sRGB colours, shape (colours, 3)."""
    linear: Array = (np.array([list(bytes.fromhex(c)) for c in colours.split()], np.float32) / 255) ** np.float32(GAMMA)
    return linear


def brow_hairs(head: Head, side: int, count: int, rng: np.random.Generator) -> list[Array]:
    """Short hairs of an eyebrow, each (2, 2)."""
    line, half = head.brow(side)
    hairs = []
    for at in np.sort(rng.uniform(0, len(line) - 1.01, count)):
        i, f = int(at), at - int(at)
        centre = line[i] * (1 - f) + line[i + 1] * f
        width = half[i] * (1 - f) + half[i + 1] * f
        t = at / len(line)
        root = centre + np.array([0, width * rng.uniform(-0.9, 1.05)])
        lean = np.array([side * (2.2 + 4.5 * t), -4.2 + 6.5 * t + rng.normal() * 0.7])
        hairs.append(np.stack([root, root + lean * rng.uniform(0.6, 1.1)]).astype(np.float32))
    return hairs


def brow_outline(head: Head, side: int) -> Array:
    """An eyebrow as a polygon."""
    line, half = head.brow(side)
    lift = np.stack([0 * half, half], 1)
    return np.concatenate([line - lift, (line + lift)[::-1]])


def wrinkles(head: Head) -> list[Array]:
    """Lines of the forehead, beside the eyes and between the brows."""
    p = head.person
    lines = []
    for i, reach in enumerate((34, 38, 33)):
        t = np.linspace(-reach, reach, 24, dtype=np.float32)
        lines.append(np.stack([t, 2 * np.sin(t / 13 + i) + 0.002 * t * t - p.brow_height - 16 - 9 * i], 1))
    for side in SIDES:
        corner = np.array([head.eyes[side][0] + side * (p.eye_width / 2 + 3), 1], np.float32)
        foot = np.array([[0, 0.2], [5 * side, 0.5], [11 * side, 1.0]], np.float32)
        lines += [corner + foot * np.array([1, rise], np.float32) for rise in (-5, 0, 5)]
        lines.append(np.array([[side * 4, -p.brow_height - 6], [side * 5, -p.brow_height + 5]], np.float32))
    return lines


def moles(p: Person) -> list[Array]:
    """Outlines of a person's moles, none to four."""
    rng = np.random.default_rng([p.seed, 0x301E])
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False, dtype=np.float32)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    spots = rng.uniform((-50, -50), (50, 95), (int(rng.integers(0, 5)), 2)).astype(np.float32)
    return [spot + np.float32(rng.uniform(0.6, 1.7)) * ring for spot in spots]


def beard_area(head: Head, relief: Relief) -> Array:
    """Where a person's beard and moustache grow, [0, 1]."""
    p, x, y = head.person, np.abs(relief.x), relief.y
    corner, mouth = p.mouth_width / 2, head.mouth_y
    above = np.interp(x, [0, corner * 0.5, corner + 6], [p.nose_length + 4, p.nose_length + 5, mouth + 4])
    over_lip = edge(mouth - 0.55 * p.upper_lip - y + np.clip(x - corner * 0.8, 0, None) * 1.2, 3)
    moustache = edge((y - above).astype(np.float32), 4) * over_lip * edge(corner + 5 - x, 5)
    if p.beard == "moustache":
        return moustache
    around = edge(20 * np.hypot(x / (corner + 1), (y - mouth - 1) / (p.lower_lip + 4.5)) - 20, 4)
    if p.beard == "goatee":
        chin = edge(corner + 3 - x, 6) * edge(y - mouth + 4, 8) * around
        return _within(relief, np.maximum(moustache, chin))
    knots = [0, corner + 2, max(p.jaw_width, corner + 10), max(p.cheek_width, corner + 14)]
    top = np.interp(x, knots, [mouth + 6, mouth - 6, p.nose_length - 2, 0])
    jaw = edge((y - top).astype(np.float32), 14) * around
    return _within(relief, np.maximum(moustache, jaw))


def _within(relief: Relief, area: Array) -> Array:
    """An area as far as the face reaches, and a little further."""
    inner: Array = area * edge(relief.inside + 4, 5)
    return inner


def glasses(head: Head, x: Array, y: Array) -> tuple[Array, Array]:
    """Frame and lenses, [0, 1]."""
    p = head.person
    frame, lens = np.zeros_like(x), np.zeros_like(x)
    corner = 17.0 if p.glasses == "round" else 8.0
    width, height = (22.0, 19.5) if p.glasses == "round" else (25.5, 17.0)
    width, height = width * p.glasses_size, height * p.glasses_size
    weight = p.glasses_weight * 0.7
    middle = p.eye_distance / 2 + 1.5
    for side in SIDES:
        u, v = np.abs(x - side * middle) - (width - corner), np.abs(y - 3) - (height - corner)
        distance = np.hypot(np.maximum(u, 0), np.maximum(v, 0)) + np.minimum(np.maximum(u, v), 0) - corner
        frame = np.maximum(frame, edge(weight - np.abs(distance), 1))
        lens = np.maximum(lens, edge(-distance, 1))
        arm = edge(weight * 0.9 - np.abs(y + 3), 1) * edge(side * x - middle - width, 1)
        frame = np.maximum(frame, arm * edge(p.temple_width - side * x + 3, 1))
    bridge = edge(weight - np.abs(y + 2 - 0.02 * x**2), 1) * edge(middle - width + 0.5 - np.abs(x), 1)
    return np.maximum(frame, bridge), lens
