"""What stands around every request: headers, hosts, bounds, and a log that names nobody."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Request, UploadFile
from starlette.testclient import TestClient

from forensic.gallery import Gallery
from forensic.gallery.rights import Right
from forensic.web import access, api, headers, pages
from forensic.web.access import Visitor, allowed, for_anybody
from forensic.web.app import assemble, create
from forensic.web.headers import HEADERS, HOST
from forensic.web.settings import Settings

NAME = "Jane Doe"
Client = Callable[..., TestClient]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty gallery without users."""
    place = tmp_path_factory.mktemp("guarded") / "gallery"
    Gallery(place, create=True).close()
    return place


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[FastAPI]:
    """A server with small bounds and some routes of its own."""
    router = APIRouter()

    @router.post("/one")
    async def one(visitor: Annotated[Visitor, allowed(Right.CASE)], request: Request) -> int:
        async with request.form() as form:
            return sum(value.size or 0 for value in form.values() if not isinstance(value, str))

    @router.post("/many")
    async def many(visitor: Annotated[Visitor, allowed(Right.CASE, batch=True)], file: list[UploadFile]) -> int:
        return sum(one.size or 0 for one in file)

    @router.post("/text")
    async def text(visitor: Annotated[Visitor, allowed(Right.CASE)], request: Request) -> int:
        return len(await request.body())

    @router.get("/fault/{name}", dependencies=[for_anybody()])
    def fault(name: str) -> None:
        raise ValueError(name)

    with pytest.MonkeyPatch.context() as patch:
        whole = APIRouter()
        whole.include_router(pages.router)
        whole.include_router(router)
        patch.setattr(pages, "router", whole)
        patch.setattr(headers, "BESIDE", 100_000)
        settings = Settings(gallery=folder, hosts=("localhost", "[::1]"), upload_bytes=400_000, batch_bytes=2_000_000)
        made = create(assemble(settings))
        with TestClient(made):
            yield made


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    """Nobody's."""
    return TestClient(app, base_url="http://localhost", follow_redirects=False, raise_server_exceptions=False)


@pytest.fixture
def known(app: FastAPI) -> TestClient:
    """A program's, with a token."""
    client = TestClient(app, base_url="http://localhost", follow_redirects=False)
    key = app.state.server.start_key
    asked = {"user": "", "password": key, "note": "n", "scopes": [right.name.lower() for right in Right]}
    client.headers["Authorization"] = f"Bearer {client.post('/api/v1/tokens', json=asked).json()['token']}"
    return client


# Headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/sign-in", 200),
        ("/cases", 303),
        ("/api/v1/cases", 401),
        ("/nothing", 404),
        ("/static/style.css", 200),
        ("/static/nothing", 404),
        (f"/fault/{NAME}", 500),
        ("/sign-out", 405),
    ],
)
def test_every_answer_has_all_headers(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    own = dict(HEADERS) | ({"cache-control": "public, max-age=3600"} if path == "/static/style.css" else {})
    assert answer.status_code == status
    assert {key: answer.headers.get_list(key) for key in own} == {key: [value] for key, value in own.items()}
    assert len(answer.headers["x-request-id"]) == 16


REFUSED = [
    ("GET", "/", {"Host": "evil.example"}, b"", 421),
    ("GET", "/", {"Host": "[evil/:80"}, b"", 421),
    ("POST", "/sign-in", {"Sec-Fetch-Site": "cross-site"}, b"", 403),
    ("POST", "/sign-in", {}, bytes(headers.STRANGER + 1), 413),
    ("GET", f"/fault/{NAME}", {}, b"", 500),
]


@pytest.mark.parametrize(("method", "path", "sent", "body", "status"), REFUSED)
def test_refused_requests_have_them_too(client: TestClient, method, path, sent, body, status) -> None:
    answer = client.request(method, path, headers=sent, content=body)
    assert answer.status_code == status
    assert {key: answer.headers[key] for key in HEADERS} == HEADERS
    # People read a page, and of a part of one the words alone.
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<p class="error" role="alert"' in answer.text
    assert answer.headers["x-request-id"] in answer.text
    part = client.request(method, path, headers=sent | {"HX-Request": "true"}, content=body)
    assert part.text.startswith('<p class="error">')


@pytest.mark.parametrize(("method", "path", "sent", "body", "status"), REFUSED)
def test_programs_are_refused_with_a_problem(client: TestClient, method, path, sent, body, status) -> None:
    answer = client.request(method, f"/api/v1{path}", headers=sent, content=body)
    assert answer.status_code == (404 if status == 500 else status)
    assert {key: answer.headers[key] for key in HEADERS} == HEADERS
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].startswith("urn:forensic:problem:")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_where_nothing_is_says_so(client: TestClient) -> None:
    assert "nothing at this address" in client.get("/nothing").text
    assert "nothing at this address" in client.get("/api/v1/nothing").json()["detail"]
    assert "in this way" in client.get("/sign-out").text


