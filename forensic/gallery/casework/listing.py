"""Lists of casework for people who look at them a page at a time: the newest first, without pictures' bytes."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from forensic.errors import NotFound
from forensic.gallery.casework import cases as casework
from forensic.gallery.casework.cases import Searched
from forensic.gallery.casework.casework_models import Case, SearchRecord, Sketch
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import Storage


@needs(Right.READ_CASE)
def cases(gallery: Storage, *, before: int | None = None, limit: int = 50) -> list[Case]:
    """Cases, the newest first.

    Args:
        gallery: Where they are.
        before: Only those with a smaller number.
        limit: How many.
    """
    query = select(Case).order_by(Case.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Case.id < before)
    with gallery.reading() as session:
        return list(session.scalars(query))


@needs(Right.READ_CASE)
def searches(
    gallery: Storage, *, case: int | None = None, before: int | None = None, limit: int = 50
) -> list[Searched]:
    """Searches of a case (by its number) or all, the newest first, as the operator may see them.

    Raises:
        NotFound: There is no such case.
    """
    query = select(SearchRecord).order_by(SearchRecord.id.desc()).limit(limit)
    if before is not None:
        query = query.where(SearchRecord.id < before)
    with gallery.reading() as session:
        if case is not None:
            if session.get(Case, case) is None:
                raise NotFound(f"There is no case number {case}.")
            query = query.where(SearchRecord.case_id == case)
        return [casework.as_seen(session, row, gallery.operator) for row in session.scalars(query)]


@needs(Right.READ_CASE)
def sketches(
    gallery: Storage, case: int, *, after: int | None = None, limit: int | None = None, hashes: Iterable[str] = ()
) -> list[Sketch]:
    """A case's sketches without their bytes, in the order in which they were added.

    Args:
        gallery: Where they are.
        case: The case's number.
        after: Only those with a larger number.
        limit: How many; all by default.
        hashes: Only those of files with these hashes, where any are given.

    Raises:
        NotFound: There is no such case.
    """
    query = select(Sketch).where(Sketch.case_id == case).order_by(Sketch.id).limit(limit)
    if after is not None:
        query = query.where(Sketch.id > after)
    if wanted := list(hashes):
        query = query.where(Sketch.sha256.in_(wanted))
    with gallery.reading() as session:
        if session.get(Case, case) is None:
            raise NotFound(f"There is no case number {case}.")
        return list(session.scalars(query))


@needs(Right.READ_CASE)
def case_of(gallery: Storage, search: int) -> Case | None:
    """The case that a search was made for; None for one without.

    Raises:
        NotFound: There is no such search.
    """
    with gallery.reading() as session:
        row = session.get(SearchRecord, search)
        if row is None:
            raise NotFound(f"There is no search {search} on record.")
        return None if row.case_id is None else session.get_one(Case, row.case_id)
