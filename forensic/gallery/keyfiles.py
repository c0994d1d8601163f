"""The files that hold the keys to a gallery's backups, each at a place apart from the backup that it opens.

A backup may be copied as often and to wherever one likes: it is of no use without its key file. What an expunge takes
out of the key file is expunged from all copies of the backup, those out of reach included. So the key file itself must
lie where it can be written anew, in one place.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from forensic.errors import DataError, GalleryError
from forensic.gallery.audit import canonical
from forensic.gallery.casework_models import AuditEntry, Identity
from forensic.gallery.models import Backup, BackupKey
from forensic.gallery.objects import write_private
from forensic.gallery.records import Problem
from forensic.gallery.sealing import Key

FORMAT = "forensic backup keys 1"


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
            GalleryError: It is missing, cannot be read, was altered, or is none.
        """
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            raise GalleryError(f"The key file {path} is missing: bring it back, or name where it lies now.") from None
        except OSError as error:
            raise GalleryError(f"The key file {path} cannot be read ({error.strerror}).") from None
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
            GalleryError: It cannot be written.
        """
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
            raise GalleryError(f"The key file {self.path} cannot be written ({error.strerror}).") from None


def _overwrite(descriptor: int) -> None:
    """Write zeros over a file that has no name any more: its blocks would keep the keys that were taken out.

    File systems that never write in place, and disks that move blocks about, keep them all the same.
    """
    size = os.fstat(descriptor).st_size
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(bytes(size))
    os.fsync(descriptor)


def live(session: Session) -> dict[str, Key]:
    """The keys that the gallery has, by their names."""
    return {key.name: key for key in map(Key, session.scalars(select(BackupKey.secret)))}


def count(session: Session) -> int:
    """How many keys the gallery has."""
    return session.scalars(select(func.count(BackupKey.id))).one()


def owe(session: Session) -> None:
    """Note, in the transaction that deletes keys, that they may still be in every key file."""
    session.execute(update(Backup).values(owes=True))


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
            found = opened(session, backup)
            if found.keys.keys() - kept:
                replace(found, keys={name: key for name, key in found.keys.items() if name in kept}).write()
            backup.owes = False
        except GalleryError as error:
            problems.append(Problem("backup", backup.destination, str(error)))
    return problems


def remaining(session: Session) -> list[Problem]:
    """The key files that hold keys which the gallery has no more, or that cannot be read."""
    problems = []
    kept = live(session).keys()
    for backup in session.scalars(select(Backup).order_by(Backup.id)):
        try:
            over = len(opened(session, backup).keys.keys() - kept)
            fault = f"{backup.key_file} holds {over} keys that the gallery has no more." if over else ""
        except GalleryError as error:
            fault = f"{error} It may hold keys that were to be destroyed." if backup.owes else str(error)
        if fault:
            problems.append(Problem("backup", backup.destination, f"{fault} 'forensic backup shred' destroys them."))
    return problems


def in_words(problems: Sequence[Problem]) -> str:
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
