"""How people and photos leave the gallery for good, and the proof that they are gone."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from forensic.errors import UsageError
from forensic.gallery import browsing
from forensic.gallery.checks import proving
from forensic.gallery.expunging import today
from forensic.gallery.models import Person, Photo
from forensic.gallery.records import Shown
from forensic.gallery.rights import Right
from forensic.web import errands
from forensic.web.access import Visitor, allowed
from forensic.web.pages.jobs import Key, answer_of
from forensic.web.pages.parameters import Number
from forensic.web.templating import page

router = APIRouter()
Word = Annotated[str, Form(max_length=1000)]


class Said(BaseModel):
    """What stands in the form of an expunge: the person's label, typed again, and why they go."""

    label: str = Field("", max_length=1000)
    reason: str = Field("", max_length=1000)


@router.get("/people/{number}/expunge")
def person_asked(request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.EXPUNGE)]) -> Response:
    """What would go with a person, and the form that wants the label typed."""
    return _asked(request, visitor, visitor.gallery.person_by_number(number))


@router.post("/people/{number}/expunge")
def person_expunged(
    request: Request,
    number: Number,
    visitor: Annotated[Visitor, allowed(Right.EXPUNGE)],
    said: Annotated[Said, Form()],
) -> Response:
    """Remove a person for good, and begin to look for traces."""
    person = visitor.gallery.person_by_number(number)
    if fault := _fault(person, said):
        return _asked(request, visitor, person, fault=fault, reason=said.reason)
    try:
        visitor.gallery.expunge(Shown(person.label, number), reason=said.reason)
    except UsageError as error:
        return _asked(request, visitor, person, fault=str(error))
    return _gone(visitor, number)


@router.get("/photos/{number}/expunge")
def photo_asked(request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.EXPUNGE)]) -> Response:
    """What would go with a photo."""
    photo = visitor.gallery.photo(number)
    return _asked(request, visitor, visitor.gallery.person_by_number(photo.person_id), photo)


@router.post("/photos/{number}/expunge")
def photo_expunged(
    request: Request,
    number: Number,
    visitor: Annotated[Visitor, allowed(Right.EXPUNGE)],
    said: Annotated[Said, Form()],
) -> Response:
    """Remove a photo for good; its person too, if it was the last one."""
    photo = visitor.gallery.photo(number)
    person = visitor.gallery.person_by_number(photo.person_id)
    if fault := _fault(person, said):
        return _asked(request, visitor, person, photo, fault=fault, reason=said.reason)
    try:
        visitor.gallery.expunge_photo(number, reason=said.reason)
    except UsageError as error:
        return _asked(request, visitor, person, photo, fault=str(error))
    if person.photo_count == 1:
        return _gone(visitor, person.id)
    visitor.server.engine.forget()
    return RedirectResponse(f"/people/{person.id}", 303)


@router.get("/people/{number}/proof")
def proof(request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.PROVE)]) -> Response:
    """What the log keeps of an expunge, and the form that looks for traces."""
    stones = [stone for stone in proving.tombstones(visitor.gallery) if number in stone.people]
    return page(request, "proof.html", visitor, number=number, stones=stones, checks=None, key="")


@router.post("/people/{number}/proof")
def proving_asked(
    number: Number,
    visitor: Annotated[Visitor, allowed(Right.PROVE)],
    text: Word = "",
    wipe: Annotated[bool, Form()] = False,
) -> Response:
    """Look for traces of a person who was expunged."""
    texts = tuple(filter(None, (line.strip() for line in text.splitlines())))
    return RedirectResponse(f"/jobs/{errands.prove(visitor, number, texts, wipe=wipe).id}", 303)


@router.get("/proofs/{key}")
def proved(request: Request, key: Key, visitor: Annotated[Visitor, allowed(Right.PROVE)]) -> Response:
    """What looking for traces found."""
    answer = answer_of(visitor, key, "prove")
    if isinstance(answer, Response):
        return answer
    number = answer["person"]
    stones = [stone for stone in proving.tombstones(visitor.gallery) if number in stone.people]
    return page(request, "proof.html", visitor, number=number, stones=stones, checks=answer["checks"], key=key)


@router.get("/gallery/expunged")
def expunged(request: Request, visitor: Annotated[Visitor, allowed(Right.PROVE)]) -> Response:
    """What the log keeps of everybody who was removed."""
    return page(request, "expunged.html", visitor, stones=proving.tombstones(visitor.gallery))


@router.get("/gallery/retention")
def retention(request: Request, visitor: Annotated[Visitor, allowed(Right.VIEW)]) -> Response:
    """Until when people may be kept, and who is due."""
    return _retention(request, visitor)


@router.post("/gallery/retention")
def retention_applied(
    request: Request, visitor: Annotated[Visitor, allowed(Right.EXPUNGE)], count: Word = ""
) -> Response:
    """Expunge everybody whose date has passed; how many they are has to be typed."""
    due = visitor.gallery.due(today())
    if not due or count.strip() != str(len(due)):
        fault = f"{len(due)} people are due: type that number. Nobody was removed." if due else "Nobody is due."
        return _retention(request, visitor, fault)
    visitor.gallery.expunge_due(due)
    visitor.server.engine.forget()
    return RedirectResponse("/gallery/expunged", 303)


def _retention(request: Request, visitor: Visitor, fault: str = "") -> Response:
    found, day = visitor.gallery.due(), today()
    return page(
        request,
        "retention.html",
        visitor,
        status=422 if fault else 200,
        size=visitor.gallery.size(),
        found=found,
        today=day,
        due=sum(one.keep_until < day for one in found),
        fault=fault,
    )


def _asked(
    request: Request,
    visitor: Visitor,
    person: Person,
    photo: Photo | None = None,
    *,
    fault: str = "",
    reason: str = "",
) -> Response:
    return page(
        request,
        "expunge.html",
        visitor,
        status=422 if fault else 200,
        person=person,
        photo=photo,
        holdings=browsing.holdings(visitor.gallery, person.id),
        fault=fault,
        reason=reason,
    )


def _fault(person: Person, said: Said) -> str:
    """What keeps a form from being followed; nothing where it may be."""
    if said.label.strip() != person.label:
        return "The label that was typed is another one: nothing was removed."
    return "" if said.reason.strip() else "A reason is needed, such as an order's number: nothing was removed."


def _gone(visitor: Visitor, number: int) -> Response:
    """After an expunge: nothing of it stays in memory, and traces are looked for where the visitor may do so."""
    visitor.server.engine.forget()
    if not visitor.may(Right.PROVE):
        return RedirectResponse("/gallery", 303)
    return RedirectResponse(f"/jobs/{errands.prove(visitor, number).id}", 303)
