"""The gallery as a whole, and what was measured of it: accuracy reports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from forensic.gallery import reports
from forensic.gallery.models import AccuracyReport
from forensic.gallery.rights import Right
from forensic.web import errands
from forensic.web.access import Visitor, allowed
from forensic.web.api.audit import HeadShown, ProblemFound, known_head, problem_found
from forensic.web.api.jobs import UNFINISHED, JobShown, NumberOfJob, Waiting, answer_of, answered
from forensic.web.api.models import NUL_FREE, SIGNED_IN, InPath, Line, Page, Sent, Told, failing
from forensic.web.api.paging import Paged
from forensic.web.problems import Conflict
from forensic.web.routing import Route, once
from forensic.web.state import Job

router = APIRouter(tags=["gallery"], route_class=Route)
Thing = TypeVar("Thing")


class SpaceShown(Told):
    """Templates that may be compared with each other."""

    digest: str = Field(description="Hash of everything that made them.")
    route: str
    dimension: int = Field(examples=[512])
    models: dict[str, str] = Field(description="Model and the SHA-256 of its weights.")


class GalleryShown(Told):
    """The gallery."""

    people: int = Field(examples=[12])
    photos: int = Field(examples=[14])
    digest: str | None = Field(description="Hash over all that is enrolled; null where it was not asked for.")
    spaces: list[SpaceShown]


class ReportListed(Told):
    """An accuracy report in a list."""

    id: int = Field(examples=[2])
    title: str
    created_at: datetime


class ReportShown(ReportListed):
    """An evaluation's results."""

    data: Any = Field(description="A JSON document.")


@router.get("/gallery", responses=failing(*SIGNED_IN), operation_id="show_gallery")
def shown(
    visitor: Annotated[Visitor, allowed(Right.VIEW)],
    digest: Annotated[bool, Query(description="Whether to hash all that is enrolled, which takes a while.")] = False,
) -> GalleryShown:
    """How much is enrolled, and along which routes it can be searched."""
    size = visitor.gallery.size()
    return GalleryShown(
        people=size.people,
        photos=size.photos,
        digest=visitor.gallery.digest() if digest else None,
        spaces=[
            SpaceShown(digest=space.digest, route=space.route, dimension=space.dimension, models=space.models)
            for space in visitor.gallery.spaces()
        ],
    )


class IndexingAsked(Sent):
    """Which templates are made."""

    route: Line | None = Field(default=None, description="One that the server offers; its first one by default.")
    everything: bool = Field(default=False, description="Whether all are made anew, and not the lacking ones alone.")


class FailureShown(Told):
    """A photo that could not be described."""

    file: str = Field(examples=["A-17_2.jpg"])
    reason: str


class Indexed(Told):
    """What came of making templates."""

    described: int = Field(description="How many templates were made.", examples=[14])
    failures: list[FailureShown]


class CheckAsked(Sent):
    """What is checked, and against what."""

    everything: bool = Field(
        default=False, description="Whether originals, templates and index are checked too, and not the log alone."
    )
    head: HeadShown | None = Field(default=None, description="One that was exported earlier.", examples=[None])
    certificates: Annotated[str, Field(max_length=100_000, pattern=NUL_FREE)] = Field(
        default="",
        description="Root certificates of time-stamping authorities, PEM: each anchor of the log has to lead to one.",
    )


class Checked(Told):
    """What a check found."""

    entries: int = Field(description="How many the log has.", examples=[40])
    anchors: int = Field(description="Anchors of the log by time-stamping authorities.", examples=[0])
    checked: int = Field(description="How many of them were checked against certificates.", examples=[0])
    problems: list[ProblemFound] = Field(description="Empty where all is sound.")


