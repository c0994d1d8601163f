"""Backups of a gallery in use: sealed, incremental, read back; and the keys that an expunge takes from them."""

from __future__ import annotations

import base64
import os
import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from forensic.errors import GalleryError, UsageError
from forensic.gallery import database
from forensic.gallery.backup import keyfiles, rows
from forensic.gallery.backup.destination import Destination
from forensic.gallery.backup.keyfiles import KeyFile
from forensic.gallery.backup.snapshots import PERSON, PHOTO, Part, Snapshot, Writer
from forensic.gallery.casework.casework_models import Identity
from forensic.gallery.cipher.sealing import Key
from forensic.gallery.log import audit
from forensic.gallery.models import Backup, BackupKey, Person, Photo, now
from forensic.gallery.records import Problem
from forensic.gallery.rights import Right, needs
from forensic.gallery.store import Gallery

Progress = Callable[[int, int], object]
"""Told how much is done, of how much."""


class Made(NamedTuple):
    """A backup that was made.

    Attributes:
        number: Of the snapshot.
        people: In it.
        photos: In it.
        left_out: Photos that were expunged while it was made.
        files: How many blobs were written.
        size: Bytes written.
    """

    number: int
    people: int
    photos: int
    left_out: int
    files: int
    size: int


@needs(Right.BACKUP)
def make(
    gallery: Gallery, destination: Path, key_file: Path | None = None, *, progress: Progress | None = None
) -> Made:
    """Add a snapshot of the gallery, as it is at this moment, to a folder; others may go on working meanwhile.

    Args:
        gallery: The gallery.
        destination: New, empty, or that of this gallery's earlier backups.
        key_file: Where the keys lie; a new file at the first backup, not needed later.
        progress: Told of people and photos.

    Raises:
        UsageError: The first backup to a folder names no key file, or one that does not lie apart.
        GalleryError: The folder or the key file cannot be used, another backup to the folder is under way, the disk
            is full, or an original is damaged. The folder's earlier snapshots stay whole.
    """
    target = Destination(destination)
    path = None if key_file is None else key_file.absolute()
    _apart(gallery, target, path)
    with target.locked():
        with gallery.writing() as session:
            backup = _known(session, target, path)
        keys = KeyFile.read(Path(backup.key_file))
        target.complete(keys.master, keys.head)
        number = max([backup.number or 0, *target.numbers()]) + 1
        making = _Making(gallery, target, keys, progress)
        with gallery.frozen(lambda session: _prepare(gallery, session, backup, number)) as session:
            making.read(session)
        making.copy_originals()
        return making.finish(backup, number)


def _apart(gallery: Gallery, target: Destination, key_file: Path | None) -> None:
    """Keys in the folder of what they open would be copied, and lost, with it."""
    try:
        folders = [gallery.folder.resolve(), target.folder.resolve()]
        around = set(key_file.resolve().parents) if key_file else set()
    except (OSError, RuntimeError) as error:  # links in a circle, among others
        raise UsageError(f"{target.folder} or the key file cannot be used: {error}. Name another place.") from None
    if folders[0] in (folders[1], *folders[1].parents) or folders[1] in folders[0].parents:
        raise UsageError(f"{target.folder} and the gallery lie in one another: give a folder apart, on another disk.")
    if not around.isdisjoint(folders):
        raise UsageError(f"{key_file} lies with what it opens: keep the key file at a place apart.")


def _known(session: Session, target: Destination, key_file: Path | None) -> Backup:
    """The gallery's record of a backup, after a check of folder and key file; made for a new one."""
    name = target.name()
    here = session.scalars(select(Backup).where(Backup.name == name)).one_or_none()
    if here is not None:
        path = Path(here.key_file)
        if key_file not in (None, path) and path.exists():
            raise UsageError(
                f"The keys to {target.folder} lie in {path}; a copy at {key_file} would outlast an expunge. Move the "
                "file there, and name it again."
            )
        if key_file not in (None, path):
            keyfiles.discard_partial(path)  # nobody would look there again
        path = key_file or path
        keyfiles.belongs(session, KeyFile.read(path), here.name)
        here.key_file, here.destination = str(path), str(target.folder)
        return here
    if key_file is None:
        raise UsageError(f"The first backup to {target.folder} needs --keys FILE, at a place apart.")
    _still_there(session, target)
    if name is None or not (target.numbers() or key_file.exists()):  # new, or cut off when it had hardly begun
        name = name or secrets.token_hex(16)
        _begin(session, target, name, key_file)
    else:
        keyfiles.belongs(session, KeyFile.read(key_file), name)
    here = Backup(name=name, destination=str(target.folder), key_file=str(key_file), owes=False)
    session.add(here)
    return here


def _still_there(session: Session, target: Destination) -> None:
    """An empty folder where there were backups is more often a disk that is not mounted than a new beginning."""
    earlier = select(Backup).where(Backup.destination == str(target.folder))
    if session.scalars(earlier).first() is not None:
        raise GalleryError(
            f"The backups that were made to {target.folder} are not there: is its disk mounted? If they are gone for "
            "good, delete their key file, then 'forensic backup forget' and begin anew."
        )


