"""When each user was changed last, by the log: there nothing is changed back."""

from __future__ import annotations

import threading

from sqlalchemy import Connection, func, select

from forensic.gallery.casework.casework_models import AuditEntry
from forensic.gallery.log import audit


class Changes:
    """Numbers of the last entries about users: the log is read once, and then what was added to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read = 0
        self._last: dict[str, int] = {}

    def last(self, connection: Connection, user: str) -> int:
        """Number of the last entry that changed a user; 0 if none did.

        It may be of a later moment than the connection's snapshot, where another thread has seen more of the log.
        """
        end = connection.scalars(select(func.max(AuditEntry.number))).one() or 0
        with self._lock:
            if end > self._read:
                added = select(AuditEntry.entry).where(AuditEntry.number > self._read, AuditEntry.number <= end)
                about = AuditEntry.entry.contains('"action":"user-', autoescape=True)  # few of them are read in full
                for text in connection.scalars(added.where(about).order_by(AuditEntry.number)):
                    entry = audit.read(text)
                    if entry and entry["action"].startswith("user-"):
                        self._last[str(entry["details"].get("user"))] = int(entry["number"])
                self._read = end
            return self._last.get(user, 0)
