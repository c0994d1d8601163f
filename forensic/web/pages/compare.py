"""A probe beside one candidate: pictures, likeness by parts, what the score hangs on, verdicts; second examinations."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from forensic.candidates import Explained
from forensic.errors import NotFound, UsageError
from forensic.explanation import Side
from forensic.gallery.casework import cases, examinations
from forensic.gallery.casework.cases import Opinion, Verdict
from forensic.gallery.rights import Right
from forensic.web import asking, pairing, pictures
from forensic.web.access import Visitor, allowed
from forensic.web.bounds import LARGEST, Words
from forensic.web.files import png
from forensic.web.jobs import ENDED, View
from forensic.web.pages.parameters import Number
from forensic.web.pages.pictures import note_shown
from forensic.web.pairing import Pair
from forensic.web.problems import Conflict
from forensic.web.templating import page

router = APIRouter()

HERE = "/searches/{number}/compare/{rank}"
Reader = Annotated[Visitor, allowed(Right.READ_CASE, Right.VIEW)]
Sketch = Annotated[int, Query(ge=0, le=LARGEST)]
Photo = Annotated[int | None, Query(ge=1, le=LARGEST)]
GivenSketch = Annotated[int, Form(ge=0, le=LARGEST)]
GivenPhoto = Annotated[int | None, Form(ge=1, le=LARGEST)]


@router.get(HERE)
def compared(
    request: Request,
    visitor: Reader,
    number: Number,
    rank: Number,
    sketch: Sketch = 0,
    photo: Photo = None,
    parts: bool = False,
) -> Response:
    """The page; ``parts`` measures the parts of the face at once, for a browser without JavaScript."""
    pair = pairing.find(visitor.gallery, number, rank, sketch, photo)
    return _page(request, visitor, pair, parts=parts)


@router.post(HERE + "/decision")
def decided(
    request: Request,
    visitor: Annotated[Visitor, allowed(Right.DECIDE, Right.READ_CASE, Right.VIEW)],
    number: Number,
    rank: Number,
    verdict: Annotated[Verdict, Form()],
    reason: Annotated[Words, Form()] = "",
    sketch: GivenSketch = 0,
    photo: GivenPhoto = None,
) -> Response:
    """Say what the examiner thinks of the candidate; what is wrong with it is said beside what was typed."""
    pair = pairing.find(visitor.gallery, number, rank, sketch, photo)
    try:
        cases.decide(visitor.gallery, number, rank, verdict, reason)
    except UsageError as error:
        typed = {"error": str(error), "verdict": verdict, "reason": reason}
        return _page(request, visitor, pair, status=422, typed=typed)
    return RedirectResponse(f"{pair.path}{pair.query}#verdict", 303)


@router.get(HERE + "/likeness")
def likeness(
    request: Request, visitor: Reader, number: Number, rank: Number, sketch: Sketch = 0, photo: Photo = None
) -> Response:
    """The parts of the two faces, and how alike they are, as a part of the page."""
    pair = pairing.find(visitor.gallery, number, rank, sketch, photo)
    return page(request, "parts/likeness.html", visitor, likeness=pair.likeness(visitor.server.engine, visitor.gallery))


@router.get(HERE + "/explanation")
def explanation(
    request: Request, visitor: Reader, number: Number, rank: Number, sketch: Sketch = 0, photo: Photo = None
) -> Response:
    """How far the explanation is, as a part of the page; once that has ended, what takes the place of all of it."""
    pair = pairing.find(visitor.gallery, number, rank, sketch, photo)
    known = _explanation(visitor, pair)
    if known["under_way"]:
        return page(request, "parts/explaining.html", visitor, job=known["job"])
    whole = {"HX-Retarget": "#explained", "HX-Reswap": "outerHTML"}
    return page(request, "parts/explanation.html", visitor, headers=whole, pair=pair, **known)


@router.post(HERE + "/explanation")
def explain(
    request: Request,
    visitor: Annotated[Visitor, allowed(Right.SEARCH, Right.READ_CASE, Right.VIEW)],
    number: Number,
    rank: Number,
    act: Annotated[str, Form(pattern="^(begin|cancel)$")],
    sketch: GivenSketch = 0,
    photo: GivenPhoto = None,
) -> Response:
    """Begin to explain the score, or stop that."""
    pair, jobs = pairing.find(visitor.gallery, number, rank, sketch, photo), visitor.server.jobs
    if act == "begin" and visitor.server.engine.find(pair.key) is None:
        asking.explanation(visitor, pair)
    elif act == "cancel" and (job := _job(visitor, pair)) is not None:
        with suppress(Conflict):  # it ended meanwhile
            jobs.cancel(job.job.id, visitor.operator.name)
    if "hx-request" in request.headers:
        return page(request, "parts/explanation.html", visitor, pair=pair, **_explanation(visitor, pair))
    return RedirectResponse(f"{pair.path}{pair.query}#explanation", 303)


@router.get("/examinations")
def due(request: Request, visitor: Annotated[Visitor, allowed(Right.DECIDE)]) -> Response:
    """Candidates that wait for a second examiner, who is to know no more than that somebody decided."""
    return page(request, "examinations.html", visitor, due=examinations.due(visitor.gallery))


@router.get("/searches/{number}/portraits/{rank}/probe.png")
def probe_portrait(visitor: Reader, number: Number, rank: Number, sketch: Sketch = 0) -> Response:
    """A sketch's aligned face."""
    pair = pairing.find(visitor.gallery, number, rank, sketch)
    return png(pair.probe_portrait(visitor.server.engine, visitor.gallery))


