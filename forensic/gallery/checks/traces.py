"""What somebody still has in hand of an expunged person, searched for in the bytes of files and in database rows."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy import Column, ColumnElement, Integer, LargeBinary, Text, case, cast, exists, func, literal, select
from sqlalchemy.orm import Session

from forensic import regular
from forensic.errors import DataError
from forensic.gallery.checks import apart
from forensic.gallery.models import Base
from forensic.text import forms

RUN = 64
"""Bytes of a photo's file that are searched for in one piece."""
RUNS = 8
"""How many such; more than half of them must be found. One alone may be cut in two by a database's page."""
CANDIDATES = 64
"""Places where a run may begin. They leave out a file's first quarter: headers and colour profiles, alike in many."""
DISTINCT = 16
"""Different bytes that a run has at least. Flat areas have few, and are alike in many photos."""
PIECE = 1 << 22
"""Bytes of a file that are looked at at once."""
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
        """Labels and other text, and photos by their hash and their content.

        Text is searched for as UTF-8 and as JSON writes it, composed and decomposed.

        Raises:
            DataError: A photo cannot be read, or a text is empty.
        """
        from forensic.images import MAX_BYTES  # NumPy comes with it

        needles: dict[bytes, str] = {}
        contents = []
        for text in texts:
            if not text.strip():
                raise DataError("An empty text cannot be searched for. Give the label, or another word of the person.")
            for form in forms(text):
                needles |= {form.encode(): "a text", json.dumps(form)[1:-1].encode(): "a text"}
        for photo in photos:
            try:
                content = regular.read(photo, MAX_BYTES)
            except OSError as error:
                raise DataError(f"{photo} cannot be read: {error.strerror}. Give a photo's file.") from None
            if not content:
                raise DataError(f"{photo} is empty: nothing can be searched for. Give a photo's file.")
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
        longest = max(map(len, itertools.chain((needle for needle, _ in self.needles), *self.photos)), default=1)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = str(path.relative_to(folder)).encode(errors="replace")
            with suppress(FileNotFoundError), apart.opened(path) as file:  # another program may work in the gallery
                if what := self._what(name, _pieces(file, longest - 1)):
                    yield path, what

    def found_in(self, files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
        """Names of files that have one of them in their content or their name, each with what it is."""
        for name, content in files:
            if what := self._what(name.encode(errors="replace"), [content]):
                yield name, what

    def found_in_rows(self, session: Session) -> Iterator[tuple[Column[object], str]]:
        """Columns of a database that have one of them in a row, each with what it is; letters' case may not count."""
        for table in Base.metadata.sorted_tables:
            for column in table.columns:
                for condition, what in self._conditions(session, column):
                    if session.scalar(select(exists().where(condition))):
                        yield column, what
                        break

    def _conditions(self, session: Session, column: Column[object]) -> Iterator[tuple[ColumnElement[bool], str]]:
        if isinstance(column.type, LargeBinary):
            for needle, what in self.needles:
                yield _holds(session, column, needle), what
            for runs in self.photos:
                hits = [case((_holds(session, column, run), 1), else_=0) for run in runs]
                yield sum(hits, literal(0, Integer)) > len(runs) // 2, PHOTO
            return
        for needle, what in self.needles:
            with suppress(UnicodeDecodeError):  # bytes that are no text are in none
                if "\0" not in (words := needle.decode()):
                    yield cast(column, Text).contains(words, autoescape=True), what

    def _what(self, name: bytes, pieces: Iterable[bytes]) -> str | None:
        """What of it a file has, if anything."""
        for needle, what in self.needles:
            if needle in name:
                return what
        seen: list[set[bytes]] = [set() for _ in self.photos]
        for piece in pieces:
            for needle, what in self.needles:
                if needle in piece:
                    return what
            for runs, have in zip(self.photos, seen, strict=True):
                have.update(run for run in runs if run not in have and run in piece)
        found = (len(have) > len(runs) // 2 for runs, have in zip(self.photos, seen, strict=True))
        return PHOTO if any(found) else None


def _holds(session: Session, column: Column[object], needle: bytes) -> ColumnElement[bool]:
    """Whether bytes are within a binary value."""
    if session.get_bind().dialect.name == "postgresql":
        return func.position(literal(needle, LargeBinary).op("IN")(column)) > 0
    return func.instr(column, needle) > 0


def _pieces(file: IO[bytes], overlap: int) -> Iterator[bytes]:
    """A file's bytes; each piece begins with the end of the one before, so that nothing searched for is cut in two.

    They are read, not mapped: a mapped file that another program cuts short meanwhile, as a database's log is, would
    end this one.
    """
    end = b""
    while block := file.read(PIECE):
        piece = end + block
        yield piece
        end = piece[-overlap:] if overlap else b""


def _runs(content: bytes) -> tuple[bytes, ...]:
    """What tells a photo's file from others: runs from all over it, or all of it where it is small or flat."""
    first = len(content) // 4
    step = max(RUN, (len(content) - first) // CANDIDATES)
    runs = (content[at : at + RUN] for at in range(first, len(content) - RUN + 1, step))
    good = list(dict.fromkeys(run for run in runs if len(set(run)) >= DISTINCT))
    if len(good) < RUNS:
        return (content,) if content else ()
    return tuple(good[at * len(good) // RUNS] for at in range(RUNS))
