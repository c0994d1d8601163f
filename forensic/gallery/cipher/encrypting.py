"""Turning a plain gallery into an encrypted one, beginning with one, and giving one another key; safe at any kill.

``gallery.key`` decides which of the two a gallery is: everything is sealed beside the plain files, this file appears in
one rename, and only then the plain files go. What a kill leaves of either kind, the next opening removes, but only what
certainly was left so: sealed files while ``gallery.key.new``, which is what is renamed, is there still; plain files
where the log of the encrypted gallery says that it was a plain one before.
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
from forensic.gallery import address, database, engines, originals, serving
from forensic.gallery.cipher.encryption import KEY_FILE, SEALED, UNFINISHED, Envelope, Sealing
from forensic.gallery.cipher.keys import UserKey
from forensic.gallery.locks import locked
from forensic.gallery.log import audit
from forensic.gallery.models import IndexFile
from forensic.gallery.objects import PARTIAL, FolderStore, private_folders, sync
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import DATABASE_FILES, OWN_NAMES, Storage
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
        GalleryError: The folder holds something, be it what is left of a gallery, or cannot be written.
    """
    from forensic.gallery.store import Gallery

    folder = folder.absolute()
    with database.in_words(str(folder)):
        if folder.exists() and {path.name for path in folder.iterdir()} - OWN_NAMES:
            raise GalleryError(f"{folder} is no gallery and holds other things; give a new or an empty folder.")
        private_folders(folder)
        with locked(folder, PATIENCE):
            if Envelope.read(folder) is None:  # else an earlier making was killed, or another process was first
                _check_empty(folder)
                Envelope.new(user)[0].write(folder)
    Gallery(folder, create=True, key=user).close()


def _check_empty(folder: Path) -> None:
    """Let no key be made beside a gallery's files, which would be those of nobody then."""
    own = {folder / "lock", folder / (KEY_FILE + PARTIAL)}
    held = (path for path in sorted(folder.rglob("*")) if path not in own and (path.is_symlink() or not path.is_dir()))
    if (found := next(held, None)) is not None:
        raise GalleryError(
            f"{folder} holds files of a gallery, {found.relative_to(folder)} for one: open that gallery and encrypt "
            "it, first bringing back from a backup what it lacks; or give a new or an empty folder."
        )


@needs(Right.ENCRYPT)
def encrypt(gallery: Gallery, user: UserKey) -> None:
    """Turn a plain gallery into an encrypted one; open it anew afterwards.

    Where a PostgreSQL server has the database, that encrypts it: here the files alone are sealed.

    Args:
        gallery: The gallery, which nobody else may have open.
        user: The key that is to open it. Who loses it has lost the gallery.

    Raises:
        GalleryError: It is encrypted already, its database is another SQLite file than its own, an original is missing
            or altered, or another process uses it, or jobs wait for its server; the gallery is then as it was.
    """
    _check_plain(gallery)
    envelope, secret = Envelope.new(user)
    sealing = Sealing(secret, user.id)
    with gallery._exclusive():
        finish(gallery)  # of an earlier attempt
        envelope.write(gallery.folder, UNFINISHED)
        _seal_originals(gallery, sealing)
        _seal_database(gallery, sealing)
        _remove(plain_files(gallery.folder))


def _check_plain(gallery: Gallery) -> None:
    """Stop before a gallery that is encrypted already, or of which something would stay in plain."""
    if gallery.sealing:
        raise GalleryError(
            f"The gallery in {gallery.folder} is encrypted; 'forensic gallery key rotate' rotates its key."
        )
    if gallery._address.file is None and gallery.engine.dialect.name != "postgresql":
        raise GalleryError(
            f"The database of the gallery in {gallery.folder} is {gallery._name}, which nothing would encrypt: only "
            f"the folder's own {address.FILE} is, or the files beside a PostgreSQL server's database."
        )
    engines.check_none(gallery)
    originals.check_here(gallery)
    serving.check_idle(gallery)


def _seal_originals(gallery: Gallery, sealing: Sealing) -> None:
    home = gallery.folder / SEALED
    for folder in (home, home / "objects", home / "index"):
        folder.mkdir(mode=0o700)
    store = FolderStore(home / "objects", sealing)
    for photos in chunks(gallery.photos(), BATCH):
        store.write({photo.sha256: gallery.photo_bytes(photo) for photo in photos})


def _seal_database(gallery: Gallery, sealing: Sealing) -> None:
    """Seal the log's key and the database, and make the encrypted gallery the one that counts."""
    signer = _sealed_signer(gallery, sealing)
    if gallery._address.file is None:
        _commit(gallery.folder)
        with gallery._transaction() as session:  # after it, or the log would say so of what is plain still
            _note(session, signer, gallery.operator.name, sealing.key_id)
        return
    gallery.close()
    sealed = gallery.folder / SEALED / address.FILE
    with _exported(gallery._address.file, sealed, sealing.database) as engine:
        with Session(engine) as session, session.begin():
            _note(session, signer, gallery.operator.name, sealing.key_id)
        database.scrub(engine, vacuum=False)  # all of it into the one file
        engine.dispose()
        sync([sealed])
        _commit(gallery.folder)


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
        return (gallery.folder / UNFINISHED).exists()
    return len(_envelope(gallery).ids) > 1 or bool(plain_files(gallery.folder))


def finish(gallery: Storage) -> None:
    """Remove what a killed encryption left, and settle a killed rotation as the log has it; the lock is held."""
    gallery.check_place()
    if gallery.sealing is None:
        if (gallery.folder / UNFINISHED).exists():  # the plain files are all there: none goes before it is renamed
            _remove([path for path in (gallery.folder / SEALED, gallery.folder / UNFINISHED) if path.exists()])
        return
    with gallery.reading() as session:
        entries = audit.entries(session)
    last = audit.user_key(entries)
    was_plain = any(entry["action"] == "encrypt" for entry in entries)
    if last is None and gallery._address.file is None:  # killed before the server's log had it
        last, was_plain = gallery.sealing.key_id, True
        with gallery._transaction() as session:
            _note(session, gallery._signer, gallery.operator.name, last)
    if was_plain:
        _remove(plain_files(gallery.folder))
    envelope = _envelope(gallery)
    if len(envelope.ids) > 1 and last in envelope.ids:
        envelope.only(last).write(gallery.folder)


def _envelope(gallery: Storage) -> Envelope:
    envelope = Envelope.read(gallery.folder)
    if envelope is None:
        raise GalleryError(
            f"{KEY_FILE} of the gallery in {gallery.folder} is gone: bring it back from your copy of it."
        )
    return envelope


def _sealed_signer(gallery: Storage, sealing: Sealing) -> audit.Signer:
    """Writes the log's entries with the key sealed, where it lies in the gallery's folder."""
    signer = audit.Signer(gallery.folder / SEALED, sealing)
    if signer.path.parent == gallery.folder / SEALED:
        signer.keep(gallery._signer.secret())
    return signer


def _note(session: Session, signer: audit.Signer, operator: str, key_id: str) -> None:
    session.execute(delete(IndexFile))  # the cache is not sealed: the next search makes it anew
    signer.append(session, operator, "encrypt", key_id=key_id)


def _commit(folder: Path) -> None:
    home = folder / SEALED
    sync([home / "objects", home / "index", home, folder])
    os.replace(folder / UNFINISHED, folder / KEY_FILE)
    sync([folder])


def plain_files(folder: Path) -> list[Path]:
    """Files and folders of a plain gallery that lie beside an encrypted one, the database first."""
    names = [*sorted(DATABASE_FILES), "objects", "index", serving.FOLDER]
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
