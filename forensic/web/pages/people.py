"""A person: what is known of them and their photos, and corrections of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from forensic.errors import Changed
from forensic.gallery import browsing
from forensic.gallery.expunging import today
from forensic.gallery.log.audit import digest
from forensic.gallery.people import described, described_photo
from forensic.gallery.records import PERSON_FIELDS, PHOTO_FIELDS
from forensic.gallery.rights import Right
from forensic.web import carrying
from forensic.web.access import Visitor, allowed
from forensic.web.bounds import Line
from forensic.web.forms import Fields, own_column
from forensic.web.pages.parameters import Number
from forensic.web.pages.pictures import note_shown
from forensic.web.problems import with_fault
from forensic.web.templating import page

router = APIRouter()
EXTRA = "own."
"""Before the name of an agency's own column, in a form."""


@router.get("/people/{number}")
def shown(request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.VIEW)]) -> Response:
    """A person with all photos; that somebody looked is on record."""
    return _page(request, visitor, number)


@router.post("/people/{number}")
def corrected(
    request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.ENROLL)], fields: Fields
) -> Response:
    """Change a person's metadata or label: what differs from what was shown; an empty value takes one away."""
    try:
        _correct(visitor, number, fields)
    except Changed as error:
        return _page(request, visitor, number, error)
    return RedirectResponse(f"/people/{number}", 303)


def _correct(visitor: Visitor, number: int, fields: dict[str, str]) -> None:
    whom = carrying.shown(fields.get("shown", ""))._replace(number=number)
    person = visitor.gallery.person_by_number(number)
    recorded = {key: str(value) for key, value in described(person).items()}
    given = {key: fields[key].strip() for key in PERSON_FIELDS if key in fields}
    given |= {key.removeprefix(EXTRA): text.strip() for key, text in fields.items() if key.startswith(EXTRA)}
    column, value = own_column(fields)
    if column and value:
        given[column] = value
    changes = {key: text for key, text in given.items() if text != recorded.get(key, "")}
    label = fields.get("person", "").strip() or whom.label
    if changes or label != whom.label:
        rename = None if label == whom.label else label
        visitor.gallery.update(whom, changes, rename=rename, known=fields.get("known", ""))


@router.post("/photos/{number}")
def photo_corrected(
    request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.ENROLL)], fields: Fields
) -> Response:
    """Change when a photo was taken, or where it comes from."""
    photo = visitor.gallery.photo(number)
    given = {key: fields[key].strip() for key in PHOTO_FIELDS if key in fields}
    changes = {key: text for key, text in given.items() if text != (getattr(photo, key) or "")}
    if changes:
        try:
            visitor.gallery.update_photo(number, changes, known=fields.get("known", ""))
        except Changed as error:
            return _page(request, visitor, photo.person_id, error)
    return RedirectResponse(f"/people/{photo.person_id}", 303)


@router.post("/people/{number}/split")
def split(
    request: Request,
    number: Number,
    visitor: Annotated[Visitor, allowed(Right.ENROLL)],
    label: Annotated[Line, Form()],
    shown: Annotated[str, Form()],
    photos: Annotated[list[int] | None, Form()] = None,
) -> Response:
    """Give some of a person's photos to a new person."""
    whom = carrying.shown(shown)._replace(number=number)
    try:
        made = visitor.gallery.split(whom, photos or [], label)
    except Changed as error:
        return _page(request, visitor, number, error)
    return RedirectResponse(f"/people/{made.id}", 303)


def _page(request: Request, visitor: Visitor, number: int, error: Changed | None = None) -> Response:
    person, photos = visitor.gallery.view(visitor.gallery.person_by_number(number).label)
    note_shown(visitor, photos)
    return page(
        request,
        "person.html",
        visitor,
        **with_fault(error),
        person=person,
        photos=photos,
        known=described(person),
        shown=carrying.packed(person, photos),
        digest=digest(described(person)),
        digests={photo.id: digest(described_photo(photo)) for photo in photos},
        routes=browsing.routes_of(visitor.gallery, [photo.id for photo in photos]),
        today=today(),
        extra=EXTRA,
    )
