"""Cases, their sketches, the record of every search, and what examiners decide. Each call is one transaction.

A search's record is canonical JSON that never changes: the audit log holds its hash. It names candidates by number;
whose numbers these are is looked up when it is shown. What users write themselves (purpose, filters, reasons) stays as
they wrote it when a person is expunged.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from forensic.errors import NotFound, UsageError
from forensic.gallery.casework import held_in_log
from forensic.gallery.casework.casework_models import Case, Decision, SearchRecord, Sketch
from forensic.gallery.log import audit
from forensic.gallery.models import Person, Photo, now
from forensic.gallery.records import parse_label
from forensic.gallery.rights import Operator, Right, Role, needs
from forensic.gallery.storage import Storage
from forensic.text import forms


class Kind(StrEnum):
    """How a sketch came about, which says how far a likelihood ratio may be trusted."""

    VIEWED = "viewed"  # drawn from a photo or a video
    COMPOSITE = "composite"  # put together with software
    FORENSIC = "forensic"  # drawn by an artist from a witness's memory


class Verdict(StrEnum):
    """What an examiner says of a candidate."""

    EXCLUDE = "exclude"
    INCONCLUSIVE = "inconclusive"
    LEAD = "lead"  # a possible lead, never an identification


class Drawing(NamedTuple):
    """A sketch on its way into a case.

    Attributes:
        data: The file's bytes, which were seen to be an image.
        file_name: As the user named it.
        kind: How it came about.
        made_by: The artist, or the software.
        described_by: Who described the face.
        drawn_on: A date in the agency's own words.
    """

    data: bytes
    file_name: str
    kind: Kind
    made_by: str | None = None
    described_by: str | None = None
    drawn_on: str | None = None


class Opinion(NamedTuple):
    """One examiner's verdict as it may be shown to the operator.

    Attributes:
        rank: The candidate's.
        examiner: Who decided.
        verdict: None where the operator is to decide independently first, and so must not see it.
        reason: The examiner's own words; empty where the verdict is hidden.
        at: When.
    """

    rank: int
    examiner: str
    verdict: Verdict | None
    reason: str
    at: datetime


class Searched(NamedTuple):
    """A search on record.

    Attributes:
        number: Of the search.
        case: The case's reference, or None.
        record: What was recorded, see `forensic.search_records.record_of`.
        people: Number of a candidate's photo -> label of whose it is now, of those that are still enrolled.
        opinions: The examiners' verdicts, by rank, then by time.
    """

    number: int
    case: str | None
    record: dict[str, Any]
    people: dict[int, str]
    opinions: list[Opinion]

    @property
    def disagreements(self) -> list[int]:
        """Ranks of which examiners say different things, as far as the operator may know."""
        said: dict[int, set[Verdict]] = {}
        for opinion in self.opinions:
            if opinion.verdict is not None:
                said.setdefault(opinion.rank, set()).add(opinion.verdict)
        return sorted(rank for rank, verdicts in said.items() if len(verdicts) > 1)


@needs(Right.CASE)
def open_case(gallery: Storage, reference: str, *, purpose: str, legal_basis: str) -> int:
    """Open a case, without which nobody should search; its number.

    Raises:
        UsageError: The reference is taken or cannot be one, or purpose or legal basis is missing.
    """
    reference = _reference(reference)
    if not purpose.strip() or not legal_basis.strip():
        raise UsageError("A case needs a purpose and a legal basis, in words that a court can read.")
    with gallery.writing() as session:
        if _with(session, reference) is not None:
            raise UsageError(f"There is a case {reference!r} already; 'forensic case show {reference}' shows it.")
        case = Case(
            reference=reference,
            purpose=purpose.strip(),
            legal_basis=legal_basis.strip(),
            opened_by=gallery.operator.name,
        )
        session.add(case)
        session.flush()
        gallery.note(session, "case-open", case=case.id, content=held_in_log.of_case(case))
        return case.id


@needs(Right.CASE)
def add_sketch(gallery: Storage, reference: str, drawing: Drawing) -> int:
    """Add a sketch to a case, with its bytes; the same bytes are one sketch.

    Returns:
        The sketch's number.

    Raises:
        NotFound: There is no such case.
        UsageError: The file is enrolled as a photo, and would outlast its expunging; or it is a sketch of the case
            already, of which something else was said.
    """
    sha256 = hashlib.sha256(drawing.data).hexdigest()
    with gallery.writing() as session:
        case = find_case(session, reference)
        if session.scalars(select(Photo.id).where(Photo.sha256 == sha256)).first() is not None:
            raise UsageError(
                f"{drawing.file_name} is enrolled as a photo; a case holds sketches. Give the sketch's file."
            )
        there = session.scalars(select(Sketch).where(Sketch.case_id == case.id, Sketch.sha256 == sha256)).first()
        if there is not None:
            return same(there, drawing)
        sketch = Sketch(
            case_id=case.id,
            sha256=sha256,
            added_by=gallery.operator.name,
            **drawing._asdict() | {"file_name": drawing.file_name.encode(errors="replace").decode()},
        )
        session.add(sketch)
        session.flush()
        gallery.note(session, "case-sketch", sketch=sketch.id, content=held_in_log.of_sketch(sketch))
        return sketch.id


@needs(Right.READ_CASE)
def listed(gallery: Storage) -> list[Case]:
    """All cases, the newest first."""
    with gallery.reading() as session:
        return list(session.scalars(select(Case).order_by(Case.id.desc())))


@needs(Right.READ_CASE)
def find(gallery: Storage, reference: str) -> Case:
    """The case with this reference.

    Raises:
        NotFound: There is none.
    """
    with gallery.reading() as session:
        return find_case(session, reference)


@needs(Right.READ_CASE)
def by_number(gallery: Storage, number: int) -> Case:
    """The case with this number, as it stands in the address of a page.

    Raises:
        NotFound: There is none.
    """
    with gallery.reading() as session:
        if (case := session.get(Case, number)) is None:
            raise NotFound(f"There is no case number {number}.")
        return case


@needs(Right.READ_CASE)
def sketch(gallery: Storage, number: int) -> Sketch:
    """The sketch with this number, with its bytes.

    Raises:
        NotFound: There is none.
    """
    with gallery.reading() as session:
        found = session.get(Sketch, number, options=[undefer(Sketch.data)])
        if found is None:
            raise NotFound(f"There is no sketch {number}.")
        return found


@needs(Right.READ_CASE)
def sketches(gallery: Storage, reference: str) -> list[Sketch]:
    """A case's sketches with their bytes, in the order in which they were added."""
    with gallery.reading() as session:
        query = select(Sketch).where(Sketch.case_id == find_case(session, reference).id).order_by(Sketch.id)
        return list(session.scalars(query.options(undefer(Sketch.data))))


