"""Stored accuracy reports: the list, and one with its tables and plots."""

from __future__ import annotations

import threading
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from forensic.errors import NotFound
from forensic.evaluation import page as report_page
from forensic.evaluation.page import Section
from forensic.gallery import reports
from forensic.gallery.models import AccuracyReport
from forensic.gallery.rights import Right
from forensic.web.access import Visitor, allowed
from forensic.web.pages.parameters import Number
from forensic.web.templating import page

router = APIRouter()
Viewer = Annotated[Visitor, allowed(Right.VIEW)]
_drawing = threading.Lock()
"""Matplotlib's settings are the process's: one report is drawn at a time."""


@router.get("/accuracy")
def listed(request: Request, visitor: Viewer) -> Response:
    """All reports, the newest first."""
    return page(request, "accuracy.html", visitor, reports=reports.listed(visitor.gallery))


@router.get("/accuracy/colours.css")
def colours(visitor: Viewer) -> Response:
    """The curves' colours, light and dark, as the plots have them."""
    return Response(report_page.colours(), media_type="text/css")


@router.get("/accuracy/{number}")
def shown(request: Request, number: Number, visitor: Viewer) -> Response:
    """One report with its tables and plots."""
    stored = reports.show(visitor.gallery, number)
    return page(
        request,
        "accuracy-report.html",
        visitor,
        stored=stored,
        report=stored.data,
        sections=_sections(visitor, stored),
        title=report_page.title_of(stored.data),
    )


@router.get("/accuracy/{number}/{section}/{place}.svg")
def plot(number: Number, section: str, place: Annotated[int, Path(ge=0, le=999)], visitor: Viewer) -> Response:
    """A plot of a report, as a picture of its own."""
    found = _sections(visitor, reports.show(visitor.gallery, number))
    pictures = next((one.figures for one in found if one.id == section), [])
    if place >= len(pictures):
        raise NotFound(f"Report {number} has no such plot.")
    return Response(report_page.standalone(pictures[place]), media_type="image/svg+xml")


def _sections(visitor: Visitor, stored: AccuracyReport) -> list[Section]:
    def make() -> list[Section]:
        with _drawing:
            return report_page.sections(stored.data)

    return visitor.server.engine.kept(("report", stored.id), make)
