"""Mutated inputs, the same for the same number: what a transfer, a disk or a stranger does to a file."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib

import numpy as np
from exported import contents, sealed, zipped
from PIL import Image

from forensic.datasets.synthetic import Person, Variation, draw_photo

SAVED = {
    "PNG": {},
    "JPEG": {"quality": 90},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
    "WEBP": {"quality": 90},
}
TABLES = ("plain", "quoted", "wide", "formulas")
LARGEST = 7900
"""Side of the largest square that is decoded."""


def mutated_image(number: int) -> bytes:
    """An image of one of the allowed formats, damaged; every tenth a small file that unpacks to many pixels."""
    draw = random.Random(number)
    if number % 10 == 9:
        return _bomb(draw)
    fmt = sorted(SAVED)[number % len(SAVED)]
    mode = draw.choice(["RGB", "RGB", "L", "RGBA"] if fmt != "JPEG" else ["RGB", "RGB", "L", "CMYK"])
    picture = draw_photo(Person.sample(number % 7), Variation()).convert(mode)
    return _mutated(_encoded(picture, fmt), draw)


def mutated_text(number: int) -> tuple[str, bytes]:
    """A name and a damaged CSV table, ANSI/NIST-ITL file or ZIP archive, in turn.

    Archives come as exports of a case (``.zip``) three times of four, else under the name of what is enrolled.
    """
    draw = random.Random(number)
    if number % 3 == 0:
        return "people.csv", _mutated(_table(draw), draw)
    if number % 3 == 1:
        return "booking.an2", _mutated(_transaction(draw), draw)
    if number % 12 == 2:
        return draw.choice([("photo.png", _mutated(_archive(draw), draw)), ("people.csv", _archive(draw))])
    return "case.zip", _case(draw)


def _mutated(data: bytes, draw: random.Random) -> bytes:
    """One to three damages, half of them in the first hundred bytes, where the headers are."""
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(min(len(data), 100) if draw.random() < 0.5 else len(data)) if data else 0
        span = draw.choice([1, 2, 4, 64, 1000])
        match draw.randrange(8):
            case 0:
                data = data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)] if at < len(data) else []) + data[at + 1 :]
            case 1:
                data = data[:at] + draw.randbytes(span) + data[at + span :]
            case 2:
                data = data[: draw.randrange(len(data) + 1)]
            case 3:
                data = data[:at] + data[at + span :]
            case 4:
                data = data[:at] + data[at : at + span] * draw.choice([2, 3, 200]) + data[at + span :]
            case 5:
                extreme = draw.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"9999"])
                data = data[:at] + extreme + data[at + 4 :]
            case 6:
                data = data + data
            case 7:
                data = data[at:] + data[:at]
    return data


def _bomb(draw: random.Random) -> bytes:
    """Much of nothing: as many pixels as are decoded, or more, in a few kilobytes."""
    side = draw.choice([LARGEST, 9000, 30_000])
    if side == LARGEST:
        mode, fmt = draw.choice([("I;16", "PNG"), ("RGBA", "PNG"), ("F", "TIFF"), ("CMYK", "JPEG"), ("RGBA", "WEBP")])
        picture = (
            Image.fromarray(np.zeros((side, side), np.uint16)) if mode == "I;16" else Image.new(mode, (side, side))
        )
        return _encoded(picture, fmt, **({"compression": "tiff_deflate"} if fmt == "TIFF" else {}))
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packed = zlib.compress(bytes((1 + side // 8) * side), 1)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _table(draw: random.Random) -> bytes:
    rows = [f"A-{row},photo{row % 3}.png" for row in range(draw.choice([1, 5, 300]))]
    match draw.choice(TABLES):
        case "quoted":
            rows = [f'"{row.replace(",", chr(34) + "," + chr(34))}"' for row in rows]
        case "wide":
            columns = draw.choice([3, 40, 3000])
            head = "person,file," + ",".join(f"c{column}" for column in range(columns))
            return "\n".join([head, *(row + "," * columns for row in rows)]).encode()
        case "formulas":
            return "\n".join(["person,file,note", *(f"'={row},@SUM(A1)" for row in rows)]).encode("utf-8-sig")
    return "\r\n".join(["person,file", *rows]).encode()


def _transaction(draw: random.Random) -> bytes:
    records = [_record(2, b"2.002:00", b"2.018:DOE, J", b"2.054:A-17")]
    kinds = [2]
    for place in range(draw.choice([1, 2, 30])):
        kinds.append(10)
        picture = draw_photo(Person.sample(place % 3), Variation())
        kind = draw.choice([b"FACE", b"FACE", b"SCAR"])
        image = _encoded(picture.resize((128, 160)), draw.choice(["JPEG", "PNG"]))
        records.append(_record(10, b"10.002:01", b"10.003:" + kind, b"10.005:20190517", b"10.999:" + image))
    listed = b"\x1e".join(b"%d\x1f%02d" % (kind, place) for place, kind in enumerate(kinds))
    return b"".join([_record(1, b"1.002:0500", b"1.003:1\x1f%d\x1e" % len(kinds) + listed), *records])


def _record(kind: int, *fields: bytes) -> bytes:
    body, length = b"\x1d" + b"\x1d".join(fields) + b"\x1c", 0
    while len(whole := b"%d.001:%d" % (kind, length) + body) != length:
        length = len(whole)
    return whole


def _archive(draw: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(draw.choice(["../../evil.png", "people.csv", "a.png"]), bytes(draw.choice([10, 50_000_000])))
    return buffer.getvalue()


def _case(draw: random.Random) -> bytes:
    """An export of a case: damaged as a whole, or with a damaged part that is signed all the same, or no export."""
    files = contents()
    name = draw.choice(sorted(files))
    files[name] = _mutated(files[name], draw)
    match draw.randrange(6):
        case 0:
            return _mutated(_archive(draw), draw)
        case 1:
            return zipped(sealed(files))
        case 2:
            return zipped(sealed(contents()) | {"manifest.json": _mutated(sealed(contents())["manifest.json"], draw)})
        case 3:
            depth = draw.choice([10, 900, 100_000])
            nested = sealed(contents() | {name: draw.choice([b"[", b'{"case":']) * depth})
            return zipped(nested)
        case 4:
            odd = {
                "compress_type": zipfile.ZIP_DEFLATED,
                "external_attr": 0o120777 << 16,
                "extra": b"abcd",
                "comment": b"c",
            }
            key = draw.choice(sorted(odd))
            return zipped(sealed(contents()), **{key: odd[key]})
    sound = zipped(sealed(contents()))
    return sound if draw.random() < 0.1 else _mutated(sound, draw)


def _encoded(image: Image.Image, fmt: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **(SAVED[fmt] | options))
    return buffer.getvalue()
