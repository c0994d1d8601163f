"""One request: how it is sent again, what is not followed, and what errors become. No server is needed."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import pytest

from forensic import __version__, errors
from forensic.client import address, connection, jobs, problems, signing_in
from forensic.client.connection import Connection, File, Sent
from forensic.client.people import People
from forensic.client.records import Records
from forensic.client.users import Users
from forensic.errors import ForensicError, GalleryError, RightsError, UsageError
from forensic.gallery.records import Shown
from forensic.gallery.rights import Role
from forensic.web.problems import TYPE, kind_of

ADDRESS = "https://faces.example"
Answering = Callable[[httpx2.Request], httpx2.Response]


def to(answer: Answering, told: list[str] | None = None) -> Connection:
    """A connection whose requests a function answers."""
    tell = (lambda sentence: None) if told is None else told.append
    return Connection(ADDRESS, "fst_secret", tell=tell, transport=httpx2.MockTransport(answer))


def problem(status: int, kind: str, detail: str, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, json={"type": TYPE + kind, "detail": detail, "request_id": "ab12"}, headers=headers)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it was waited; nobody waits."""
    pauses: list[float] = []
    monkeypatch.setattr(connection.time, "sleep", pauses.append)
    return pauses


@pytest.mark.parametrize(
    "text",
    [
        "http://faces.example",
        "http://127.0.0.1.faces.example",
        "http://localhost.faces.example",
        "http://[2001:db8::1]",
        "https://user:word@faces.example",
        "https://faces.example/path",
        "https://faces.example?x=1",
        "https://faces.example:port",
        "https://",
        "ftp://faces.example",
        "faces.example",
        "",
    ],
)
def test_addresses_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        address.parse(text)
    assert "word" not in str(caught.value).replace("passwords", "")


@pytest.mark.parametrize("text", ["http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost", ADDRESS])
def test_addresses_that_are_taken(text: str) -> None:
    assert address.parse(f" {text}/") == text


def test_a_busy_server_is_asked_again_with_the_same_key(slept: list[float]) -> None:
    keys, told = [], []

    def answer(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) < 3:
            return problem(503, "busy", "64 jobs are waiting already.", **{"Retry-After": "7"})
        return httpx2.Response(201, json={"id": 4})

    with to(answer, told) as made:
        assert made.post("/cases", lambda found: found["id"], {}) == 4
    assert (slept, len(set(keys)), len(told)) == ([7, 7], 1, 2)
    assert "7 s" in told[0]


def test_after_a_minute_the_servers_words_are_told(slept: list[float]) -> None:
    with (
        to(lambda request: problem(503, "busy", "64 jobs are waiting already.", **{"Retry-After": "25"})) as made,
        pytest.raises(GalleryError, match="64 jobs"),
    ):
        made.get("/me", dict)
    assert slept == [25, 25]


def test_each_new_thing_has_a_key_of_its_own_and_what_reads_or_is_secret_has_none() -> None:
    keys = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers.get("idempotency-key"))
        return httpx2.Response(200, json={})

    with to(answer) as made:
        made.post("/cases", dict, {})
        made.post("/cases", dict, {})
        made.ask("POST", "/cases/lookup", dict, Sent(reads=True))
        made.ask("POST", "/users", dict, Sent(unkept=True))
        made.get("/cases", dict)
    assert keys[0] != keys[1]
    assert keys[2:] == [None, None, None]


def test_a_write_under_way_after_a_retry_is_waited_for(slept: list[float]) -> None:
    answers = iter(
        [
            problem(503, "busy", "Later.", **{"Retry-After": "1"}),
            problem(409, "conflict", "The same request is under way."),
            httpx2.Response(201, json={"id": 4}),
        ]
    )
    with to(lambda request: next(answers)) as made:
        assert made.post("/cases", lambda found: found["id"], {}) == 4
    assert len(slept) == 2


def test_a_write_under_way_after_a_lost_connection_is_waited_for(slept: list[float]) -> None:
    answers: list[httpx2.Response | None] = [
        None,
        problem(409, "conflict", "The same request is under way."),
        httpx2.Response(201, json={"id": 4}),
    ]

    def answer(request: httpx2.Request) -> httpx2.Response:
        if (response := answers.pop(0)) is None:
            raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")
        return response

    with to(answer) as made:
        assert made.post("/cases", lambda found: found["id"], {}) == 4
    assert slept == [2]


