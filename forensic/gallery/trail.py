"""The audit log as a gallery's operators use it; `audit` writes and checks it."""

from __future__ import annotations

from typing import Any

from forensic.gallery import audit
from forensic.gallery.audit import Head
from forensic.gallery.records import Problem
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import Storage


@needs(Right.AUDIT)
def entries(gallery: Storage, *, action: str | None = None, limit: int | None = None) -> list[dict[str, Any]]:
    """The entries, newest first, as they were written."""
    with gallery.reading() as session:
        return audit.entries(session, action=action, limit=limit)


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