def test_the_policy_lets_nothing_be_run_but_own_files() -> None:
    said = dict(part.split(" ", 1) for part in headers.POLICY.split("; "))
    assert said["default-src"] == "'none'"
    assert said["script-src"] == said["style-src"] == "'self'"
    assert "unsafe" not in headers.POLICY


# Hosts


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8000", "[::1]", "[::1]:80"])
def test_known_hosts(client: TestClient, host: str) -> None:
    assert client.get("/sign-in", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.", "localhost.evil.example", "user@localhost", "localhost@evil.example"),
        *(
            "localhost:",
            "localhost:80:80",
            "localhost:x",
            "localhost:²",
            "::1",
            "[::1",
            "localhost/",
            " localhost x",
            "",
        ),
        *("127.0.0.1", "localhost:123456", "localhost,evil.example", "localhost\\evil.example"),
    ],
)
def test_other_hosts_are_refused(client: TestClient, host: str) -> None:
    assert client.get("/sign-in", headers={"Host": host.encode()}).status_code == 421


@pytest.mark.parametrize("hosts", [[], [b"localhost", b"localhost"], [b"localhost", b"evil.example"]])
def test_a_request_names_one_host(app: FastAPI, hosts: list[bytes]) -> None:
    status, _ = asyncio.run(asked(app, [(b"host", host) for host in hosts]))
    assert status == 400


def test_a_host_is_taken_apart() -> None:
    assert [HOST.fullmatch(host)[1] for host in ("a.b", "a.b:80", "[::1]:80")] == ["a.b", "a.b", "[::1]"]  # type: ignore[index]


# Bounds


async def asked(
    app: FastAPI, given: list[tuple[bytes, bytes]], chunks: AsyncIterator[bytes] | None = None, path: str = "/sign-in"
) -> tuple[int, int]:
    """Status of a POST whose body comes as it comes, and how many bytes of it were read."""
    read, statuses = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal read
        async for chunk in chunks or _nothing():
            read += len(chunk)
            return {"type": "http.request", "body": chunk, "more_body": True}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": given, "scheme": "http", "client": ("192.0.2.9", 1), "server": ("localhost", 80)}
    await app(scope | {"http_version": "1.1", "root_path": ""}, receive, send)
    (status,) = statuses
    return status, read


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in ():
        yield chunk


FORM = [(b"host", b"localhost"), (b"content-type", b"application/x-www-form-urlencoded")]
CHUNKED = [(b"transfer-encoding", b"chunked")]


