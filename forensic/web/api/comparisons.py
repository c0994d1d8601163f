"""How alike a probe and a candidate are, by facial part."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from forensic.gallery.rights import Right
from forensic.web import pairing
from forensic.web.access import Visitor, allowed
from forensic.web.api.explanations import PhotoInQuery, SketchInQuery
from forensic.web.api.models import SIGNED_IN, InPath, Told, failing
from forensic.web.routing import Route

router = APIRouter(tags=["searches"], route_class=Route)


class PartShown(Told):
    """How alike two faces are in one part."""

    part: str = Field(examples=["mouth"])
    value: float = Field(description="Correlation, comparable within one part and one probe only.")
    less_alike: int = Field(description="How many of the others are less like the probe there.", examples=[93])
    others: int = Field(description="Other people of the gallery, not chosen for their likeness.", examples=[100])


class LikenessShown(Told):
    """Likeness by facial part; no evidence by itself, and the parts are not independent."""

    search: int = Field(examples=[12])
    rank: int = Field(examples=[1])
    parts: list[PartShown]


@router.get("/searches/{number}/likeness/{rank}", responses=failing(*SIGNED_IN, 404), operation_id="show_likeness")
def likeness(
    visitor: Annotated[Visitor, allowed(Right.READ_CASE, Right.VIEW)],
    number: InPath,
    rank: InPath,
    sketch: SketchInQuery = 0,
    photo: PhotoInQuery = None,
) -> LikenessShown:
    """How alike a sketch and a candidate are, part by part, beside other people of the gallery."""
    pair = pairing.find(visitor.gallery, number, rank, sketch, photo)
    found = pair.likeness(visitor.server.engine, visitor.gallery)
    return LikenessShown(search=number, rank=rank, parts=[PartShown(**part._asdict()) for part in found])
