"""What a server has on record: the audit log, what it tells of the expunged, accuracy reports; and its checks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensic.client import jobs, reading
from forensic.client.connection import Connection, Sent
from forensic.errors import UsageError
from forensic.gallery.checks.proving import Check, Tombstone
from forensic.gallery.checks.traces import Traces
from forensic.gallery.log import anchoring
from forensic.gallery.log.anchoring import Anchored
from forensic.gallery.log.audit import Head
from forensic.gallery.models import AccuracyReport
from forensic.gallery.records import Choice, Problem

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


class Records:
    """The calls of `forensic.gallery.log.trail`, `proving` and `reports`, and `Gallery.verify`, with the same errors.

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

    def verify(self, head: Head | None) -> list[Problem]:
        """Everything that is wrong with the gallery, its anchors too; that is for those who may read the log."""
        _, found = self._checked(head, everything=True)
        return found.problems

    def repair(self, source: Path | None, head: Head | None) -> tuple[list[Problem], list[Problem]]:
        """Not done here.

        Raises:
            UsageError: Always.
        """
        raise UsageError("--repair is for a gallery's folder: mend the gallery where it lies.")

    def verify_log(self, head: Head | None, roots: Sequence[Certificate]) -> tuple[int, Anchored]:
        """How many entries the log has; what is wrong with it or with its anchors."""
        return self._checked(head, roots)

    def tombstones(self) -> list[Tombstone]:
        """All expunges, the newest first."""
        return list(self._connection.pages("/expunged", reading.tombstone))

    def prove(self, number: int, *, texts: Sequence[str], photos: Sequence[Path], wipe: bool) -> list[Check]:
        """Look for traces of an expunged person; the texts are kept in the server's memory alone.

        Raises:
            UsageError: A photo was given: none of somebody who was removed goes back to a server.
        """
        if photos:
            raise UsageError("--photo is for a gallery's folder: nothing sends a removed person's photo to a server.")
        Traces.of(tuple(texts))  # an empty one is refused as on a folder
        sent = Sent(json={"texts": list(texts), "wipe": wipe}, unkept=True)
        return [Check(*one) for one in jobs.finished(self._connection, f"/expunged/{number}/proof", sent)["checks"]]

    def reports(self) -> list[AccuracyReport]:
        """All reports, the newest first."""
        return list(self._connection.pages("/reports", reading.report))

    def report(self, number: int) -> AccuracyReport:
        """One report."""
        return self._connection.get(f"/reports/{number}", reading.report)

    def _checked(
        self, head: Head | None, roots: Sequence[Certificate] = (), *, everything: bool = False
    ) -> tuple[int, Anchored]:
        asked = {
            "everything": everything,
            "head": None if head is None else head._asdict(),
            "certificates": anchoring.to_pem(roots),
        }
        job = jobs.ended(self._connection, "/gallery/check", Sent(json=asked))
        return self._connection.get(f"/gallery/check/{job['id']}", reading.checked)
