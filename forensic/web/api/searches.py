"""Searches: asking for one, and those on record."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from forensic.gallery.casework import listing
from forensic.gallery.casework.cases import Opinion, Searched, Verdict
from forensic.gallery.rights import Right
from forensic.web import asking, views
from forensic.web.access import Visitor, allowed
from forensic.web.api.jobs import UNFINISHED, Waiting, answered
from forensic.web.api.models import (
    LARGEST,
    SIGNED_IN,
    InPath,
    Landmarks,
    Line,
    Link,
    Number,
    Page,
    Sent,
    Told,
    Words,
    failing,
    place,
)
from forensic.web.api.paging import Paged
from forensic.web.routing import Route, once

router = APIRouter(tags=["searches"], route_class=Route)


class SearchAsked(Sent):
    """A search with sketches of a case."""

    case: Number = Field(description="The case's number.", examples=[4])
    sketches: Annotated[list[Number], Field(min_length=1, max_length=20)] = Field(
        description="Sketches of the case, all of one person.", examples=[[9]]
    )
    landmarks: Annotated[list[Landmarks | None], Field(max_length=20)] | None = Field(
        default=None, description="For each sketch the landmarks that a person gives, or null to have them found."
    )
    route: Line | None = Field(default=None, description="One that the server offers; its first one by default.")
    top: Annotated[int, Field(ge=1, le=1000)] = Field(default=10, description="How many candidates.")
    where: Annotated[list[Line], Field(max_length=20)] = Field(
        default=[], description="Search only these people, by what the gallery records.", examples=[["sex=female"]]
    )
    justification: Annotated[Words, Field(max_length=2000)] = Field(
        default="", description="Why the search may be narrowed so; kept with it.", examples=[""]
    )


class CaseNamed(Told):
    """A search's case."""

    id: int = Field(examples=[4])
    reference: str = Field(examples=["2026-117"])


class PersonNamed(Told):
    """Whom a candidate's photo shows."""

    id: int = Field(examples=[31])
    label: str = Field(examples=["A-17"])


class PhotoNamed(Told):
    """A candidate's photo."""

    id: int = Field(examples=[44])


class CandidateShown(Told):
    """A candidate: an investigative lead, not an identification."""

    rank: int = Field(examples=[1])
    score: float = Field(description="Comparable within the search only.", examples=[3.21])
    log_lr: float | None = Field(description="Decimal logarithm of the likelihood ratio; null where none holds.")
    bounded: bool = Field(description="Whether it is 'at least' or 'at most'.")
    words: str | None = Field(description="The likelihood ratio on the verbal scale.")
    routes: dict[str, float] = Field(description="Each route's own similarity, -1 to 1.")
    person: PersonNamed | None = Field(description="null when no longer enrolled.")
    photo: PhotoNamed


class DecisionShown(Told):
    """An examiner's verdict on a candidate."""

    rank: int = Field(examples=[1])
    examiner: str = Field(examples=["m.ito"])
    verdict: Verdict | None = Field(description="null as long as the asker may have to decide independently.")
    reason: str
    decided_at: datetime


class GalleryAsSearched(Told):
    """The gallery as the search saw it."""

    photos: int = Field(description="How many were searched.", examples=[100_000])
    root: str = Field(description="Merkle root over their templates.")


class SearchShown(Told):
    """A search on record."""

    search: int = Field(examples=[12])
    case: CaseNamed | None
    sketches: list[int] = Field(description="Those of the case that it was made with.", examples=[[9]])
    started: datetime
    ended: datetime
    operator: str = Field(examples=["m.ito"])
    route: str
    asked_for: int = Field(description="How many candidates were asked for.")
    gallery: GalleryAsSearched
    filter: dict[str, Any] | None = Field(description="Who was left out by metadata, and why.")
    warnings: list[str] = Field(description="What a person must know of this search.")
    calibration: dict[str, Any] | None = Field(
        description="Which sketches and population the likelihood ratios hold for; null where none hold."
    )
    meaning: str = Field(description="What the figures say, in words.")
    candidates: list[CandidateShown]
    decisions: list[DecisionShown]
    disagreements: list[int] = Field(description="Ranks of which examiners say different things.")
    links: dict[str, Link]


class SearchListed(Told):
    """A search in a list."""

    search: int = Field(examples=[12])
    started: datetime
    operator: str = Field(examples=["m.ito"])
    route: str
    candidates: int = Field(description="How many there are.")
    decisions: int = Field(description="How many verdicts there are.")
    disagreements: list[int] = Field(description="Ranks of which examiners say different things.")


