"""The folder that backups go to: sealed blobs under names that tell nothing, and one sealed manifest a snapshot.

``backup.json`` names the backup, ``blobs/ab/cdef...`` hold the contents, each stored once, and ``snapshots/000001`` say
which blobs make up the gallery at a moment. A manifest gets its name last, after the key file is written, so that a
snapshot is there whole or not at all; blobs without one are of a backup that was cut off, and the next one finds them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from forensic.errors import DataError, GalleryError
from forensic.gallery.cipher.sealing import OVERHEAD, Key
from forensic.gallery.objects import partial, private_folders, sync, write_private

FORMAT = "forensic backup 1"
MARKER = "backup.json"
LOCK = "lock"
PREPARED = ".prepared"
ADVICE = "What was written is used by the next backup; free space or mend the disk, then try again."


class Blob(NamedTuple):
    """A sealed content: its name, and its length in bytes as it is stored."""

    name: str
    size: int


class Damaged(GalleryError):
    """A blob is missing or was altered."""


class Destination:
    """A backup's folder; nothing is opened or written before a method is called."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).absolute()
        self._blobs = self.folder / "blobs"
        self._snapshots = self.folder / "snapshots"

    def name(self) -> str | None:
        """The backup's name; None for a folder that is new or empty.

        Raises:
            GalleryError: It is a file, holds other things, or cannot be read.
        """
        with self._in_words():
            if self.folder.exists() and not self.folder.is_dir():
                raise GalleryError(f"{self.folder} is a file; give a new or an empty folder for backups.")
            try:
                said = json.loads((self.folder / MARKER).read_bytes())
                if said["format"] != FORMAT:
                    raise GalleryError(f"{self.folder} was written by a newer version: upgrade this program.")
                return str(said["backup"])
            except FileNotFoundError:
                strange = self.folder.is_dir() and sorted({path.name for path in self.folder.iterdir()} - {LOCK})
            except (ValueError, KeyError, TypeError):
                raise GalleryError(f"{self.folder / MARKER} was altered: {self.folder} is no backup now.") from None
        if strange:
            raise GalleryError(
                f"{self.folder} is no backup and holds other things ({', '.join(strange[:3])}); give a new or an "
                "empty folder."
            )
        return None

    def begin(self, name: str) -> None:
        """Make the folder that of a backup."""
        with self._in_words():
            private_folders(self._blobs, self._snapshots)
            write_private({self.folder / MARKER: json.dumps({"format": FORMAT, "backup": name}).encode()})

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other backups out of the folder, which is made if it is not there.

        Raises:
            GalleryError: One is under way, or the folder cannot be one of backups.
        """
        from filelock import FileLock, Timeout

        self.name()
        with self._in_words():
            private_folders(self.folder)
            lock = FileLock(self.folder / LOCK, timeout=0, mode=0o600)
            try:
                lock.acquire()
            except Timeout:
                message = f"Another backup to {self.folder} is under way: wait for it to end, then try again."
                raise GalleryError(message) from None
        try:
            yield
        finally:
            lock.release()

    # Blobs

    def find(self, name: str) -> Blob | None:
        """The blob of this name, as long as it is on the disk; None if it is not there."""
        with self._in_words():
            try:
                return Blob(name, self._path(name).stat().st_size)
            except FileNotFoundError:
                return None

    def write(self, sealed: Mapping[str, bytes]) -> None:
        """Store blobs by their names, durably, and read them back from the disk.

        Raises:
            GalleryError: The disk is full, fails, or does not give back what was written.
        """
        paths = {self._path(name): data for name, data in sealed.items()}
        with self._in_words():
            try:
                private_folders(*{path.parent for path in paths})
                write_private(paths)
            except OSError:
                for path in paths:
                    with suppress(OSError):
                        partial(path).unlink(missing_ok=True)
                raise
            for path, data in paths.items():
                if _from_disk(path) != data:
                    raise GalleryError(f"{path} does not read as it was written: the disk fails. Use another one.")

    def read(self, key: Key, blob: Blob) -> bytes:
        """A blob's content.

        Raises:
            Damaged: It is missing or was altered.
        """
        path = self._path(blob.name)
        try:
            return key.open(blob.name, path.read_bytes())
        except FileNotFoundError:
            raise Damaged(f"{path} is missing.") from None
        except (OSError, DataError) as error:
            raise Damaged(f"{path} cannot be opened. {error}") from None

    def remove_blobs(self, kept: set[str]) -> tuple[int, int]:
        """Remove the blobs that are not to be kept, and what writing left.

        Returns:
            How many files were removed, and their bytes.
        """
        files = size = 0
        with self._in_words():
            for path in self._blobs.rglob("*"):
                if path.is_file() and path.parent.name + path.name not in kept:
                    files, size = files + 1, size + path.stat().st_size
                    path.unlink()
        return files, size

    def _path(self, name: str) -> Path:
        return self._blobs / name[:2] / name[2:]

    # Snapshots

    def numbers(self) -> list[int]:
        """The snapshots' numbers, the oldest first."""
        with self._in_words():
            names = [path.name for path in self._snapshots.iterdir()] if self._snapshots.is_dir() else []
        return sorted(int(name) for name in names if re.fullmatch(r"\d{6,}", name))

    def write_manifest(self, master: Key, number: int, manifest: Mapping[str, Any]) -> None:
        """Store a snapshot's manifest durably beside its place; `complete` puts it there once the key file fits it."""
        name, sealed = master.seal(json.dumps({**manifest, "number": number}).encode())
        with self._in_words():
            write_private({self._prepared(number): bytes.fromhex(name) + sealed})

    def complete(self, master: Key, head: tuple[int, str] | None) -> None:
        """Put the manifest that a key file was written for into its place: from now on the snapshot is there.

        Whoever comes next does so for a backup that was killed in between. A manifest that no key file was written for
        stays beside; the next backup writes another over it.

        Args:
            master: The backup's master key.
            head: Number and hash of the log's last entry, as the key file has it.
        """
        with self._in_words():
            found = sorted(self._snapshots.glob("*" + PREPARED))
            for path in found:
                with suppress(FileNotFoundError, DataError):  # put there by another process meanwhile; cut off
                    said = _unsealed(master, path)
                    if (said["head"]["number"], said["head"]["hash"]) == head:
                        os.replace(path, self._manifest(said["number"]))
                        sync({self._snapshots})

    def manifest(self, master: Key, number: int) -> dict[str, Any]:
        """What a snapshot's manifest says.

        Raises:
            GalleryError: It is missing or was altered.
        """
        path = self._manifest(number)
        try:
            said = _unsealed(master, path)
        except FileNotFoundError:
            raise GalleryError(f"{self.folder} has no snapshot {number}: it has {self.numbers()}.") from None
        except (OSError, DataError) as error:
            raise GalleryError(f"The snapshot {path} cannot be opened. {error} Restore another --number.") from None
        if said["number"] != number:
            raise GalleryError(f"The snapshot {path} is another one: it was written as {said['number']}.")
        return said

    def remove_snapshots(self, numbers: list[int]) -> None:
        """Remove manifests durably; their blobs stay until `remove_blobs`."""
        with self._in_words():
            for number in numbers:
                self._manifest(number).unlink()
            sync({self._snapshots})

    def _manifest(self, number: int) -> Path:
        return self._snapshots / f"{number:06}"

    def _prepared(self, number: int) -> Path:
        return self._snapshots / f"{number:06}{PREPARED}"

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise GalleryError(f"The backup in {self.folder}: {error.strerror or error}. {ADVICE}") from None


def size_of(content: int) -> int:
    """Bytes that a content of so many bytes takes when it is sealed."""
    return content + OVERHEAD


def _unsealed(master: Key, manifest: Path) -> dict[str, Any]:
    data = manifest.read_bytes()
    said: dict[str, Any] = json.loads(master.open(data[:32].hex(), data[32:]))
    return said


def _from_disk(path: Path) -> bytes:
    """A file's bytes as the disk has them, where the system can be told to forget its own copy."""
    with path.open("rb") as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read()
