"""Where a gallery's originals lie: in its folder, in another one, or in a bucket; and moving them.

The place is written down in the database, not in the folder, so that nobody who can write the folder alone can have
photos stored elsewhere. A move copies all originals, changes the place in one transaction, and removes them where they
were. Before the first and until the last of this the database names the place that is to be emptied in the end, the new
one or the old one, and whoever takes the lock next empties it if the move was cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from forensic.errors import GalleryError, UsageError
from forensic.gallery import serving
from forensic.gallery.casework_models import Identity
from forensic.gallery.models import OriginalsPlace, Photo
from forensic.gallery.objects import OWNER, FolderStore, ObjectStore
from forensic.gallery.records import Problem
from forensic.gallery.rights import Right, needs
from forensic.gallery.templates import chunks

if TYPE_CHECKING:
    from forensic.gallery.storage import Storage
    from forensic.gallery.store import Gallery

BATCH = 32
"""Originals that are in memory at once."""
FOLDER = "objects"
LEFT = "A move of the originals was cut off, and {} may hold some still: see that it can be reached and written."

Progress = Callable[[int, int], None]


class Status(NamedTuple):
    """Where the originals lie.

    Attributes:
        place: The folder, or the URL.
        photos: How many.
        left: Where a move that was cut off may have left some; None for nowhere.
    """

    place: str
    photos: int
    left: str | None


def find(gallery: Storage) -> ObjectStore:
    """The gallery's originals, as its database says."""
    with gallery.reading() as session:
        return _store(gallery, row(session).url)


def row(session: Session) -> OriginalsPlace:
    """What the database says of them."""
    return session.get(OriginalsPlace, 1) or OriginalsPlace(id=1, url=None, unfinished=False, left=None)


def _store(gallery: Storage, url: str | None) -> ObjectStore:
    if url is not None and not url.startswith("file://"):
        from forensic.gallery.buckets import BucketStore

        return BucketStore(url, gallery.codec)
    return FolderStore(Path(_place(gallery, url)), gallery.codec)


def _place(gallery: Storage, url: str | None) -> str:
    return str(gallery.home / FOLDER) if url is None else url.removeprefix("file://")


def are_elsewhere(gallery: Storage) -> bool:
    """Whether they lie in another place than the gallery's folder."""
    store = gallery.objects
    return not (isinstance(store, FolderStore) and store.folder.is_relative_to(gallery.folder))


def check_here(gallery: Storage) -> None:
    """Stop what works on originals in the gallery's folder alone.

    Raises:
        UsageError: They lie elsewhere.
    """
    with gallery.reading() as session:
        url = row(session).url
    if url is not None:
        raise UsageError(
            f"The originals lie in {url}: bring them into the folder first (forensic gallery originals --folder), and "
            "back afterwards."
        )


@needs(Right.ENCRYPT)
def move(gallery: Gallery, url: str | None, *, progress: Progress | None = None) -> None:
    """Have the originals lie elsewhere, and bring them there. Nobody else can write to the gallery meanwhile.

    Args:
        gallery: The gallery; no server may be running.
        url: ``s3://bucket/folder`` or ``file:///folder``, where nothing is yet; None for the gallery's own folder.
        progress: Told of photos.

    Raises:
        UsageError: The URL is none of these.
        GalleryError: The place cannot be used or holds something, or an original is missing or altered. All is as it
            was then.
    """
    new = None if url is None else _checked(gallery, url)
    serving.check_idle(gallery)
    with gallery._exclusive():
        with gallery.reading() as session:
            now = row(session)
            name = session.get_one(Identity, 1).gallery
        if now.unfinished:
            raise GalleryError(LEFT.format(_place(gallery, now.left)))
        if new == now.url:
            return
        here, there = gallery.objects, _store(gallery, new)
        there.claim(name)
        _write(gallery, url=now.url, unfinished=True, left=new)
        try:
            _copy(gallery, there, progress)
            _write(gallery, url=new, unfinished=True, left=now.url, note=there.place)
        except BaseException:
            with gallery._reading() as session:
                then = row(session)
            if then.url == now.url:
                settle(gallery, then)
            raise
        gallery.objects = there
        here.clear()
        _write(gallery, url=new, unfinished=False, left=None)


def _checked(gallery: Storage, url: str) -> str:
    from forensic import urls

    url = urls.check(url).rstrip("/")
    if not url.startswith(("s3://", "file://")):
        raise UsageError(f"{url}: expected s3://BUCKET/FOLDER or file:///FOLDER for the originals.")
    if url.startswith("file://") and Path(_place(gallery, url)).is_relative_to(gallery.folder):
        raise UsageError(f"{url} lies in the gallery's folder: leave the originals there (--folder), or name another.")
    return url


def _copy(gallery: Gallery, there: ObjectStore, progress: Progress | None) -> None:
    photos, done = gallery.photos(), 0
    for some in chunks(photos, BATCH):
        there.write({photo.sha256: gallery.photo_bytes(photo) for photo in some})
        done += len(some)
        if progress:
            progress(done, len(photos))


def _write(gallery: Storage, *, url: str | None, unfinished: bool, left: str | None, note: str | None = None) -> None:
    with gallery._transaction() as session:
        session.merge(OriginalsPlace(id=1, url=url, unfinished=unfinished, left=left))
        if note is not None:
            gallery.note(session, "originals", place=note)


def is_unfinished(session: Session) -> bool:
    """Whether a move left something to `settle`."""
    return row(session).unfinished


def settle(gallery: Storage, place: OriginalsPlace) -> None:
    """Empty what a move that was cut off left; the lock is held. What cannot be reached stays on record.

    Args:
        gallery: The gallery.
        place: What its database says.

    Raises:
        GalleryError: The gallery was opened before its originals were moved.
    """
    if _place(gallery, place.url) != gallery.objects.place:
        raise GalleryError(f"The originals of the gallery in {gallery.folder} were moved: open it again.")
    if not place.unfinished:
        return
    try:
        _store(gallery, place.left).clear()
    except (OSError, UsageError):
        return
    _write(gallery, url=place.url, unfinished=False, left=None)


@needs(Right.VIEW)
def status(gallery: Storage) -> Status:
    """Where the originals lie."""
    with gallery.reading() as session:
        now, photos = row(session), session.scalars(select(func.count(Photo.id))).one()
    left = _place(gallery, now.left) if now.unfinished else None
    return Status(gallery.objects.place, photos, left)


def problems(gallery: Storage) -> list[Problem]:
    """What a move left, and a place that is another gallery's."""
    with gallery.reading() as session:
        now, identity = row(session), session.get(Identity, 1)
    found = []
    if now.unfinished:
        found.append(Problem("originals", _place(gallery, now.left), LEFT.format("it")))
    if now.url is not None and identity is not None:
        with suppress(OSError):  # whoever lists the files tells of it
            if (owner := gallery.objects.owner()) != identity.gallery:
                said = "is missing" if owner is None else "says that it is another gallery's"
                found.append(Problem("originals", now.url, f"Its file {OWNER} {said}."))
    return found
