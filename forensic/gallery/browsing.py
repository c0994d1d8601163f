"""People for somebody who looks at them a page at a time, and what a gallery holds of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import func, or_, select

from forensic.gallery import people
from forensic.gallery.expunging import today
from forensic.gallery.models import BackupKey, Person, Photo, Template, TemplateSpace
from forensic.gallery.rights import Right, needs
from forensic.gallery.store import Gallery
from forensic.gallery.templates import chunks


class Card(NamedTuple):
    """A person on a page.

    Attributes:
        person: The row.
        photo: Number of the first photo; None for a person without one, which `verify` reports.
    """

    person: Person
    photo: int | None


class Page(NamedTuple):
    """Some of the people who were asked for.

    Attributes:
        cards: In the order of their labels.
        total: How many there are in all.
    """

    cards: list[Card]
    total: int


class Holdings(NamedTuple):
    """What is stored of a person, and so goes when they are expunged.

    Attributes:
        photos: With their originals.
        templates: In all spaces.
        backup_keys: That open what backups hold of them.
    """

    photos: int
    templates: int
    backup_keys: int


class Upkeep(NamedTuple):
    """What there is to do in a gallery.

    Attributes:
        spaces: Route of each template space, and how many photos have no template in it.
        unmeasured: Photos whose quality was not measured.
        due: People who may be kept no longer.
    """

    spaces: list[tuple[str, int]]
    unmeasured: int
    due: int


@needs(Right.VIEW)
def page(gallery: Gallery, where: Mapping[str, str], *, limit: int, offset: int = 0) -> Page:
    """People whose metadata equal ``where``, as `Gallery.look_through` finds them: that is on record.

    Raises:
        UsageError: A value that none can have, such as a birth year that is no number.
    """
    found = gallery.look_through(where, limit=limit, offset=offset)
    with gallery.reading() as session:
        query = select(Photo.person_id, func.min(Photo.id)).group_by(Photo.person_id)
        rows = session.execute(query.where(Photo.person_id.in_([one.id for one in found])))
        first: dict[int, int] = dict(rows.all())
        return Page([Card(one, first.get(one.id)) for one in found], people.count(session, where))


@needs(Right.VIEW)
def numbers(gallery: Gallery, hashes: Sequence[str]) -> dict[str, tuple[int, int]]:
    """For each of these content hashes that is enrolled, the numbers of its photo and of its person."""
    query = select(Photo.sha256, Photo.id, Photo.person_id)
    with gallery.reading() as session:
        return {
            sha256: (photo, person)
            for some in chunks(hashes)
            for sha256, photo, person in session.execute(query.where(Photo.sha256.in_(some)))
        }


@needs(Right.VIEW)
def routes_of(gallery: Gallery, photos: Iterable[int]) -> dict[int, list[str]]:
    """Photo number -> names of the routes that it has templates of."""
    query = select(Template.photo_id, TemplateSpace.route).join(TemplateSpace, Template.space_id == TemplateSpace.id)
    found: dict[int, list[str]] = {number: [] for number in photos}
    with gallery.reading() as session:
        for some in chunks(sorted(found)):
            for photo, route in session.execute(query.where(Template.photo_id.in_(some)).order_by(TemplateSpace.route)):
                found[photo].append(route)
    return found


@needs(Right.VIEW)
def holdings(gallery: Gallery, number: int) -> Holdings:
    """What is stored of the person with this number."""
    photos = select(Photo.id).where(Photo.person_id == number)
    keys = or_(BackupKey.person_id == number, BackupKey.photo_id.in_(photos))
    with gallery.reading() as session:
        return Holdings(
            session.scalars(select(func.count()).select_from(photos.subquery())).one(),
            session.scalars(select(func.count(Template.id)).where(Template.photo_id.in_(photos))).one(),
            session.scalars(select(func.count(BackupKey.id)).where(keys)).one(),
        )


@needs(Right.VIEW)
def upkeep(gallery: Gallery) -> Upkeep:
    """What there is to do in a gallery."""
    with gallery.reading() as session:
        photos = session.scalars(select(func.count(Photo.id))).one()
        query = select(TemplateSpace.route, func.count(Template.id)).outerjoin(Template)
        query = query.group_by(TemplateSpace.id, TemplateSpace.route).order_by(TemplateSpace.route)
        spaces = [(route, photos - count) for route, count in session.execute(query)]
        unmeasured = session.scalars(select(func.count(Photo.id)).where(Photo.quality.is_(None))).one()
        due = session.scalars(select(func.count(Person.id)).where(Person.keep_until < today())).one()
        return Upkeep(spaces, unmeasured, due)
