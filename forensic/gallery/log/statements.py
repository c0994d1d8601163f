"""What the audit log holds of cases, their sketches, searches and decisions: a hash of each, under its name.

The gallery and an export of a case, which is checked without a gallery, are compared with the log by the same rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from forensic.gallery.log import audit


class Difference(NamedTuple):
    """Something that is not as the log has it.

    Attributes:
        subject: Its name, such as ``search 4``.
        fault: What is wrong, such as ``was altered``.
    """

    subject: str
    fault: str


def decision(search: object, rank: object, examiner: object) -> str:
    """The name of a decision."""
    return f"decision on rank {rank} of search {search} by {examiner}"


def hash_of_case(reference: str, purpose: str, legal_basis: str, opened_by: str) -> str:
    """What the entry of a case's opening holds."""
    return _hash(reference, purpose, legal_basis, opened_by)


def hash_of_sketch(case: int, sha256: str, found: str, about: Iterable[str | None]) -> str:
    """What the entry of a sketch holds.

    Args:
        case: The case's number.
        sha256: Hash of its file, as it was noted.
        found: Hash of its file, as it is.
        about: File name, kind, made by, described by, drawn on, added by.
    """
    return _hash(case, sha256, found, *about)


def hash_of_search(case: int | None, record: str) -> str:
    """What the entry of a search holds; the record as it is stored, to the byte."""
    return _hash(case, record)


def hash_of_decision(salt: str, verdict: str, reason: str, at: str) -> str:
    """What the entry of a decision holds; without the salt, it does not give the verdict away.

    Args:
        salt: Random, kept beside the decision.
        verdict: What the examiner said.
        reason: Why.
        at: When, in ISO 8601.
    """
    return _hash(salt, verdict, reason, at)


def logged(entries: Iterable[audit.Entry]) -> dict[str, object]:
    """Name of each case, sketch, search and decision -> the hash that its entry holds."""
    found: dict[str, object] = {}
    for entry in entries:
        said, action = entry["details"], entry["action"]
        if action in ("case-open", "case-sketch", "search"):
            kind = action.rpartition("-")[2].replace("open", "case")
            found[f"{kind} {said.get(kind)}"] = said.get("content")
        elif action == "decide":
            found[decision(said.get("search"), said.get("rank"), entry["operator"])] = said.get("content")
    return found


def differences(logged: Mapping[str, object], there: Mapping[str, object]) -> Iterator[Difference]:
    """What is missing, was altered, or is not in the log; names -> hashes, as the log has them and as they are."""
    for subject in sorted(logged.keys() | there.keys()):
        if subject not in there:
            yield Difference(subject, "is missing")
        elif subject not in logged:
            yield Difference(subject, "is not in the audit log")
        elif logged[subject] != there[subject]:
            yield Difference(subject, "was altered")


def _hash(*values: object) -> str:
    return audit.digest(list(values))
