"""The files that hold the keys to a gallery's backups, each at a place apart from the backup that it opens.

A backup may be copied as often and to wherever one likes: it is of no use without its key file. What an expunge takes
out of the key file is expunged from all copies of the backup, those out of reach included. So the key file itself must
lie where it can be written anew, in one place.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from forensic import durable
from forensic.errors import DataError, GalleryError
from forensic.gallery.casework.casework_models import AuditEntry, Identity
from forensic.gallery.cipher.sealing import Key
from forensic.gallery.log import audit
from forensic.gallery.log.audit import canonical
from forensic.gallery.models import Backup, BackupKey
from forensic.gallery.objects import partial, read_private, write_private
from forensic.gallery.records import Problem
from forensic.gallery.templates import chunks

FORMAT = "forensic backup keys 1"
OPEN_TO_OTHERS = (
    " (or mount its disk with umask=077). If somebody may have read it, back up to a new folder with a new key file."
)


@dataclass(frozen=True)
class KeyFile:
    """What a key file says.

    Attributes:
        path: Where it lies.
        backup: Random name of the backup that it opens, hexadecimal.
        gallery: Id of the gallery that the backup is of.
        master: Key to everything that belongs to no person.
        head: Number and hash of the log's last entry in the newest snapshot; None before the first.
        keys: Those of people and photos, by their names.
    """

    path: Path
    backup: str
    gallery: str
    master: Key
    head: tuple[int, str] | None
    keys: Mapping[str, Key]

    @classmethod
    def read(cls, path: Path) -> KeyFile:
        """The key file at a path.

        Raises:
            GalleryError: It is missing, cannot be read, is open to others, was altered, or is none.
        """
        try:
            text = read_private(path, "key file", OPEN_TO_OTHERS)
        except FileNotFoundError:
            raise GalleryError(f"The key file {path} is missing: bring it back, or name where it lies now.") from None
        try:
            said = json.loads(text)
            code = said.pop("code")
            if said["format"] != FORMAT:
                raise ValueError("of another format")
            master, *keys = (Key(base64.b64decode(secret, validate=True)) for secret in said["keys"])
            if master.authenticate(canonical(said).encode()) != code:
                raise ValueError("altered")
            head = None if said["head"] is None else (int(said["head"][0]), str(said["head"][1]))
            return cls(path, said["backup"], said["gallery"], master, head, {key.name: key for key in keys})
        except (ValueError, TypeError, KeyError, AttributeError, DataError):
            raise GalleryError(
                f"{path} is no key file of a backup, or was altered. Bring back the right one; it is written by "
                "'forensic backup make DEST --keys FILE'."
            ) from None

    def write(self) -> None:
        """Put the file in the place of the one that is there, whole or not at all, and overwrite that one.

        Raises:
            GalleryError: It cannot be written; what was written of it is destroyed.
        """
        discard_partial(self.path)
        keys = [self.master.secret, *sorted(key.secret for key in self.keys.values())]
        said = {
            "format": FORMAT,
            "backup": self.backup,
            "gallery": self.gallery,
            "head": self.head,
            "keys": [base64.b64encode(key).decode() for key in keys],
        }
        code = self.master.authenticate(canonical(said).encode())
        try:
            earlier = os.open(self.path, os.O_RDWR) if self.path.exists() else None
            try:
                write_private({self.path: canonical(said | {"code": code}).encode()})
                if earlier is not None:
                    _overwrite(earlier)
            finally:
                if earlier is not None:
                    os.close(earlier)
        except OSError as error:
            discard_partial(self.path)
            raise GalleryError(f"The key file {self.path} cannot be written ({error.strerror}).") from None


def discard_partial(path: Path) -> None:
    """Overwrite and remove what a writing of a key file left that failed or was killed: it holds keys.

    Raises:
        GalleryError: It is there and cannot be removed.
    """
    left = partial(path)
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            descriptor = os.open(left, os.O_RDWR)
            try:
                _overwrite(descriptor)
            finally:
                os.close(descriptor)
                left.unlink()
    except OSError as error:
        raise GalleryError(
            f"{left}, what is left of a key file that was being written, holds keys and cannot be destroyed "
            f"({error.strerror}): see to that."
        ) from None


def _overwrite(descriptor: int) -> None:
    """Write zeros over a file that is not needed any more: its blocks would keep the keys that are in it.

    File systems that never write in place, and disks that move blocks about, keep them all the same.
    """
    size = os.fstat(descriptor).st_size
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(bytes(size))
    durable.sync(descriptor)


def live(session: Session) -> dict[str, Key]:
    """The keys that the gallery has, by their names."""
    return {key.name: key for key in map(Key, session.scalars(select(BackupKey.secret)))}


def inherit(session: Session, person: int, gone: int) -> None:
    """Give a person the keys of somebody who turned out to be the same: what they seal must go with this person now.

    A person without a key gets one first, so that whoever has a single key never was two.
    """
    own, theirs = (select(BackupKey.secret).where(BackupKey.person_id == number) for number in (person, gone))
    if session.scalars(theirs.limit(1)).first() is None:
        return
    if session.scalars(own.limit(1)).first() is None:
        session.add(BackupKey(person_id=person, secret=secrets.token_bytes(32)))
        session.flush()
    doubled = delete(BackupKey).where(BackupKey.person_id == gone, BackupKey.secret.in_(own.scalar_subquery()))
    session.execute(doubled.execution_options(synchronize_session=False))
    session.execute(update(BackupKey).where(BackupKey.person_id == gone).values(person_id=person))


def share(session: Session, person: int, made: int) -> None:
    """Give the keys of somebody who had been two to the person split off as well, and a new one to each.

    Nobody can tell which of the two the earlier records are about, so that they go with whoever goes first. New records
    are sealed with the newest key, which is of one of them alone.
    """
    query = select(BackupKey.secret).where(BackupKey.person_id == person).order_by(BackupKey.id)
    if len(shared := session.scalars(query).all()) < 2:
        return
    rows = [{"person_id": made, "secret": secret} for secret in shared]
    rows += [{"person_id": number, "secret": secrets.token_bytes(32)} for number in (person, made)]
    session.execute(insert(BackupKey), rows)


@contextmanager
def destroying(session: Session) -> Iterator[None]:
    """People and photos are deleted in it: destroy the keys that they shared too, and note that key files owe them."""
    keys, shared = _count(session), _shared(session)
    yield
    session.flush()
    still = _shared(session)
    doomed = [secret for secret, holders in shared.items() if still.get(secret, 1) < holders]
    for some in chunks(doomed):
        session.execute(delete(BackupKey).where(BackupKey.secret.in_(some)))
    if _count(session) < keys:
        session.execute(update(Backup).values(owes=True))


def _count(session: Session) -> int:
    return session.scalars(select(func.count(BackupKey.id))).one()


def _shared(session: Session) -> dict[bytes, int]:
    """How many people have each key that several have."""
    holders = func.count(BackupKey.id)
    query = select(BackupKey.secret, holders).where(BackupKey.person_id.is_not(None))
    return dict(session.execute(query.group_by(BackupKey.secret).having(holders > 1)).all())


def owed(session: Session) -> bool:
    """Whether a key file may still hold keys that were destroyed in the gallery."""
    return session.scalars(select(Backup.id).where(Backup.owes).limit(1)).first() is not None


def unseen(session: Session) -> list[str]:
    """Folders of the backups that were given up on somebody's word that their key files are destroyed."""
    forgotten = audit.entries(session, action="backup-forget")
    return [str(entry["details"]["destination"]) for entry in forgotten if entry["details"].get("unseen")]


