"""Reading files that somebody named: whole, small and regular, or not at all."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

TEXT = 16 * 1024 * 1024
"""Bytes that a file of settings, keys, points or certificates has at most."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """A regular file and its status. A pipe would be waited for without end, a device would never end: neither is read.

    Raises:
        OSError: It cannot be read, or is no regular file; ``strerror`` says so.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        yield file, status


def read(path: Path, most: int = TEXT) -> bytes:
    """All bytes of a regular file.

    Args:
        path: The file.
        most: Bytes that it has at most.

    Raises:
        OSError: As `opened` does, or it is larger.
    """
    with opened(path) as (file, status):
        if status.st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
        return file.read(most)
