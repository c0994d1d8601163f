"""Tokens of programs, and who one is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from forensic.errors import RightsError
from forensic.gallery.rights import Right, Role
from forensic.web import sessions
from forensic.web.access import Visitor, allowed, for_anybody
from forensic.web.api.models import SIGNED_IN, InPath, Line, Page, Scope, Sent, Told, failing
from forensic.web.api.paging import Paged
from forensic.web.passwords import authenticate
from forensic.web.problems import SignedOut
from forensic.web.routing import Route
from forensic.web.server import Server
from forensic.web.state import Token

router = APIRouter(tags=["tokens"], route_class=Route)


class TokenAsked(Sent):
    """A token to be made."""

    user: Line = Field(description="A user's name; empty in a gallery without users.", examples=["m.ito"])
    password: Annotated[str, Field(max_length=1000)] = Field(
        description="The user's password; the key that `forensic serve` printed in a gallery without users.",
        examples=["correct horse battery staple"],
    )
    note: Annotated[Line, Field(min_length=1, max_length=100)] = Field(
        description="What the token is for.", examples=["nightly searches"]
    )
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Right))] = Field(
        description="What it may do, of what the user may.", examples=[["read_case", "search"]]
    )
    days: Annotated[int, Field(ge=1, le=sessions.LONGEST_DAYS)] = Field(default=30, description="Until it ends.")


class TokenMade(Told):
    """A new token."""

    id: int = Field(examples=[3])
    token: str = Field(
        description="Send it as `Authorization: Bearer ...`. It is shown this once and kept nowhere.",
        examples=["fst_q8mJ0x..."],
    )
    scopes: list[Scope]
    expires_at: datetime


class TokenShown(Told):
    """A token without its secret."""

    id: int = Field(examples=[3])
    note: str = Field(examples=["nightly searches"])
    scopes: list[Scope]
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None = Field(description="When it was last used, to the minute.")


class Me(Told):
    """Who asks."""

    user: str = Field(description="As the audit log names them.", examples=["m.ito"])
    role: Role | None = Field(description="null in a gallery without users: then all is allowed.")
    scopes: list[Scope] | None = Field(description="The token's; null for a browser.")
    rights: list[Scope] = Field(description="What they may do, by role and scopes together.")


@router.post(
    "/tokens",
    status_code=201,
    dependencies=[for_anybody()],
    responses=failing(401, 422, 429, 500, 503),
    operation_id="make_token",
)
def make(request: Request, asked: TokenAsked) -> TokenMade:
    """Make a token with a user's name and password. Failed attempts are counted: after some, one has to wait.

    `Idempotency-Key` is not heeded: the secret is kept nowhere, so that it cannot be answered twice.
    """
    server: Server = request.app.state.server
    try:
        user = authenticate(server, asked.user, asked.password, request.client.host if request.client else "")
    except RightsError as error:
        raise SignedOut(str(error)) from None
    rights = [Right[name.upper()] for name in asked.scopes]
    secret, token = sessions.issue(server.state, user, asked.note, rights, asked.days)
    return TokenMade(id=token.id, token=secret, scopes=token.scopes.split(), expires_at=token.expires_at)


@router.get("/tokens", responses=failing(*SIGNED_IN), operation_id="list_tokens")
def listed(visitor: Annotated[Visitor, allowed()], window: Paged) -> Page[TokenShown]:
    """One's own tokens, the newest first, without their secrets."""
    own = sessions.tokens(visitor.server.state, visitor.user)
    left = [token for token in own if window.after is None or token.id < window.after]
    shown, cursor = window.cut(left, lambda token: token.id)
    return Page(items=[_shown(token) for token in shown], next=cursor)


@router.delete("/tokens/{number}", status_code=204, responses=failing(*SIGNED_IN, 404), operation_id="revoke_token")
def revoke(request: Request, visitor: Annotated[Visitor, allowed()], number: InPath) -> Response:
    """End one of one's own tokens at once. A token ends itself alone; the others are ended on the account's page."""
    state = visitor.server.state
    if visitor.scopes is not None:  # a token asks: whoever stole one would else end all the others
        own = sessions.digest(request.headers["authorization"].partition(" ")[2].strip())
        if any(token.id == number and token.digest != own for token in sessions.tokens(state, visitor.user)):
            raise RightsError("A token may end itself alone: sign in with your password to end another one.")
    sessions.revoke(state, visitor.user, number)
    return Response(status_code=204)


@router.get("/me", responses=failing(*SIGNED_IN), operation_id="show_who_asks")
def me(visitor: Annotated[Visitor, allowed()]) -> Me:
    """Who asks, and what they may do."""
    return Me(
        user=visitor.operator.name,
        role=visitor.operator.role,
        scopes=None if visitor.scopes is None else sorted(visitor.scopes),
        rights=[right.name.lower() for right in Right if visitor.may(right)],
    )


def _shown(token: Token) -> TokenShown:
    return TokenShown(
        id=token.id,
        note=token.note,
        scopes=token.scopes.split(),
        made_at=token.made_at,
        expires_at=token.expires_at,
        used_at=token.used_at,
    )
