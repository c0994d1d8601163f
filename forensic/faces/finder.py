"""One face an image: choose it, align it, and say what is uncertain about it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from forensic import parallel, regular
from forensic.errors import FaceError, UsageError
from forensic.faces.align import Aligned
from forensic.faces.detect import MANUAL, Detector, Face, plausible

SMALL_FACE = 40
"""Pixels between the eyes below this make a template poor: the embedder's crop has 35."""


class Finder:
    """Finds the face of an image.

    Args:
        detector: Anything with ``detect(image) -> list[Face]``; MTCNN by default.
    """

    def __init__(self, detector: Detector | None = None) -> None:
        self.detector = detector or Detector()

    def one(
        self, image: Image.Image, *, face: int | None = None, landmarks: NDArray[np.floating] | None = None
    ) -> Aligned:
        """The face of one image.

        Args:
            image: Upright RGB image.
            face: Which face, 1 for the largest; by default the largest, with a warning if there are more.
            landmarks: Five points given by a person, shape (5, 2), in pixels; no face is searched then.

        Raises:
            FaceError: No face was found, or fewer than ``face``.
            UsageError: The landmarks are no face's.
        """
        if landmarks is not None:
            return Aligned(image, _manual(image, landmarks))
        found = self.detector.detect(image)
        if not found:
            raise FaceError(
                f"no face was found in {image.width} x {image.height} pixels. Give a frontal face that fills a "
                "third of the picture or more, or the five points by hand with --landmarks."
            )
        if face is not None and not 1 <= face <= len(found):
            raise FaceError(f"face {face} was asked for, and {len(found)} found. Give --face 1 to {len(found)}.")
        chosen = found[(face or 1) - 1]
        return Aligned(image, chosen, tuple(_warnings(chosen, found, asked=face is not None)))

    def again(self, image: Image.Image, landmarks: NDArray[np.floating]) -> Aligned:
        """The face at landmarks that were used before; found ones may lie outside of the image, so none is refused."""
        return Aligned(image, _at(np.asarray(landmarks, dtype=np.float32)))

    def find(self, images: Iterable[Image.Image]) -> list[Aligned | FaceError]:
        """The face of each image, or the error that says why there is none; never raises for one image."""
        with parallel.workers() as pool:
            return list(parallel.ordered(pool, self._one_or_error, images))

    def _one_or_error(self, image: Image.Image) -> Aligned | FaceError:
        try:
            return self.one(image)
        except FaceError as error:
            return error


def _warnings(chosen: Face, found: list[Face], *, asked: bool) -> Iterable[str]:
    if len(found) > 1 and not asked:
        places = "; ".join(f"{k}: around ({x:.0f}, {y:.0f})" for k, (x, y) in enumerate(map(_centre, found), 1))
        yield f"{len(found)} faces were found and the largest was taken ({places}). Choose one with --face N."
    if chosen.method not in ("mtcnn", "mtcnn-far", "mtcnn-darkened"):
        yield (
            f"the face was found only by the lenient attempt '{chosen.method}' (score {chosen.score:.2f}). "
            "Check its landmarks, or give them with --landmarks."
        )
    eyes = float(np.linalg.norm(chosen.landmarks[1] - chosen.landmarks[0]))
    if eyes < SMALL_FACE / 2:
        yield f"the eyes are {eyes:.0f} pixels apart; below {SMALL_FACE // 2} a template is poor."


def _centre(face: Face) -> tuple[float, float]:
    x, y = face.box.reshape(2, 2).mean(axis=0)
    return float(x), float(y)


def _manual(image: Image.Image, landmarks: NDArray[np.floating]) -> Face:
    points = np.asarray(landmarks, dtype=np.float32)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise UsageError(f"Landmarks are five points x,y; got an array of shape {points.shape}.")
    if not plausible(points):
        raise UsageError(
            "These landmarks are no face. Expected, as seen in the image: left eye, right eye, nose, left and "
            f"right mouth corner, in pixels; got {points.tolist()}."
        )
    if (points < 0).any() or (points > np.array(image.size)).any():
        raise UsageError(f"A landmark lies outside of the image's {image.width} x {image.height} pixels.")
    return _at(points)


def _at(points: NDArray[np.float32]) -> Face:
    return Face(np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float32), points, 1.0, MANUAL)


def read_landmarks(text: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Five points from ``x,y x,y x,y x,y x,y``, or from a JSON file that holds a list of five pairs.

    Raises:
        UsageError: The text is neither.

    >>> read_landmarks("30,40 70,40 50,60 35,80 65,80")[1].tolist()
    [70.0, 40.0]
    """
    try:
        if Path(text).is_file():
            points = json.loads(regular.read(Path(text)))
        else:
            points = [[float(value) for value in point.split(",")] for point in os.fspath(text).split()]
        array = np.array(points, dtype=np.float32)
    except (OSError, ValueError, TypeError):
        array = np.zeros(0, dtype=np.float32)
    if array.shape != (5, 2):
        raise UsageError(
            f"Landmarks {os.fspath(text)!r}: expected five points such as '103,128 153,128 128,158 107,187 149,187' "
            "(left eye, right eye, nose, mouth corners), or a JSON file with a list of five [x, y]."
        )
    return array
