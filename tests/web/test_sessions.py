"""Sessions, tokens and sign-ins: how they begin, what they may do, and by whom they end."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import delete, func, select, update
from starlette.testclient import TestClient

from forensic.errors import RightsError
from forensic.gallery import Gallery, users
from forensic.gallery.models import now
from forensic.gallery.rights import Operator, Right, Role
from forensic.web import sessions, throttling
from forensic.web.app import assemble, create
from forensic.web.pages.sign_in import authenticate
from forensic.web.server import Server
from forensic.web.settings import Settings
from forensic.web.state import Failure, Token, Visit

PASSWORD = "a long password"
RIGHT = {"name": "boss", "password": PASSWORD}
BOSS = Operator("boss", Role.ADMINISTRATOR)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    users._nobody.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty gallery with an administrator and an examiner."""
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        users.add(gallery, "boss", Role.ADMINISTRATOR, PASSWORD)
        users.add(gallery.acting_as(BOSS), "anna", Role.EXAMINER, PASSWORD)
    return tmp_path / "gallery"


@pytest.fixture
def serving() -> Iterator[Callable[..., FastAPI]]:
    """Starts servers."""
    running = []

    def start(folder: Path, **settings: Any) -> FastAPI:
        app = create(assemble(Settings(gallery=folder, **settings)))
        client = TestClient(app)
        client.__enter__()
        running.append(client)
        return app

    yield start
    for client in running:
        client.__exit__(None, None, None)


def browser(app: FastAPI, address: str = "192.0.2.1", scheme: str = "http") -> TestClient:
    return TestClient(app, base_url=f"{scheme}://localhost", follow_redirects=False, client=(address, 5000))


def signed_in(app: FastAPI, name: str = "boss") -> TestClient:
    client = browser(app)
    assert client.post("/sign-in", data={"name": name, "password": PASSWORD}).status_code == 303
    return client


def token(app: FastAPI, name: str, *scopes: str) -> TestClient:
    client = browser(app)
    asked = {"user": name, "password": PASSWORD, "note": "n", "scopes": list(scopes)}
    client.headers["Authorization"] = f"Bearer {client.post('/api/v1/tokens', json=asked).json()['token']}"
    return client


def is_in(client: TestClient) -> bool:
    return client.get("/api/v1/me").status_code == 200


# Cookies


def test_the_cookie_is_for_this_server_alone(folder: Path, serving: Callable[..., FastAPI]) -> None:
    answer = browser(serving(folder)).post("/sign-in", data=RIGHT)
    (name, _, value), *rest = (part.strip().partition("=") for part in answer.headers["set-cookie"].split(";"))
    assert (name, len(value)) == ("forensic", 43)
    assert {key.lower(): value for key, _, value in rest} == {"httponly": "", "samesite": "strict", "path": "/"}


def test_by_https_the_cookie_goes_no_other_way(folder: Path, serving: Callable[..., FastAPI]) -> None:
    app = serving(folder, https=True)
    client = browser(app, scheme="https")
    answer = client.post("/sign-in", data=RIGHT)
    assert answer.headers["set-cookie"].startswith("__Host-forensic=")
    assert "; secure" in answer.headers["set-cookie"].lower()
    assert "max-age=31536000" in answer.headers["strict-transport-security"]
    assert is_in(client)
    value = client.cookies["__Host-forensic"]
    other = browser(app, scheme="https")
    other.cookies.set("forensic", value)  # as another site of the same domain could set
    assert not is_in(other)


def test_signing_in_again_ends_the_session_before(folder: Path, serving: Callable[..., FastAPI]) -> None:
    app = serving(folder)
    client, other = signed_in(app), browser(app)
    other.cookies.set("forensic", client.cookies["forensic"])
    assert is_in(other)
    client.post("/sign-in", data=RIGHT)
    assert (is_in(client), is_in(other)) == (True, False)


def test_a_cookie_that_somebody_planted_is_never_taken_over(folder: Path, serving: Callable[..., FastAPI]) -> None:
    client = browser(serving(folder))
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