@router.post(
    "/gallery/indexing",
    dependencies=[Depends(once)],
    response_model=JobShown,
    responses={202: UNFINISHED, **failing(*SIGNED_IN, 409)},
    operation_id="index_gallery",
)
async def indexed(
    request: Request, visitor: Annotated[Visitor, allowed(Right.ENROLL)], asked: IndexingAsked, seconds: Waiting
) -> Response:
    """Make the templates that a route lacks, from the stored originals.

    `GET /gallery/indexing/{id of the job}` says which photos could not be described.
    """
    route = asked.route or visitor.server.settings.routes[0]

    def submit() -> Job:
        return errands.reindex(visitor, route, everything=asked.everything)

    return await answered(request, visitor, seconds, submit)


@router.get("/gallery/indexing/{number}", responses=failing(*SIGNED_IN, 404, 409), operation_id="show_indexing")
def described(visitor: Annotated[Visitor, allowed(Right.ENROLL)], number: NumberOfJob) -> Indexed:
    """What came of one of one's own such jobs. The files' names are kept in memory for a while alone."""
    answer = answer_of(visitor, number, "reindex")
    failures = _in_memory(errands.failures(visitor, answer["key"]), answer["failed"])
    shown = [FailureShown(file=failure.file, reason=failure.reason) for failure in failures]
    return Indexed(described=answer["described"], failures=shown)


@router.post(
    "/gallery/check",
    dependencies=[Depends(once)],
    response_model=JobShown,
    responses={202: UNFINISHED, **failing(*SIGNED_IN, 409)},
    operation_id="check_gallery",
)
async def checked(
    request: Request, visitor: Annotated[Visitor, allowed(Right.AUDIT)], asked: CheckAsked, seconds: Waiting
) -> Response:
    """Check the log, or all that is stored, in the background; `GET /gallery/check/{id of the job}` says what is wrong.

    `POST /audit/verification` waits for the log's check.
    """
    head = known_head(asked.head)

    def submit() -> Job:
        return errands.verify(visitor, everything=asked.everything, head=head, certificates=asked.certificates)

    return await answered(request, visitor, seconds, submit)


@router.get("/gallery/check/{number}", responses=failing(*SIGNED_IN, 404, 409), operation_id="show_check")
def found(visitor: Annotated[Visitor, allowed(Right.AUDIT)], number: NumberOfJob) -> Checked:
    """What one of one's own checks found. It may name people, and is kept in memory for a while alone."""
    answer = answer_of(visitor, number, "verify")
    problems = _in_memory(errands.problems(visitor, answer["key"]), answer["problems"])
    told = {key: answer[key] for key in ("entries", "anchors", "checked")}
    return Checked(problems=[problem_found(problem) for problem in problems], **told)


@router.get("/reports", responses=failing(*SIGNED_IN), operation_id="list_reports")
def listed(visitor: Annotated[Visitor, allowed(Right.VIEW)], window: Paged) -> Page[ReportListed]:
    """Accuracy reports, the newest first."""
    left = [report for report in reports.listed(visitor.gallery) if window.after is None or report.id < window.after]
    cut, cursor = window.cut(left, lambda report: report.id)
    return Page(items=[ReportListed(**_listed(report)) for report in cut], next=cursor)


@router.get("/reports/{number}", responses=failing(*SIGNED_IN, 404), operation_id="show_report")
def report(visitor: Annotated[Visitor, allowed(Right.VIEW)], number: InPath) -> ReportShown:
    """An accuracy report: how often searches find whom they should."""
    found = reports.show(visitor.gallery, number)
    return ReportShown(**_listed(found), data=found.data)


def _in_memory(found: list[Thing] | None, count: int) -> list[Thing]:
    """What a job found, of which only the number is stored.

    Raises:
        Conflict: There was something, and it is gone.
    """
    if found is None and count:
        raise Conflict("What the job found is no longer in memory, since it may name people. Ask for it anew.")
    return found or []


def _listed(report: AccuracyReport) -> dict[str, Any]:
    return {"id": report.id, "title": report.title, "created_at": report.created_at}
