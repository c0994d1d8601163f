"""The gallery's door: people, photos and templates, by name."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from forensic.errors import GalleryError
from forensic.gallery import cohorts, filtering, journal, people, users
from forensic.gallery.curating import Curating
from forensic.gallery.describing import Describing
from forensic.gallery.enrolling import COHORT, SKETCH, Plan, Stored
from forensic.gallery.expunging import Expunging
from forensic.gallery.filtering import Filter, Matching
from forensic.gallery.log import audit
from forensic.gallery.models import Cohort, Person, Photo
from forensic.gallery.photos import Photos
from forensic.gallery.records import (
    Enrollment,
    Outcome,
    Owner,
    Problem,
    Repeated,
    Size,
    check,
)
from forensic.gallery.rights import Operator, Right, needs
from forensic.gallery.rights import check as check_right

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Gallery(Curating, Expunging, Describing):
    """An enrolled gallery; use it as a context manager or call ``close``.

    Args:
        folder: where it lies.
        create: make it if it is not there.
        url: of the PostgreSQL database that a new gallery shall have in place of ``gallery.db``; the folder keeps it
            in ``database.url``, without a password, so that later it need not be given.
        patience: seconds to wait for another writer.
        key: what opens an encrypted gallery; looked for as `forensic.gallery.cipher.keys` says if it is not given.

    Attributes:
        is_new: whether this made the gallery.
        sealing: what the files of an encrypted gallery are sealed with; None for a plain one.

    Raises:
        GalleryError: no gallery there, no key to it, a damaged one, one of a newer version, or one that another
            process keeps locked. Every method raises it for what goes wrong in the database or on the disk.
    """

    def sign_in(self, name: str, password: str) -> None:
        """Say who is at work; without it, that is the account that runs the process.

        Raises:
            RightsError: No user of that name with that password.
        """
        self.operator = Operator.of_system()  # a refusal leaves nobody signed in
        self.operator = users.sign_in(self, name, password)

    # Enrolling

    @needs(Right.ENROLL)
    def enroll(self, records: Sequence[Enrollment | Repeated], *, keep_until: date | None = None) -> list[Outcome]:
        """Enroll a batch in one durable transaction.

        A photo (by content) is enrolled once. A new person takes the row's metadata; a known one only what it lacks,
        from photos that are there too.

        Args:
            records: the batch.
            keep_until: last day (UTC) on which new people may be kept, where their record says nothing of it.

        Returns:
            One outcome a record, in the records' order.

        Raises:
            GalleryError: a record whose hash, landmarks or templates are wrong; then none is enrolled.
        """
        photos = [record for record in records if isinstance(record, Enrollment)]
        for photo in photos:
            check(photo)
        if not photos and not (planned := self._planned(records, keep_until))[1]:
            return planned[0].outcomes  # without a wait for whoever is writing
        with self._exclusive():
            plan, is_news = self._planned(records, keep_until)
            if is_news:
                journal.add(self, plan.originals, lambda session: self._enrolled(session, plan.store(session)))
        return plan.outcomes

    def _planned(self, records: Sequence[Enrollment | Repeated], keep_until: date | None) -> tuple[Plan, bool]:
        """A batch's plan, and whether it changes anything."""
        hashes = [record.sha256 for record in records]
        with self.reading() as session:
            kept_out = {SKETCH: people.sketches(session, hashes), COHORT: cohorts.among(session, hashes)}
            plan = Plan(records, people.known(session, hashes), kept_out, keep_until)
            return plan, plan.is_news(session)

    def _enrolled(self, session: Session, stored: Stored) -> None:
        if stored.photos:
            numbers, owners = ([pair[side] for pair in stored.photos] for side in (0, 1))
            self.note(session, "enroll", photos=numbers, people=owners)
        for update in stored.updates:
            self.note(session, "update", **update)

    # Looking up

    @needs(Right.VIEW)
    def known(self, hashes: Sequence[str]) -> dict[str, str]:
        """For each of these content hashes that is enrolled, the label of its person."""
        with self.reading() as session:
            return people.known(session, hashes)

    def size(self) -> Size:
        """How many people and photos are enrolled."""
        with self.reading() as session:
            return Size(*(session.scalars(select(func.count(table.id))).one() for table in (Person, Photo)))

    @needs(Right.VIEW)
    def people(
        self, where: Mapping[str, str] | None = None, *, limit: int | None = None, offset: int = 0
    ) -> list[Person]:
        """People in the order of their labels whose metadata equal ``where`` (column -> value; see `people.listed`)."""
        with self.reading() as session:
            return people.listed(session, where or {}, limit, offset)

    @needs(Right.VIEW)
    def look_through(
        self, where: Mapping[str, str], *, limit: int | None = None, offset: int = 0, beyond: int = 0
    ) -> list[Person]:
        """`people` for somebody to look at: that is on record.

        Args:
            where: as for `people`.
            limit: as for `people`.
            offset: as for `people`.
            beyond: how many more than ``limit`` come back, to tell whether there are more. They are not to be shown,
                and the record does not name them.
        """
        with self.writing() as session:
            found = people.listed(session, where, None if limit is None else limit + beyond, offset)
            self.note(session, "list", people=[person.id for person in found[:limit]])
        return found

    @needs(Right.VIEW)
    def person(self, label: str) -> Person:
        """The person with this label."""
        with self.reading() as session:
            return people.find(session, label)

    @needs(Right.VIEW)
    def person_by_number(self, number: int) -> Person:
        """The person with this number, which says nothing of who it is."""
        with self.reading() as session:
            return people.by_number(session, number)

    @needs(Right.VIEW)
    def photos(self, label: str | None = None) -> Photos:
        """Photos of a person, or of all, in the order of their content hashes."""
        query = select(Photo.id).order_by(Photo.sha256)
        if label is not None:
            query = query.where(Photo.person_id == self.person(label).id)
        return Photos(self, query)

    @needs(Right.VIEW)
    def photo(self, photo_id: int) -> Photo:
        """The photo with this id."""
        with self.reading() as session:
            return people.find_photo(session, photo_id)

    @needs(Right.VIEW)
    def sample(self, count: int) -> list[Photo]:
        """A photo each of at most so many people: as if drawn by lot, and the same until the gallery changes.

        The photos' content hashes decide, in which nothing of the faces is left.
        """
        with self.reading() as session:
            return people.sample(session, count)

    @needs(Right.VIEW)
    def photos_by_number(self, photo_ids: Iterable[int]) -> dict[int, Photo]:
        """Photo id -> photo, for those that are enrolled."""
        with self.reading() as session:
            return people.photos(session, photo_ids)

    @needs(Right.VIEW)
    def view(self, label: str) -> tuple[Person, list[Photo]]:
        """A person with all photos, for somebody to look at: that is on record."""
        with self.writing() as session:
            person = people.find(session, label)
            photos = session.scalars(select(Photo).where(Photo.person_id == person.id).order_by(Photo.sha256)).all()
            self.note(session, "view", person=person.id)
        return person, list(photos)

    @needs(Right.VIEW)
    def view_photo(self, photo_id: int) -> Photo:
        """The photo with this id, for somebody to look at: that they looked at its person is on record."""
        with self.writing() as session:
            photo = people.find_photo(session, photo_id)
            self.note(session, "view", person=photo.person_id)
        return photo

    @needs(Right.VIEW)
    def owners(self, photo_ids: "Iterable[int] | NDArray[np.int64]") -> dict[int, Owner]:
        """Photo id -> number and label of its person, for those of the photos that are enrolled."""
        with self.reading() as session:
            return people.owners(session, photo_ids)

    @needs(Right.VIEW)
    def matching(self, chosen: Filter) -> Matching:
        """The photos of the people whom a filter keeps, and how many it leaves out.

        Raises:
            UsageError: nobody has a value of one of the columns, or nobody fulfils one of the conditions.
        """
        with self.reading() as session:
            return filtering.matching(session, chosen)

    @needs(Right.VIEW)
    def photo_bytes(self, photo: Photo | int) -> bytes:
        """The original of a photo, after a check of its hash.

        Raises:
            GalleryError: the original is missing or altered, or cannot be read.
        """
        if isinstance(photo, int):
            photo = self.photo(photo)
        cause: Exception
        advice = "Restore it from a backup, or expunge the photo and enroll it again."
        try:
            return self.objects.read(photo.sha256)
        except FileNotFoundError as error:
            cause, fault = error, "is missing"
        except OSError as error:
            cause, fault = error, f"cannot be read ({error.strerror or error})"
            advice = "See that it can be reached and read, and try again."
        except ValueError as error:
            cause, fault = error, "was altered"
        where = self.objects.where(self.objects.name(photo.sha256))
        raise GalleryError(
            f"The original of photo {photo.id} ({photo.person.label}) {fault}: {where}. {advice}"
        ) from cause

    # The agency's own cohort

    @needs(Right.ENROLL)
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
            fresh = cohorts.add(session, key, route, sketches)
            self.note(session, "cohort", key=key, sketches=len(sketches))
        return fresh

    @needs(Right.VIEW)
    def cohort(self, keys: Iterable[str]) -> "dict[str, NDArray[np.float32]]":
        """Key -> templates of its sketches, shape (n, dimension), by their files' hashes; no entry for none."""
        with self.reading() as session:
            return cohorts.load(session, keys)

    @needs(Right.VIEW)
    def cohorts(self) -> list[Cohort]:
        """The cohorts, by route."""
        with self.reading() as session:
            return list(session.scalars(select(Cohort).order_by(Cohort.route, Cohort.key)))

    @needs(Right.VIEW)
    def cohort_size(self) -> dict[str, int]:
        """Key -> number of sketches; empty where there is no cohort."""
        with self.reading() as session:
            return cohorts.size(session)

    @needs(Right.VIEW)
    def in_cohort(self, key: str, hashes: Sequence[str]) -> set[str]:
        """Those of these files' hashes whose sketches the cohort of a key holds."""
        with self.reading() as session:
            return cohorts.held(session, key, hashes)

    @needs(Right.ENROLL)
    def clear_cohort(self) -> int:
        """Remove all cohorts, so that no trace of them is left.

        Returns:
            How many sketches were removed.
        """

        def remove(session: Session) -> Sequence[str]:
            hashes = cohorts.clear(session)
            self.note(session, "cohort-clear", sketches=len(hashes))
            return hashes

        return len(self._expunge(remove))

    # Checking

    def verify(self, exported: audit.Head | None = None) -> list[Problem]:
        """Everything that is wrong with the gallery; an empty list for a sound one.

        Args:
            exported: an earlier head of the audit log, kept elsewhere: shows whether the log was cut or replaced.
        """
        from forensic.gallery.checks.verifying import damage, verify

        if found := damage(self):  # then it cannot be asked who may do what
            return found
        check_right(self, Right.VIEW)
        return verify(self, exported)

    @needs(Right.VIEW)
    def digest(self) -> str:
        """SHA-256 over people, metadata, photos' hashes, templates and cohorts, whatever the order of enrollment."""
        from forensic.gallery.checks.verifying import digest

        return digest(self)
