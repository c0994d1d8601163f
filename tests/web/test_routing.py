"""What happens before a handler of the API: a repeated write is done once, and nobody asks too often."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient
from web.programs import CASE, add_sketch, problem

from forensic.datasets.synthetic import Made
from forensic.gallery.casework import cases
from forensic.web.state import Made as MadeOnce

Program = Callable[..., TestClient]


def test_a_write_with_a_key_is_done_once(examiner: TestClient) -> None:
    key = {"Idempotency-Key": "a-key-of-mine"}
    asked = CASE | {"reference": "C-2"}
    first = examiner.post("/api/v1/cases", json=asked, headers=key)
    again = examiner.post("/api/v1/cases", json=asked, headers=key)
    assert (first.status_code, first.json(), first.headers["location"]) == (201, {"id": 2}, "/api/v1/cases/2")
    assert (again.status_code, again.json(), again.headers["location"]) == (201, {"id": 2}, "/api/v1/cases/2")
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    problem(examiner.post("/api/v1/cases", json=asked | {"reference": "C-3"}, headers=key), 422)
    problem(examiner.post("/api/v1/cases", json=asked, headers={"Idempotency-Key": "no blanks"}), 422)
    assert len(examiner.get("/api/v1/cases").json()["items"]) == 2


def test_keys_of_two_users_are_two_and_a_refused_write_may_be_tried_again(
    examiner: TestClient, program: Program
) -> None:
    key = {"Idempotency-Key": "the-same"}
    problem(examiner.post("/api/v1/cases", json=CASE, headers=key), 422)  # the reference is taken
    assert examiner.post("/api/v1/cases", json=CASE | {"reference": "C-2"}, headers=key).status_code == 201
    other = program("investigator")
    assert other.post("/api/v1/cases", json=CASE | {"reference": "C-3"}, headers=key).json() == {"id": 3}


def test_an_upload_with_a_key_is_the_same_whatever_stands_between_its_parts(
    examiner: TestClient, people: list[Made]
) -> None:
    assert people[0].sketch is not None
    assert people[1].sketch is not None
    key = {"Idempotency-Key": "an-upload"}

    def send(file: Path, boundary: str) -> Any:
        kind = f"multipart/form-data; boundary={boundary}"
        files = {"file": ("sketch.png", file.read_bytes(), "image/png")}
        place = "/api/v1/cases/1/sketches"
        return examiner.post(place, files=files, data={"kind": "viewed"}, headers=key | {"Content-Type": kind})

    assert send(people[0].sketch, "one").json() == {"id": 1}
    assert send(people[0].sketch, "two").json() == {"id": 1}
    problem(send(people[1].sketch, "three"), 422)


def test_the_same_write_at_once_is_a_conflict(
    examiner: TestClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    opening = cases.open_case

    def slowly(*arguments: Any, **settings: Any) -> int:
        begun.set()
        assert go_on.wait(60)
        number: int = opening(*arguments, **settings)
        return number

    monkeypatch.setattr(cases, "open_case", slowly)
    key = {"Idempotency-Key": "at-once"}
    asked = CASE | {"reference": "C-2"}
    other = TestClient(app, base_url="http://localhost", headers=dict(examiner.headers))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(examiner.post, "/api/v1/cases", json=asked, headers=key)
        assert begun.wait(60)
        problem(other.post("/api/v1/cases", json=asked, headers=key), 409)
        go_on.set()
        assert first.result().json() == {"id": 2}
    assert other.post("/api/v1/cases", json=asked, headers=key).json() == {"id": 2}


def test_a_search_with_a_key_is_one_job_and_its_answer_is_kept_by_nobody(
    examiner: TestClient, app: FastAPI, people: list[Made]
) -> None:
    asked = {"case": 1, "sketches": [add_sketch(examiner, people[0].sketch)], "top": 2}
    key = {"Idempotency-Key": "a-search"}
    waiting = examiner.post("/api/v1/searches", json=asked, headers=key)
    assert waiting.status_code == 202
    found = examiner.post("/api/v1/searches", json=asked, headers=key | {"Prefer": "wait=60"})
    assert (found.status_code, found.json()["search"]) == (201, 1)
    assert len(examiner.get("/api/v1/jobs").json()["items"]) == 1
    with app.state.server.state.reading() as session:
        (kept,) = session.scalars(select(MadeOnce.body).where(MadeOnce.status == 202))
    assert kept == ""


def test_no_secret_is_kept(program: Program, browser: Callable[[str], TestClient], app: FastAPI) -> None:
    asked = {"user": "auditor", "password": "a long password", "note": "x", "scopes": ["audit"]}
    key = {"Idempotency-Key": "a-token"}
    tokens = [browser("").post("/api/v1/tokens", json=asked, headers=key).json()["token"] for _ in range(2)]
    assert tokens[0] != tokens[1]
    with app.state.server.state.reading() as session:
        assert session.scalars(select(MadeOnce)).all() == []
    stored = app.state.server.state.path.read_bytes() + Path(f"{app.state.server.state.path}-wal").read_bytes()
    assert all(token.encode() not in stored for token in tokens)
    assert asked["password"].encode() not in stored  # type: ignore[union-attr]


def test_too_many_requests_are_told_when_to_go_on(
    examiner: TestClient, program: Program, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.server.rate, "limit", 5)
    other = program("investigator")
    answers = [examiner.get("/api/v1/me") for _ in range(6)]
    left = [answer.headers["ratelimit-remaining"] for answer in answers if answer.status_code == 200]
    assert left[-1] == "0"
    assert sorted(left, reverse=True) == left
    problem(answers[-1], 429)
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 61
    assert other.get("/api/v1/me").status_code == 200  # another user's requests are counted apart
