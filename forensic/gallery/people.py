"""People and photos inside one transaction: find, filter, describe. ``Gallery`` is the door to these functions."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, undefer

from forensic.errors import Changed, NotFound, UsageError
from forensic.gallery.casework.casework_models import Sketch
from forensic.gallery.log import audit
from forensic.gallery.models import Person, Photo
from forensic.gallery.records import PERSON_FIELDS, PHOTO_FIELDS, Metadata, Owner, Shown, parse_metadata
from forensic.gallery.templates import chunks
from forensic.text import fold, forms

COUNTED = undefer(Person.photo_count)
Check = tuple[InstrumentedAttribute[Any], Callable[[Any], bool]]
"""A column, and what tells whether a value of it is asked for."""
Checks = Sequence[Check]


def find(session: Session, whom: str | Shown) -> Person:
    """The person with this label; one who was shown to somebody only as they were then.

    Raises:
        NotFound: there is none.
        Changed: the one who was shown is another by now.
    """
    label = _label(whom)
    person = by_label(session, [label]).get(label)
    if isinstance(whom, Shown):
        photos = session.scalars(select(Photo.id).where(Photo.person_id == whom.number))
        whom.check(None if person is None else person.id, photos)
    if person is None:
        raise NotFound(f"No person {label!r} in the gallery; 'forensic gallery list' shows who is enrolled.")
    return person


def by_label(session: Session, labels: Iterable[str]) -> dict[str, Person]:
    """Label -> person, for those who are there; one that was stored in another Unicode form is found too.

    Where both forms are somebody's, as earlier versions allowed, the label finds the one who has it as it is given.
    """
    given = {label: forms(label) for label in labels}
    query = select(Person).options(COUNTED)
    there = {
        person.label: person
        for some in chunks(sorted({form for all_forms in given.values() for form in all_forms}))
        for person in session.scalars(query.where(Person.label.in_(some)))
    }
    found = {label: next((there[form] for form in own if form in there), None) for label, own in given.items()}
    return {label: person for label, person in found.items() if person is not None}


def alone(session: Session, whom: str | Shown) -> Person:
    """`find`, for what cannot be undone.

    Raises:
        NotFound: there is none.
        Changed: the one who was shown is another by now.
        UsageError: an earlier version let two people have the label in two Unicode forms.
    """
    label = _label(whom)
    if session.scalars(select(func.count(Person.id)).where(_equals(Person.label, label))).one() > 1:
        raise UsageError(
            f"Two people have the label {label!r}, in two Unicode forms: give one of them another by 'forensic gallery "
            "update PERSON --person LABEL', or make them one by 'forensic gallery merge'."
        )
    return find(session, whom)


def by_number(session: Session, number: int) -> Person:
    """The person with this number.

    Raises:
        NotFound: there is none.
    """
    person = session.get(Person, number, options=[COUNTED])
    if person is None:
        raise NotFound(f"No person number {number} in the gallery; 'forensic gallery list' shows who is enrolled.")
    return person


def find_photo(session: Session, photo_id: int) -> Photo:
    """The photo with this id.

    Raises:
        NotFound: there is none.
    """
    photo = session.get(Photo, int(photo_id))  # a NumPy integer would be bound as bytes
    if photo is None:
        raise NotFound(f"No photo {photo_id} in the gallery; 'forensic gallery show PERSON' lists a person's.")
    return photo


def listed(session: Session, where: Mapping[str, str], limit: int | None, offset: int) -> list[Person]:
    """People by label whose metadata equal ``where``.

    An empty value asks for those without one; a text that ends in ``*`` for those that begin so, whatever the case.
    """
    query, checks = _chosen(session, where)
    query = query.order_by(Person.label)
    if not checks:
        return list(session.scalars(query.options(COUNTED).limit(limit).offset(offset)))
    stop = None if limit is None else offset + limit
    numbers = list(islice(_numbers(session, query, checks), offset, stop))
    found = {
        person.id: person
        for some in chunks(numbers)
        for person in session.scalars(select(Person).where(Person.id.in_(some)).options(COUNTED))
    }
    return [found[number] for number in numbers]


def count(session: Session, where: Mapping[str, str]) -> int:
    """How many `listed` finds in all."""
    query, checks = _chosen(session, where)
    if not checks:
        return session.scalars(select(func.count()).select_from(query.subquery())).one()
    return sum(1 for _ in _numbers(session, query, checks))


def _numbers(session: Session, query: Select[Person], checks: Checks) -> Iterator[int]:
    """Of the people of a query, the numbers of those who pass all checks, in its order."""
    for number, *values in session.execute(query.with_only_columns(Person.id, *(column for column, _ in checks))):
        if all(holds(value) for (_, holds), value in zip(checks, values, strict=True)):
            yield number


def _chosen(session: Session, where: Mapping[str, str]) -> tuple[Select[Person], Checks]:
    """What a database can choose by, and checks of columns for what databases do apart.

    They differ in which letters are one whatever the case, and in how a path into JSON names a key with accents.
    """
    query, checks = select(Person), list[Check]()
    parsed = parse_metadata({key: value for key, value in where.items() if key != "person"})
    labels = {"label": where["person"]} if "person" in where else {}
    for key, value in (labels | parsed.person).items():
        column = getattr(Person, key)
        if (begins := _beginning(value)) is None:
            query = query.where(_equals(column, value))
        else:
            checks.append((column, begins))
    for key, text in parsed.photo.items():
        column = getattr(Photo, key)
        if (begins := _beginning(text)) is None:
            query = query.where(Person.id.in_(select(Photo.person_id).where(_equals(column, text))))
        else:
            values = session.execute(select(Photo.person_id, column).where(column.is_not(None)))
            checks.append((Person.id, {person for person, value in values if begins(value)}.__contains__))
    if parsed.extra:
        extra = parsed.extra
        checks.append((Person.extra, lambda columns: all(columns.get(key) == text for key, text in extra.items())))
    return query, checks


def _beginning(value: object) -> Callable[[str | None], bool] | None:
    """What tells whether a value begins as one that ends in ``*`` asks; None for another value."""
    if not isinstance(value, str) or not value.endswith("*"):
        return None
    beginning = fold(value[:-1])
    return lambda text: text is not None and fold(text).startswith(beginning)


def _equals(column: InstrumentedAttribute[Any], value: object) -> ColumnElement[bool]:
    return column.in_(forms(value)) if isinstance(value, str) else column == value  # `== None` becomes IS NULL


def known(session: Session, hashes: Sequence[str]) -> dict[str, str]:
    """For each of these hashes that is enrolled, the label of its person."""
    query = select(Photo.sha256, Person.label).join(Person, Person.id == Photo.person_id)
    return {
        sha256: label
        for some in chunks(hashes)
        for sha256, label in session.execute(query.where(Photo.sha256.in_(some)))
    }


def sketches(session: Session, hashes: Sequence[str]) -> set[str]:
    """Those of these hashes that are of sketches of cases."""
    query = select(Sketch.sha256)
    return {found for some in chunks(hashes) for found in session.scalars(query.where(Sketch.sha256.in_(some)))}


def owners(session: Session, photo_ids: Iterable[int]) -> dict[int, Owner]:
    """Photo id -> its person, without the photos that are not there."""
    query = select(Photo.id, Person.id, Person.label).join(Person, Person.id == Photo.person_id)
    return {
        number: Owner(person, label)
        for some in chunks([int(number) for number in photo_ids])
        for number, person, label in session.execute(query.where(Photo.id.in_(some)))
    }


def photos(session: Session, photo_ids: Iterable[int]) -> dict[int, Photo]:
    """Photo id -> photo, without those that are not there."""
    found = (
        session.scalars(select(Photo).where(Photo.id.in_(some)))
        for some in chunks([int(number) for number in photo_ids])
    )
    return {photo.id: photo for part in found for photo in part}


def sample(session: Session, count: int) -> list[Photo]:
    """A photo each of so many people, in the order of the photos' hashes."""
    chosen: dict[int, Photo] = {}
    with session.scalars(select(Photo).order_by(Photo.sha256).execution_options(yield_per=count)) as photos:
        for photo in photos:
            chosen.setdefault(photo.person_id, photo)
            if len(chosen) == count:
                break
    return list(chosen.values())


