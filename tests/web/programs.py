"""What tests of the server share: a browser, a case, a sketch that is added to it, many jobs, a look at a refusal."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from staff import PASSWORD
from starlette.testclient import TestClient

from forensic.gallery.models import now
from forensic.web.jobs import Status
from forensic.web.state import Job, State

CASE = {"reference": "C-1", "purpose": "robbery", "legal_basis": "warrant"}
"""The case that the fixture ``examiner`` opens."""
RIGHT = {"name": "boss", "password": PASSWORD}
"""What the administrator of the fixture ``folder`` signs in with."""


def visiting(app: FastAPI, address: str = "192.0.2.1", scheme: str = "http") -> TestClient:
    """A browser at an address."""
    return TestClient(app, base_url=f"{scheme}://localhost", follow_redirects=False, client=(address, 5000))


def add_sketch(client: TestClient, file: Path | None, **fields: str) -> int:
    """Number of a sketch that is added to case 1."""
    assert file is not None
    answer = client.post(
        "/api/v1/cases/1/sketches",
        files={"file": (file.name, file.read_bytes(), "image/png")},
        data={"kind": "viewed", **fields},
    )
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v1/sketches/{answer.json()['id']}"
    number: int = answer.json()["id"]
    return number


def add_jobs(state: State, user: str, count: int = 130) -> list[str]:
    """Adds searches of a user that ended, later than all other jobs.

    Returns:
        Their numbers, the newest first.
    """
    first = 1_000_000
    numbers = [f"{number:032x}" for number in range(first, first + count)]
    with state.writing() as session:
        session.add_all(
            Job(
                id=number,
                kind="search",
                user=user,
                request_id="ab12",
                asked={"case": "C-1"},
                status=Status.DONE,
                order=int(number, 16),
                tries=1,
                ended_at=now(),
            )
            for number in numbers
        )
    return numbers[::-1]


def problem(answer: Any, status: int) -> str:
    """The detail of an answer that has to be a problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["request_id"] == answer.headers["x-request-id"]
    return str(told["detail"])
