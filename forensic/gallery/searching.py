"""Traces of a person in the rows of a database, as its own queries find them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from sqlalchemy import Column, ColumnElement, Integer, LargeBinary, Text, case, cast, exists, func, literal, select
from sqlalchemy.orm import Session

from forensic.gallery.models import Base
from forensic.gallery.traces import PHOTO, Traces


def found(session: Session, traces: Traces) -> Iterator[tuple[Column[object], str]]:
    """Columns that have one of the traces in a row, each with what it is; letters' case may not count."""
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            for condition, what in _conditions(session, column, traces):
                if session.scalar(select(exists().where(condition))):
                    yield column, what
                    break


def _conditions(session: Session, column: Column[object], traces: Traces) -> Iterator[tuple[ColumnElement[bool], str]]:
    if isinstance(column.type, LargeBinary):
        for needle, what in traces.needles:
            yield _holds(session, column, needle), what
        for runs in traces.photos:
            hits = [case((_holds(session, column, run), 1), else_=0) for run in runs]
            yield sum(hits, literal(0, Integer)) > len(runs) // 2, PHOTO
        return
    for needle, what in traces.needles:
        with suppress(UnicodeDecodeError):  # bytes that are no text are in none
            if "\0" not in (words := needle.decode()):
                yield cast(column, Text).contains(words, autoescape=True), what


def _holds(session: Session, column: Column[object], needle: bytes) -> ColumnElement[bool]:
    """Whether bytes are within a binary value."""
    if session.get_bind().dialect.name == "postgresql":
        return func.position(literal(needle, LargeBinary).op("IN")(column)) > 0
    return func.instr(column, needle) > 0
