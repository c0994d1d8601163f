"""Turning a plain gallery into an encrypted one, beginning with one, and giving one another key; safe at any kill.

``gallery.key`` decides which of the two a gallery is: everything is sealed beside the plain files, this file appears in
one rename, and only then the plain files go. What a kill leaves of either kind, the next opening removes.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, delete
from sqlalchemy.orm import Session

from forensic.errors import GalleryError, UsageError
from forensic.gallery import address, audit, database
from forensic.gallery.encryption import KEY_FILE, SEALED, Envelope, Sealing
from forensic.gallery.keys import UserKey
from forensic.gallery.models import IndexFile
from forensic.gallery.objects import ObjectStore, sync
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import DATABASE_FILES, OWN_NAMES, Storage, locked
from forensic.gallery.templates import chunks

if TYPE_CHECKING:
    from forensic.gallery.store import Gallery

BATCH = 32
"""Originals that are in memory at once."""
PATIENCE = 60
"""Seconds to wait for another process that makes a gallery in the same folder."""


def create(folder: Path, user: UserKey) -> None:
    """Make an empty encrypted gallery.

    Raises:
        GalleryError: The folder holds something, or cannot be written.
    """
    from forensic.gallery.store import Gallery

    folder = folder.absolute()
    with database.in_words(str(folder)):
        if folder.exists() and {path.name for path in folder.iterdir()} - OWN_NAMES:
            raise GalleryError(f"{folder} is no gallery and holds other things; give a new or an empty folder.")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(folder, PATIENCE):
            if Envelope.read(folder) is None:  # else an earlier making was killed, or another process was first
                if (folder / address.FILE).exists():
                    raise GalleryError(f"{folder} has a plain gallery: open it, and encrypt that.")
                Envelope.new(user)[0].write(folder)
    Gallery(folder, create=True, key=user).close()


@needs(Right.ENCRYPT)
def encrypt(gallery: Gallery, user: UserKey) -> None:
    """Turn a plain gallery into an encrypted one; open it anew afterwards.

    Where a server has the database, that encrypts it: here the files alone are sealed.

    Args:
        gallery: The gallery, which nobody else may have open.
        user: The key that is to open it. Who loses it has lost the gallery.

    Raises:
        GalleryError: It is encrypted already, an original is missing or altered, or another process uses it; the
            gallery is then as it was.
    """
    if gallery.sealing:
        raise GalleryError(
            f"The gallery in {gallery.folder} is encrypted; 'forensic gallery key rotate' rotates its key."
        )
    envelope, secret = Envelope.new(user)
    sealing = Sealing(secret, user.id)
    home = gallery.folder / SEALED
    with gallery._exclusive():
        _remove([home])
        for folder in (home, home / "objects", home / "index"):
            folder.mkdir(mode=0o700)
        store = ObjectStore(home / "objects", sealing)
        for photos in chunks(gallery.photos(), BATCH):
            store.write({photo.sha256: gallery.photo_bytes(photo) for photo in photos})
        signer = _sealed_signer(gallery, sealing)
        if gallery._address.file is None:
            with gallery._transaction() as session:
                _note(session, signer, gallery, user)
            _commit(envelope, gallery.folder)
        else:
            gallery.close()
            with _exported(gallery._address.file, home / address.FILE, sealing.database) as engine:
                with Session(engine) as session, session.begin():
                    _note(session, signer, gallery, user)
                database.scrub(engine, vacuum=False)  # all of it into the one file
                engine.dispose()
                sync([home / address.FILE])
                _commit(envelope, gallery.folder)
        _remove(_plain(gallery.folder))


@needs(Right.ENCRYPT)
def rotate(gallery: Storage, user: UserKey) -> None:
    """Let another key open an encrypted gallery, and the present one no more; the data are not written anew.

    Raises:
        GalleryError: The gallery is not encrypted.
        UsageError: It is the present key.
    """
    if gallery.sealing is None:
        raise GalleryError(f"The gallery in {gallery.folder} is not encrypted; 'forensic gallery encrypt' does that.")
    with gallery._exclusive():
        finish(gallery)
        envelope = _envelope(gallery)
        if user.id in envelope.ids:
            raise UsageError(f"{user.source} holds the present key of the gallery; {user.id} has to be another one.")
        both = envelope.adding(user, gallery.sealing.secret)
        both.write(gallery.folder)
        with gallery._transaction() as session:  # decides: `finish` keeps the key that the log names last
            gallery.note(session, "rotate", key_id=user.id)
        both.only(user.id).write(gallery.folder)


def is_unfinished(gallery: Storage) -> bool:
    """Whether a kill left something to `finish`."""
    if gallery.sealing is None:
        return gallery._address.file is not None and (gallery.folder / SEALED).exists()
    return len(_envelope(gallery).ids) > 1 or bool(_plain(gallery.folder))


def finish(gallery: Storage) -> None:
    """Remove what a killed encryption left, and settle a killed rotation as the log has it; the lock is held."""
    gallery.check_place()
    if gallery.sealing is None:
        if gallery._address.file is not None:  # there, and whole: it is the first of the plain files to go
            _remove([gallery.folder / SEALED])
        return
    _remove(_plain(gallery.folder))
    envelope = _envelope(gallery)
    if len(envelope.ids) > 1:
        with gallery.reading() as session:
            last = audit.user_key(audit.entries(session))
        if last in envelope.ids:
            envelope.only(last).write(gallery.folder)


def _envelope(gallery: Storage) -> Envelope:
    envelope = Envelope.read(gallery.folder)
    if envelope is None:
        raise GalleryError(f"{KEY_FILE} of the gallery in {gallery.folder} is gone: bring it back from a backup.")
    return envelope


def _sealed_signer(gallery: Storage, sealing: Sealing) -> audit.Signer:
    """Writes the log's entries with the key sealed, where it lies in the gallery's folder."""
    signer = audit.Signer(gallery.folder / SEALED, sealing)
    if signer.path.parent == gallery.folder / SEALED:
        signer.keep(gallery._signer.secret())
    return signer


def _note(session: Session, signer: audit.Signer, gallery: Storage, user: UserKey) -> None:
    session.execute(delete(IndexFile))  # the cache is not sealed: the next search makes it anew
    signer.append(session, gallery.operator.name, "encrypt", key_id=user.id)


def _commit(envelope: Envelope, folder: Path) -> None:
    home = folder / SEALED
    sync([home / "objects", home / "index", home, folder])
    envelope.write(folder)


def _plain(folder: Path) -> list[Path]:
    """Plain files of an encrypted gallery, the database first: where it is, all of them are."""
    names = [*sorted(DATABASE_FILES), "objects", "index"]
    if (folder / SEALED / audit.KEY_FILE).exists():  # else it is kept elsewhere, and this one is not ours
        names.append(audit.KEY_FILE)
    return [path for path in (folder / name for name in names) if path.exists()]


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        sync([path.parent])


@contextmanager
def _exported(plain: Path, sealed: Path, key: bytes) -> Iterator[Engine]:
    """Copy a database into an encrypted one, check the copy, and keep everybody out of the first meanwhile.

    Raises:
        GalleryError: Somebody uses it, or the copy is not the same.
    """
    from sqlcipher3 import dbapi2 as sqlcipher

    try:
        with closing(sqlite3.connect(plain)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # refused while anybody else has it open
        os.close(os.open(sealed, os.O_CREAT | os.O_WRONLY, 0o600))
        with closing(sqlcipher.connect(str(plain), isolation_level=None)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("ATTACH ? AS sealed KEY ?", (str(sealed), f"x'{key.hex()}'"))
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("SELECT sqlcipher_export('sealed')")
            connection.execute("COMMIT")
            _check_copy(connection)
            connection.execute("DETACH sealed")
            engine = database.connect(sealed, key)
            try:
                if found := database.integrity(engine):
                    raise GalleryError(f"The encrypted copy is not sound ({found[0]}): check the disk.")
                yield engine
            finally:
                engine.dispose()
    except (sqlite3.Error, sqlcipher.Error) as error:
        raise GalleryError(
            f"The database {plain} could not be encrypted ({error}), and is as it was. End every other process that "
            "uses the gallery, then try again."
        ) from error


def _check_copy(connection: Any) -> None:
    """Compare every row of every table."""
    schema = "SELECT type, name, sql FROM {}.sqlite_master WHERE sql IS NOT NULL ORDER BY type, name"
    wanted, made = (connection.execute(schema.format(side)).fetchall() for side in ("main", "sealed"))
    same = wanted == made
    for _, table, _ in (row for row in wanted if row[0] == "table"):
        sides = [connection.execute(f'SELECT * FROM {side}."{table}"') for side in ("main", "sealed")]  # noqa: S608
        same = same and all(one == other for one, other in zip(*sides, strict=True))
    if not same:
        raise GalleryError("The encrypted copy of the database is not the same as the first: check the disk.")
