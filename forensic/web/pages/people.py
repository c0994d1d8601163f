"""A person: what is known of them and their photos, and corrections of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from forensic.errors import UsageError
from forensic.gallery import browsing
from forensic.gallery.expunging import today
from forensic.gallery.people import described
from forensic.gallery.records import PERSON_FIELDS, PHOTO_FIELDS, Shown
from forensic.gallery.rights import Right
from forensic.web.access import Visitor, allowed
from forensic.web.forms import Fields
from forensic.web.pages.parameters import Number
from forensic.web.templating import page

router = APIRouter()
EXTRA = "own."
"""Before the name of an agency's own column, in a form."""


@router.get("/people/{number}")
def shown(request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.VIEW)]) -> Response:
    """A person with all photos; that somebody looked is on record."""
    person, photos = visitor.gallery.view(visitor.gallery.person_by_number(number).label)
    return page(
        request,
        "person.html",
        visitor,
        person=person,
        photos=photos,
        known=described(person),
        routes=browsing.routes_of(visitor.gallery, [photo.id for photo in photos]),
        today=today(),
        extra=EXTRA,
    )


@router.post("/people/{number}")
def corrected(number: Number, visitor: Annotated[Visitor, allowed(Right.ENROLL)], fields: Fields) -> Response:
    """Change a person's metadata or label: what differs from what is stored; an empty value takes one away."""
    person = visitor.gallery.person_by_number(number)
    known = {key: str(value) for key, value in described(person).items()}
    given = {key: fields[key].strip() for key in PERSON_FIELDS if key in fields}
    given |= {key.removeprefix(EXTRA): text.strip() for key, text in fields.items() if key.startswith(EXTRA)}
    column, value = fields.get("column", "").strip(), fields.get("value", "").strip()
    if value and not column:
        raise UsageError("A value was given without the name of its column: name the column too.")
    if column and value:
        given[column] = value
    changes = {key: text for key, text in given.items() if text != known.get(key, "")}
    label = fields.get("person", "").strip() or person.label
    if changes or label != person.label:
        whom = Shown(person.label, number)
        visitor.gallery.update(whom, changes, rename=None if label == person.label else label)
    return RedirectResponse(f"/people/{number}", 303)


@router.post("/photos/{number}")
def photo_corrected(number: Number, visitor: Annotated[Visitor, allowed(Right.ENROLL)], fields: Fields) -> Response:
    """Change when a photo was taken, or where it comes from."""
    photo = visitor.gallery.photo(number)
    given = {key: fields[key].strip() for key in PHOTO_FIELDS if key in fields}
    changes = {key: text for key, text in given.items() if text != (getattr(photo, key) or "")}
    if changes:
        visitor.gallery.update_photo(number, changes)
    return RedirectResponse(f"/people/{photo.person_id}", 303)


@router.post("/people/{number}/split")
def split(
    number: Number,
    visitor: Annotated[Visitor, allowed(Right.ENROLL)],
    label: Annotated[str, Form()],
    photos: Annotated[list[int] | None, Form()] = None,
) -> Response:
    """Give some of a person's photos to a new person."""
    whom = Shown(visitor.gallery.person_by_number(number).label, number)
    made = visitor.gallery.split(whom, photos or [], label)
    return RedirectResponse(f"/people/{made.id}", 303)