def opened(session: Session, backup: Backup) -> KeyFile:
    """A backup's key file, seen to be of this gallery and of no later state than the gallery's.

    Raises:
        GalleryError: It is not, or cannot be read.
    """
    found = KeyFile.read(Path(backup.key_file))
    belongs(session, found, backup.name)
    return found


def belongs(session: Session, found: KeyFile, backup: str) -> None:
    """Check that a key file is that of a backup of this gallery.

    Raises:
        GalleryError: It is another one's, or of a state of the gallery that this one never had.
    """
    if found.gallery != session.get_one(Identity, 1).gallery:
        raise GalleryError(f"{found.path} is the key file of another gallery's backup: name another one.")
    if found.backup != backup:
        raise GalleryError(f"{found.path} is the key file of another backup: name the one of this folder.")
    if found.head is None:
        return
    number, digest = found.head
    if session.scalars(select(AuditEntry.hash).where(AuditEntry.number == number)).first() != digest:
        raise GalleryError(
            f"{found.path} is of a state of the gallery that this one never had (entry {number} of its log is not in "
            "this log): one of both was restored from a backup. Back this one up to a new folder with a new key file. "
            "Once nobody needs the other backup, delete its key file, then 'forensic backup forget DEST'."
        )


def settle(session: Session, *, everywhere: bool = False) -> list[Problem]:
    """Take the keys that the gallery has no more out of the key files that may have them; the lock is held.

    Args:
        session: A writing session.
        everywhere: Look into those too that owe nothing: somebody may have brought back an earlier copy.

    Returns:
        The files that could not be reached: for these the debt stays.
    """
    problems = []
    query = select(Backup).order_by(Backup.id)
    owing = session.scalars(query if everywhere else query.where(Backup.owes)).all()
    kept = live(session).keys() if owing else set()
    for backup in owing:
        try:
            discard_partial(Path(backup.key_file))
            found = opened(session, backup)
            if found.keys.keys() - kept:
                replace(found, keys={name: key for name, key in found.keys.items() if name in kept}).write()
            backup.owes = False
        except GalleryError as error:
            problems.append(Problem("backup", backup.destination, str(error)))
    return problems


