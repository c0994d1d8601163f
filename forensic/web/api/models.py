"""What the API's parts share: bounds on what comes in, pages of lists, and errors, as the document describes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from forensic.gallery.rights import Right
from forensic.web.bounds import LARGEST, NUL_FREE, Line, Number, Words

__all__ = ["LARGEST", "NUL_FREE", "InPath", "Landmarks", "Line", "Number", "Point", "Scope", "Words"]
__all__ += ["SCOPES", "SIGNED_IN", "Item", "Link", "Page", "Problem", "Sent", "Told"]
__all__ += ["failing", "moment", "phrase", "place"]

InPath = Annotated[int, Path(ge=1, le=LARGEST, examples=[1])]
Point = Annotated[list[Annotated[float, Field(ge=-100_000, le=100_000)]], Field(min_length=2, max_length=2)]
Landmarks = Annotated[
    list[Point],
    Field(
        min_length=5,
        max_length=5,
        description="Left eye, right eye, tip of the nose, left and right corner of the mouth, as [x, y] in pixels of "
        "the upright picture.",
        examples=[[[70.0, 110.0], [120.0, 110.0], [95.0, 140.0], [75.0, 165.0], [115.0, 165.0]]],
    ),
]
SCOPES = tuple(right.name.lower() for right in Right)


def _scope(name: str) -> str:
    if name not in SCOPES:
        raise ValueError(f"{name[:40]!r} is no scope; expected {', '.join(SCOPES)}")
    return name


Scope = Annotated[str, AfterValidator(_scope), WithJsonSchema({"type": "string", "enum": list(SCOPES)})]
"""Name of a right, in lower case."""


class Sent(BaseModel):
    """What a program sends: a field that is not known is refused, since it would else be passed over."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Told(BaseModel):
    """What a program is told."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """Why a request was not met (RFC 9457)."""

    type: str = Field(description="A URN that names the kind of problem.", examples=["urn:forensic:problem:not-found"])
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(description="The answer's status.", examples=[404])
    detail: str = Field(
        description="What was given, what was expected, what to do.", examples=["There is no case number 7."]
    )
    request_id: str = Field(
        default="",
        description="The request's number, which stands in the audit log too.",
        examples=["3f0c9a1b5d7e2468"],
    )


Item = TypeVar("Item")


class Page(Told, Generic[Item]):
    """Part of a list."""

    items: list[Item]
    next: str | None = Field(
        description="Give it as `cursor` to go on; null at the end. It holds as long as the server runs."
    )


class Link(Told):
    """Where something is."""

    href: str = Field(examples=["/api/v1/searches/12"])


_WHY = {
    400: "The body cannot be read.",
    401: "Nobody is signed in: no token, or one that is unknown or has ended.",
    403: "The user's role, or the token's scopes, lack the right; or a browser's write lacks X-CSRF-Token.",
    404: "There is no such thing.",
    408: "The body stopped coming.",
    409: "It contradicts what is there, or the same request is under way.",
    413: "More bytes than the server takes.",
    422: "A value is out of bounds, unknown or missing; the detail says which.",
    429: "Too many requests; Retry-After says when to go on.",
    500: "Something went wrong inside the server.",
    503: "The queue is full, the gallery is busy or the server is being stopped; Retry-After says when to try again.",
}


def failing(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a route may fail, for the document: every status with the problem that it comes with."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _WHY[status], "content": content} for status in sorted(statuses)}


SIGNED_IN: Iterable[int] = (401, 403, 422, 429, 500, 503)
"""How every route fails for which somebody has to be signed in."""


def moment(at: datetime) -> str:
    """A moment as the API writes it: ISO 8601 in UTC."""
    return at.isoformat()


def place(part: str, *numbers: int | str) -> str:
    """Where something is found.

    >>> place("searches", 12), place("searches", 12, "report.pdf")
    ('/api/v1/searches/12', '/api/v1/searches/12/report.pdf')
    """
    return "/".join(("/api/v1", part, *map(str, numbers)))


def phrase(status: int) -> str:
    """A status in words.

    >>> phrase(404)
    'Not Found'
    """
    return HTTPStatus(status).phrase
