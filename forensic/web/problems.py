"""Errors on their way out: as problem+json (RFC 9457) to programs, as a page to people.

Every error of the toolkit has one status; what is not the toolkit's own is a 500 whose cause is logged with the
request's number and shown to nobody.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from forensic.errors import (
    Changed,
    DataError,
    DuplicateError,
    FaceError,
    ForensicError,
    GalleryError,
    ImageError,
    ModelError,
    NotFound,
    RightsError,
    StaleIndex,
    UsageError,
)
from forensic.gallery.locks import Locked
from forensic.web.logs import faults

log = logging.getLogger("forensic.web")
TYPE = "urn:forensic:problem:"
UNEXPECTED = "Something went wrong inside the server; what was stored is whole. Give this number to whoever runs it."
"""For an error that is not the toolkit's own; `headers.Guard` answers it and puts its cause into the log."""

UNROUTED = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address. Check it, or begin at the first page.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address is there, but is not to be asked in this way.",
}
"""What is said where no route answers."""


class WebError(ForensicError):
    """An error that only a server has."""

    status = HTTPStatus.BAD_REQUEST


class SignedOut(WebError):
    """Nobody is signed in, or the token is none."""

    status = HTTPStatus.UNAUTHORIZED


class Forged(WebError):
    """A form that this server did not send: its CSRF token is missing or another one."""

    status = HTTPStatus.FORBIDDEN


class Conflict(WebError):
    """What was asked contradicts what is there."""

    status = HTTPStatus.CONFLICT


class TooLarge(WebError):
    """More bytes than the server takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Later(WebError):
    """Not now.

    Args:
        message: Why.
        seconds: When it may be tried again.
    """

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class TooMany(Later):
    """This user asks too often."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class Busy(Later):
    """All users together ask for more than can wait."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


STATUS: dict[type[ForensicError], HTTPStatus] = {  # the first that fits
    RightsError: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    DuplicateError: HTTPStatus.CONFLICT,
    Changed: HTTPStatus.CONFLICT,
    StaleIndex: HTTPStatus.CONFLICT,
    Locked: HTTPStatus.SERVICE_UNAVAILABLE,
    UsageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DataError: HTTPStatus.UNPROCESSABLE_ENTITY,
    ImageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    FaceError: HTTPStatus.UNPROCESSABLE_ENTITY,
    ModelError: HTTPStatus.INTERNAL_SERVER_ERROR,
    GalleryError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def status_of(error: ForensicError) -> HTTPStatus:
    """The status that an error ends a request with."""
    if isinstance(error, WebError):
        return error.status
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), HTTPStatus.BAD_REQUEST)


def with_fault(error: ForensicError | None) -> dict[str, Any]:
    """How a page is answered that says an error in its place, if there is one: its status, and the words."""
    if error is None:
        return {"status": HTTPStatus.OK.value, "fault": ""}
    return {"status": status_of(error).value, "fault": str(error)}


def status_of_kind(kind: str) -> HTTPStatus:
    """The status that goes with an error's name: that of an error which a job ended with.

    >>> int(status_of_kind("face")), int(status_of_kind("internal"))
    (422, 500)
    """
    known = {kind_of_class(one): status for one, status in STATUS.items()}
    known |= {kind_of_class(one): one.status for one in (Busy, Conflict, TooLarge)}
    return known.get(kind, HTTPStatus.INTERNAL_SERVER_ERROR)


def add_handlers(app: FastAPI) -> None:
    """Let every error of a route end in an answer."""
    app.add_exception_handler(ForensicError, _forensic)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


def answer(
    request: Request, status: HTTPStatus, detail: str, *, kind: str = "", headers: dict[str, str] | None = None
) -> Response:
    """An error's answer, in the form that the asker reads."""
    number = getattr(request.state, "request_id", "")
    if for_programs(request):
        problem = {
            "type": TYPE + (kind or status.phrase.lower().replace(" ", "-")),
            "title": status.phrase,
            "status": status.value,
            "detail": detail,
            "request_id": number,
        }
        return JSONResponse(problem, status.value, headers, media_type="application/problem+json")
    if status is HTTPStatus.UNAUTHORIZED and "hx-request" not in request.headers:
        asked = request.scope["path"] if request.method == "GET" else "/"
        return RedirectResponse(_sign_in(asked), HTTPStatus.SEE_OTHER)
    if status is HTTPStatus.UNAUTHORIZED:  # htmx would show nothing
        shown = _path(request.headers.get("hx-current-url", ""))
        headers = (headers or {}) | {"HX-Redirect": _sign_in(shown)}
    from forensic.web.templating import error_page

    return error_page(request, status, detail, number, headers)


def _path(url: str) -> str:
    """The path of a page's URL; empty where a stranger sends what is none.

    >>> _path("http://localhost/cases/7?x"), _path("http://[")
    ('/cases/7', '')
    """
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _sign_in(page: str) -> str:
    """Where to sign in, with the way back to a page; its query, which may name a person, does not go along."""
    return "/sign-in" if page in ("", "/") else f"/sign-in?{urlencode({'to': page}, safe='/')}"


def for_programs(request: Request) -> bool:
    """Whether the asker is a program, by the path."""
    path: str = request.scope["path"]  # the URL cannot be read where the Host header is a stranger's
    return path.startswith("/api/") or path == "/openapi.json"


def kind_of(error: ForensicError) -> str:
    """An error's name in a problem's type.

    >>> kind_of(NotFound("x")), kind_of(FaceError("x"))
    ('not-found', 'face')
    """
    return kind_of_class(type(error))


def kind_of_class(kind: type[ForensicError]) -> str:
    """As `kind_of`, of all errors of a class."""
    name = kind.__name__.removesuffix("Error")
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).strip("-")


async def _forensic(request: Request, error: Exception) -> Response:
    assert isinstance(error, ForensicError)
    status = status_of(error)
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, Later) else {}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", "5")
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request %s: %s", getattr(request.state, "request_id", ""), faults(error))
    return answer(request, status, str(error), kind=kind_of(error), headers=headers)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status, said = HTTPStatus(error.status_code), str(error.detail)
    if said == status.phrase:  # the router's own, which says no more
        said = UNROUTED.get(status, said)
    return answer(request, status, said, headers=dict(error.headers or {}))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Names of fields and what is wrong with them; never what was given, which may be a person's.
    said = "; ".join(f"{'.'.join(map(str, fault['loc'][1:])) or 'body'}: {fault['msg']}" for fault in error.errors())
    return answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, f"The request cannot be met: {said}.", kind="request")
