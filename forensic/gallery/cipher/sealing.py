"""Bytes sealed under a key, and stored under a name that tells nothing to whoever lacks the key.

The name is a keyed hash of the content: the same content under the same key has the same name and the same sealed
bytes, so that it is stored once, and storing it again changes nothing. The cipher's nonce is the beginning of that
name, which no other content under the key has.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from forensic.errors import DataError

LENGTH = 32
"""Bytes of a key."""
NONCE = 12
OVERHEAD = 16
"""Bytes that a sealed content is longer by: AES-GCM's tag."""


class Key:
    """A secret of 256 bits with the keys derived of it: one names, one seals.

    Attributes:
        secret: The bytes themselves.
        name: Tells the key from others without giving it away, 32 hexadecimal digits.

    Raises:
        DataError: The secret has another length.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != LENGTH:
            raise DataError(f"A key has {len(secret)} bytes, expected {LENGTH}.")
        self.secret = secret
        self.name = self._derive(b"forensic backup: name of the key")[:16].hex()

    @classmethod
    def new(cls) -> Key:
        """A random key."""
        return cls(secrets.token_bytes(LENGTH))

    def of(self, sha256: bytes) -> str:
        """The name under which content with this SHA-256 is stored, 64 hexadecimal digits."""
        return hmac.digest(self._naming, sha256, "sha256").hex()

    def seal(self, content: bytes) -> tuple[str, bytes]:
        """The content's name, and its sealed bytes."""
        name = self.of(hashlib.sha256(content).digest())
        return name, self._cipher.encrypt(bytes.fromhex(name)[:NONCE], content, None)

    def open(self, name: str, sealed: bytes) -> bytes:
        """The content that was sealed under this name.

        Raises:
            DataError: The bytes were altered, or are another content's or another key's.
        """
        try:
            content = self._cipher.decrypt(bytes.fromhex(name)[:NONCE], sealed, None)
        except (InvalidTag, ValueError):
            raise DataError("It was altered or cut, or is sealed with another key.") from None
        if not hmac.compare_digest(self.of(hashlib.sha256(content).digest()), name):
            raise DataError("Its content is another one's.")
        return content

    def authenticate(self, data: bytes) -> str:
        """A code that only this key gives these bytes, hexadecimal."""
        return hmac.digest(self._derive(b"forensic backup: authentic"), data, "sha256").hex()

    @cached_property
    def _naming(self) -> bytes:
        return self._derive(b"forensic backup: names of contents")

    @cached_property
    def _cipher(self) -> AESGCM:
        return AESGCM(self._derive(b"forensic backup: contents"))

    def _derive(self, purpose: bytes) -> bytes:
        """HMAC as a pseudo-random function: the secret is uniform, so that nothing has to be extracted first."""
        return hmac.digest(self.secret, purpose, "sha256")
