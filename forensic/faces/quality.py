"""How good a photo of a face is, in figures that a person can check: size, sharpness, exposure, pose, occlusion.

None of them is a model trained to predict errors: each measures one thing and says what. What is good enough is no
matter of measuring; a `forensic.faces.policy.Policy` decides.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from forensic.faces.align import ARCFACE, CROP, PORTRAIT, Frame, warp
from forensic.faces.regions import SURROUNDINGS, from_landmarks

if TYPE_CHECKING:
    from forensic.faces.detect import Face

Floats = NDArray[np.float64]

DARK, LIGHT = 5, 250
"""Grey levels, of 255, at which detail is taken as lost in shadow or glare; JPEG blurs 0 and 255 by as much."""

PARSED = Frame(128, PORTRAIT.landmarks / 2)
"""What the parsing looks at: half the portrait's scale, at which it takes a quarter of the time."""

OUTLINE = 2.92
"""Height of the face's outline in `regions.from_landmarks`, in distances from the eyes' line to the mouth."""
INNER = 0.85
"""How much of that outline's width and height is looked at for occlusion: narrow faces do not fill it."""

COVERS = ("background", "hat", "cloth")
"""Classes of the parsing that no bare face has inside of its outline."""
TINTED = 0.6
"""Luminance, of the skin's median, below which what the parsing calls glasses hides what is behind: the parsing gives
ordinary and dark glasses one class, and skin seen through clear ones is about as light as skin."""
FEATURES = ("left eye", "right eye", "left brow", "right brow", "nose", "mouth")
"""Regions where hair counts as a cover too; on the forehead and beside the cheeks it is how hair falls."""

MILLIMETRES = 63 / (ARCFACE[1, 0] - ARCFACE[0, 0])
"""Of a pixel of the crop, with pupils 63 mm apart (the mean of adults; Dodgson 2004)."""
DEPTHS = (0.0, 0.0, 26.0, 2.0, 2.0)
"""How far eyes, nose tip and mouth corners lie before the eyes, in mm, of a generic head; no measured mean."""


@dataclass(frozen=True)
class Quality:
    """Measures of one face in one photo, all plain floats.

    Attributes:
        width: Of the photo, pixels.
        height: Of the photo, pixels.
        face_height: Hairline to chin, in pixels, as it usually lies around the five landmarks.
        eye_distance: Between the eyes' centres, in pixels.
        sharpness: Variance of the Laplacian over the variance of the luminance, inside of the 112 x 112 crop's face
            outline; 0 or more, without unit. The first is a focus measure (Pech-Pacheco et al. 2000, "Diatom
            autofocusing in brightfield microscopy"); divided by the second it does not change with contrast, so
            that dark skin and flat light do not count as blur. Noise counts as sharp.
        brightness: Mean luminance inside of the outline, 0 black to 1 white.
        dark: Share of the outline's pixels of at most 5 of 255 grey levels, 0 to 1.
        light: Share of at least 250, 0 to 1.
        yaw: Degrees that the head is turned, positive towards the image's right. Yaw, pitch and roll are those of
            the weak-perspective projection of a mean three-dimensional face that fits the five landmarks best; see
            `pose`.
        pitch: Degrees that the head is bowed, positive downwards. Hardly certain: a long nose looks like a bow.
        roll: Degrees that the head is tilted, positive clockwise as the image shows it.
        occlusion: Share of the face's inner outline, 0 to 1, that the parsing calls background, hat or cloth,
            glasses where they are much darker than the skin, or hair where eyes, brows, nose and mouth should be.
            Hands and masks are not among the parsing's classes: they count as far as they are taken for one of these.
    """

    width: float
    height: float
    face_height: float
    eye_distance: float
    sharpness: float
    brightness: float
    dark: float
    light: float
    yaw: float
    pitch: float
    roll: float
    occlusion: float

    def to_json(self) -> dict[str, float]:
        """The measures by name, rounded to six decimals."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


class Pose(NamedTuple):
    """A head's turn in degrees; signs as in `Quality`."""

    yaw: float
    pitch: float
    roll: float


def measure(picture: Image.Image, face: Face) -> Quality:
    """Measure a face; nothing but the picture and the five landmarks enters, so the same photo has the same measures.

    Args:
        picture: Upright RGB image.
        face: The face in it; of it only the landmarks are used.

    Raises:
        ModelError: The weights of the face priors are missing or damaged.
    """
    # In one order in memory: sums depend on it in their last digits, and so would the pose.
    landmarks = np.ascontiguousarray(face.landmarks, dtype=np.float64)
    eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    grey = np.asarray(warp(picture, landmarks, CROP).convert("L"), dtype=np.float64)
    inside = grey[_outline()]
    turned = pose(landmarks)
    return Quality(
        width=float(picture.width),
        height=float(picture.height),
        face_height=OUTLINE * float(np.hypot(*(mouth - eyes))),
        eye_distance=float(np.hypot(*(landmarks[1] - landmarks[0]))),
        sharpness=sharpness(grey),
        brightness=float(inside.mean()) / 255,
        dark=float(np.mean(inside <= DARK)),
        light=float(np.mean(inside >= LIGHT)),
        yaw=turned.yaw,
        pitch=turned.pitch,
        roll=turned.roll,
        occlusion=occlusion(warp(picture, landmarks, PARSED)),
    )


