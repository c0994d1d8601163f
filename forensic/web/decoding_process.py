"""The process that decodes strangers' pictures: files come in by standard input, pixels go out by standard output.

It imports nothing of the server, knows none of its secrets, and once it is ready it can open no file and no connection,
start no other process and take no more memory than ``MEMORY``. `forensic.web.decoding` starts it.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import struct
import sys
from typing import IO

from PIL import Image

from forensic import images
from forensic.errors import ImageError

MEMORY = 1 << 30
"""Bytes of address space."""
READY = b"ready"
_LENGTH = struct.Struct(">I")


def send(stream: IO[bytes], *parts: bytes) -> None:
    """Write a message: two parts, each after its length."""
    for part in parts:
        stream.write(_LENGTH.pack(len(part)))
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes], *longest: int) -> list[bytes]:
    """Read a message.

    Args:
        stream: Where from.
        longest: How many bytes each of its parts may have.

    Raises:
        EOFError: The other side has gone.
        ValueError: A part is longer than it may be.
    """
    parts = []
    for most in longest:
        length = _LENGTH.unpack(_exactly(stream, _LENGTH.size))[0]
        if length > most:
            raise ValueError(f"{length} bytes, expected at most {most}")
        parts.append(_exactly(stream, length))
    return parts


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def serve() -> None:
    """Decode one picture after the other until standard input ends."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)  # nothing that a library prints gets among the answers
    _warm_up()
    _limit()
    send(sink, READY, b"")
    while True:
        try:
            asked, data = receive(source, 1 << 16, images.MAX_BYTES)
        except EOFError:
            return
        told = json.loads(asked)
        # Ends a decoder that hangs also where the server, which does the same, was killed meanwhile.
        signal.setitimer(signal.ITIMER_REAL, told["seconds"])
        said, content = _decoded(data, told["name"], told["pixels"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        send(sink, json.dumps(said).encode(), content)


def _decoded(data: bytes, name: str, pixels: int) -> tuple[dict[str, object], bytes]:
    try:
        found = images.decode(data, name, max_pixels=pixels)
    except ImageError as error:
        return {"error": str(error)}, b""
    said = {"width": found.image.width, "height": found.image.height, "format": found.format}
    return said, found.image.tobytes()


def _warm_up() -> None:
    """Decode a picture of each format, so that nothing has to be imported later."""
    Image.init()
    for name in images.FORMATS:
        buffer = io.BytesIO()
        Image.new("RGB", (32, 32)).save(buffer, name)
        images.decode(buffer.getvalue())


def _limit() -> None:
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        if limit == resource.RLIMIT_AS and sys.platform == "darwin":
            continue  # which knows the limit and takes no value of it
        resource.setrlimit(limit, (most, most))


if __name__ == "__main__":
    serve()
