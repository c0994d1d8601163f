"""The audit log as a gallery's operators use it; `audit` writes and checks it."""

from __future__ import annotations

from typing import Any, NamedTuple

from forensic.errors import NotFound
from forensic.gallery.casework.casework_models import AuditEntry, Identity
from forensic.gallery.log import audit
from forensic.gallery.log.audit import Head, Line
from forensic.gallery.records import Choice, Problem
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import Storage


class Shown(NamedTuple):
    """One entry in full.

    Attributes:
        line: As it stands in the log.
        entry: What was written; empty where the line is no entry.
        fault: What is wrong with it; empty where nothing is.
    """

    line: Line
    entry: dict[str, Any]
    fault: str


@needs(Right.AUDIT)
def entries(
    gallery: Storage, *, action: str | None = None, limit: int | None = None, choice: Choice | None = None
) -> list[dict[str, Any]]:
    """The entries, newest first, as they were written.

    Args:
        gallery: Whose log it is.
        action: Only such acts; ``choice`` can say more.
        limit: At most so many.
        choice: Which ones, in place of ``action``.
    """
    with gallery.reading() as session:
        return audit.entries(session, action=action, limit=limit, choice=choice)


@needs(Right.AUDIT)
def entry(gallery: Storage, number: int) -> Shown:
    """One entry, with a check of its hash, its signature and its place behind the one before.

    Raises:
        NotFound: The log has no entry of this number.
    """
    with gallery.reading() as session:
        row, before = session.get(AuditEntry, number), session.get(AuditEntry, number - 1)
        if row is None:
            raise NotFound(f"The log has no entry {number}; 'forensic audit log' shows the latest ones.")
        found, identity = audit.read(row.entry), session.get_one(Identity, 1)
        previous = before.hash if before else audit.NOTHING if number == 1 else None
        fault = audit.fault_of(row, found, identity, previous)
        return Shown(Line(row.number, row.entry, row.hash, row.signature), found, fault)


@needs(Right.AUDIT)
def verify(gallery: Storage, exported: Head | None = None) -> tuple[list[Problem], int]:
    """What is wrong with the log, and how many entries it has; see `audit.verify`."""
    with gallery.reading() as session:
        return list(audit.verify(session, exported)), audit.size(session)


@needs(Right.AUDIT)
def export_head(gallery: Storage) -> Head:
    """The signed head, after an entry that says that it was exported."""
    with gallery.writing() as session:
        gallery.note(session, "head")
    with gallery.reading() as session:
        return audit.head(session)
