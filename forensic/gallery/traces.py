"""What somebody still has in hand of an expunged person, searched for in the bytes of files."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensic.errors import DataError

RUN = 64
"""Bytes of a photo's file that are searched for in one piece."""
RUNS = 8
"""How many such; more than half of them must be found. One alone may be cut in two by a database's page."""
CANDIDATES = 64
"""Places where a run may begin. They leave out a file's first quarter: headers and colour profiles, alike in many."""
DISTINCT = 16
"""Different bytes that a run has at least. Flat areas have few, and are alike in many photos."""
PHOTO = "a photo's content"


@dataclass(frozen=True)
class Traces:
    """What is searched for.

    Args:
        needles: Bytes, each with what they are; any of them is a trace.
        photos: Each photo's runs of bytes; a trace is where there are more than half of them.
    """

    needles: tuple[tuple[bytes, str], ...] = ()
    photos: tuple[tuple[bytes, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.needles or self.photos)

    @classmethod
    def of(cls, texts: tuple[str, ...] = (), photos: tuple[Path, ...] = ()) -> Traces:
        """Labels and other text, as UTF-8 and as JSON writes it; and photos, by their hash and their content.

        Raises:
            DataError: A photo cannot be read, or a text is empty.
        """
        needles: dict[bytes, str] = {}
        contents = []
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
            }
            contents.append(_runs(content))
        return cls(tuple(needles.items()), tuple(runs for runs in contents if runs))

    def found(self, folder: Path) -> Iterator[tuple[Path, str]]:
        """Files below a folder that have one of them in their content or their name, each with what it is."""
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = str(path.relative_to(folder)).encode(errors="replace")
            with path.open("rb") as file:
                size = path.stat().st_size
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
                if what := self._what(name, content):
                    yield path, what

    def _what(self, name: bytes, content: bytes | mmap.mmap) -> str | None:
        """What of it a file has, if anything."""
        for needle, what in self.needles:
            if needle in name or content.find(needle) >= 0:
                return what
        found = (sum(content.find(run) >= 0 for run in runs) > len(runs) // 2 for runs in self.photos)
        return PHOTO if any(found) else None


def _runs(content: bytes) -> tuple[bytes, ...]:
    """What tells a photo's file from others: runs from all over it, or all of it where it is small or flat."""
    first = len(content) // 4
    step = max(RUN, (len(content) - first) // CANDIDATES)
    runs = (content[at : at + RUN] for at in range(first, len(content) - RUN + 1, step))
    good = list(dict.fromkeys(run for run in runs if len(set(run)) >= DISTINCT))
    if len(good) < RUNS:
        return (content,) if content else ()
    return tuple(good[at * len(good) // RUNS] for at in range(RUNS))
