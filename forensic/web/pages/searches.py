"""Searches on record: the list, one with its candidates, and repeating one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from forensic import casework, search_records
from forensic.candidates import NO_SUPPORT
from forensic.gallery.casework import cases, listing
from forensic.gallery.rights import Right
from forensic.web import asking, views
from forensic.web.access import Visitor, allowed
from forensic.web.bounds import LARGEST
from forensic.web.pages.parameters import LENGTH, Before, Number
from forensic.web.templating import page

router = APIRouter()


@router.get("/searches")
def listed(
    request: Request,
    visitor: Annotated[Visitor, allowed(Right.READ_CASE)],
    case: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
    before: Before = None,
) -> Response:
    """Searches, the newest first; of one case, by its number, or all."""
    found = listing.searches(visitor.gallery, case=case, before=before, limit=LENGTH + 1)
    return page(
        request,
        "searches.html",
        visitor,
        case=None if case is None else cases.by_number(visitor.gallery, case),
        searches=found[:LENGTH],
        older=found[LENGTH - 1].number if len(found) > LENGTH else None,
        before=before,
    )


@router.get("/searches/{number}")
def shown(request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.READ_CASE)]) -> Response:
    """A search: what it was made with, what was searched, the candidates, and what examiners say of them."""
    view = views.search(visitor.gallery, number)
    record, settings = view.record, visitor.server.settings
    before = search_records.repeats(record)
    repeated = None if before is None else cases.searched(visitor.gallery, before)
    held = {sketch.sha256: sketch for sketch in view.sketches}
    return page(
        request,
        "search.html",
        visitor,
        search=view,
        record=record,
        purpose=record["purpose"] if view.case is None else view.case.purpose,
        probes=[(index, held.get(sha256), sha256) for index, sha256 in enumerate(record["probes"])],
        complete=all(sha256 in held for sha256 in record["probes"]),
        offered=record["route"] in settings.routes,
        synthesized="sketch-to-photo" in record["route"] and record["route"] in settings.routes,
        unsupported=NO_SUPPORT if view.calibration is not None and record["supported"] is False else "",
        repeated=None if repeated is None else (before, *casework.compared(repeated.record, record)),
    )


@router.post("/searches/{number}/repetitions")
def repeated(number: Number, visitor: Annotated[Visitor, allowed(Right.SEARCH, Right.READ_CASE)]) -> Response:
    """Repeat a search, to see whether the list is the same to the byte."""
    return RedirectResponse(f"/jobs/{asking.repetition(visitor, number).id}", 303)
