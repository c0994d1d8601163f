"""Encryption at rest: ``gallery.key``, which holds the gallery's own key under the user's, and the sealing of files.

An encrypted gallery has a random data key, from which the keys of the database (SQLCipher), of the files and of the
files' names are derived. It lies in ``gallery.key``, wrapped under the user's key (`keys`), so that to rotate that one
is to write this small file anew. All else lies in ``sealed/``. While a key is being rotated the file has two slots.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from forensic.errors import GalleryError
from forensic.gallery.cipher.keys import LENGTH, UserKey, derive, find
from forensic.gallery.objects import write_private

KEY_FILE = "gallery.key"
UNFINISHED = KEY_FILE + ".new"
"""What becomes ``gallery.key`` once all of a plain gallery is sealed: until then ``sealed/`` is a mere beginning."""
SEALED = "sealed"
FORMAT = "forensic-gallery-key-1"
"""Version and scheme: AES-256-GCM under keys derived by HKDF-SHA-256, SQLCipher 4 with a raw key."""
MAGIC = b"forensic sealed 1\n"
SALT = 32
NONCE = 12
TAG = 16
CHUNK = 1 << 20


@dataclass(frozen=True)
class Slot:
    """The data key under one user's key; ``nonce`` and ``wrapped`` are hexadecimal."""

    key: str
    nonce: str
    wrapped: str


@dataclass(frozen=True)
class Envelope:
    """What ``gallery.key`` holds.

    Attributes:
        name: Random, ties the slots to this gallery.
        slots: One; two while a key is being rotated.
    """

    name: str
    slots: tuple[Slot, ...]

    @classmethod
    def read(cls, folder: Path) -> Envelope | None:
        """That of a gallery; None for a plain one.

        Raises:
            GalleryError: The file is damaged or of a newer version.
        """
        path = folder / KEY_FILE
        try:
            said = json.loads(path.read_bytes())
            if (kind := said.pop("format")) != FORMAT:
                raise GalleryError(f"{path} is of the format {kind!r}, not {FORMAT!r}: upgrade this program.")
            checksum = said.pop("checksum")
            envelope = cls(said["name"], tuple(Slot(**slot) for slot in said["slots"]))
            if checksum != envelope._checksum() or not envelope.slots:
                raise ValueError("its checksum is wrong")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise GalleryError(f"{path} cannot be read, so that nothing opens the gallery: {error.strerror}.") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise GalleryError(
                f"{path} is damaged ({error}). Without it no key opens the gallery: bring it back from your copy of it."
            ) from None
        return envelope

    def write(self, folder: Path, name: str = KEY_FILE) -> None:
        """Put it in the place of an earlier one, or leave that one as it is."""
        content = {"format": FORMAT, "checksum": self._checksum()} | asdict(self)
        write_private({folder / name: json.dumps(content, indent=1).encode() + b"\n"})

    @classmethod
    def new(cls, user: UserKey) -> tuple[Envelope, bytes]:
        """One for a new random data key, and that key."""
        secret = secrets.token_bytes(LENGTH)
        return cls(secrets.token_hex(16), ()).adding(user, secret), secret

    def adding(self, user: UserKey, secret: bytes) -> Envelope:
        """The same with a slot more, for another user's key."""
        nonce = secrets.token_bytes(NONCE)
        wrapped = AESGCM(_wrapping(user)).encrypt(nonce, secret, self._about(user.id))
        return Envelope(self.name, (*self.slots, Slot(user.id, nonce.hex(), wrapped.hex())))

    def only(self, id: str) -> Envelope:
        """The same with the slot of one key alone."""
        return Envelope(self.name, tuple(slot for slot in self.slots if slot.key == id))

    @property
    def ids(self) -> list[str]:
        """Of the user's keys that open it."""
        return [slot.key for slot in self.slots]

    def unwrap(self, user: UserKey) -> bytes | None:
        """The data key; None if this user's key does not open it."""
        for slot in self.slots:
            if slot.key == user.id:
                try:
                    return AESGCM(_wrapping(user)).decrypt(
                        bytes.fromhex(slot.nonce), bytes.fromhex(slot.wrapped), self._about(slot.key)
                    )
                except InvalidTag:
                    return None
        return None

    def _about(self, id: str) -> bytes:
        return "\n".join((FORMAT, self.name, id)).encode()

    def _checksum(self) -> str:
        """Tells a damaged file from a wrong key; it protects nothing."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def _wrapping(user: UserKey) -> bytes:
    return derive(user.secret, "forensic gallery key wrapping 1")


class Sealing:
    """Seals a gallery's files and hides their names; `objects.Codec` for encrypted galleries.

    A file has a key of its own, derived with a random salt, and is sealed in chunks of 1 MiB with AES-256-GCM: the
    nonce counts them and marks the last (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizar, 2015), so
    that no chunk can be altered, moved or cut off. What the file is, and its name, are authenticated with each.

    Args:
        secret: The gallery's data key.
        key_id: Of the user's key that opened it.
    """

    def __init__(self, secret: bytes, key_id: str) -> None:
        self.secret = secret
        self.key_id = key_id
        self.database = derive(secret, "forensic gallery database 1")
        self._files = derive(secret, "forensic gallery files 1")
        self._names = derive(secret, "forensic gallery names 1")

    def hide(self, sha256: str) -> str:
        """The name of an original's file: its hash would tell somebody who has the photo that it is enrolled."""
        return hmac.new(self._names, sha256.encode(), hashlib.sha256).hexdigest()

    def seal(self, data: bytes, role: str, name: str) -> bytes:
        """A file's content, sealed.

        Args:
            data: The content.
            role: What the file is.
            name: Which one of these it is.
        """
        salt = os.urandom(SALT)
        cipher, about, view = self._cipher(salt), _about(role, name), memoryview(data)
        chunks = (cipher.encrypt(nonce, view[at : at + CHUNK], about) for at, nonce in _nonces(len(data), CHUNK))
        return b"".join((MAGIC, salt, *chunks))

    def unseal(self, data: bytes, role: str, name: str) -> bytes:
        """The content of a sealed file.

        Raises:
            ValueError: It was altered, or is not this file of this gallery.
        """
        start = len(MAGIC) + SALT
        if not data.startswith(MAGIC):
            raise ValueError("it is not sealed")
        cipher, about, view = self._cipher(data[len(MAGIC) : start]), _about(role, name), memoryview(data)[start:]
        try:
            return b"".join(
                cipher.decrypt(nonce, view[at : at + CHUNK + TAG], about)
                for at, nonce in _nonces(len(view), CHUNK + TAG)
            )
        except InvalidTag:
            raise ValueError("its seal is broken") from None

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(hmac.new(self._files, salt, hashlib.sha256).digest())