def remaining(session: Session, *, everywhere: bool = True) -> list[Problem]:
    """The key files that hold keys which the gallery has no more, or that cannot be read.

    Args:
        session: A session.
        everywhere: Look into those too that owe nothing, and may lie on a disk that is put away.
    """
    problems = []
    query = select(Backup).order_by(Backup.id)
    backups = session.scalars(query if everywhere else query.where(Backup.owes)).all()
    kept = live(session).keys() if backups else set()
    for backup in backups:
        left = partial(Path(backup.key_file))
        try:
            over = len(opened(session, backup).keys.keys() - kept)
            fault = f"{backup.key_file} holds {over} keys that the gallery has no more." if over else ""
        except GalleryError as error:
            fault = f"{error} It may hold keys that were to be destroyed." if backup.owes else str(error)
        if os.path.lexists(left):
            fault = f"{fault} {left}, of a writing that was cut off, holds keys.".strip()
        if fault:
            problems.append(Problem("backup", backup.destination, f"{fault} 'forensic backup shred' destroys them."))
    return problems


def shred(transaction: Callable[[], AbstractContextManager[Session]], name: str) -> str:
    """Destroy the keys that are owed; the lock is held.

    Args:
        transaction: Begins one in the gallery.
        name: The gallery's database, in words.

    Returns:
        Why they are not destroyed everywhere, which stays on record; empty where they are.
    """
    try:
        with transaction() as session:
            return _in_words(settle(session))
    except SQLAlchemyError as error:
        return _in_words([Problem("backup", name, f"{getattr(error, 'orig', None) or error}.")])


def _in_words(problems: Sequence[Problem]) -> str:
    """Why an expunge did not reach the backups, and what to do; empty where it did."""
    if not problems:
        return ""
    return " ".join(
        [
            "the keys to them in backups are not destroyed everywhere.",
            *(problem.message for problem in problems),
            "The debt is on record: 'forensic backup shred' settles it, and so does the next backup.",
        ]
    )