def complete(person: Person, metadata: Metadata, photo: Photo | None = None) -> list[str]:
    """Fill what is not known of a person yet, and of a photo that was there.

    Returns:
        A remark for each value that differs from what is stored; the stored one stays.
    """
    kept = contradictions(person, metadata, photo)
    fresh = lacking(person, metadata, photo)
    change(person, fresh)
    for key, value in fresh.photo.items():
        setattr(photo, key, value)
    return kept


def lacking(person: Person, metadata: Metadata, photo: Photo | None = None) -> Metadata:
    """What of a row's metadata is not known yet."""
    return Metadata(
        {key: value for key, value in metadata.person.items() if value is not None and getattr(person, key) is None},
        {key: text for key, text in metadata.photo.items() if text and photo and getattr(photo, key) is None},
        {key: text for key, text in metadata.extra.items() if text is not None and key not in person.extra},
    )


def contradictions(person: Person, metadata: Metadata, photo: Photo | None = None) -> list[str]:
    """A remark for each of a row's values that differs from what is stored."""
    known = [(key, getattr(person, key), value) for key, value in metadata.person.items()]
    known += [(key, getattr(photo, key), text) for key, text in metadata.photo.items() if photo]
    known += [(key, person.extra.get(key), text) for key, text in metadata.extra.items()]
    return [
        f"{key} stays {_plain(stored)!r}, not {_plain(value)!r}"
        for key, stored, value in known
        if stored is not None and value is not None and value != stored
    ]


