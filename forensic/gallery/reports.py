"""Accuracy reports: evaluations' results, kept in the gallery's database."""

import json
from typing import Any

from sqlalchemy import select

from forensic.errors import NotFound, UsageError
from forensic.gallery.models import AccuracyReport
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import Storage


@needs(Right.VIEW)
def save(gallery: Storage, title: str, data: Any) -> int:
    """Keep a report.

    Args:
        gallery: where it is kept.
        title: what it is listed under.
        data: a JSON document: objects with text keys, lists, text, finite numbers, true, false, null.

    Returns:
        The report's number.

    Raises:
        UsageError: ``data`` would not come back from JSON as it is.
    """
    try:
        same = json.loads(json.dumps(data, allow_nan=False)) == data
    except (TypeError, ValueError) as error:
        raise UsageError(f"Report {title!r} is no JSON document: {error}.") from error
    if not same:
        raise UsageError(f"Report {title!r} is no JSON document: use lists for tuples and text for keys.")
    with gallery.writing() as session:
        report = AccuracyReport(title=title, data=data)
        session.add(report)
        session.flush()
        gallery.note(session, "report", report=report.id)
        return report.id


@needs(Right.VIEW)
def listed(gallery: Storage) -> list[AccuracyReport]:
    """All reports, the newest first."""
    with gallery.reading() as session:
        return list(session.scalars(select(AccuracyReport).order_by(AccuracyReport.id.desc())))


@needs(Right.VIEW)
def show(gallery: Storage, number: int) -> AccuracyReport:
    """One report.

    Raises:
        GalleryError: there is none with this number.
    """
    with gallery.reading() as session:
        report = session.get(AccuracyReport, number)
    if report is None:
        raise NotFound(f"There is no report {number}; 'forensic reports list' shows those there are.")
    return report
