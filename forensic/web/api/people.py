"""Who is enrolled. Looking at somebody is on record, as on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from forensic.gallery import people
from forensic.gallery.log.audit import digest
from forensic.gallery.models import Person, Photo
from forensic.gallery.records import Shown
from forensic.gallery.rights import Right
from forensic.web.access import Visitor, allowed
from forensic.web.api.models import (
    LARGEST,
    SIGNED_IN,
    InPath,
    Landmarks,
    Line,
    Number,
    Page,
    Sent,
    Told,
    Words,
    failing,
)
from forensic.web.api.paging import MOST, Cursor, Window
from forensic.web.files import ORIGINAL, original
from forensic.web.routing import Route

router = APIRouter(tags=["people"], route_class=Route)
Columns = Annotated[dict[Line, Words], Field(max_length=50)]


class PeopleSought(Sent):
    """Who is looked for."""

    where: Columns = Field(
        default={},
        description="Column and value; an empty value finds those without one, one that ends in `*` those that begin "
        "so. `person` is the label.",
        examples=[{"sex": "female"}],
    )
    limit: Annotated[int, Field(ge=1, le=MOST)] = Field(default=50, description="How many items at most.")
    offset: Annotated[int, Field(ge=0, le=LARGEST)] = Field(
        default=0, description="How many people to pass over; a cursor knows where it goes on, and takes its place."
    )
    cursor: Cursor | None = Field(default=None, description="`next` of the page before.", examples=[None])


class PersonShown(Told):
    """Somebody enrolled."""

    id: int = Field(examples=[31])
    label: str = Field(description="The agency's own name of them.", examples=["A-17"])
    metadata: dict[str, str | int] = Field(examples=[{"sex": "female", "birth_year": 1970}])
    photo_count: int = Field(examples=[2])
    enrolled: datetime
    updated: datetime


class PhotoShown(Told):
    """An enrolled photo."""

    id: int = Field(examples=[44])
    person: int = Field(description="Whose it is.", examples=[31])
    sha256: str = Field(description="Of the file.")
    file_name: str = Field(examples=["A-17_2.jpg"])
    format: str = Field(examples=["JPEG"])
    size: Annotated[list[int], Field(min_length=2, max_length=2)] = Field(
        description="Width and height of the upright picture.", examples=[[480, 600]]
    )
    date_taken: str | None
    source: str | None
    landmarks: Landmarks
    detector: str = Field(description="What found the face.", examples=["mtcnn"])
    detector_score: float = Field(examples=[0.998])
    warnings: list[str]
    quality: dict[str, Any] | None = Field(description="What was measured; null for photos of older galleries.")
    enrolled: datetime


class PhotoInFull(PhotoShown):
    """An enrolled photo, with whose it is."""

    label: str = Field(description="The person's.", examples=["A-17"])


class PersonInFull(PersonShown):
    """Somebody enrolled, with all photos."""

    photos: list[PhotoShown]


class PersonChanged(Sent):
    """What is changed of somebody; what is left out stays."""

    label: Annotated[Line, Field(min_length=1)] | None = Field(default=None, description="A new label.")
    metadata: Columns = Field(
        default={}, description="Column and new value; an empty value takes it away.", examples=[{"eyes": "brown"}]
    )


class PhotoChanged(Sent):
    """What is changed of a photo; what is left out stays, an empty value takes it away."""

    date_taken: Words | None = Field(default=None, examples=["2019-05-04"])
    source: Words | None = Field(default=None, description="Where it comes from.", examples=["booking"])


class Reason(Sent):
    """Why somebody is expunged."""

    reason: Annotated[Line, Field(max_length=500)] = Field(
        default="",
        description="Such as an order's number. It stays in the log for good: it must not name the person.",
        examples=["order 4 Gs 9/26"],
    )


class PersonExpunged(Reason):
    """Who is expunged, and why."""

    photos: Annotated[list[Number], Field(max_length=100_000)] | None = Field(
        default=None,
        description="Numbers of the person's photos as they were shown: where they are others by now, nobody is "
        "removed. Without them all go.",
        examples=[[44]],
    )


class PhotoExpunged(Reason):
    """Which photo is expunged, and why."""

    person: Number | None = Field(
        default=None,
        description="Number of whom it was shown as a photo of: where it is another one's, nothing is removed.",
        examples=[31],
    )
    last: bool | None = Field(
        default=None,
        description="Whether it was shown as the person's last one: where that is not so any more, nothing is removed.",
        examples=[False],
    )


@router.post("/people/search", responses=failing(*SIGNED_IN), operation_id="look_through_people")
def sought(
    request: Request, visitor: Annotated[Visitor, allowed(Right.VIEW)], asked: PeopleSought
) -> Page[PersonShown]:
    """People in the order of their labels, by their metadata. That they were looked through is on record.

    Pages go by place: who is enrolled or expunged between two pages moves the rest.
    """
    about = f"{request.url.path} {digest(asked.where)}"
    window = Window.of(visitor.server, about, asked.limit, asked.cursor)
    start = asked.offset if window.after is None else window.after
    found = visitor.gallery.look_through(asked.where, limit=window.limit, offset=start, beyond=1)
    shown, cursor = window.cut(list(enumerate(found, start + 1)), lambda numbered: numbered[0])
    return Page(items=[PersonShown(**_person(person)) for _, person in shown], next=cursor)


@router.get("/people/{number}", responses=failing(*SIGNED_IN, 404), operation_id="show_person")
def shown(visitor: Annotated[Visitor, allowed(Right.VIEW)], number: InPath) -> PersonInFull:
    """Somebody with all photos. That they were looked at is on record."""
    person, photos = visitor.gallery.view(visitor.gallery.person_by_number(number).label)
    return PersonInFull(**_person(person), photos=[_photo(photo) for photo in photos])


@router.patch("/people/{number}", responses=failing(*SIGNED_IN, 404, 409), operation_id="change_person")
def changed(visitor: Annotated[Visitor, allowed(Right.ENROLL)], number: InPath, asked: PersonChanged) -> PersonShown:
    """Change somebody's label or metadata."""
    whom = Shown(visitor.gallery.person_by_number(number).label, number)
    visitor.gallery.update(whom, asked.metadata, rename=asked.label)
    return PersonShown(**_person(visitor.gallery.person_by_number(number)))


