"""``forensic serve`` as a real process: what it says, whom it answers, how it ends, and what a kill leaves."""

import io
import ipaddress
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner
from PIL import Image

from forensic.commands.serve import serve
from forensic.errors import ForensicError, GalleryError
from forensic.gallery import Gallery, serving, users
from forensic.gallery.casework import cases
from forensic.gallery.rights import Operator, Right, Role

pytestmark = pytest.mark.server

PASSWORD = "a long password"
PLAIN = "from forensic.cli import main; main()"
# Searches that need no model: each takes a moment, and leaves a line when it is done.
COUNTING = """
import time
from forensic.web import work
from forensic.web.jobs import Lane
def search(job):
    for _ in range(20):
        time.sleep(0.01)
        job.tell("counting")
    with open({done!r}, "a") as file:
        file.write(str(job.asked["top"]) + "\\n")
    return {{"search": 1}}
work.handlers = lambda engine: {{"search": (search, Lane.QUICK)}}
"""


class Process:
    """A server, once it answers.

    Attributes:
        said: What it wrote to standard error.
        port: Where it listens.
    """

    def __init__(self, folder: Path, *options: str, code: str = PLAIN) -> None:
        command = [sys.executable, "-c", code, "serve", "--gallery", str(folder), "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.said = ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(60), self.said
        found = re.search(r"on http://(\S+):(\d+) ", self.said)
        assert found is not None, self.said
        self.host, self.port = found[1], int(found[2])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if "Serving" in line:
                self._ready.set()
        self._ready.set()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://{self.host}:{self.port}", timeout=30)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        status = self.process.wait(60)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty gallery without users."""
    place = tmp_path_factory.mktemp("served") / "gallery"
    Gallery(place, create=True).close()
    return place


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Process]:
    """A server of it."""
    process = Process(folder)
    yield process
    if process.process.poll() is None:
        process.end()


@pytest.fixture
def started() -> Iterator[Callable[..., Process]]:
    """Starts servers, and ends those that a test leaves."""
    made: list[Process] = []

    def start(*given: Any, **settings: Any) -> Process:
        made.append(Process(*given, **settings))
        return made[-1]

    yield start
    for process in made:
        if process.process.poll() is None:
            process.end(signal.SIGKILL)


def refused(folder: Path, *options: str) -> str:
    """What the command says when it does not start."""
    ended = CliRunner().invoke(serve, ["--gallery", str(folder), "--port", "0", *options])
    assert isinstance(ended.exception, ForensicError), ended.output
    return str(ended.exception)


# What it says


def test_it_says_where_it_is_and_how_to_get_in(running: Process, folder: Path) -> None:
    key = re.search(r"Key to sign in: (\S{24})\n", running.said)
    assert key is not None
    assert f"Serving {folder} on http://127.0.0.1:{running.port} (Ctrl-C ends it)" in running.said
    with running.client() as client:
        answer = client.post("/sign-in", data={"password": key[1]})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert client.get("/", follow_redirects=False).status_code == 303
    assert re.search(r"INFO forensic.web.requests: [0-9a-f]{16} POST /sign-in 303 \d+ ms\n", running.said)
    assert key[1] not in running.said.replace(key[0], ""), "the key is said once"


def test_help_teaches() -> None:
    said = CliRunner().invoke(serve, ["--help"]).output
    for word in ("forensic serve --name", "--https", "--proxy", "user add", "SIGTERM", "standard error"):
        assert word in said


def test_a_gallery_has_one_server(running: Process, folder: Path) -> None:
    assert "one gallery has one server" in refused(folder)


def test_what_it_keeps_is_its_owners_alone(running: Process, folder: Path) -> None:
    places = [folder / serving.FOLDER, *(folder / serving.FOLDER).iterdir()]
    assert {serving.FILE, serving.LOCK} <= {place.name for place in places}
    assert [place for place in places if stat.S_IMODE(place.stat().st_mode) & 0o077] == []


