"""What an analyst does to people who are enrolled: correct, merge, keep apart, split, and judge their photos."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from forensic.errors import DuplicateError, UsageError
from forensic.gallery import merging, people, templates
from forensic.gallery.models import Person, Photo
from forensic.gallery.photos import Photos
from forensic.gallery.records import Metadata, Shown, parse_label, parse_metadata, parse_photo_metadata
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import Storage


class Curating(Storage):
    """The part of ``Gallery`` that changes what is there; each call is one transaction with its entry in the log.

    Whoever is meant is given by label; as `Shown`, if another process may have changed who that is since somebody saw
    them: the call then raises `Changed`, and nothing is done.
    """

    @needs(Right.ENROLL)
    def update(
        self, whom: str | Shown, metadata: Mapping[str, str], *, rename: str | None = None, known: str | None = None
    ) -> Person:
        """Change a person's metadata; an empty value takes one away.

        Args:
            whom: the person.
            metadata: column -> new value.
            rename: the person's new label.
            known: `audit.digest` of what was recorded (`people.described`) when somebody decided on this.

        Raises:
            NotFound: the person is unknown.
            Changed: something else is recorded by now.
            DuplicateError: ``rename`` is someone else's label.
            UsageError: a value that cannot be stored, or a field of a photo (see ``update_photo``).
        """
        parsed = parse_metadata(metadata)
        if parsed.photo:
            raise UsageError(f"{', '.join(parsed.photo)} describes a photo, not a person: update it with --photo ID.")
        with self.writing() as session:
            person = people.find(session, whom)
            people.check_known(people.described(person), known)
            people.change(person, parsed)
            if rename is not None and (new := parse_label(rename)) != person.label:
                if people.by_label(session, [new]).get(new, person) is not person:
                    raise DuplicateError(f"{new!r} is already someone's label; {person.label!r} keeps its own.")
                person.label = new
                templates.touch_people(session, [person.id])
            self.note(session, "update", person=person.id, **people.named(parsed), renamed=rename is not None)
        return person

    @needs(Right.ENROLL)
    def update_photo(self, photo_id: int, metadata: Mapping[str, str], *, known: str | None = None) -> Photo:
        """Change a photo's ``date_taken`` or ``source``; an empty value takes it away.

        Args:
            photo_id: the photo's.
            metadata: column -> new value.
            known: as of ``update``, of `people.described_photo`.

        Raises:
            Changed: something else is recorded by now.
        """
        changes = Metadata({}, parse_photo_metadata(metadata), {})
        with self.writing() as session:
            photo = people.find_photo(session, photo_id)
            people.check_known(people.described_photo(photo), known)
            for key, value in changes.photo.items():
                setattr(photo, key, value)
            self.note(session, "update", photo=photo.id, **people.named(changes))
        return photo

    @needs(Right.ENROLL)
    def merge(self, one: str | Shown, other: str | Shown) -> list[str]:
        """Make two people one: the other's photos move, with metadata that were lacking; the other label is gone.

        Returns:
            A remark for each value of the other person that was dropped.
        """
        with self.writing() as session:
            pair = [people.find(session, whom).id for whom in (one, other)]
            remarks = merging.merge(session, one, other)
            self.note(session, "merge", people=pair)
        return remarks

    @needs(Right.ENROLL)
    def keep(self, one: str | Shown, other: str | Shown) -> bool:
        """Note that two people are two, so that they are not reported as duplicates; whether that was new."""
        with self.writing() as session:
            new = merging.keep(session, one, other)
            self.note(session, "keep", people=[people.find(session, whom).id for whom in (one, other)])
        return new

    @needs(Right.ENROLL)
    def looking_for_duplicates(self, route: str) -> None:
        """Put on record that all people are compared with each other."""
        with self.writing() as session:
            self.note(session, "duplicates", route=route)

    @needs(Right.VIEW)
    def kept(self) -> set[frozenset[str]]:
        """Labels of the pairs of people who are known to be two."""
        with self.reading() as session:
            return merging.kept(session)

    @needs(Right.ENROLL)
    def split(self, whom: str | Shown, photo_ids: Sequence[int], new: str) -> Person:
        """Give some of a person's photos to a new person, with their date alone; the two are then known to be two."""
        with self.writing() as session:
            made = merging.split(session, whom, photo_ids, new)
            self.note(session, "split", photos=sorted(photo_ids), person=made.id)
        return made

    @needs(Right.VIEW)
    def unassessed(self) -> Photos:
        """Photos whose quality was not measured, in the order of their content hashes."""
        return Photos(self, select(Photo.id).where(Photo.quality.is_(None)).order_by(Photo.sha256))

    @needs(Right.ENROLL)
    def assess(self, found: Mapping[int, Mapping[str, Any]]) -> int:
        """Keep what was measured of photos (photo id -> plain data), in place of earlier measures.

        Returns:
            How many were stored; photos that were expunged meanwhile are passed over.
        """
        stored = 0
        with self.writing() as session:
            for some in templates.chunks([int(number) for number in found]):
                for photo in session.scalars(select(Photo).where(Photo.id.in_(some))):
                    photo.quality = dict(found[photo.id])
                    stored += 1
            self.note(session, "assess", photos=sorted(found))
        return stored
