"""Which synthesized image belongs to which target, and the two made comparable."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from forensic import images
from forensic.errors import DataError, ImageError
from forensic.faces.align import FIELD_BOX
from forensic.images import display_name, find_files

SUFFIX = "-synthetic"
"""What ``forensic synthesize`` appends to a file's stem, behind the style where one was asked for."""
_MADE = re.compile(rf"(-style-\d+)?{SUFFIX}$")
PADDED = (256, 256)
SMALLEST = 64
"""Pixels that a side must have; below, networks and filters have nothing left to look at."""
_LUMINANCE = (0.298936021293775, 0.587043074451121, 0.114020904255103)  # MATLAB's rgb2gray


class Files(NamedTuple):
    """One synthesized file and its target.

    Attributes:
        name: The target's stem.
        synthesized: The synthesized image's file.
        target: The target's file.
    """

    name: str
    synthesized: Path
    target: Path


class Matched(NamedTuple):
    """What belongs together in two folders, and what is left over."""

    pairs: list[Files]
    synthesized_only: list[Path]
    target_only: list[Path]


@dataclass(frozen=True)
class Pair:
    """A synthesized image and its target, RGB, of one size."""

    name: str
    synthesized: Image.Image
    target: Image.Image

    @cached_property
    def greys(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Synthesized and target in grey, each (height, width)."""
        return to_grey(self.synthesized), to_grey(self.target)


def match(synthesized: str | os.PathLike[str], target: str | os.PathLike[str]) -> Matched:
    """Pair the files of two folders by their stems.

    ``NAME-synthetic`` and ``NAME-style-2-synthetic`` belong to ``NAME``.

    Raises:
        DataError: One is no folder, two files of a folder claim one name, or nothing belongs together.
    """
    for folder in (synthesized, target):
        if not Path(folder).is_dir():
            raise DataError(f"{display_name(folder)} is no folder. Give the folder that holds the images.")
    targets = _by_name((path.stem, path) for path in find_files(target))
    stems = ((path.stem, path) for path in find_files(synthesized))
    made = _by_name((stem if stem in targets else _MADE.sub("", stem), path) for stem, path in stems)
    pairs = [Files(name, path, targets[name]) for name, path in made.items() if name in targets]
    if not pairs:
        raise DataError(
            f"No file of {display_name(synthesized)} ({len(made)} files) has the name of one of {display_name(target)} "
            f"({len(targets)} files). NAME.png or NAME{SUFFIX}.png belongs to NAME.jpg: rename the files of one side."
        )
    return Matched(
        pairs,
        [path for name, path in made.items() if name not in targets],
        [path for name, path in targets.items() if name not in made],
    )


def _by_name(files: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for name, path in files:
        if name in named:
            raise DataError(
                f"{display_name(named[name])} and {display_name(path)} both stand for {display_name(name)!r}. "
                "Leave one of them in the folder."
            )
        named[name] = path
    return named


def read(files: Files, *, crop: bool = True) -> Pair:
    """Decode a pair and make it comparable.

    Args:
        files: The two files.
        crop: Cut 256 x 256 images to the 200 x 250 pixels that the field compares.

    Raises:
        ImageError: A file is no image, the sizes differ, or they are below 64 pixels a side.
    """
    synthesized, target = (images.read(path).image for path in (files.synthesized, files.target))
    if crop:
        synthesized, target = cropped(synthesized), cropped(target)
    if synthesized.size != target.size:
        raise ImageError(
            f"{display_name(files.synthesized)} is {_size(synthesized)} and {display_name(files.target)} is "
            f"{_size(target)}{' after cropping' if crop else ''}. Give images of one size, or of 256 x 256 and "
            "200 x 250 with cropping."
        )
    if min(target.size) < SMALLEST:
        raise ImageError(f"{display_name(files.target)} is {_size(target)}; at least {SMALLEST} a side are needed.")
    return Pair(files.name, synthesized, target)


def cropped(image: Image.Image) -> Image.Image:
    """The 200 x 250 pixels of a 256 x 256 image that are no padding; any other image as it is."""
    return image.crop(FIELD_BOX) if image.size == PADDED else image


def to_grey(image: Image.Image) -> NDArray[np.uint8]:
    """Luminance of an RGB image, rounded as MATLAB's ``rgb2gray`` does, uint8 (height, width)."""
    grey: NDArray[np.uint8] = np.floor(np.asarray(image, dtype=np.float64) @ np.array(_LUMINANCE) + 0.5).astype(
        np.uint8
    )
    return grey


def _size(image: Image.Image) -> str:
    return f"{image.width} x {image.height}"
