"""What the audit log holds of the rows of casework, and whether they are still so: `statements` has the rules."""

import hashlib
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from forensic.gallery.casework.casework_models import Case, Decision, SearchRecord, Sketch
from forensic.gallery.log import audit, statements
from forensic.gallery.records import Problem


def problems(session: Session, entries: Iterable[audit.Entry]) -> list[Problem]:
    """Cases, sketches, searches and decisions that are not as the entries of the audit log have them."""
    there: dict[str, object] = {f"case {row.id}": of_case(row) for row in session.scalars(select(Case))}
    for sketch in session.scalars(select(Sketch).options(undefer(Sketch.data)).execution_options(yield_per=20)):
        there[f"sketch {sketch.id}"] = of_sketch(sketch)
    there |= {f"search {row.id}": of_search(row) for row in session.scalars(select(SearchRecord))}
    for row in session.scalars(select(Decision)):
        there[statements.decision(row.search_id, row.rank, row.examiner)] = of_decision(row)
    found = statements.differences(statements.logged(entries), there)
    return [Problem("record", subject, f"It {fault}: {audit.RESTORE}") for subject, fault in found]


def of_case(case: Case) -> str:
    """Hash of what the log says of a case."""
    return statements.hash_of_case(case.reference, case.purpose, case.legal_basis, case.opened_by)


def of_sketch(sketch: Sketch) -> str:
    """Hash of what the log says of a sketch, with its file's bytes as they are."""
    about = (sketch.file_name, sketch.kind, sketch.made_by, sketch.described_by, sketch.drawn_on, sketch.added_by)
    found = hashlib.sha256(sketch.data).hexdigest()
    return statements.hash_of_sketch(sketch.case_id, sketch.sha256, found, about)


def of_search(search: SearchRecord) -> str:
    """Hash of what the log says of a search."""
    return statements.hash_of_search(search.case_id, search.record)


def of_decision(decision: Decision) -> str:
    """Hash of what the log says of a decision; it does not give the verdict away."""
    at = decision.decided_at.isoformat()
    return statements.hash_of_decision(decision.salt, decision.verdict, decision.reason, at)