@router.get("/searches", responses=failing(*SIGNED_IN, 404), operation_id="list_searches")
def listed(
    visitor: Annotated[Visitor, allowed(Right.READ_CASE)],
    window: Paged,
    case: Annotated[int | None, Query(ge=1, le=LARGEST, description="Only those of a case, by its number.")] = None,
) -> Page[SearchListed]:
    """Searches on record, the newest first."""
    found = listing.searches(visitor.gallery, case=case, before=window.after, limit=window.limit + 1)
    shown, cursor = window.cut(found, lambda search: search.number)
    return Page(items=[_in_list(search) for search in shown], next=cursor)


@router.post(
    "/searches",
    status_code=201,
    dependencies=[Depends(once)],
    response_model=SearchShown,
    responses={202: UNFINISHED, **failing(*SIGNED_IN, 404, 409)},
    operation_id="search",
)
async def asked(
    request: Request,
    visitor: Annotated[Visitor, allowed(Right.SEARCH, Right.READ_CASE)],
    asked: SearchAsked,
    seconds: Waiting,
) -> Response:
    """Search the gallery with one or several sketches of one person. Every search is on record.

    With `Prefer: wait=SECONDS` the answer is the search if it ends in time (201), else the job (202), whose answer is
    the search's number. A search that fails in time is answered as the problem that it failed with.
    """

    async def finished(answer: dict[str, Any]) -> Response:
        number = answer["search"]
        view = await run_in_threadpool(views.search, visitor.gallery, number)
        told = search_shown(view).model_dump(mode="json")
        return JSONResponse(told, 201, {"Location": place("searches", number)})

    def submit() -> Any:
        return asking.search(
            visitor,
            asked.case,
            asked.sketches,
            landmarks=asked.landmarks,
            route=asked.route,
            top=asked.top,
            where=asked.where,
            justification=asked.justification,
        )

    return await answered(request, visitor, seconds, submit, finished)


@router.get("/searches/{number}", responses=failing(*SIGNED_IN, 404), operation_id="show_search")
def shown(visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: InPath) -> SearchShown:
    """A search on record, with the candidates and what examiners say of them, as far as the asker may know."""
    return search_shown(views.search(visitor.gallery, number))


def search_shown(view: views.SearchView) -> SearchShown:
    """A search as programs see it."""
    record, number = view.record, view.number
    links = {"self": Link(href=place("searches", number))}
    if view.case is not None:
        links["case"] = Link(href=place("cases", view.case.id))
    return SearchShown(
        search=number,
        case=None if view.case is None else CaseNamed(id=view.case.id, reference=view.case.reference),
        sketches=[sketch.id for sketch in view.sketches],
        started=record["started"],
        ended=record["ended"],
        operator=record["operator"],
        route=record["route"],
        asked_for=record["asked_for"],
        gallery=GalleryAsSearched(photos=record["gallery"]["photos"], root=record["gallery"]["root"]),
        filter=record["filter"],
        warnings=view.warnings,
        calibration=view.calibration,
        meaning=view.meaning,
        candidates=[_candidate(lead) for lead in view.leads],
        decisions=[decision_shown(opinion) for opinion in view.opinions],
        disagreements=view.disagreements,
        links=links,
    )


def decision_shown(opinion: Opinion) -> DecisionShown:
    """A verdict as the asker may see it."""
    return DecisionShown(
        rank=opinion.rank,
        examiner=opinion.examiner,
        verdict=opinion.verdict,
        reason=opinion.reason,
        decided_at=opinion.at,
    )


def _candidate(lead: views.Lead) -> CandidateShown:
    return CandidateShown(
        rank=lead.rank,
        score=lead.score,
        log_lr=lead.log_lr,
        bounded=lead.bounded,
        words=lead.words,
        routes=lead.routes,
        person=None if lead.person is None else PersonNamed(id=lead.person.id, label=lead.person.label),
        photo=PhotoNamed(id=lead.photo),
    )


def _in_list(search: Searched) -> SearchListed:
    record = search.record
    return SearchListed(
        search=search.number,
        started=record["started"],
        operator=record["operator"],
        route=record["route"],
        candidates=len(record["candidates"]),
        decisions=len(search.opinions),
        disagreements=search.disagreements,
    )