@needs(Right.SEARCH)
def kinds(gallery: Storage, reference: str | None, hashes: Iterable[str]) -> set[str]:
    """How those of some files that are sketches of a case came about; of none where there is no case."""
    if reference is None:
        return set()
    with gallery.reading() as session:
        held = select(Sketch.kind).where(Sketch.case_id == find_case(session, reference).id)
        return set(session.scalars(held.where(Sketch.sha256.in_(list(hashes)))))


@needs(Right.SEARCH)
def record_search(gallery: Storage, record: Mapping[str, Any], *, case: str | None = None) -> int:
    """Put a search on record, with an entry in the log that holds the record's hash.

    Returns:
        The search's number.
    """
    text = audit.canonical(dict(record))
    with gallery.writing() as session:
        found = None if case is None else find_case(session, case).id
        search = SearchRecord(case_id=found, record=text)
        session.add(search)
        session.flush()
        gallery.note(session, "search", search=search.id, content=held_in_log.of_search(search))
        return search.id


@needs(Right.READ_CASE)
def searched(gallery: Storage, number: int) -> Searched:
    """A search on record, as the operator may see it.

    Raises:
        NotFound: There is none of this number.
    """
    with gallery.reading() as session:
        return as_seen(session, find_search(session, number), gallery.operator)


@needs(Right.READ_CASE)
def searches(gallery: Storage, reference: str | None = None) -> list[Searched]:
    """The searches of a case, or all, in their order."""
    with gallery.reading() as session:
        query = select(SearchRecord).order_by(SearchRecord.id)
        if reference is not None:
            query = query.where(SearchRecord.case_id == find_case(session, reference).id)
        return [as_seen(session, row, gallery.operator) for row in session.scalars(query)]