@router.get("/searches/{number}/portraits/{rank}/candidate.png")
def candidate_portrait(visitor: Reader, number: Number, rank: Number, photo: Photo = None) -> Response:
    """A candidate's aligned face."""
    pair = pairing.find(visitor.gallery, number, rank, photo=photo)
    return png(pair.portrait(visitor.server.engine, visitor.gallery))


@router.get("/searches/{number}/portraits/{rank}/{side}-explained.png")
def explained_portrait(
    visitor: Reader, number: Number, rank: Number, side: Side, sketch: Sketch = 0, photo: Photo = None
) -> Response:
    """A portrait with what the score hangs on."""
    told: Explained | None = visitor.server.engine.find(pairing.find(visitor.gallery, number, rank, sketch, photo).key)
    if told is None:
        raise NotFound("This explanation is no longer in memory. Ask for it again.")
    return png(pictures.explained(told, side))


def _page(
    request: Request,
    visitor: Visitor,
    pair: Pair,
    *,
    status: int = 200,
    parts: bool = False,
    typed: dict[str, str] | None = None,
) -> Response:
    ranks, rank = {lead.rank for lead in pair.search.leads}, pair.lead.rank
    if pair.lead.person:  # on record: somebody looks at a person
        note_shown(visitor, visitor.gallery.view(pair.lead.person.label)[1])
    return page(
        request,
        "compare.html",
        visitor,
        status=status,
        pair=pair,
        previous=rank - 1 if rank - 1 in ranks else None,
        following=rank + 1 if rank + 1 in ranks else None,
        likeness=pair.likeness(visitor.server.engine, visitor.gallery) if parts and pair.whole else None,
        typed=typed or {"error": "", "verdict": "", "reason": ""},
        **_explanation(visitor, pair),
        **_verdicts(visitor, pair),
    )


def _explanation(visitor: Visitor, pair: Pair) -> dict[str, Any]:
    """What is known of the explanation of a pair: itself, or the job that makes it."""
    told: Explained | None = visitor.server.engine.find(pair.key)
    job = None if told else _job(visitor, pair)
    shares = [] if told is None else sorted(told.explanation.regions, key=lambda one: -(one.probe + one.candidate))
    return {"told": told, "shares": shares, "job": job, "under_way": job is not None and job.status not in ENDED}


def _job(visitor: Visitor, pair: Pair) -> View | None:
    """The visitor's latest job for a pair."""
    return visitor.server.jobs.latest(visitor.operator.name, "explain", pair.asked)


def _verdicts(visitor: Visitor, pair: Pair) -> dict[str, Any]:
    """Who has decided on the candidate, and what the visitor may know and do."""
    opinions = pair.lead.opinions
    own = any(opinion.examiner == visitor.operator.name for opinion in opinions)
    return {
        "opinions": opinions,
        "own": own,
        "deciding": visitor.may(Right.DECIDE) and not own,
        "disagreement": pair.lead.rank in pair.search.disagreements,
        "confirmed": _confirmed(opinions),
    }


def _confirmed(opinions: list[Opinion]) -> bool:
    """Whether two examiners and no other one call a candidate a lead, as far as may be known."""
    return len(opinions) > 1 and {opinion.verdict for opinion in opinions} == {Verdict.LEAD}
