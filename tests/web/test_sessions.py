"""Sessions, tokens and sign-ins: how they begin, what they may do, and by whom they end."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update
from staff import PASSWORD
from starlette.testclient import TestClient
from web.programs import RIGHT, visiting

from forensic.gallery import Gallery, users
from forensic.gallery.models import now
from forensic.gallery.rights import Operator, Right, Role
from forensic.web import sessions, throttling
from forensic.web.state import Token, Visit

BOSS = Operator("boss", Role.ADMINISTRATOR)

pytestmark = pytest.mark.usefixtures("quick_passwords")


def signed_in(app: FastAPI, name: str = "boss") -> TestClient:
    client = visiting(app)
    assert client.post("/sign-in", data={"name": name, "password": PASSWORD}).status_code == 303
    return client


def token(app: FastAPI, name: str, *scopes: str) -> TestClient:
    client = visiting(app)
    asked = {"user": name, "password": PASSWORD, "note": "n", "scopes": list(scopes)}
    client.headers["Authorization"] = f"Bearer {client.post('/api/v1/tokens', json=asked).json()['token']}"
    return client


def is_in(client: TestClient) -> bool:
    return client.get("/api/v1/me").status_code == 200


# Cookies


def test_the_cookie_is_for_this_server_alone(folder: Path, serving: Callable[..., FastAPI]) -> None:
    answer = visiting(serving(folder)).post("/sign-in", data=RIGHT)
    (name, _, value), *rest = (part.strip().partition("=") for part in answer.headers["set-cookie"].split(";"))
    assert (name, len(value)) == ("forensic", 43)
    assert {key.lower(): value for key, _, value in rest} == {"httponly": "", "samesite": "strict", "path": "/"}


def test_by_https_the_cookie_goes_no_other_way(folder: Path, serving: Callable[..., FastAPI]) -> None:
    app = serving(folder, https=True)
    client = visiting(app, scheme="https")
    answer = client.post("/sign-in", data=RIGHT)
    assert answer.headers["set-cookie"].startswith("__Host-forensic=")
    assert "; secure" in answer.headers["set-cookie"].lower()
    assert "max-age=31536000" in answer.headers["strict-transport-security"]
    assert is_in(client)
    value = client.cookies["__Host-forensic"]
    other = visiting(app, scheme="https")
    other.cookies.set("forensic", value)  # as another site of the same domain could set
    assert not is_in(other)


def test_signing_in_again_ends_the_session_before(folder: Path, serving: Callable[..., FastAPI]) -> None:
    app = serving(folder)
    client, other = signed_in(app), visiting(app)
    other.cookies.set("forensic", client.cookies["forensic"])
    assert is_in(other)
    client.post("/sign-in", data=RIGHT)
    assert (is_in(client), is_in(other)) == (True, False)


def test_a_cookie_that_somebody_planted_is_never_taken_over(folder: Path, serving: Callable[..., FastAPI]) -> None:
    client = visiting(serving(folder))
    client.cookies.set("forensic", "planted", domain="localhost.local")
    answer = client.post("/sign-in", data=RIGHT)
    assert "planted" not in answer.headers["set-cookie"]


# Ends


@pytest.mark.parametrize("column", ["seen_at", "began_at"])
def test_a_session_ends_when_nobody_uses_it_and_after_hours(
    folder: Path, serving: Callable[..., FastAPI], column: str
) -> None:
    app = serving(folder, idle_minutes=30, session_hours=2)
    client, state = signed_in(app), app.state.server.state

    def set_back(minutes: int) -> None:
        with state.writing() as session:
            session.execute(update(Visit).values({column: now() - timedelta(minutes=minutes)}))

    limit = {"seen_at": 30, "began_at": 120}[column]
    set_back(limit - 1)
    assert is_in(client)
    set_back(limit + 2)
    assert not is_in(client)
    sessions.tidy(state, app.state.server.settings)
    with state.reading() as session:
        assert session.scalars(select(func.count(Visit.digest))).one() == 0


def changed_password(boss: Gallery, *, back: bool) -> None:
    for password in ("another password", *[PASSWORD] * back):
        users.set_password(boss, "anna", password)


def changed_role(boss: Gallery, *, back: bool) -> None:
    for role in (Role.AUDITOR, *[Role.EXAMINER] * back):
        users.set_role(boss, "anna", role)


def removed(boss: Gallery, *, back: bool) -> None:
    assert not back
    users.remove(boss, "anna")


@pytest.mark.parametrize(
    ("act", "back"),
    [
        (changed_password, False),
        (changed_role, False),
        (removed, False),
        (changed_password, True),
        (changed_role, True),
    ],
)
def test_what_another_program_changes_of_a_user_ends_sessions_and_tokens(
    folder: Path, serving: Callable[..., FastAPI], act: Callable[..., None], back: bool
) -> None:
    """Also where it is changed back again."""
    app = serving(folder)
    clients, other = [signed_in(app, "anna"), token(app, "anna", "view")], signed_in(app)
    assert [is_in(client) for client in clients] == [True, True]
    with Gallery(folder) as gallery:  # as the command line does
        act(gallery.acting_as(BOSS), back=back)
    assert [is_in(client) for client in clients] == [False, False]
    assert is_in(other)
    state = app.state.server.state
    sessions.tidy(state, app.state.server.settings)
    with state.reading() as session:
        assert session.scalars(select(Visit.user)).all() == ["boss"]
        assert session.scalars(select(Token.user)).all() == []
    if back:
        assert is_in(signed_in(app, "anna"))
        assert is_in(token(app, "anna", "view"))


@pytest.mark.parametrize("column", ["seen_at", "began_at"])
def test_a_session_begun_while_the_clock_was_ahead_ends_when_it_is_set_back(
    folder: Path, serving: Callable[..., FastAPI], column: str
) -> None:
    app = serving(folder)
    client, state = signed_in(app), app.state.server.state

    def set_ahead(ahead: timedelta) -> None:
        with state.writing() as session:
            session.execute(update(Visit).values({column: now() + ahead}))

    set_ahead(timedelta(seconds=30))
    assert is_in(client), "clocks are set by seconds now and then"
    set_ahead(timedelta(days=30))
    assert not is_in(client)
    sessions.tidy(state, app.state.server.settings)
    with state.reading() as session:
        assert session.scalars(select(func.count(Visit.digest))).one() == 0


def test_the_start_keys_session_ends_with_the_first_user(tmp_path: Path, serving: Callable[..., FastAPI]) -> None:
    with Gallery(tmp_path / "new", create=True):
        pass
    app = serving(tmp_path / "new")
    client = visiting(app)
    assert client.post("/sign-in", data={"password": "wrong"}).status_code == 403
    assert client.post("/sign-in", data={"password": f" {app.state.server.start_key}\n"}).status_code == 303
    program = visiting(app)
    asked = {"user": "", "password": app.state.server.start_key, "note": "n", "scopes": ["view"]}
    program.headers["Authorization"] = f"Bearer {program.post('/api/v1/tokens', json=asked).json()['token']}"
    assert (is_in(client), is_in(program)) == (True, True)
    with Gallery(tmp_path / "new") as gallery:
        users.add(gallery, "boss", Role.ADMINISTRATOR, PASSWORD)
    assert (is_in(client), is_in(program)) == (False, False)
    assert client.post("/sign-in", data={"password": app.state.server.start_key}).status_code == 403


def test_guesses_of_the_start_key_have_to_wait(tmp_path: Path, serving: Callable[..., FastAPI]) -> None:
    with Gallery(tmp_path / "new", create=True):
        pass
    client = visiting(serving(tmp_path / "new"))
    statuses = [client.post("/sign-in", data={"password": str(guess)}).status_code for guess in range(7)]
    assert statuses == [403] * throttling.FREE + [429] * 2


# Tokens


def test_a_token_does_what_its_scopes_and_its_user_may(folder: Path, serving: Callable[..., FastAPI]) -> None:
    app = serving(folder)
    viewing, all_ = token(app, "anna", "view"), token(app, "anna", *(right.name.lower() for right in Right))
    case = {"reference": "C", "purpose": "p", "legal_basis": "l"}
    answer = viewing.post("/api/v1/cases", json=case)
    assert (answer.status_code, "scope" in answer.json()["detail"]) == (403, True)
    assert all_.post("/api/v1/cases", json=case).status_code == 201
    assert all_.get("/api/v1/users").status_code == 403
    page = signed_in(app, "anna").get("/account").text.partition("Your tokens")[2]
    assert "decide on candidates" in page
    assert "change users" not in page


def test_a_token_ends_in_time_and_its_secret_is_nowhere(folder: Path, serving: Callable[..., FastAPI]) -> None:
    app = serving(folder)
    client, state = token(app, "anna", "view"), app.state.server.state
    secret = client.headers["Authorization"].split()[1].encode()
    assert secret.startswith(b"fst_")
    with state.writing() as session:
        session.execute(update(Token).values(expires_at=now() - timedelta(seconds=1)))
    assert not is_in(client)
    assert not any(secret in path.read_bytes() for path in state.path.parent.iterdir())


# Other sites


CROSS = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:8001"},
    {"Origin": "http://localhost@evil.example"},
    {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
)


@pytest.mark.parametrize("headers", CROSS, ids=str)
def test_what_another_sites_page_sends_is_refused(
    folder: Path, serving: Callable[..., FastAPI], headers: dict[str, str]
) -> None:
    app = serving(folder)
    assert visiting(app).post("/sign-in", data=RIGHT, headers=headers).status_code == 403, "nor may it sign one in"
    client = signed_in(app)
    with app.state.server.state.reading() as session:
        csrf = session.scalars(select(Visit.csrf)).one()
    assert client.post("/sign-out", headers=headers | {"X-CSRF-Token": csrf}).status_code == 403
    assert is_in(client)
    own = {"Origin": "http://localhost", "X-CSRF-Token": csrf}
    assert client.post("/sign-out", headers=own).status_code == 303


def test_a_write_needs_the_forms_token_in_whatever_form(folder: Path, serving: Callable[..., FastAPI]) -> None:
    app = serving(folder)
    client = signed_in(app)
    with app.state.server.state.reading() as session:
        csrf = session.scalars(select(Visit.csrf)).one()
    wrong: list[dict[str, Any]] = [
        {},
        {"data": {"csrf": "x"}},
        {"data": {"csrf": ""}},
        {"files": {"csrf": ("csrf", csrf)}},
        {"headers": {"X-CSRF-Token": csrf + "x"}},
        {"headers": {"X-CSRF-Token": ""}, "data": {"csrf": csrf}},
        {"json": {"csrf": csrf}},
        {"content": f"csrf={csrf}", "headers": {"Content-Type": "text/plain"}},
        {"params": {"csrf": csrf}},
        {"content": b"\xff&&;=", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ]
    for sent in wrong:
        assert client.post("/sign-out", **sent).status_code == 403, sent
    broken = {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}
    assert client.post("/sign-out", **broken).status_code == 400
    assert client.post("/sign-out", files={"a": b"x"}, data={"csrf": csrf}).status_code == 303