@needs(Right.DECIDE)
def decide(gallery: Storage, number: int, rank: int, verdict: Verdict, reason: str) -> None:
    """Say what the operator thinks of a candidate: once, and independently of what others said.

    Raises:
        NotFound: There is no such search.
        UsageError: The list has no such rank, no reason is given, or the operator has decided already.
    """
    if not reason.strip():
        raise UsageError("A verdict needs a reason: what in the faces speaks for it.")
    with gallery.writing() as session:
        row = find_search(session, number)
        ranks = [candidate["rank"] for candidate in json.loads(row.record)["candidates"]]
        if rank not in ranks:
            raise UsageError(f"Search {number} has no candidate of rank {rank}; its list has {len(ranks)}.")
        mine = (Decision.search_id == number, Decision.rank == rank, Decision.examiner == gallery.operator.name)
        if session.scalars(select(Decision.id).where(*mine)).first() is not None:
            raise UsageError(
                f"{gallery.operator.name} has decided on rank {rank} of search {number}; a verdict is never changed. "
                "Another examiner can decide independently."
            )
        decision = Decision(
            search_id=number,
            rank=rank,
            examiner=gallery.operator.name,
            verdict=verdict,
            reason=reason.strip(),
            salt=secrets.token_hex(16),
            decided_at=now(),
        )
        session.add(decision)
        gallery.note(session, "decide", search=number, rank=rank, content=held_in_log.of_decision(decision))


@needs(Right.SEARCH)
def check(gallery: Storage, reference: str | None) -> None:
    """Stop a search that could not be put on record, before it takes its time.

    Raises:
        RightsError: The operator may not search.
        NotFound: There is no such case.
    """
    if reference is not None:
        with gallery.reading() as session:
            find_case(session, reference)


def as_seen(session: Session, row: SearchRecord, operator: Operator) -> Searched:
    """A search on record as an operator may see it."""
    record = json.loads(row.record)
    photos = [candidate["photo_id"] for candidate in record["candidates"]]
    # By the photo: a person who was merged with another one is not gone.
    people = session.execute(select(Photo.id, Person.label).join(Person).where(Photo.id.in_(photos)))
    reference = None if row.case_id is None else session.get_one(Case, row.case_id).reference
    query = select(Decision).where(Decision.search_id == row.id).order_by(Decision.rank, Decision.id)
    decisions = session.scalars(query).all()
    own = {decision.rank for decision in decisions if decision.examiner == operator.name}
    opinions = [_opinion(decision, operator, decision.rank in own) for decision in decisions]
    return Searched(row.id, reference, record, dict(people.all()), opinions)


def _opinion(decision: Decision, operator: Operator, decided: bool) -> Opinion:
    """A verdict, hidden from everybody who may still have to decide on the same candidate independently."""
    if operator.role is not Role.AUDITOR and not decided:
        return Opinion(decision.rank, decision.examiner, None, "", decision.decided_at)
    verdict = Verdict(decision.verdict)
    return Opinion(decision.rank, decision.examiner, verdict, decision.reason, decision.decided_at)


def same(there: Sketch, drawing: Drawing) -> int:
    """The number of a sketch that is there already, if nothing else is said of it now.

    Raises:
        UsageError: Something else is said of it.
    """
    for name in ("kind", "made_by", "described_by", "drawn_on"):
        given, known = getattr(drawing, name), getattr(there, name)
        if given is not None and given != known:
            raise UsageError(
                f"{drawing.file_name} is sketch {there.id} of the case already, with {name.replace('_', ' ')} "
                f"{str(known or 'not stated')!r}, not {str(given)!r}: what was stated is never changed."
            )
    return there.id


def _reference(text: str) -> str:
    try:
        return parse_label(text)
    except UsageError:
        raise UsageError(f"{text[:40]!r} is no reference of a case: expected 1 to 200 printable characters.") from None


def find_case(session: Session, reference: str) -> Case:
    """The case with this reference.

    Raises:
        NotFound: There is none.
    """
    case = _with(session, reference.strip())
    if case is None:
        raise NotFound(f"There is no case {reference!r}; 'forensic case list' shows those there are.")
    return case


def _with(session: Session, reference: str) -> Case | None:
    """The case with a reference, however that is composed; where two differ in that alone, the one as it is given."""
    ways = forms(reference)
    found = session.scalars(select(Case).where(Case.reference.in_(ways))).all()
    return min(found, key=lambda case: ways.index(case.reference), default=None)


def find_search(session: Session, number: int) -> SearchRecord:
    """The record of the search with this number.

    Raises:
        NotFound: There is none.
    """
    if (row := session.get(SearchRecord, number)) is None:
        raise NotFound(f"There is no search {number} on record; 'forensic search list' shows those there are.")
    return row
