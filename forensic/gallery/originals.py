"""Where a gallery's originals lie: in its folder, in another one, or in a bucket; and moving them.

The place is written down in the database. A place elsewhere says in a file of its own whose it is: this claim has to
be the one in the database before anything is written or deleted there, so that a disk that is not mounted, another
server's bucket of the same name, or another gallery's place is never taken for it.

A move copies all originals, changes the place in one transaction, and removes them where they were. Meanwhile the
database names the place that is to be emptied in the end, the new one or, once that has them, the old one: whoever
takes the lock next empties it if the move was cut off. Until then the claim of the new place says that it is
unfinished, so that a copy of the gallery's folder that was made amid a move does not empty what the move has filled.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from forensic.errors import GalleryError, UsageError
from forensic.gallery import address, serving
from forensic.gallery.casework.casework_models import Identity
from forensic.gallery.models import OriginalsPlace, Photo
from forensic.gallery.objects import OWNER, UNFINISHED, FolderStore, ObjectStore, is_original
from forensic.gallery.records import Problem
from forensic.gallery.rights import Right, needs
from forensic.gallery.templates import chunks

if TYPE_CHECKING:
    from forensic.gallery.storage import Storage
    from forensic.gallery.store import Gallery

BATCH = 32
"""Originals that are in memory at once."""
FOLDER = "objects"
LEFT = (
    "A move of the originals was cut off, and {} may hold some still: see that it can be reached and written. If it is "
    "no more: forensic gallery originals --forget."
)

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
        place = row(session)
        return _store(gallery, place.url, place.claim)


def row(session: Session) -> OriginalsPlace:
    """What the database says of them."""
    return session.get(OriginalsPlace, 1) or OriginalsPlace(id=1, unfinished=False)


def _store(gallery: Storage, url: str | None, claim: str | None = None) -> ObjectStore:
    if url is not None and not url.startswith("file://"):
        from forensic.gallery.buckets import BucketStore

        return BucketStore(url, gallery.codec, claim)
    return FolderStore(Path(_place(gallery, url)), gallery.codec, claim)


def _place(gallery: Storage, url: str | None) -> str:
    return str(gallery.home / FOLDER) if url is None else url.removeprefix("file://")


def are_elsewhere(gallery: Storage) -> bool:
    """Whether they lie in another place than the gallery's folder."""
    return gallery.objects.place != _place(gallery, None)


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


