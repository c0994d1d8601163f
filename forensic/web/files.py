"""Pictures and files on their way out, named by number: what a file was called may tell who it is of."""

from __future__ import annotations

import io
from typing import Any

from fastapi import Response
from PIL import Image

_SIGNATURES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"BM": "image/bmp",
    b"RIFF": "image/webp",
}
UNKNOWN = "application/octet-stream"
_BYTES = {"schema": {"type": "string", "format": "binary"}}
ORIGINAL: dict[str, Any] = {
    "description": "The file, byte by byte.",
    "content": dict.fromkeys(sorted({*_SIGNATURES.values(), UNKNOWN}), _BYTES),
}
"""How a document of the API describes `original`."""
JPEG: dict[str, Any] = {"description": "A picture.", "content": {"image/jpeg": _BYTES}}
"""How a document of the API describes `jpeg`."""

PNG: dict[str, Any] = {"description": "A picture without loss.", "content": {"image/png": _BYTES}}
"""How a document of the API describes `png`."""


def media_type(data: bytes) -> str:
    """The type of a picture's file, by its content.

    >>> media_type(b"BM..."), media_type(b"<svg>")
    ('image/bmp', 'application/octet-stream')
    """
    return next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), UNKNOWN)


def original(data: bytes, name: str) -> Response:
    """A stored file as it is.

    Args:
        data: The file.
        name: What a browser saves it as, without an ending.
    """
    kind = media_type(data)
    ending = "bin" if kind == UNKNOWN else kind.rpartition("/")[2]
    return Response(data, headers={"Content-Disposition": f'inline; filename="{name}.{ending}"'}, media_type=kind)


def jpeg(data: bytes) -> Response:
    """A picture that was made to be looked at."""
    return Response(data, media_type="image/jpeg")


def png(picture: Image.Image) -> Response:
    """A picture without loss, that somebody looks at enlarged."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return Response(buffer.getvalue(), media_type="image/png")
