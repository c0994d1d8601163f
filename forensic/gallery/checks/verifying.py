"""Checks of a whole gallery, and the digest of its content."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from forensic.gallery import cohorts, database, engines, originals, users
from forensic.gallery.backup import keyfiles
from forensic.gallery.casework import held_in_log
from forensic.gallery.cipher import encrypting
from forensic.gallery.cipher.encryption import KEY_FILE, Envelope
from forensic.gallery.log import audit
from forensic.gallery.models import LooseObject, Person, Photo, Template, TemplateSpace
from forensic.gallery.objects import PARTIAL, is_original
from forensic.gallery.people import described, described_photo
from forensic.gallery.records import PERSON_FIELDS, PHOTO_FIELDS, UNIT_TOLERANCE, Problem
from forensic.gallery.storage import Storage
from forensic.gallery.templates import CHUNK, load, seal

if TYPE_CHECKING:
    from forensic.gallery.store import Gallery

PLAIN = "Lies in plain beside the encrypted gallery, and is not of it: move it elsewhere, or destroy it."
STRANGE = "Is not the gallery's, and no expunge reaches it: move it elsewhere, or delete it."
STRAY = "No photo has this file: delete it."
ORPHAN = (
    "No photo has this original, which may be the only copy of one whose row was lost: see that the database is the "
    "newest one and its log whole, then delete it, or enroll it again."
)


def damage(gallery: Storage) -> list[Problem]:
    """What the database itself finds wrong with it; such a one is not looked into further."""
    name = Path(gallery.engine.url.database or "").name
    found = [Problem("database", name, message) for message in database.integrity(gallery.engine)]
    return found + list(_permissions(gallery.folder)) if found else []


def verify(gallery: Gallery, exported: audit.Head | None = None) -> list[Problem]:
    """Everything that is wrong with a gallery whose database is not damaged."""
    problems = list(_permissions(gallery.folder))
    with gallery.reading() as session:
        problems += _people(session)
        problems += _templates(session)
        problems += cohorts.problems(session)
        problems += audit.verify(session, exported)
        entries = audit.entries(session)
        problems += held_in_log.problems(session, entries)
        problems += users.problems(session, entries)
        problems += _key(gallery, entries)
        problems += keyfiles.remaining(session, everywhere=False)
        problems += engines.problems(session)
    plain = [] if gallery.sealing is None else encrypting.plain_files(gallery.folder)
    problems += [Problem("plain", str(path), PLAIN) for path in plain]
    problems += [Problem("folder", str(path), STRANGE) for path in gallery.strange() if path not in plain]
    return [*problems, *originals.problems(gallery), *_originals(gallery), *_indexes(gallery)]


def _permissions(folder: Path) -> Iterator[Problem]:
    if os.name != "posix":  # pragma: no cover - Windows keeps access lists instead
        return
    for path in (folder, *sorted(folder.rglob("*"))):
        try:
            mode = path.stat().st_mode & 0o777  # of a link's target: a link itself is open to all, and chmod follows it
        except OSError:  # another process is at work, or a link leads nowhere
            continue
        if mode & 0o077:
            yield Problem("permissions", str(path), f"Others may use it (mode {mode:o}): chmod go= it.")


def _people(session: Session) -> Iterator[Problem]:
    for label in session.scalars(select(Person.label).where(Person.photo_count == 0).order_by(Person.label)):
        yield Problem("person", label, "Has no photo: expunge this person.")
    labels = session.scalars(select(Person.label).order_by(Person.label)).all()
    counts = Counter(unicodedata.normalize("NFC", label) for label in labels)
    for label in (label for label in counts if counts[label] > 1):
        yield Problem("person", label, "Two people have this label, in two Unicode forms: rename one, or merge them.")


def _originals(gallery: Storage) -> Iterator[Problem]:
    """Read every original without holding a transaction, then leave out what was expunged or enrolled meanwhile."""
    objects = gallery.objects
    photos, expected = _named(gallery)
    try:
        strays = [name for name in objects.names() if name not in expected]
    except OSError as error:  # then none of them could be read
        yield Problem("originals", objects.place, f"Cannot be listed ({error.strerror or error}): none was checked.")
        return
    unsound = {sha256: sound for sha256 in photos if not (sound := objects.is_sound(sha256))}
    photos, expected = _named(gallery)
    for sha256, sound in unsound.items():
        if sha256 in photos:
            what = "is missing" if sound is None else "was altered or cannot be read"
            where = objects.where(objects.name(sha256))
            yield Problem("original", photos[sha256], f"{where} {what}: restore it from a backup.")
    for name in strays:  # the journal knows all that a crash leaves: it was put there, or its photo's row was lost
        if name not in expected and objects.holds(name):
            yield Problem("stray", objects.where(name), ORPHAN if is_original(name) else STRAY)


def _named(gallery: Storage) -> tuple[dict[str, str], set[str]]:
    """Each photo's hash with its name in words, and the files that photos and the journal account for."""
    query = select(Photo.sha256, Photo.id, Person.label).join(Person).order_by(Photo.sha256)
    with gallery.reading() as session:
        photos = {sha256: f"photo {number} ({label})" for sha256, number, label in session.execute(query)}
        loose = session.scalars(select(LooseObject.sha256)).all()
    journal = {name for sha256 in loose for name in gallery.objects.both(sha256)}
    return photos, journal | {gallery.objects.name(sha256) for sha256 in photos}


