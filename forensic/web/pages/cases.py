"""Cases: the list, one of them, opening one, adding sketches."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import RedirectResponse, Response

from forensic import casework
from forensic.errors import ImageError, UsageError
from forensic.gallery.casework import cases, listing
from forensic.gallery.casework.cases import Drawing, Kind
from forensic.gallery.casework.casework_models import Case
from forensic.gallery.rights import Right
from forensic.web import uploads
from forensic.web.access import Visitor, allowed
from forensic.web.bounds import Line, Words
from forensic.web.pages.parameters import LENGTH, Before, Number
from forensic.web.problems import Later, TooLarge
from forensic.web.templating import page

router = APIRouter()
SEARCHES = 200
"""Searches that a case's page and its time line show; the others are in the list of searches."""
Stated = Annotated[Line, Form()]
Told = Annotated[Words, Form()]


@router.get("/")
def home(request: Request, visitor: Annotated[Visitor, allowed()]) -> Response:
    """Where somebody's work begins."""
    return RedirectResponse("/cases" if visitor.may(Right.READ_CASE) else "/gallery", 303)


@router.get("/cases")
def listed(request: Request, visitor: Annotated[Visitor, allowed(Right.READ_CASE)], before: Before = None) -> Response:
    """Cases, the newest first, and the form that opens one."""
    return _list(request, visitor, before)


@router.post("/cases")
def opened(
    request: Request,
    visitor: Annotated[Visitor, allowed(Right.CASE, Right.READ_CASE)],
    reference: Stated = "",
    purpose: Told = "",
    legal_basis: Told = "",
) -> Response:
    """Open a case; what was entered stays where it cannot be."""
    try:
        cases.open_case(visitor.gallery, reference, purpose=purpose, legal_basis=legal_basis)
    except UsageError as error:
        given = {"reference": reference, "purpose": purpose, "legal_basis": legal_basis}
        return _list(request, visitor, None, error=str(error), given=given)
    return RedirectResponse(f"/cases/{cases.find(visitor.gallery, reference).id}", 303)


@router.get("/cases/{number}")
def shown(request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.READ_CASE)]) -> Response:
    """A case: its facts, sketches, searches, decisions and time line."""
    return _case(request, visitor, cases.by_number(visitor.gallery, number))


@router.post("/cases/{number}/sketches")
def added(
    request: Request,
    number: Number,
    visitor: Annotated[Visitor, allowed(Right.CASE, Right.READ_CASE)],
    file: Annotated[list[UploadFile], File()],
    kind: Annotated[Kind, Form()],
    made_by: Stated = "",
    described_by: Stated = "",
    drawn_on: Stated = "",
    searching: Annotated[bool, Form()] = False,
) -> Response:
    """Add sketches; ``searching`` where they are for a search that is being prepared."""
    case = cases.by_number(visitor.gallery, number)
    held = {sketch.id for sketch in listing.sketches(visitor.gallery, number)}
    about = (kind, made_by.strip() or None, described_by.strip() or None, drawn_on.strip() or None)
    told = [_add(visitor, case, one, about) for one in file]
    refused = [one.words for one in told if one.sketch is None]
    numbers = list(dict.fromkeys(one.sketch for one in told if one.sketch is not None))
    if "hx-request" in request.headers:
        return _part(request, visitor, case, numbers, held, refused)
    if refused:
        return _case(request, visitor, case, refused=refused, count=len(numbers), status=422)
    chosen = "&".join(f"sketch={number}" for number in numbers)
    return RedirectResponse(f"/cases/{number}/search?{chosen}" if searching else f"/cases/{number}#sketches", 303)


def _part(
    request: Request, visitor: Visitor, case: Case, numbers: Sequence[int], held: Set[int], refused: Sequence[str]
) -> Response:
    """The part of a search's form that tells of added sketches; those of them that were held before are not new."""
    sketches = listing.sketches(visitor.gallery, case.id)
    new = [sketch for sketch in sketches if sketch.id in numbers and sketch.id not in held]
    return page(
        request,
        "parts/sketches-added.html",
        visitor,
        headers={"HX-Reswap": "afterbegin show:top"} if new else None,  # else what is said stays in view
        case=case,
        sketches=new,
        refused=refused,
        there=[number for number in numbers if number in held],
    )


class _Added(NamedTuple):
    """What became of an uploaded file: a sketch with a number, or words that say why not."""

    sketch: int | None
    words: str = ""


def _add(visitor: Visitor, case: Case, file: UploadFile, about: tuple[Any, ...]) -> _Added:
    try:
        if not file.filename:
            raise UsageError("No file was chosen.")
        name, picture = uploads.take_picture(visitor.server, file)
        return _Added(cases.add_sketch(visitor.gallery, case.reference, Drawing(picture.data, name, *about)))
    except (UsageError, ImageError, TooLarge, Later) as error:
        return _Added(None, str(error))


def _list(
    request: Request, visitor: Visitor, before: int | None, *, error: str = "", given: dict[str, str] | None = None
) -> Response:
    found = listing.cases(visitor.gallery, before=before, limit=LENGTH + 1)
    return page(
        request,
        "cases.html",
        visitor,
        status=422 if error else 200,
        cases=found[:LENGTH],
        older=found[LENGTH - 1].id if len(found) > LENGTH else None,
        before=before,
        error=error,
        given=given or {},
    )


def _case(
    request: Request, visitor: Visitor, case: Case, *, refused: Sequence[str] = (), count: int = 0, status: int = 200
) -> Response:
    sketches = listing.sketches(visitor.gallery, case.id)
    searches = listing.searches(visitor.gallery, case=case.id, limit=SEARCHES + 1)
    waiting = [
        view
        for view in visitor.server.jobs.under_way(visitor.operator.name, "search")
        if view.job.asked["case"] == case.reference
    ]
    return page(
        request,
        "case.html",
        visitor,
        status=status,
        case=case,
        sketches=sketches,
        searches=searches[:SEARCHES],
        more=len(searches) > SEARCHES,
        events=casework.timeline(case, sketches, searches[:SEARCHES]),
        waiting=waiting,
        refused=refused,
        count=count,
        kinds=KINDS,
    )


KINDS = {
    Kind.FORENSIC: "drawn by an artist from a witness's memory",
    Kind.COMPOSITE: "put together with software",
    Kind.VIEWED: "drawn from a photo or a video",
}
"""What a form says of each kind of sketch, the most usual one first."""
