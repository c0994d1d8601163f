"""How people and photos leave the gallery for good, and the proof that they are gone."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel

from forensic.errors import Changed, ForensicError, UsageError
from forensic.gallery import browsing
from forensic.gallery.checks import proving
from forensic.gallery.expunging import Due, today
from forensic.gallery.log.audit import digest
from forensic.gallery.models import Photo
from forensic.gallery.records import Shown
from forensic.gallery.rights import Right
from forensic.web import carrying, errands
from forensic.web.access import Visitor, allowed
from forensic.web.bounds import Line, Words
from forensic.web.logs import faults
from forensic.web.pages.jobs import Key, answer_of
from forensic.web.pages.parameters import Number
from forensic.web.problems import with_fault
from forensic.web.templating import page

router = APIRouter()
log = logging.getLogger("forensic.web")
Text = Annotated[Words, Form(max_length=1000)]


class Said(BaseModel):
    """What stands in the form of an expunge: whom it showed, the person's label, typed again, and why they go."""

    shown: str = ""
    label: Line = ""
    reason: Words = ""

    def checked(self) -> Shown:
        """Whom the form showed, once all is there.

        Raises:
            UsageError: It is not.
        """
        whom = carrying.shown(self.shown)
        if self.label.strip() != whom.label:
            raise UsageError("The label that was typed is another one: nothing was removed.")
        if not self.reason.strip():
            raise UsageError("A reason is needed, such as an order's number: nothing was removed.")
        return whom


@router.get("/people/{number}/expunge")
def person_asked(request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.EXPUNGE)]) -> Response:
    """What would go with a person, and the form that wants the label typed."""
    return _asked(request, visitor, number)


@router.post("/people/{number}/expunge")
def person_expunged(
    request: Request,
    number: Number,
    visitor: Annotated[Visitor, allowed(Right.EXPUNGE)],
    said: Annotated[Said, Form()],
) -> Response:
    """Remove a person for good, and begin to look for traces."""
    try:
        visitor.gallery.expunge(said.checked()._replace(number=number), reason=said.reason)
    except (UsageError, Changed) as error:
        return _asked(request, visitor, number, error=error, reason=said.reason)
    return _gone(visitor, number)


@router.get("/photos/{number}/expunge")
def photo_asked(request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.EXPUNGE)]) -> Response:
    """What would go with a photo."""
    photo = visitor.gallery.photo(number)
    return _asked(request, visitor, photo.person_id, photo)


@router.post("/photos/{number}/expunge")
def photo_expunged(
    request: Request,
    number: Number,
    visitor: Annotated[Visitor, allowed(Right.EXPUNGE)],
    said: Annotated[Said, Form()],
) -> Response:
    """Remove a photo for good; its person too, if it was the last one."""
    photo = visitor.gallery.photo(number)
    try:
        whom = said.checked()
        if (whom.label, whom.number) != (photo.person.label, photo.person_id):
            raise Changed(f"Photo {number} is no longer one of {whom.label!r}: look at it again. Nothing was done.")
        last = whom.photos == frozenset({number})
        visitor.gallery.expunge_photo(number, reason=said.reason, owner=whom.number, last=last)
    except (UsageError, Changed) as error:
        return _asked(request, visitor, photo.person_id, photo, error=error, reason=said.reason)
    if last:
        return _gone(visitor, photo.person_id)
    visitor.server.engine.forget()
    return RedirectResponse(f"/people/{photo.person_id}", 303)


@router.get("/people/{number}/proof")
def proof(
    request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.PROVE)], unproved: bool = False
) -> Response:
    """What the log keeps of an expunge, and the form that looks for traces; ``unproved`` where that could not begin."""
    stones = [stone for stone in proving.tombstones(visitor.gallery) if number in stone.people]
    unproved = unproved and bool(stones)
    return page(request, "proof.html", visitor, number=number, stones=stones, checks=None, unproved=unproved)


@router.post("/people/{number}/proof")
def proving_asked(
    number: Number,
    visitor: Annotated[Visitor, allowed(Right.PROVE)],
    text: Text = "",
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
    checks = answer["checks"]
    return page(request, "proof.html", visitor, number=number, stones=stones, checks=checks, unproved=False)


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
    request: Request, visitor: Annotated[Visitor, allowed(Right.EXPUNGE)], count: Text = "", shown: Text = ""
) -> Response:
    """Expunge everybody who was shown as due; how many they are has to be typed."""
    due = visitor.gallery.due(today())
    if not due:
        return _retention(request, visitor, UsageError("Nobody is due."))
    if count.strip() != str(len(due)):
        fault = f"{len(due)} people are due: type that number. Nobody was removed."
        return _retention(request, visitor, UsageError(fault))
    if shown != _digest(due):
        fault = "Others are due now than were shown, or their photos are others: look again. Nobody was removed."
        return _retention(request, visitor, Changed(fault))
    visitor.gallery.expunge_due(due)
    visitor.server.engine.forget()
    return RedirectResponse("/gallery/expunged", 303)


def _retention(request: Request, visitor: Visitor, error: ForensicError | None = None) -> Response:
    found, day = visitor.gallery.due(), today()
    due = [one for one in found if one.keep_until < day]
    return page(
        request,
        "retention.html",
        visitor,
        **with_fault(error),
        size=visitor.gallery.size(),
        found=found,
        today=day,
        due=len(due),
        shown=_digest(due),
    )


def _digest(due: Iterable[Due]) -> str:
    return digest([[one.label, one.number, sorted(one.photo_ids)] for one in due])


def _asked(
    request: Request,
    visitor: Visitor,
    number: int,
    photo: Photo | None = None,
    *,
    error: ForensicError | None = None,
    reason: str = "",
) -> Response:
    gallery = visitor.gallery
    person, photos = gallery.view(gallery.person_by_number(number).label)  # on record: somebody looks at a person
    holdings = browsing.holdings(gallery, number)
    return page(
        request,
        "expunge.html",
        visitor,
        **with_fault(error),
        person=person,
        photo=photo,
        holdings=holdings,
        shown=carrying.packed(person, photos),
        reason=reason,
    )


def _gone(visitor: Visitor, number: int) -> Response:
    """After an expunge: nothing of it stays in memory, and traces are looked for where the visitor may do so."""
    visitor.server.engine.forget()
    if not visitor.may(Right.PROVE):
        return RedirectResponse("/gallery", 303)
    try:
        job = errands.prove(visitor, number)
    except ForensicError as error:  # an error's page would tell of an act that failed, and the person is gone
        log.warning("request %s: traces are not looked for yet: %s", visitor.request_id, faults(error))
        return RedirectResponse(f"/people/{number}/proof?unproved=true", 303)
    return RedirectResponse(f"/jobs/{job.id}", 303)