@router.delete(
    "/people/{number}", status_code=204, responses=failing(*SIGNED_IN, 404, 409), operation_id="expunge_person"
)
def expunged(visitor: Annotated[Visitor, allowed(Right.EXPUNGE)], number: InPath, asked: PersonExpunged) -> Response:
    """Expunge somebody for good, with all photos and templates and every trace; what was done stays in the log."""
    photos = None if asked.photos is None else frozenset(asked.photos)
    whom = Shown(visitor.gallery.person_by_number(number).label, number, photos)
    visitor.gallery.expunge(whom, reason=asked.reason)
    visitor.server.engine.forget()
    return Response(status_code=204)


@router.get("/photos/{number}", responses=failing(*SIGNED_IN, 404), operation_id="show_photo")
def photo(visitor: Annotated[Visitor, allowed(Right.VIEW)], number: InPath) -> PhotoInFull:
    """What is known of a photo. That its person was looked at is on record."""
    found = visitor.gallery.view_photo(number)
    return PhotoInFull(**_photo(found).model_dump(), label=found.person.label)


@router.get(
    "/photos/{number}/file",
    response_class=Response,
    responses={200: ORIGINAL, **failing(*SIGNED_IN, 404)},
    operation_id="read_photo",
)
def file(visitor: Annotated[Visitor, allowed(Right.VIEW)], number: InPath) -> Response:
    """A photo's file, byte by byte as it was enrolled. That its person was looked at is on record."""
    return original(visitor.gallery.photo_bytes(visitor.gallery.view_photo(number)), f"photo-{number}")


@router.patch("/photos/{number}", responses=failing(*SIGNED_IN, 404, 409), operation_id="change_photo")
def changed_photo(
    visitor: Annotated[Visitor, allowed(Right.ENROLL)], number: InPath, asked: PhotoChanged
) -> PhotoShown:
    """Change when a photo was taken, or where it comes from."""
    return _photo(visitor.gallery.update_photo(number, asked.model_dump(exclude_none=True)))


@router.delete(
    "/photos/{number}", status_code=204, responses=failing(*SIGNED_IN, 404, 409), operation_id="expunge_photo"
)
def expunged_photo(
    visitor: Annotated[Visitor, allowed(Right.EXPUNGE)], number: InPath, asked: PhotoExpunged
) -> Response:
    """Expunge one photo; its person too if it was the last one."""
    visitor.gallery.expunge_photo(number, reason=asked.reason, owner=asked.person, last=asked.last)
    visitor.server.engine.forget()
    return Response(status_code=204)


def _person(person: Person) -> Mapping[str, Any]:
    return {
        "id": person.id,
        "label": person.label,
        "metadata": people.described(person),
        "photo_count": person.photo_count,
        "enrolled": person.created_at,
        "updated": person.updated_at,
    }


def _photo(photo: Photo) -> PhotoShown:
    return PhotoShown(
        id=photo.id,
        person=photo.person_id,
        sha256=photo.sha256,
        file_name=photo.file_name,
        format=photo.format,
        size=[photo.width, photo.height],
        date_taken=photo.date_taken,
        source=photo.source,
        landmarks=photo.landmarks,
        detector=photo.detector,
        detector_score=photo.detector_score,
        warnings=photo.warnings,
        quality=photo.quality,
        enrolled=photo.enrolled_at,
    )
