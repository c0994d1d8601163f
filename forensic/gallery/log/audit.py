"""The audit log: every act, chained by hashes and signed, written in the transaction of the act itself.

An entry is canonical JSON: sorted keys, no blanks, ASCII. It states its number and the hash of the entry before, so
that none can be altered, removed or moved without a break. A chain shows neither a cut tail nor one that was written
anew by somebody who holds the key: for these, export the signed head now and then, and keep it elsewhere.

Entries name people and photos by number, never by label or hash: what is expunged leaves no trace in them.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from forensic import regular
from forensic.errors import DataError, GalleryError
from forensic.gallery.casework.casework_models import AuditEntry, Identity
from forensic.gallery.models import Photo, now
from forensic.gallery.objects import PLAIN, Codec, write_private
from forensic.gallery.records import Choice, Problem

KEY_FILE = "audit.key"
KEY_VARIABLE = "FORENSIC_AUDIT_KEY"
NOTHING = "0" * 64
"""What stands for the hash before the first entry."""
DOMAIN = b"forensic audit 1\n"
"""Before what is signed, so that a signature of another kind cannot pass for one of an entry."""
CHUNK = 2000
FIELDS = {"number", "at", "operator", "action", "details", "gallery", "previous"}
PROGRAM = "forensic"
"""Operator of what the program does by itself."""
RESTORE = "restore the gallery from a backup."


KEY_ACTIONS = ("begin", "encrypt", "rotate")
"""Acts whose entries name the user's key of an encrypted gallery, by its id."""

Entry = dict[str, Any]
"""What was written of one act: `FIELDS`, with the act's own ``details``."""


class Line(NamedTuple):
    """An entry as it stands in the log, with what shows that it was not altered.

    Attributes:
        number: 1 for the first.
        entry: Canonical JSON.
        hash: SHA-256 of ``entry``, hexadecimal.
        signature: Over the hash, hexadecimal.
    """

    number: int
    entry: str
    hash: str
    signature: str


class Head(NamedTuple):
    """The end of a log at some moment, signed: proof, kept elsewhere, of all that was in it then.

    Attributes:
        gallery: Random id of the gallery.
        number: Of the last entry.
        hash: Of the last entry, and by the chain of all before it.
        public_key: Ed25519, hexadecimal.
        signature: Over the hash, hexadecimal.
    """

    gallery: str
    number: int
    hash: str
    public_key: str
    signature: str

    @classmethod
    def read(cls, path: Path) -> Head:
        """A head that was exported to a file.

        Raises:
            DataError: The file is missing or holds no head, or its signature is wrong.
        """
        try:
            return cls.parse(regular.read(path), str(path))
        except OSError as error:
            raise DataError(f"{path} is no exported head of an audit log ({error}).") from None

    @classmethod
    def parse(cls, content: bytes, name: str = "The file") -> Head:
        """A head as it was exported; ``name`` is what errors call it.

        Raises:
            DataError: The content is no head, or its signature is wrong.
        """
        try:
            head = cls(**json.loads(content.decode("utf-8")))
            if not isinstance(head.number, int):
                raise TypeError("its number is none")
            sound = is_signed(head.public_key, head.hash, head.signature)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{name} is no exported head of an audit log ({error}).") from None
        if not sound:
            raise DataError(f"{name}: the head's signature is wrong. Take another copy of it.")
        return head


