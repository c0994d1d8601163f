"""The object store: originals under the hash of their content, written so that a crash leaves no half file."""

import errno
import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from forensic import durable, regular
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
OWNER = "gallery.txt"
"""The file of a place elsewhere that says whose it is."""
UNFINISHED = " unfinished"
"""What it ends in until the originals' move there is done."""


class ObjectStore(ABC):
    """One file for each original: ``ab/cdef...`` for the SHA-256 ``abcdef...``, as the codec hides it.

    Attributes:
        place: The folder or the URL below which they lie.
        codec: How they lie there.
        claim: What the place has to say of whose it is, see `originals`; None for a gallery's own folder.
        failure: Why nothing could be removed there, after a long wait, and the monotonic time until which `journal`
            does not try again.
    """

    def __init__(self, place: str, codec: Codec = PLAIN, claim: str | None = None) -> None:
        self.place = place
        self.codec = codec
        self.claim = claim
        self.failure: tuple[OSError, float] | None = None

    def name(self, sha256: str) -> str:
        """What the file of the original with this hash is called."""
        hidden = self.codec.hide(sha256)
        return f"{hidden[:2]}/{hidden[2:]}"

    def both(self, sha256: str) -> tuple[str, str]:
        """The file's name, and its name while it is being written."""
        return self.name(sha256), self.name(sha256) + PARTIAL

    def where(self, name: str) -> str:
        """A file's name in full; its bytes are for `read` alone.

        >>> FolderStore(Path("/g/objects")).where("ab/cdef")
        '/g/objects/ab/cdef'
        """
        return f"{self.place}/{name}"

    def named(self, where: str) -> str:
        """The name of a file that `where` told of."""
        return where.removeprefix(f"{self.place}/")

    def write(self, originals: Mapping[str, bytes]) -> None:
        """Store the originals; on return they outlast a power cut.

        Raises:
            OSError: They cannot be stored, or the place is not the gallery's.
        """
        self.check()
        self._put({self.name(sha256): self.codec.seal(data, ORIGINAL, sha256) for sha256, data in originals.items()})

    def remove(self, hashes: Iterable[str]) -> None:
        """Remove originals and what a crash left of them; a missing one is no error.

        Raises:
            OSError: They cannot be removed, or the place is not the gallery's.
        """
        self.check()
        self.discard(name for sha256 in hashes for name in self.both(sha256))

    def clear(self) -> None:
        """Remove all originals; other files stay."""
        self.discard(name for name in self.names() if is_original(name.removesuffix(PARTIAL)))

    def read(self, sha256: str) -> bytes:
        """The original with this hash.

        Raises:
            FileNotFoundError: It is missing.
            OSError: It cannot be read.
            ValueError: It was altered.
        """
        try:
            written = self._get(self.name(sha256))
        except FileNotFoundError:
            self.check()  # all of them are, where a disk is not mounted
            raise
        data = self.codec.unseal(written, ORIGINAL, sha256)
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

    def check(self) -> None:
        """Stop whoever is about to write or delete originals in a place that does not say that it is the gallery's.

        Raises:
            OSError: It does not, or is away.
        """
        if self.claim is not None and self.owner() not in (self.claim, self.claim + UNFINISHED):
            said = f"is not this gallery's place, or is not mounted: its file {OWNER} is missing or another one"
            raise OSError(errno.ENODEV, said, self.place)

    def own(self, claim: str) -> None:
        """Write down whose the place is."""
        self._put({OWNER: f"{claim}\n".encode()})

    def owner(self) -> str | None:
        """What was written down so; None where nothing was, or where the place is not there."""
        try:
            return self._get(OWNER).decode(errors="replace").strip()
        except FileNotFoundError:
            return None

    def names(self) -> Iterator[str]:
        """Every file there but the owner's, also what is no original."""
        return (name for name in self._names() if name != OWNER)

    @abstractmethod
    def _names(self) -> Iterator[str]: ...

    @abstractmethod
    def holds(self, name: str) -> bool:
        """Whether there is a file of this name."""

    @abstractmethod
    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Every file there as it lies, with its name; and what the place keeps of files that were deleted."""

    @abstractmethod
    def discard(self, names: Iterable[str]) -> None:
        """Remove files; a missing one is no error."""

    @abstractmethod
    def _put(self, files: Mapping[str, bytes]) -> None:
        """Write files, each complete or not there at all; on return they outlast a power cut."""

    @abstractmethod
    def _get(self, name: str) -> bytes: ...


class FolderStore(ObjectStore):
    """Originals in a folder of a disk."""

    def __init__(self, folder: Path, codec: Codec = PLAIN, claim: str | None = None) -> None:
        super().__init__(str(folder), codec, claim)
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where the original with this hash lies."""
        return self.folder / self.name(sha256)

    def _names(self) -> Iterator[str]:
        paths = (path for path in sorted(self.folder.rglob("*")) if not path.is_dir())
        return (path.relative_to(self.folder).as_posix() for path in paths)

    def holds(self, name: str) -> bool:
        """See `ObjectStore`."""
        return (self.folder / name).exists()

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """See `ObjectStore`."""
        for name in self.names():
            with suppress(FileNotFoundError):
                yield name, self._get(name)

    def discard(self, names: Iterable[str]) -> None:
        """Remove files, and folders that are empty then."""
        paths = [self.folder / name for name in names]
        for path in paths:
            path.unlink(missing_ok=True)
        folders = {path.parent for path in paths if path.parent.is_dir()}
        sync(folders)
        for folder in folders - {self.folder}:
            if not any(folder.iterdir()):
                folder.rmdir()

    def _put(self, files: Mapping[str, bytes]) -> None:
        """All files are written before the first is synced, so that the disk takes them together."""
        paths = {self.folder / name: data for name, data in files.items()}
        private_folders(*{path.parent for path in paths})
        write_private(paths)

    def _get(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


def is_original(name: str) -> bool:
    """Whether a file is named as originals are: 64 hexadecimal digits, two of them its folder's.

    >>> is_original("ab/" + 62 * "0"), is_original("notes.txt")
    (True, False)
    """
    return re.fullmatch("[0-9a-f]{2}/[0-9a-f]{62}", name) is not None


def partial(path: Path) -> Path:
    """Where a file lies while it is being written."""
    return path.with_name(path.name + PARTIAL)


def private_folders(*folders: Path) -> None:
    """Make folders, and those above that are missing, for their owner alone; on return they outlast a power cut.

    One that is there stays as it is, but its entry is synced too: whoever made it may have been killed before that.
    """
    above: set[Path] = set()
    for folder in folders:
        missing = [path for path in folder.parents if not path.exists()]
        for path in (*reversed(missing), folder):
            path.mkdir(mode=0o700, exist_ok=True)
            above.add(path.parent)
    sync([path for path in above if os.access(path, os.R_OK)])  # else it may be written to, but not opened to be synced


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
        with regular.opened(path) as (file, status):
            mode, content = status.st_mode, file.read(longest)
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
        durable.sync(descriptor)
    finally:
        os.close(descriptor)
