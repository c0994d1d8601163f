"""An agency's own cohort inside one transaction: store, load, check. ``Gallery`` is the door to these functions.

A cohort holds templates of unlabelled sketches by the agency's own artists, so that scores of their style become
comparable (``forensic.recognition.cohort``). Templates alone are kept, never the pictures, and nothing ties them to a
person of the gallery. ``key`` is a digest of the models that described them, so that templates of different models
are never mixed.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from forensic.errors import GalleryError, UsageError
from forensic.gallery import people
from forensic.gallery.models import Clock, Cohort, CohortSketch
from forensic.gallery.records import UNIT_TOLERANCE, Problem, Space, template_bytes
from forensic.gallery.templates import chunks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def add(session: Session, key: str, route: str, sketches: "Mapping[str, NDArray[np.float32]]") -> int:
    """Store sketches' templates by the hash of the sketch's file, in place of earlier ones.

    Returns:
        How many of the sketches were not there before.

    Raises:
        GalleryError: a key or hash that is none, or a template that is no unit vector of the cohort's length.
        UsageError: a file is enrolled as a photo, and its template here would outlast its expunging; none is stored.
    """
    if not key or len(key) > Cohort.KEY_LENGTH:
        raise GalleryError(f"A cohort's key is {key!r}; expected a digest of 1 to {Cohort.KEY_LENGTH} characters.")
    if not sketches:
        return 0
    row = session.scalars(select(Cohort).where(Cohort.key == key)).one_or_none()
    dimension = len(next(iter(sketches.values()))) if row is None else row.dimension
    space = Space(key, route or key, dimension, {})
    encoded = {_hash(sha256): template_bytes(space, vector) for sha256, vector in sketches.items()}
    if enrolled := people.known(session, sorted(encoded)):
        raise UsageError(
            f"The file with SHA-256 {min(enrolled)[:12]}... is enrolled as a photo of a person; a cohort holds "
            "sketches that are not. Leave it out. Nothing was added."
        )
    if row is None:
        row = Cohort(key=key, route=route, dimension=dimension, revision=0)
        session.add(row)
        session.flush()
    here = CohortSketch.cohort_id == row.id
    fresh = changed = 0
    for some in chunks(sorted(encoded)):
        there = {s.sha256: s for s in session.scalars(select(CohortSketch).where(here, CohortSketch.sha256.in_(some)))}
        for sha256 in some:
            if sha256 not in there:
                session.add(CohortSketch(cohort_id=row.id, sha256=sha256, vector=encoded[sha256]))
                fresh += 1
            elif there[sha256].vector != encoded[sha256]:
                there[sha256].vector = encoded[sha256]
                changed += 1
        session.flush()
    if fresh or changed:
        _touch(session, [row.id])
    return fresh


def load(session: Session, keys: Iterable[str]) -> "dict[str, NDArray[np.float32]]":
    """For each key that has sketches their templates, ordered by the hashes of the files, shape (n, dimension).

    Raises:
        GalleryError: a stored template does not have its cohort's length.
    """
    import numpy as np

    found = {}
    rows = session.scalars(select(Cohort).where(Cohort.key.in_(list(keys))).order_by(Cohort.key))
    for row in rows.all():
        vectors = [vector for _, vector in _sketches(session, row)]
        if any(len(vector) != 4 * row.dimension for vector in vectors):
            raise GalleryError(
                f"The cohort of route {row.route!r} is damaged: not {row.dimension} floats a sketch. Clear it and add "
                "the sketches again: forensic cohort clear; forensic cohort add"
            )
        if vectors:
            table = np.frombuffer(b"".join(vectors), "<f4").reshape(-1, row.dimension)
            found[row.key] = table.astype(np.float32)  # a copy that may be written to
    return found


def size(session: Session) -> dict[str, int]:
    """Key -> number of sketches."""
    query = select(Cohort.key, func.count(CohortSketch.id)).join(CohortSketch).group_by(Cohort.key)
    return {row[0]: row[1] for row in session.execute(query.order_by(Cohort.key))}


def held(session: Session, key: str, hashes: Sequence[str]) -> set[str]:
    """Those of the files' hashes that the cohort of a key holds."""
    query = select(CohortSketch.sha256).join(Cohort).where(Cohort.key == key)
    return {sha256 for some in chunks(hashes) for sha256 in session.scalars(query.where(CohortSketch.sha256.in_(some)))}


def among(session: Session, hashes: Sequence[str]) -> set[str]:
    """Those of the files' hashes that any cohort holds."""
    query = select(CohortSketch.sha256).distinct()
    return {sha256 for some in chunks(hashes) for sha256 in session.scalars(query.where(CohortSketch.sha256.in_(some)))}


def forget(session: Session, photos: Sequence[str]) -> int:
    """Remove the templates of photos that are expunged: an earlier version let a photo be in a cohort too.

    Returns:
        How many there were.
    """
    query = select(CohortSketch)
    gone = [row for some in chunks(photos) for row in session.scalars(query.where(CohortSketch.sha256.in_(some)))]
    for row in gone:
        session.delete(row)
    _touch(session, {row.cohort_id for row in gone})
    return len(gone)


def clear(session: Session) -> Sequence[str]:
    """Remove all cohorts.

    Returns:
        The hashes of the sketches that were in them.
    """
    hashes = session.scalars(select(CohortSketch.sha256).distinct()).all()
    session.execute(delete(Cohort))
    return hashes


def problems(session: Session) -> Iterator[Problem]:
    """What is wrong with the cohorts' templates: length, finiteness, dimension."""
    import numpy as np

    for row in session.scalars(select(Cohort).order_by(Cohort.key)).all():
        for sha256, vector in _sketches(session, row):
            if len(vector) != 4 * row.dimension:
                fault = f"{len(vector)} bytes, not {4 * row.dimension}"
            else:
                norm = float(np.linalg.norm(np.frombuffer(vector, "<f4").astype(np.float64)))
                if abs(norm - 1.0) <= UNIT_TOLERANCE:
                    continue
                fault = f"length {norm:.6g}, not 1"
            yield Problem(
                "cohort",
                f"sketch {sha256[:12]}...",
                f"Has a template of route {row.route} of {fault}: clear the cohort and add the sketches again "
                "('forensic cohort').",
            )


def entries(session: Session) -> Iterator[tuple[str, str, bytes]]:
    """Key, file's hash and template of every sketch, in that order."""
    for row in session.scalars(select(Cohort).order_by(Cohort.key)).all():
        for sha256, vector in _sketches(session, row):
            yield row.key, sha256, vector


def _touch(session: Session, ids: Collection[int]) -> None:
    """Give cohorts a new revision, by which whoever has loaded them learns that they changed."""
    if ids:
        session.execute(update(Clock).values(revision=Clock.revision + 1))
        moment = session.scalars(select(Clock.revision)).one()
        session.execute(update(Cohort).where(Cohort.id.in_(ids)).values(revision=moment))


def _sketches(session: Session, row: Cohort) -> Sequence[tuple[str, bytes]]:
    """Hash and template of a cohort's sketches, by hash.

    Sorted here: a sort that the database spills would leave templates in the system's temporary files.
    """
    query = select(CohortSketch.sha256, CohortSketch.vector).where(CohortSketch.cohort_id == row.id)
    return sorted(((sha256, vector) for sha256, vector in session.execute(query)), key=lambda pair: pair[0])


def _hash(sha256: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise GalleryError(f"{sha256!r} is no SHA-256 of a file: expected 64 lower-case hexadecimal digits.")
    return sha256