@pytest.mark.parametrize("how", ["password", "role", "removed"])
def test_what_another_program_changes_of_a_user_ends_sessions_and_tokens(
    folder: Path, serving: Callable[..., FastAPI], how: str
) -> None:
    app = serving(folder)
    clients, other = [signed_in(app, "anna"), token(app, "anna", "view")], signed_in(app)
    assert [is_in(client) for client in clients] == [True, True]
    with Gallery(folder) as gallery:  # as the command line does
        boss = gallery.acting_as(BOSS)
        if how == "password":
            users.set_password(boss, "anna", "another password")
        elif how == "role":
            users.set_role(boss, "anna", Role.AUDITOR)
        else:
            users.remove(boss, "anna")
    assert [is_in(client) for client in clients] == [False, False]
    assert is_in(other)
    state = app.state.server.state
    sessions.tidy(state, app.state.server.settings)
    with state.reading() as session:
        assert session.scalars(select(Visit.user)).all() == ["boss"]
        assert session.scalars(select(Token.user)).all() == []


@pytest.mark.parametrize("how", ["password", "role"])
def test_what_was_changed_and_changed_back_ends_sessions_and_tokens_too(
    folder: Path, serving: Callable[..., FastAPI], how: str
) -> None:
    app = serving(folder)
    clients, other = [signed_in(app, "anna"), token(app, "anna", "view")], signed_in(app)
    assert [is_in(client) for client in clients] == [True, True]
    with Gallery(folder) as gallery:
        boss = gallery.acting_as(BOSS)
        if how == "password":
            users.set_password(boss, "anna", "another password")
            users.set_password(boss, "anna", PASSWORD)
        else:
            users.set_role(boss, "anna", Role.AUDITOR)
            users.set_role(boss, "anna", Role.EXAMINER)
    assert [is_in(client) for client in clients] == [False, False]
    assert is_in(other)
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
    client = browser(app)
    assert client.post("/sign-in", data={"password": "wrong"}).status_code == 403
    assert client.post("/sign-in", data={"password": f" {app.state.server.start_key}\n"}).status_code == 303
    program = browser(app)
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
    client = browser(serving(tmp_path / "new"))
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


# Signing in


def test_many_failures_have_to_wait_and_others_do_not(folder: Path, serving: Callable[..., FastAPI]) -> None:
    app = serving(folder)
    client = browser(app)
    wrong = RIGHT | {"password": "a wrong password"}
    assert [client.post("/sign-in", data=wrong).status_code for _ in range(throttling.FREE)] == [403] * throttling.FREE
    for name in ("boss", " boss", "BOSS", "ｂｏｓｓ"):  # one user, however the name is written
        answer = client.post("/sign-in", data=RIGHT | {"name": name})
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert client.post("/sign-in", data=RIGHT | {"name": "anna"}).status_code == 303
    elsewhere = browser(app, "192.0.2.2")
    assert elsewhere.post("/sign-in", data=RIGHT).status_code == 303, "nobody keeps a user out from one address"
    with app.state.server.state.writing() as session:
        session.execute(update(Failure).values(at=now() - throttling.WINDOW))
    assert client.post("/sign-in", data=RIGHT).status_code == 303


def test_each_further_failure_has_to_wait_twice_as_long(folder: Path, serving: Callable[..., FastAPI]) -> None:
    server: Server = serving(folder).state.server
    waits = []
    for _ in range(9):
        try:
            throttling.attempt(server.state, "boss", "192.0.2.1")
        except throttling.TooMany as error:
            waits.append(error.seconds)
            with server.state.writing() as session:
                session.execute(update(Failure).values(at=Failure.at))
                for row in session.scalars(select(Failure)):
                    row.at -= timedelta(seconds=error.seconds)
            throttling.attempt(server.state, "boss", "192.0.2.1")
    assert waits == [5, 10, 20, 40]