def test_a_conflict_of_what_has_no_key_is_told_at_once(slept: list[float]) -> None:
    answers = iter([problem(503, "busy", "Later.", **{"Retry-After": "1"}), problem(409, "conflict", "It has ended.")])
    with to(lambda request: next(answers)) as made, pytest.raises(ForensicError, match="It has ended"):
        made.ask("DELETE", "/tokens/1", dict)
    assert slept == [1]


LOST = (httpx2.RemoteProtocolError("Server disconnected without sending a response."), httpx2.ReadError("reset"))


@pytest.mark.parametrize("lost", LOST, ids=["ended", "reset"])
@pytest.mark.parametrize(
    ("method", "sent"), [("DELETE", Sent()), ("PATCH", Sent()), ("PUT", Sent()), ("POST", Sent(unkept=True))]
)
def test_what_has_no_key_and_may_be_done_is_not_sent_again(method: str, sent: Sent, lost: Exception) -> None:
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("idempotency-key"))
        raise lost

    with to(answer) as made, pytest.raises(GalleryError, match="may be done all the same: look before you ask again"):
        made.ask(method, "/people/1", dict, sent)
    assert asked == [None]


def test_a_write_with_a_key_that_is_lost_twice_may_be_done() -> None:
    keys = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["idempotency-key"])
        raise LOST[0]

    with to(answer) as made, pytest.raises(GalleryError, match="may be done"):
        made.post("/cases", dict, {})
    assert (len(keys), len(set(keys))) == (2, 1)


def test_what_only_reads_is_sent_again() -> None:
    answers: list[httpx2.Response | None] = [None, httpx2.Response(200, json={"id": 4})]

    def answer(request: httpx2.Request) -> httpx2.Response:
        if (response := answers.pop(0)) is None:
            raise LOST[0]
        return response

    with to(answer) as made:
        assert made.ask("POST", "/cases/lookup", lambda found: found["id"], Sent(reads=True)) == 4


@pytest.mark.parametrize("act", ["expunge", "add", "sign in", "prove"])
def test_what_the_server_is_to_keep_nothing_of_is_asked_once(act: str) -> None:
    asked = []
    person = {"id": 1, "label": "A", "metadata": {}, "photo_count": 0, "photos": []}
    moments = dict.fromkeys(("enrolled", "updated"), "2026-01-01T00:00:00Z")

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=person | moments)
        asked.append(f"{request.method} {request.url.path}")
        raise LOST[0]

    acts = {
        "expunge": lambda made: People(made).expunge(Shown("A", 1, frozenset())),
        "add": lambda made: Users(made, str).add("eva", Role.EXAMINER, "a long password"),
        "sign in": lambda made: signing_in.sign_in(made, "eva", "a long password", 1),
        "prove": lambda made: Records(made).prove(1, texts=["A"], photos=[], wipe=False),
    }
    with to(answer) as made, pytest.raises(GalleryError, match="may be done"):
        acts[act](made)
    assert len(asked) == 1


def test_no_more_people_are_asked_for_than_are_shown() -> None:
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent = json.loads(request.read())
        asked.append({key: sent[key] for key in sent if key in ("limit", "offset", "cursor")})
        moment = "2026-01-01T00:00:00Z"
        person = {"id": 1, "label": "A", "metadata": {}, "photo_count": 1, "enrolled": moment, "updated": moment}
        return httpx2.Response(200, json={"items": [person] * sent["limit"], "next": "more"})

    with to(answer) as made:
        assert len(People(made).look_through({}, limit=3)) == 3
        assert len(People(made).look_through({"sex": "F"}, limit=connection.PAGE + 2, offset=5)) == connection.PAGE + 2
    assert asked == [
        {"limit": 3},
        {"limit": connection.PAGE, "offset": 5},
        {"limit": 2, "offset": 5, "cursor": "more"},
    ]


def test_a_lost_connection_is_tried_once_more() -> None:
    tries = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        tries.append(request)
        raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")

    with to(answer) as made, pytest.raises(GalleryError, match="cannot be reached"):
        made.get("/me", dict)
    assert len(tries) == 2


