"""Sketches of cases, and the face that is found in one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Response, UploadFile
from pydantic import Field

from forensic.gallery.casework import cases, listing
from forensic.gallery.casework.cases import Drawing, Kind
from forensic.gallery.casework.casework_models import Sketch
from forensic.gallery.rights import Right
from forensic.web import uploads
from forensic.web.access import Visitor, allowed
from forensic.web.api.models import SIGNED_IN, InPath, Landmarks, Line, Page, Told, failing, place
from forensic.web.api.paging import Paged
from forensic.web.files import ORIGINAL, original
from forensic.web.routing import Route, once

router = APIRouter(tags=["sketches"], route_class=Route)


class SketchShown(Told):
    """A sketch of a case."""

    id: int = Field(examples=[9])
    case: int = Field(description="The case's number.", examples=[4])
    file_name: str = Field(examples=["sketch.png"])
    kind: Kind
    made_by: str | None = Field(description="The artist, or the software.")
    described_by: str | None = Field(description="Who described the face.")
    drawn_on: str | None = Field(examples=["2026-11-02"])
    sha256: str = Field(description="Of the file.")
    added_by: str = Field(examples=["m.ito"])
    added_at: datetime


class SketchMade(Told):
    """The number of a sketch."""

    id: int = Field(examples=[9])


class FaceShown(Told):
    """The face that a sketch shows, in pixels of the upright picture."""

    box: list[float] = Field(description="Left, top, right, bottom.", examples=[[40.0, 60.0, 150.0, 200.0]])
    landmarks: Landmarks
    method: str = Field(description="What found it.", examples=["mtcnn"])
    score: float = Field(description="The detector's.", examples=[0.998])
    warnings: list[str] = Field(description="What a person should look at.")
    width: int = Field(examples=[200])
    height: int = Field(examples=[250])


@router.get("/cases/{number}/sketches", responses=failing(*SIGNED_IN, 404), operation_id="list_sketches")
def listed(visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: InPath, window: Paged) -> Page[SketchShown]:
    """A case's sketches, in the order in which they were added."""
    found = listing.sketches(visitor.gallery, number, after=window.after, limit=window.limit + 1)
    shown, cursor = window.cut(found, lambda sketch: sketch.id)
    return Page(items=[_shown(sketch) for sketch in shown], next=cursor)


@router.post(
    "/cases/{number}/sketches",
    status_code=201,
    dependencies=[Depends(once)],
    responses=failing(*SIGNED_IN, 404, 409),
    operation_id="add_sketch",
)
def added(
    visitor: Annotated[Visitor, allowed(Right.CASE, Right.READ_CASE)],
    number: InPath,
    response: Response,
    file: Annotated[UploadFile, File(description="A PNG, JPEG, TIFF, BMP or WebP picture.")],
    kind: Annotated[Kind, Form(description="Drawn from a photo, by software, or from memory.")],
    made_by: Annotated[Line | None, Form(description="The artist, or the software.")] = None,
    described_by: Annotated[Line | None, Form(description="Who described the face.")] = None,
    drawn_on: Annotated[Line | None, Form(description="When.", examples=["2026-11-02"])] = None,
) -> SketchMade:
    """Add a sketch to a case, with its bytes; the same bytes are one sketch. It is never enrolled."""
    case = cases.by_number(visitor.gallery, number)
    name, picture = uploads.take_picture(visitor.server, file)
    about = (made_by or None, described_by or None, drawn_on or None)
    sketch = cases.add_sketch(visitor.gallery, case.reference, Drawing(picture.data, name, kind, *about))
    response.headers["Location"] = place("sketches", sketch)
    return SketchMade(id=sketch)


@router.get("/sketches/{number}", responses=failing(*SIGNED_IN, 404), operation_id="show_sketch")
def shown(visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: InPath) -> SketchShown:
    """What is known of a sketch."""
    return _shown(cases.sketch(visitor.gallery, number))


@router.get(
    "/sketches/{number}/file",
    response_class=Response,
    responses={200: ORIGINAL, **failing(*SIGNED_IN, 404)},
    operation_id="read_sketch",
)
def file(visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: InPath) -> Response:
    """A sketch's file, byte by byte as it was added."""
    return original(cases.sketch(visitor.gallery, number).data, f"sketch-{number}")


@router.get("/sketches/{number}/face", responses=failing(*SIGNED_IN, 404), operation_id="find_face")
def face(visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: InPath) -> FaceShown:
    """The face that is found in a sketch; 422 where there is none, so that landmarks have to be given."""
    found = visitor.server.engine.face(cases.sketch(visitor.gallery, number))
    width, height = found.image.size
    return FaceShown(
        box=[float(edge) for edge in found.face.box],
        landmarks=[[float(x) for x in point] for point in found.face.landmarks],
        method=found.face.method,
        score=float(found.face.score),
        warnings=list(found.warnings),
        width=width,
        height=height,
    )


def _shown(sketch: Sketch) -> SketchShown:
    return SketchShown(
        id=sketch.id,
        case=sketch.case_id,
        file_name=sketch.file_name,
        kind=Kind(sketch.kind),
        made_by=sketch.made_by,
        described_by=sketch.described_by,
        drawn_on=sketch.drawn_on,
        sha256=sketch.sha256,
        added_by=sketch.added_by,
        added_at=sketch.added_at,
    )
