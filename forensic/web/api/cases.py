"""Cases."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from forensic.gallery.casework import cases, listing
from forensic.gallery.casework.casework_models import Case
from forensic.gallery.rights import Right
from forensic.web.access import Visitor, allowed
from forensic.web.api.models import SIGNED_IN, InPath, Line, Page, Sent, Told, Words, failing, place
from forensic.web.api.paging import Paged
from forensic.web.routing import Route, once

router = APIRouter(tags=["cases"], route_class=Route)


class CaseOpened(Sent):
    """A case to be opened."""

    reference: Annotated[Line, Field(min_length=1)] = Field(description="The agency's own.", examples=["2026-117"])
    purpose: Annotated[Words, Field(min_length=1)] = Field(examples=["robbery, Main St 4"])
    legal_basis: Annotated[Words, Field(min_length=1)] = Field(examples=["warrant 8 Gs 112/26"])


class CaseNamed(Sent):
    """A case that is looked for."""

    reference: Annotated[Line, Field(min_length=1)] = Field(description="The agency's own.", examples=["2026-117"])


class CaseShown(Told):
    """A case."""

    id: int = Field(description="The case's number, which says nothing of it.", examples=[4])
    reference: str = Field(examples=["2026-117"])
    purpose: str = Field(examples=["robbery, Main St 4"])
    legal_basis: str = Field(examples=["warrant 8 Gs 112/26"])
    opened_by: str = Field(examples=["m.ito"])
    opened_at: datetime


class CaseMade(Told):
    """The number of a new case."""

    id: int = Field(examples=[4])


@router.get("/cases", responses=failing(*SIGNED_IN), operation_id="list_cases")
def listed(visitor: Annotated[Visitor, allowed(Right.READ_CASE)], window: Paged) -> Page[CaseShown]:
    """All cases, the newest first."""
    found = listing.cases(visitor.gallery, before=window.after, limit=window.limit + 1)
    shown, cursor = window.cut(found, lambda case: case.id)
    return Page(items=[_shown(case) for case in shown], next=cursor)


@router.post(
    "/cases",
    status_code=201,
    dependencies=[Depends(once)],
    responses=failing(*SIGNED_IN, 409),
    operation_id="open_case",
)
def opened(visitor: Annotated[Visitor, allowed(Right.CASE)], asked: CaseOpened, response: Response) -> CaseMade:
    """Open a case."""
    about = {"purpose": asked.purpose, "legal_basis": asked.legal_basis}
    number = cases.open_case(visitor.gallery, asked.reference, **about)
    response.headers["Location"] = place("cases", number)
    return CaseMade(id=number)


@router.post("/cases/lookup", responses=failing(*SIGNED_IN, 404), operation_id="look_up_case")
def looked_up(visitor: Annotated[Visitor, allowed(Right.READ_CASE)], asked: CaseNamed) -> CaseShown:
    """The case with a reference, which stands in no address."""
    return _shown(cases.find(visitor.gallery, asked.reference))


@router.get("/cases/{number}", responses=failing(*SIGNED_IN, 404), operation_id="show_case")
def shown(visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: InPath) -> CaseShown:
    """A case."""
    return _shown(cases.by_number(visitor.gallery, number))


def _shown(case: Case) -> CaseShown:
    return CaseShown(
        id=case.id,
        reference=case.reference,
        purpose=case.purpose,
        legal_basis=case.legal_basis,
        opened_by=case.opened_by,
        opened_at=case.opened_at,
    )
