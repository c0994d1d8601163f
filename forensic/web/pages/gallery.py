"""The gallery: who is enrolled, a page of them at a time. What somebody asks for is never in an address."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from forensic.errors import UsageError
from forensic.gallery import browsing
from forensic.gallery.rights import Right
from forensic.web import errands
from forensic.web.access import Visitor, allowed
from forensic.web.bounds import LARGEST
from forensic.web.forms import Fields, columns, whole
from forensic.web.pages.jobs import Key, answer_of
from forensic.web.templating import page

router = APIRouter()
PEOPLE = 24
"""On one page: what 2, 3, 4 and 6 columns divide."""


@router.get("/gallery")
def first(request: Request, visitor: Annotated[Visitor, allowed(Right.VIEW)]) -> Response:
    """The first people by their labels, and the form that asks for others."""
    return _shown(request, visitor, {})


@router.post("/gallery")
def chosen(request: Request, visitor: Annotated[Visitor, allowed(Right.VIEW)], fields: Fields) -> Response:
    """People with certain metadata, and further pages of them."""
    return _shown(request, visitor, fields)


@router.post("/gallery/reindex")
def reindexing(visitor: Annotated[Visitor, allowed(Right.ENROLL)], route: Annotated[str, Form()]) -> Response:
    """Make the templates that a route lacks."""
    return RedirectResponse(f"/jobs/{errands.reindex(visitor, route).id}", 303)


@router.get("/gallery/reindexed/{key}")
def reindexed(request: Request, key: Key, visitor: Annotated[Visitor, allowed(Right.ENROLL)]) -> Response:
    """What making templates came to."""
    answer = answer_of(visitor, key, "reindex")
    if isinstance(answer, Response):
        return answer
    return page(request, "reindexed.html", visitor, answer=answer)


def _shown(request: Request, visitor: Visitor, fields: dict[str, str]) -> Response:
    where = columns(fields)
    if person := fields.get("person", "").strip():
        where["person"] = person
    number = _page(fields.get("page", "1"))
    found = browsing.page(visitor.gallery, where, limit=PEOPLE, offset=(number - 1) * PEOPLE)
    values: dict[str, Any] = {
        "fields": fields,
        "filtered": bool(where),
        "found": found,
        "number": number,
        "last": max(1, -(-found.total // PEOPLE)),
        "size": visitor.gallery.size(),
    }
    if "hx-request" in request.headers:
        return page(request, "parts/people.html", visitor, **values)
    state = browsing.upkeep(visitor.gallery) if visitor.may(Right.ENROLL) else None
    return page(request, "gallery.html", visitor, **values, state=state)


def _page(text: str) -> int:
    number = whole(text, LARGEST // PEOPLE)
    if number is None:
        raise UsageError(f"The page's number is {text[:20]!r}; expected 1 to {LARGEST // PEOPLE}.")
    return number
