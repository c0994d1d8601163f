"""People who may be one: looked for, merged or kept apart; and one who is two."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from forensic.errors import UsageError
from forensic.gallery.records import Shown
from forensic.gallery.rights import Right
from forensic.recognition.duplicates import calibrated
from forensic.web import errands
from forensic.web.access import Visitor, allowed
from forensic.web.api.jobs import UNFINISHED, JobShown, NumberOfJob, Waiting, answer_of, answered
from forensic.web.api.models import SIGNED_IN, InPath, Line, Number, Sent, Told, failing, place
from forensic.web.errands import Pair
from forensic.web.routing import Route, once

router = APIRouter(tags=["people"], route_class=Route)
Analyst = Annotated[Visitor, allowed(Right.ENROLL)]
Two = Annotated[list[int], Field(min_length=2, max_length=2)]
TwoTexts = Annotated[list[str], Field(min_length=2, max_length=2)]


class DuplicatesAsked(Sent):
    """How people who may be one are looked for."""

    route: Line | None = Field(
        default=None,
        description="One that has a calibration for two photos; by default the first such one that the server offers.",
    )
    above: Annotated[float, Field(gt=0, le=20)] = Field(
        default=errands.ABOVE, description="Least log10 likelihood ratio of 'one person' to 'two people'."
    )
    most: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=errands.MOST_PAIRS, description="How many pairs are kept, the most alike; all are counted."
    )


class PairShown(Told):
    """Two photos that may be of one person."""

    photos: Two = Field(examples=[[44, 61]])
    people: Two = Field(description="Whose they are, in the same order.", examples=[[31, 40]])
    labels: TwoTexts = Field(description="Their labels.", examples=[["A-17", "B-3"]])
    files: TwoTexts = Field(description="What the photos' files are called.", examples=[["A-17.jpg", "B-3.jpg"]])
    similarity: float = Field(description="Cosine of the templates, -1 to 1.", examples=[0.71])
    log_lr: float = Field(description="log10 likelihood ratio of 'one person' to 'two people'.", examples=[2.7])
    bounded: bool = Field(description="Whether it is at least that.")


class DuplicatesFound(Told):
    """What was found, but for pairs that somebody has dealt with since."""

    pairs: list[PairShown] = Field(description="The most alike first, as many as were asked for.")
    found: int = Field(description="How many pairs there were in all.", examples=[3])
    compared: int = Field(description="Pairs of photos of different people.", examples=[66])
    expected: float = Field(
        description="About how many are to be expected by chance among people like those of the fit.", examples=[0.7]
    )
    above: float = Field(description="The log10 likelihood ratio that was asked for.", examples=[2.0])
    least: float = Field(description="The similarity that it stands for.", examples=[0.54])
    route: str = Field(description="Whose templates were compared.", examples=["direct"])
    calibration: dict[str, Any] = Field(description="What the likelihood ratios were fitted to.")


class OtherPerson(Sent):
    """Another person."""

    other: Number = Field(description="The other person's number.", examples=[40])


class Merged(Told):
    """Who is left."""

    person: int = Field(examples=[31])
    remarks: int = Field(
        description="How many of the other's values were dropped or dates extended: the person says what holds now.",
        examples=[0],
    )
    apart: bool = Field(description="Whether the two had been kept apart; that note is gone.")


class KeptApart(Told):
    """Two people who are known to be two."""

    people: Two = Field(examples=[[31, 40]])
    new: bool = Field(description="false where it was known.")


class SplitAsked(Sent):
    """Which photos are of somebody else."""

    photos: Annotated[list[Number], Field(min_length=1, max_length=1000)] = Field(
        description="Some of the person's photos, not all.", examples=[[61]]
    )
    label: Annotated[Line, Field(min_length=1)] = Field(description="The new person's.", examples=["A-18"])


class Split(Told):
    """Who was made."""

    person: int = Field(description="The new person's number.", examples=[41])


@router.post(
    "/duplicates",
    dependencies=[Depends(once)],
    response_model=JobShown,
    responses={202: UNFINISHED, **failing(*SIGNED_IN, 409)},
    operation_id="look_for_duplicates",
)
async def sought(request: Request, visitor: Analyst, asked: DuplicatesAsked, seconds: Waiting) -> Response:
    """Compare all photos of different people, in the background; `GET /duplicates/{id of the job}` says what was found.

    Nothing is changed. That all were compared is on record.
    """
    route = asked.route or next(iter(errands.comparable(visitor)), None)
    if route is None:
        raise UsageError(
            "None of the routes that are offered here has a calibration for two photos. Name one that has: "
            f"{', '.join(calibrated())}."
        )
    return await answered(
        request, visitor, seconds, lambda: errands.duplicates(visitor, route, asked.above, asked.most)
    )


@router.get("/duplicates/{number}", responses=failing(*SIGNED_IN, 404, 409), operation_id="show_duplicates")
def found(visitor: Analyst, number: NumberOfJob) -> DuplicatesFound:
    """What one of one's own such jobs found, but for pairs that were merged, kept apart or expunged since."""
    answer = answer_of(visitor, number, "duplicates")
    pairs = [_pair(pair) for pair in errands.undecided(visitor.gallery, answer["pairs"])]
    return DuplicatesFound(**answer | {"pairs": pairs})


@router.post(
    "/people/{number}/merge",
    dependencies=[Depends(once)],
    responses=failing(*SIGNED_IN, 404, 409),
    operation_id="merge_people",
)
def merged(visitor: Analyst, number: InPath, asked: OtherPerson) -> Merged:
    """Make two people one: the other's photos move, with metadata that were lacking; the other number is gone."""
    person, other = (_shown(visitor, one) for one in (number, asked.other))
    apart = frozenset((person.label, other.label)) in visitor.gallery.kept()
    return Merged(person=number, remarks=len(visitor.gallery.merge(person, other)), apart=apart)


@router.post(
    "/people/{number}/keep-apart",
    dependencies=[Depends(once)],
    responses=failing(*SIGNED_IN, 404, 409),
    operation_id="keep_people_apart",
)
def kept(visitor: Analyst, number: InPath, asked: OtherPerson) -> KeptApart:
    """Note that two people are two, so that they are not found as duplicates again."""
    person, other = (_shown(visitor, one) for one in (number, asked.other))
    return KeptApart(people=[number, asked.other], new=visitor.gallery.keep(person, other))


@router.post(
    "/people/{number}/split",
    status_code=201,
    dependencies=[Depends(once)],
    responses=failing(*SIGNED_IN, 404, 409),
    operation_id="split_person",
)
def split(response: Response, visitor: Analyst, number: InPath, asked: SplitAsked) -> Split:
    """Give some of a person's photos to a new person; the two are known to be two from then on."""
    made = visitor.gallery.split(_shown(visitor, number), asked.photos, asked.label)
    response.headers["Location"] = place("people", made.id)
    return Split(person=made.id)


def _shown(visitor: Visitor, number: int) -> Shown:
    """Whoever has a number: the act that follows is on them, whoever has the label by then."""
    return Shown(visitor.gallery.person_by_number(number).label, number)


def _pair(pair: Pair) -> PairShown:
    return PairShown(
        photos=[photo.id for photo in pair.photos],
        people=[photo.person_id for photo in pair.photos],
        labels=[photo.person.label for photo in pair.photos],
        files=[photo.file_name for photo in pair.photos],
        similarity=pair.similarity,
        log_lr=pair.log_lr,
        bounded=pair.bounded,
    )
