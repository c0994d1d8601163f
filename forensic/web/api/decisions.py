"""Examiners' verdicts, what waits for one, and repetitions of searches."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from forensic.gallery.casework import cases, examinations
from forensic.gallery.casework.cases import Verdict
from forensic.gallery.rights import Right
from forensic.web import asking
from forensic.web.access import Visitor, allowed
from forensic.web.api.jobs import UNFINISHED, JobShown, Waiting, answered
from forensic.web.api.models import SIGNED_IN, InPath, Page, Sent, Told, Words, failing, place
from forensic.web.routing import Route, once

router = APIRouter(tags=["searches"], route_class=Route)
Rank = Annotated[int, Field(ge=1, le=1000)]


class DecisionAsked(Sent):
    """What an examiner thinks of a candidate."""

    rank: Rank = Field(description="The candidate's.", examples=[1])
    verdict: Verdict = Field(description="A lead is never an identification.")
    reason: Annotated[Words, Field(min_length=1)] = Field(
        description="What in the faces speaks for it.", examples=["ears, nasal bridge and scar agree"]
    )


class DecisionMade(Told):
    """What was decided on."""

    search: int = Field(examples=[12])
    rank: int = Field(examples=[1])


@router.post(
    "/searches/{number}/decisions",
    status_code=201,
    dependencies=[Depends(once)],
    responses=failing(*SIGNED_IN, 404, 409),
    operation_id="decide",
)
def decided(
    visitor: Annotated[Visitor, allowed(Right.DECIDE)], number: InPath, asked: DecisionAsked, response: Response
) -> DecisionMade:
    """Decide on a candidate: once, and independently. Others' verdicts are shown after one's own alone."""
    cases.decide(visitor.gallery, number, asked.rank, asked.verdict, asked.reason)
    response.headers["Location"] = place("searches", number)
    return DecisionMade(search=number, rank=asked.rank)


class DueShown(Told):
    """A candidate on whom others have decided, and the asker has not."""

    search: int = Field(examples=[12])
    rank: int = Field(examples=[1])
    case: int | None = Field(description="The case's number.", examples=[4])
    others: int = Field(description="How many examiners have decided.", examples=[1])
    since: datetime = Field(description="When the first one did.")
    enrolled: bool = Field(description="Whether the candidate's photo is still there to be compared.")


@router.get("/examinations", responses=failing(*SIGNED_IN), operation_id="list_examinations")
def due(visitor: Annotated[Visitor, allowed(Right.DECIDE)]) -> Page[DueShown]:
    """What waits for the asker's independent verdict, the longest first; what others said is not told."""
    found = [
        DueShown(
            search=one.number,
            rank=one.rank,
            case=one.case_number,
            others=one.others,
            since=one.since,
            enrolled=one.enrolled,
        )
        for one in examinations.due(visitor.gallery)
    ]
    return Page(items=found, next=None)


@router.post(
    "/searches/{number}/repetitions",
    dependencies=[Depends(once)],
    response_model=JobShown,
    responses={202: UNFINISHED, **failing(*SIGNED_IN, 404, 409)},
    operation_id="repeat_search",
)
async def repeated(
    request: Request,
    visitor: Annotated[Visitor, allowed(Right.SEARCH, Right.READ_CASE)],
    number: InPath,
    seconds: Waiting,
) -> Response:
    """Repeat a search with its case's sketches: is the list the same, to the byte, and what else differs?"""
    return await answered(request, visitor, seconds, lambda: asking.repetition(visitor, number))
