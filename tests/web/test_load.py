"""A server with more to do than it can: what it refuses, and what it keeps when it is told to end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from starlette.testclient import TestClient

from forensic import Gallery, Identifier
from forensic.datasets.synthetic import Made
from forensic.gallery.casework import cases
from forensic.gallery.casework.cases import Drawing, Kind
from forensic.gallery.log import trail
from forensic.search_records import record_of_candidates
from forensic.web.server import Server

pytestmark = pytest.mark.server

PASSWORD = "a long password"
SCOPES = ["search", "read_case", "case", "view"]
CLIENTS = 10
TOP = 5
ROUTE = "direct@patches"
"""The quickest to load."""


class Running(NamedTuple):
    """A server in a process of its own."""

    process: subprocess.Popen[bytes]
    url: str


@contextmanager
def running(gallery: Path, log: Path) -> Iterator[Running]:
    """``forensic serve``; what it writes is in a file, so that no full pipe holds it up."""
    command = [sys.executable, "-m", "forensic.cli", "serve", "--gallery", str(gallery), "--port", "0"]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            deadline = time.monotonic() + 120
            while not (found := re.search(r"http://[\d.]+:\d+", log.read_text())):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield Running(process, found.group())
        finally:
            process.kill()


def end(server: Running) -> None:
    """Send SIGTERM, and see that the server ends in order: uvicorn passes the signal on when it is done."""
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) in (0, -signal.SIGTERM)


def program(url: str, token: str) -> httpx2.Client:
    return httpx2.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=120)


@pytest.fixture
def case(gallery_folder: Path, people: list[Made]) -> list[int]:
    """Numbers of the sketches of case 1."""
    with Gallery(gallery_folder) as gallery:
        gallery.sign_in("examiner", PASSWORD)
        cases.open_case(gallery, "C-1", purpose="robbery", legal_basis="warrant")
        files = [made.sketch for made in people[:3] if made.sketch is not None]
        return [cases.add_sketch(gallery, "C-1", Drawing(file.read_bytes(), "s.jpg", Kind.VIEWED)) for file in files]


@pytest.fixture
def client(browser: object, app: object, server: Server) -> TestClient:
    """An examiner's browser, of a server that has little room."""
    server.jobs.waiting = 0
    made: TestClient = browser("examiner")  # type: ignore[operator]
    return made


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(case: list[int], client: TestClient) -> None:
    asked = {"case": 1, "sketches": case[:1]}
    answer = client.post("/api/v1/searches", json=asked, headers={"Prefer": "wait=60"})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert client.get("/api/v1/jobs").json()["items"] == []


def searching(server: Running, token: str, asked: dict[str, object], wait: bool, seen: list[tuple[int, str]]) -> None:
    """Search again and again; ``seen`` gets the status and the request's number, status 0 where the server went."""
    headers = {"Prefer": "wait=60"} if wait else {}
    with program(server.url, token) as http:
        while True:
            try:
                answer = http.post("/searches", json=asked, headers=headers)
            except httpx2.TransportError:
                seen.append((0, ""))
                return
            seen.append((answer.status_code, answer.headers["x-request-id"]))
            if not wait:  # who does not wait for the end of a search would fill the queue within a moment
                time.sleep(0.3)


def accepted(seen: list[tuple[int, str]]) -> list[str]:
    """Numbers of the requests that the server said yes to."""
    return [request for status, request in seen if status in (201, 202)]


def test_sigterm_amid_clients_loses_no_search(gallery_folder: Path, case: list[int], tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []
    asked = {"case": 1, "sketches": case[:1], "top": TOP, "route": ROUTE}
    with running(gallery_folder, tmp_path / "first.log") as server:
        about = {"user": "examiner", "password": PASSWORD, "note": "load", "scopes": SCOPES}
        made = httpx2.post(f"{server.url}/api/v1/tokens", json=about, timeout=60)
        token = made.json()["token"]
        with program(server.url, token) as http:
            found = http.post("/searches", json=asked, headers={"Prefer": "wait=60"})
            assert found.status_code == 201
        crowd = [
            threading.Thread(
                target=searching,
                args=(server, token, asked | {"sketches": [case[k % len(case)]]}, bool(k % 2), seen),
            )
            for k in range(CLIENTS)
        ]
        for thread in crowd:
            thread.start()
        while len(accepted(seen)) < CLIENTS and all(thread.is_alive() for thread in crowd):
            time.sleep(0.05)
        end(server)
        for thread in crowd:
            thread.join(60)
            assert not thread.is_alive()
    statuses = Counter(status for status, _ in seen)
    assert set(statuses) <= {0, 201, 202, 503}
    assert statuses[202]
    assert statuses[0] == CLIENTS

    with running(gallery_folder, tmp_path / "second.log") as server, program(server.url, token) as http:
        # The queue is served in order: when a new search has ended, so have all that the first server left.
        last = http.post("/searches", json=asked, headers={"Prefer": "wait=60"})
        while last.status_code in (202, 503):
            time.sleep(0.5)
            last = http.post("/searches", json=asked, headers={"Prefer": "wait=60"})
        assert last.status_code == 201
        end(server)
    with Gallery(gallery_folder) as gallery:
        gallery.sign_in("auditor", PASSWORD)
        times = Counter(entry["details"]["request"] for entry in trail.entries(gallery, action="search"))
        assert all(times[request] == 1 for request in accepted(seen))
        assert max(times.values()) == 1
        assert gallery.verify() == []


def test_a_search_by_the_server_is_the_command_lines_to_the_byte(
    gallery_folder: Path, case: list[int], people: list[Made], browser: object, app: object, server: Server
) -> None:
    client: TestClient = browser("examiner")  # type: ignore[operator]
    found = client.post(
        "/api/v1/searches", json={"case": 1, "sketches": case[:1], "top": TOP}, headers={"Prefer": "wait=60"}
    )
    assert found.status_code == 201
    with Gallery(gallery_folder) as gallery:
        gallery.sign_in("examiner", PASSWORD)
        assert people[0].sketch is not None
        alone = Identifier(gallery, ROUTE, case="C-1").search(people[0].sketch, TOP)
        assert cases.searched(gallery, found.json()["search"]).record["candidates"] == record_of_candidates(alone)
