"""Find faces with MTCNN, on photos and on pencil drawings.

Zhang, Zhang, Li, Qiao: Joint Face Detection and Alignment Using Multi-task Cascaded Convolutional Networks,
IEEE Signal Processing Letters 2016; the cascade itself is ``mtcnn.py``.

MTCNN was trained on photos. What it needs to see a drawing was measured on CUFS and FS2K
(``docs/results/alignment.md``): a border around faces that fill the page, and, for thin lines on white paper, a
blur and a darker tone that turn strokes into shades. Each is an `Attempt`, tried in order until a face is
found, and the attempt's name stays with the face, so that nobody takes a desperate find for a sound one. Where all of
them fail, the landmarks of the face priors (``priors.py``), which were trained on drawings, have the last word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from forensic.faces.align import PORTRAIT, similarity, warp

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Face(NamedTuple):
    """One face in an image.

    Attributes:
        box: Left, top, right, bottom in pixels, shape (4,).
        landmarks: Left eye (as seen in the image), right eye, nose, mouth corners left and right, shape
            (5, 2), x then y, in pixels.
        score: The detector's confidence, 0 to 1; 1 for landmarks given by a person.
        method: Name of the attempt that found it, or ``manual``.
    """

    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    score: float
    method: str

    @property
    def height(self) -> float:
        """Height of the box in pixels."""
        return float(self.box[3] - self.box[1])


MANUAL = "manual"
"""Method of landmarks that a person gave."""


@dataclass(frozen=True)
class Attempt:
    """One way of looking: how the image is laid on MTCNN's canvas, and how sure the networks have to be.

    Attributes:
        method: Name that the faces found this way carry.
        side: The image is scaled so that its longer side has this many pixels.
        margin: Pixels of repeated border around it.
        thresholds: Of the proposal, refinement and output networks.
        blur: Gaussian radius in canvas pixels, before the tone is darkened; 0 leaves the image alone.
        gamma: Exponent of the darkening.
        sound: Whether a find needs no warning.
        least: Longer side in pixels from which an image is tried this way.
    """

    method: str
    side: int = 256
    margin: int = 32
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    blur: float = 0.0
    gamma: float = 2.0
    sound: bool = True
    least: int = 0


ATTEMPTS = (
    Attempt("mtcnn"),
    Attempt("mtcnn-far", side=896, least=448),
    Attempt("mtcnn-darkened", blur=1.0),
    Attempt("mtcnn-darkened-large", side=320, margin=64, thresholds=(0.5, 0.6, 0.6), blur=1.0, sound=False),
    Attempt("mtcnn-faint", margin=64, thresholds=(0.5, 0.6, 0.6), blur=1.5, gamma=2.5, sound=False),
    Attempt("mtcnn-faintest", margin=64, thresholds=(0.4, 0.4, 0.4), blur=1.0, sound=False),
)

MIN_FACE = 40
"""Smallest face on the canvas in pixels; at the first attempt's scale a sixth of the image's side."""


class Detector:
    """MTCNN, one image at a time; safe to share between threads.

    Images are not batched: a face's template must not depend on what was enrolled beside it, and on a CPU a batch is
    hardly faster.

    Args:
        device: Where to run, as torch names it.
        attempts: What to try, in order.

    Raises:
        ModelError: MTCNN's weights are missing or are not the known ones.
    """

    def __init__(self, device: str = "cpu", attempts: tuple[Attempt, ...] = ATTEMPTS) -> None:
        from forensic.faces.mtcnn import Cascade

        self.attempts = attempts
        self.cascade = Cascade(device)

    def detect(self, image: Image.Image) -> list[Face]:
        """Faces of one RGB image, largest first; empty where every attempt found none."""
        for attempt in self.attempts:
            if max(image.size) >= attempt.least and (faces := self._try(image, attempt)):
                return faces
        face = by_priors(image)
        return [face] if face else []

    def _try(self, image: Image.Image, attempt: Attempt) -> list[Face]:
        canvas, scale, offset = lay_out(image, attempt)
        found = self.cascade(canvas, attempt.thresholds, MIN_FACE)
        faces = [
            Face((box.reshape(2, 2) - offset).ravel() / scale, (points - offset) / scale, float(score), attempt.method)
            for box, points, score in zip(*found, strict=True)
            if plausible(points)
        ]
        if attempt.sound:
            return sorted(faces, key=lambda face: -face.height)
        # A lenient attempt also finds faces in hair and collars: only its surest one counts.
        return sorted(faces, key=lambda face: -face.score)[:1]


def lay_out(image: Image.Image, attempt: Attempt) -> tuple[NDArray[np.uint8], float, NDArray[np.float32]]:
    """The image on the attempt's square canvas.

    Returns:
        The canvas, shape (side + 2 margin, side + 2 margin, 3); the scale from image to canvas pixels; and
        where the image's corner lies on the canvas, shape (2,).
    """
    scale = attempt.side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.BILINEAR)  # Pillow averages over the area when it reduces
    if attempt.blur:
        shades = small.convert("L").filter(ImageFilter.GaussianBlur(attempt.blur))
        small = shades.point([round(255 * (v / 255) ** attempt.gamma) for v in range(256)]).convert("RGB")
    whole = attempt.side + 2 * attempt.margin
    across, down = whole - size[0], whole - size[1]
    border = ((down // 2, down - down // 2), (across // 2, across - across // 2), (0, 0))
    canvas = np.pad(np.asarray(small), border, mode="edge")
    return canvas, scale, np.array([across // 2, down // 2], dtype=np.float32)


def plausible(landmarks: NDArray[np.floating]) -> bool:
    """Whether five points can be a face: the mouth below the eyes, neither of them on one spot.

    >>> from forensic.faces.align import ARCFACE
    >>> plausible(ARCFACE), plausible(ARCFACE[[3, 4, 2, 0, 1]])
    (True, False)
    """
    left, right, _, mouth_left, mouth_right = np.asarray(landmarks, dtype=np.float64) @ (1, 1j)
    if abs(right - left) < 1:
        return False
    # In units of the eyes' distance, with the eyes level: a frontal mouth is 1.1 below, a profile's further.
    mouth = ((mouth_left + mouth_right) / 2 - (left + right) / 2) / (right - left)
    return bool(0.4 < mouth.imag < 5 and abs(mouth.real) < 2)


BY_PRIORS = "priors"
PRIORS_SIDES = (224, 160, 112)
"""Longer sides, on a canvas of 256 pixels, at which the priors look for a face."""
PRIORS_SURE = 0.5
"""Least confidence of the least sure landmark (`forensic.faces.priors.Points`). ``docs/results/alignment.md`` says how
many drawings pass it, and how many cuttings without a face."""


def by_priors(image: Image.Image) -> Face | None:
    """The face whose five landmarks the face priors are surest of, or None where they are not sure.

    The landmarks are looked for at several sizes, then once more in the face that the surest ones align.

    Raises:
        ModelError: The weights of the face priors are missing or damaged.
    """
    points, sure = surest(image)
    if sure < PRIORS_SURE:
        return None
    for _ in range(2):
        if not plausible(points):
            return None
        points, sure = _again(image, points)
    middle, reach = points.mean(axis=0), 1.3 * np.ptp(points, axis=0).max()
    box = np.concatenate([middle - reach, middle + reach]).astype(np.float32)
    return Face(box, points, sure, BY_PRIORS) if plausible(points) and sure >= PRIORS_SURE else None


def surest(image: Image.Image) -> tuple[NDArray[np.float32], float]:
    """Landmarks in the image's pixels at the size at which the least sure of them is surest, and how sure that is."""
    from forensic.faces import priors
    from forensic.images import to_tensor

    canvases, places = [], []
    for side in PRIORS_SIDES:
        canvas, scale, offset = lay_out(image, Attempt(BY_PRIORS, side=side, margin=(256 - side) // 2))
        canvases.append(Image.fromarray(canvas))
        places.append((scale, offset))
    found = priors.landmarks(to_tensor(canvases))
    least = found.confidence.amin(dim=1)
    best = int(least.argmax())
    scale, offset = places[best]
    return ((found.places[best].numpy() - offset) / scale).astype(np.float32), float(least[best])


def _again(image: Image.Image, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """The landmarks once more, in the face that they align."""
    from forensic.faces import priors
    from forensic.images import to_tensor

    found = priors.landmarks(to_tensor([warp(image, points, PORTRAIT)]))
    a, t = similarity(PORTRAIT.landmarks, points)
    refined = found.places[0].double().numpy() @ (1, 1j) * a + t
    return np.stack([refined.real, refined.imag], axis=1).astype(np.float32), float(found.confidence.amin())
