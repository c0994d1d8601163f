"""Before a handler of the API: who asks is known before the body is read, and a repeated write is done once.

A program that got no answer does not know whether its write was done. It sends the same request again with the same
``Idempotency-Key``: what was done then is answered as it was, and not done again. Answers with personal data or secrets
are never kept: such routes do not declare `once`. A write that becomes a job keeps the job's number alone, and
answers, asked again, as the job stands by then.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Header, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import delete
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from forensic.errors import UsageError
from forensic.gallery.models import now
from forensic.web.access import form_of
from forensic.web.problems import Conflict
from forensic.web.state import Job, Made, State

KEPT = timedelta(days=1)
"""How long an answer is kept."""
REPLAYED = "Idempotency-Replayed"
SENT = ("location",)
"""Headers that belong to an answer, and are kept with it."""
JOB = "job"
_KEY = re.compile(r"[!-~]{1,200}")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


async def once(
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="1 to 200 visible ASCII characters, new for each new write. The same key with the same request "
            "within a day gives the same answer, and is done once; with another request it is refused (422), "
            "and while the first one is under way too (409).",
            examples=["9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"],
            pattern=f"^{_KEY.pattern}$",
        ),
    ] = None,
) -> None:
    """A dependency that declares that a write heeds ``Idempotency-Key``; `Route` does it."""


class Route(APIRoute):
    """A route of the API."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, with what comes before it."""
        handle = super().get_route_handler()
        calls = [one.call for one in self.dependant.dependencies]
        asking: Callable[[Request], Awaitable[object]] | None = next(
            (call for call in calls if getattr(call, "rights", None) is not None), None
        )
        heeds = once in calls

        async def handler(request: Request) -> Response:
            if asking is not None:
                await asking(request)
            key = request.headers.get("idempotency-key")
            if heeds and key is not None:
                return await _done_once(request, key, handle)
            return await handle(request)

        return handler


def began(state: State) -> None:
    """Forget old answers, and writes that an earlier server was killed in: whether they were done is not known."""
    with state.writing() as session:
        session.execute(delete(Made).where((Made.status.is_(None)) | (Made.made_at < now() - KEPT)))


async def job_of(request: Request, submit: Callable[[], Job]) -> str:
    """Number of the job that a write becomes; a repeated write has it already.

    Args:
        request: The write.
        submit: Puts the job into the queue.
    """
    known: str | None = getattr(request.state, "job", None)
    if known is not None:
        return known

    def submitted() -> str:
        number = submit().id
        if (name := getattr(request.state, "made", None)) is not None:
            _keep(request.state.visitor.server.state, name, HTTPStatus.ACCEPTED, {JOB: number})
        return number

    return await run_in_threadpool(submitted)


async def _done_once(request: Request, key: str, handle: Handler) -> Response:
    if _KEY.fullmatch(key) is None:
        raise UsageError("The Idempotency-Key is none: expected 1 to 200 visible ASCII characters.")
    visitor = request.state.visitor
    state: State = visitor.server.state
    name = _hash(f"{visitor.operator.name}\0{key}".encode())
    row = await run_in_threadpool(_claim, state, name, await _about(request))
    if row is not None:
        headers: dict[str, str] = {**(row.headers or {}), REPLAYED: "true"}
        if (job := headers.pop(JOB, None)) is None:
            return Response(row.body, row.status or HTTPStatus.OK, headers, "application/json")
        request.state.job = job
        answer = await handle(request)
        answer.headers[REPLAYED] = "true"
        return answer
    request.state.made = name
    try:
        answer = await handle(request)
        if answer.status_code < HTTPStatus.BAD_REQUEST:
            kept = {key: answer.headers[key] for key in SENT if key in answer.headers}
            await run_in_threadpool(_keep, state, name, answer.status_code, kept, bytes(answer.body).decode())
    finally:
        await run_in_threadpool(_release, state, name)
    return answer


def _claim(state: State, name: str, about: str) -> Made | None:
    """Say that a write begins; or what became of it when it was sent before.

    Raises:
        Conflict: It is under way.
        UsageError: The key is that of another request.
    """
    with state.writing() as session:
        row = session.get(Made, name)
        if row is None:
            session.add(Made(key=name, request=about))
            return None
    if row.request != about:
        raise UsageError("This Idempotency-Key came with another request before. Take a new one for each new write.")
    if row.status is None:
        raise Conflict("The same request is under way. Ask again in a moment.")
    return row


def _keep(state: State, name: str, status: int, headers: dict[str, str], body: str = "") -> None:
    """Keep an answer, unless it is that of a job, whose number is kept already."""
    with state.writing() as session:
        row = session.get(Made, name)
        if row is not None and row.status is None:
            row.status, row.headers, row.body = status, headers, body


def _release(state: State, name: str) -> None:
    """Let a write that came to nothing be tried again."""
    with state.writing() as session:
        session.execute(delete(Made).where(Made.key == name, Made.status.is_(None)))


async def _about(request: Request) -> str:
    """Hash of what a request asks for; of a form, its fields, since the text between them differs each time."""
    parts = [request.method, request.url.path, request.url.query]
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        for name, value in (await form_of(request)).multi_items():
            if isinstance(value, UploadFile):
                parts += [name, value.filename or "", _hash(await value.read())]
                await value.seek(0)
            else:
                parts += [name, value]
    else:
        parts.append(_hash(await request.body()))
    return _hash(json.dumps(parts).encode())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
