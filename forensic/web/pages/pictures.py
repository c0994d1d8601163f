"""Pictures of sketches, photos and searches."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from forensic.gallery.models import Photo
from forensic.gallery.rights import Right
from forensic.web import pictures
from forensic.web.access import Visitor, allowed
from forensic.web.files import jpeg
from forensic.web.pages.parameters import Number
from forensic.web.pictures import Shown

router = APIRouter()
LOOK = 600
"""Seconds at least for which a look at a person that is on record covers the large pictures; twice as many at most."""


def note_shown(visitor: Visitor, photos: Iterable[Photo]) -> None:
    """Note that a page shows these photos to a visitor, and that it is on record; in memory alone, and for a while."""
    for photo in photos:
        visitor.server.engine.kept(_keys(visitor, photo)[0], lambda: b"shown")


def _keys(visitor: Visitor, photo: Photo) -> list[Hashable]:
    """What `note_shown` notes now, and what it noted before that still counts; of a program's look nothing does."""
    span = int(time.monotonic() // LOOK)
    about = visitor.visit.digest if visitor.visit else visitor.request_id, photo.person_id, photo.id
    return [("shown", *about, span), ("shown", *about, span - 1)]


@router.get("/sketches/{number}/picture.jpg")
def sketch(number: Number, visitor: Annotated[Visitor, allowed(Right.READ_CASE)]) -> Response:
    """A sketch, small."""
    return jpeg(pictures.of_sketch(visitor, number, pictures.CARD))


@router.get("/sketches/{number}/large.jpg")
def large_sketch(number: Number, visitor: Annotated[Visitor, allowed(Right.READ_CASE)]) -> Response:
    """A sketch, large enough to look at the landmarks."""
    return jpeg(pictures.of_sketch(visitor, number, pictures.LARGE))


@router.get("/photos/{number}/thumbnail.jpg")
def thumbnail(number: Number, visitor: Annotated[Visitor, allowed(Right.VIEW)]) -> Response:
    """A photo, small."""
    return jpeg(pictures.of_photo(visitor, number, pictures.THUMBNAIL))


@router.get("/photos/{number}/picture.jpg")
def photo(number: Number, visitor: Annotated[Visitor, allowed(Right.VIEW)]) -> Response:
    """A photo, large enough to compare; on record, unless it belongs to a page whose look at the person is."""
    found = visitor.gallery.photo(number)
    if not any(visitor.server.engine.find(key) for key in _keys(visitor, found)):
        visitor.gallery.view_photo(number)
    return jpeg(pictures.of_photo(visitor, number, pictures.LARGE))


@router.get("/searches/{number}/pictures/{shown}.jpg")
def of_search(
    number: Number,
    shown: Shown,
    visitor: Annotated[Visitor, allowed(Right.READ_CASE)],
    sketch: Annotated[int, Query(ge=0, le=99)] = 0,
) -> Response:
    """A picture of a search's probe; ``sketch`` says which of several, from 0."""
    return jpeg(pictures.of_search(visitor, number, shown, sketch))
