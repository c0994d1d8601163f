"""Pictures of sketches, photos and searches."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from forensic.gallery.rights import Right
from forensic.web import pictures
from forensic.web.access import Visitor, allowed
from forensic.web.files import jpeg
from forensic.web.pages.parameters import Number
from forensic.web.pictures import Shown

router = APIRouter()


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
    """A photo, large enough to compare."""
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