def change(person: Person, metadata: Metadata) -> None:
    """Set a person's metadata; a value of None takes it away."""
    for key, value in metadata.person.items():
        setattr(person, key, value)
    if metadata.extra:
        changed = {**person.extra, **metadata.extra}
        person.extra = {key: text for key, text in changed.items() if text is not None}


def named(metadata: Metadata) -> dict[str, object]:
    """What the log says of changed metadata: own columns are counted, since a column's name may tell whose it is."""
    return {"fields": sorted([*metadata.person, *metadata.photo]), "own_columns": len(metadata.extra)}


def described(person: Person | Row[Any]) -> dict[str, str | int]:
    """A person's metadata that have a value, fields first."""
    fields = {key: _plain(getattr(person, key)) for key in PERSON_FIELDS}
    extra: dict[str, str] = person.extra
    return {key: value for key, value in fields.items() if value is not None} | extra


def described_photo(photo: Photo | Row[Any]) -> dict[str, str]:
    """A photo's metadata that have a value."""
    fields = {key: getattr(photo, key) for key in PHOTO_FIELDS}
    return {key: value for key, value in fields.items() if value is not None}


def check_known(recorded: Mapping[str, str | int], known: str | None) -> None:
    """Stop a change of metadata that are not what somebody was shown.

    Args:
        recorded: What is recorded now: `described` or `described_photo`.
        known: `audit.digest` of what was shown; None where nothing was.

    Raises:
        Changed: It is something else.
    """
    if known not in (None, audit.digest(recorded)):
        raise Changed("What is recorded was changed since it was shown: look at it again. Nothing was done.")


def _label(whom: str | Shown) -> str:
    return whom if isinstance(whom, str) else whom.label


def _plain(value: str | int | date) -> str | int:
    return value.isoformat() if isinstance(value, date) else value
