"""What a candidate's score hangs on, part by part of the face. It is kept in memory alone, and made again on demand."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from forensic.candidates import Explained
from forensic.errors import NotFound
from forensic.explanation import SIDES, Side
from forensic.gallery.rights import Right
from forensic.web import asking, pairing, pictures
from forensic.web.access import Visitor, allowed
from forensic.web.api.jobs import UNFINISHED, Waiting, answered
from forensic.web.api.models import LARGEST, SIGNED_IN, InPath, Link, Number, Sent, Told, failing, place
from forensic.web.files import PNG, png
from forensic.web.pairing import Pair
from forensic.web.routing import Route, once

router = APIRouter(tags=["searches"], route_class=Route)
MOST_SKETCHES = 99
SketchInQuery = Annotated[
    int, Query(ge=0, le=MOST_SKETCHES, description="Which of the search's sketches, 0 for the first.")
]
PhotoInQuery = Annotated[
    int | None, Query(ge=1, le=LARGEST, description="Which photo of the candidate's person; by default the one found.")
]


class ExplanationAsked(Sent):
    """Which score is explained."""

    rank: Annotated[int, Field(ge=1, le=1000)] = Field(description="The candidate's.", examples=[1])
    sketch: Annotated[int, Field(ge=0, le=MOST_SKETCHES)] = Field(
        default=0, description="Which of the search's sketches, 0 for the first."
    )
    photo: Number | None = Field(
        default=None, description="Which photo of the candidate's person; by default the one found."
    )


class ExplanationShown(Told):
    """What a candidate's score hangs on."""

    search: int = Field(examples=[12])
    rank: int = Field(examples=[1])
    sketch: int = Field(examples=[0])
    photo: int | None = Field(examples=[44])
    explanation: dict[str, Any] = Field(
        description="The score of the two portraits, the largest falls where a patch is hidden, and for each region of "
        "the face by how much the score falls without it, on either side."
    )
    links: dict[str, Link] = Field(description="Both portraits with the maps of it.")


@router.post(
    "/searches/{number}/explanations",
    status_code=201,
    dependencies=[Depends(once)],
    response_model=ExplanationShown,
    responses={202: UNFINISHED, **failing(*SIGNED_IN, 404, 409)},
    operation_id="explain",
)
async def asked(
    request: Request,
    visitor: Annotated[Visitor, allowed(Right.SEARCH, Right.READ_CASE, Right.VIEW)],
    number: InPath,
    asked: ExplanationAsked,
    seconds: Waiting,
) -> Response:
    """Explain a candidate's score, by hiding parts of both faces and describing them anew.

    With `Prefer: wait=SECONDS` the answer is the explanation if it is made in time (201), else the job (202).
    """

    async def finished(answer: dict[str, Any]) -> Response:
        told = await run_in_threadpool(_shown, visitor, number, asked.rank, asked.sketch, asked.photo)
        where = place("searches", number, "explanations", asked.rank)
        return JSONResponse(told.model_dump(mode="json"), 201, {"Location": where})

    def submit() -> Any:
        return asking.explanation(visitor, pairing.find(visitor.gallery, number, asked.rank, asked.sketch, asked.photo))

    return await answered(request, visitor, seconds, submit, finished)


@router.get(
    "/searches/{number}/explanations/{rank}", responses=failing(*SIGNED_IN, 404), operation_id="show_explanation"
)
def shown(
    visitor: Annotated[Visitor, allowed(Right.READ_CASE, Right.VIEW)],
    number: InPath,
    rank: InPath,
    sketch: SketchInQuery = 0,
    photo: PhotoInQuery = None,
) -> ExplanationShown:
    """An explanation that was made lately; 404 where it has to be asked for (again)."""
    return _shown(visitor, number, rank, sketch, photo)


@router.get(
    "/searches/{number}/explanations/{rank}/{side}.png",
    response_class=Response,
    responses={200: PNG, **failing(*SIGNED_IN, 404)},
    operation_id="show_explained_portrait",
)
def portrait(
    visitor: Annotated[Visitor, allowed(Right.READ_CASE, Right.VIEW)],
    number: InPath,
    rank: InPath,
    side: Side,
    sketch: SketchInQuery = 0,
    photo: PhotoInQuery = None,
) -> Response:
    """A portrait with what the score hangs on."""
    return png(pictures.explained(_told(visitor, pairing.find(visitor.gallery, number, rank, sketch, photo)), side))


def _told(visitor: Visitor, pair: Pair) -> Explained:
    found: Explained | None = visitor.server.engine.find(pair.key)
    if found is None:
        raise NotFound("There is no such explanation in memory. Ask for it (again).")
    return found


def _shown(visitor: Visitor, number: int, rank: int, sketch: int, photo: int | None) -> ExplanationShown:
    pair = pairing.find(visitor.gallery, number, rank, sketch, photo)
    told = _told(visitor, pair)
    chosen = pair.asked["photo"]
    query = f"?sketch={sketch}" + (f"&photo={chosen}" if chosen else "")
    return ExplanationShown(
        search=number,
        rank=rank,
        sketch=sketch,
        photo=chosen,
        explanation=told.explanation.to_json(),
        links={
            side: Link(href=place("searches", number, "explanations", rank, f"{side}.png") + query) for side in SIDES
        },
    )
