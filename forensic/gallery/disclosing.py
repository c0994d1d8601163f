"""What leaves the gallery with an export of a case: gathered from one state of it, then signed and put on record."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, undefer

from forensic.errors import GalleryError
from forensic.gallery import audit, cases
from forensic.gallery.audit import Head, Line
from forensic.gallery.cases import Searched
from forensic.gallery.casework_models import AuditEntry, Case, Decision, SearchRecord, Sketch
from forensic.gallery.models import Photo
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import Storage

DOMAIN = b"forensic case export 1\n"
"""Before the hash of a manifest where it is signed."""
ACTIONS = {"case-open": "case", "case-sketch": "sketch", "search": "search", "decide": "search", "case-export": "case"}
"""Acts of a case -> what of it their entries name by number."""


class Held(NamedTuple):
    """All that a gallery holds of a case, as its operator may see it.

    Attributes:
        case: The case.
        head: The end of the log at that moment.
        lines: The log's entries of the case, in their order.
        sketches: With their bytes.
        searches: The case's searches.
        records: Number of each search -> its record as it was hashed.
        salts: (search, rank, examiner) -> what opens the log's hash of a verdict, of those that the operator may see.
        photos: The candidates' photos that are still enrolled, by number.
    """

    case: Case
    head: Head
    lines: list[Line]
    sketches: list[Sketch]
    searches: list[Searched]
    records: dict[int, str]
    salts: dict[tuple[int, int, str], str]
    photos: dict[int, Photo]


@needs(Right.READ_CASE)
def gather(gallery: Storage, reference: str) -> Held:
    """What the gallery holds of a case.

    Raises:
        GalleryError: There is no such case.
    """
    with gallery.reading() as session:
        case = cases.find_case(session, reference)
        of_case = select(Sketch).where(Sketch.case_id == case.id).order_by(Sketch.id)
        sketches = list(session.scalars(of_case.options(undefer(Sketch.data))))
        rows = session.scalars(select(SearchRecord).where(SearchRecord.case_id == case.id).order_by(SearchRecord.id))
        records = {row.id: row.record for row in rows}
        searches = [cases.as_seen(session, session.get_one(SearchRecord, n), gallery.operator) for n in records]
        photos = {photo for search in searches for photo in search.people}
        enrolled = session.scalars(select(Photo).where(Photo.id.in_(photos)))
        return Held(
            case=case,
            head=audit.head(session),
            lines=_lines(session, case.id, [sketch.id for sketch in sketches], list(records)),
            sketches=sketches,
            searches=searches,
            records=records,
            salts=_salts(session, searches),
            photos={photo.id: photo for photo in enrolled},
        )


@needs(Right.READ_CASE)
def sign(gallery: Storage, held: Held, manifest: bytes) -> bytes:
    """Put the export of a case on record and sign its manifest.

    Returns:
        The Ed25519 signature, 64 bytes.

    Raises:
        GalleryError: Somebody was expunged since the case was gathered.
    """
    digest = hashlib.sha256(manifest).hexdigest()
    with gallery.writing() as session:
        there = session.scalars(select(func.count(Photo.id)).where(Photo.id.in_(held.photos))).one()
        if there != len(held.photos):
            raise GalleryError("A candidate was expunged while the case was exported: export it again.")
        gallery.note(session, "case-export", case=held.case.id, manifest=digest)
        return gallery.signature(session, digest, domain=DOMAIN)


def _lines(session: Session, case: int, sketches: Sequence[int], searches: Sequence[int]) -> list[Line]:
    """The log's entries of a case; canonical JSON begins with the action."""
    numbers = {"case": {case}, "sketch": set(sketches), "search": set(searches)}
    acts = [AuditEntry.entry.startswith(f'{{"action":"{action}"', autoescape=True) for action in ACTIONS]
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
