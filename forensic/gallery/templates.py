"""Templates inside one transaction: store, load, count revisions. ``Gallery`` is the door to these functions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, func, select, true, update
from sqlalchemy.orm import Session

from forensic.errors import GalleryError
from forensic.gallery.models import Clock, Cohort, Person, Photo, Segment, Template, TemplateSpace
from forensic.gallery.records import Part, Space, Templates, template_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
CHUNK = 4096  # rows fetched at a time; 8 MB of 512-float templates
SEGMENT = 1 << 14
"""Photo numbers whose templates make one segment of an index: a change makes 40 MB anew, not all of it."""


def find_space(session: Session, digest: str) -> TemplateSpace | None:
    """The space's row, or None."""
    return session.scalars(select(TemplateSpace).where(TemplateSpace.digest == digest)).one_or_none()


def space_row(session: Session, space: Space) -> TemplateSpace:
    """The space's row, made if the gallery does not know it yet.

    Raises:
        GalleryError: the gallery knows this digest with another dimension.
    """
    row = find_space(session, space.digest)
    if row is None:
        row = TemplateSpace(
            digest=space.digest,
            route=space.route,
            dimension=space.dimension,
            models=dict(space.models),
            revision=0,
        )
        session.add(row)
        session.flush()
    elif row.dimension != space.dimension:
        raise GalleryError(
            f"Template space {space.digest[:12]}... has {row.dimension} dimensions in this gallery, not "
            f"{space.dimension}: two models share one digest. Name the new one differently."
        )
    return row


def touch(session: Session, space_ids: Iterable[int]) -> None:
    """Give the spaces a new revision, so that indexes built from their earlier templates are known as stale."""
    ids = set(space_ids)
    if ids:
        session.execute(update(Clock).values(revision=Clock.revision + 1))
        moment = session.scalars(select(Clock.revision)).one()
        session.execute(update(TemplateSpace).where(TemplateSpace.id.in_(ids)).values(revision=moment))


