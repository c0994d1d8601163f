"""Records of searches in full, for programs that keep or compare them, as ``forensic search show --json`` does."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from forensic.gallery.casework import cases, listing
from forensic.gallery.casework.cases import Searched
from forensic.gallery.rights import Right
from forensic.web.access import Visitor, allowed
from forensic.web.api.models import LARGEST, SIGNED_IN, InPath, Page, Told, failing
from forensic.web.api.paging import Paged
from forensic.web.api.searches import CaseNamed, DecisionShown, decision_shown
from forensic.web.routing import Route

router = APIRouter(tags=["searches"], route_class=Route)


class CandidatePhoto(Told):
    """A photo on the list that is still enrolled."""

    id: int = Field(examples=[44])
    person: str = Field(description="Label of whose it is now.", examples=["A-17"])
    file_name: str = Field(examples=["A-17_2.jpg"])
    sha256: str = Field(description="Of the file.")


class RecordShown(Told):
    """A search as it was put on record."""

    search: int = Field(examples=[12])
    case: CaseNamed | None
    record: dict[str, Any] = Field(
        description="What was put on record, every figure in full. It never changes; the audit log holds its hash. "
        "Likelihood ratios in it hold for the kind of sketches that `calibration` names alone."
    )
    photos: list[CandidatePhoto]
    decisions: list[DecisionShown]


@router.get("/records", responses=failing(*SIGNED_IN, 404), operation_id="list_records")
def listed(
    visitor: Annotated[Visitor, allowed(Right.READ_CASE)],
    window: Paged,
    case: Annotated[int | None, Query(ge=1, le=LARGEST, description="Only those of a case, by its number.")] = None,
) -> Page[RecordShown]:
    """Records of searches, the newest first."""
    found = listing.searches(visitor.gallery, case=case, before=window.after, limit=window.limit + 1)
    shown, cursor = window.cut(found, lambda search: search.number)
    return Page(items=[_shown(visitor, search) for search in shown], next=cursor)


@router.get("/records/{number}", responses=failing(*SIGNED_IN, 404), operation_id="show_record")
def shown(visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: InPath) -> RecordShown:
    """The record of a search, by the search's number."""
    return _shown(visitor, cases.searched(visitor.gallery, number))


def _shown(visitor: Visitor, search: Searched) -> RecordShown:
    case = listing.case_of(visitor.gallery, search.number)
    photos = visitor.gallery.photos_by_number(search.people)
    return RecordShown(
        search=search.number,
        case=None if case is None else CaseNamed(id=case.id, reference=case.reference),
        record=search.record,
        photos=[
            CandidatePhoto(id=photo.id, person=photo.person.label, file_name=photo.file_name, sha256=photo.sha256)
            for photo in photos.values()
        ],
        decisions=[decision_shown(opinion) for opinion in search.opinions],
    )
