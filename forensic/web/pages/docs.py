"""The API's reference, from its own document, for people; and the document, for programs."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from forensic.web import reference
from forensic.web.access import for_anybody
from forensic.web.api.document import PATH, document
from forensic.web.templating import page

router = APIRouter()


@router.get(PATH, dependencies=[for_anybody()])
def described(request: Request) -> Response:
    """The OpenAPI document."""
    return JSONResponse(document(request.app))


@router.get("/docs", dependencies=[for_anybody()])
def shown(request: Request) -> Response:
    """The reference."""
    found = document(request.app)
    return page(
        request,
        "docs.html",
        None,
        version=found["info"]["version"],
        parts=reference.parts(found),
        models=reference.models(found),
        notes=reference.notes(found),
        marked=reference.marked,
        base=str(request.base_url).rstrip("/"),
        document=PATH,
    )
