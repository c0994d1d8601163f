"""People who may be one: pairs of photos, for a person to merge or to keep apart."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from forensic.gallery.records import Shown
from forensic.gallery.rights import Right
from forensic.web import errands
from forensic.web.access import Visitor, allowed
from forensic.web.api.models import LARGEST
from forensic.web.errands import ABOVE
from forensic.web.pages.jobs import Key, answer_of
from forensic.web.templating import page

router = APIRouter()
Analyst = Annotated[Visitor, allowed(Right.ENROLL)]


@router.get("/gallery/duplicates")
def form(request: Request, visitor: Analyst) -> Response:
    """The form that has all photos compared."""
    routes = errands.comparable(visitor)
    return page(request, "duplicates.html", visitor, routes=routes, above=ABOVE, pairs=None, answer=None, key="")


@router.post("/gallery/duplicates")
def asked(visitor: Analyst, route: Annotated[str, Form()], above: Annotated[float, Form()]) -> Response:
    """Compare all photos of different people."""
    return RedirectResponse(f"/jobs/{errands.duplicates(visitor, route, above).id}", 303)


@router.get("/gallery/duplicates/{key}")
def found(request: Request, key: Key, visitor: Analyst) -> Response:
    """The pairs that were found, but for those that somebody has dealt with since."""
    answer = answer_of(visitor, key, "duplicates")
    if isinstance(answer, Response):
        return answer
    pairs = errands.undecided(visitor.gallery, answer["pairs"])
    return page(request, "duplicates.html", visitor, routes=[], above=ABOVE, pairs=pairs, answer=answer, key=key)


@router.post("/gallery/duplicates/{key}")
def settled(
    key: Key,
    visitor: Analyst,
    kept: Annotated[int, Form(ge=1, le=LARGEST)],
    other: Annotated[int, Form(ge=1, le=LARGEST)],
    verdict: Annotated[str, Form(pattern="^(merge|keep)$")],
) -> Response:
    """Make two people one, or note that they are two; both are given by their numbers."""
    first, second = (Shown(visitor.gallery.person_by_number(number).label, number) for number in (kept, other))
    if verdict == "merge":
        visitor.gallery.merge(first, second)
    else:
        visitor.gallery.keep(first, second)
    return RedirectResponse(f"/gallery/duplicates/{key}", 303)
