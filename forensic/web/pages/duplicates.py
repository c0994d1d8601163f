"""People who may be one: pairs of photos, for a person to merge or to keep apart."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from forensic.errors import Changed
from forensic.gallery.rights import Right
from forensic.web import carrying, errands
from forensic.web.access import Visitor, allowed
from forensic.web.errands import ABOVE
from forensic.web.pages.jobs import Key, answer_of
from forensic.web.problems import with_fault
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
    return _found(request, key, visitor)


@router.post("/gallery/duplicates/{key}")
def settled(
    request: Request,
    key: Key,
    visitor: Analyst,
    kept: Annotated[str, Form()],
    other: Annotated[str, Form()],
    verdict: Annotated[str, Form(pattern="^(merge|keep)$")],
) -> Response:
    """Make two people one, or note that they are two; both as the page showed them."""
    settle = visitor.gallery.merge if verdict == "merge" else visitor.gallery.keep
    try:
        settle(carrying.shown(kept), carrying.shown(other))
    except Changed as error:
        return _found(request, key, visitor, error)
    return RedirectResponse(f"/gallery/duplicates/{key}", 303)


def _found(request: Request, key: str, visitor: Visitor, error: Changed | None = None) -> Response:
    answer = answer_of(visitor, key, "duplicates")
    if isinstance(answer, Response):
        return answer
    gallery = visitor.gallery
    with gallery.snapshot():
        pairs = errands.undecided(gallery, answer["pairs"])
        people = {photo.person_id: photo.person for pair in pairs for photo in pair.photos}
        shown = {number: carrying.packed(person, gallery.photos(person.label)) for number, person in people.items()}
    return page(
        request,
        "duplicates.html",
        visitor,
        **with_fault(error),
        routes=[],
        above=ABOVE,
        pairs=pairs,
        shown=shown,
        answer=answer,
        key=key,
    )
