"""Decode image files safely, and keep one convention for pixels.

The convention: an image is an upright ``PIL.Image.Image`` of mode ``RGB``, 8 bits a channel. A tensor of
images is ``(n, 3, height, width)``, float32, in [-1, 1].

Files come from strangers. A file counts as an image by its content, never by its name; only formats that
mugshots and sketches come in are tried; and nothing is decoded before its claimed size has been checked.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from forensic import regular
from forensic.errors import ImageError
from forensic.text import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
MAX_PIXELS = 64_000_000
"""Width x height up to which a file is decoded; the largest cameras in use stay below."""
MAX_BYTES = 256 * 1024 * 1024
MIN_SIDE = 16
MAX_ASPECT = 20
STRIP_PIXELS = 1_000_000
FLOAT_WHITES = (1.0, 255.0, 65535.0)
"""What stands for white in pictures of floating-point grey."""
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
"""TIFF's tag PhotometricInterpretation, and its value where 0 is white."""
BITS, TWELVE_BITS = 258, 4095.0
"""TIFF's tag BitsPerSample, and white of some scanners' 12 bits, which Pillow opens as 16."""
PAPER = (255, 255, 255)
"""Transparent pixels show white paper."""

PngImagePlugin.MAX_TEXT_MEMORY = 4 * 1024 * 1024

# Damaged metadata is no reason to refuse a face, and what claims too many pixels is refused by its header. Said once
# for good: warnings.catch_warnings changes the filters of the whole process, under all of its threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


class Decoded(NamedTuple):
    """An image file that was read whole.

    Attributes:
        image: Upright RGB picture.
        sha256: Hash of the file's bytes, 64 hexadecimal digits.
        data: The file's bytes as they are.
        format: One of ``FORMATS``.
        name: What messages and lists call it.
    """

    image: Image.Image
    sha256: str
    data: bytes
    format: str
    name: str = "image"


def read(path: str | os.PathLike[str]) -> Decoded:
    """Read and decode one image file.

    Args:
        path: File to read; its name says nothing about its type.

    Raises:
        ImageError: The file cannot be read, is no single PNG, JPEG, TIFF, BMP or WebP image, is damaged, or
            is too large or too small. The message names the file and the reason.
    """
    return decode(read_bytes(path), display_name(path))


def decode(data: bytes, name: str = "image", *, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode an image file that is already in memory; ``name`` is what errors and lists call it.

    Raises:
        ImageError: As for `read`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            _check_header(opened, name, max_pixels)
            file_format = "JPEG" if opened.format == "MPO" else str(opened.format)
            opened.load()
            tags = _tags(opened)
            ImageOps.exif_transpose(opened, in_place=True)  # a copy would take memory
            image = _to_rgb(opened, name, tags)
    except UnidentifiedImageError:
        raise ImageError(
            f"{name}: the content is no PNG, JPEG, TIFF, BMP or WebP image, whatever the name says. "
            "Convert it to one of these."
        ) from None
    except Image.DecompressionBombError:
        raise ImageError(
            f"{name}: claims more than {max_pixels:,} pixels (a decompression bomb?). Save a smaller copy."
        ) from None
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged files
        raise ImageError(f"{name}: truncated or damaged ({error}). Copy it again from its source.") from None
    return Decoded(image, hashlib.sha256(data).hexdigest(), data, file_format, name)


def upright_rgb(image: Image.Image, name: str = "image") -> Image.Image:
    """A picture that somebody opened with Pillow, as `decode` reads its file; the given one stays as it is.

    Raises:
        ImageError: Its numbers are on no known scale. The message begins with ``name``.
    """
    return _to_rgb(ImageOps.exif_transpose(image), name, _tags(image))


def read_bytes(path: str | os.PathLike[str], start: int = 0, stop: int | None = None) -> bytes:
    """Bytes of a regular file of at most ``MAX_BYTES``: all, or those from ``start`` to before ``stop``.

    Raises:
        ImageError: The file is missing, unreadable, empty, too large, or no regular file.
    """
    name = display_name(path)
    try:
        with regular.opened(Path(path)) as (file, status):
            if status.st_size > MAX_BYTES:
                raise ImageError(
                    f"{name}: {status.st_size:,} bytes, and at most {MAX_BYTES:,} are read. Save a smaller copy."
                )
            file.seek(start)
            data = file.read((MAX_BYTES + 1 if stop is None else stop) - start)
    except OSError as error:
        raise ImageError(
            f"{name}: cannot be read ({error.strerror or error}). Check the path and its rights."
        ) from None
    except ValueError as error:  # a null byte in the path
        raise ImageError(f"{name}: not a usable path ({error}).") from None
    if not data:
        raise ImageError(f"{name}: the file is empty. Copy it again from its source.")
    return data


def display_name(path: str | os.PathLike[str]) -> str:
    """A path as it may be shown."""
    return printable(os.fsdecode(path))


LUMINANCE = (0.299, 0.587, 0.114)
"""What red, green and blue weigh in a grey (ITU-R BT.601)."""


def luminance(images: Tensor) -> Tensor:
    """The grey of RGB images (n, 3, h, w), shape (n, 1, h, w)."""
    return (images * images.new_tensor(LUMINANCE).view(1, 3, 1, 1)).sum(1, keepdim=True)


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """Images of one size as a tensor, shape (n, 3, height, width), float32 in [-1, 1].

    Raises:
        ValueError: The images differ in size, or there are none.
    """
    import torch

    if len({image.size for image in images}) != 1:
        raise ValueError(f"Expected images of one size, got {sorted({image.size for image in images})}.")
    pixels = np.stack([np.asarray(image.convert("RGB")) for image in images])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float().div_(127.5).sub_(1.0)


def to_image(tensor: Tensor) -> Image.Image:
    """One image from a tensor of shape (3, height, width) in [-1, 1]; values outside are clipped."""
    pixels = tensor.detach().float().clamp(-1, 1).add(1).mul(127.5).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())


