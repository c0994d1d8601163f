"""The user's key to an encrypted gallery: 256 random bits out of a file, the environment or the system's key ring.

Where a command or ``Gallery`` is given no key, it is looked for in this order, and the first place that is named has
to hold it: the file that ``FORENSIC_KEY_FILE`` names, the text of ``FORENSIC_KEY``, the system's key ring.

A passphrase is not accepted: files that are stolen can be tried against guesses for years, and what people remember is
guessed. A key of random bits needs no such race; `new_file` and `new_in_ring` make one.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from forensic import durable
from forensic.errors import GalleryError, UsageError
from forensic.gallery.objects import read_private

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

FILE_VARIABLE = "FORENSIC_KEY_FILE"
VARIABLE = "FORENSIC_KEY"
RING = "forensic gallery"
"""Service under which keys stand in the system's key ring; the name of an entry is the key's id."""
LENGTH = 32
LONGEST_FILE = 200
MAKE_ONE = "'forensic gallery key new --out FILE' makes one"


@dataclass(frozen=True)
class UserKey:
    """A key, and in words where it came from.

    Raises:
        GalleryError: It has not 256 bits.
    """

    secret: bytes = field(repr=False)
    source: str

    def __post_init__(self) -> None:
        if len(self.secret) != LENGTH:
            raise GalleryError(f"{self.source}: a key has {LENGTH} bytes, this one {len(self.secret)}; {MAKE_ONE}.")

    @property
    def id(self) -> str:
        """Names the key without telling anything of it: 16 hexadecimal digits."""
        return derive(self.secret, "forensic key id 1", 8).hex()

    @property
    def text(self) -> str:
        """The key as it is written into a file: 64 hexadecimal digits."""
        return self.secret.hex()

    @classmethod
    def parse(cls, text: str, source: str) -> UserKey:
        """A key that is written as 64 hexadecimal digits, or in base64.

        Raises:
            GalleryError: It is none; the message does not repeat it.
        """
        text = text.strip()
        try:
            secret = (
                bytes.fromhex(text) if re.fullmatch("[0-9a-fA-F]{64}", text) else base64.b64decode(text, validate=True)
            )
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != LENGTH:
            raise GalleryError(
                f"{source} holds no key: expected {LENGTH} random bytes as 64 hexadecimal digits or in base64; a "
                f"passphrase is not accepted, since it can be guessed. {MAKE_ONE}."
            )
        return cls(secret, source)

    @classmethod
    def read(cls, path: Path | str) -> UserKey:
        """The key in a file that nobody but its owner may use.

        Raises:
            GalleryError: The file cannot be read, is open to others, or holds no key.
        """
        path = Path(path)
        source = f"The file {path}"
        advice = ", and rotate the key if somebody may have read it."
        try:
            content = read_private(path, "key's file", advice, longest=LONGEST_FILE)
        except FileNotFoundError as error:
            raise GalleryError(f"The key's file {path} cannot be read: {error.strerror}.") from None
        return cls.parse(content.decode("ascii", errors="replace"), source)


def derive(secret: bytes, label: str, length: int = LENGTH) -> bytes:
    """Bytes that hang on a random secret and on what they are for (HKDF with SHA-256, RFC 5869)."""
    return HKDF(SHA256(), length, salt=None, info=label.encode()).derive(secret)


def of_environment() -> UserKey | None:
    """The key of the file that ``FORENSIC_KEY_FILE`` names, or that in ``FORENSIC_KEY``; None where neither is set.

    Raises:
        GalleryError: It is no key.
        UsageError: Both are set.
    """
    path, text = os.environ.get(FILE_VARIABLE), os.environ.get(VARIABLE)
    if path and text:
        raise UsageError(
            f"Both {FILE_VARIABLE} and {VARIABLE} are set: keep one, so that it is plain which key counts."
        )
    if path:
        return UserKey.read(path)
    return UserKey.parse(text, f"The environment variable {VARIABLE}") if text else None


def find(ids: Iterable[str], folder: Path) -> UserKey:
    """The key to a gallery, out of the first place that has one.

    Args:
        ids: Of the keys that open the gallery; the key ring knows keys by their ids.
        folder: The gallery's, for the message.

    Raises:
        GalleryError: There is none, or what is there is none.
        UsageError: Two places of the environment are set.
    """
    if (key := of_environment()) is not None:
        return key
    said = "it has no such entry"
    from keyring.errors import KeyringError

    for id in ids:
        try:
            if text := ring().get_password(RING, id):
                return UserKey.parse(text, f"The key ring's entry {id} of '{RING}'")
        except KeyringError as error:
            said = first_sentence(error)
            break
    raise GalleryError(
        f"The gallery in {folder} is encrypted, and its key {' or '.join(ids)} was not found. Looked for in the file "
        f"of {FILE_VARIABLE} (not set), in {VARIABLE} (not set), and in the system's key ring ({said})."
    )


def new_file(path: Path) -> UserKey:
    """Make a key and write it to a new private file.

    Raises:
        UsageError: There is something of that name already: it may be the only key to a gallery.
        GalleryError: It cannot be written.
    """
    key = UserKey(secrets.token_bytes(LENGTH), f"The file {path}")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(key.text + "\n")
            file.flush()
            durable.sync(file.fileno())
    except FileExistsError:
        raise UsageError(f"{path} is there already, and may be the only key to a gallery: give another name.") from None
    except OSError as error:
        raise GalleryError(f"The key cannot be written to {path}: {error.strerror or error}.") from None
    return key


def new_in_ring() -> UserKey:
    """Make a key and put it into the system's key ring.

    Raises:
        GalleryError: There is no key ring, or it does not take the key.
    """
    from keyring.errors import KeyringError

    secret = secrets.token_bytes(LENGTH)
    key = UserKey(secret, f"The key ring's entry {UserKey(secret, '').id} of '{RING}'")
    try:
        ring().set_password(RING, key.id, key.text)
        kept = ring().get_password(RING, key.id)
    except KeyringError as error:
        raise GalleryError(
            f"The system's key ring did not take the key: {first_sentence(error)}; {MAKE_ONE}."
        ) from None
    if kept != key.text:
        raise GalleryError(f"The system's key ring did not keep the key; {MAKE_ONE}.")
    return key


def ring() -> KeyringBackend:
    """The system's key ring."""
    import keyring

    return keyring.get_keyring()


def first_sentence(error: Exception) -> str:
    """What a key ring's error says, without the sentences that recommend packages."""
    return (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0].rstrip(".")
