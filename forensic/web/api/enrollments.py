"""Enrolling photos by upload."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from pydantic import StringConstraints, TypeAdapter, ValidationError

from forensic.errors import UsageError
from forensic.gallery.rights import Right
from forensic.web import enrolling
from forensic.web.access import Visitor, allowed
from forensic.web.api.jobs import UNFINISHED, JobShown, Waiting, answered
from forensic.web.api.models import NUL_FREE, SIGNED_IN, Line, failing
from forensic.web.api.people import Columns
from forensic.web.routing import Route, once
from forensic.web.state import Job

router = APIRouter(tags=["people"], route_class=Route)
_COLUMNS = TypeAdapter[dict[str, str]](Columns)


@router.post(
    "/enrollments",
    dependencies=[Depends(once)],
    response_model=JobShown,
    responses={202: UNFINISHED, **failing(*SIGNED_IN, 409)},
    operation_id="enroll",
)
async def enrolled(
    request: Request,
    visitor: Annotated[Visitor, allowed(Right.ENROLL, batch=True)],
    seconds: Waiting,
    files: Annotated[list[UploadFile], File(description="The photos.", max_length=1000)],
    table: Annotated[
        UploadFile | None, File(description="A CSV table with the columns `person,file` and any metadata.")
    ] = None,
    person: Annotated[Line | None, Form(description="In place of a table: whom all photos show.")] = None,
    metadata: Annotated[
        Annotated[str, StringConstraints(max_length=100_000, pattern=NUL_FREE)] | None,
        Form(description="With `person`: a JSON object of columns and values.", examples=['{"sex": "female"}']),
    ] = None,
    keep_until: Annotated[
        date | None,
        Form(
            description="Last day, in UTC, on which new people may be kept, where nothing else is said of it.",
            examples=["2031-12-31"],
        ),
    ] = None,
) -> Response:
    """Enroll photos of one person, or of many as a table says. One bad file never stops the others.

    The job's answer has for each file its `index`, the numbers of `photo` and `person`, its `status` and the quality's
    `verdict`, or the `reasons` why it was refused. It names nobody.
    """
    columns = _columns(metadata)

    def submit() -> Job:
        if table is not None:
            if person is not None or columns:
                raise UsageError("Give a table, or a person with metadata, not both.")
            return enrolling.ask_for_table(visitor, table, files, keep_until)
        if person is None:
            raise UsageError("Say who is on the photos: give a person, or a table with the columns person,file.")
        return enrolling.ask_for_person(visitor, person, columns, files, keep_until)

    return await answered(request, visitor, seconds, submit)


def _columns(text: str | None) -> dict[str, str]:
    """Metadata as a form holds them.

    Raises:
        UsageError: They are no JSON object of texts, or too many.
    """
    try:
        given: Any = json.loads(text) if text else {}
        return _COLUMNS.validate_python(given)
    except (ValueError, RecursionError, ValidationError):
        raise UsageError('The metadata cannot be read; expected JSON such as {"sex": "female"}.') from None
