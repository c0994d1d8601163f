"""What a server has on record: the audit log and the accuracy reports."""

from __future__ import annotations

from itertools import islice
from typing import Any

from forensic.client import reading
from forensic.client.connection import Connection
from forensic.gallery.audit import Head
from forensic.gallery.models import AccuracyReport
from forensic.gallery.records import Choice


class Records:
    """The calls of `forensic.gallery.trail` and `forensic.gallery.reports`, with the same errors.

    Args:
        connection: The server's.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def entries(self, *, limit: int | None = None, choice: Choice) -> list[dict[str, Any]]:
        """The log's entries, newest first, as they were written."""
        asked = {"action": choice.action, "since": choice.since, "until": choice.until}
        params = {key: str(value) for key, value in asked.items() if value is not None}
        found = (entry for entry in self._connection.pages("/audit", reading.entry, **params) if choice.holds(entry))
        return list(islice(found, limit))

    def export_head(self) -> Head:
        """The signed end of the log; that it was exported is an entry itself."""
        return self._connection.get("/audit/head", reading.head)

    def reports(self) -> list[AccuracyReport]:
        """All reports, the newest first."""
        return list(self._connection.pages("/reports", reading.report))

    def report(self, number: int) -> AccuracyReport:
        """One report."""
        return self._connection.get(f"/reports/{number}", reading.report)