def checked(url: str) -> str:
    """The URL of a place for originals.

    Raises:
        UsageError: It is none.
    """
    from forensic import urls

    if not url.lower().startswith(("s3://", "file:///")):
        raise UsageError(f"{url}: expected s3://BUCKET/FOLDER or file:///FOLDER for the originals.")
    return urls.check(url).rstrip("/")


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
            was then. If it is the old place that cannot be emptied, there is no error: `status` tells of it.
    """
    new = None if url is None else checked(url)
    serving.check_idle(gallery)
    with gallery._exclusive():
        with gallery.reading() as session:
            now, identity = row(session), session.get_one(Identity, 1).gallery
        if now.unfinished:
            raise GalleryError(LEFT.format(_place(gallery, now.left)))
        if new == now.url:
            return
        claim = None if new is None else f"{identity} {secrets.token_hex(16)}"
        photos, there = gallery.photos(), _store(gallery, new, claim)
        _check_known(gallery.objects, [photo.sha256 for photo in photos])
        _check_free(gallery, there, new, identity)
        unfinished = None if claim is None else claim + UNFINISHED
        if unfinished is not None:
            there.own(unfinished)
        _write(gallery, OriginalsPlace(url=now.url, claim=now.claim, unfinished=True, left=new, left_claim=unfinished))
        moved = OriginalsPlace(url=new, claim=claim, unfinished=True, left=now.url, left_claim=now.claim)
        try:
            for done, some in enumerate(chunks(photos, BATCH)):
                there.write({photo.sha256: gallery.photo_bytes(photo) for photo in some})
                if progress:
                    progress(done * BATCH + len(some), len(photos))
            _write(gallery, moved, note=there.place)
        except BaseException:
            with gallery._reading() as session:
                then = row(session)
            if then.url == now.url:
                settle(gallery, then)
            raise
        gallery.objects = there
        with gallery._reading() as session:
            settle(gallery, row(session))


def _check_known(here: ObjectStore, hashes: Sequence[str]) -> None:
    """Stop before originals that no photo has are left in a place to which nobody looks any more."""
    known = {here.name(sha256) for sha256 in hashes}
    strange = [name for name in here.names() if is_original(name) and name not in known]
    if strange:
        raise GalleryError(
            f"{here.where(strange[0])}, one of {len(strange)}, is an original that no photo has: 'forensic gallery "
            "verify' says what to do with such. Move the others then."
        )


def _check_free(gallery: Storage, there: ObjectStore, url: str | None, identity: str) -> None:
    """Stop before a place that holds something, or is within another one."""
    if (found := next(there.names(), None)) is not None:
        advice = "take that away first" if url is None else "name a place where nothing is"
        raise GalleryError(f"{there.place} holds files, {found} for one: {advice}.")
    if url is None:
        return
    if (owner := there.owner()) is not None and owner.partition(" ")[0] != identity:
        raise GalleryError(f"{there.place} is the place of another gallery: name another one.")
    for above in _above(url):
        store, owner = _store(gallery, above), None
        with suppress(PermissionError):  # whoever may not look there has no originals there
            owner = store.owner()
        if owner is not None or (isinstance(store, FolderStore) and address.is_gallery(store.folder)):
            raise GalleryError(f"{there.place} lies within a gallery's place, {store.place}: name another one.")


def _above(url: str) -> Iterator[str]:
    """Every place that a place lies in.

    >>> list(_above("s3://bucket/a/b")), list(_above("file:///a/b"))
    (['s3://bucket/a', 's3://bucket'], ['file:///a', 'file:///'])
    """
    protocol, _, path = url.partition("://")
    if protocol == "file":
        yield from (f"file://{folder}" for folder in Path(path).resolve().parents)
        return
    while "/" in path:
        path = path.rpartition("/")[0]
        yield f"{protocol}://{path}"


def _write(gallery: Storage, place: OriginalsPlace, note: str | None = None) -> None:
    place.id = 1
    with gallery._transaction() as session:
        session.merge(place)
        if note is not None:
            gallery.note(session, "originals", place=note)


def is_unfinished(session: Session) -> bool:
    """Whether a move left something to `settle`."""
    return row(session).unfinished


def settle(gallery: Storage, place: OriginalsPlace) -> None:
    """Empty what a move left; the lock is held. What cannot be reached, or is not the gallery's, stays on record.

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
    left = _store(gallery, place.left)
    try:
        if place.claim is not None and gallery.objects.owner() == place.claim + UNFINISHED:
            gallery.objects.own(place.claim)
        if place.left is not None and left.owner() != place.left_claim:
            return
        left.clear()
    except OSError:
        return
    _write(gallery, OriginalsPlace(url=place.url, claim=place.claim, unfinished=False, left=None, left_claim=None))
    if place.left is not None:
        with suppress(OSError):  # it holds nothing: whoever comes next may have it
            left.discard([OWNER])


@needs(Right.ENCRYPT)
def forget(gallery: Gallery) -> None:
    """Give up what a move that was cut off left: the place is no more, which is somebody's word, and goes into the log.

    Raises:
        UsageError: There is no such.
    """
    with gallery._exclusive():  # empties it, if it can
        with gallery.reading() as session:
            now = row(session)
        if not now.unfinished:
            raise UsageError("No move left originals anywhere: there is nothing to forget.")
        place = OriginalsPlace(url=now.url, claim=now.claim, unfinished=False, left=None, left_claim=None, id=1)
        with gallery._transaction() as session:
            session.merge(place)
            gallery.note(session, "originals-forget", place=_place(gallery, now.left))


@needs(Right.VIEW)
def status(gallery: Storage) -> Status:
    """Where the originals lie."""
    with gallery.reading() as session:
        now, photos = row(session), session.scalars(select(func.count(Photo.id))).one()
    left = _place(gallery, now.left) if now.unfinished else None
    return Status(gallery.objects.place, photos, left)


def problems(gallery: Storage) -> list[Problem]:
    """What a move left, and a place that is not the gallery's."""
    with gallery.reading() as session:
        now = row(session)
    found = []
    if now.unfinished:
        found.append(Problem("originals", _place(gallery, now.left), LEFT.format("it")))
    try:
        gallery.objects.check()
    except OSError as error:
        if error.errno == errno.ENODEV:  # of others whoever lists the files tells
            found.append(Problem("originals", gallery.objects.place, f"It {error.strerror}."))
    return found
