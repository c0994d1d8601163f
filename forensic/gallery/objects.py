"""The object store: originals under the hash of their content, written so that a crash leaves no half file."""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from forensic.errors import GalleryError

PARTIAL = ".partial"
SYNC_THREADS = 8


class Codec(Protocol):
    """How a gallery's files lie on the disk: as they are, or sealed."""

    def hide(self, sha256: str) -> str:
        """The name, 64 hexadecimal digits, under which the original with a hash lies."""
        ...

    def seal(self, data: bytes, role: str, name: str) -> bytes:
        """What is written of a file, given what it is and its name."""
        ...

    def unseal(self, data: bytes, role: str, name: str) -> bytes:
        """The content of what was written.

        Raises:
            ValueError: It is not what was written of this file.
        """
        ...


class Plain:
    """Files as they are."""

    def hide(self, sha256: str) -> str:
        """The hash itself."""
        return sha256

    def seal(self, data: bytes, role: str, name: str) -> bytes:
        """The content itself."""
        return data

    def unseal(self, data: bytes, role: str, name: str) -> bytes:
        """The content itself; nothing is checked."""
        return data


PLAIN = Plain()
ORIGINAL = "original"


class ObjectStore:
    """A folder with one file for each original: ``ab/cdef...`` for the SHA-256 ``abcdef...``, as the codec hides it."""

    def __init__(self, folder: Path, codec: Codec = PLAIN) -> None:
        self.folder = folder
        self.codec = codec

    def path(self, sha256: str) -> Path:
        """Where the original with this hash lies; its bytes are for `read` alone."""
        name = self.codec.hide(sha256)
        return self.folder / name[:2] / name[2:]

    def both(self, sha256: str) -> tuple[Path, Path]:
        """The original's path, and where it lies while it is being written."""
        return self.path(sha256), partial(self.path(sha256))

    def write(self, originals: Mapping[str, bytes]) -> None:
        """Store the originals; on return they outlast a power cut.

        All files are written before the first is synced, so that the disk takes them together.
        """
        paths = {self.path(sha256): self.codec.seal(data, ORIGINAL, sha256) for sha256, data in originals.items()}
        for folder in (self.folder, *{path.parent for path in paths}):
            folder.mkdir(mode=0o700, exist_ok=True)
        write_private(paths)
        sync([self.folder])  # it may have new folders

    def remove(self, hashes: Iterable[str]) -> None:
        """Remove originals and what a crash left of them; a missing one is no error."""
        paths = [path for sha256 in hashes for path in self.both(sha256)]
        for path in paths:
            path.unlink(missing_ok=True)
        folders = {path.parent for path in paths if path.parent.is_dir()}
        sync(folders)
        for folder in folders:
            if not any(folder.iterdir()):
                folder.rmdir()

    def read(self, sha256: str) -> bytes:
        """The original with this hash.

        Raises:
            FileNotFoundError: It is missing.
            OSError: It cannot be read.
            ValueError: It was altered.
        """
        data = self.codec.unseal(self.path(sha256).read_bytes(), ORIGINAL, sha256)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError("its hash is another one")
        return data

    def is_sound(self, sha256: str) -> bool | None:
        """Whether the original is the one that was stored; None if it is missing."""
        try:
            self.read(sha256)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return False
        return True

    def files(self) -> Iterator[Path]:
        """Every file below the store's folder."""
        return (path for path in sorted(self.folder.rglob("*")) if not path.is_dir())


def partial(path: Path) -> Path:
    """Where a file lies while it is being written."""
    return path.with_name(path.name + PARTIAL)


def write_private(files: Mapping[Path, bytes]) -> None:
    """Write files that only their owner may read, each complete or not there at all."""
    for path, data in files.items():
        descriptor = os.open(partial(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
    sync([partial(path) for path in files])
    for path in files:
        os.replace(partial(path), path)
    sync({path.parent for path in files})


def read_private(path: Path, named: str, advice: str, *, longest: int = -1) -> bytes:
    """Bytes of a file that only its owner may use.

    Args:
        path: The file.
        named: What errors call it, such as ``key file``.
        advice: What to do besides ``chmod`` where others may use it.
        longest: Bytes to read at most; -1 for all.

    Raises:
        FileNotFoundError: There is none.
        GalleryError: It cannot be read, or is open to others.
    """
    try:
        with path.open("rb") as file:
            mode, content = os.fstat(file.fileno()).st_mode, file.read(longest)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise GalleryError(f"The {named} {path} cannot be read: {error.strerror or error}.") from None
    if os.name == "posix" and mode & 0o077:
        raise GalleryError(f"Others may use the {named} {path} (mode {mode & 0o777:o}): chmod go= it{advice}")
    return content


def sync(paths: Collection[Path]) -> None:
    """Make files, or the entries of folders, outlast a power cut.

    Several at once, since a journaling file system then commits them together: ten times as fast here as in turn.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        list(pool.map(_sync, paths))


def _sync(path: Path) -> None:
    if os.name != "posix" and path.is_dir():  # pragma: no cover - Windows journals a folder's entries itself
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
