"""The gallery as a whole, and what was measured of it: accuracy reports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from forensic.gallery import reports
from forensic.gallery.models import AccuracyReport
from forensic.gallery.rights import Right
from forensic.web import errands
from forensic.web.access import Visitor, allowed
from forensic.web.api.jobs import UNFINISHED, JobShown, Waiting, answered
from forensic.web.api.models import SIGNED_IN, InPath, Line, Page, Sent, Told, failing
from forensic.web.api.paging import Paged
from forensic.web.routing import Route, once

router = APIRouter(tags=["gallery"], route_class=Route)


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


class CheckAsked(Sent):
    """What is checked, and against what."""

    everything: bool = Field(
        default=False, description="Whether originals, templates and index are checked too, and not the log alone."
    )


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
    """Make the templates that a route lacks, from the stored originals."""
    route = asked.route or visitor.server.settings.routes[0]
    return await answered(request, visitor, seconds, lambda: errands.reindex(visitor, route))


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
    """Check the log, or all that is stored, in the background; `POST /audit/verification` waits for the log's check."""
    return await answered(request, visitor, seconds, lambda: errands.verify(visitor, everything=asked.everything))


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


def _listed(report: AccuracyReport) -> dict[str, Any]:
    return {"id": report.id, "title": report.title, "created_at": report.created_at}
