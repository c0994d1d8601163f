"""Sign-ins that fail: how long the next one has to wait, and whom that keeps from nothing."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import delete, func, select, update
from staff import PASSWORD
from web.programs import RIGHT, visiting

from forensic.errors import RightsError
from forensic.gallery import users
from forensic.gallery.models import now
from forensic.gallery.rights import Operator
from forensic.web import sessions, throttling
from forensic.web.passwords import authenticate
from forensic.web.server import Server
from forensic.web.state import Failure

pytestmark = pytest.mark.usefixtures("quick_passwords")


def test_many_failures_have_to_wait_and_others_do_not(folder: Path, serving: Callable[..., FastAPI]) -> None:
    app = serving(folder)
    client = visiting(app)
    wrong = RIGHT | {"password": "a wrong password"}
    assert [client.post("/sign-in", data=wrong).status_code for _ in range(throttling.FREE)] == [403] * throttling.FREE
    for name in ("boss", " boss", "BOSS", "ｂｏｓｓ"):  # one user, however the name is written
        answer = client.post("/sign-in", data=RIGHT | {"name": name})
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert client.post("/sign-in", data=RIGHT | {"name": "anna"}).status_code == 303
    elsewhere = visiting(app, "192.0.2.2")
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
    client, verified = visiting(serving(folder)), []

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
