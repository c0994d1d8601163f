"""The five landmarks of a sketch's face, for a person to check and to move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from forensic.errors import FaceError, ImageError
from forensic.faces import PORTRAIT
from forensic.gallery.casework.casework_models import Sketch
from forensic.images import display_name
from forensic.web.engine import Engine

NAMES = ("Left eye", "Right eye", "Nose", "Left mouth corner", "Right mouth corner")
"""In the order of landmarks; left and right as seen in the picture."""
Points = list[list[float]]


class Look(NamedTuple):
    """A sketch and where its face is.

    Attributes:
        sketch: The sketch's number.
        width: Of the upright picture, in pixels; 0 where it cannot be opened.
        height: Of the same.
        box: Left, top, right, bottom of the face that was found; None where none was.
        detected: Its landmarks, as they are shown; None where none was found.
        points: Where the landmarks stand now: as detected, as a person moved them, or at an assumed place.
        told: What a person must know of it.
    """

    sketch: int
    width: int
    height: int
    box: list[float] | None
    detected: Points | None
    points: Points
    told: tuple[str, ...]

    @property
    def moved(self) -> bool:
        """Whether a person moved a landmark from where it was found, or assumed to be."""
        return self.points != self.start

    @property
    def start(self) -> Points:
        """Where the landmarks are without a person: as detected, or at an assumed place."""
        return assumed(self.width, self.height) if self.detected is None else self.detected


def look(engine: Engine, sketch: Sketch, given: Sequence[Sequence[float]] | None = None) -> Look:
    """A sketch with its landmarks, for a form.

    Args:
        engine: Finds faces.
        sketch: With its bytes.
        given: Landmarks as a person placed them before.
    """
    moved = None if given is None else _rounded(given)
    try:
        face = engine.face(sketch)
    except ImageError as error:
        return Look(sketch.id, 0, 0, None, None, [], (str(error),))
    except FaceError:
        width, height = engine.decoder.decode(sketch.data, display_name(sketch.file_name)).image.size
        told = "No face was found. The five points stand at an assumed place: move each one to where it belongs."
        return Look(sketch.id, width, height, None, None, moved or assumed(width, height), (told,))
    detected, box = _rounded(face.face.landmarks.tolist()), [float(edge) for edge in face.face.box]
    return Look(sketch.id, *face.image.size, box, detected, moved or detected, face.warnings)


def assumed(width: int, height: int) -> Points:
    """Where the landmarks of a portrait of this size would be: a face that fills its middle.

    >>> assumed(256, 256)[2]
    [127.9, 158.2]
    """
    scale = min(width, height) / PORTRAIT.size
    left, top = (width - PORTRAIT.size * scale) / 2, (height - PORTRAIT.size * scale) / 2
    return _rounded([[x * scale + left, y * scale + top] for x, y in PORTRAIT.landmarks.tolist()])


def _rounded(points: Sequence[Sequence[float]]) -> Points:
    """Tenths of a pixel: what a form shows, and no more than a hand places."""
    return [[round(float(x), 1) for x in point] for point in points]