def test_a_strangers_body_is_short_whatever_its_headers_say(app: FastAPI) -> None:
    async def endless(first: bytes = b"") -> AsyncIterator[bytes]:
        yield first
        while True:
            yield bytes(1000)

    for given in (CHUNKED, [(b"content-length", b"10")], []):
        status, read = asyncio.run(asked(app, FORM + given, endless()))
        assert (status, read) == (413, 66_000)
    multipart = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=x"), *CHUNKED]
    assert (
        asyncio.run(
            asked(
                app,
                multipart,
                endless(b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'),
                "/many",
            )
        )[0]
        == 413
    )


def test_nothing_of_a_body_that_says_it_is_too_long_is_read(app: FastAPI) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError
        yield b""

    assert asyncio.run(asked(app, [*FORM, (b"content-length", b"70000")], never())) == (413, 0)


def test_a_body_that_stops_coming_is_given_up(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "PATIENCE", 0.1)

    async def stalling() -> AsyncIterator[bytes]:
        yield b"name="
        await asyncio.sleep(60)

    assert asyncio.run(asked(app, FORM, stalling())) == (408, 5)


def test_a_body_that_comes_drop_by_drop_is_given_up(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "PATIENCE", 0.3)
    monkeypatch.setattr(headers, "SLOWEST", headers.STRANGER * 5)

    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b"a"
            await asyncio.sleep(0.05)

    assert asyncio.run(asked(app, FORM, dripping()))[0] == 408


def sent(client: TestClient, path: str, *sizes: int) -> int:
    files = [("file", (f"{place}.png", bytes(size))) for place, size in enumerate(sizes)]
    return client.post(path, files=files).status_code


def test_who_is_known_may_send_as_much_as_the_route_takes(known: TestClient, client: TestClient) -> None:
    assert sent(known, "/one", 450_000) == 200
    assert sent(known, "/one", 550_000) == 413
    assert sent(known, "/many", 450_000, 450_000, 450_000) == 200
    assert sent(known, "/many", 450_000, 450_000, 450_000, 450_000, 450_000) == 413
    assert sent(client, "/many", 450_000) == 413
    assert known.post("/text", content=bytes(99_000)).status_code == 200
    assert known.post("/text", content=bytes(101_000)).status_code == 413
    known.headers["Authorization"] += "x"
    assert sent(known, "/one", 450_000) == 413


def test_a_form_has_a_bounded_number_of_parts(known: TestClient) -> None:
    most = access.FIELDS["max_files"]
    assert known.post("/many", files=[("file", ("a", b""))] * most).status_code == 200
    assert known.post("/many", files=[("file", ("a", b""))] * (most + 1)).status_code == 400
    long = {"reference": "x" * (access.FIELDS["max_part_size"] + 1)}
    assert known.post("/cases", data=long).status_code in (400, 413)


def test_batches_in_memory_are_few(known: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "BATCHES", 0)
    answer = known.post("/many", files=[("file", ("a", bytes(450_000)))])
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_deep_json_ends_in_words(client: TestClient) -> None:
    for body in (b"[" * 60_000, b'{"user":' * 8_000, b'{"user": "\\ud800", "password": "\\ud800"}', b"\xff"):
        answer = client.post("/api/v1/tokens", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), answer.text


# The log


def test_the_log_names_nobody(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        answer = client.get(f"/fault/{NAME}?person={NAME}")
        client.post("/sign-in", data={"name": NAME, "password": NAME})
        client.get(f"/nothing/{NAME}", headers={"User-Agent": NAME, "Referer": f"http://localhost/{NAME}"})
    assert NAME not in answer.text
    own = [record.getMessage() for record in caplog.records if record.name.startswith("forensic")]
    assert not [line for line in own if "Jane" in line or "Doe" in line]
    number = answer.headers["x-request-id"]
    assert [line.split(" ")[1:4] for line in own if line.startswith(number) and "ValueError" not in line] == [
        ["GET", "/fault/{name}", "500"]
    ]
    assert [line for line in own if line.startswith(number) and f"ValueError {__file__}:" in line]
    assert all(record.exc_info is None for record in caplog.records if record.name.startswith("forensic"))


def test_the_log_has_an_api_routes_whole_pattern(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        client.get("/api/v1/cases/17")
    assert "GET /api/v1/cases/{number} 401" in caplog.text


# Routes


def test_a_route_that_does_not_say_who_may_call_it_does_not_start(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Gallery(tmp_path / "gallery", create=True).close()
    server = assemble(Settings(gallery=tmp_path / "gallery"))
    inner, outer = APIRouter(), APIRouter()
    inner.add_api_route("/silent", lambda: None)
    outer.include_router(inner)
    monkeypatch.setattr(api, "router", outer)
    with pytest.raises(TypeError, match="/api/v1/silent does not say who may call it"):
        create(server)
    outer = APIRouter()
    outer.add_route("/plain", lambda request: None)  # type: ignore[arg-type,return-value]
    monkeypatch.setattr(api, "router", outer)
    with pytest.raises(TypeError, match="no route that can say"):
        create(server)
    server.close()
