"""A gallery's rows as plain JSON, and what they are in a backup: a person's, a photo's, or everybody's."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import JSON, Column, Date, DateTime, LargeBinary, RowMapping, Table, select
from sqlalchemy.orm import Session

from forensic.gallery.models import Base
from forensic.gallery.templates import CHUNK, chunks

Rows = dict[str, list[dict[str, Any]]]
"""Table -> its rows, each column -> value; bytes are base64, moments ISO 8601."""

LEFT_OUT = {"loose_objects", "index_files", "segments", "backup_keys", "engine", "engine_debts", "originals"}
"""The store's journal, its place, the index's cache and the engine are of one folder; keys are told from key files."""
GENERAL = {
    *("template_spaces", "clock", "distinct_people", "cohorts", "cohort_sketches", "accuracy_reports", "backups"),
    *("identity", "audit", "users", "cases", "sketches", "searches", "decisions"),
}
"""Sealed with the master key, which an expunge leaves: they tell of people and photos by number alone."""
TOGETHER = 500
"""Rows of a general table in one blob: a log that grew changes its last blob alone."""
LARGE = {"sketches": 1}
"""Tables with fewer rows in a blob."""
TABLES: Mapping[str, Table] = Base.metadata.tables


def general(session: Session, name: str) -> Iterator[list[dict[str, Any]]]:
    """The rows of a general table in the parts in which they are sealed, by their ids."""
    table = TABLES[name]
    key, size = next(iter(table.primary_key)), LARGE.get(name, TOGETHER)
    rows = session.execute(select(table).order_by(key).execution_options(yield_per=min(size, CHUNK))).mappings()
    for _, some in groupby(rows, lambda row: row[key.name] // size):
        yield [_plain(row) for row in some]


def people(session: Session) -> Iterator[tuple[int, Rows]]:
    """Every person's number and rows."""
    table = TABLES["people"]
    for row in session.execute(select(table).order_by(table.c.id).execution_options(yield_per=CHUNK)).mappings():
        yield row["id"], {"people": [_plain(row)]}


def photos(session: Session) -> Iterator[tuple[int, str, Rows]]:
    """Every photo's number, content hash and rows, its templates among them."""
    table, templates = TABLES["photos"], TABLES["templates"]
    for some in chunks(session.scalars(select(table.c.id).order_by(table.c.id)).all(), TOGETHER):
        found: dict[int, Rows] = {
            row["id"]: {"photos": [_plain(row)], "templates": []}
            for row in session.execute(select(table).where(table.c.id.in_(some)).order_by(table.c.id)).mappings()
        }
        query = select(templates).where(templates.c.photo_id.in_(some)).order_by(templates.c.id)
        for row in session.execute(query).mappings():
            found[row["photo_id"]]["templates"].append(_plain(row))
        for number, rows in found.items():
            yield number, rows["photos"][0]["sha256"], rows


def _plain(row: RowMapping) -> dict[str, Any]:
    return {name: _written(value) for name, value in row.items()}


def _written(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, date) else value  # a datetime is one


def insert(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put plain rows into a table as it was found in the database."""
    if rows:
        columns = [column for column in table.columns if column.name in rows[0]]
        values = [{column.name: _read(column, row[column.name]) for column in columns} for row in rows]
        for some in chunks(values, TOGETHER):
            session.execute(table.insert(), some)


def _read(column: Column[Any], value: Any) -> Any:
    if isinstance(column.type, JSON):
        column.type.none_as_null = bool(column.nullable)  # nothing, where a column may be empty; else JSON's null
        return value
    if value is None:
        return None
    if isinstance(column.type, LargeBinary):
        return base64.b64decode(value)
    if isinstance(column.type, Date):
        return date.fromisoformat(value)
    return datetime.fromisoformat(value) if isinstance(column.type, DateTime) else value