def find_files(path: str | os.PathLike[str], linked: Callable[[Path], object] = lambda link: None) -> Iterator[Path]:
    """The file itself, or every file in a folder and its sub-folders, sorted by name, hidden ones left out.

    A folder that cannot be listed comes among the files, at the end: `read_bytes` tells why.

    Args:
        path: The file or folder.
        linked: Called with each link to a folder; they are not followed, so a loop of links ends.
    """
    root = Path(path)
    if not os.path.isdir(root):  # Path.is_dir raises where a folder above is closed
        yield root
        return
    closed: list[Path] = []
    for folder, folders, files in os.walk(root, onerror=lambda error: closed.append(Path(error.filename or root))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if os.path.islink(os.path.join(folder, name)):
                linked(Path(folder, name))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(folder, name)
    yield from closed


def _check_header(opened: Image.Image, name: str, max_pixels: int) -> None:
    """Refuse, before any pixel is decoded, what no portrait can be."""
    width, height = opened.size
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {width} x {height} pixels, and at most {max_pixels:,} in all are decoded. Save a smaller copy."
        )
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{name}: {width} x {height} pixels, too small for a face (at least {MIN_SIDE} each way).")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(f"{name}: {width} x {height} pixels is a strip, not a portrait. Crop it to the face.")
    if opened.format != "MPO" and getattr(opened, "n_frames", 1) > 1:
        raise ImageError(
            f"{name}: holds {getattr(opened, 'n_frames', 1)} frames or pages; one picture is expected. "
            "Save the one that you mean as a file of its own."
        )


def _is_deep(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _tags(image: Image.Image) -> Mapping[int, Any]:
    """What a TIFF says of itself. Pillow heeds it up to 8 bits, and drops it when it turns the picture."""
    return getattr(image, "tag_v2", {})


def _to_rgb(image: Image.Image, name: str, tags: Mapping[int, Any]) -> Image.Image:
    """Any mode to 8-bit RGB: deep greys are scaled, transparency is laid on white paper.

    Both take many bytes a pixel on the way, so they are done strip by strip.
    """
    deep = _is_deep(image)
    if not deep and not image.has_transparency_data:
        return image.convert("RGB")
    negative = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
    full = _full_scale(image, name, tags) if deep else 0.0
    result = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        result.paste(_scale(strip, full, negative=negative) if deep else _on_paper(strip), (0, top))
    return result


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image cut across, each strip with its first row."""
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _on_paper(image: Image.Image) -> Image.Image:
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*PAPER, 255)), clear).convert("RGB")


def _values(image: Image.Image) -> NDArray[np.float64]:
    """Deep grey as it is; what is no number is dealt with, so that numpy need not warn of it."""
    with np.errstate(invalid="ignore"):
        return np.asarray(image, dtype=np.float64)


def _highest(image: Image.Image) -> float:
    values = _values(image)
    return float(values.max(initial=0.0, where=np.isfinite(values)))


def _full_scale(image: Image.Image, name: str, tags: Mapping[int, Any]) -> float:
    """What stands for white in 12-, 16-, 32-bit or floating-point grey: the range that its type has, not that it uses.

    Floats have none. Theirs is the first of the usual ones that they overshoot at most twofold, as sharpening makes
    them: on the next one such a picture would be black.
    """
    highest = max(_highest(strip) for _, strip in _strips(image))
    if image.mode != "F":
        if tags.get(BITS) == (12,) and highest <= TWELVE_BITS:
            return TWELVE_BITS
        return 65535.0 if highest <= 65535.0 else 2.0**31 - 1  # Pillow opens 16-bit files as "I" too
    for full in FLOAT_WHITES:
        if highest <= 2 * full:
            return full
    raise ImageError(
        f"{name}: its floating-point values reach {highest:g}; expected white to be 1, 255 or 65535. "
        "Save it with 8 or 16 bits."
    )


def _scale(image: Image.Image, full: float, *, negative: bool) -> Image.Image:
    """Deep grey to 8 bits."""
    values = np.nan_to_num(_values(image)) / full
    grey = np.clip(1.0 - values if negative else values, 0, 1) * 255.0
    return Image.fromarray(grey.round().astype(np.uint8)).convert("RGB")
