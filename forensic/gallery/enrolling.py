"""What a batch of enrollments comes to: which are new, which are known, which cannot be."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from forensic.errors import UsageError
from forensic.gallery import expunging, people, templates
from forensic.gallery.models import Person, Photo, Template
from forensic.gallery.records import (
    Enrollment,
    Metadata,
    Outcome,
    landmarks,
    parse_label,
    parse_metadata,
    template_bytes,
)

KEPT = "The person is enrolled already, and what is recorded stays where the new row says something else."
DATED = "The person had no date until which they may be kept; the row's holds for all their photos now."
PAST = "The row's date until which the person may be kept has passed."


class Plan:
    """The batch's outcomes, and the rows and originals that are to be stored.

    Args:
        records: the batch; of equal photos the first counts.
        known: content hash -> person of the photos that are enrolled already.
        sketches: content hashes of the sketches of cases, which are never enrolled.
        keep_until: last day (UTC) on which new people may be kept, where their record says nothing of it.

    Raises:
        GalleryError: a template that does not fit its space.
    """

    def __init__(
        self,
        records: Sequence[Enrollment],
        known: Mapping[str, str],
        sketches: Collection[str] = frozenset(),
        keep_until: date | None = None,
    ) -> None:
        self._keep_until = keep_until
        self.outcomes: list[Outcome] = []
        self.originals: dict[str, bytes] = {}
        self._fresh: list[tuple[int, Enrollment, Metadata]] = []
        self._vectors = [{s: template_bytes(s, v) for s, v in record.templates.items()} for record in records]
        owners = dict(known)
        for place, record in enumerate(records):
            try:
                label, metadata = parse_label(record.person), parse_metadata(record.metadata)
            except UsageError as error:
                self.outcomes.append(Outcome("refused", record.person, record.sha256, str(error)))
                continue
            if record.sha256 in sketches:
                message = f"{record.file_name} is the sketch of a case: a probe is never enrolled."
                self.outcomes.append(Outcome("refused", label, record.sha256, message))
                continue
            owner = owners.setdefault(record.sha256, label)
            if owner != label:
                message = f"{record.file_name} is enrolled as {owner!r}, so not as {label!r}: the bytes are the same."
                self.outcomes.append(Outcome("conflict", label, record.sha256, message))
            elif record.sha256 in known or record.sha256 in self.originals:
                self.outcomes.append(Outcome("already", label, record.sha256))
            else:
                self.outcomes.append(Outcome("enrolled", label, record.sha256))
                self.originals[record.sha256] = record.data
                self._fresh.append((place, record, metadata))

    def store(self, session: Session) -> list[tuple[int, int]]:
        """Insert the new people, photos and templates.

        Returns:
            The new photos' ids, each with that of its person.
        """
        persons = self._people(session)
        spaces = {space for place, _, _ in self._fresh for space in self._vectors[place]}
        rows = {space: templates.space_row(session, space).id for space in sorted(spaces, key=lambda s: s.digest)}
        photos = [self._photo(session, persons, *fresh) for fresh in self._fresh]
        session.flush()  # gives the photos their ids
        for photo, (place, _, _) in zip(photos, self._fresh, strict=True):
            session.add_all(
                Template(
                    space_id=rows[space],
                    photo_id=photo.id,
                    vector=vector,
                    seal=templates.seal(space.digest, photo.sha256, vector),
                )
                for space, vector in self._vectors[place].items()
            )
        templates.touch_segments(session, rows.values(), [photo.id for photo in photos])
        return [(photo.id, photo.person_id) for photo in photos]

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

    def _complete(self, place: int, person: Person, metadata: Metadata, *, is_new: bool) -> None:
        """Fill what is not known of a person, and remark what somebody should look at."""
        had_date = person.keep_until is not None
        kept = people.complete(person, metadata)
        said, findings = kept, [KEPT] if kept else []
        if person.keep_until is not None and not had_date:
            if not is_new:
                said = [*said, f"keep_until is {person.keep_until} for all photos now, there was none before"]
                findings.append(DATED)
            if person.keep_until < expunging.today():
                said = [*said, f"keep_until {person.keep_until} has passed, so that 'forensic retention' has them due"]
                findings.append(PAST)
        if said:
            message = f"{person.label}: {'; '.join(said)} ('forensic gallery update' changes it)."
            self.outcomes[place] = self.outcomes[place]._replace(message=message, findings=tuple(findings))

    def _people(self, session: Session) -> dict[str, Person]:
        labels = sorted({self.outcomes[place].person for place, _, _ in self._fresh})
        return {
            person.label: person
            for some in templates.chunks(labels)
            for person in session.scalars(select(Person).where(Person.label.in_(some)))
        }


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
