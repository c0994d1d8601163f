"""Second examinations: candidates on which somebody has decided, for examiners who have not.

What was decided is not looked at here, so that the list cannot give it away.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from forensic.gallery.casework.casework_models import Case, Decision, SearchRecord
from forensic.gallery.models import Photo
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import Storage

MOST = 200
"""Candidates that are listed at once."""


class Due(NamedTuple):
    """A candidate on whom the operator has not decided, and others have.

    Attributes:
        number: The search's.
        rank: The candidate's.
        case_number: The case's; None for a search without one.
        case: Its reference.
        others: How many examiners have decided.
        since: When the first one did.
        enrolled: Whether the candidate's photo is still there to be compared.
    """

    number: int
    rank: int
    case_number: int | None
    case: str | None
    others: int
    since: datetime
    enrolled: bool


@needs(Right.DECIDE)
def due(gallery: Storage) -> list[Due]:
    """What the operator may examine independently, at most ``MOST``: what waits longest for its second examiner first.

    Candidates whom two have seen come after them. They need a third examiner where the two disagree; whether they do,
    the list does not say.
    """
    own = aliased(Decision)
    decided = (
        select(own.id)
        .where(own.search_id == Decision.search_id, own.rank == Decision.rank, own.examiner == gallery.operator.name)
        .exists()
    )
    others, since = func.count(Decision.id), func.min(Decision.decided_at)
    query = (
        select(Decision.search_id, Decision.rank, others, since)
        .where(~decided)
        .group_by(Decision.search_id, Decision.rank)
        .order_by(others > 1, since, Decision.search_id, Decision.rank)
        .limit(MOST)
    )
    with gallery.reading() as session:
        rows = session.execute(query).all()
        numbers = {row[0] for row in rows}
        searches = {row.id: row for row in session.scalars(select(SearchRecord).where(SearchRecord.id.in_(numbers)))}
        cases = {row.id: row.reference for row in session.scalars(select(Case))}
        photos = {number: _photos(searches[number]) for number in numbers}
        wanted = {photos[number][rank] for number, rank, *_ in rows}
        there = set(session.scalars(select(Photo.id).where(Photo.id.in_(wanted))))
    found = []
    for number, rank, count, first in rows:
        case, enrolled = searches[number].case_id, photos[number][rank] in there
        found.append(Due(number, rank, case, cases.get(case or 0), count, first, enrolled))
    return found


def _photos(search: SearchRecord) -> dict[int, int]:
    """Rank -> number of the candidate's photo."""
    return {candidate["rank"]: candidate["photo_id"] for candidate in json.loads(search.record)["candidates"]}
