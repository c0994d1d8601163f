"""The gallery's door: people, photos and templates, by name."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from forensic.errors import GalleryError, UsageError
from forensic.gallery import assessing, cohorts, filtering, merging, people, templates
from forensic.gallery.enrolling import Plan
from forensic.gallery.filtering import Filter, Matching
from forensic.gallery.models import Cohort, Person, Photo, TemplateSpace
from forensic.gallery.objects import write_private
from forensic.gallery.records import (
    Enrollment,
    Outcome,
    Problem,
    Size,
    Space,
    Templates,
    check,
    parse_label,
    parse_metadata,
)
from forensic.gallery.storage import Storage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Gallery(Storage):
    """An enrolled gallery; use it as a context manager or call ``close``.

    Args:
        folder: where it lies.
        create: make it if it is not there.
        url: another database than the folder's ``gallery.db``, as an SQLAlchemy URL.
        patience: seconds to wait for another writer.

    Raises:
        GalleryError: no gallery there, a damaged one, one of a newer version, or one that another process keeps
            locked. Every method raises it for what goes wrong in the database or on the disk.
    """

    # Enrolling and removing

    def enroll(self, records: Sequence[Enrollment]) -> list[Outcome]:
        """Enroll a batch in one durable transaction.

        A photo (by content) is enrolled once. A new person takes the row's metadata; a known one only what it lacks.

        Returns:
            One outcome a record, in the records' order.

        Raises:
            GalleryError: a record whose hash, landmarks or templates are wrong; then none is enrolled.
        """
        for record in records:
            check(record)
        with self._exclusive():
            with self._reading() as session:
                plan = Plan(records, people.known(session, [record.sha256 for record in records]))
            if plan.originals:
                self._add(plan.originals, plan.store)
        return plan.outcomes

    def expunge(self, *labels: str) -> list[str]:
        """Remove people with their photos, originals and templates, and the index, so that no trace is left.

        Returns:
            The content hashes of the removed photos.

        Raises:
            GalleryError: a label is unknown (nobody is removed then), or another process reads without end.
        """

        def remove(session: Session) -> Sequence[str]:
            ids = [people.find(session, label).id for label in labels]
            hashes = session.scalars(select(Photo.sha256).where(Photo.person_id.in_(ids))).all()
            templates.touch_people(session, ids)
            session.execute(delete(Person).where(Person.id.in_(ids)))
            return hashes

        return self._expunge(remove)

    def expunge_photo(self, photo_id: int) -> list[str]:
        """Remove one photo as ``expunge`` does; its person too if it was the last one."""

        def remove(session: Session) -> Sequence[str]:
            photo = people.find_photo(session, photo_id)
            templates.touch_people(session, [photo.person_id])
            session.execute(delete(Photo).where(Photo.id == photo_id))
            if not session.scalars(select(func.count()).where(Photo.person_id == photo.person_id)).one():
                session.execute(delete(Person).where(Person.id == photo.person_id))
            return [photo.sha256]

        return self._expunge(remove)

    def update(self, label: str, metadata: Mapping[str, str], *, rename: str | None = None) -> Person:
        """Change a person's metadata; an empty value takes one away.

        Raises:
            GalleryError: the person is unknown, or ``rename`` is someone else's label.
            UsageError: a value that cannot be stored, or a field of a photo (see ``update_photo``).
        """
        parsed = parse_metadata(metadata)
        if parsed.photo:
            raise UsageError(f"{', '.join(parsed.photo)} describes a photo, not a person: update it with --photo ID.")
        with self.writing() as session:
            person = people.find(session, label)
            people.change(person, parsed)
            if rename is not None and (new := parse_label(rename)) != label:
                if session.scalars(select(Person.id).where(Person.label == new)).first() is not None:
                    raise GalleryError(f"{new!r} is already someone's label; {label!r} keeps its own.")
                person.label = new
                templates.touch_people(session, [person.id])
        return person

    def update_photo(self, photo_id: int, metadata: Mapping[str, str]) -> Photo:
        """Change a photo's ``date_taken`` or ``source``; an empty value takes it away."""
        parsed = parse_metadata(metadata)
        if others := [*parsed.person, *parsed.extra]:
            raise UsageError(f"{', '.join(others)} describes a person, not a photo: update it with PERSON.")
        with self.writing() as session:
            photo = people.find_photo(session, photo_id)
            for key, value in parsed.photo.items():
                setattr(photo, key, value)
        return photo

    # Duplicates and quality

    def merge(self, label: str, other: str) -> list[str]:
        """Make two people one: the other's photos move, with metadata that were lacking; the other label is gone.

        Returns:
            A remark for each value of the other person that was dropped.
        """
        with self.writing() as session:
            return merging.merge(session, label, other)

    def keep(self, label: str, other: str) -> bool:
        """Note that two people are two, so that they are not reported as duplicates; whether that was new."""
        with self.writing() as session:
            return merging.keep(session, label, other)

    def kept(self) -> set[frozenset[str]]:
        """Labels of the pairs of people who are known to be two."""
        with self.reading() as session:
            return merging.kept(session)

    def split(self, label: str, photo_ids: Sequence[int], new: str) -> Person:
        """Give some of a person's photos to a new person without metadata; the two are then known to be two."""
        with self.writing() as session:
            return merging.split(session, label, photo_ids, new)

    def unassessed(self) -> list[Photo]:
        """Photos whose quality was not measured, in the order of their content hashes."""
        with self.reading() as session:
            return assessing.lacking(session)

    def assess(self, found: Mapping[int, Mapping[str, Any]]) -> int:
        """Keep what was measured of photos (photo id -> plain data); how many of them are still enrolled."""
        with self.writing() as session:
            return assessing.note(session, found)

    # Looking up

    def known(self, hashes: Sequence[str]) -> dict[str, str]:
        """For each of these content hashes that is enrolled, the label of its person."""
        with self.reading() as session:
            return people.known(session, hashes)

    def size(self) -> Size:
        """How many people and photos are enrolled."""
        with self.reading() as session:
            return Size(*(session.scalars(select(func.count(table.id))).one() for table in (Person, Photo)))

    def people(
        self, where: Mapping[str, str] | None = None, *, limit: int | None = None, offset: int = 0
    ) -> list[Person]:
        """People in the order of their labels whose metadata equal ``where`` (column -> value)."""
        with self.reading() as session:
            return people.listed(session, where or {}, limit, offset)

    def person(self, label: str) -> Person:
        """The person with this label."""
        with self.reading() as session:
            return people.find(session, label)

    def photos(self, label: str | None = None) -> list[Photo]:
        """Photos of a person, or of all, in the order of their content hashes."""
        query = select(Photo).order_by(Photo.sha256)
        with self.reading() as session:
            if label is not None:
                query = query.where(Photo.person_id == people.find(session, label).id)
            return list(session.scalars(query))

    def photo(self, photo_id: int) -> Photo:
        """The photo with this id."""
        with self.reading() as session:
            return people.find_photo(session, photo_id)

    def labels(self, photo_ids: "Iterable[int] | NDArray[np.int64]") -> dict[int, str]:
        """Photo id -> label of its person, for those of the photos that are enrolled."""
        with self.reading() as session:
            return people.labels(session, photo_ids)

    def matching(self, chosen: Filter) -> Matching:
        """The photos of the people whom a filter keeps, and how many it leaves out.

        Raises:
            UsageError: nobody has a value of one of the columns, or nobody fulfils one of the conditions.
        """
        with self.reading() as session:
            return filtering.matching(session, chosen)

    def photo_bytes(self, photo: Photo | int) -> bytes:
        """The original of a photo, after a check of its hash.

        Raises:
            GalleryError: the original is missing or altered.
        """
        if isinstance(photo, int):
            photo = self.photo(photo)
        path = self.objects.path(photo.sha256)
        mend = "Restore it from a backup, or expunge the photo and enroll it again."
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            message = f"The original of photo {photo.id} ({photo.person.label}) is missing: {path}. {mend}"
            raise GalleryError(message) from error
        if hashlib.sha256(data).hexdigest() != photo.sha256:
            raise GalleryError(f"The original of photo {photo.id} ({photo.person.label}) was altered: {path}. {mend}")
        return data

    # Templates

    def spaces(self) -> list[TemplateSpace]:
        """The template spaces, by route."""
        with self.reading() as session:
            return list(session.scalars(select(TemplateSpace).order_by(TemplateSpace.route, TemplateSpace.digest)))

    def templates(self, space: str) -> Templates:
        """All templates of the space with this digest; none for an unknown one."""
        with self.reading() as session:
            return templates.load(session, space)

    def missing(self, space: str) -> list[Photo]:
        """Photos without a template in the space with this digest, in the order of their content hashes."""
        with self.reading() as session:
            return templates.missing(session, space)

    def add_templates(self, space: Space, vectors: "Mapping[int, NDArray[np.float32]]") -> int:
        """Store templates (photo id -> unit vector) in one durable transaction, in place of earlier ones.

        Returns:
            How many were stored; photos that were expunged meanwhile are passed over.
        """
        with self.writing() as session:
            return templates.add(session, space, vectors)

    def drop_space(self, space: str) -> None:
        """Remove the space with this digest and its templates.

        Raises:
            GalleryError: there is none.
        """
        with self.writing() as session:
            row = templates.find_space(session, space)
            if row is None:
                raise GalleryError(f"No template space {space!r} in the gallery.")
            session.execute(delete(TemplateSpace).where(TemplateSpace.id == row.id))

    def revision(self, space: str) -> int:
        """A number that changes with the space's templates and their labels; 0 for an unknown space."""
        with self.reading() as session:
            row = templates.find_space(session, space)
            return 0 if row is None else row.revision

    def save_index(self, name: str, data: bytes, *, space: str, revision: int) -> bool:
        """Keep an index as ``index_folder / name`` unless its space has changed since ``revision``.

        The lock is held, so that no index of someone just expunged can be left behind.

        Returns:
            Whether it was kept.
        """
        with self._exclusive():
            if self.revision(space) != revision:
                return False
            self.index_folder.mkdir(mode=0o700, exist_ok=True)
            write_private({self.index_folder / name: data})
            return True

    # The agency's own cohort

    def add_cohort(self, key: str, sketches: "Mapping[str, NDArray[np.float32]]", *, route: str = "") -> int:
        """Store templates of unlabelled sketches in one durable transaction, in place of earlier ones.

        Args:
            key: digest of the models that described them, as ``forensic.matching.key`` gives it.
            sketches: SHA-256 of a sketch's file -> its template as a probe, a unit vector.
            route: name of the route, to show.

        Returns:
            How many of the sketches were not there before.
        """
        with self.writing() as session:
            return cohorts.add(session, key, route, sketches)

    def cohort(self, keys: Iterable[str]) -> "dict[str, NDArray[np.float32]]":
        """Key -> templates of its sketches, shape (n, dimension), by their files' hashes; no entry for none."""
        with self.reading() as session:
            return cohorts.load(session, keys)

    def cohorts(self) -> list[Cohort]:
        """The cohorts, by route."""
        with self.reading() as session:
            return list(session.scalars(select(Cohort).order_by(Cohort.route, Cohort.key)))

    def cohort_size(self) -> dict[str, int]:
        """Key -> number of sketches; empty where there is no cohort."""
        with self.reading() as session:
            return cohorts.size(session)

    def in_cohort(self, key: str, hashes: Sequence[str]) -> set[str]:
        """Those of these files' hashes whose sketches the cohort of a key holds."""
        with self.reading() as session:
            return cohorts.held(session, key, hashes)

    def cohort_revision(self) -> int:
        """A number that is another one after every change of the cohorts; 0 for none."""
        with self.reading() as session:
            return cohorts.revision(session)

    def clear_cohort(self) -> int:
        """Remove all cohorts, so that no trace of them is left.

        Returns:
            How many sketches were removed.
        """
        return len(self._expunge(cohorts.clear))

    # Checking

    def verify(self) -> list[Problem]:
        """Everything that is wrong with the gallery; an empty list for a sound one."""
        from forensic.gallery.verifying import verify

        return verify(self)

    def digest(self) -> str:
        """SHA-256 over people, metadata, photos' hashes, templates and cohorts, whatever the order of enrollment."""
        from forensic.gallery.verifying import digest

        return digest(self)
