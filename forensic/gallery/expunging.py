"""How people leave a gallery for good: named, photo by photo, or all whose time has passed."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from forensic.errors import Changed, GalleryError, UsageError
from forensic.gallery import cohorts, database, engines, journal, people, serving, templates
from forensic.gallery.backup import keyfiles
from forensic.gallery.models import Person, Photo, now
from forensic.gallery.records import Shown
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import Storage
from forensic.text import mentions, tidy

LONGEST_REASON = 500


class Due(NamedTuple):
    """A person who may be kept until a certain day.

    Attributes:
        number: The person's id: what the log says instead of the label.
        keep_until: The last day, in UTC, on which they may be kept.
        photos: How many there are of them.
        photo_ids: Which they are.
    """

    label: str
    number: int
    keep_until: date
    photos: int
    photo_ids: frozenset[int]


class Expunging(Storage):
    """The part of ``Gallery`` that removes people so that no trace is left.

    The log keeps an entry without personal data, the tombstone: `forensic.gallery.checks.proving` checks against it.
    """

    @needs(Right.EXPUNGE)
    def expunge(self, *people_meant: str | Shown, reason: str = "") -> list[str]:
        """Remove people with their photos, originals and templates, and the index, so that no trace is left.

        Args:
            people_meant: labels; or `Shown`, for whom somebody was asked about: they alone may go then.
            reason: why, such as an order's number; it stays in the log for good, so that it must not name the person.

        Returns:
            The content hashes of the removed photos.

        Raises:
            GalleryError: a label is unknown (nobody is removed then), or another process reads without end.
            Changed: one who was shown is another by now, or has other photos; nobody is removed.
            UsageError: the reason names one of them, or is too long; or a label is two people's.
        """

        def remove(session: Session) -> Sequence[str]:
            gone = [people.alone(session, whom) for whom in people_meant]
            return self._removed(session, sorted({person.id for person in gone}), **_why(reason, gone))

        return self._expunge(remove)

    @needs(Right.EXPUNGE)
    def expunge_photo(
        self, photo_id: int, *, reason: str = "", owner: int | None = None, last: bool | None = None
    ) -> list[str]:
        """Remove one photo as ``expunge`` does; its person too if it was the last one.

        Args:
            photo_id: the photo's.
            reason: as of ``expunge``.
            owner: number of the person as whose photo it was shown.
            last: whether it was shown as the last one, so that the person goes too.

        Raises:
            Changed: it is another one's since, or became the last one, or is no longer; nothing is removed.
        """

        def remove(session: Session) -> Sequence[str]:
            photo = people.find_photo(session, photo_id)
            why = _why(reason, [photo.person])
            gone = session.scalars(select(func.count()).where(Photo.person_id == photo.person_id)).one() == 1
            if owner not in (None, photo.person_id):
                how = "another one's"
            elif last not in (None, gone):
                how = "the last one now" if gone else "no longer the last one"
            else:
                how = ""
            if how:
                raise Changed(f"Photo {photo_id} was changed since it was shown ({how}): look again. Nothing was done.")
            templates.touch_photos(session, [photo_id])
            session.execute(delete(Photo).where(Photo.id == photo_id))
            if gone:
                session.execute(delete(Person).where(Person.id == photo.person_id))
            return self._note_removed(session, [photo.person_id] if gone else [], {photo_id: photo.sha256}, **why)

        return self._expunge(remove)

    @needs(Right.VIEW)
    def due(self, before: date | None = None) -> list[Due]:
        """Whoever has a date until which they may be kept, the earliest first.

        Args:
            before: only those whose date is before this day: who would be expunged on it.
        """
        with self.reading() as session:
            return _due(session, before)

    @needs(Right.EXPUNGE)
    def expunge_due(self, shown: Collection[Due] | None = None) -> list[Due]:
        """Expunge everybody whose date has passed, in one act; on the day itself (in UTC) they are still kept.

        Args:
            shown: those alone of whom somebody was told that they are due; whoever has other photos by now is left.

        Returns:
            Who was removed.

        Raises:
            GalleryError: another process reads without end.
        """
        found: list[Due] = []

        def remove(session: Session) -> Sequence[str]:
            day = today()
            told = None if shown is None else {(one.number, one.photo_ids) for one in shown}
            found.extend(one for one in _due(session, day) if told is None or (one.number, one.photo_ids) in told)
            numbers = [person.number for person in found]
            return self._removed(session, numbers, reason="retention", day=day.isoformat()) if found else []

        if self.due(today()):  # nobody is due: nothing to wipe
            self._expunge(remove)
        return found

    def _removed(self, session: Session, numbers: Sequence[int], **why: str) -> list[str]:
        """Delete people's rows and note it; the hashes of their photos."""
        photos: dict[int, str] = {}
        for some in templates.chunks(numbers):
            photos.update(session.execute(select(Photo.id, Photo.sha256).where(Photo.person_id.in_(some))).all())
        for part in templates.chunks(list(photos)):
            templates.touch_photos(session, part)
        for some in templates.chunks(numbers):
            session.execute(delete(Person).where(Person.id.in_(some)))
        return self._note_removed(session, numbers, photos, **why)

    def _note_removed(
        self, session: Session, numbers: Sequence[int], photos: Mapping[int, str], **why: str
    ) -> list[str]:
        """Take what is left of photos (id -> hash) out of engine and cohorts, and note it; the hashes."""
        engines.owe(session, list(photos))
        hashes = list(photos.values())
        count = cohorts.forget(session, hashes)
        taken = {"cohort": count} if count else {}
        self.note(session, "expunge", people=list(numbers), photos=list(photos), **taken, **why)
        return hashes

    def _expunge(self, remove: Callable[[Session], Iterable[str]]) -> list[str]:
        """Remove rows, then the originals whose hashes ``remove`` returns, then all traces."""
        with self._exclusive():
            with self._transaction() as session:
                with keyfiles.destroying(session):
                    hashes = sorted(remove(session))
                journal.note(session, hashes, expunged=True)
            faults = [
                self._wipe(bool(hashes)),
                keyfiles.shred(self._transaction, self._name),
                serving.forget(self),
                engines.settle(self),
            ]
            if any(faults):
                raise GalleryError(f"They are out of the gallery, but {' Besides, '.join(filter(None, faults))}")
        return hashes

    def _wipe(self, photos: bool) -> str:
        """Wipe what was just removed; or why it could not be wiped yet: the next writer tries again."""
        where = self._name
        try:
            if photos:
                settled = journal.settle(self, database.BUSY_SECONDS)
            else:
                settled = database.scrub(self.engine, vacuum=True)
            reason, cure = "another process is reading it", "end that process"
        except (SQLAlchemyError, OSError) as error:
            settled, reason, cure = False, _words(error), "see to that"
            where = getattr(error, "filename", None) or where
        if settled:
            return ""
        return f"{reason}, so that traces may remain in {where}: {cure}; the next use of the gallery then wipes them."


