"""Files that strangers might hand over: broken, hostile, or merely unusual. Made afresh for every test.

``make_hostile(folder)`` writes them all, in a second or two, with Pillow and numpy. What is unusual but sound is
there too, marked by ``reason is None``: refusing it would be as wrong as accepting the others.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import warnings
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from forensic.datasets.synthetic import Person, Variation, draw_photo

NO_IMAGE = r"content is no PNG, JPEG, TIFF, BMP or WebP"
DAMAGED = r"truncated or damaged"
PIXELS = r"at most [\d,]+ in all|claims more than"
SMALL = r"too small|strip"
FRAMES = r"frames or pages"
NO_FILE = r"cannot be read|not a file"
NO_FACE = r"(?i)no face"


class Hostile(NamedTuple):
    """One file.

    Attributes:
        path: Where it lies.
        reason: Regular expression that the error's message matches; None where the file is sound.
        stage: Who refuses it: decoding (``image``), finding a face (``face``), or nobody.
        warning: Regular expression of the warning that it must come with.
    """

    path: Path
    reason: str | None
    stage: Literal["image", "face", "none"]
    warning: str | None = None


def make_hostile(folder: Path) -> dict[str, Hostile]:
    """Write every file into a folder, which must exist, and say what is expected of each."""
    made: dict[str, Hostile] = {}
    face = draw_photo(Person.sample(2), Variation())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for maker in (_not_images, _damaged, _sizes, _many_frames, _unusual_but_sound, _without_one_face, _odd_paths):
            for name, (path, *rest) in maker(folder, face).items():
                assert name not in made
                made[name] = Hostile(path, *rest)
    return made


Entries = dict[str, tuple]


def _not_images(folder: Path, face: Image.Image) -> Entries:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script><image href="file:///etc/passwd"/></svg>'
    contents = {
        "text.png": b"This is no image.\n" * 40,
        "html.jpg": b"<!DOCTYPE html><html><script>alert(1)</script><body>404</body></html>",
        "script.svg": svg,
        "svg.png": svg,
        "pickle.png": pickle.dumps({"image": [1, 2, 3]}),
        "zeros.jpg": bytes(100_000),
        "archive.webp": b"PK\x03\x04" + bytes(range(256)) * 8,
        "postscript.tiff": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 300 300\n(/etc/passwd) (r) file\n",
        "still.gif": _encoded(face, "GIF"),
    }
    entries: Entries = {name: (_write(folder, name, data), NO_IMAGE, "image") for name, data in contents.items()}
    entries["empty.png"] = (_write(folder, "empty.png", b""), "empty", "image")
    return entries


def _damaged(folder: Path, face: Image.Image) -> Entries:
    png, jpeg, webp = (_encoded(face, name) for name in ("PNG", "JPEG", "WEBP"))
    pixels = png.index(b"IDAT")
    contents = {
        "truncated.png": png[: len(png) // 2],
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.webp": webp[: len(webp) // 2],
        "header-only.jpg": jpeg[:200],
        "corrupt-crc.png": png[: pixels - 5] + bytes([png[pixels - 5] ^ 0xFF]) + png[pixels - 4 :],
        "corrupt-pixels.png": png[: pixels + 900] + bytes(64) + png[pixels + 964 :],
        "text-bomb.png": _png_with(png, b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64_000_000), 9)),
        "offsets-outside.tiff": struct.pack("<2sHI", b"II", 42, 0x7FFFFFF0),
    }
    reason = f"{DAMAGED}|{NO_IMAGE}"
    return {name: (_write(folder, name, data), reason, "image") for name, data in contents.items()}


def _sizes(folder: Path, face: Image.Image) -> Entries:
    tiff = io.BytesIO()
    Image.new("1", (8, 8)).save(tiff, "TIFF")
    contents = {
        "bomb-claimed.png": (_grey_png(50_000, 50_000, b""), PIXELS),
        "bomb-real.png": (_one_bit_png(20_000, 20_000), PIXELS),
        "bomb-claimed.bmp": (_bmp_header(60_000, 60_000), f"{PIXELS}|{DAMAGED}"),
        "one-pixel.png": (_encoded(Image.new("RGB", (1, 1)), "PNG"), SMALL),
        "strip.png": (_encoded(Image.new("RGB", (30_000, 10)), "PNG"), SMALL),
        "tall-strip.png": (_encoded(Image.new("L", (20, 20_000)), "PNG"), SMALL),
    }
    return {name: (_write(folder, name, data), reason, "image") for name, (data, reason) in contents.items()}


def _many_frames(folder: Path, face: Image.Image) -> Entries:
    small = face.resize((64, 80))
    other = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    formats = {"animated.png": "PNG", "animated.webp": "WEBP", "pages.tiff": "TIFF", "animated.gif": "GIF"}
    entries: Entries = {}
    for name, fmt in formats.items():
        data = _encoded(small, fmt, save_all=True, append_images=[other])
        entries[name] = (_write(folder, name, data), NO_IMAGE if fmt == "GIF" else FRAMES, "image")
    return entries


def _unusual_but_sound(folder: Path, face: Image.Image) -> Entries:
    grey = face.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    clear = face.convert("RGBA")
    clear.putalpha(Image.new("L", face.size, 255))
    palette = face.quantize(200)
    sideways = Image.Exif()
    sideways[0x0112] = 6  # the camera lay on its side: turn it 90 degrees clockwise
    contents = {
        "cmyk.jpg": _encoded(face.convert("CMYK"), "JPEG"),
        "grey.jpg": _encoded(grey, "JPEG"),
        "progressive.jpg": _encoded(face, "JPEG", progressive=True),
        "trailing-garbage.jpg": _encoded(face, "JPEG") + b"\0garbage<script>" * 500,
        "turned.jpg": _encoded(face.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=sideways),
        "deep.png": _encoded(deep, "PNG"),
        "deep.tiff": _encoded(deep, "TIFF"),
        "float.tiff": _encoded(Image.fromarray(np.asarray(grey, np.float32) / 255), "TIFF"),
        "palette.png": _encoded(palette, "PNG", transparency=0),
        "rgba.png": _encoded(clear, "PNG"),
        "grey-alpha.png": _encoded(clear.convert("LA"), "PNG"),
        "one-bit.png": _encoded(face.resize((1024, 1280)).convert("1"), "PNG"),
        "plain.bmp": _encoded(face, "BMP"),
        "lossless.webp": _encoded(face, "WEBP", lossless=True),
        "wrong-name.txt": _encoded(face, "PNG"),
    }
    return {name: (_write(folder, name, data), None, "none") for name, data in contents.items()}


def _without_one_face(folder: Path, face: Image.Image) -> Entries:
    noise = np.random.default_rng(0).integers(0, 256, (320, 256, 3), dtype=np.uint8)
    three = Image.new("RGB", (3 * face.width, face.height))
    for place, seed in enumerate((5, 2, 11)):
        other = draw_photo(Person.sample(seed), Variation(scale=(0.8, 0.98, 0.8)[place]))
        three.paste(other, (place * face.width, 0))
    return {
        "blank.png": (
            _write(folder, "blank.png", _encoded(Image.new("RGB", (256, 320), "white"), "PNG")),
            NO_FACE,
            "face",
        ),
        "noise.png": (_write(folder, "noise.png", _encoded(Image.fromarray(noise), "PNG")), NO_FACE, "face"),
        "three-faces.png": (_write(folder, "three-faces.png", _encoded(three, "PNG")), None, "none", r"(?i)3 faces"),
    }


def _odd_paths(folder: Path, face: Image.Image) -> Entries:
    jpeg = _encoded(face, "JPEG", quality=91)  # other bytes than the sound files'
    directory, loop, pipe = folder / "directory.png", folder / "loop.png", folder / "pipe.png"
    directory.mkdir()
    loop.symlink_to(loop.name)
    os.mkfifo(pipe)  # opened without care, it waits for ever
    dangling, device = folder / "dangling.png", folder / "device.png"
    dangling.symlink_to("nowhere.png")
    device.symlink_to("/dev/zero")
    locked = _write(folder, "locked.jpg", _encoded(face, "JPEG", quality=90))
    locked.chmod(0)
    readable = os.access(locked, os.R_OK)  # the superuser may read everything
    escapes = "\x1b[2J\x1b]0;owned\x07\nsecond line\r.jpg"
    return {
        "directory.png": (directory, NO_FILE, "image"),
        "loop.png": (loop, NO_FILE, "image"),
        "pipe.png": (pipe, NO_FILE, "image"),
        "dangling.png": (dangling, NO_FILE, "image"),
        "device.png": (device, NO_FILE, "image"),
        "locked.jpg": (locked, None if readable else NO_FILE, "none" if readable else "image"),
        "terminal escapes, sound": (_write(folder, escapes, jpeg), None, "none"),
        "terminal escapes, empty": (_write(folder, "\x1b[31m\nempty.jpg", b""), "empty", "image"),
        "long name": (_write(folder, "x" * 251 + ".jpg", _encoded(face, "JPEG", quality=89)), None, "none"),
    }


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _encoded(image: Image.Image, fmt: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_with(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with a further chunk before its pixels."""
    at = png.index(b"IDAT") - 4
    return png[:at] + _chunk(kind, data) + png[at:]


def _grey_png(width: int, height: int, pixels: bytes, depth: int = 8) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _one_bit_png(width: int, height: int) -> bytes:
    """A sound, all black PNG: some 50 kB that unpack to the full size."""
    return _grey_png(width, height, zlib.compress(bytes((1 + width // 8) * height), 6), depth=1)


def _bmp_header(width: int, height: int) -> bytes:
    body = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + body
