"""Who may use the gallery."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from forensic.errors import UsageError
from forensic.gallery import users
from forensic.gallery.casework.casework_models import User
from forensic.gallery.rights import Right, Role
from forensic.web import sessions
from forensic.web.access import Visitor, allowed
from forensic.web.api.models import NUL_FREE, SIGNED_IN, InPath, Page, Sent, Told, failing, place
from forensic.web.api.paging import Paged
from forensic.web.passwords import authenticate
from forensic.web.routing import Route

router = APIRouter(tags=["users"], route_class=Route)
Password = Annotated[str, Field(min_length=users.SHORTEST, max_length=1000, examples=["correct horse battery staple"])]


class UserAsked(Sent):
    """Somebody who shall use the gallery."""

    name: Annotated[str, Field(min_length=1, max_length=users.LONGEST, pattern=NUL_FREE)] = Field(examples=["m.ito"])
    role: Role
    password: Password


class UserMade(Told):
    """The number of a new user."""

    id: int = Field(examples=[5])


class UserShown(Told):
    """Somebody who uses, or used, the gallery."""

    id: int = Field(examples=[5])
    name: str = Field(examples=["m.ito"])
    role: Role
    active: bool = Field(description="false for somebody who was removed; the name is never given out again.")
    created_at: datetime


class UserChanged(Sent):
    """What is changed of a user."""

    role: Role


class PasswordGiven(Sent):
    """A new password."""

    password: Password


class PasswordChanged(PasswordGiven):
    """A new password of one's own."""

    current: Annotated[str, Field(max_length=1000)] = Field(description="The present one.")


@router.get("/users", responses=failing(*SIGNED_IN), operation_id="list_users")
def listed(visitor: Annotated[Visitor, allowed(Right.USERS)], window: Paged) -> Page[UserShown]:
    """All users, removed ones too, in the order in which they were named."""
    everybody = sorted(users.listed(visitor.gallery), key=lambda user: user.id)
    left = [user for user in everybody if window.after is None or user.id > window.after]
    shown, cursor = window.cut(left, lambda user: user.id)
    return Page(items=[_shown(user) for user in shown], next=cursor)


@router.post("/users", status_code=201, responses=failing(*SIGNED_IN), operation_id="add_user")
def added(visitor: Annotated[Visitor, allowed(Right.USERS)], asked: UserAsked, response: Response) -> UserMade:
    """Name somebody a user. The first one is an administrator; from then on everybody has to sign in.

    `Idempotency-Key` is not heeded, so that nothing of a password is kept. A name is never given out twice.
    """
    number = users.add(visitor.gallery, asked.name, asked.role, asked.password)
    response.headers["Location"] = place("users", number)
    return UserMade(id=number)


@router.get("/users/{number}", responses=failing(*SIGNED_IN, 404), operation_id="show_user")
def shown(visitor: Annotated[Visitor, allowed(Right.USERS)], number: InPath) -> UserShown:
    """A user."""
    return _shown(users.by_number(visitor.gallery, number))


@router.patch("/users/{number}", responses=failing(*SIGNED_IN, 404), operation_id="change_user")
def changed(visitor: Annotated[Visitor, allowed(Right.USERS)], number: InPath, asked: UserChanged) -> UserShown:
    """Give a user another role. Browsers and tokens of theirs are signed out."""
    name = users.by_number(visitor.gallery, number).name
    users.set_role(visitor.gallery, name, asked.role)
    sessions.end_all(visitor.server.state, name)
    return _shown(users.by_number(visitor.gallery, number))


@router.delete("/users/{number}", status_code=204, responses=failing(*SIGNED_IN, 404), operation_id="remove_user")
def removed(visitor: Annotated[Visitor, allowed(Right.USERS)], number: InPath) -> Response:
    """Let a user in no more. What they did stays on record under their name."""
    name = users.by_number(visitor.gallery, number).name
    users.remove(visitor.gallery, name)
    sessions.end_all(visitor.server.state, name)
    return Response(status_code=204)


@router.put(
    "/users/{number}/password",
    status_code=204,
    responses=failing(*SIGNED_IN, 404),
    operation_id="set_password_of_user",
)
def given(visitor: Annotated[Visitor, allowed(Right.USERS)], number: InPath, asked: PasswordGiven) -> Response:
    """Give a user another password. Browsers and tokens of theirs are signed out."""
    name = users.by_number(visitor.gallery, number).name
    users.set_password(visitor.gallery, name, asked.password)
    sessions.end_all(visitor.server.state, name)
    return Response(status_code=204)


@router.put("/me/password", status_code=204, responses=failing(*SIGNED_IN), operation_id="set_own_password")
def set_own(request: Request, visitor: Annotated[Visitor, allowed()], asked: PasswordChanged) -> Response:
    """Change one's own password, with the present one. All of one's browsers and tokens are signed out."""
    if visitor.user is None:
        raise UsageError("This gallery has no users, so that there is no password to change.")
    authenticate(visitor.server, visitor.user, asked.current, request.client.host if request.client else "")
    users.set_password(visitor.gallery, visitor.user, asked.password)
    sessions.end_all(visitor.server.state, visitor.user)
    return Response(status_code=204)


def _shown(user: User) -> UserShown:
    return UserShown(id=user.id, name=user.name, role=Role(user.role), active=user.active, created_at=user.created_at)
