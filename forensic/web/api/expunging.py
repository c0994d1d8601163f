"""Who left the gallery for good, the proof that they are gone, and who is due to leave."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from forensic.errors import UsageError
from forensic.gallery.checks import proving
from forensic.gallery.expunging import today
from forensic.gallery.rights import Right
from forensic.web import errands
from forensic.web.access import Visitor, allowed
from forensic.web.api.jobs import UNFINISHED, JobShown, Waiting, answered
from forensic.web.api.models import LARGEST, NUL_FREE, SIGNED_IN, InPath, Number, Page, Sent, Told, failing
from forensic.web.api.paging import Paged
from forensic.web.routing import Route, once

router = APIRouter(tags=["people"], route_class=Route)
Trace = Annotated[str, Field(max_length=1000, pattern=NUL_FREE)]


class TombstoneShown(Told):
    """What the log keeps of an expunge: no word of who it was."""

    entry: int = Field(description="The entry's number in the audit log.", examples=[17])
    at: datetime
    operator: str = Field(examples=["m.ito"])
    people: list[int] = Field(description="Numbers of those who are gone.", examples=[[31]])
    photos: list[int] = Field(description="Numbers of the photos that are gone.", examples=[[44]])
    reason: str = Field(examples=["order 4 Gs 9/26"])


class ProofAsked(Sent):
    """What is looked for."""

    texts: Annotated[list[Trace], Field(max_length=100)] = Field(
        default=[],
        description="What one still knows of the person, such as the label; it is kept in memory alone, and looked for "
        "in the bytes of all files.",
        examples=[["A-17"]],
    )
    wipe: bool = Field(
        default=False,
        description="Whether the database's file is written anew before, so that leftovers of no row do not count.",
    )


class DueShown(Told):
    """Somebody who may be kept until a certain day."""

    person: int = Field(examples=[31])
    label: str = Field(examples=["A-17"])
    keep_until: date = Field(description="The last day, in UTC.")
    photos: int = Field(examples=[2])
    photo_numbers: list[int] = Field(description="Which they are.", examples=[[44, 45]])
    due: bool = Field(description="Whether that day has passed.")


class RetentionShown(Page[DueShown]):
    """Who may be kept until when, the earliest day first."""

    due: int = Field(description="How many are due in all.", examples=[1])
    today: date = Field(description="In UTC.")


class RetentionApplied(Sent):
    """Everybody who is due."""

    count: Annotated[int, Field(ge=1, le=LARGEST)] = Field(
        description="How many they are, as `GET /retention` says: where it is another number, nobody is removed.",
        examples=[1],
    )
    people: Annotated[list[Number], Field(max_length=100_000)] | None = Field(
        default=None,
        description="Numbers of those of them who shall go; the others stay for another time. Without them all go.",
        examples=[[31]],
    )


class Removed(Told):
    """Who was removed."""

    people: list[int] = Field(description="Their numbers.", examples=[[31]])


@router.get("/expunged", responses=failing(*SIGNED_IN), operation_id="list_expunged")
def listed(
    visitor: Annotated[Visitor, allowed(Right.PROVE)],
    window: Paged,
    person: Annotated[int | None, Query(ge=1, le=LARGEST, description="Only expunges of this person.")] = None,
) -> Page[TombstoneShown]:
    """What the log keeps of everybody who was removed, the newest first."""
    stones = [stone for stone in proving.tombstones(visitor.gallery) if person is None or person in stone.people]
    left = [stone for stone in stones if window.after is None or stone.entry < window.after]
    shown, cursor = window.cut(left, lambda stone: stone.entry)
    return Page(items=[_stone(stone) for stone in shown], next=cursor)


@router.post(
    "/expunged/{number}/proof",
    response_model=JobShown,
    responses={202: UNFINISHED, **failing(*SIGNED_IN, 409)},
    operation_id="prove_expunged",
)
async def proved(
    request: Request,
    visitor: Annotated[Visitor, allowed(Right.PROVE)],
    number: InPath,
    asked: ProofAsked,
    seconds: Waiting,
) -> Response:
    """Look for traces of a person who was expunged, by the number; somebody who is enrolled does not pass.

    The job's answer has, as `checks`, each one's name, whether it passed (null where nobody can look) and what was
    found. Idempotency keys are not heeded: not even a hash of the texts is to be stored.
    """
    texts = [text for text in map(str.strip, asked.texts) if text]
    return await answered(request, visitor, seconds, lambda: errands.prove(visitor, number, texts, wipe=asked.wipe))


@router.get("/retention", responses=failing(*SIGNED_IN), operation_id="show_retention")
def retention(visitor: Annotated[Visitor, allowed(Right.VIEW)], window: Paged) -> RetentionShown:
    """Until when people may be kept, and who is due. Pages go by place, as those of people do."""
    found, day, start = visitor.gallery.due(), today(), window.after or 0
    shown, cursor = window.cut(list(enumerate(found, 1))[start:], lambda numbered: numbered[0])
    items = [
        DueShown(
            person=one.number,
            label=one.label,
            keep_until=one.keep_until,
            photos=one.photos,
            photo_numbers=sorted(one.photo_ids),
            due=one.keep_until < day,
        )
        for _, one in shown
    ]
    return RetentionShown(items=items, next=cursor, due=sum(one.keep_until < day for one in found), today=day)


@router.post(
    "/retention/apply",
    dependencies=[Depends(once)],
    responses=failing(*SIGNED_IN, 409),
    operation_id="apply_retention",
)
def applied(visitor: Annotated[Visitor, allowed(Right.EXPUNGE)], asked: RetentionApplied) -> Removed:
    """Expunge everybody whose day has passed, for good and in one act."""
    due = visitor.gallery.due(today())
    if asked.count != len(due):
        raise UsageError(
            f"The count is {asked.count}, and {len(due)} are due. Nobody was removed: give the number as it is."
        )
    chosen = None if asked.people is None else set(asked.people)
    removed = visitor.gallery.expunge_due([one for one in due if chosen is None or one.number in chosen])
    visitor.server.engine.forget()
    return Removed(people=[one.number for one in removed])


def _stone(stone: proving.Tombstone) -> TombstoneShown:
    return TombstoneShown(
        entry=stone.entry,
        at=datetime.fromisoformat(stone.at),
        operator=stone.operator,
        people=list(stone.people),
        photos=list(stone.photos),
        reason=stone.reason,
    )
