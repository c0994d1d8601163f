"""Reports of searches and cases, and the export of a case, as files."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from forensic.casefile import writing
from forensic.casefile.reporting import Form
from forensic.gallery.casework import cases
from forensic.gallery.rights import Right
from forensic.web import reporting
from forensic.web.access import Visitor, allowed
from forensic.web.api.models import SIGNED_IN, InPath, failing
from forensic.web.routing import Route

router = APIRouter(tags=["reports"], route_class=Route)
RESPONSES = {200: reporting.DESCRIBED, **failing(*SIGNED_IN, 404)}
ZIP = "application/zip"
EXPORT: dict[str, Any] = {
    "description": "The export.",
    "content": {ZIP: {"schema": {"type": "string", "format": "binary"}}},
}


@router.get(
    "/searches/{number}/report.{form}",
    response_class=Response,
    responses=RESPONSES,
    operation_id="report_search",
)
def of_search(
    request: Request, visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: InPath, form: Form
) -> Response:
    """The report of a search, as far as the caller may see it; each copy is on record."""
    return reporting.of_search(request, visitor, number, form)


@router.get(
    "/cases/{number}/report.{form}",
    response_class=Response,
    responses=RESPONSES,
    operation_id="report_case",
)
def of_case(
    request: Request, visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: InPath, form: Form
) -> Response:
    """The report of a case, as far as the caller may see it; each copy is on record."""
    return reporting.of_case(request, visitor, number, form)


@router.get(
    "/cases/{number}/export.zip",
    response_class=Response,
    responses={200: EXPORT, **failing(*SIGNED_IN, 404)},
    operation_id="export_case",
)
def exported(visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: InPath) -> Response:
    """A case as one signed file, as far as the caller may see it; each export is on record.

    `forensic case verify` checks such a file without the gallery.
    """
    reference = cases.by_number(visitor.gallery, number).reference
    made = writing.pack(visitor.gallery, reference, decode=visitor.server.decoder.decode)
    headers = {"content-disposition": f'attachment; filename="case-{number}.zip"'}
    return Response(made.content, headers=headers, media_type=ZIP)
