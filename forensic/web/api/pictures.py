"""Pictures to look at: of a search's probe, and of photos."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from forensic.gallery.rights import Right
from forensic.web import pictures
from forensic.web.access import Visitor, allowed
from forensic.web.api.models import SIGNED_IN, InPath, failing
from forensic.web.files import JPEG, jpeg
from forensic.web.pictures import Shown
from forensic.web.routing import Route

router = APIRouter(route_class=Route)
Place = Annotated[int, Query(ge=0, le=99, description="Which of the search's sketches, 0 for the first.")]


@router.get(
    "/searches/{number}/pictures/{shown}.jpg",
    response_class=Response,
    responses={200: JPEG, **failing(*SIGNED_IN, 404)},
    operation_id="show_picture_of_search",
    tags=["searches"],
)
def of_search(
    visitor: Annotated[Visitor, allowed(Right.READ_CASE)], number: InPath, shown: Shown, sketch: Place = 0
) -> Response:
    """A search's sketch with its landmarks, the aligned face, or what a route synthesized of it.

    What is synthesized is marked in the picture: it is no evidence.
    """
    return jpeg(pictures.of_search(visitor, number, shown, sketch))


@router.get(
    "/photos/{number}/thumbnail.jpg",
    response_class=Response,
    responses={200: JPEG, **failing(*SIGNED_IN, 404)},
    operation_id="show_thumbnail",
    tags=["people"],
)
def thumbnail(visitor: Annotated[Visitor, allowed(Right.VIEW)], number: InPath) -> Response:
    """A photo, small."""
    return jpeg(pictures.of_photo(visitor, number, pictures.THUMBNAIL))
