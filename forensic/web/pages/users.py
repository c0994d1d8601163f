"""Who may use the gallery, for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from forensic.errors import NotFound, UsageError
from forensic.gallery import users
from forensic.gallery.casework.casework_models import User
from forensic.gallery.rights import RIGHTS, Right, Role
from forensic.web import sessions
from forensic.web.access import Visitor, allowed
from forensic.web.pages.parameters import Number
from forensic.web.templating import page

router = APIRouter()
Administrator = Annotated[Visitor, allowed(Right.USERS)]
Secret = Annotated[str, Form(max_length=1000)]
ABLE = {role: sorted(right for right, roles in RIGHTS.items() if role in roles) for role in Role}
"""What each role may do, in words."""


@router.get("/users")
def listed(request: Request, visitor: Administrator) -> Response:
    """All users, removed ones too, and the form that adds one."""
    return page(request, "users.html", visitor, users=users.listed(visitor.gallery), roles=list(Role), able=ABLE)


@router.post("/users")
def added(
    visitor: Administrator,
    name: Annotated[str, Form()],
    role: Annotated[Role, Form()],
    password: Secret,
    again: Secret,
) -> Response:
    """Name somebody a user; after the first one, everybody has to sign in."""
    _check_twice(password, again)
    users.add(visitor.gallery, name, role, password)
    return RedirectResponse("/users", 303)


@router.get("/users/{number}")
def shown(request: Request, number: Number, visitor: Administrator) -> Response:
    """One user, and what an administrator may do about them."""
    user = users.by_number(visitor.gallery, number)
    return page(request, "user.html", visitor, user=user, roles=list(Role), able=ABLE)


@router.post("/users/{number}/role")
def role_changed(number: Number, visitor: Administrator, role: Annotated[Role, Form()]) -> Response:
    """Give a user another role; their visits and tokens end."""
    user = _active(visitor, number)
    if role != user.role:
        users.set_role(visitor.gallery, user.name, role)
        sessions.end_all(visitor.server.state, user.name)
    return RedirectResponse("/users", 303)


@router.post("/users/{number}/password")
def password_changed(number: Number, visitor: Administrator, password: Secret, again: Secret) -> Response:
    """Give a user another password; their visits and tokens end."""
    user = _active(visitor, number)
    _check_twice(password, again)
    users.set_password(visitor.gallery, user.name, password)
    sessions.end_all(visitor.server.state, user.name)
    return RedirectResponse("/users", 303)


@router.post("/users/{number}/remove")
def removed(number: Number, visitor: Administrator, name: Annotated[str, Form()] = "") -> Response:
    """Let a user in no more; the name has to be typed."""
    user = _active(visitor, number)
    if name.strip() != user.name:
        raise UsageError("The name that was typed is another one: nobody was removed.")
    users.remove(visitor.gallery, user.name)
    sessions.end_all(visitor.server.state, user.name)
    return RedirectResponse("/users", 303)


def _active(visitor: Visitor, number: int) -> User:
    user = users.by_number(visitor.gallery, number)
    if not user.active:
        raise NotFound(f"User number {number} was removed already.")
    return user


def _check_twice(password: str, again: str) -> None:
    if password != again:
        raise UsageError("The two passwords differ: type the same one twice.")
