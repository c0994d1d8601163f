"""What a batch of enrollments comes to: which are new, which are known, which cannot be."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy.orm import Session

from forensic.errors import UsageError
from forensic.gallery import people, templates
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
from forensic.text import forms


class Plan:
    """The batch's outcomes, and the rows and originals that are to be stored.

    Args:
        records: the batch; of equal photos the first counts.
        known: content hash -> person of the photos that are enrolled already.
        sketches: content hashes of the sketches of cases, which are never enrolled.

    Raises:
        GalleryError: a template that does not fit its space.
    """

    def __init__(
        self, records: Sequence[Enrollment], known: Mapping[str, str], sketches: Collection[str] = frozenset()
    ) -> None:
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
            if label not in forms(owner):  # a label of an earlier version may be decomposed
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
        outcome = self.outcomes[place]
        person = persons.setdefault(outcome.person, Person(label=outcome.person, extra={}))
        if kept := people.complete(person, metadata):
            message = f"{outcome.person}: {'; '.join(kept)} ('forensic gallery update' changes it)."
            self.outcomes[place] = outcome._replace(message=message)
        photo = _photo(record, person, metadata)
        session.add(photo)
        return photo

    def _people(self, session: Session) -> dict[str, Person]:
        return people.by_label(session, {self.outcomes[place].person for place, _, _ in self._fresh})


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
