"""The log of everything that was done, for auditors and administrators."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import RedirectResponse, Response

from forensic.errors import UsageError
from forensic.gallery.log import audit, trail
from forensic.gallery.log.audit import Head
from forensic.gallery.records import Choice, parse_day
from forensic.gallery.rights import Right
from forensic.web import errands, uploads
from forensic.web.access import Visitor, allowed
from forensic.web.bounds import LARGEST
from forensic.web.forms import Fields, whole
from forensic.web.pages.jobs import Key, answer_of
from forensic.web.pages.parameters import Number
from forensic.web.templating import page

router = APIRouter()
ENTRIES = 50
"""On one page."""
ACTIONS = {
    "People": ("enroll", "update", "merge", "split", "keep", "duplicates", "assess", "templates", "list", "view"),
    "Removal": ("expunge", "prove"),
    "Casework": ("case-open", "case-sketch", "search", "decide", "case-export", "case-report", "search-report"),
    "Users": ("login", "login-refused", "user-add", "user-role", "user-password", "user-remove"),
    "Gallery": (
        "begin",
        "encrypt",
        "rotate",
        "repair",
        "export",
        "report",
        "head",
        "anchor",
        "cohort",
        "cohort-clear",
        "engine",
        "originals",
        "originals-forget",
    ),
    "Backups": ("backup", "backup-forget", "backup-prune", "backup-shred", "restore"),
}
"""What the form offers, in groups: all acts that the gallery puts on record."""


@router.get("/audit")
def latest(request: Request, visitor: Annotated[Visitor, allowed(Right.AUDIT)]) -> Response:
    """The latest entries."""
    return _shown(request, visitor, {})


@router.post("/audit")
def chosen(request: Request, visitor: Annotated[Visitor, allowed(Right.AUDIT)], fields: Fields) -> Response:
    """Entries of an operator, an action, some days; and further pages of them."""
    return _shown(request, visitor, fields)


@router.get("/audit/{number}")
def entry(request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.AUDIT)]) -> Response:
    """One entry in full, as it was hashed and signed."""
    shown = trail.entry(visitor.gallery, number)
    last = trail.entries(visitor.gallery, limit=1)[0]["number"]
    return page(request, "entry.html", visitor, shown=shown, last=last)


@router.post("/audit/head")
def head(visitor: Annotated[Visitor, allowed(Right.AUDIT)]) -> Response:
    """The log's signed end, as a file to be kept elsewhere."""
    exported = trail.export_head(visitor.gallery)
    name = f"audit-head-{exported.number}.json"
    content = json.dumps(exported._asdict()) + "\n"
    return Response(
        content, media_type="application/json", headers={"content-disposition": f'attachment; filename="{name}"'}
    )


@router.post("/audit/verification")
def verification(
    visitor: Annotated[Visitor, allowed(Right.AUDIT)],
    everything: Annotated[bool, Form()] = False,
    head: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Check the log, or the whole gallery; against a head that was exported earlier, where one is given."""
    known = None
    if head is not None and head.filename:
        known = Head.parse(uploads.take(visitor.server, head).data)
    return RedirectResponse(f"/jobs/{errands.verify(visitor, everything=everything, head=known).id}", 303)


@router.get("/audit/verified/{key}")
def verified(request: Request, key: Key, visitor: Annotated[Visitor, allowed(Right.AUDIT)]) -> Response:
    """What a check found, in words."""
    answer = answer_of(visitor, key, "verify")
    if isinstance(answer, Response):
        return answer
    return page(request, "verified.html", visitor, answer=answer, problems=errands.problems(visitor, answer["key"]))


def _shown(request: Request, visitor: Visitor, fields: dict[str, str]) -> Response:
    found = trail.entries(visitor.gallery, choice=_choice(fields), limit=ENTRIES + 1)
    return page(
        request,
        "parts/entries.html" if "hx-request" in request.headers else "audit.html",
        visitor,
        entries=found[:ENTRIES],
        more=found[ENTRIES - 1]["number"] if len(found) > ENTRIES else None,
        fields=fields,
        actions=ACTIONS,
        canonical=audit.canonical,
    )


def _choice(fields: dict[str, str]) -> Choice:
    """What the form asks for.

    Raises:
        UsageError: A day or a number is none.
    """
    given = {key: text.strip() for key, text in fields.items() if text.strip()}
    before = whole(given["before"], LARGEST) if "before" in given else None
    if before is None and "before" in given:
        raise UsageError(f"The entry's number is {given['before'][:20]!r}; expected 1 to {LARGEST}.")
    return Choice(
        action=given.get("action"),
        operator=given.get("operator"),
        since=parse_day(given["since"]) if "since" in given else None,
        until=parse_day(given["until"]) if "until" in given else None,
        before=before,
    )