class Signer:
    """Writes entries for one operator; the key lies beside the database unless ``FORENSIC_AUDIT_KEY`` names a file.

    Beside the database it is sealed with all else in an encrypted gallery; another file is the user's own matter.
    """

    def __init__(self, folder: Path, codec: Codec = PLAIN) -> None:
        given = os.environ.get(KEY_VARIABLE)
        self.path = Path(given) if given else folder / KEY_FILE
        self._codec = PLAIN if given else codec
        self._key: Ed25519PrivateKey | None = None

    def begin(self, session: Session, **details: Any) -> None:
        """Give a gallery its identity and its first entry, which says what is enrolled already."""
        if session.get(Identity, 1) is not None:
            return
        if not self.path.exists():
            self.keep(Ed25519PrivateKey.generate().private_bytes_raw())
        public = self._load().public_key().public_bytes_raw().hex()
        session.add(Identity(id=1, gallery=uuid.uuid4().hex, public_key=public))
        session.flush()
        there = session.execute(select(Photo.id, Photo.person_id).order_by(Photo.id)).all()
        details |= {"photos": [row.id for row in there], "people": [row.person_id for row in there]}
        self.append(session, PROGRAM, "begin", **details)

    def keep(self, key: bytes) -> None:
        """Write the signing key, 32 bytes, to its place."""
        write_private({self.path: self._codec.seal(key, KEY_FILE, KEY_FILE)})

    def append(self, session: Session, operator: str, action: str, **details: Any) -> None:
        """Write one entry; the writer's lock is held.

        Raises:
            GalleryError: The key is missing, or is another one than the gallery's.
        """
        identity = session.get(Identity, 1)
        if identity is None:
            raise GalleryError(
                "The gallery's audit log was removed, so that nothing can be recorded or done: " + RESTORE
            )
        last = session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc()).limit(1)).first()
        number, previous = (last.number + 1, last.hash) if last else (1, NOTHING)
        entry = canonical(
            {
                "number": number,
                "at": now().isoformat(timespec="microseconds"),
                "operator": operator,
                "action": action,
                "details": details,
                "gallery": identity.gallery,
                "previous": previous,
            }
        )
        digest = hashlib.sha256(entry.encode()).hexdigest()
        signature = self.sign(identity, digest)
        session.add(AuditEntry(number=number, entry=entry, hash=digest, signature=signature))
        session.flush()

    def sign(self, identity: Identity, digest: str, *, domain: bytes = DOMAIN) -> str:
        """The gallery's signature over a hash; ``domain`` says of what, so that none can pass for another's.

        Raises:
            GalleryError: The key is missing, or is another one than the gallery's.
        """
        key = self._load()
        if key.public_key().public_bytes_raw().hex() != identity.public_key:
            raise GalleryError(
                f"{self.path} is not the key of this gallery's audit log, so that nothing can be recorded or done. "
                f"Bring back its key, or name it in {KEY_VARIABLE}."
            )
        return key.sign(domain + digest.encode()).hex()

    def secret(self) -> bytes:
        """The signing key as `keep` took it.

        Raises:
            OSError: Its file cannot be read.
            ValueError: Its seal is broken.
        """
        return self._codec.unseal(self.path.read_bytes(), KEY_FILE, KEY_FILE)

    def kept_inside(self) -> bytes | None:
        """The private key where it lies in the gallery's folder, to be backed up with it; None where it lies apart."""
        return None if os.environ.get(KEY_VARIABLE) else self._load().private_bytes_raw()

    def _load(self) -> Ed25519PrivateKey:
        if self._key is None:
            try:
                self._key = Ed25519PrivateKey.from_private_bytes(self.secret())
            except (OSError, ValueError) as error:
                raise GalleryError(
                    f"The key of the gallery's audit log cannot be read from {self.path} ({error}), so that nothing "
                    f"can be recorded or done. Bring it back, or name its file in {KEY_VARIABLE}."
                ) from None
        return self._key


def canonical(value: Any) -> str:
    """JSON in the one form whose bytes are hashed: keys in order, no blanks, ASCII.

    >>> canonical({"b": 1, "a": [1.5, True]})
    '{"a":[1.5,true],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of plain data in the form of `canonical`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def head(session: Session) -> Head:
    """The present end of the log."""
    identity = session.get_one(Identity, 1)
    last = session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc()).limit(1)).one()
    return Head(identity.gallery, last.number, last.hash, identity.public_key, last.signature)


def entries(
    session: Session, *, action: str | None = None, limit: int | None = None, choice: Choice | None = None
) -> list[Entry]:
    """The entries, newest first, as they were written; what is no entry is left to `verify`."""
    chosen = choice or Choice(action)
    query = select(AuditEntry.entry).order_by(AuditEntry.number.desc()).execution_options(yield_per=CHUNK)
    if chosen.before is not None:
        query = query.where(AuditEntry.number < chosen.before)
    for key, value in (("action", chosen.action), ("operator", chosen.operator)):
        if value is not None:  # fewer to be read; the text may stand elsewhere in an entry too
            query = query.where(AuditEntry.entry.contains(canonical({key: value})[1:-1], autoescape=True))
    found = []
    with session.scalars(query) as texts:
        for text in texts:
            entry = read(text)
            if entry and chosen.holds(entry):
                found.append(entry)
            if limit is not None and len(found) >= limit:
                break
    return found


def user_key(entries: Iterable[Entry]) -> str | None:
    """Id of the user's key that the log, newest entry first, names last; None if the gallery is a plain one by it."""
    for entry in entries:
        if entry["action"] == "restore":  # that makes a plain one
            return None
        if entry["action"] in KEY_ACTIONS and (named := entry["details"].get("key_id")):
            return str(named)
    return None


