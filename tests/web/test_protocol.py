"""Answers that nobody takes: the connection ends, and what waits for the client with it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
import uvicorn
from uvicorn.server import ServerState

from forensic.web import protocol
from forensic.web.protocol import Impatient

BODY = 8 << 20
KEPT = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLOSED = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
App = Callable[..., Coroutine[Any, Any, None]]
Thing = TypeVar("Thing")
Run = Callable[[Coroutine[Any, Any, Thing]], Thing]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    """Runs something on a loop of either kind that uvicorn takes."""
    factory = pytest.importorskip(request.param).new_event_loop

    def to_the_end(coroutine: Coroutine[Any, Any, Thing]) -> Thing:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(coroutine)

    return to_the_end


def app(*parts: int) -> App:
    """Answers with zeros, in parts of so many bytes."""

    async def answer(scope: Any, receive: Any, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        length = [(b"content-length", str(sum(parts)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        for part in parts:
            await send({"type": "http.response.body", "body": bytes(part), "more_body": True})
        await send({"type": "http.response.body"})

    return answer


@asynccontextmanager
async def asked(answer: App, request: bytes) -> AsyncIterator[tuple[ServerState, socket.socket]]:
    """A server that was asked something on one connection, and the client's end of it, with little room on the way."""
    loop, state = asyncio.get_running_loop(), ServerState()
    config = uvicorn.Config(answer, log_level="critical")
    with socket.socket() as listening, socket.socket() as client:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        listening.bind(("127.0.0.1", 0))
        server = await loop.create_server(lambda: Impatient(config, state, {}, loop), sock=listening)
        client.setblocking(False)
        await loop.sock_connect(client, listening.getsockname())
        await loop.sock_sendall(client, request)
        try:
            yield state, client
        finally:
            server.close()
            for one in list(state.connections):
                one.transport.abort()
            await asyncio.sleep(0.01)


async def left(state: ServerState, seconds: float) -> int:
    """How many connections there are after so many seconds, or as soon as there is none."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    await asyncio.sleep(0.05)
    while state.connections and loop.time() < until:
        await asyncio.sleep(0.02)
    return len(state.connections)


CASES = {
    "whole": ((BODY,), KEPT),
    "in parts": ((1 << 16,) * 100, KEPT),
    "closing": ((BODY,), CLOSED),
    "many requests": ((1 << 16,), KEPT * 100),
    "little": ((100_000,), CLOSED),
}


@pytest.mark.parametrize(("parts", "request_"), CASES.values(), ids=CASES.keys())
def test_who_takes_no_answer_is_sent_away(
    parts: tuple[int, ...], request_: bytes, run: Run[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def both() -> tuple[int, int]:
        async with asked(app(*parts), request_) as (state, _):
            waiting = await left(state, 0.2)
            return waiting, await left(state, 10)

    monkeypatch.setattr(protocol, "UNREAD", 0.5)
    assert run(both()) == (1, 0)


def test_who_takes_too_little_is_sent_away(run: Run[int], monkeypatch: pytest.MonkeyPatch) -> None:
    async def sipped() -> int:
        async with asked(app(BODY), KEPT) as (state, client):
            loop = asyncio.get_running_loop()
            for _ in range(200):
                if not state.connections:
                    break
                await loop.sock_recv(client, 100)
                await asyncio.sleep(0.02)
            return len(state.connections)

    monkeypatch.setattr(protocol, "UNREAD", 0.5)
    assert run(sipped()) == 0


def test_who_is_slow_gets_all_of_it(run: Run[tuple[int, float]], monkeypatch: pytest.MonkeyPatch) -> None:
    async def taken() -> tuple[int, float]:
        async with asked(app(BODY), CLOSED) as (_, client):
            loop = asyncio.get_running_loop()
            begun, got = loop.time(), 0
            while data := await loop.sock_recv(client, 1 << 18):
                before, got = got, got + len(data)
                if got >> 18 != before >> 18:
                    await asyncio.sleep(0.08)
            return got, loop.time() - begun

    monkeypatch.setattr(protocol, "UNREAD", 1.0)
    got, seconds = run(taken())
    assert BODY < got < BODY + 1000
    assert seconds > 2
