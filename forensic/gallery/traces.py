"""What somebody still has in hand of an expunged person, searched for in the bytes of files."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensic.errors import DataError

CONTENT = 64
"""Bytes of a photo's file that are searched for: enough to be its own, and in one piece wherever it was copied to."""


@dataclass(frozen=True)
class Traces:
    """Needles, each with what it is.

    Args:
        needles: Bytes -> what they are of.
    """

    needles: tuple[tuple[bytes, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.needles)

    @classmethod
    def of(cls, texts: tuple[str, ...] = (), photos: tuple[Path, ...] = ()) -> Traces:
        """Labels and other text, as UTF-8 and as JSON writes it; and photos, by their hash and their content.

        Raises:
            DataError: A photo cannot be read, or a text is empty.
        """
        needles: dict[bytes, str] = {}
        for text in texts:
            if not text.strip():
                raise DataError("An empty text cannot be searched for. Give the label, or another word of the person.")
            needles |= {text.encode(): "a text", json.dumps(text)[1:-1].encode(): "a text"}
        for photo in photos:
            try:
                content = photo.read_bytes()
            except OSError as error:
                raise DataError(f"{photo} cannot be read ({error.strerror}). Give a photo's file.") from None
            digest = hashlib.sha256(content)
            needles |= {
                digest.digest(): "a photo's hash",
                digest.hexdigest().encode(): "a photo's hash",
                digest.hexdigest()[2:].encode(): "a photo's hash",  # as the object store names its file
                content[:CONTENT]: "a photo's content",
            }
        return cls(tuple((needle, what) for needle, what in needles.items() if needle))

    def found(self, folder: Path) -> Iterator[tuple[Path, str]]:
        """Files below a folder that have one of them in their content or their name, each with what it is."""
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = str(path.relative_to(folder)).encode(errors="replace")
            with path.open("rb") as file:
                size = path.stat().st_size
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
                for needle, what in self.needles:
                    if needle in name or content.find(needle) >= 0:
                        yield path, what
                        break
