"""What a batch of enrollments comes to: which are new, which are known, which cannot be."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from forensic.errors import UsageError
from forensic.gallery import expunging, people, templates
from forensic.gallery.models import Person, Photo, Template
from forensic.gallery.records import (
    Enrollment,
    Metadata,
    Outcome,
    Repeated,
    landmarks,
    parse_label,
    parse_metadata,
    template_bytes,
)
from forensic.text import forms

KEPT = "The person is enrolled already, and what is recorded stays where the new row says something else."
DATED = "The person had no date until which they may be kept; the row's holds for all their photos now."
SKETCH = "It is the sketch of a case: a probe is never enrolled."
COHORT = (
    "It is in the gallery's own cohort, whose templates would outlast its expunging: enroll another file, or clear the "
    "cohort ('forensic cohort clear') and add the sketches without it."
)
PAST = "The row's date until which the person may be kept has passed."


class Stored(NamedTuple):
    """What a batch changed.

    Args:
        photos: the new photos' ids, each with that of its person.
        updates: what photos that were there brought to light of people and of themselves, as the log has it.
    """

    photos: list[tuple[int, int]]
    updates: list[dict[str, object]]


class Plan:
    """The batch's outcomes, and the rows and originals that are to be stored.

    Args:
        records: the batch; of equal photos the first counts, and what others say of the person completes it.
        known: content hash -> person of the photos that are enrolled already.
        kept_out: why files are not enrolled (`SKETCH`, `COHORT`) -> the content hashes of those files.
        keep_until: last day (UTC) on which new people may be kept, where their record says nothing of it.

    Raises:
        GalleryError: a template that does not fit its space.
    """

    def __init__(
        self,
        records: Sequence[Enrollment | Repeated],
        known: Mapping[str, str],
        kept_out: Mapping[str, Collection[str]] = MappingProxyType({}),
        keep_until: date | None = None,
    ) -> None:
        self._keep_until = keep_until
        self.outcomes: list[Outcome] = []
        self.originals: dict[str, bytes] = {}
        self._rows: list[tuple[int, Enrollment | Repeated, Metadata]] = []  # what is stored, or may be news
        self._vectors = [
            {s: template_bytes(s, v) for s, v in record.templates.items()} if isinstance(record, Enrollment) else {}
            for record in records
        ]
        owners = dict(known)
        for place, record in enumerate(records):
            try:
                label, metadata = parse_label(record.person), parse_metadata(record.metadata)
            except UsageError as error:
                self.outcomes.append(Outcome("refused", record.person, record.sha256, str(error)))
                continue
            why = next((why for why, hashes in kept_out.items() if record.sha256 in hashes), None)
            if why == SKETCH or (why == COHORT and record.sha256 not in known):  # an earlier version took both
                self.outcomes.append(Outcome("refused", label, record.sha256, why, (why,)))
                continue
            owner = owners.setdefault(record.sha256, label)
            if label not in forms(owner):  # a label of an earlier version may be decomposed
                message = f"{record.file_name} is enrolled as {owner!r}, so not as {label!r}: the bytes are the same."
                self.outcomes.append(Outcome("conflict", label, record.sha256, message))
            elif record.sha256 in known or record.sha256 in self.originals:
                self.outcomes.append(Outcome("already", label, record.sha256))
                self._rows.append((place, record, metadata))
            elif isinstance(record, Repeated):  # somebody expunged it since it was found
                self.outcomes.append(Outcome("already", label, record.sha256))
            else:
                self.outcomes.append(Outcome("enrolled", label, record.sha256))
                self.originals[record.sha256] = record.data
                self._rows.append((place, record, metadata))

    def is_news(self, session: Session) -> bool:
        """Whether anything is to be stored; if not, outcomes remark what is contradicted all the same."""
        if self.originals:
            return True
        persons, photos, news = self._people(session), self._photos(session), False
        for place, record, metadata in self._rows:
            said = persons[self.outcomes[place].person], metadata, photos[record.sha256]
            news = any(people.lacking(*said)) or news
            self._remark(place, people.contradictions(*said))
        return news

    def store(self, session: Session) -> Stored:
        """Insert the new people, photos and templates, and complete what is known of others."""
        persons, photos = self._people(session), self._photos(session)
        fresh: list[tuple[int, Photo]] = []
        updates: list[tuple[Person, Photo, Metadata]] = []
        for place, record, metadata in self._rows:
            if self.outcomes[place].status == "enrolled":
                assert isinstance(record, Enrollment)
                photos[record.sha256] = self._photo(session, persons, place, record, metadata)
                fresh.append((place, photos[record.sha256]))
            else:
                person, photo = persons[self.outcomes[place].person], photos[record.sha256]
                updates.append((person, photo, people.lacking(person, metadata, photo)))
                self._complete(place, person, metadata, photo)
        spaces = {space for place, _ in fresh for space in self._vectors[place]}
        rows = {space: templates.space_row(session, space).id for space in sorted(spaces, key=lambda s: s.digest)}
        session.flush()  # gives the photos their ids
        for place, photo in fresh:
            session.add_all(
                Template(
                    space_id=rows[space],
                    photo_id=photo.id,
                    vector=vector,
                    seal=templates.seal(space.digest, photo.sha256, vector),
                )
                for space, vector in self._vectors[place].items()
            )
        if fresh:
            templates.touch_segments(session, rows.values(), [photo.id for _, photo in fresh])
        return Stored([(photo.id, photo.person_id) for _, photo in fresh], list(_logged(updates)))

    def _photo(
        self, session: Session, persons: dict[str, Person], place: int, record: Enrollment, metadata: Metadata
    ) -> Photo:
        label = self.outcomes[place].person
        is_new = label not in persons
        person = persons.setdefault(label, Person(label=label, extra={}))
        self._complete(place, person, metadata, is_new=is_new)
        if is_new and person.keep_until is None:
            person.keep_until = self._keep_until
        photo = _photo(record, person, metadata)
        session.add(photo)
        return photo

    def _complete(
        self, place: int, person: Person, metadata: Metadata, photo: Photo | None = None, *, is_new: bool = False
    ) -> None:
        """Fill what is not known of a person, and of a photo that was there."""
        had_date = person.keep_until is not None
        kept = people.complete(person, metadata, photo)
        self._remark(place, kept, None if had_date else person.keep_until, is_new=is_new)

    def _remark(self, place: int, kept: Sequence[str], until: date | None = None, *, is_new: bool = False) -> None:
        """Say what somebody should look at: values that were kept, and a date that the person did not have."""
        said, findings = [*kept], [KEPT] if kept else []
        if until is not None:
            if not is_new:
                said.append(f"keep_until is {until} for all photos now, there was none before")
                findings.append(DATED)
            if until < expunging.today():
                said.append(f"keep_until {until} has passed, so that 'forensic retention apply' expunges them")
                findings.append(PAST)
        if said:
            outcome = self.outcomes[place]
            message = f"{outcome.person}: {'; '.join(said)} ('forensic gallery update' changes it)."
            self.outcomes[place] = outcome._replace(message=message, findings=tuple(findings))

    def _people(self, session: Session) -> dict[str, Person]:
        return people.by_label(session, {self.outcomes[place].person for place, _, _ in self._rows})

    def _photos(self, session: Session) -> dict[str, Photo]:
        """The photos that were there, by their hashes."""
        hashes = [record.sha256 for place, record, _ in self._rows if self.outcomes[place].status == "already"]
        return {
            photo.sha256: photo
            for some in templates.chunks(hashes)
            for photo in session.scalars(select(Photo).where(Photo.sha256.in_(some)))
        }


def _logged(updates: Sequence[tuple[Person, Photo, Metadata]]) -> Iterator[dict[str, object]]:
    """What rows of known photos completed, as the log tells an update."""
    for person, photo, fresh in updates:
        if fresh.person or fresh.extra:
            yield {"person": person.id, **people.named(fresh._replace(photo={}))}
        if fresh.photo:
            yield {"photo": photo.id, **people.named(Metadata({}, fresh.photo, {}))}


def check_day(keep_until: date | None) -> None:
    """Refuse a day for new people that has passed: the next round of retention would expunge them.

    Raises:
        UsageError: it has.
    """
    if keep_until is not None and keep_until < (day := expunging.today()):
        raise UsageError(
            f"{keep_until} has passed, and nobody can be enrolled to be kept until then: today is {day} (UTC). "
            "Give a later day."
        )


def _photo(record: Enrollment, person: Person, metadata: Metadata) -> Photo:
    return Photo(
        person=person,
        sha256=record.sha256,
        file_name=record.file_name.encode(errors="replace").decode(),  # names need not be Unicode
        format=record.format,
        width=record.size[0],
        height=record.size[1],
        date_taken=metadata.photo.get("date_taken"),
        source=metadata.photo.get("source"),
        landmarks=landmarks(record),
        detector=record.method,
        detector_score=float(record.score),
        warnings=list(record.warnings),
        quality=None if record.quality is None else dict(record.quality),
    )
