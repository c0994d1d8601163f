"""What leaves the gallery with an export or a report: gathered from one state of it, then put on record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, undefer

from forensic.errors import GalleryError
from forensic.gallery import people
from forensic.gallery.casework import cases
from forensic.gallery.casework.cases import Searched
from forensic.gallery.casework.casework_models import AuditEntry, Case, Decision, SearchRecord, Sketch
from forensic.gallery.log import audit
from forensic.gallery.log.audit import Head, Line
from forensic.gallery.models import AccuracyReport, Photo
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import Storage

DOMAIN = b"forensic case export 1\n"
"""Before the hash of a manifest where it is signed."""
ACTIONS = {"case-open": "case", "case-sketch": "sketch", "search": "search", "decide": "search", "case-export": "case"}
"""Acts of a case -> what of it their entries name by number."""
OF_SEARCH = frozenset(ACTIONS) - {"case-export"}
"""Those of one search of it."""


class Held(NamedTuple):
    """All that a gallery holds of a case or of one search, as its operator may see it.

    Attributes:
        case: The case; None for a search without one.
        head: The end of the log at that moment.
        lines: The log's entries of it, in their order.
        sketches: With their bytes; of one search, those that it was made with.
        searches: The case's, or the one.
        records: Number of each search -> its record as it was hashed.
        salts: (search, rank, examiner) -> what opens the log's hash of a verdict, of those that the operator may see.
        photos: The candidates' photos that are still enrolled, by number.
        accuracy: The gallery's accuracy reports, the newest first.
    """

    case: Case | None
    head: Head
    lines: list[Line]
    sketches: list[Sketch]
    searches: list[Searched]
    records: dict[int, str]
    salts: dict[tuple[int, int, str], str]
    photos: dict[int, Photo]
    accuracy: list[AccuracyReport]


@needs(Right.READ_CASE)
def gather(gallery: Storage, reference: str) -> Held:
    """What the gallery holds of a case.

    Raises:
        GalleryError: There is no such case.
    """
    with gallery.reading() as session:
        case = cases.find_case(session, reference)
        of_case = select(SearchRecord).where(SearchRecord.case_id == case.id).order_by(SearchRecord.id)
        return _held(session, gallery, case, session.scalars(of_case).all())


@needs(Right.READ_CASE)
def gather_search(gallery: Storage, number: int) -> Held:
    """What the gallery holds of one search.

    Raises:
        NotFound: There is no such search.
    """
    with gallery.reading() as session:
        row = cases.find_search(session, number)
        case = None if row.case_id is None else session.get_one(Case, row.case_id)
        held = _held(session, gallery, case, [row])
        used = [sketch for sketch in held.sketches if sketch.sha256 in held.searches[0].record["probes"]]
        lines = _lines(session, row.case_id, [sketch.id for sketch in used], [number], OF_SEARCH)
        return held._replace(sketches=used, lines=lines)


def _held(session: Session, gallery: Storage, case: Case | None, rows: Sequence[SearchRecord]) -> Held:
    sketches: list[Sketch] = []
    if case is not None:
        of_case = select(Sketch).where(Sketch.case_id == case.id).order_by(Sketch.id)
        sketches = list(session.scalars(of_case.options(undefer(Sketch.data))))
    searches = [cases.as_seen(session, row, gallery.operator) for row in rows]
    photos = {photo for search in searches for photo in search.people}
    return Held(
        case=case,
        head=audit.head(session),
        lines=_lines(
            session, None if case is None else case.id, [sketch.id for sketch in sketches], [row.id for row in rows]
        ),
        sketches=sketches,
        searches=searches,
        records={row.id: row.record for row in rows},
        salts=_salts(session, searches),
        photos=people.photos(session, photos),
        accuracy=list(session.scalars(select(AccuracyReport).order_by(AccuracyReport.id.desc()))),
    )


@needs(Right.READ_CASE)
def sign(gallery: Storage, held: Held, manifest: bytes) -> bytes:
    """Put the export of a case on record and sign its manifest.

    Returns:
        The Ed25519 signature, 64 bytes.

    Raises:
        GalleryError: Somebody was expunged since the case was gathered.
    """
    assert held.case is not None
    digest = hashlib.sha256(manifest).hexdigest()
    with gallery.writing() as session:
        _check_enrolled(session, held, "exported: export it")
        gallery.note(session, "case-export", case=held.case.id, manifest=digest)
        return gallery.signature(session, digest, domain=DOMAIN)


@needs(Right.READ_CASE)
def note_report(gallery: Storage, held: Held, report: bytes, *, search: int | None = None) -> None:
    """Put a report on record before it leaves. What it is a report of does not change by that.

    Args:
        gallery: Where it was gathered.
        held: What the report shows.
        report: Its bytes.
        search: Number of the one search that it is of; None for a whole case.

    Raises:
        GalleryError: Somebody was expunged since it was gathered.
    """
    digest = hashlib.sha256(report).hexdigest()
    with gallery.writing() as session:
        _check_enrolled(session, held, "shown: make the report")
        if search is None:
            assert held.case is not None
            gallery.note(session, "case-report", case=held.case.id, report=digest)
        else:
            gallery.note(session, "search-report", search=search, report=digest)


def _check_enrolled(session: Session, held: Held, words: str) -> None:
    if people.owners(session, held.photos).keys() != held.photos.keys():
        raise GalleryError(f"A candidate was expunged while the case was {words} again.")


def _lines(
    session: Session,
    case: int | None,
    sketches: Sequence[int],
    searches: Sequence[int],
    actions: Iterable[str] = tuple(ACTIONS),
) -> list[Line]:
    """The log's entries of a case or a search; canonical JSON begins with the action."""
    numbers: dict[str, set[int | None]] = {"case": {case}, "sketch": set(sketches), "search": set(searches)}
    acts = [AuditEntry.entry.startswith(f'{{"action":"{action}"', autoescape=True) for action in actions]
    rows = session.scalars(select(AuditEntry).where(or_(*acts)).order_by(AuditEntry.number))
    found = []
    for row in rows:
        entry = audit.read(row.entry)
        what = ACTIONS.get(entry.get("action", ""))
        if what and entry["details"].get(what) in numbers[what]:
            found.append(Line(row.number, row.entry, row.hash, row.signature))
    return found


def _salts(session: Session, searches: Sequence[Searched]) -> dict[tuple[int, int, str], str]:
    seen = {
        (search.number, opinion.rank, opinion.examiner)
        for search in searches
        for opinion in search.opinions
        if opinion.verdict is not None
    }
    query = select(Decision).where(Decision.search_id.in_([search.number for search in searches]))
    salts = {(row.search_id, row.rank, row.examiner): row.salt for row in session.scalars(query)}
    return {key: salts[key] for key in seen}