def _indexes(gallery: Gallery) -> Iterator[Problem]:
    """Index files other than those that were written; a missing one is no loss, since it is only a cache."""
    for path in sorted(gallery.index_folder.glob("*")):
        if path.name.endswith(PARTIAL):  # being written, or left by a crash: never read
            continue
        if not any(_as_noted(gallery, path) for _ in range(2)):  # it may be replaced between two looks
            yield Problem("index", path.name, f"Was altered: delete {path}, the next search makes it anew.")


def _as_noted(gallery: Gallery, path: Path) -> bool:
    return gallery.load_index(path.name) is not None or not path.exists()  # expunged meanwhile


def _key(gallery: Gallery, entries: Iterable[audit.Entry]) -> Iterator[Problem]:
    """Another ``gallery.key`` than the log tells of: an older one, which a key that was given up opens, or none."""
    envelope, last = Envelope.read(gallery.folder), audit.user_key(entries)
    if envelope is None and last is not None:
        message = f"Is missing: by the log the gallery is encrypted with the key {last}, but its files are plain."
        yield Problem("key", KEY_FILE, f"{message} Bring the sealed ones back from a backup, or encrypt it anew.")
    elif envelope is not None and last not in envelope.ids:
        message = f"Is not the one of the key {last}, which the log names last: an older one was put back."
        yield Problem("key", KEY_FILE, f"{message} Rotate the key.")


def _templates(session: Session) -> Iterator[Problem]:
    for space in session.scalars(select(TemplateSpace).order_by(TemplateSpace.digest)):
        faults = template_faults(session, space)
        have = select(Template.photo_id).where(Template.space_id == space.id)
        lacking = session.scalars(select(Photo.id).where(Photo.id.not_in(have)))
        faults |= dict.fromkeys(lacking, f"has no template of route {space.route}")
        for number, fault in sorted(faults.items()):
            yield Problem("template", f"photo {number}", f"It {fault}: 'forensic gallery reindex' makes it anew.")


def template_faults(session: Session, space: TemplateSpace) -> dict[int, str]:
    """Photo id -> what is wrong with its template."""
    import numpy as np

    faults: dict[int, str] = {}
    query = select(Template.photo_id, Template.vector, Template.seal, Photo.sha256).join(Photo)
    query = query.where(Template.space_id == space.id)
    for part in session.execute(query.execution_options(yield_per=CHUNK)).partitions():
        sound = []
        for number, vector, sealed, photo in part:
            if len(vector) == 4 * space.dimension:
                sound.append((number, vector))
                if seal(space.digest, photo, vector) != sealed:
                    faults[number] = f"has a template of route {space.route} that was altered, or is another photo's"
            else:
                faults[number] = (
                    f"has a template of route {space.route} of {len(vector)} bytes, not {4 * space.dimension}"
                )
        vectors = np.frombuffer(b"".join(vector for _, vector in sound), "<f4").reshape(len(sound), space.dimension)
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
        for (number, _), norm in zip(sound, norms, strict=True):
            if not abs(norm - 1.0) <= UNIT_TOLERANCE:
                faults[number] = f"has a template of route {space.route} of length {norm:.6g}, not 1"
    return faults


def digest(gallery: Storage) -> str:
    """SHA-256 over what the gallery says of whom, and all that a search's answer hangs on.

    People, metadata, photos' hashes, templates, and the agency's own cohort, which changes scores: without one, the
    digest is what it was before there were cohorts.

    Ids, times, file names and the order of enrollment do not enter, so that an interrupted and resumed enrollment,
    or a gallery that was exported and enrolled elsewhere, has the digest of the first.
    """
    total = hashlib.sha256()

    def enter(*values: object) -> None:
        total.update(json.dumps(values, sort_keys=True, separators=(",", ":")).encode() + b"\n")

    with gallery.reading() as session:
        fields = (getattr(Person, key) for key in PERSON_FIELDS)
        people = session.execute(select(Person.label, Person.extra, *fields)).all()
        for person in sorted(people, key=lambda person: person.label):
            enter("person", person.label, described(person))
        hashes = {}
        fields = (getattr(Photo, key) for key in PHOTO_FIELDS)
        query = select(Photo.id, Photo.sha256, Person.label, *fields).join(Person).order_by(Photo.sha256)
        for photo in session.execute(query):
            hashes[photo.id] = photo.sha256
            enter("photo", photo.sha256, photo.label, described_photo(photo))
        for space in session.scalars(select(TemplateSpace.digest).order_by(TemplateSpace.digest)).all():
            found = load(session, space)
            for number, vector in zip(found.photo_ids.tolist(), found.vectors.astype("<f4", copy=False), strict=True):
                total.update(f"template {space} {hashes[number]}\n".encode() + vector.tobytes())
        for key, sha256, template in cohorts.entries(session):
            total.update(f"cohort {key} {sha256}\n".encode() + template)
    return total.hexdigest()
