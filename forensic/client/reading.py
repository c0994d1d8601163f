"""What a server answers, made into the objects that a gallery's own calls return.

Rows are made as the gallery's tables describe them and belong to no database: commands show both in the same way.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from forensic.gallery.casework.cases import Opinion, Searched, Verdict
from forensic.gallery.casework.casework_models import Case, Sketch, User
from forensic.gallery.checks.proving import Tombstone
from forensic.gallery.expunging import Due
from forensic.gallery.log.anchoring import Anchored
from forensic.gallery.log.audit import FIELDS, Head
from forensic.gallery.models import AccuracyReport, Person, Photo
from forensic.gallery.records import PERSON_FIELDS, Problem, Size

Plain = dict[str, Any]


def nothing(answer: Any) -> None:
    """An answer that says no more than that it was done."""


def number(answer: Plain) -> int:
    """The number of what was made."""
    return int(answer["id"])


def case(answer: Plain) -> Case:
    """A case."""
    return Case(
        id=answer["id"],
        reference=answer["reference"],
        purpose=answer["purpose"],
        legal_basis=answer["legal_basis"],
        opened_by=answer["opened_by"],
        opened_at=datetime.fromisoformat(answer["opened_at"]),
    )


def sketch(answer: Plain) -> Sketch:
    """A case's sketch, without its bytes."""
    told = ("id", "sha256", "file_name", "kind", "made_by", "described_by", "drawn_on", "added_by")
    return Sketch(
        case_id=answer["case"],
        added_at=datetime.fromisoformat(answer["added_at"]),
        **{key: answer[key] for key in told},
    )


def opinion(answer: Plain) -> Opinion:
    """An examiner's verdict, as far as it may be seen."""
    verdict = answer["verdict"]
    return Opinion(
        answer["rank"],
        answer["examiner"],
        None if verdict is None else Verdict(verdict),
        answer["reason"],
        datetime.fromisoformat(answer["decided_at"]),
    )


def searched(answer: Plain) -> Searched:
    """A search on record, in full."""
    return Searched(
        answer["search"],
        None if answer["case"] is None else answer["case"]["reference"],
        answer["record"],
        {photo["id"]: photo["person"] for photo in answer["photos"]},
        [opinion(decision) for decision in answer["decisions"]],
    )


def size(answer: Plain) -> Size:
    """How much is enrolled."""
    return Size(answer["people"], answer["photos"])


def entry(answer: Plain) -> Plain:
    """An entry of the log, as it was hashed."""
    at = datetime.fromisoformat(answer["at"]).isoformat()
    return {key: answer[key] for key in sorted(FIELDS)} | {"at": at}


def head(answer: Plain) -> Head:
    """The signed end of the log."""
    return Head(**{key: answer[key] for key in Head._fields})


def tombstone(answer: Plain) -> Tombstone:
    """What the log keeps of an expunge."""
    at = datetime.fromisoformat(answer["at"]).isoformat()
    people, photos = (tuple(answer[key]) for key in ("people", "photos"))
    return Tombstone(answer["entry"], at, answer["operator"], people, photos, answer["reason"])


def due(answer: Plain) -> Due:
    """Somebody who may be kept until a certain day."""
    day, photos = date.fromisoformat(answer["keep_until"]), frozenset(answer["photo_numbers"])
    return Due(answer["label"], answer["person"], day, answer["photos"], photos)


def checked(answer: Plain) -> tuple[int, Anchored]:
    """How many entries the log has, and what a check found."""
    problems = [Problem(**problem) for problem in answer["problems"]]
    return answer["entries"], Anchored(problems, answer["checked"], answer["anchors"] - answer["checked"])


def report(answer: Plain) -> AccuracyReport:
    """An accuracy report; a list's has no data."""
    return AccuracyReport(
        id=answer["id"],
        title=answer["title"],
        data=answer.get("data"),
        created_at=datetime.fromisoformat(answer["created_at"]),
    )


def user(answer: Plain) -> User:
    """A user, without the password's hash."""
    return User(id=answer["id"], name=answer["name"], role=answer["role"], active=answer["active"])


def person(answer: Plain) -> Person:
    """Somebody enrolled."""
    known = dict(answer["metadata"])
    fields = {key: known.pop(key, None) for key in PERSON_FIELDS}
    if fields["keep_until"] is not None:
        fields["keep_until"] = date.fromisoformat(fields["keep_until"])
    return Person(
        id=answer["id"],
        label=answer["label"],
        photo_count=answer["photo_count"],
        extra=known,
        created_at=datetime.fromisoformat(answer["enrolled"]),
        updated_at=datetime.fromisoformat(answer["updated"]),
        **fields,
    )


def photo(answer: Plain) -> Photo:
    """An enrolled photo, without its bytes."""
    told = ("id", "sha256", "file_name", "format", "date_taken", "source", "landmarks", "detector", "detector_score")
    return Photo(
        width=answer["size"][0],
        height=answer["size"][1],
        warnings=answer["warnings"],
        quality=answer["quality"],
        enrolled_at=datetime.fromisoformat(answer["enrolled"]),
        **{key: answer[key] for key in told},
    )


def photo_with_owner(answer: Plain) -> Photo:
    """An enrolled photo with its person's number and label."""
    found, owner = photo(answer), Person(id=answer["person"], label=answer["label"])
    found.person_id, found.person = owner.id, owner
    return found


def person_with_photos(answer: Plain) -> tuple[Person, list[Photo]]:
    """A person with all photos, in the order of their content hashes."""
    return person(answer), sorted(map(photo, answer["photos"]), key=lambda one: one.sha256)