def _about(role: str, name: str) -> bytes:
    return f"{role}\n{name}".encode()


def _nonces(length: int, step: int) -> Iterator[tuple[int, bytes]]:
    """Where each chunk begins, and its nonce; there is a chunk even of nothing."""
    last = max(length - 1, 0) // step
    for number in range(last + 1):
        yield number * step, number.to_bytes(NONCE - 1, "big") + bytes([number == last])


def unlock(folder: Path, user: UserKey | None = None) -> Sealing | None:
    """What opens a gallery's files; None for a plain one.

    Args:
        folder: The gallery's.
        user: The key; without it, it is looked for (`keys.find`).

    Raises:
        GalleryError: The key is missing or another one's, or ``gallery.key`` is damaged or gone.
    """
    envelope = Envelope.read(folder)
    if envelope is None:
        if (folder / SEALED).exists() and not any((folder / name).exists() for name in (UNFINISHED, KEY_FILE)):
            raise GalleryError(
                f"The gallery in {folder} is encrypted, and its {KEY_FILE} is missing: bring it back from your copy. "
                f"Without it no key opens the gallery. Plain files beside {SEALED} are not those of this gallery."
            )
        return None
    user = user or find(envelope.ids, folder)
    secret = envelope.unwrap(user)
    if secret is None:
        raise GalleryError(
            f"{user.source} holds the key {user.id}, which does not open the gallery in {folder}: it needs the key "
            f"{' or '.join(envelope.ids)}. Name its file in FORENSIC_KEY_FILE."
        )
    return Sealing(secret, user.id)
