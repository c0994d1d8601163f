"""A gallery at one moment, in a backup: written part by part, and read back.

A part is one person's record, or one photo with its original, rows and templates, each sealed with a key of its own;
the rest is sealed with the backup's master key. What says which parts there are (`Part`) names people and photos by
number alone, since it outlasts their keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from forensic.errors import GalleryError
from forensic.gallery.backup.destination import Blob, Damaged, Destination, size_of
from forensic.gallery.backup.keyfiles import KeyFile
from forensic.gallery.backup.rows import Rows
from forensic.gallery.cipher.sealing import Key

PERSON, PHOTO = "person", "photo"
CATALOGUED = 1000
"""Parts in one blob of the catalogue."""
FILES = 256
BYTES = 64 * 2**20
"""A batch is written when it has so many files or bytes."""


class Part(NamedTuple):
    """A person or a photo in a snapshot.

    Attributes:
        kind: ``person`` or ``photo``.
        number: The row's id.
        keys: Names of the keys; the first one seals the part.
        rows: The record.
        original: None for a person, and for a photo that was expunged before it was copied.
    """

    kind: str
    number: int
    keys: tuple[str, ...]
    rows: Blob
    original: Blob | None = None


class Writer:
    """Seals contents and stores them in batches; what is there already is not written again.

    Attributes:
        files: How many blobs were written.
        size: Their bytes.
    """

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.files = self.size = 0
        self._batch: dict[str, bytes] = {}

    def put(self, key: Key, value: object) -> Blob:
        """Store a value as JSON."""
        content = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        blob = Blob(key.of(hashlib.sha256(content).digest()), size_of(len(content)))
        if self.destination.find(blob.name) != blob:
            self._add(*key.seal(content))
        return blob

    def put_original(self, key: Key, sha256: str, read: Callable[[], bytes], known: Mapping[str, int]) -> Blob:
        """Store a content whose hash is known, which is read only if it is not there whole.

        Args:
            key: Seals it.
            sha256: Its hash.
            read: Gives it.
            known: Name -> size of the blobs of an earlier snapshot; one that is in none is opened, one that is has to
                have its size.
        """
        name = key.of(bytes.fromhex(sha256))
        there = self.destination.find(name)
        if there and (there.size == known[name] if name in known else self._opens(key, there)):
            return there
        name, sealed = key.seal(read())
        self._add(name, sealed)
        return Blob(name, len(sealed))

    def _opens(self, key: Key, blob: Blob) -> bool:
        try:
            self.destination.read(key, blob)
        except Damaged:
            return False
        return True

    def put_catalogue(self, master: Key, parts: Iterable[Part]) -> list[Blob]:
        """Store which parts there are."""
        blocks = groupby(parts, lambda part: (part.kind, part.number // CATALOGUED))
        return [self.put(master, list(block)) for _, block in blocks]

    def flush(self) -> None:
        """Write what is left of the last batch."""
        if self._batch:
            self.destination.write(self._batch)
            self.files, self.size = self.files + len(self._batch), self.size + sum(map(len, self._batch.values()))
            self._batch = {}

    def _add(self, name: str, sealed: bytes) -> None:
        self._batch[name] = sealed
        if len(self._batch) >= FILES or sum(map(len, self._batch.values())) >= BYTES:
            self.flush()


@dataclass(frozen=True)
class Snapshot:
    """A snapshot, opened with its key file.

    Attributes:
        destination: Where it lies.
        keys: What its key file says.
        said: What its manifest says.
    """

    destination: Destination
    keys: KeyFile
    said: Mapping[str, Any]

    @classmethod
    def open(cls, destination: Path, key_file: Path, number: int | None = None) -> Snapshot:
        """A snapshot of a folder; the newest one if no number is given.

        Raises:
            GalleryError: There is none, it cannot be opened, or the key file is another backup's or an earlier copy.
        """
        folder, keys = opened(destination, key_file)
        numbers = folder.numbers()
        if not numbers:
            raise GalleryError(f"{folder.folder} holds no snapshot: its first backup was cut off. Make it again.")
        return cls.read(folder, keys, numbers[-1] if number is None else number)

    @classmethod
    def read(cls, destination: Destination, keys: KeyFile, number: int) -> Snapshot:
        """The snapshot of this number; see `open`."""
        said = destination.manifest(keys.master, number)
        if keys.head is None or keys.head[0] < said["head"]["number"]:
            raise GalleryError(
                f"{keys.path} is an earlier copy of the key file, from before snapshot {number}: it lacks keys. Use "
                "the one that the backup wrote last, or restore an earlier --number."
            )
        return cls(destination, keys, said)

    def table(self, name: str) -> Iterator[list[dict[str, Any]]]:
        """The rows of a general table, part by part.

        Raises:
            Damaged: A blob is missing or was altered. All methods raise it.
        """
        for blob in self.said["tables"].get(name, ()):
            yield self._json(self.keys.master, Blob(*blob))

    def parts(self) -> Iterator[Part]:
        """All parts, people first, whether or not their keys are there."""
        for block in self.said["catalogue"]:
            for kind, number, keys, rows, original in self._json(self.keys.master, Blob(*block)):
                yield Part(kind, number, tuple(keys), Blob(*rows), original and Blob(*original))

    def key(self, part: Part) -> Key | None:
        """The key that seals a part; None if it was destroyed."""
        return self.keys.keys.get(part.keys[0])

    def rows(self, key: Key, part: Part) -> Rows:
        """A part's rows."""
        rows: Rows = self._json(key, part.rows)
        return rows

    def sizes(self) -> dict[str, int]:
        """Name -> size of all originals; none where the catalogue is damaged."""
        try:
            return {part.original.name: part.original.size for part in self.parts() if part.original}
        except Damaged:
            return {}

    def original(self, key: Key, blob: Blob, sha256: str) -> bytes:
        """A photo's original, seen to be the one that its row names."""
        content = self.destination.read(key, blob)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Damaged(f"An original in {self.destination.folder} is another photo's.")
        return content

    def blobs(self) -> Iterator[Blob]:
        """The blobs that can be opened with the keys that are there."""
        for blobs in (*self.said["tables"].values(), self.said["catalogue"]):
            yield from (Blob(*blob) for blob in blobs)
        for part in self.parts():
            if self.key(part):
                yield from filter(None, (part.rows, part.original))

    def _json(self, key: Key, blob: Blob) -> Any:
        return json.loads(self.destination.read(key, blob))


def opened(destination: Path, key_file: Path) -> tuple[Destination, KeyFile]:
    """A backup's folder and its key file, which belong together.

    Raises:
        GalleryError: They do not, or one of them is none.
    """
    folder = Destination(destination)
    name = folder.name()
    if name is None:
        raise GalleryError(f"There is no backup in {folder.folder}: name the folder of 'forensic backup make'.")
    keys = KeyFile.read(key_file)
    if keys.backup != name:
        raise GalleryError(f"{key_file} is the key file of another backup than {folder.folder}: name the right one.")
    folder.complete(keys.master, keys.head)
    return folder, keys
