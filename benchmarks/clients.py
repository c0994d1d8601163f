"""Clients of a server's REST API, many at once, in a process of their own.

``python -m benchmarks.clients`` reads one `Crowd` as JSON and writes its answers; `begin` starts it so.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import httpx2

API = "/api/v1"
WAIT = 60
"""Seconds that a client is ready to wait for one answer, and the server's longest."""
SCOPES = ["search", "case", "read_case", "view"]
TOP = 10


class Answer(NamedTuple):
    """What became of one request for a search.

    Attributes:
        ended: When, by this machine's monotonic clock, in seconds.
        took: Seconds from the request to the search's list, or to the refusal.
        status: 201: the list came; 202: it was accepted, and the server went; 0: no answer came; or an error's.
        request: The number that the server gave the request, which stands in the audit log.
        retry: Seconds that a refusal asks for, or None.
        why: An error, in words.
    """

    ended: float
    took: float
    status: int
    request: str = ""
    retry: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Crowd:
    """Programs that search one after the other, as long as they are told to.

    Attributes:
        url: Where the server listens.
        tokens: Theirs, in turn.
        sketches: What they search with, in turn: the numbers of a case and of a sketch in it.
        clients: How many there are.
        seconds: How long they begin searches; the last ones are waited for.
    """

    url: str
    tokens: Sequence[str]
    sketches: Sequence[tuple[int, int]]
    clients: int
    seconds: float

    async def run(self) -> list[Answer]:
        """All their answers."""
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx2.AsyncClient(base_url=self.url + API, limits=limits, timeout=2 * WAIT) as http:
            deadline = time.monotonic() + self.seconds
            tokens, sketches = itertools.cycle(self.tokens), itertools.cycle(self.sketches)
            each = [_client(http, next(tokens), sketches, deadline) for _ in range(self.clients)]
            found = await asyncio.gather(*each)
        return [answer for answers in found for answer in answers]


async def _client(
    http: httpx2.AsyncClient, token: str, sketches: Iterator[tuple[int, int]], deadline: float
) -> list[Answer]:
    """Search, and search again, until the deadline or until the server has gone."""
    answers = []
    headers = {"Authorization": f"Bearer {token}", "Prefer": f"wait={WAIT}"}
    while (left := deadline - time.monotonic()) > 0:
        case, sketch = next(sketches)
        answer = await _search(http, {"case": case, "sketches": [sketch], "top": TOP}, headers)
        answers.append(answer)
        if answer.status in (0, 202):
            break
        if answer.retry is not None:
            await asyncio.sleep(min(answer.retry, left))
    return answers


async def _search(http: httpx2.AsyncClient, asked: dict[str, Any], headers: dict[str, str]) -> Answer:
    began, status, request, retry, why = time.monotonic(), 0, "", None, ""
    try:
        answer = await http.post("/searches", json=asked, headers=headers)
        status, request = answer.status_code, answer.headers.get("X-Request-Id", "")
        if "Retry-After" in answer.headers:
            retry = float(answer.headers["Retry-After"])
        if status == 202:
            status = await _followed(http, answer.json()["id"], headers) or status
        elif status >= 400:
            why = str(answer.json().get("detail", ""))
    except httpx2.TransportError as error:
        why = repr(error)
    ended = time.monotonic()
    return Answer(ended, ended - began, status, request, retry, why)


async def _followed(http: httpx2.AsyncClient, job: str, headers: dict[str, str]) -> int | None:
    """The status that a search's list came with, which took longer than one request may wait."""
    while True:
        said = (await http.get(f"/jobs/{job}", headers=headers)).json()
        if said["status"] == "done":
            await http.get(f"/searches/{said['answer']['search']}", headers=headers)
            return 201
        if said["status"] not in ("waiting", "running"):
            return 500


def token(url: str, user: str, password: str) -> str:
    """A token for a user's programs."""
    asked = {"user": user, "password": password, "note": "benchmark", "scopes": SCOPES, "days": 1}
    answer = httpx2.post(f"{url}{API}/tokens", json=asked, timeout=WAIT)
    answer.raise_for_status()
    return str(answer.json()["token"])


def begin(crowd: Crowd) -> subprocess.Popen[str]:
    """A process in which a crowd searches; `finished` takes its answers."""
    command = [sys.executable, "-m", "benchmarks.clients"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    json.dump(asdict(crowd), process.stdin)
    process.stdin.close()
    return process


def finished(process: subprocess.Popen[str]) -> list[Answer]:
    """The answers of a crowd's process, once it has ended.

    Raises:
        RuntimeError: It failed.
    """
    assert process.stdout is not None
    with process:
        said = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"The clients failed with status {process.returncode}.")
    return [Answer(*values) for values in json.loads(said)]


if __name__ == "__main__":
    json.dump(asyncio.run(Crowd(**json.load(sys.stdin)).run()), sys.stdout)
