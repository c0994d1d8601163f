"""People and photos inside one transaction: find, filter, describe. ``Gallery`` is the door to these functions."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, undefer

from forensic.errors import NotFound
from forensic.gallery.casework_models import Sketch
from forensic.gallery.models import Person, Photo
from forensic.gallery.records import PERSON_FIELDS, PHOTO_FIELDS, Metadata, Owner, parse_metadata
from forensic.gallery.templates import chunks

COUNTED = undefer(Person.photo_count)


def find(session: Session, label: str) -> Person:
    """The person with this label.

    Raises:
        NotFound: there is none.
    """
    query = select(Person).where(Person.label == label).options(COUNTED)
    person = session.scalars(query).one_or_none()
    if person is None:
        raise NotFound(f"No person {label!r} in the gallery; 'forensic gallery list' shows who is enrolled.")
    return person


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
    query, extra = _chosen(where)
    query = query.order_by(Person.label).options(COUNTED)
    if not extra:
        return list(session.scalars(query.limit(limit).offset(offset)))
    # Databases differ in how a path into JSON names a key with quotes or accents, so these are compared here.
    found = (person for person in session.scalars(query) if _has(person.extra, extra))
    return list(islice(found, offset, None if limit is None else offset + limit))


def count(session: Session, where: Mapping[str, str]) -> int:
    """How many `listed` finds in all."""
    query, extra = _chosen(where)
    if not extra:
        return session.scalars(select(func.count()).select_from(query.subquery())).one()
    return sum(_has(found, extra) for found in session.scalars(query.with_only_columns(Person.extra)))


def _like(column: InstrumentedAttribute[Any], value: object) -> ColumnElement[bool]:
    if isinstance(value, str) and value.endswith("*"):
        return column.istartswith(value[:-1], autoescape=True)
    return column == value  # `== None` becomes IS NULL


def _has(columns: Mapping[str, str], extra: Mapping[str, str | None]) -> bool:
    return all(columns.get(key) == text for key, text in extra.items())


def _chosen(where: Mapping[str, str]) -> tuple[Select[Person], dict[str, str | None]]:
    """What a database can choose by, and the columns that are left to compare."""
    query = select(Person)
    parsed = parse_metadata({key: value for key, value in where.items() if key != "person"})
    if "person" in where:
        query = query.where(_like(Person.label, where["person"]))
    for key, value in parsed.person.items():
        query = query.where(_like(getattr(Person, key), value))
    for key, value in parsed.photo.items():
        query = query.where(Person.id.in_(select(Photo.person_id).where(_like(getattr(Photo, key), value))))
    return query, parsed.extra


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


def _plain(value: str | int | date) -> str | int:
    return value.isoformat() if isinstance(value, date) else value
