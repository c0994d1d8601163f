"""Enrolling at a server: photos are sent in batches, each of which is whole once its job has ended.

The server finds faces, judges quality and describes photos. What it has already is passed over, so that the same
command goes on where it was interrupted.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import NamedTuple

from forensic.client import jobs, reading
from forensic.client.connection import Connection, File, Sent
from forensic.enrollment import Failure, Passed, Summary, read
from forensic.gallery import exchange
from forensic.intake import Item, shared_names

FILES = 32
"""Photos of a batch at most."""
BYTES = 32 * 1024 * 1024
"""And their bytes, unless one alone has more."""
LOOK = 2
"""Seconds between two looks at how far a batch is."""
CONFLICT = "the same image is enrolled for somebody else, or is the sketch of a case."


class Row(NamedTuple):
    """A photo on its way.

    Attributes:
        item: What is enrolled.
        data: Its bytes.
    """

    item: Item
    data: bytes


def enroll(
    connection: Connection,
    items: Sequence[Item],
    *,
    keep_until: date | None,
    progress: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Enroll files: `forensic.enrollment.enroll` at a server.

    Args:
        connection: The server's.
        items: What to enroll.
        keep_until: Last day (UTC) on which new people may be kept, where their item says nothing of it.
        progress: Called as photos are dealt with.

    Raises:
        ForensicError: The server cannot be reached, or takes no more; what was sent before stays.
    """
    summary = Summary(warnings=shared_names(items))
    for batch in _batches(items, summary):

        def watch(job: reading.Plain) -> None:
            progress(replace(summary, already=summary.already + job["done"]))  # which are new is known at the end

        for told in _send(connection, batch, keep_until, watch):
            if (
                told["index"] is not None
            ):  # else a row whose file the server knows by another name: that one is told too
                _count(summary, batch[told["index"]].item, told)
        progress(summary)
    progress(summary)
    return summary


def reindex(connection: Connection, route: str, *, everything: bool, progress: Callable[[int, int], None]) -> Summary:
    """Make the templates that a route needs: `forensic.identify.Identifier.reindex` at a server.

    Args:
        connection: The server's.
        route: Name of a matcher that the server offers.
        everything: Also of the photos that have one.
        progress: Called with how many are done, of how many.

    Raises:
        ForensicError: As there; the server does not offer the route.
    """

    def watch(job: reading.Plain) -> None:
        if job["total"]:
            progress(job["done"], job["total"])

    sent = Sent(json={"route": route, "everything": everything})
    job = jobs.ended(connection, "/gallery/indexing", sent, watch=watch, every=LOOK)
    return connection.get(f"/gallery/indexing/{job['id']}", _indexed)


def _indexed(answer: reading.Plain) -> Summary:
    return Summary(enrolled=answer["described"], failures=[Failure(**failure) for failure in answer["failures"]])


def _batches(items: Sequence[Item], summary: Summary) -> Iterator[list[Row]]:
    """Photos that can be read, in the items' order; what cannot goes into the summary.

    The files of a batch have different names, since its table names them.
    """
    batch: list[Row] = []
    for item in items:
        content = read(item)
        if isinstance(content, Failure):
            summary.failures.append(content)
        elif isinstance(content, Passed):
            summary.passed += 1
            summary.warnings.append(f"{item.name}: passed over, {content.reason}.")
        else:
            row = Row(item, content[0])
            if batch and not _fits(batch, row):
                yield batch
                batch = []
            batch.append(row)
    if batch:
        yield batch


def _fits(batch: Sequence[Row], row: Row) -> bool:
    names = {one.item.file_name for one in batch}
    size = sum(len(one.data) for one in batch) + len(row.data)
    return len(batch) < FILES and size <= BYTES and row.item.file_name not in names


def _send(
    connection: Connection, batch: Sequence[Row], keep_until: date | None, watch: jobs.Watch
) -> list[reading.Plain]:
    """Send a batch and wait for its end; what became of each file, by its ``index``."""
    files = [("files", File(row.item.file_name, row.data)) for row in batch]
    until = {"keep_until": keep_until.isoformat()} if keep_until else None
    sent = Sent(data=until, files=[*files, ("table", File("table.csv", _table(batch)))])
    told: list[reading.Plain] = jobs.finished(connection, "/enrollments", sent, watch=watch, every=LOOK)["files"]
    return told


def _count(summary: Summary, item: Item, told: reading.Plain) -> None:
    """Add what became of a file, in the words of an enrollment on a folder."""
    status, reasons = told["status"], list(told["reasons"])
    if status in ("enrolled", "already"):
        if status == "enrolled":
            summary.enrolled += 1
            reasons += item.record.warnings if item.record else ()
        else:
            summary.already += 1
        summary.warnings += [f"{item.name}: {reason}" for reason in reasons]
    elif status == "conflict":
        summary.failures.append(Failure(item.name, CONFLICT))
    elif told["verdict"] == "refuse":
        summary.failures.append(Failure(item.name, f"the policy on quality refuses it: {'; '.join(reasons)}."))
    else:
        summary.failures.append(Failure(item.name, " ".join(reasons)))


def _table(batch: Sequence[Row]) -> bytes:
    """The table that says whose photos these are, with what is known of them."""
    rows = [{"person": row.item.person, "file": row.item.file_name, **row.item.metadata} for row in batch]
    columns = list(dict.fromkeys(column for written in rows for column in written))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    for cells in (dict(zip(columns, columns, strict=True)), *rows):
        writer.writerow({column: exchange.escape(cell) for column, cell in cells.items()})
    return text.getvalue().encode()
