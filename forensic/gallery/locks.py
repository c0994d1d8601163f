"""One writer at a time: the lock of a gallery's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forensic.errors import GalleryError


class Locked(GalleryError):
    """Another process is writing."""


@contextmanager
def locked(folder: Path, patience: float) -> Iterator[None]:
    """Hold the writer's lock of a folder.

    Args:
        folder: The gallery's.
        patience: Seconds to wait for another writer.

    Raises:
        Locked: That was not enough.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "lock", timeout=patience, mode=0o600)
    try:
        lock.acquire(poll_interval=0.005)
    except Timeout as error:
        raise busy(folder, patience) from error
    try:
        yield
    finally:
        lock.release()


def busy(folder: Path, seconds: float) -> Locked:
    """What is said to who has waited so long."""
    return Locked(
        f"Another process has been writing to {folder} for {seconds:g} seconds: wait for it to end, then try again."
    )
