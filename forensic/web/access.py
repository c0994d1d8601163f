"""Who may ask for what: every route declares what it needs, in one way.

    @router.get("/cases")
    def cases(visitor: Annotated[Visitor, allowed(Right.READ_CASE)]) -> ...

A route that declares nothing does not start (`app.create` looks), and the gallery's own functions ask once more.
"""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple, TypedDict, cast

from fastapi import Depends, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from forensic.errors import RightsError
from forensic.gallery import Gallery, users
from forensic.gallery.rights import RIGHTS, Operator, Right, check
from forensic.web import sessions
from forensic.web.headers import SAFE
from forensic.web.problems import Forged, SignedOut, for_programs
from forensic.web.server import Server
from forensic.web.settings import Settings
from forensic.web.state import Visit


class Fields(TypedDict, total=False):
    """Bounds of a form, as Starlette and FastAPI name them."""

    max_files: int
    max_fields: int
    max_part_size: int


COOKIE = "forensic"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""Where browsers come by https: they take a cookie of this name from this very host alone, and by https."""
FIELDS: Fields = {"max_files": 1000, "max_fields": 1000, "max_part_size": 1 << 18}
"""Bounds of a form: how many files and fields, and how many bytes of each field."""


class Known(NamedTuple):
    """Who is signed in.

    Attributes:
        user: The name; None for the system's account, in a gallery without users.
        scopes: What a token may do; None for a browser.
        visit: The browser's.
    """

    user: str | None
    scopes: frozenset[str] | None
    visit: Visit | None


class Visitor(NamedTuple):
    """Who is asking.

    Attributes:
        operator: As the log names them; the role is today's.
        user: The name of a user; None for the system's account, in a gallery without users.
        gallery: The gallery, with them at work in it.
        server: All else.
        scopes: What a token may do; None for a browser, which may do what its user may.
        visit: The browser's.
        request_id: Stands in the audit log's entries, in answers and in the server's log.
    """

    operator: Operator
    user: str | None
    gallery: Gallery
    server: Server
    scopes: frozenset[str] | None
    visit: Visit | None
    request_id: str

    def may(self, right: Right) -> bool:
        """Whether they have a right, for a page that shows or hides what needs it."""
        if self.scopes is not None and right.name.lower() not in self.scopes:
            return False
        return self.user is None or self.operator.role in RIGHTS[right]


def allowed(*rights: Right, in_person: bool = False, batch: bool = False) -> Any:
    """A dependency: the visitor, who is signed in and has these rights; with none, anybody who is signed in.

    Args:
        rights: What the role has to have, and a token as scopes.
        in_person: Refuse tokens, as for what would outlast them: a password, another token.
        batch: Take uploads of several files, up to ``Settings.batch_bytes``.

    Raises:
        SignedOut: Nobody is signed in.
        Forged: A browser's write without the form's token.
        RightsError: Role or token lacks a right.
    """

    async def visitor(request: Request) -> Visitor:
        known: Visitor | None = getattr(request.state, "visitor", None)
        if known is not None:  # `routing.Route` asked before it read the body
            return known
        found = await run_in_threadpool(_known_visitor, request, rights, in_person)
        if request.method not in SAFE and found.visit is not None:
            await _check_form(request, found.visit)
        request.state.visitor = found
        return found

    visitor.rights, visitor.batch = rights, batch  # type: ignore[attr-defined]
    return Depends(visitor)


def for_anybody() -> Any:
    """A dependency that says, for the walk over all routes, that a route is open to people who are not signed in."""

    def anybody() -> None:
        return None

    anybody.rights, anybody.batch = None, False  # type: ignore[attr-defined]
    return Depends(anybody)


def known(server: Server, request: Request) -> Known:
    """Who is signed in, by the request's headers alone.

    Raises:
        SignedOut: Nobody is: signed out, timed out, or another password, role or user since.
    """
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = sessions.token(server.state, secret.strip())
        if token is None:
            raise SignedOut("The token is unknown or has ended. Make another one.")
        return Known(token.user, frozenset(token.scopes.split()), None)
    value = cookie_of(request)
    visit = sessions.find(server.state, value, server.settings) if value else None
    if visit is None:
        raise SignedOut("Sign in first.")
    return Known(visit.user, None, visit)


def cookie(settings: Settings) -> dict[str, Any]:
    """Name and attributes of the cookie that signs a browser in."""
    name = SECURE_COOKIE if settings.https else COOKIE
    return {"key": name, "httponly": True, "samesite": "strict", "secure": settings.https, "path": "/"}


def cookie_of(request: Request) -> str | None:
    """The value of that cookie, if the request has it."""
    server: Server = request.app.state.server
    return request.cookies.get(cookie(server.settings)["key"])


def _known_visitor(request: Request, rights: tuple[Right, ...], in_person: bool) -> Visitor:
    server: Server = request.app.state.server
    with server.gallery.snapshot():  # who they are and what they may do, in one transaction
        return _visitor(server, request, rights, in_person)


def _visitor(server: Server, request: Request, rights: tuple[Right, ...], in_person: bool) -> Visitor:
    user, scopes, visit = known(server, request)
    gallery = server.gallery
    try:
        operator = Operator.of_system() if user is None else users.as_operator(gallery, user)
    except RightsError:  # removed within this very moment
        raise SignedOut("Sign in first.") from None
    number = getattr(request.state, "request_id", "")
    operator = operator._replace(request=number)
    acting = gallery.acting_as(operator)
    if scopes is not None or for_programs(request):
        request.state.headers = server.rate.count(operator.name)
    found = Visitor(operator, user, acting, server, scopes, visit, number)
    _check_rights(found, rights, in_person)
    return found


def _check_rights(visitor: Visitor, rights: tuple[Right, ...], in_person: bool) -> None:
    if in_person and visitor.scopes is not None:
        raise RightsError("A token may not do this: sign in with your password.")
    for right in rights:
        if visitor.scopes is not None and right.name.lower() not in visitor.scopes:
            raise RightsError(f"This token may not {right}: it lacks the scope {right.name.lower()!r}.")
        check(visitor.gallery, right)


async def _check_form(request: Request, visit: Visit) -> None:
    """A write by a browser carries the token of a page that this server sent to it."""
    given = request.headers.get("x-csrf-token")
    if given is None and request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        field = (await form_of(request)).get("csrf")
        given = field if isinstance(field, str) else None
    if given is None or not secrets.compare_digest(given.encode(errors="replace"), visit.csrf.encode()):
        raise Forged("This form is out of date, or was not sent from this site. Load the page anew.")


async def form_of(request: Request) -> FormData:
    """The form, of a route that has not read it itself.

    Raises:
        HTTPException: It is none, or has too many or too large fields.
    """
    try:
        request.state.form = await request.form(**FIELDS)  # `Guard` closes its files
        return cast("FormData", request.state.form)
    except HTTPException:
        raise
    except Exception:  # the parsers' own errors have no common base
        raise HTTPException(400, "The body is no form.") from None
