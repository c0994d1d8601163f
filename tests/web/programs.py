"""What tests of the API share: a case, a sketch that is added to it, and a look at a refusal."""

from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

CASE = {"reference": "C-1", "purpose": "robbery", "legal_basis": "warrant"}
"""The case that the fixture ``examiner`` opens."""


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


def problem(answer: Any, status: int) -> str:
    """The detail of an answer that has to be a problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["request_id"] == answer.headers["x-request-id"]
    return str(told["detail"])