def test_a_redirect_is_not_followed() -> None:
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.host)
        return httpx2.Response(307, headers={"Location": "https://elsewhere.example/"})

    with to(answer) as made, pytest.raises(GalleryError, match="not followed"):
        made.post("/tokens", dict, {"password": "a long password"})
    assert asked == ["faces.example"]


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (httpx2.Response(200, text="<html>a proxy's page</html>"), "not understood"),
        (httpx2.Response(200, json={"other": 1}), "not understood"),
        (httpx2.Response(200, json=[1]), "not understood"),
        (httpx2.Response(502, text="Bad Gateway"), "in no words of a forensic server"),
        (httpx2.Response(404, json={"error": "x"}), "in no words of a forensic server"),
    ],
)
def test_strange_answers_are_told_in_words(response: httpx2.Response, words: str) -> None:
    with to(lambda request: response) as made, pytest.raises(GalleryError, match=words):
        made.get("/me", lambda found: found["user"])


def test_time_runs_out() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("timed out")

    with to(answer) as made, pytest.raises(GalleryError, match="did not answer in time"):
        made.get("/me", dict)


def test_every_error_of_the_toolkit_comes_back_as_itself() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind is not ForensicError]
    assert len(kinds) > 10
    for kind in kinds:
        body = {"type": TYPE + kind_of(kind("x")), "detail": "What went wrong."}
        back = problems.error_of(ADDRESS, 422, body)
        assert (type(back), str(back)) == (kind, "What went wrong.")


def test_who_is_not_signed_in_is_told_how() -> None:
    with (
        to(lambda request: problem(401, "signed-out", "The token has ended.")) as made,
        pytest.raises(RightsError, match=f"The token has ended. Sign in: forensic login --server {ADDRESS}"),
    ):
        made.get("/me", dict)


def test_the_servers_own_trouble_names_the_request() -> None:
    with (
        to(lambda request: problem(500, "internal-server-error", "Something went wrong.")) as made,
        pytest.raises(GalleryError, match=r"\(request ab12\)"),
    ):
        made.get("/me", dict)


def test_another_version_is_told() -> None:
    def server(version: str) -> Answering:
        def answer(request: httpx2.Request) -> httpx2.Response:
            healthy = request.url.path.endswith("/health")
            return httpx2.Response(200, json={"status": "ok"} if healthy else {"info": {"version": version}})

        return answer

    with to(server(__version__)) as made:
        assert signing_in.check(made) == ""
    with to(server("9.4.1")) as made:
        assert "version 9.4.1" in signing_in.check(made)


def test_pages_are_followed_to_the_end() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        first = "cursor" not in request.url.params
        return httpx2.Response(200, json={"items": [1, 2] if first else [3], "next": "more" if first else None})

    with to(answer) as made:
        assert list(made.pages("/cases", int)) == [1, 2, 3]


def test_files_and_names_with_quotes_arrive_whole() -> None:
    bodies = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.read())
        return httpx2.Response(200, json={})

    with to(answer) as made:
        made.ask("POST", "/x", dict, Sent(data={"kind": "viewed"}, files=[("file", File("ü.png", b"\x89PNG"))]))
    assert b"\x89PNG" in bodies[0]
    assert 'filename="ü.png"'.encode() in bodies[0]


@pytest.fixture
def secured(certificate: tuple[Path, Path]) -> Iterator[int]:
    """The port of an https server that answers everything with JSON."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = HTTPServer(("127.0.0.1", 0), Answer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *arguments: None  # a client that turns away is no error of the test's
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_certificates_are_checked(
    secured: int, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = f"https://localhost:{secured}"
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with Connection(here) as made, pytest.raises(GalleryError, match=r"If an authority of .* SSL_CERT_FILE"):
        made.get("/health", dict)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with Connection(here) as made:
        assert made.get("/health", dict) == {}
    with (
        Connection(here.replace("localhost", "127.0.0.1")) as made,
        pytest.raises(GalleryError, match="cannot be trust"),
    ):
        made.get("/health", dict)  # the certificate is another host's
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    with pytest.raises(GalleryError, match="SSL_CERT_FILE"):
        Connection(here)


def test_a_job_that_waits_behind_others_is_told_of_once() -> None:
    job = {"id": "ab", "answer": None, "error": None}
    steps = [("waiting", 3), ("waiting", 1), ("running", 0), ("done", 0)]
    answers = (job | {"status": status, "position": place} for status, place in steps)
    told: list[str] = []
    seen: list[str] = []
    with to(lambda request: httpx2.Response(200, json=next(answers)), told) as made:
        ended = jobs.ended(made, "/gallery/check", Sent(json={}), watch=lambda one: seen.append(one["status"]))
    assert (ended["status"], seen) == ("done", ["waiting", "waiting", "running", "done"])
    assert (len(told), "number 3" in told[0]) == (1, True)
