"""Signing in and out."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from forensic.errors import RightsError
from forensic.web import sessions
from forensic.web.access import Visitor, allowed, cookie, cookie_of, for_anybody
from forensic.web.passwords import authenticate
from forensic.web.server import Server
from forensic.web.templating import page

router = APIRouter()
_PAGE = re.compile(r"/(?:[a-z0-9-][\w.-]*(?:/[\w.-]+)*)?", re.ASCII)


@router.get("/sign-in", dependencies=[for_anybody()])
def form(request: Request, to: str = "") -> Response:
    """The form: name and password, or the start key where the gallery has no users; ``to`` is the page to show then."""
    server: Server = request.app.state.server
    known = server.gallery.standing().users
    return page(request, "sign-in.html", None, users=known, error="", name="", to=_ours(to))


@router.post("/sign-in", dependencies=[for_anybody()])
def sign_in(
    request: Request,
    password: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    to: Annotated[str, Form()] = "",
) -> Response:
    """Sign in; what was wrong is not said."""
    server: Server = request.app.state.server
    try:
        user = authenticate(server, name, password, request.client.host if request.client else "")
    except RightsError as error:
        known = server.gallery.standing().users
        return page(request, "sign-in.html", None, status=403, users=known, error=str(error), name=name, to=_ours(to))
    if (old := cookie_of(request)) is not None:
        sessions.end(server.state, old)
    answer = RedirectResponse(_ours(to), 303)
    answer.set_cookie(value=sessions.begin(server.state, user), **cookie(server.settings))
    return answer


def _ours(path: str) -> str:
    """The path if it is one of this server's pages, else the first page's: a link may come from anybody.

    >>> _ours("/cases/7"), _ours("//elsewhere.example"), _ours("https://elsewhere.example"), _ours("/sign-in")
    ('/cases/7', '/', '/', '/')
    """
    return path if _PAGE.fullmatch(path) and path != "/sign-in" else "/"


@router.post("/sign-out")
def sign_out(request: Request, visitor: Annotated[Visitor, allowed()]) -> Response:
    """Sign out."""
    sessions.end(visitor.server.state, cookie_of(request) or "")
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(**cookie(visitor.server.settings))
    return answer