def verify(session: Session, exported: Head | None = None) -> Iterator[Problem]:
    """What is wrong with the log: entries altered, removed, moved or cut off, and rows that no entry accounts for.

    Args:
        session: A reading session.
        exported: A head that was kept elsewhere: shows a cut tail, and a log written anew.
    """
    identity = session.get(Identity, 1)
    if identity is None:
        yield Problem("audit", "log", f"Has no identity: the row was removed. {RESTORE.capitalize()}")
        return
    number, previous, owners = 0, NOTHING, dict[int, int]()
    seen = None
    rows = session.scalars(select(AuditEntry).order_by(AuditEntry.number).execution_options(yield_per=CHUNK))
    for row in rows:
        if row.number != number + 1:
            yield _broken(number + 1, f"is missing; the next one there is {row.number}")
        number = row.number
        entry = read(row.entry)
        if fault := fault_of(row, entry, identity, previous):
            yield _broken(number, fault)
        else:
            _follow(entry, owners)
        previous = row.hash
        if exported is not None and number == exported.number:
            seen = row.hash
    if number == 0:
        yield _broken(1, "is missing: the log is empty")
    if exported is not None:
        yield from _against(exported, identity, number, seen)
    yield from _accounted(session, owners)


def read(text: str) -> Entry:
    """An entry, or nothing where the text is none."""
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    sound = isinstance(entry, dict) and entry.keys() >= FIELDS and isinstance(entry["details"], dict)
    return entry if sound else {}


def fault_of(row: AuditEntry | Line, entry: Entry, identity: Identity | Head, previous: str | None) -> str:
    """What is wrong with an entry; empty where nothing is.

    Args:
        row: As it stands in the log.
        entry: What `read` makes of it.
        identity: The gallery and its key.
        previous: Hash of the entry before; None where that one is not there to be compared.
    """
    if not entry:
        return "is no entry"
    if hashlib.sha256(row.entry.encode()).hexdigest() != row.hash:
        return "was altered: its hash is another one"
    if not is_signed(identity.public_key, row.hash, row.signature):
        return "was altered: its signature is wrong"
    if entry["number"] != row.number:
        return f"was moved: it was written as {entry['number']}"
    if previous not in (None, entry["previous"]):
        return "does not follow the one before it"
    if entry["gallery"] != identity.gallery:
        return "is of another gallery"
    return ""


def _follow(entry: Entry, owners: dict[int, int]) -> None:
    """Whose each photo is after an act; the entry is as it was written."""
    said, action = entry["details"], entry["action"]
    if action in ("begin", "enroll"):
        owners.update(zip(said["photos"], said["people"], strict=True))
    elif action in ("expunge", "restore"):  # a restored gallery lacks what had been expunged since the backup
        for photo in said["photos"]:
            owners.pop(photo, None)
    elif action == "merge":
        kept, gone = said["people"]
        owners.update({photo: kept for photo, person in owners.items() if person == gone})
    elif action == "split":
        owners.update(dict.fromkeys(said["photos"], said["person"]))


def _against(exported: Head, identity: Identity, last: int, seen: str | None) -> Iterator[Problem]:
    if (exported.gallery, exported.public_key) != (identity.gallery, identity.public_key):
        yield Problem("audit", "head", "The exported head is of another gallery, or this one's identity was replaced.")
    elif exported.number > last:
        yield _broken(last + 1, f"and all after it are missing: the log was cut, it had {exported.number} entries")
    elif seen != exported.hash:
        yield _broken(exported.number, "is another one than when the head was exported: the log was written anew")


def _accounted(session: Session, owners: dict[int, int]) -> Iterator[Problem]:
    there = {row.id: row.person_id for row in session.execute(select(Photo.id, Photo.person_id))}
    for number in sorted(owners.keys() - there.keys()):
        yield Problem("audit", f"photo {number}", f"Was enrolled, never expunged, and is not there: {RESTORE}")
    for number in sorted(there.keys() - owners.keys()):
        yield Problem("audit", f"photo {number}", "Is there, and no entry of the log says that it was enrolled.")
    for number in sorted(there.keys() & owners.keys()):
        if there[number] != owners[number]:
            yield Problem("audit", f"photo {number}", "Is another person's than the log says.")


def _broken(number: int, fault: str) -> Problem:
    return Problem("audit", f"entry {number}", f"It {fault}.")


def is_signed(public_key: str, digest: str, signature: str, *, domain: bytes = DOMAIN) -> bool:
    """Whether a signature over a hash is the key's, all three in hexadecimal; ``domain`` says what was hashed."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(
            bytes.fromhex(signature), domain + digest.encode()
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def size(session: Session) -> int:
    """Number of entries."""
    return session.scalars(select(func.count(AuditEntry.number))).one()