def sharpness(grey: Floats) -> float:
    """Variance of the Laplacian over the variance of the luminance, inside of a crop's face outline.

    Args:
        grey: Luminance of an aligned crop, shape (112, 112), any scale.

    Returns:
        0 or more; 0 for a face of one tone.
    """
    laplacian = -4 * grey
    for axis in (0, 1):
        for step in (-1, 1):
            laplacian += np.roll(grey, step, axis)
    inside = _outline()  # lies within the crop, so that no rolled border enters
    spread = float(grey[inside].var())
    return float(laplacian[inside].var()) / spread if spread > 0 else 0.0


def pose(landmarks: NDArray[np.floating]) -> Pose:
    """Yaw, pitch and roll of the weak-perspective view of a mean face that fits five landmarks best.

    The mean face has the proportions of the landmarks that embedders align to, so that a face of just those is
    frontal, and depths of a generic head. Least squares over the three angles, scale and shift. Everybody's own
    proportions are taken for a turn: up to a dozen degrees of yaw, and up to fifty of pitch, whose sign can flip as
    well, are nobody's pose. On synthetic people of known pose roll is right within 0.5 degrees, yaw within 12, pitch is
    not.

    Args:
        landmarks: Eyes, nose tip, mouth corners, left before right as the image shows them, shape (5, 2), pixels.
    """
    from scipy.optimize import least_squares

    seen = np.ascontiguousarray(landmarks, dtype=np.float64)
    seen = seen - seen.mean(axis=0)
    seen /= np.sqrt((seen**2).sum())
    model = _mean_face()

    def residual(angles: Floats) -> Floats:
        flat = project(model, Pose(*angles))
        scale = (flat * seen).sum() / (flat * flat).sum()  # the best one, in closed form
        difference: Floats = (scale * flat - seen).ravel()
        return difference

    across = seen[1] - seen[0]
    start = np.array([0.0, 0.0, np.rad2deg(np.arctan2(across[1], across[0]))])
    found = least_squares(residual, start, method="lm")
    yaw, pitch, roll = found.x.tolist()
    return Pose(*(float((angle + 180) % 360 - 180) for angle in (yaw, pitch, roll)))


def project(points: Floats, turned: Pose) -> Floats:
    """The weak-perspective view of points, centred, at scale 1.

    Args:
        points: x to the right, y down, z towards the camera, shape (n, 3), any unit.
        turned: The head's pose: first it turns to the side (yaw), then it bows (pitch), then it tilts (roll).

    Returns:
        Shape (n, 2), in the points' unit.
    """
    yaw, pitch, roll = np.deg2rad(turned)
    x, y, z = (points - points.mean(axis=0)).T
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y = y * np.cos(pitch) + z * np.sin(pitch)
    view: Floats = np.stack([x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)], axis=1)
    return view


def occlusion(face: Image.Image) -> float:
    """Share of a face's inner outline that the parsing calls something that covers it, 0 to 1.

    Args:
        face: The face in the frame ``PARSED``.

    Raises:
        ModelError: The weights of the face priors are missing or damaged.
    """
    from forensic import images
    from forensic.faces import priors

    classes = priors.parse(images.to_tensor([face]))[0].numpy()
    inner, features = _parsed_regions()
    index = priors.PARSING_CLASSES.index
    grey = np.asarray(face.convert("L").reduce(2), dtype=np.float64)
    skin = grey[inner & (classes == index("skin"))]
    dark = grey < (TINTED * np.median(skin) if len(skin) else np.inf)
    covered = np.isin(classes, [index(name) for name in COVERS])
    covered |= features & (classes == index("hair"))
    covered |= dark & (classes == index("glasses"))
    return float(covered[inner].mean())


@cache
def _mean_face() -> Floats:
    """The five points of a mean face in mm, shape (5, 3)."""
    return np.column_stack([ARCFACE * MILLIMETRES, DEPTHS])


@cache
def _outline() -> NDArray[np.bool_]:
    """Where the face is in a crop, its hair and ears left out, without the crop's border."""
    masks = from_landmarks(Image.new("L", (CROP.size, CROP.size)), CROP.landmarks)
    inside = ~(masks["hair"] | masks["ears and sides"] | masks[SURROUNDINGS])
    inside[[0, -1]] = inside[:, [0, -1]] = False
    return inside


@cache
def _parsed_regions() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The inner outline, and the features in it, on the parsing's grid of half the frame's resolution."""
    side = PARSED.size // 2
    landmarks = PARSED.landmarks / 2
    middle = landmarks[[0, 1, 3, 4]].mean(axis=0)
    # Landmarks drawn to their middle make a face drawn to its middle.
    masks = from_landmarks(Image.new("L", (side, side)), middle + INNER * (landmarks - middle))
    inner = ~(masks["hair"] | masks["ears and sides"] | masks[SURROUNDINGS])
    own = from_landmarks(Image.new("L", (side, side)), landmarks)
    features = np.logical_or.reduce([own[name] for name in FEATURES])
    return inner, features & inner
