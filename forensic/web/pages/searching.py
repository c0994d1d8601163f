"""A new search: which sketches, where their landmarks are, along which route, and who is searched."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from forensic.casework import stated
from forensic.errors import FaceError, ForensicError, ImageError, UsageError
from forensic.gallery import Filter
from forensic.gallery.casework import cases, listing
from forensic.gallery.casework.casework_models import Case
from forensic.gallery.rights import Right
from forensic.search_records import faces_of
from forensic.web import asking, views
from forensic.web.access import Visitor, allowed, form_of
from forensic.web.bounds import LARGEST
from forensic.web.forms import typed, whole
from forensic.web.landmarks import NAMES, Points, look
from forensic.web.pages.cases import KINDS
from forensic.web.pages.parameters import Number
from forensic.web.problems import Later, status_of
from forensic.web.templating import page

router = APIRouter()
TOP = 10
"""Candidates, unless another number is given."""
ROWS = 3
"""Empty rows for conditions that the form has at least."""


class Entries(NamedTuple):
    """What the form holds, as it was entered.

    Attributes:
        sketches: Numbers of those that are chosen.
        points: A sketch's number -> its landmarks, where a person placed them.
        route: The route's name; empty for the agency's first.
        top: How many candidates.
        conditions: Column and value of each row.
        justification: Why the search may be narrowed so.
    """

    sketches: tuple[int, ...] = ()
    points: Mapping[int, Points] = {}
    route: str = ""
    top: str = str(TOP)
    conditions: tuple[tuple[str, str], ...] = ()
    justification: str = ""


@router.get("/cases/{number}/search")
def form(
    request: Request,
    number: Number,
    visitor: Annotated[Visitor, allowed(Right.SEARCH, Right.READ_CASE)],
    sketch: Annotated[list[Annotated[int, Query(ge=1, le=LARGEST)]] | None, Query(max_length=50)] = None,
    again: Annotated[str, Query(max_length=32)] = "",
    like: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
    faces: bool = False,
) -> Response:
    """The form.

    ``again`` is a job and ``like`` a search whose entries it begins with; ``faces`` has the landmarks put into the page
    for browsers without JavaScript.
    """
    case = cases.by_number(visitor.gallery, number)
    if again:
        entries = _of_job(visitor.server.jobs.view(again, visitor.operator.name).job.asked)
    elif like is not None:
        entries = _of_search(views.search(visitor.gallery, like))
    else:
        entries = Entries(tuple(sketch or ()))
    return _form(request, visitor, case, entries, faces=faces or bool(entries.points), again=bool(again))


@router.get("/sketches/{number}/face")
def face(
    request: Request, number: Number, visitor: Annotated[Visitor, allowed(Right.SEARCH, Right.READ_CASE)]
) -> Response:
    """A part of the form: a sketch with the face that was found, and its landmarks to be moved."""
    found = look(visitor.server.engine, cases.sketch(visitor.gallery, number))
    return page(request, "parts/landmarks.html", visitor, look=found, names=NAMES)


@router.post("/cases/{number}/filter")
def filtered(
    request: Request,
    number: Number,
    visitor: Annotated[Visitor, allowed(Right.SEARCH, Right.VIEW)],
    fields: Annotated[FormData, Depends(form_of)],
) -> Response:
    """A part of the form: whom its filter would keep."""
    entries = _entered(fields)
    kept, fault = None, ""
    try:
        if where := _where(entries):
            kept = visitor.gallery.matching(Filter.parse(where, entries.justification or "not yet justified"))
    except UsageError as error:
        fault = str(error)
    return page(request, "parts/filter.html", visitor, kept=kept, fault=fault)


@router.post("/cases/{number}/searches")
def submitted(
    request: Request,
    number: Number,
    visitor: Annotated[Visitor, allowed(Right.SEARCH, Right.READ_CASE)],
    fields: Annotated[FormData, Depends(form_of)],
) -> Response:
    """Ask for the search, or show the form again with what is wrong; nothing that was entered is lost."""
    case, entries = cases.by_number(visitor.gallery, number), _entered(fields)
    try:
        job = _ask(visitor, case, entries, fields)
    except (UsageError, ImageError, FaceError, Later) as error:
        return _form(request, visitor, case, entries, faces=True, error=error)
    return RedirectResponse(f"/jobs/{job}", 303)


def _ask(visitor: Visitor, case: Case, entries: Entries, fields: FormData) -> str:
    """Submit the search, after a check of all that would only fail once it was its turn."""
    if not entries.sketches:
        raise UsageError("Choose the sketch to search with, or several of one person.")
    landmarks = [_placed(fields, number) for number in entries.sketches]
    where = _where(entries)
    if where:
        visitor.gallery.matching(Filter.parse(where, entries.justification))
    held = {sketch.id for sketch in listing.sketches(visitor.gallery, case.id)}
    for number, points in zip(entries.sketches, landmarks, strict=True):
        if points is not None and number in held:
            visitor.server.engine.face(cases.sketch(visitor.gallery, number), points)
    longest = visitor.server.settings.longest_list
    top = whole(entries.top, longest)
    if top is None:
        raise UsageError(f"The length of the list is {entries.top[:20]!r}; expected 1 to {longest}.")
    job = asking.search(
        visitor,
        case.id,
        entries.sketches,
        landmarks=landmarks,
        route=entries.route or None,
        top=top,
        where=where,
        justification=entries.justification if where else "",
    )
    return job.id


def _form(
    request: Request,
    visitor: Visitor,
    case: Case,
    entries: Entries,
    *,
    faces: bool = False,
    again: bool = False,
    error: ForensicError | None = None,
) -> Response:
    sketches, engine = listing.sketches(visitor.gallery, case.id), visitor.server.engine
    held = [sketch.id for sketch in sketches]
    chosen = [number for number in entries.sketches if number in held] or ([] if error else held[-1:])
    looks = {}
    if faces:
        for number in chosen:
            looks[number] = look(engine, cases.sketch(visitor.gallery, number), entries.points.get(number))
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, Later) else None
    return page(
        request,
        "new-search.html",
        visitor,
        status=200 if error is None else status_of(error).value,
        headers=headers,
        case=case,
        sketches=sketches,
        chosen=chosen,
        looks=looks,
        names=NAMES,
        entries=entries,
        rows=[*entries.conditions, *[("", "")] * max(1, ROWS - len(entries.conditions))],
        settings=visitor.server.settings,
        kinds=KINDS,
        again=again,
        error="" if error is None else str(error),
    )


def _entered(fields: FormData) -> Entries:
    sketches = tuple(dict.fromkeys(int(one) for one in _texts(fields, "sketch") if one.isdecimal() and len(one) < 10))
    points = {}
    for number in sketches:
        try:
            placed = _placed(fields, number)
        except UsageError:
            continue
        if placed is not None:
            points[number] = placed
    rows = zip(_texts(fields, "column"), _texts(fields, "value"), strict=False)
    return Entries(
        sketches,
        points,
        _text(fields, "route"),
        _text(fields, "top"),
        tuple((column, value) for column, value in rows if column or value),
        _text(fields, "justification"),
    )


def _placed(fields: FormData, sketch: int) -> Points | None:
    """A sketch's landmarks where a person placed them; None where they are those that were found.

    Raises:
        UsageError: They are no ten numbers, or still where they were assumed to be: nobody looked.
    """
    if not any(_texts(fields, f"landmark-{sketch}")):
        return None
    placed = _numbers(_texts(fields, f"landmark-{sketch}"))
    if len(placed) != 2 * len(NAMES):
        raise UsageError(f"The landmarks of sketch {sketch} are not five points: each one needs x and y.")
    if placed == _numbers(_text(fields, f"detected-{sketch}").split(",")):
        return None
    if placed == _numbers(_text(fields, f"assumed-{sketch}").split(",")):
        raise UsageError(f"No face was found in sketch {sketch}: move its five points to where they belong.")
    return [placed[k : k + 2] for k in range(0, len(placed), 2)]


def _numbers(texts: list[str]) -> list[float]:
    """Finite numbers; none where one of the texts is no such number."""
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _where(entries: Entries) -> list[str]:
    return [f"{column}={value}" for column, value in entries.conditions]


def _texts(fields: FormData, name: str) -> list[str]:
    return [typed(value).strip() for value in fields.getlist(name) if isinstance(value, str)]


def _text(fields: FormData, name: str) -> str:
    return "".join(_texts(fields, name)[:1])


def _of_job(asked: Mapping[str, Any]) -> Entries:
    """What a search was asked for, to be asked for again; of one that has ended, the filter is not kept."""
    sketches = tuple(asked.get("sketches", ()))
    landmarks = asked.get("landmarks") or [None] * len(sketches)
    return Entries(
        sketches,
        {number: points for number, points in zip(sketches, landmarks, strict=True) if points is not None},
        asked.get("route", ""),
        str(asked.get("top", TOP)),
        tuple(_condition(text) for text in asked.get("where", ())),
        asked.get("justification", ""),
    )


def _of_search(view: views.SearchView) -> Entries:
    """What a search on record was made with, to be asked for with changes."""
    record = view.record
    points = dict(zip(record["probes"], record["landmarks"], strict=True))
    # A form knows no numbers of faces: one that was chosen by its number is stated by its landmarks.
    used = zip(record["probes"], faces_of(record), strict=True)
    points |= {sha256: face["landmarks"] for sha256, face in used if face and face["asked"]}
    chosen = record["filter"] or {"conditions": [], "justification": ""}
    return Entries(
        tuple(sketch.id for sketch in view.sketches),
        {sketch.id: points[sketch.sha256] for sketch in view.sketches if points[sketch.sha256] is not None},
        record["route"],
        str(record["asked_for"]),
        tuple(_condition(stated(text)) for text in chosen["conditions"]),
        chosen["justification"],
    )


def _condition(text: str) -> tuple[str, str]:
    column, _, value = text.partition("=")
    return column, value
