"""A walk over all routes, pages and API: each role gets in where it may, and nowhere else; nobody gets in at all.

Who may what is written down here once more, in words of its own: a change of the program's table has to be meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient

from forensic.gallery.rights import Right, Role
from forensic.web import app as application
from forensic.web import pages, sessions
from forensic.web.access import allowed, for_anybody
from forensic.web.server import Server
from forensic.web.state import Token

MAY = {
    "analyst": "view enroll expunge prove",
    "investigator": "view search case read_case",
    "examiner": "view search case decide read_case",
    "auditor": "view prove read_case audit",
    "administrator": "view expunge prove audit users encrypt backup",
}
OPEN = {
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/api/v1/health"),
    ("POST", "/api/v1/tokens"),
}
"""What nobody has to sign in for."""
LAST = ("/sign-out", "/me/password", "/account")
"""Ends of paths that may end a visit, so that they come last."""
Call = tuple[str, str, frozenset[str] | None]


def calls(app: FastAPI) -> list[Call]:
    """Method, path with made-up values, and names of the rights of every route; None where it is open."""
    found = []
    for route in application.routes_of(app):
        rights = application.rights_of(route)
        names = None if rights is None else frozenset(right.name.lower() for right in rights)
        for method in sorted(route.methods or ()):
            found.append((method, made_up(route), names))
    assert len(found) > 50, "the walk sees too few routes"
    return sorted(found, key=lambda call: call[1].endswith(LAST))


def made_up(route: Any) -> str:
    """A path of numbers and names that are of nothing."""
    path: str = route.path_format
    for name in route.param_convertors:
        path = path.replace("{" + name + "}", "987654")
    return path


def got_in(answer: Any) -> bool:
    """Whether somebody was let in, whatever came of what they asked."""
    signed_out = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
    return answer.status_code not in (401, 403) and not signed_out


def sent(client: TestClient, method: str, path: str) -> Any:
    """A request without anything in it, such as a form that was sent empty."""
    return client.request(method, path)


def test_every_right_and_role_is_in_the_table() -> None:
    assert set(MAY) == set(Role)
    assert {name for names in MAY.values() for name in names.split()} == {right.name.lower() for right in Right}


@pytest.mark.parametrize("role", list(MAY))
def test_a_role_gets_in_where_it_may_and_nowhere_else(
    app: FastAPI, browser: Callable[[str], TestClient], role: str
) -> None:
    client, may = browser(role), set(MAY[role].split())
    for method, path, rights in calls(app):
        if (method, path) in OPEN or path == "/sign-out":
            continue
        answer = sent(client, method, path)
        assert rights is not None, f"{method} {path} is open"
        if rights <= may:
            assert got_in(answer), f"{role}: {method} {path}: {answer.status_code} {answer.text[:200]}"
            assert answer.status_code != 500, f"{method} {path}: {answer.text[:200]}"
        else:
            assert answer.status_code == 403, f"{role}: {method} {path}: {answer.status_code}"


def test_nobody_gets_in_without_signing_in(app: FastAPI, browser: Callable[[str], TestClient]) -> None:
    nobody = browser("")
    for method, path, _ in calls(app):
        answer = sent(nobody, method, path)
        if (method, path) in OPEN:
            assert answer.status_code == 200 or method == "POST", f"{method} {path}: {answer.status_code}"
        else:
            assert not got_in(answer), f"{method} {path}: {answer.status_code}"
            assert answer.status_code == (401 if path.startswith("/api/") else 303), f"{method} {path}"


def test_only_what_is_meant_to_be_open_is(app: FastAPI) -> None:
    assert {(method, path) for method, path, rights in calls(app) if rights is None} == OPEN


def token_without_scope(server: Server, user: str) -> dict[str, str]:
    """A token that may do nothing, as none is ever made, as headers."""
    secret, token = sessions.issue(server.state, user, "a test", [Right.VIEW], 1)
    with server.state.writing() as session:
        session.get_one(Token, token.id).scopes = ""
    return {"Authorization": f"Bearer {secret}"}


def test_a_token_without_a_scope_opens_only_what_needs_no_right(
    app: FastAPI, browser: Callable[[str], TestClient]
) -> None:
    client = browser("")
    client.headers |= token_without_scope(app.state.server, "examiner")
    for method, path, rights in calls(app):
        if rights:
            assert sent(client, method, path).status_code == 403, f"{method} {path}"
        elif rights is not None and path.startswith("/api/") and not path.endswith(LAST):
            assert got_in(sent(client, method, path)), f"{method} {path}"


def test_a_token_may_no_more_than_its_scopes(app: FastAPI, program: Callable[..., TestClient]) -> None:
    reader = program("examiner", "read_case")
    for method, path, rights in calls(app):
        if rights and path.startswith("/api/"):
            answer = sent(reader, method, path)
            assert got_in(answer) is (rights == {"read_case"}), f"{method} {path}: {answer.status_code}"


def test_a_token_may_no_more_than_its_user(app: FastAPI, program: Callable[..., TestClient]) -> None:
    client, may = program("auditor"), set(MAY["auditor"].split())
    for method, path, rights in calls(app):
        if rights and path.startswith("/api/"):
            assert got_in(sent(client, method, path)) is (rights <= may), f"{method} {path}"


def silent() -> None:
    """A handler that does not say who may call it."""


def twice(first: None = allowed(Right.VIEW), second: None = for_anybody()) -> None:
    """A handler that says it twice."""


@pytest.mark.parametrize("handler", [silent, twice])
def test_a_route_that_does_not_say_who_may_call_it_ends_the_start(
    server: Server, monkeypatch: pytest.MonkeyPatch, handler: Callable[..., None]
) -> None:
    part = APIRouter()
    part.get("/silent")(handler)
    router = APIRouter()
    router.include_router(part)
    monkeypatch.setattr(pages, "router", router)
    with pytest.raises(TypeError, match=r"/silent does not say who may call it"):
        application.create(server)
    server.close()
