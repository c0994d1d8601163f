"""Long work that the visitor asked for: how far it is, cancelling it, and where its result is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response

from forensic.errors import NotFound
from forensic.gallery.casework import cases
from forensic.gallery.rights import Right
from forensic.web.access import Visitor, allowed
from forensic.web.jobs import ENDED, Status, View
from forensic.web.pages.parameters import LENGTH, Before
from forensic.web.problems import Conflict
from forensic.web.templating import page

router = APIRouter()
Key = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]

NAMES: dict[str, str] = {
    "search": "Search",
    "rerun": "Repetition of a search",
    "explain": "Explanation of a score",
    "enroll": "Enrollment",
    "reindex": "Making templates",
    "verify": "Check",
    "prove": "Looking for traces",
    "duplicates": "Looking for duplicates",
}
"""Kind of job -> what a page calls it."""
RESULTS: dict[str, Callable[[Mapping[str, Any], str], str]] = {
    "search": lambda answer, key: f"/searches/{answer['search']}",
    "rerun": lambda answer, key: f"/searches/{answer['search']}",
    "explain": lambda answer, key: "/searches/{number}/compare/{rank}?sketch={sketch}&photo={photo}".format_map(answer),
    "enroll": lambda answer, key: f"/enroll/{key}",
    "reindex": lambda answer, key: f"/gallery/reindexed/{key}",
    "verify": lambda answer, key: f"/audit/verified/{key}",
    "prove": lambda answer, key: f"/proofs/{key}",
    "duplicates": lambda answer, key: f"/gallery/duplicates/{key}",
}
"""Kind of job -> the page that shows its answer, of the answer and the job; the job's own page for others."""
FORMS = {"enroll": "/enroll", "reindex": "/gallery", "verify": "/audit", "duplicates": "/gallery/duplicates"}
"""Kind of job -> the page of the form that it came from, where that is always the same."""


@router.get("/jobs")
def listed(request: Request, visitor: Annotated[Visitor, allowed()], before: Before = None) -> Response:
    """The visitor's jobs, the newest first."""
    found = visitor.server.jobs.views(visitor.operator.name, before=before, most=LENGTH + 1)
    return page(
        request,
        "jobs.html",
        visitor,
        jobs=[(view, result(view)) for view in found[:LENGTH]],
        older=found[LENGTH - 1].job.order if len(found) > LENGTH else None,
        before=before,
        names=NAMES,
    )


@router.get("/jobs/{key}")
def shown(request: Request, key: Key, visitor: Annotated[Visitor, allowed()]) -> Response:
    """A job's progress; its result, once it is done."""
    view = visitor.server.jobs.view(key, visitor.operator.name)
    if (there := result(view)) is not None:
        return RedirectResponse(there, 303)
    return page(request, "job.html", visitor, **_told(visitor, view))


@router.get("/jobs/{key}/progress")
def progress(request: Request, key: Key, visitor: Annotated[Visitor, allowed()]) -> Response:
    """What is told of a job while it is under way; it has the browser go to the result, once there is one."""
    view = visitor.server.jobs.view(key, visitor.operator.name)
    if (there := result(view)) is not None:
        return Response(headers={"HX-Redirect": there})
    if view.status not in ENDED:
        return page(request, "parts/stage.html", visitor, view=view)
    whole = {"HX-Retarget": "#progress", "HX-Reswap": "outerHTML"}
    return page(request, "parts/job.html", visitor, headers=whole, **_told(visitor, view))


@router.post("/jobs/{key}/cancel")
def cancelled(key: Key, visitor: Annotated[Visitor, allowed()]) -> Response:
    """Cancel a job; one that ended meanwhile stays as it is."""
    with suppress(Conflict):
        visitor.server.jobs.cancel(key, visitor.operator.name)
    return RedirectResponse(f"/jobs/{key}", 303)


def result(view: View) -> str | None:
    """The page that shows what a job made; None while there is none."""
    if view.status is not Status.DONE or view.job.answer is None or view.job.kind not in RESULTS:
        return None
    return RESULTS[view.job.kind](view.job.answer, view.job.id)


def answer_of(visitor: Visitor, key: str, kind: str) -> dict[str, Any] | Response:
    """The answer of a job of the visitor; while there is none, the way to the job's own page.

    Raises:
        NotFound: There is no such job, it is somebody else's, or of another kind.
    """
    view = visitor.server.jobs.view(key, visitor.operator.name)
    if view.job.kind != kind:
        raise NotFound("There is no such job, or it ended more than a day ago.")
    if view.status is not Status.DONE or view.job.answer is None:
        return RedirectResponse(f"/jobs/{key}", 303)
    return view.job.answer


def _told(visitor: Visitor, view: View) -> dict[str, Any]:
    return {
        "view": view,
        "name": NAMES.get(view.job.kind, view.job.kind),
        "ended": view.status in ENDED,
        "back": _back(visitor, view),
    }


def _back(visitor: Visitor, view: View) -> tuple[str, str] | None:
    """Address and words of the way to the form that a job came from, with what was entered there."""
    asked = view.job.asked
    if view.job.kind in FORMS:
        return FORMS[view.job.kind], "Try again"
    if view.job.kind == "rerun":
        return f"/searches/{asked['search']}", f"Back to search {asked['search']}"
    if view.job.kind == "search" and visitor.may(Right.SEARCH):
        with suppress(NotFound):
            number = cases.find(visitor.gallery, asked["case"]).id
            return f"/cases/{number}/search?again={view.job.id}", "Change the search"
    return None
