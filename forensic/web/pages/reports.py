"""Reports of searches and cases, to read and to keep."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response

from forensic.casefile.reporting import Form
from forensic.gallery.rights import Right
from forensic.web import reporting
from forensic.web.access import Visitor, allowed
from forensic.web.pages.parameters import Number

router = APIRouter()


@router.get("/searches/{number}/report.{form}")
def of_search(
    request: Request, visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: Number, form: Form
) -> Response:
    """The report of a search."""
    return reporting.of_search(request, visitor, number, form)


@router.get("/cases/{number}/report.{form}")
def of_case(
    request: Request, visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: Number, form: Form
) -> Response:
    """The report of a case."""
    return reporting.of_case(request, visitor, number, form)