def _begin(session: Session, target: Destination, name: str, key_file: Path) -> None:
    if key_file.exists():
        raise UsageError(f"{key_file} is there already; a new backup needs a new key file.")
    if not key_file.parent.is_dir():
        raise UsageError(f"{key_file.parent} is no folder: make it, or name another place for the key file.")
    target.begin(name)
    KeyFile(key_file, name, session.get_one(Identity, 1).gallery, Key.new(), None, {}).write()


def _prepare(gallery: Gallery, session: Session, backup: Backup, number: int) -> None:
    """Give everybody who lacks one a key, and put on record that data leave the gallery."""
    for table, column in ((Person, BackupKey.person_id), (Photo, BackupKey.photo_id)):
        query = select(table.id).outerjoin(BackupKey, column == table.id).where(column.is_(None))
        if lacking := session.scalars(query).all():
            fresh = [{column.key: number, "secret": secrets.token_bytes(32)} for number in lacking]
            session.execute(insert(BackupKey), fresh)
    gallery.note(session, "backup", backup=backup.name, number=number, destination=backup.destination)


class _Expunged(Exception):
    """A photo left the gallery while it was backed up."""


class _Making:
    """One backup under way."""

    def __init__(self, gallery: Gallery, target: Destination, keys: KeyFile, progress: Progress | None) -> None:
        self.gallery, self.target, self.keys = gallery, target, keys
        self.writer = Writer(target)
        self.parts: list[Part] = []
        self.manifest: dict[str, Any] = {}
        self._originals: list[tuple[Part, bytes, str]] = []
        self._progress = progress or (lambda done, total: None)
        self._done = self._total = 0

    def read(self, session: Session) -> None:
        """Store all rows; short of the originals, so that nobody's expunge waits long for this reader to end."""
        put, master = self.writer.put, self.keys.master
        people, photos = _secrets(session)
        self._total = len(people) + 2 * len(photos)
        head = audit.head(session)
        tables = {name: [put(master, some) for some in rows.general(session, name)] for name in sorted(rows.GENERAL)}
        counted = [name for name, table in rows.TABLES.items() if "id" in table.columns]
        inside = self.gallery._signer.kept_inside()
        self.manifest = {
            "gallery": head.gallery,
            "at": now().isoformat(),
            "revision": database.HEAD,
            "head": head._asdict(),
            "last_ids": database.last_ids(session.connection(), counted),
            "audit_key": inside and base64.b64encode(inside).decode(),
            "tables": tables,
        }
        for number, found in rows.people(session):
            own = [Key(secret) for secret in people[number]]
            self.parts.append(Part(PERSON, number, tuple(key.name for key in own), put(own[0], found)))
            self._step()
        for number, sha256, found in rows.photos(session):
            key = Key(photos[number])
            self._originals.append((Part(PHOTO, number, (key.name,), put(key, found)), key.secret, sha256))
            self._step()
        self.writer.flush()

    def copy_originals(self) -> None:
        """Store the originals of all photos but those that are expunged meanwhile."""
        known = self._known()
        with database.in_words(str(self.gallery.folder)):
            for part, secret, sha256 in self._originals:
                blob = None
                read = partial(self._original, part.number, sha256)
                with suppress(_Expunged):
                    blob = self.writer.put_original(Key(secret), sha256, read, known)
                self.parts.append(part._replace(original=blob))
                self._step()
            self.writer.flush()

    def _known(self) -> dict[str, int]:
        """Sizes of the originals in the newest snapshot; none if it cannot be opened."""
        numbers = self.target.numbers()
        with suppress(GalleryError):
            return Snapshot.read(self.target, self.keys, numbers[-1]).sizes() if numbers else {}
        return {}

    def _original(self, number: int, sha256: str) -> bytes:
        try:
            return self.gallery.objects.read(sha256)
        except (FileNotFoundError, ValueError):
            with self.gallery.reading() as session:
                if session.get(Photo, number) is None:
                    raise _Expunged from None
            return self.gallery.photo_bytes(number)  # says what is wrong with it

    def finish(self, backup: Backup, number: int) -> Made:
        """Store manifest and keys while nobody can expunge: who has no key by then is out of it.

        Their parts stay in the catalogue, like those of people who are expunged later: so a restoring can tell which
        photos the log names and the gallery lacks.
        """
        with self.gallery.writing() as session:
            live = keyfiles.live(session)
            there = [part.kind for part in self.parts if part.keys[0] in live]
            count = {kind: there.count(kind) for kind in (PERSON, PHOTO)}
            catalogue = self.writer.put_catalogue(self.keys.master, self.parts)
            self.writer.flush()
            head = self.manifest["head"]
            counted = {"people": count[PERSON], "photos": count[PHOTO], "catalogue": catalogue}
            self.target.write_manifest(self.keys.master, number, self.manifest | counted)
            keys = replace(self.keys, head=(head["number"], head["hash"]), keys=live)
            keys.write()
            self.target.complete(keys.master, keys.head)
            here = session.get_one(Backup, backup.id)
            here.number, here.made_at, here.head, here.owes = number, now(), head["number"], False
        left_out = len(self._originals) - count[PHOTO]
        return Made(number, count[PERSON], count[PHOTO], left_out, self.writer.files, self.writer.size)

    def _step(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)