def touch_segments(session: Session, space_ids: Iterable[int], photo_ids: Iterable[int]) -> None:
    """Give the spaces a new revision, and with it the segments of these photos, whose templates changed."""
    spaces, numbers = set(space_ids), {photo // SEGMENT for photo in photo_ids}
    touch(session, spaces)
    moment = session.scalars(select(Clock.revision)).one()
    for space in sorted(spaces):
        known = {row.number: row for row in session.scalars(select(Segment).where(Segment.space_id == space))}
        for number in sorted(numbers):
            if number in known:
                known[number].revision = moment
            else:
                session.add(Segment(space_id=space, number=number, revision=moment))
    session.flush()


def state(session: Session, digests: Iterable[str]) -> tuple[int, ...]:
    """Revisions of some spaces and of the cohorts, and the newest photo's id.

    Every search asks for them, so that photos are not counted: where a space has templates of all photos, its revision
    tells of each one that goes, and the newest id of each one that comes.
    """
    spaces = (select(TemplateSpace.revision).where(TemplateSpace.digest == digest) for digest in digests)
    newest = (select(func.max(column)) for column in (Cohort.revision, Photo.id))
    row = session.execute(select(*(query.scalar_subquery() for query in (*spaces, *newest)))).one()
    return tuple(number or 0 for number in row)


def touch_people(session: Session, person_ids: Sequence[int]) -> None:
    """Give a new revision to every space that holds templates of these people, whose labels changed."""
    touch(session, _spaces_of(session, select(Photo.id).where(Photo.person_id.in_(person_ids))))


def touch_photos(session: Session, photo_ids: Sequence[int]) -> None:
    """Note that the templates of these photos, which are there still, are about to go."""
    touch_segments(session, _spaces_of(session, photo_ids), photo_ids)


def _spaces_of(session: Session, photos: Sequence[int] | Select[int]) -> Sequence[int]:
    """The spaces that hold templates of some photos."""
    return session.scalars(select(Template.space_id).where(Template.photo_id.in_(photos)).distinct()).all()


def seal(space: str, photo: str, vector: bytes) -> bytes:
    """Whose template this is: SHA-256 over the space's digest, the photo's hash and the vector."""
    return hashlib.sha256(f"{space} {photo}\n".encode() + vector).digest()


def check(space: TemplateSpace, photo: str, vector: bytes, sealed: bytes) -> None:
    """Raise GalleryError unless a template has its space's length and its own seal.

    Args:
        space: Its space.
        photo: SHA-256 of its photo.
        vector: Its bytes.
        sealed: The seal that is stored with it.
    """
    if len(vector) != 4 * space.dimension or seal(space.digest, photo, vector) != sealed:
        raise GalleryError(
            f"Templates of route {space.route!r} were altered or cut. 'forensic gallery verify' names them, "
            "'forensic gallery reindex --all' makes them anew."
        )


def add(session: Session, space: Space, vectors: Mapping[int, NDArray[np.float32]]) -> int:
    """Store templates by photo id, in place of earlier ones; ids of photos that have gone are passed over.

    Returns:
        How many were stored.
    """
    encoded = {int(photo): template_bytes(space, vector) for photo, vector in vectors.items()}
    row = space_row(session, space)
    here = Template.space_id == row.id
    stored = 0
    for some in chunks(list(encoded)):
        there = dict(session.execute(select(Photo.id, Photo.sha256).where(Photo.id.in_(some))).all())
        earlier = {t.photo_id: t for t in session.scalars(select(Template).where(here, Template.photo_id.in_(some)))}
        for photo in sorted(there):
            sealed = seal(space.digest, there[photo], encoded[photo])
            if photo in earlier:
                earlier[photo].vector, earlier[photo].seal = encoded[photo], sealed
            else:
                session.add(Template(space_id=row.id, photo_id=photo, vector=encoded[photo], seal=sealed))
        session.flush()
        stored += len(there)
    touch_segments(session, [row.id], encoded)
    return stored


def load(session: Session, digest: str) -> Templates:
    """All templates of a space, ordered by the photos' content hashes; none for an unknown space.

    Raises:
        GalleryError: a stored template does not have the space's length, or not its seal.
    """
    import numpy as np

    row = find_space(session, digest)
    if row is None:
        return Templates(np.empty((0, 0), np.float32), np.empty(0, np.int64), [], 0)
    photos, vectors, _ = _loaded(session, row, true())
    ids = np.fromiter((photo.number for photo in photos), np.int64, len(photos))
    return Templates(vectors, ids, [photo.label for photo in photos], row.revision)


def revisions(session: Session, digest: str) -> dict[int, int]:
    """The numbers of a space's segments, each with its revision; some may hold no template any more."""
    row = find_space(session, digest)
    if row is None:
        return {}
    ends = (func.min(Template.photo_id), func.max(Template.photo_id))
    first, last = (session.scalar(select(end).where(Template.space_id == row.id)) for end in ends)
    if first is None or last is None:
        return {}
    known = {one.number: one.revision for one in session.scalars(select(Segment).where(Segment.space_id == row.id))}
    return {number: known.get(number, 0) for number in range(first // SEGMENT, last // SEGMENT + 1)}


def segment_file(digest: str, number: int, revision: int) -> str:
    """Name of the index's file for one state of a segment."""
    return f"{digest[:16]}-{number}-{revision}.safetensors"


def segment_files(session: Session) -> set[str]:
    """Names of the index's files that are of the present state of some segment."""
    digests = session.scalars(select(TemplateSpace.digest)).all()
    return {segment_file(digest, *each) for digest in digests for each in revisions(session, digest).items()}


def load_segment(session: Session, digest: str, number: int) -> Part:
    """The templates of one segment of a space, ordered by the photos' content hashes.

    Raises:
        GalleryError: as for ``load``.
    """
    import numpy as np

    row = find_space(session, digest)
    if row is None:
        raise GalleryError(f"No template space {digest!r} in the gallery.")
    photos, vectors, seals = _loaded(session, row, _within(number))
    ids = np.fromiter((photo.number for photo in photos), np.int64, len(photos))
    return Part(vectors, ids, [photo.sha256 for photo in photos], merkle_root(seals))


def _within(number: int) -> ColumnElement[bool]:
    """That a template belongs to the segment of this number."""
    return Template.photo_id.between(number * SEGMENT, (number + 1) * SEGMENT - 1)


def count(session: Session, digest: str) -> int:
    """How many templates a space has."""
    query = select(func.count(Template.id)).join(TemplateSpace).where(TemplateSpace.digest == digest)
    return session.scalars(query).one()


def root(session: Session, digests: Iterable[str]) -> str:
    """`root_of` the segments of some spaces, read from the database alone."""
    roots: dict[str, list[bytes]] = {}
    for digest in digests:
        space = select(TemplateSpace.id).where(TemplateSpace.digest == digest).scalar_subquery()
        query = select(Photo.sha256, Template.seal).select_from(Template).join(Photo)
        query = query.where(Template.space_id == space)
        roots[digest] = []
        for number in sorted(revisions(session, digest)):  # all at once would be large
            found = sorted((photo, bytes(sealed)) for photo, sealed in session.execute(query.where(_within(number))))
            roots[digest].append(merkle_root([sealed for _, sealed in found]))
    return root_of(roots)


def root_of(segments: Mapping[str, Sequence[bytes]]) -> str:
    """What a search looked at: Merkle root (RFC 6962, hexadecimal) over the roots of spaces' segments.

    Spaces come in the order of their digests, a space's segments by number; a segment's root is over the seals of its
    templates, in the order of the photos' hashes.
    """
    return merkle_root([each for digest in sorted(segments) for each in segments[digest]]).hex()


class _Photo(NamedTuple):
    """What comes with a photo's template."""

    number: int
    label: str
    sha256: str


def _loaded(
    session: Session, row: TemplateSpace, which: ColumnElement[bool]
) -> tuple[list[_Photo], NDArray[np.float32], list[bytes]]:
    """Photos (number, person's label, hash) ordered by hash, and the templates and their seals in that order."""
    import numpy as np

    # The photos are sorted without their templates: a sort that spills would leave templates in the system's
    # temporary files.
    found = session.execute(
        select(Photo.id, Person.label, Photo.sha256)
        .join(Person, Person.id == Photo.person_id)
        .join(Template, Template.photo_id == Photo.id)
        .where(Template.space_id == row.id, which)
        .order_by(Photo.sha256)
    )
    photos = [_Photo(*one) for one in found]
    place = {photo.number: i for i, photo in enumerate(photos)}
    vectors: NDArray[np.float32] = np.empty((len(photos), row.dimension), np.float32)
    seals = [b""] * len(photos)
    query = select(Template.photo_id, Template.vector, Template.seal).where(Template.space_id == row.id, which)
    with session.execute(query.execution_options(yield_per=CHUNK)) as rows:
        for part in rows.partitions():
            for number, vector, sealed in part:
                check(row, photos[place[number]].sha256, vector, sealed)
            blob = b"".join(vector for _, vector, _ in part)
            vectors[[place[number] for number, _, _ in part]] = np.frombuffer(blob, "<f4").reshape(-1, row.dimension)
            for number, _, sealed in part:
                seals[place[number]] = bytes(sealed)
    return photos, vectors, seals


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Root of the hash tree over some leaves, as RFC 6962, section 2.1, defines it with SHA-256.

    >>> merkle_root([]).hex()[:16]
    'e3b0c44298fc1c14'
    """
    if not leaves:
        return hashlib.sha256().digest()
    level = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    while len(level) > 1:  # a node without a partner moves up as it is
        pairs = [hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[2 * len(pairs) :]
    return level[0]


def missing(digest: str) -> Select[int]:
    """Selects the photos without a template in the space, by number, ordered by content hash."""
    have = select(Template.photo_id).join(TemplateSpace).where(TemplateSpace.digest == digest)
    return select(Photo.id).where(Photo.id.not_in(have)).order_by(Photo.sha256)


def chunks(items: Sequence[T], size: int = 2000) -> Iterable[Sequence[T]]:
    """Cut a list into pieces short enough for one statement's parameters."""
    return (items[i : i + size] for i in range(0, len(items), size))
