"""The audit log: who did what, and whether it is whole."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from forensic.gallery.log import trail
from forensic.gallery.log.audit import FIELDS, Entry, Head
from forensic.gallery.records import Choice, Problem
from forensic.gallery.rights import Right
from forensic.web.access import Visitor, allowed
from forensic.web.api.models import SIGNED_IN, InPath, Page, Sent, Told, failing
from forensic.web.api.paging import Paged
from forensic.web.routing import Route

router = APIRouter(tags=["audit"], route_class=Route)
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$", examples=["0" * 64])]


class EntryShown(Told):
    """One act. It names people, photos, cases and searches by number."""

    number: int = Field(description="1 for the first.", examples=[1])
    at: datetime
    operator: str = Field(examples=["m.ito"])
    action: str = Field(examples=["search"])
    details: dict[str, Any] = Field(description="`request` is the number of the request that it was done by.")
    gallery: str = Field(description="Random id of the gallery.")
    previous: str = Field(description="Hash of the entry before.")


class EntryInFull(Told):
    """One line of the log, with what shows that it was not altered."""

    number: int = Field(examples=[1])
    entry: EntryShown | None = Field(description="null where the line is no entry any more.")
    text: str = Field(description="The line as it was written: canonical JSON.")
    hash: str = Field(description="SHA-256 of the text.")
    signature: str = Field(description="Ed25519 over the hash.")
    fault: str = Field(description="What is wrong with it; empty where nothing is.")


class HeadShown(Sent):
    """The end of the log, signed: kept elsewhere, it shows later whether the log was cut or written anew."""

    gallery: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] = Field(description="Random id of the gallery.")
    number: Annotated[int, Field(ge=1, le=2**53)] = Field(description="Of the last entry.", examples=[1])
    hash: Digest = Field(description="Of the last entry.")
    public_key: Digest = Field(description="Ed25519.")
    signature: Annotated[str, Field(pattern="^[0-9a-f]{128}$")] = Field(description="Over the hash.")


class VerificationAsked(Sent):
    """What the log is checked against."""

    head: HeadShown | None = Field(default=None, description="One that was exported earlier.", examples=[None])


class ProblemFound(Told):
    """Something wrong with the log, or with the gallery."""

    kind: str = Field(examples=["audit"])
    subject: str = Field(examples=["entry 7"])
    message: str


class Verified(Told):
    """What was found."""

    entries: int = Field(description="How many there are.", examples=[40])
    problems: list[ProblemFound] = Field(description="Empty for a sound log.")


@router.get("/audit", responses=failing(*SIGNED_IN), operation_id="list_audit")
def listed(
    visitor: Annotated[Visitor, allowed(Right.AUDIT)],
    window: Paged,
    action: Annotated[str | None, Query(pattern="^[a-z-]{1,40}$", description="Only such acts.")] = None,
    since: Annotated[date | None, Query(description="Not before this day, in UTC.")] = None,
    until: Annotated[date | None, Query(description="Not after this day, in UTC.")] = None,
) -> Page[EntryShown]:
    """The entries, the newest first."""
    choice = Choice(action=action, since=since, until=until, before=window.after)
    found = trail.entries(visitor.gallery, limit=window.limit + 1, choice=choice)
    shown, cursor = window.cut(found, lambda entry: int(entry["number"]))
    return Page(items=[_shown(entry) for entry in shown], next=cursor)


@router.get("/audit/head", responses=failing(*SIGNED_IN), operation_id="export_audit_head")
def head(visitor: Annotated[Visitor, allowed(Right.AUDIT)]) -> HeadShown:
    """The signed end of the log; that it was exported is an entry itself."""
    return HeadShown(**trail.export_head(visitor.gallery)._asdict())


@router.post("/audit/verification", responses=failing(*SIGNED_IN), operation_id="verify_audit")
def verified(visitor: Annotated[Visitor, allowed(Right.AUDIT)], asked: VerificationAsked) -> Verified:
    """Check every entry, the chain and what it accounts for; with a head, that nothing was cut or written anew."""
    problems, entries = trail.verify(visitor.gallery, known_head(asked.head))
    return Verified(entries=entries, problems=[problem_found(problem) for problem in problems])


@router.get("/audit/{number}", responses=failing(*SIGNED_IN, 404), operation_id="show_audit_entry")
def shown(visitor: Annotated[Visitor, allowed(Right.AUDIT)], number: InPath) -> EntryInFull:
    """One entry, with a check of its hash, its signature and its place behind the one before."""
    found = trail.entry(visitor.gallery, number)
    entry = _shown(found.entry) if found.entry else None
    line = {"text": found.line.entry, "hash": found.line.hash, "signature": found.line.signature}
    return EntryInFull(number=number, entry=entry, **line, fault=found.fault)


def known_head(sent: HeadShown | None) -> Head | None:
    """A head that was exported earlier.

    Raises:
        DataError: Its signature is wrong.
    """
    return None if sent is None else Head.parse(json.dumps(sent.model_dump()).encode(), "The head")


def problem_found(problem: Problem) -> ProblemFound:
    """A problem as programs see it."""
    return ProblemFound(**problem._asdict())


def _shown(entry: Entry) -> EntryShown:
    return EntryShown(**{name: entry[name] for name in FIELDS})
