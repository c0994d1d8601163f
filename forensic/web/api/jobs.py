"""Long work: where it stands, and how a write that becomes a job is answered."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from forensic.errors import NotFound
from forensic.web.access import Visitor, allowed
from forensic.web.api.models import SIGNED_IN, Page, Problem, Told, failing, phrase, place
from forensic.web.api.paging import Paged
from forensic.web.jobs import ENDED, Status, View
from forensic.web.problems import TYPE, Conflict, answer, status_of_kind
from forensic.web.routing import Route, job_of
from forensic.web.state import Job

router = APIRouter(tags=["jobs"], route_class=Route)
LONGEST = 60
"""Seconds that an answer is waited for at most."""
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})", re.IGNORECASE | re.ASCII)
NumberOfJob = Annotated[
    str, Path(pattern="^[0-9a-f]{32}$", description="The job's id.", examples=["0123456789abcdef0123456789abcdef"])
]


class JobShown(Told):
    """Long work, waiting, under way or ended."""

    id: str = Field(examples=["0123456789abcdef0123456789abcdef"])
    kind: str = Field(examples=["search"])
    status: Status
    position: int = Field(description="1 for the next of its queue; 0 once it has begun.")
    stage: str = Field(description="What it is doing.", examples=["finding the face"])
    done: int = Field(description="How far it is, of `total`.")
    total: int = Field(description="0 where it is one piece.")
    answer: dict[str, Any] | None = Field(
        description="What came of it, in numbers: of a search its number.", examples=[{"search": 12}]
    )
    error: Problem | None = Field(description="Why it failed.")
    made_at: datetime
    began_at: datetime | None
    ended_at: datetime | None


async def seconds_to_wait(
    prefer: Annotated[
        str | None,
        Header(
            alias="Prefer",
            max_length=200,
            description=f"`wait=SECONDS`, at most {LONGEST}: how long to wait for the job's end (RFC 7240).",
            examples=["wait=30"],
        ),
    ] = None,
) -> int:
    """A dependency: how long the program prefers to wait."""
    return preferred(prefer or "")


def preferred(prefer: str) -> int:
    """The seconds of a Prefer header. What is not understood is passed over, as the RFC says.

    >>> preferred("respond-async, wait=10"), preferred("wait=900"), preferred("handling=lenient")
    (10, 60, 0)
    """
    found = _WAIT.search(prefer)
    return min(int(found[1]), LONGEST) if found else 0


Waiting = Annotated[int, Depends(seconds_to_wait)]
UNFINISHED: dict[str, Any] = {"model": JobShown, "description": "The job, which has not ended in time."}
"""How a document of the API describes the answer that is a job."""


@router.get("/jobs", responses=failing(*SIGNED_IN), operation_id="list_jobs")
def listed(visitor: Annotated[Visitor, allowed()], window: Paged) -> Page[JobShown]:
    """One's own jobs of the last day, the newest first."""
    views = visitor.server.jobs.views(visitor.operator.name, before=window.after, most=window.limit + 1)
    shown, cursor = window.cut(views, lambda view: view.job.order)
    return Page(items=[job_shown(view) for view in shown], next=cursor)


@router.get("/jobs/{number}", responses=failing(*SIGNED_IN, 404), operation_id="show_job")
async def shown(visitor: Annotated[Visitor, allowed()], number: NumberOfJob, seconds: Waiting) -> JobShown:
    """One of one's own jobs; with `Prefer: wait`, once it has ended."""
    view = await run_in_threadpool(visitor.server.jobs.view, number, visitor.operator.name)
    if seconds and view.status not in ENDED:
        view = await visitor.server.jobs.wait(number, visitor.operator.name, seconds)
    return job_shown(view)


@router.post("/jobs/{number}/cancel", responses=failing(*SIGNED_IN, 404, 409), operation_id="cancel_job")
def cancelled(visitor: Annotated[Visitor, allowed()], number: NumberOfJob) -> JobShown:
    """Stop one of one's own jobs: at once if it waits, at its next step if it runs.

    Nothing more is stored then. What an enrollment or an indexing stored before stays; other work leaves no result.
    """
    return job_shown(visitor.server.jobs.cancel(number, visitor.operator.name))


def job_shown(view: View) -> JobShown:
    """A job as programs see it."""
    job = view.job
    return JobShown(
        id=job.id,
        kind=job.kind,
        status=view.status,
        position=view.position,
        stage=view.stage,
        done=view.done,
        total=view.total,
        answer=job.answer,
        error=_problem(view) if view.status is Status.FAILED else None,
        made_at=job.made_at,
        began_at=job.began_at,
        ended_at=job.ended_at,
    )


async def answered(
    request: Request,
    visitor: Visitor,
    seconds: int,
    submit: Callable[[], Job],
    finished: Callable[[dict[str, Any]], Awaitable[Response]] | None = None,
) -> Response:
    """The answer to a write that becomes a job: what came of it if it ended in time, else the job.

    Args:
        request: The write.
        visitor: Who asks.
        seconds: How long to wait.
        submit: Puts the job into the queue.
        finished: Makes the answer of what came of it; None where that is the job, which says it itself.

    Raises:
        Conflict: It was cancelled meanwhile.
    """
    jobs, user = visitor.server.jobs, visitor.operator.name
    number = await job_of(request, submit)
    if seconds:
        view = await jobs.wait(number, user, seconds)
    else:
        view = await run_in_threadpool(jobs.view, number, user)
    if view.status is Status.FAILED:
        problem = _problem(view)
        return answer(request, HTTPStatus(problem.status), problem.detail, kind=view.job.error_kind or "internal")
    if view.status is Status.CANCELLED:
        raise Conflict("The job was cancelled.")
    done = view.status is Status.DONE
    if done and finished is not None:
        return await finished(view.job.answer or {})
    told = job_shown(view).model_dump(mode="json")
    return JSONResponse(told, 200 if done else 202, {"Location": place("jobs", number)})


def answer_of(visitor: Visitor, number: str, kind: str) -> dict[str, Any]:
    """What came of one of one's own jobs.

    Args:
        visitor: Who asks.
        number: The job's id.
        kind: What it has to be.

    Raises:
        NotFound: There is no such job of this kind.
        Conflict: Nothing came of it, or not yet.
    """
    view = visitor.server.jobs.view(number, visitor.operator.name)
    if view.job.kind != kind:
        raise NotFound(f"That job is another one than {kind}.")
    if view.status is not Status.DONE or view.job.answer is None:
        raise Conflict(f"The job has found nothing: it is {view.status}. {place('jobs', number)} says where it stands.")
    return view.job.answer


def _problem(view: View) -> Problem:
    kind, number = view.job.error_kind or "internal", view.job.request_id
    status = status_of_kind(kind)
    return Problem(type=TYPE + kind, title=phrase(status), status=status, detail=view.error, request_id=number)
