"""Enrolling by upload: the form, and what became of each file."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Request, UploadFile
from fastapi.responses import RedirectResponse, Response

from forensic.gallery.rights import Right
from forensic.web import enrolling
from forensic.web.access import Visitor, allowed
from forensic.web.forms import Fields, columns
from forensic.web.pages.jobs import Key, answer_of
from forensic.web.templating import page

router = APIRouter()
Photos = Annotated[list[UploadFile], File()]


@router.get("/enroll")
def form(request: Request, visitor: Annotated[Visitor, allowed(Right.ENROLL)]) -> Response:
    """The forms: photos of one person, or a table with its photos."""
    return page(request, "enroll.html", visitor, settings=visitor.server.settings)


@router.post("/enroll/person")
def of_person(
    visitor: Annotated[Visitor, allowed(Right.ENROLL, batch=True)], fields: Fields, photos: Photos
) -> Response:
    """Enroll photos of one person."""
    job = enrolling.ask_for_person(visitor, fields.get("person", ""), columns(fields), photos)
    return RedirectResponse(f"/jobs/{job.id}", 303)


@router.post("/enroll/table")
def of_table(
    visitor: Annotated[Visitor, allowed(Right.ENROLL, batch=True)], table: Annotated[UploadFile, File()], photos: Photos
) -> Response:
    """Enroll photos as a table says."""
    return RedirectResponse(f"/jobs/{enrolling.ask_for_table(visitor, table, photos).id}", 303)


@router.get("/enroll/{key}")
def enrolled(request: Request, key: Key, visitor: Annotated[Visitor, allowed(Right.ENROLL)]) -> Response:
    """What became of each file."""
    answer = answer_of(visitor, key, "enroll")
    if isinstance(answer, Response):
        return answer
    files: list[dict[str, Any]] = answer["files"]
    photos = visitor.gallery.photos_by_number(one["photo"] for one in files if one["photo"])
    count = {status: sum(one["status"] == status for one in files) for status in ("enrolled", "already")}
    return page(
        request,
        "enrolled.html",
        visitor,
        files=files,
        photos=photos,
        names=enrolling.names_of(visitor, key),
        count=count,
        others=len(files) - sum(count.values()),
        of_table=any(one["line"] for one in files),
    )
