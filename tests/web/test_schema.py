"""Requests that are made of the OpenAPI document itself: no answer is a server error, and all are as it says."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from forensic import Gallery
from forensic.datasets.synthetic import Made
from forensic.gallery import reports
from forensic.gallery.casework import cases
from forensic.gallery.rights import Right, Role
from forensic.web import sessions
from forensic.web.app import assemble, create
from forensic.web.settings import Settings

pytestmark = pytest.mark.server

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
FEW, MANY = 6, 60
"""Requests of each operation and mode."""
NUMBERS = 3
"""Numbers in paths go up to this, so that some are of things that are there."""


@pytest.fixture
def furnished(enrolled: Path, gallery_folder: Path, people: list[Made]) -> Path:
    """A gallery with users, a case, its sketch, an accuracy report and room for more."""
    assert people[0].sketch is not None
    with Gallery(gallery_folder) as gallery:
        gallery.sign_in("examiner", "a long password")
        cases.open_case(gallery, "C-1", purpose="robbery", legal_basis="warrant")
        drawing = cases.Drawing(people[0].sketch.read_bytes(), "sketch.png", cases.Kind.VIEWED)
        cases.add_sketch(gallery, "C-1", drawing)
        reports.save(gallery, "a report", {"rank": 1})
    return gallery_folder


@pytest.fixture
def served(furnished: Path) -> Iterator[FastAPI]:
    """A running application on it that nobody asks too often, with one search on record."""
    limits = Settings(gallery=furnished, routes=("direct@patches",), requests_a_minute=10**6, decoding_seconds=120)
    app = create(assemble(limits))
    with TestClient(app, base_url="http://localhost") as client:
        asked = {"case": 1, "sketches": [1], "top": 3}
        headers = bearer(app, "examiner") | {"Prefer": "wait=60"}
        assert client.post("/api/v1/searches", json=asked, headers=headers).status_code == 201
        yield app


def bearer(app: FastAPI, user: str) -> dict[str, str]:
    """A user's token of all scopes, as headers."""
    secret, _ = sessions.issue(app.state.server.state, user, "a test", list(Right), 1)
    return {"Authorization": f"Bearer {secret}"}


def with_small_numbers(document: dict[str, Any]) -> dict[str, Any]:
    """The document with numbers in paths that are likely to be of something."""
    document = copy.deepcopy(document)
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and parameter["schema"].get("type") == "integer":
                    parameter["schema"]["maximum"] = NUMBERS
    return document


def check_all(app: FastAPI, user: str, examples: int) -> tuple[int, int]:
    """Ask for everything that the document has, and check each answer.

    Returns:
        How many operations there are, and how many of them did at least once what was asked.
    """
    client = TestClient(app, base_url="http://localhost", follow_redirects=False)
    document = client.get("/openapi.json").json()
    right, wrong = operations_of(with_small_numbers(document)), operations_of(document)
    done = 0
    for good, bad in zip(right, wrong, strict=True):
        assert good.label == bad.label
        done += any(status < 300 for status in ask(client, good, GenerationMode.POSITIVE, bearer(app, user), examples))
        # What is wrong is so by the bounds that the server states: a token's number 4 is one.
        ask(client, bad, GenerationMode.NEGATIVE, bearer(app, user), examples)
    return len(right), done


def operations_of(document: dict[str, Any]) -> list[Any]:
    """What a document says can be asked for."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url="http://localhost")
    return [result.ok() for result in schema.get_all_operations()]


def ask(client: TestClient, operation: Any, mode: GenerationMode, token: dict[str, str], examples: int) -> set[int]:
    """Ask for one operation, with requests as its schema says or, in the other mode, not as it says; the statuses."""
    statuses = set()

    @settings(
        max_examples=examples,
        phases=(Phase.explicit, Phase.generate),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Case) -> None:
        request = client.build_request(**sendable(case.as_transport_kwargs()))
        request.headers |= token
        request.read()
        answer = client.send(request)
        statuses.add(answer.status_code)
        fault = ""
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as error:  # whose traceback would show the whole document
            fault = f"{operation.label}: {error}"
        if fault:
            pytest.fail(fault, pytrace=False)

    with suppress(Unsatisfiable):  # what takes nothing at all cannot be asked for wrongly
        one()
    return statuses


def sendable(made: dict[str, Any]) -> dict[str, Any]:
    """A request as this client takes it."""
    made.pop("cookies", None)
    made["headers"] = {name: value.encode("latin-1", "replace") for name, value in (made.get("headers") or {}).items()}
    if "data" in made and not isinstance(made["data"], dict):
        made["content"] = made.pop("data")
    if made.get("files"):
        made["files"] = [(name, (file, text_of(value))) for name, (file, value, *_) in made["files"]]
    return made


def text_of(value: object) -> str | bytes:
    """What a part of a form holds."""
    return value if isinstance(value, str | bytes) else json.dumps(value)


@pytest.mark.parametrize("user", ["examiner", "administrator"])
def test_requests_are_answered_as_the_document_says(served: FastAPI, user: str) -> None:
    operations, done = check_all(served, user, FEW)
    assert operations > 40
    assert done > 15


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("user", [*Role])
def test_many_requests_are_answered_as_the_document_says(served: FastAPI, user: str) -> None:
    operations, done = check_all(served, user, MANY)
    assert operations > 40
    assert done > 15