def test_failures_noted_while_the_clock_was_ahead_keep_nobody_waiting(
    folder: Path, serving: Callable[..., FastAPI]
) -> None:
    state = serving(folder).state.server.state

    def fail_ahead(ahead: timedelta) -> None:
        for _ in range(throttling.FREE):
            throttling.attempt(state, "boss", "192.0.2.1")
        with state.writing() as session:
            session.execute(update(Failure).values(at=now() + ahead))

    fail_ahead(timedelta(days=30))
    throttling.attempt(state, "boss", "192.0.2.1")
    throttling.tidy(state)
    with state.reading() as session:
        assert session.scalars(select(func.count(Failure.id))).one() == 3, "of the last attempt, by each subject"
    with state.writing() as session:
        session.execute(delete(Failure))
    fail_ahead(timedelta(seconds=30))
    with pytest.raises(throttling.TooMany) as raised:
        throttling.attempt(state, "boss", "192.0.2.1")
    assert 5 <= raised.value.seconds <= 6, "no longer than if they were of this moment"


def test_an_address_and_a_name_have_bounds_of_their_own(folder: Path, serving: Callable[..., FastAPI]) -> None:
    state = serving(folder).state.server.state
    for number in range(throttling.FREE_OF_ADDRESS):
        throttling.attempt(state, f"name {number}", f"2001:db8::{number}")  # one network
    with pytest.raises(throttling.TooMany):
        throttling.attempt(state, "boss", "2001:db8::ffff")
    for number in range(throttling.FREE_OF_NAME):
        throttling.attempt(state, "boss", f"192.0.2.{number}")
    with pytest.raises(throttling.TooMany):
        throttling.attempt(state, "boss", "198.51.100.1")


def test_many_at_once_get_no_further_than_one_by_one(
    folder: Path, serving: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    server: Server = serving(folder).state.server
    at_once, most, lock, tried = 0, 0, threading.Lock(), []
    real = users.sign_in

    def counted(*given: Any) -> Operator:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        try:
            tried.append(given)
            return real(*given)
        finally:
            with lock:
                at_once -= 1

    monkeypatch.setattr(users, "sign_in", counted)

    def guess(number: int) -> str:
        with pytest.raises((RightsError, throttling.TooMany)) as raised:
            authenticate(server, "boss", f"guess number {number}", "192.0.2.1")
        return type(raised.value).__name__

    with ThreadPoolExecutor(12) as pool:
        ends = list(pool.map(guess, range(24)))
    assert (len(tried), ends.count("RightsError")) == (throttling.FREE, throttling.FREE)
    assert most <= 2


def test_success_forgets_failures_of_that_name_alone(folder: Path, serving: Callable[..., FastAPI]) -> None:
    server: Server = serving(folder).state.server
    for name in ("boss", "boss", "anna"):
        with pytest.raises(RightsError):
            authenticate(server, name, "a wrong password", "192.0.2.1")
    for _ in range(throttling.FREE_OF_ADDRESS + 5):  # who signs in often is no failure
        assert authenticate(server, "boss", PASSWORD, "192.0.2.1") == "boss"
    with server.state.reading() as session:
        kept = select(func.count()).where(Failure.subject == sessions.digest("address 192.0.2.1"))
        assert session.scalars(kept).one() == 3
        kept = select(func.count()).where(Failure.subject == sessions.digest("192.0.2.1 boss"))
        assert session.scalars(kept).one() == 0


def test_who_exists_is_told_neither_by_words_nor_by_work(
    folder: Path, serving: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, verified = browser(serving(folder)), []

    class Counting(PasswordHasher):
        def verify(self, *given: Any) -> bool:
            verified.append(given)
            return super().verify(*given)

    monkeypatch.setattr(users, "_hasher", Counting(time_cost=1, memory_cost=8, parallelism=1))
    texts = [
        client.post("/sign-in", data={"name": name, "password": "a wrong password"}).text.replace(name, "NAME")
        for name in ("boss", "nobody")
    ]
    assert texts[0] == texts[1]
    assert len(verified) == 2


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
    assert browser(app).post("/sign-in", data=RIGHT, headers=headers).status_code == 403, "nor may it sign one in"
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
