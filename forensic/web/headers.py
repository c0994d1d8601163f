"""Around every request: a number, a known host, no stranger's page behind it, bounds on its body; and headers.

What is refused here is refused before anything of the body is read.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import NamedTuple

from fastapi import HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forensic.web import problems
from forensic.web.logs import faults

log = logging.getLogger("forensic.web.requests")

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
STATIC = {"cache-control": "public, max-age=3600"}
LATCH = {"strict-transport-security": "max-age=31536000"}
SAFE = ("GET", "HEAD", "OPTIONS")
STRANGER = 1 << 16
"""Bytes that the body of somebody may have who is not signed in: name, password, little else."""
BESIDE = 1 << 20
"""Bytes of a body that holds no file, or beside a file."""
BATCHES = 4
"""Uploads of several files that may be in memory at once."""
PATIENCE = 30.0
"""Seconds without a byte after which a body is given up, and what it has at least."""
SLOWEST = 1 << 16
"""Bytes a second of what a body may have, beyond that."""
API = "/api/v1"
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:@/\\\s]+)(?::[0-9]{1,5})?")
"""A Host header: name, or IPv6 address in brackets, with or without a port."""


class Bounds(NamedTuple):
    """How many bytes a body may have.

    Attributes:
        upload: With one file.
        batch: With several, where a route takes such.
        takes_batch: Whether the route of a request does.
        knows: Whether somebody who is signed in makes a request.
    """

    upload: int
    batch: int
    takes_batch: Callable[[Scope], bool]
    knows: Callable[[Scope], Awaitable[bool]]


class Guard:
    """The outermost application.

    Args:
        app: What it is around.
        hosts: Names under which it may be called, without a port.
        https: Whether browsers come by https.
        bounds: Of bodies.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], https: bool, bounds: Bounds) -> None:
        self.app, self.hosts, self.https, self.bounds = app, {host.lower() for host in hosts}, https, bounds
        self.headers = HEADERS | (LATCH if https else {})
        self._batches = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; of what is no request but the server's start and end, nothing gets through."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        if scope["type"] != "http":
            return
        number, began = secrets.token_hex(8), time.monotonic()
        scope.setdefault("state", {})["request_id"] = number
        answer = _Answer(send, self.headers, scope)
        try:
            refused = self._refused(scope)
            if refused is None:
                await self._pass_on(scope, receive, answer)
            else:
                await answer.refuse(*refused)
        except Exception as error:  # what no handler of `problems` takes
            log.error("%s %s", number, faults(error))
            if not answer.begun:
                await answer.refuse(500, problems.UNEXPECTED)
        finally:
            if (form := scope["state"].get("form")) is not None:
                await form.close()
            # The route's pattern, never its values, which may name people.
            route = getattr(scope.get("route"), "path", "unknown path")
            route = API + route if scope["path"].startswith(f"{API}/") and route != "unknown path" else route
            milliseconds = 1000 * (time.monotonic() - began)
            log.info("%s %s %s %d %.0f ms", number, scope["method"], route, answer.status, milliseconds)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """Status and words for a request that goes no further."""
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1:
            return 400, "A request names one host."
        found = HOST.fullmatch(given[0].lower())
        if found is None or found[1] not in self.hosts:
            return 421, "This server is not known under that name."
        if scope["method"] not in SAFE and self._of_stranger(scope, given[0].lower()):
            return 403, "This came from another site's page. Open the form here, and send it again."
        return None

    def _of_stranger(self, scope: Scope, host: str) -> bool:
        """Whether a browser says that another site's page makes it ask; ports apart are sites apart."""
        site, origin = _header(scope, b"sec-fetch-site"), _header(scope, b"origin")
        if site is not None:
            return site not in ("same-origin", "none")
        if origin is None:
            return False
        scheme, _, place = origin.lower().partition("://")
        if self.https:  # the proxy's port may be another one than the Host header's
            found, own = HOST.fullmatch(place), HOST.fullmatch(host)
            return scheme != "https" or not (found and own and found[1] == own[1])
        return place != host

    async def _pass_on(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        longest = await self._longest(scope)
        declared = _header(scope, b"content-length")
        words = f"What was sent has more than the {longest:,} bytes that this request may have. Send less at once."
        if declared is not None and declared.isascii() and declared.isdecimal() and int(declared) > longest:
            await answer.refuse(413, words)
            return
        batch = longest > self.bounds.upload + BESIDE
        if batch and self._batches >= BATCHES:
            await answer.refuse(503, "Several uploads of many files are under way.", retry=5)
            return
        self._batches += batch
        try:
            await self.app(scope, _bounded(receive, longest, words), answer)
        finally:
            self._batches -= batch

    async def _longest(self, scope: Scope) -> int:
        """How many bytes the body may have; who asks is looked up only where it may be much."""
        declared, chunked = _header(scope, b"content-length"), _header(scope, b"transfer-encoding")
        if not chunked and (not declared or (declared.isdecimal() and int(declared) <= STRANGER)):
            return STRANGER
        if not await self.bounds.knows(scope):
            return STRANGER
        if not (_header(scope, b"content-type") or "").lower().startswith("multipart/form-data"):
            return BESIDE
        return BESIDE + (self.bounds.batch if self.bounds.takes_batch(scope) else self.bounds.upload)


class _Answer:
    """Sends an answer with all headers."""

    def __init__(self, send: Send, headers: dict[str, str], scope: Scope) -> None:
        self._send, self._headers, self._scope = send, headers, scope
        self._number: str = scope["state"]["request_id"]
        self.status, self.begun = 500, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.begun = message["status"], True
            static = self._scope["path"].startswith("/static/") and self.status in (200, 304)
            # What the route has to say goes with an error too.
            own = self._headers | (STATIC if static else {}) | self._scope["state"].get("headers", {})
            kept = [(key, value) for key, value in message["headers"] if key.decode("latin-1").lower() not in own]
            message["headers"] = [
                *kept,
                *((key.encode(), value.encode()) for key, value in own.items()),
                (b"x-request-id", self._number.encode()),
            ]
        await self._send(message)

    async def refuse(self, status: int, words: str, *, retry: int = 0) -> None:
        """End the request and, since its body may not have been read, the connection."""
        headers = {"connection": "close"} | ({"retry-after": str(retry)} if retry else {})
        request = Request(self._scope)
        response = problems.answer(request, HTTPStatus(status), words, headers=headers)
        await response(self._scope, request.receive, self)


def _bounded(receive: Receive, longest: int, words: str) -> Receive:
    """The same body, cut off with an error where it gets too long or stops coming, whatever its headers said."""
    read, more, end = 0, True, time.monotonic() + PATIENCE + longest / SLOWEST

    async def bounded() -> Message:
        nonlocal read, more
        try:  # once the body is there, this waits for the asker's leaving, which may take as long as it likes
            message = await (asyncio.wait_for(receive(), min(PATIENCE, end - time.monotonic())) if more else receive())
        except TimeoutError:
            raise HTTPException(408, "The body of the request stopped coming.", {"Connection": "close"}) from None
        read, more = read + len(message.get("body", b"")), bool(message.get("more_body", False))
        if read > longest:
            raise HTTPException(413, words, {"Connection": "close"})
        return message

    return bounded


def _header(scope: Scope, name: bytes) -> str | None:
    """A header's value; several of one name, of which a proxy may heed another than this server, count as one."""
    values = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return ", ".join(values) if values else None
