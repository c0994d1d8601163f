"""Who is searched: a filter by what the gallery records of people, with the reason that a person gives for it.

Only metadata that somebody recorded are compared, never anything that a program predicts from a photo. Whoever has no
value recorded is kept and counted: an incomplete record must never hide a suspect.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from forensic.errors import UsageError
from forensic.gallery.models import Person, Photo
from forensic.gallery.records import PERSON_FIELDS, PHOTO_FIELDS
from forensic.text import fold, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOT_RECORDED = frozenset(("", "-", "?", "n/a", "not known", "not recorded", "unknown"))
"""Values that say that there is none; case does not matter."""
WORDS = 3
LONGEST = 2000
NAMED = 8
"""How many of a column's values an error names."""
SYNTAX = "COLUMN=VALUE, COLUMN=VALUE|VALUE, COLUMN=1975..1990, COLUMN=1975.., COLUMN=..1990 or age=30..45@2021"

_RANGE = re.compile(r"([+-]?\d{1,18})?\s*\.\.\s*([+-]?\d{1,18})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_AGE = re.compile(r"\d{1,3}", re.ASCII)
_YEAR = re.compile(r"\d{4}", re.ASCII)

Values = tuple[str | int | None, ...]


class Range(NamedTuple):
    """Integers from ``low`` to ``high``, both included; None for no bound."""

    low: int | None
    high: int | None

    def holds(self, number: int) -> bool:
        """Whether the number is in it."""
        return (self.low is None or self.low <= number) and (self.high is None or number <= self.high)


class Condition(NamedTuple):
    """One condition on one column.

    Attributes:
        column: A field of people or photos, or a column of the user's own, as `fold_column` writes it.
        alternatives: Values, as `forensic.text.fold` writes them, or ranges; one has to hold.
        text: The condition in words, for records.
    """

    column: str
    alternatives: tuple[str | Range, ...]
    text: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """The condition that ``COLUMN=VALUE`` states.

        Raises:
            UsageError: It states none.

        >>> Condition.parse("birth year = 1975..1990")
        Condition(column='birth_year', alternatives=(Range(low=1975, high=1990),), text='birth_year=1975..1990')
        >>> Condition.parse("age=30..45@2021").text
        'age=30..45@2021 (birth_year=1975..1991)'
        """
        name, equals, right = text.partition("=")
        column, parts = fold_column(name), [" ".join(part.split()) for part in right.split("|")]
        if not equals or not column or not all(parts):
            raise UsageError(f"The condition {printable(text)!r} cannot be read; expected {SYNTAX}.")
        given = f"{column}={'|'.join(parts)}"
        if column == "age" and "@" in right:
            born = tuple(_born(part, text) for part in parts)
            return cls("birth_year", born, f"{given} (birth_year={'|'.join(map(_written, born))})")
        return cls(column, tuple(_alternative(part, text) for part in parts), given)

    def judge(self, value: str | int | None) -> bool | None:
        """Whether a value fulfils it; None if there is no value that could tell.

        A value that a range cannot be compared with, such as ``about 30``, is as good as none.
        """
        text = "" if value is None else fold(str(value))
        number = int(text) if _INTEGER.fullmatch(text) else None
        ranges = [alternative for alternative in self.alternatives if isinstance(alternative, Range)]
        if text in self.alternatives or (number is not None and any(bounds.holds(number) for bounds in ranges)):
            return True
        return None if text in NOT_RECORDED or (ranges and number is None) else False


@dataclass(frozen=True)
class Filter:
    """Who is searched, by recorded metadata, and why. All conditions have to hold.

    Only what somebody recorded is compared; nothing is ever predicted from a photo. People without a recorded value
    stay in the search. Text is compared without regard to case and surrounding blanks.

    Args:
        conditions: At least one.
        justification: Why the search may be narrowed so; it goes into the search's record.

    Raises:
        UsageError: No condition, or a justification of less than a few words.
    """

    conditions: tuple[Condition, ...]
    justification: str

    def __post_init__(self) -> None:
        if not self.conditions:
            raise UsageError(f"A filter needs a condition; expected {SYNTAX}.")
        reason = " ".join(self.justification.split())
        brief = len(reason.split()) < WORDS and (len(reason) < 10 or reason.isascii())  # not all scripts have blanks
        if brief or len(reason) > LONGEST:
            given = f"{printable(reason[:40])!r} ({len(reason)} characters)"
            raise UsageError(
                f"The filter's justification is {given}; expected {WORDS} words to {LONGEST} characters on what it "
                "rests on, such as 'the witness saw a woman of about 40'."
            )
        object.__setattr__(self, "justification", reason)

    @classmethod
    def parse(cls, conditions: Iterable[str], justification: str) -> "Filter":
        """The filter of conditions as a person writes them.

        - ``sex=F``: equal, without regard to case;
        - ``hair=dark|brown``: one of them;
        - ``birth_year=1975..1990``, ``1975..``, ``..1990``: a range of integers, both ends included;
        - ``age=30..45@2021``: who can have been so old at some time of 2021, by their birth year.

        Raises:
            UsageError: A condition cannot be read, there is none, or the justification is too short.
        """
        return cls(tuple(map(Condition.parse, conditions)), justification)

    def to_json(self) -> dict[str, Any]:
        """The filter as plain data."""
        return {"conditions": [condition.text for condition in self.conditions], "justification": self.justification}


class Matching(NamedTuple):
    """Whom a filter keeps.

    Attributes:
        filter: The filter.
        photo_ids: All photos of the people who are kept, ascending, int64.
        fulfilling: People whose recorded values fulfil every condition.
        unknown: People who are kept since a value that would decide is not recorded.
        left_out: People whose recorded values break a condition.
    """

    filter: Filter
    photo_ids: "NDArray[np.int64]"
    fulfilling: int
    unknown: int
    left_out: int

    @property
    def kept(self) -> int:
        """People who are searched."""
        return self.fulfilling + self.unknown

    @property
    def digest(self) -> str:
        """SHA-256 over the photos' numbers: the same counts may be of other people."""
        return hashlib.sha256(self.photo_ids.astype("<i8").tobytes()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Conditions, justification and counts as plain data, for the search's record."""
        people = {"kept": self.kept, "kept_for_want_of_a_value": self.unknown, "left_out": self.left_out}
        return self.filter.to_json() | {"people": people, "photos": len(self.photo_ids)}


def fold_column(name: str) -> str:
    """A column's name as it is compared.

    >>> fold_column(" Birth-Year"), fold_column("Eye colour")
    ('birth_year', 'eye colour')
    """
    known = re.sub(r"[\s-]+", "_", name.strip()).lower()
    return known if known in PERSON_FIELDS + PHOTO_FIELDS else fold(name)


def matching(session: Session, chosen: Filter) -> Matching:
    """Whom the filter keeps.

    A condition on a photo's field holds for a person when any of their photos fulfils it; all photos of a person who
    is kept are searched.

    Raises:
        UsageError: Nobody has a value of a column, or nobody fulfils a condition; it names what is recorded.
    """
    import numpy as np

    recorded = _Recorded(session, {condition.column for condition in chosen.conditions})
    verdicts: dict[int, bool | None] = dict.fromkeys(recorded.people, True)
    for condition in chosen.conditions:
        column, judge = recorded.values(condition.column), cache(condition.judge)  # values come again and again
        judged = {person: _best(map(judge, column.get(person, (None,)))) for person in recorded.people}
        if True not in judged.values():
            raise UsageError(_nobody(session, condition, column))
        verdicts = {person: _worst(verdicts[person], verdict) for person, verdict in judged.items()}
    counts = Counter(verdicts.values())
    photos = sorted(photo for photo, person in recorded.photos if verdicts[person] is not False)
    if not photos:
        texts = ", ".join(printable(condition.text) for condition in chosen.conditions)
        raise UsageError(f"Nobody in the gallery can fulfil all of {texts} at once. Leave a condition out.")
    return Matching(chosen, np.array(photos, np.int64), counts[True], counts[None], counts[False])


def _best(verdicts: Iterable[bool | None]) -> bool | None:
    """Of a person's several values one that fulfils the condition is enough, and one that might is better than none."""
    found = set(verdicts)
    return True if True in found else None if None in found else False


def _worst(first: bool | None, second: bool | None) -> bool | None:
    """All conditions have to hold."""
    return False if first is False or second is False else None if first is None or second is None else True


class _Recorded:
    """The photos of each person, and what is recorded in some columns; read in one query a table.

    Attributes:
        photos: Id of each photo, and of its person.
        people: Ids of those with a photo.
    """

    def __init__(self, session: Session, columns: Iterable[str]) -> None:
        self._columns: dict[str, dict[int, Values]] = {column: {} for column in columns}
        self._read_people(session, [column for column in self._columns if column in PERSON_FIELDS])
        self._read_extras(session, {column for column in self._columns if column not in PERSON_FIELDS + PHOTO_FIELDS})
        self.photos = self._read_photos(session, [column for column in self._columns if column in PHOTO_FIELDS])
        self.people = {person for _, person in self.photos}

    def _read_people(self, session: Session, names: Sequence[str]) -> None:
        if names:
            for person, *values in session.execute(select(Person.id, *(getattr(Person, name) for name in names))):
                for name, value in zip(names, values, strict=True):
                    self._add(name, person, value)

    def _read_extras(self, session: Session, names: Collection[str]) -> None:
        """The columns of the user's own, which may be written in several ways."""
        if names:
            fold_key = cache(fold_column)
            for person, extra in session.execute(select(Person.id, Person.extra)):
                for key, value in extra.items():
                    if (name := fold_key(key)) in names:
                        self._add(name, person, value)

    def _read_photos(self, session: Session, names: Sequence[str]) -> list[tuple[int, int]]:
        photos = []
        query = select(Photo.id, Photo.person_id, *(getattr(Photo, name) for name in names))
        for photo, person, *values in session.execute(query):
            photos.append((photo, person))
            for name, value in zip(names, values, strict=True):
                self._add(name, person, value)
        return photos

    def values(self, column: str) -> Mapping[int, Values]:
        """Person's id -> what is recorded of them in a column; a person of whom nothing is may be missing."""
        return self._columns[column]

    def _add(self, column: str, person: int, value: str | int | None) -> None:
        found = self._columns[column]
        found[person] = (*found.get(person, ()), value)


def _nobody(session: Session, condition: Condition, column: Mapping[int, Values]) -> str:
    """Why a condition leaves nobody: the column is not there, or its values are written otherwise."""
    values = [value for person in column.values() for value in person if value is not None]
    counts = Counter(" ".join(str(value).split()) for value in values if fold(str(value)) not in NOT_RECORDED)
    if not counts:
        columns = [name for name in _columns(session) if name != condition.column]
        there = ", ".join(map(repr, map(printable, columns))) or "none"
        return (
            f"Nobody in the gallery has a value of {printable(condition.column)!r}, so that it cannot be filtered by. "
            f"Columns with values: {there}."
        )
    if all(isinstance(alternative, Range) for alternative in condition.alternatives):
        numbers = [int(text) for text in counts if _INTEGER.fullmatch(text)]
        there = f"integers from {min(numbers)} to {max(numbers)}" if numbers else "no integers"
    else:
        there = ", ".join(repr(printable(value[:60])) for value, _ in counts.most_common(NAMED))
        there += f" and {len(counts) - NAMED} more" if len(counts) > NAMED else ""
    return f"Nobody in the gallery is known to fulfil {printable(condition.text)!r}. Recorded there: {there}."


def _columns(session: Session) -> Sequence[str]:
    """The columns that anybody has a value of, fields first."""
    of_people = [key for key in PERSON_FIELDS if session.scalar(_any(getattr(Person, key))) is not None]
    of_photos = [key for key in PHOTO_FIELDS if session.scalar(_any(getattr(Photo, key))) is not None]
    extras = sorted({fold_column(key) for extra in session.scalars(select(Person.extra)) for key in extra})
    return [*of_people, *of_photos, *extras]


def _any(column: Any) -> Any:
    return select(column).where(column.is_not(None)).limit(1)


def _alternative(part: str, text: str) -> str | Range:
    return _range(part, text) if ".." in part else fold(part)


def _born(part: str, text: str) -> Range:
    """The birth years of who can have an age of that range in the year: a birthday may be before or after the day."""
    ages, _, at = (word.strip() for word in part.partition("@"))
    if not _YEAR.fullmatch(at):
        raise UsageError(f"The condition {printable(text)!r} names no year; expected age=30..45@2021.")
    youngest, oldest = _range(f"{ages}..{ages}" if _AGE.fullmatch(ages) else ages, text)
    year = int(at)
    return Range(None if oldest is None else year - oldest - 1, None if youngest is None else year - youngest)


def _range(part: str, text: str) -> Range:
    found = _RANGE.fullmatch(part)
    if found is None or not any(found.groups()):
        raise UsageError(f"{printable(part)!r} in {printable(text)!r} is no range of integers; expected {SYNTAX}.")
    low, high = (None if end is None else int(end) for end in found.groups())
    if low is not None and high is not None and low > high:
        raise UsageError(f"The range in {printable(text)!r} is empty: it ends before it begins.")
    return Range(low, high)


def _written(bounds: Range) -> str:
    return "..".join("" if end is None else str(end) for end in bounds)