def _secrets(session: Session) -> tuple[dict[int, list[bytes]], dict[int, bytes]]:
    """The keys of everybody, the first and newest one to seal with, and each photo's; bytes take little memory."""
    people: dict[int, list[bytes]] = defaultdict(list)
    photos: dict[int, bytes] = {}
    query = select(BackupKey.person_id, BackupKey.photo_id, BackupKey.secret).order_by(BackupKey.id.desc())
    for person, photo, secret in session.execute(query):
        if person is not None:
            people[person].append(secret)
        elif photo is not None:
            photos[photo] = secret
    return people, photos


@needs(Right.BACKUP)
def prune(gallery: Gallery, destination: Path, keep: int) -> tuple[int, int, int]:
    """Remove all but the newest snapshots of a folder, and what nobody can open any more.

    Returns:
        How many snapshots and how many blobs were removed, and the blobs' bytes.

    Raises:
        GalleryError: The folder is none of this gallery's backups, or a snapshot that is to be kept is damaged, as far
            as manifests, catalogues and sizes tell; nothing is removed then.
    """
    if keep < 1:
        raise UsageError(f"{keep} snapshots cannot be kept: give 1 or more.")
    target = Destination(destination)
    with target.locked():
        with gallery.reading() as session:
            backup = _find(session, target)
            keys = keyfiles.opened(session, backup)
        target.complete(keys.master, keys.head)
        numbers = target.numbers()
        kept = {blob for number in numbers[-keep:] for blob in Snapshot.read(target, keys, number).blobs()}
        if damaged := [blob.name for blob in kept if target.find(blob.name) != blob]:
            raise GalleryError(
                f"{len(damaged)} files of the snapshots that are to be kept are missing or cut, {min(damaged)} among "
                f"them; nothing was removed. 'forensic backup verify {target.folder}' says more; back up anew first."
            )
        gone = numbers[:-keep]
        with gallery.writing() as session:
            gallery.note(session, "backup-prune", backup=backup.name, snapshots=gone)
        target.remove_snapshots(gone)
        return len(gone), *target.remove_blobs({blob.name for blob in kept})


@needs(Right.BACKUP)
def shred(gallery: Gallery) -> list[Problem]:
    """Destroy, in all key files, the keys that the gallery has no more.

    Returns:
        The key files that could not be reached; what is in them stays on record as a debt.
    """
    with gallery.writing() as session:
        gallery.note(session, "backup-shred")
        return keyfiles.settle(session, everywhere=True)


@needs(Right.BACKUP)
def forget(gallery: Gallery, destination: Path, *, destroyed: bool = False) -> None:
    """Take a backup, whose key file was deleted, off the record; without its keys, nobody opens it again.

    Args:
        gallery: The gallery.
        destination: The backup's folder.
        destroyed: Take the caller's word that the key file is destroyed where that cannot be seen. The log keeps that,
            and no later proof of an expunge says that all keys are gone.

    Raises:
        GalleryError: The gallery has no record of it, its key file is still there, or may be: it was out of reach.
    """
    folder = str(Destination(destination).folder)
    with gallery.writing() as session:
        backup = session.scalars(select(Backup).where(Backup.destination == folder)).first()
        if backup is None:
            raise GalleryError(f"The gallery has no backup in {folder} on record; 'forensic backup status' shows all.")
        path = Path(backup.key_file)
        if os.path.lexists(path):
            raise GalleryError(f"Delete the key file {path} first: with it, the backup can still be opened.")
        keyfiles.discard_partial(path)
        unseen = backup.owes or not path.parent.is_dir()
        if unseen and not destroyed:
            what = "still holds keys that were to be destroyed" if backup.owes else "lies on a disk that is not there"
            raise GalleryError(
                f"The key file {path} is out of reach and, as far as is known, {what}: bring it back, then 'forensic "
                "backup shred', or delete it there. If you know that it is destroyed, say so: --destroyed."
            )
        gallery.note(session, "backup-forget", backup=backup.name, destination=folder, owes=backup.owes, unseen=unseen)
        session.delete(backup)


@needs(Right.VIEW)
def recorded(gallery: Gallery) -> Sequence[Backup]:
    """The folders that backups go to, and where their keys lie."""
    with gallery.reading() as session:
        return session.scalars(select(Backup).order_by(Backup.id)).all()


@needs(Right.VIEW)
def remaining(gallery: Gallery) -> list[Problem]:
    """The key files that hold keys which the gallery has no more, or that cannot be read."""
    with gallery.reading() as session:
        return keyfiles.remaining(session)


def _find(session: Session, target: Destination) -> Backup:
    backup = session.scalars(select(Backup).where(Backup.name == target.name())).one_or_none()
    if backup is None:
        raise GalleryError(f"{target.folder} holds no backup of this gallery; 'forensic backup status' shows all.")
    return backup