def _words(error: SQLAlchemyError | OSError) -> str:
    if isinstance(error, OSError):
        return str(error.strerror or error)
    return str(getattr(error, "orig", None) or error)


def today() -> date:
    """The present day in UTC."""
    return now().date()


def _why(reason: str, gone: Iterable[Person]) -> dict[str, str]:
    """The reason as the log keeps it: nothing in it may tell who was removed.

    Raises:
        UsageError: it names somebody, or is too long.
    """
    reason = tidy(reason)
    if len(reason) > LONGEST_REASON:
        raise UsageError(f"The reason has {len(reason)} characters; expected at most {LONGEST_REASON}.")
    for person in gone:
        for name in filter(None, (person.label, person.name)):
            if mentions(reason, name):
                raise UsageError(
                    "The reason names the person, and it stays in the log for good. Give an order's or a file's number."
                )
    return {"reason": reason} if reason else {}


def _due(session: Session, before: date | None) -> list[Due]:
    query = select(Person).where(Person.keep_until.is_not(None)).order_by(Person.keep_until, Person.label)
    if before is not None:
        query = query.where(Person.keep_until < before)
    found = session.scalars(query).all()
    photos: dict[int, set[int]] = {person.id: set() for person in found}
    for some in templates.chunks(list(photos)):
        for owner, photo in session.execute(select(Photo.person_id, Photo.id).where(Photo.person_id.in_(some))):
            photos[owner].add(photo)
    return [
        Due(person.label, person.id, person.keep_until, len(photos[person.id]), frozenset(photos[person.id]))
        for person in found
        if person.keep_until is not None  # said again for the types' sake
    ]
