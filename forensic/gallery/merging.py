"""People who are one, and one who is two, inside one transaction. ``Gallery`` is the door to these functions."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from forensic.errors import DuplicateError, NotFound, UsageError
from forensic.gallery import people, templates
from forensic.gallery.backup import keyfiles
from forensic.gallery.models import Distinct, Person, Photo
from forensic.gallery.records import PERSON_FIELDS, Metadata, Shown, parse_label

KEEP = "keep_until"


def merge(session: Session, one: str | Shown, other: str | Shown) -> list[str]:
    """Give another person's photos to a person, with the metadata that the person lacks; the other one is gone.

    Of two dates until which they may be kept the later one holds: to expunge cannot be undone, to shorten the time can
    be done any day. A date that only one of them has holds for both.

    Returns:
        A remark for each value that was dropped, on the date that holds now, and where the two had been kept apart.

    Raises:
        NotFound: one of them is unknown.
        Changed: one who was shown is another by now.
        UsageError: they are the same label.
    """
    person, gone = _two(session, one, other)
    templates.touch_people(session, [gone.id])
    remarks = inherit(person, gone) + _inherit_notes(session, person, gone)
    session.execute(update(Photo).where(Photo.person_id == gone.id).values(person_id=person.id))
    keyfiles.inherit(session, person.id, gone.id)
    session.flush()
    session.execute(delete(Person).where(Person.id == gone.id))
    return remarks


def inherit(person: Person, gone: Person) -> list[str]:
    """Give a person the metadata of another that it lacks, and the later date; what is to be said of it."""
    fields: dict[str, str | int | date | None] = {key: getattr(gone, key) for key in PERSON_FIELDS if key != KEEP}
    return people.complete(person, Metadata(fields, {}, dict(gone.extra))) + _keep_until(person, gone)


def were_apart(label: str, other: str) -> str:
    """What is said where two people who are merged had been kept apart."""
    return f"{label!r} and {other!r} had been kept apart; that note is gone"


def keep(session: Session, one: str | Shown, other: str | Shown) -> bool:
    """Note that two people are two.

    Returns:
        Whether that was new.

    Raises:
        NotFound: one of them is unknown.
        Changed: one who was shown is another by now.
        UsageError: they are the same label.
    """
    return _note(session, *(person.id for person in _two(session, one, other)))


def kept(session: Session) -> set[frozenset[str]]:
    """Labels of the pairs of people who are known to be two."""
    first, second = aliased(Person), aliased(Person)
    query = (
        select(first.label, second.label)
        .join(Distinct, Distinct.first_id == first.id)
        .join(second, Distinct.second_id == second.id)
    )
    return {frozenset((one, other)) for one, other in session.execute(query)}


def split(session: Session, whom: str | Shown, photo_ids: Sequence[int], new: str) -> Person:
    """Give some of a person's photos to a new person; the two are known to be two.

    The new person has no metadata but the date until which the photos may be kept: it was given for them too.

    Raises:
        NotFound: the person is unknown, or a photo is not theirs.
        Changed: the one who was shown is another by now.
        DuplicateError: the new label is someone's already.
        UsageError: no photo, all of the person's photos, or a label that cannot be stored.
    """
    person, chosen, fresh = people.find(session, whom), {int(number) for number in photo_ids}, parse_label(new)
    own = set(session.scalars(select(Photo.id).where(Photo.person_id == person.id)))
    if strange := sorted(chosen - own):
        raise NotFound(f"Photo {strange[0]} is none of {person.label!r}, whose photos are {sorted(own)}.")
    if not chosen or chosen == own:
        raise UsageError(
            f"{len(chosen)} of the {len(own)} photos of {person.label!r} were named; expected at least one and not all "
            "of them. 'forensic gallery update PERSON --person LABEL' gives a person another label."
        )
    if people.by_label(session, [fresh]):
        raise DuplicateError(
            f"{fresh!r} is someone's label; give a new one, and merge the two afterwards if they are one."
        )
    templates.touch_people(session, [person.id])
    made = Person(label=fresh, keep_until=person.keep_until, extra={})
    session.add(made)
    session.flush()
    for some in templates.chunks(sorted(chosen)):
        session.execute(update(Photo).where(Photo.id.in_(some)).values(person_id=made.id))
    keyfiles.share(session, person.id, made.id)
    _note(session, person.id, made.id)
    return made


def _two(session: Session, first: str | Shown, second: str | Shown) -> tuple[Person, Person]:
    one, two = people.find(session, first), people.find(session, second)
    if one is two:
        raise UsageError(f"{one.label!r} was named twice; give two people.")
    return one, two


def _keep_until(person: Person, gone: Person) -> list[str]:
    """Give a person the later of two people's dates; what is to be said of it."""
    dates = {one.keep_until for one in (person, gone)}
    if len(dates) == 1:
        return []
    latest = max(day for day in dates if day is not None)
    person.keep_until = latest
    dropped = min(dates - {latest}, key=str)
    was = f"the earlier {dropped} is dropped" if dropped else "only one of the two had a date"
    return [f"{KEEP} is {latest} for all photos now, {was}"]


def _note(session: Session, one: int, other: int) -> bool:
    """Note that two people are two, once."""
    first, second = sorted((one, other))
    query = select(func.count()).where(Distinct.first_id == first, Distinct.second_id == second)
    if session.scalars(query).one():
        return False
    session.add(Distinct(first_id=first, second_id=second))
    session.flush()
    return True


def _inherit_notes(session: Session, person: Person, gone: Person) -> list[str]:
    """Whoever was known not to be the one is known not to be the other."""
    remarks = []
    notes = session.scalars(select(Distinct).where(or_(Distinct.first_id == gone.id, Distinct.second_id == gone.id)))
    for note in notes.all():
        third = note.first_id + note.second_id - gone.id
        if third == person.id:
            remarks.append(were_apart(person.label, gone.label))
        else:
            _note(session, person.id, third)
    return remarks
