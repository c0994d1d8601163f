"""Training pairs in memory, and the batches of an epoch as a pure function of (seed, epoch)."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from forensic import images
from forensic.datasets import Pair
from forensic.errors import DataError, FaceError
from forensic.faces.align import FIELD_BOX, FIELD_CROP
from forensic.synthesis.translator import SIZE, Batch, Modality, Recipe

if TYPE_CHECKING:
    from forensic.faces import Finder


class Examples(NamedTuple):
    """Aligned pairs.

    Attributes:
        photo: Photos, uint8 (n, 3, size, size).
        sketch: Their sketches, likewise.
        style: Number of each sketch's style, int64 (n,) from 0; None where it is not known or not asked for.
    """

    photo: Tensor
    sketch: Tensor
    style: Tensor | None = None

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.photo)

    def digest(self) -> str:
        """SHA-256 (hex) of the pixels and the styles: what a resumed training must find unchanged."""
        content = hashlib.sha256(repr(tuple(self.photo.shape)).encode())
        for part in (self.photo, self.sketch, self.style):
            if part is not None:
                content.update(part.cpu().numpy().tobytes())
        return content.hexdigest()

    def to(self, device: torch.device) -> "Examples":
        """The same on a device."""
        style = None if self.style is None else self.style.to(device)
        return Examples(self.photo.to(device), self.sketch.to(device), style)

    def batch(self, chosen: slice | Tensor = slice(None)) -> Batch:
        """Some of the pairs (or all of them), float32 in [-1, 1]."""
        style = None if self.style is None else self.style[chosen]
        return Batch(normalized(self.photo[chosen]), normalized(self.sketch[chosen]), style)


_ADVICE = (
    "Give frontal faces that fill a third of the picture or more, or photo and sketch aligned alike, both 200 x 250"
    " pixels."
)


def without_advice(problem: object) -> str:
    """The first sentence of what the finder says; the second is of options that are not those of synthesis.

    >>> without_advice("no face was found in 40 x 40 pixels. Give the five points by hand with --landmarks.")
    'no face was found in 40 x 40 pixels'
    """
    return str(problem).partition(". ")[0].removesuffix(".")


class LeftOut(NamedTuple):
    """A pair in one of whose images no face was found."""

    pair: Pair
    reason: FaceError

    def __str__(self) -> str:
        what = f"{self.pair.identity} ({self.pair.photo.name}, {self.pair.sketch.name})"
        return f"{what}: {without_advice(self.reason)}. {_ADVICE}"


def load(pairs: Sequence[Pair], size: int = SIZE, *, styles: int = 0) -> tuple[Examples, list[LeftOut]]:
    """Aligned faces of pairs, and what had to be left out.

    Pairs whose images are both 200 x 250, as CUFS has them, are aligned already: they are padded to 256 x
    256 by replicating their edges. Of all other pairs, photo and sketch are aligned by their own landmarks.

    Args:
        pairs: The pairs to read.
        size: Pixels a side of the examples.
        styles: Number of styles that the method tells apart; with 0 the pairs' styles are not read.

    Returns:
        The examples in the order of the pairs, and the pairs that are not among them.

    Raises:
        DataError: There is not one usable pair; or a style is no number below ``styles``.
        ImageError: A file cannot be read.
    """
    faces: list[tuple[Image.Image, Image.Image]] = []
    kept: list[Pair] = []
    left_out: list[LeftOut] = []
    finder: Finder | None = None
    for pair in pairs:
        decoded = [images.read(path).image for path in (pair.photo, pair.sketch)]
        if all(image.size == FIELD_CROP for image in decoded):
            faces.append((pad(decoded[0]), pad(decoded[1])))
            kept.append(pair)
            continue
        finder = finder or _finder()
        photo, sketch = finder.find(decoded)
        if isinstance(photo, FaceError) or isinstance(sketch, FaceError):
            left_out.append(LeftOut(pair, next(one for one in (photo, sketch) if isinstance(one, FaceError))))
        else:
            faces.append((photo.portrait, sketch.portrait))
            kept.append(pair)
    if not faces:
        raise DataError(f"None of {len(pairs)} pairs can be used for training. " + " ".join(map(str, left_out[:3])))
    photos, sketches = ([_pixels(face, size) for face in side] for side in zip(*faces, strict=True))
    return Examples(torch.stack(photos), torch.stack(sketches), _styles(kept, styles)), left_out


def _styles(pairs: Sequence[Pair], count: int) -> Tensor | None:
    """The styles of pairs, (n,); None where they are not asked for, or no pair states one."""
    stated = [pair.attributes.get("style", "") for pair in pairs]
    if not (count and any(stated)):
        return None
    known = [str(number) for number in range(count)]
    for pair, style in zip(pairs, stated, strict=True):
        if style not in known:
            raise DataError(f"{pair.identity}: style is {style!r}, expected one of {', '.join(known)} in its column.")
    return torch.tensor([int(style) for style in stated])


def pad(crop: Image.Image) -> Image.Image:
    """A 200 x 250 crop in its place in a 256 x 256 face, edges replicated."""
    left, top, right, bottom = FIELD_BOX
    pixels = np.pad(np.asarray(crop), ((top, SIZE - bottom), (left, SIZE - right), (0, 0)), mode="edge")
    return Image.fromarray(pixels)


def _finder() -> "Finder":
    from forensic.faces import Finder  # the detector takes a second to load; CUFS does without it

    return Finder()


def _pixels(face: Image.Image, size: int) -> Tensor:
    if face.size != (size, size):
        face = face.resize((size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(face)).permute(2, 0, 1).contiguous()


class Plan(NamedTuple):
    """Every random choice of one epoch, drawn at once so that any step of it can be made on its own.

    Attributes:
        order: Permutation of the pairs, (n,).
        flip: Which pairs are mirrored, (n,) bool.
        shift: Pixels that a pair moves right and down, (n, 2).
        tone: Contrast factor, brightness and red, green, blue offset of the source image, (n, 5).
    """

    order: Tensor
    flip: Tensor
    shift: Tensor
    tone: Tensor


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed of 56 bits that is unrelated for neighbouring epochs and seeds."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:7], "big")


def plan(count: int, recipe: Recipe, seed: int, epoch: int, size: int = SIZE) -> Plan:
    """The choices of an epoch: the same for the same arguments, on every machine."""
    draw = torch.Generator().manual_seed(epoch_seed(seed, epoch))
    order = torch.randperm(count, generator=draw)
    flip = (torch.rand(count, generator=draw) < 0.5) & recipe.flip
    most = round(recipe.shift * size / SIZE)
    shift = torch.randint(-most, most + 1, (count, 2), generator=draw)
    scale = torch.tensor([0.35, 0.25, 0.08, 0.08, 0.08])  # at tone 1, in units of the [-1, 1] range
    tone = (2 * torch.rand(count, 5, generator=draw) - 1) * scale * recipe.tone
    return Plan(order, flip, shift, tone)


def batches(
    examples: Examples, source: Modality, recipe: Recipe, *, seed: int, epoch: int, start: int = 0
) -> Iterator[Batch]:
    """Batches of an epoch from step ``start`` on, float32 in [-1, 1] on the examples' device."""
    size = examples.photo.shape[-1]
    choices = plan(len(examples), recipe, seed, epoch, size)
    for first in range(start * recipe.batch, len(examples), recipe.batch):
        chosen = slice(first, first + recipe.batch)
        index = choices.order[chosen]
        flip, shift = choices.flip[chosen], choices.shift[chosen]
        pairs = examples.batch(index.to(examples.photo.device))
        photo, sketch = moved(pairs.photo, flip, shift), moved(pairs.sketch, flip, shift)
        tone = choices.tone[chosen].to(photo.device)
        if source == "photo":
            yield Batch(toned(photo, tone), sketch, pairs.style)
        else:
            yield Batch(photo, toned(sketch, tone), pairs.style)


def normalized(pixels: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def moved(faces: Tensor, flip: Tensor, shift: Tensor) -> Tensor:
    """Faces (n, 3, h, w) mirrored where ``flip`` (n,) says so, then shifted by ``shift`` (n, 2) pixels."""
    most = int(shift.abs().max())
    if most == 0 and not flip.any():
        return faces
    height, width = faces.shape[-2:]
    padded = F.pad(faces, (most, most, most, most), mode="replicate") if most else faces
    crops = []
    for face, mirror, (right, down) in zip(padded, flip.tolist(), shift.tolist(), strict=True):
        # Mirroring the padded face first makes the shift mean the same for mirrored faces.
        upright = face.flip(-1) if mirror else face
        crops.append(upright[:, most - down : most - down + height, most - right : most - right + width])
    return torch.stack(crops)


def toned(faces: Tensor, tone: Tensor) -> Tensor:
    """Faces with contrast, brightness and tint changed by ``tone`` (n, 5), kept in [-1, 1]."""
    contrast, brightness, tint = tone[:, :1], tone[:, 1:2], tone[:, 2:]
    return (faces * (1 + contrast)[..., None, None] + (brightness + tint)[..., None, None]).clamp(-1, 1)
