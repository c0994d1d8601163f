"""One's own account: the password, and tokens for programs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from forensic.errors import RightsError, UsageError
from forensic.gallery import users
from forensic.gallery.rights import Right
from forensic.web import sessions
from forensic.web.access import Visitor, allowed, cookie
from forensic.web.pages.parameters import Number
from forensic.web.passwords import authenticate
from forensic.web.templating import page

router = APIRouter()
Secret = Annotated[str, Form(max_length=1000)]


@router.get("/account")
def shown(request: Request, visitor: Annotated[Visitor, allowed()]) -> Response:
    """The visitor's own account."""
    return _shown(request, visitor)


@router.post("/account/password")
def password_changed(
    request: Request, visitor: Annotated[Visitor, allowed(in_person=True)], old: Secret, password: Secret, again: Secret
) -> Response:
    """Change one's own password, which ends all other visits and all tokens."""
    if visitor.user is None:
        raise UsageError("The key that 'forensic serve' prints is no password: it is another one at each start.")
    if password != again:
        raise UsageError("The two new passwords differ: type the same one twice.")
    try:
        authenticate(visitor.server, visitor.user, old, request.client.host if request.client else "")
    except RightsError:
        raise UsageError("The old password is wrong: nothing was changed.") from None
    users.set_password(visitor.gallery, visitor.user, password)
    state = visitor.server.state
    sessions.end_all(state, visitor.user)
    answer = RedirectResponse("/account", 303)
    answer.set_cookie(value=sessions.begin(state, visitor.user), **cookie(visitor.server.settings))
    return answer


@router.post("/account/tokens")
def token_made(
    request: Request,
    visitor: Annotated[Visitor, allowed(in_person=True)],
    note: Annotated[str, Form(max_length=100)],
    days: Annotated[int, Form()],
    scopes: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Make a token for a program; its secret is shown this once."""
    mine = {right.name.lower(): right for right in Right if visitor.may(right)}
    if strange := sorted(set(scopes or ()) - mine.keys()):
        raise RightsError(f"You cannot give a token the scope {strange[0][:40]!r}: your role does not have that right.")
    secret, token = sessions.issue(
        visitor.server.state, visitor.user, note, [mine[name] for name in scopes or ()], days
    )
    return _shown(request, visitor, secret=secret, made=token.id)


@router.post("/account/tokens/{number}/revoke")
def token_revoked(number: Number, visitor: Annotated[Visitor, allowed(in_person=True)]) -> Response:
    """End a token."""
    sessions.revoke(visitor.server.state, visitor.user, number)
    return RedirectResponse("/account", 303)


def _shown(request: Request, visitor: Visitor, secret: str = "", made: int | None = None) -> Response:
    return page(
        request,
        "account.html",
        visitor,
        tokens=sessions.tokens(visitor.server.state, visitor.user),
        rights=[right for right in Right if visitor.may(right)],
        names={right.name.lower(): right.value for right in Right if visitor.may(right)},
        longest=sessions.LONGEST_DAYS,
        shortest=users.SHORTEST,
        secret=secret,
        made=made,
    )