def test_errors_are_in_words(folder: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refused(folder, "--port", str(taken.getsockname()[1]))
        assert "in use" in said
        assert "--port" in said
    assert "No gallery in" in refused(tmp_path)
    assert "no address" in refused(folder, "--host", "example.org")
    assert "no such address" in refused(folder, "--host", "192.0.2.1", "--name", "example.org")
    assert "no name of a host" in refused(folder, "--name", "example.org:8000")
    assert "no address" in refused(folder, "--https", "--proxy", "proxy.example.org")
    assert "--https" in refused(folder, "--proxy", "127.0.0.1")


def test_others_are_let_in_only_with_users_and_under_a_name(tmp_path: Path, started: Callable[..., Process]) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        assert "by which name" in refused(gallery.folder, "--host", ANYWHERE)
        assert "without users" in refused(gallery.folder, "--host", ANYWHERE, "--name", "faces.example.org")
        users.add(gallery, "boss", Role.ADMINISTRATOR, PASSWORD)
    process = started(tmp_path / "gallery", "--host", ANYWHERE, "--name", "Faces.example.org")
    assert "Key to sign in" not in process.said
    with httpx.Client(base_url=f"http://127.0.0.1:{process.port}") as client:
        assert client.get("/sign-in").status_code == 421
        assert client.get("/sign-in", headers={"Host": "faces.example.org"}).status_code == 200
    assert process.end() == -signal.SIGTERM or process.process.returncode == 0


def test_it_listens_on_ipv6(tmp_path: Path, started: Callable[..., Process]) -> None:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    Gallery(tmp_path / "gallery", create=True).close()
    process = started(tmp_path / "gallery", "--host", "::1")
    assert process.host == "[::1]"
    with process.client() as client:
        assert client.get("/sign-in").status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have to be told of further addresses")
def test_it_answers_under_the_address_that_it_says(tmp_path: Path, started: Callable[..., Process]) -> None:
    Gallery(tmp_path / "gallery", create=True).close()
    process = started(tmp_path / "gallery", "--host", "127.0.0.2")
    assert process.host == "127.0.0.2"
    with process.client() as client:
        assert client.get("/sign-in").status_code == 200


@pytest.mark.slow
def test_a_proxy_is_believed_only_if_it_is_named(tmp_path: Path, started: Callable[..., Process]) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        users.add(gallery, "boss", Role.ADMINISTRATOR, PASSWORD)

    def statuses(*options: str) -> list[int]:
        process = started(tmp_path / "gallery", "--name", "127.0.0.1", *options)
        with process.client() as client:
            found = [
                client.post(
                    "/sign-in",
                    data={"name": f"name {number}", "password": "wrong"},
                    headers={"X-Forwarded-For": f"192.0.2.{number}"},
                ).status_code
                for number in range(32)
            ]
        process.end()
        (tmp_path / "gallery" / serving.FOLDER / serving.FILE).unlink()
        return found[29:]

    assert statuses("--https") == [403, 403, 403], "each comes from an address of its own"
    assert statuses("--https", "--proxy", "192.0.2.77") == [403, 429, 429]
    assert statuses() == [403, 429, 429]


# What is no request

HOST, ANYWHERE = b"Host: localhost\r\n", str(ipaddress.IPv4Address(0))
SMUGGLED = {
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "two codings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nabcde",
    "a signed length": b"Content-Length: +5\r\n\r\nabcde",
    "a blank before the colon": b"Content-Length : 5\r\n\r\nabcde",
    "a folded line": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a negative chunk": b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
    "a null in a header": b"X: a\0b\r\n\r\n",
}


def spoken(port: int, data: bytes, seconds: float = 10) -> bytes:
    """What a server answers to bytes, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as line:
        line.sendall(data)
        answer = b""
        try:
            while part := line.recv(1 << 16):
                answer += part
        except ConnectionResetError:
            pass
        return answer


@pytest.mark.parametrize("rest", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_two_requests_are_never_seen_where_a_proxy_may_see_one(running: Process, rest: bytes) -> None:
    answer = spoken(running.port, b"POST /sign-in HTTP/1.1\r\n" + HOST + rest)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "path",
    [b"/static/../app.py", b"/static/%2e%2e/app.py", b"/static/..%2fapp.py", b"/static/a%00b", b"//e/", b"/%ff"],
)
def test_odd_paths_lead_nowhere(running: Process, path: bytes) -> None:
    answer = spoken(running.port, b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")


def test_headers_without_end_are_cut_off(running: Process) -> None:
    start = b"GET /sign-in HTTP/1.1\r\n" + HOST
    assert spoken(running.port, start + b"X: " + b"a" * 1_000_000) == b""
    assert spoken(running.port, start + b"X: a\r\n" * 100_000) == b""
    assert spoken(running.port, start + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_who_sends_no_headers_is_sent_away(tmp_path: Path, started: Callable[..., Process]) -> None:
    Gallery(tmp_path / "gallery", create=True).close()
    process = started(tmp_path / "gallery", code=f"from forensic.web import protocol; protocol.SECONDS = 0.5; {PLAIN}")
    begun = time.monotonic()
    assert spoken(process.port, b"") == spoken(process.port, b"GET / HTTP/1.1\r\nHost:") == b""
    assert time.monotonic() - begun < 10


def test_who_goes_on_sending_after_the_answer_is_sent_away(tmp_path: Path, started: Callable[..., Process]) -> None:
    Gallery(tmp_path / "gallery", create=True).close()
    process = started(tmp_path / "gallery", code=f"from forensic.web import protocol; protocol.SECONDS = 0.5; {PLAIN}")
    with socket.create_connection(("127.0.0.1", process.port), timeout=5) as connection:
        connection.sendall(b"GET /sign-in HTTP/1.1\r\n" + HOST + b"Content-Length: 60000\r\n\r\n")
        assert connection.recv(9) == b"HTTP/1.1 "
        assert dropped(connection) < 5


def dropped(connection: socket.socket) -> float:
    """Seconds after which a connection is closed on which a byte is sent now and then; 10 if it is not."""
    begun = time.monotonic()
    while time.monotonic() - begun < 10:
        try:
            connection.sendall(b"x")
        except OSError:
            break
        time.sleep(0.05)
    return time.monotonic() - begun


# How it ends


@pytest.fixture
def casework(tmp_path: Path) -> tuple[Path, int, int]:
    """A gallery with an examiner, a case and a sketch: its folder and their numbers."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 80), "white").save(buffer, "PNG")
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(users, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
            users.add(gallery, "boss", Role.ADMINISTRATOR, PASSWORD)
            users.add(gallery.acting_as(Operator("boss", Role.ADMINISTRATOR)), "anna", Role.EXAMINER, PASSWORD)
        anna = gallery.acting_as(Operator("anna", Role.EXAMINER))
        cases.open_case(anna, "C-1", purpose="p", legal_basis="l")
        sketch = cases.add_sketch(anna, "C-1", cases.Drawing(buffer.getvalue(), "sketch.png", "viewed"))
        case = cases.find(anna, "C-1").id
    return tmp_path / "gallery", case, sketch


def asking(client: httpx.Client) -> None:
    """Sign a program in."""
    asked = {"user": "anna", "password": PASSWORD, "note": "n", "scopes": [right.name.lower() for right in Right]}
    client.headers["Authorization"] = f"Bearer {client.post('/api/v1/tokens', json=asked).json()['token']}"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_what_was_acknowledged_is_done_after_a_kill(
    casework: tuple[Path, int, int], started: Callable[..., Process], tmp_path: Path, how: signal.Signals
) -> None:
    folder, case, sketch = casework
    done = tmp_path / "done"
    code = COUNTING.format(done=str(done)) + PLAIN
    process, acknowledged = started(folder, "--workers", "1", code=code), {}
    with process.client() as client:
        asking(client)
        bearer = client.headers["Authorization"]
        for top in range(1, 9):
            asked = {"case": case, "sketches": [sketch], "top": top}
            answer = client.post("/api/v1/searches", json=asked)
            assert answer.status_code == 202, answer.text
            acknowledged[answer.headers["location"]] = top
    while not (done.exists() and done.read_text().split()):  # a file is there before what is written into it
        time.sleep(0.01)
    process.end(how)
    first = done.read_text().split()
    assert 0 < len(first) < 8, "it was ended amid its work"
    process = started(folder, "--workers", "2", code=code)
    with process.client() as client:
        client.headers["Authorization"] = bearer
        for location in acknowledged:
            assert client.get(location, headers={"Prefer": "wait=30"}).json()["status"] == "done"
    process.end()
    again = [int(line) for line in done.read_text().split()]
    assert sorted(set(again)) == sorted(acknowledged.values())
    assert len(again) - len(set(again)) <= (how is signal.SIGKILL), "what was under way at a kill may be done twice"
    assert "Traceback" not in process.said
    with Gallery(folder) as gallery:
        assert gallery.acting_as(Operator("anna", Role.EXAMINER)).verify() == []
        assert serving.files(gallery) == 0
        serving.check_idle(gallery)


def test_while_jobs_wait_the_state_is_not_taken_away(
    casework: tuple[Path, int, int], started: Callable[..., Process], tmp_path: Path
) -> None:
    folder, case, sketch = casework
    slow = COUNTING.format(done=str(tmp_path / "done")).replace("0.01", "1.0")
    process = started(folder, "--workers", "1", code=slow + PLAIN)
    with process.client() as client:
        asking(client)
        client.post("/api/v1/searches", json={"case": case, "sketches": [sketch]})
    with Gallery(folder) as gallery:
        with pytest.raises(GalleryError, match="is serving the gallery"):
            serving.check_idle(gallery)
        process.end(signal.SIGKILL)
        with pytest.raises(GalleryError, match="1 jobs wait"):
            serving.check_idle(gallery)
    assert (folder / serving.FOLDER / serving.FILE).exists()
