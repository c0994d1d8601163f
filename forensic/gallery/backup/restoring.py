"""A gallery made anew from a backup, and a backup checked without any gallery: folder and key file are enough."""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import MetaData, Table, delete, update
from sqlalchemy.orm import Session

from forensic.errors import GalleryError
from forensic.gallery import address, database
from forensic.gallery.backup.destination import Damaged
from forensic.gallery.backup.rows import Rows, insert
from forensic.gallery.backup.snapshots import PERSON, Part, Snapshot, opened
from forensic.gallery.cipher.sealing import Key
from forensic.gallery.log import audit
from forensic.gallery.objects import FolderStore, private_folders, sync, write_private
from forensic.gallery.records import Problem
from forensic.gallery.storage import Storage

Progress = Callable[[int, int], object]
BATCH = 256
RESTORING, MARKER, LOCK = ".restoring-", "unfinished", "lock"
ADVICE = "Restore another --number, or what can be opened with --incomplete."


class Listed(NamedTuple):
    """A snapshot in a list.

    Attributes:
        number: Its number.
        at: When it was made, ISO 8601.
        people: In it when it was made.
        photos: In it when it was made.
        head: Number of its last log entry.
        fault: Why it cannot be opened; empty where it can.
    """

    number: int
    at: str = ""
    people: int = 0
    photos: int = 0
    head: int = 0
    fault: str = ""


class Checked(NamedTuple):
    """What a check of a snapshot found.

    Attributes:
        number: Of the snapshot.
        blobs: How many were opened and found sound.
        destroyed: Parts whose keys were destroyed, so that nobody can check them.
        problems: What is missing or altered.
    """

    number: int
    blobs: int
    destroyed: int
    problems: list[Problem]


class Restored(NamedTuple):
    """A gallery that was made anew.

    Attributes:
        number: Of the snapshot.
        people: In the gallery.
        photos: In the gallery.
        people_left_out: Whose keys were destroyed, or none of whose photos could be restored.
        photos_left_out: The same of photos, those of such people among them.
        problems: Damaged blobs, whose photos are left out too.
    """

    number: int
    people: int
    photos: int
    people_left_out: int
    photos_left_out: int
    problems: list[Problem]


def listed(destination: Path, key_file: Path) -> list[Listed]:
    """The snapshots of a folder, the oldest first."""
    folder, keys = opened(destination, key_file)
    found = []
    for number in folder.numbers():
        try:
            said = folder.manifest(keys.master, number)
            found.append(Listed(number, said["at"], said["people"], said["photos"], said["head"]["number"]))
        except GalleryError as error:
            found.append(Listed(number, fault=str(error)))
    return found


def check(destination: Path, key_file: Path, number: int | None = None, *, progress: Progress | None = None) -> Checked:
    """Decrypt and hash everything that a snapshot consists of, the newest one if no number is given."""
    snapshot = Snapshot.open(destination, key_file, number)
    total = snapshot.said["people"] + snapshot.said["photos"]
    sound = destroyed = 0
    problems: list[Problem] = []

    def fault(subject: str, error: Damaged) -> None:
        advice = "Delete it if it is there: the next backup stores it anew, if the gallery has it still."
        problems.append(Problem("backup", subject, f"{error} {advice}"))

    for name, blobs in snapshot.said["tables"].items():
        try:
            sound += sum(1 for _ in snapshot.table(name)) if blobs else 0
        except Damaged as error:
            fault(f"table {name}", error)
    try:
        for done, part in enumerate(snapshot.parts(), 1):
            key = snapshot.key(part)
            if key is None:
                destroyed += 1
                continue
            try:
                sound += 1 + (_part(snapshot, key, part)[1] is not None)
            except Damaged as error:
                fault(f"{part.kind} {part.number}", error)
            if progress:
                progress(done, total)
    except Damaged as error:
        fault("catalogue", error)
    return Checked(int(snapshot.said["number"]), sound, destroyed, problems)


def restore(
    destination: Path,
    key_file: Path,
    folder: Path,
    number: int | None = None,
    *,
    incomplete: bool = False,
    progress: Progress | None = None,
) -> Restored:
    """Make a gallery anew, in a new folder, as it was at a snapshot, the newest one if no number is given.

    People whose keys were destroyed are left out; an entry ``restore`` of the log says which photos that are.

    Args:
        destination: The backup's folder.
        key_file: Its keys.
        folder: For the gallery; new, or empty and on the disk of the folder that it lies in.
        number: Of the snapshot.
        incomplete: Leave out what is damaged too, instead of stopping there.
        progress: Told of people and photos.

    Raises:
        GalleryError: The backup cannot be opened or is damaged, or the folder is not new, or cannot be replaced since a
            disk is mounted there. Nothing is left in it then.
    """
    snapshot = Snapshot.open(destination.absolute(), key_file.absolute(), number)
    if snapshot.said["revision"] > database.HEAD:
        raise GalleryError(
            f"The snapshot was made by a newer version (schema {snapshot.said['revision']}, this one knows "
            f"{database.HEAD}): upgrade this program."
        )
    with database.in_words(str(folder)):
        folder = Path(os.path.realpath(folder))  # what a link leads to is replaced, not the link
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise GalleryError(f"{folder} is there already: a gallery is restored into a new or an empty folder alone.")
        with _beside(folder) as unfinished:
            restored = _Restoring(snapshot, unfinished, incomplete, progress).run()
            os.replace(unfinished, folder)
            sync({folder.parent})
    return restored


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """An empty folder on the same disk, that goes at the end; those of restorings that were killed go too."""
    from filelock import FileLock, Timeout

    private_folders(folder.parent)
    prefix = folder.name + RESTORING
    for path in folder.parent.iterdir():
        if path.name.startswith(prefix) and os.path.isfile(path / MARKER):
            with suppress(Timeout), FileLock(path / LOCK, timeout=0):  # else it is under way
                shutil.rmtree(path, ignore_errors=True)
    beside = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        with FileLock(beside / LOCK):
            (beside / MARKER).touch()  # after the lock: what has it and is not locked is nobody's
            (beside / "gallery").mkdir(mode=0o700)
            _try_to_replace(folder, beside / "gallery")
            yield beside / "gallery"
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _try_to_replace(folder: Path, empty: Path) -> None:
    """Replace an empty folder by another one, as is done at the end with the gallery: hours later, if it fails then."""
    if not folder.exists():
        return
    try:
        os.replace(empty, folder)
    except OSError as error:
        raise GalleryError(
            f"{folder} cannot be replaced by a gallery ({error.strerror}), as where a disk is mounted: name a new "
            "folder in it, or elsewhere."
        ) from None
    empty.mkdir(mode=0o700)


def _part(snapshot: Snapshot, key: Key, part: Part) -> tuple[Rows, bytes | None]:
    """A part's rows and original."""
    rows = snapshot.rows(key, part)
    if part.original is None:
        return rows, None
    return rows, snapshot.original(key, part.original, rows["photos"][0]["sha256"])


class _Restoring:
    """One restoring under way, into a folder that nobody takes for a gallery yet."""

    def __init__(self, snapshot: Snapshot, folder: Path, incomplete: bool, progress: Progress | None) -> None:
        self.snapshot, self.folder, self._incomplete = snapshot, folder, incomplete
        self._progress = progress or (lambda done, total: None)
        self._objects = FolderStore(folder / "objects")
        self._tables: dict[str, Table] = {}
        self._people: set[int] = set()
        self._lost: dict[str, list[int]] = {"person": [], "photo": []}
        self._photos = 0
        self._problems: list[Problem] = []

    def run(self) -> Restored:
        """Make the database as it was, with the originals beside it, and bring it to the newest schema."""
        private_folders(self.folder / "objects", self.folder / "index")
        self._bring_audit_key()
        file = self.folder / address.FILE
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        engine = database.connect(file)
        try:
            with database.sole_writer(engine, 0) as writer:
                database.migrate(writer, lambda connection: None, self.snapshot.said["revision"])
            found = MetaData()
            found.reflect(engine)
            self._tables = found.tables | {}
            with Session(engine) as session, session.begin():
                self._fill(session, found)
        finally:
            engine.dispose()
        people, photos = self._lost["person"], self._lost["photo"]
        number = int(self.snapshot.said["number"])
        with Storage(self.folder) as gallery, gallery.writing() as session:
            head = self.snapshot.said["head"]["number"]
            gallery.note(session, "restore", snapshot=number, head=head, people=people, photos=photos)
        return Restored(number, len(self._people), self._photos, len(people), len(photos), self._problems)

    def _bring_audit_key(self) -> None:
        inside = self.snapshot.said["audit_key"]
        if inside:
            write_private({self.folder / audit.KEY_FILE: base64.b64decode(inside)})
        elif not os.environ.get(audit.KEY_VARIABLE):
            raise GalleryError(
                "The key of the gallery's audit log is not in the backup, since it lay apart from the gallery: name "
                f"its file in {audit.KEY_VARIABLE}."
            )

    def _fill(self, session: Session, found: MetaData) -> None:
        for table in reversed(found.sorted_tables):
            if table.name != "alembic_version":
                session.execute(delete(table))  # what a migration put there is in the backup as well
        personal = {"people", "photos"}
        general = [table for table in found.sorted_tables if table.name in self.snapshot.said["tables"]]
        late = [t for t in general if personal & {key.column.table.name for key in t.foreign_keys}]
        for table in general:
            if table not in late:
                self._general(session, table)
        self._parts(session)
        for table in late:
            self._general(session, table)
        self._here(session)
        database.set_last_ids(session.connection(), self.snapshot.said["last_ids"])

    def _general(self, session: Session, table: Table) -> None:
        """Fill a table, but for rows that name a person who is left out."""
        try:
            for rows in self.snapshot.table(table.name):
                named = [key.parent.name for key in table.foreign_keys if key.column.table.name == "people"]
                there = [row for row in rows if all(row[name] in self._people for name in named)]
                insert(session, table, there)
        except Damaged as error:
            raise GalleryError(f"{error} It is needed whole: restore another --number.") from None

    def _here(self, session: Session) -> None:
        """The backup that this came from lies where it was read."""
        backups, keys = self._tables["backups"], self.snapshot.keys
        place = {"destination": str(self.snapshot.destination.folder), "key_file": str(keys.path)}
        session.execute(update(backups).where(backups.c.name == keys.backup).values(place))

    # People and photos

    def _parts(self, session: Session) -> None:
        """Restore people, then photos; a person of whom no photo could be restored goes again."""
        try:
            parts = list(self.snapshot.parts())
        except Damaged as error:
            raise GalleryError(f"{error} It is needed whole: restore another --number.") from None
        opened = self._opened(parts)
        seen: set[int] = set()
        while batch := list(islice(opened, BATCH)):
            self._objects.write({rows["photos"][0]["sha256"]: data for _, rows, data in batch if data is not None})
            for name in ("people", "photos", "templates"):
                insert(session, self._tables[name], [row for _, rows, _ in batch for row in rows.get(name, ())])
            self._keys(session, [part for part, _, _ in batch])
            seen |= {rows["photos"][0]["person_id"] for _, rows, data in batch if data is not None}
        table = self._tables["people"]
        for number in sorted(self._people - seen):
            session.execute(delete(table).where(table.c.id == number))
            self._lost[PERSON].append(number)
        self._people = seen

    def _opened(self, parts: list[Part]) -> Iterator[tuple[Part, Rows, bytes | None]]:
        """The parts that can be opened, with rows and original; the others are noted as lost."""
        for done, part in enumerate(parts, 1):
            self._progress(done, len(parts))
            key = self.snapshot.key(part)
            try:
                rows, data = _part(self.snapshot, key, part) if key else ({}, None)
            except Damaged as error:
                if not self._incomplete:
                    raise GalleryError(f"{error} {ADVICE}") from None
                self._problems.append(Problem("backup", f"{part.kind} {part.number}", str(error)))
                rows, data = {}, None
            whole = rows and (part.kind == PERSON or (data and rows["photos"][0]["person_id"] in self._people))
            if not whole:
                self._lost[part.kind].append(part.number)
                continue
            if part.kind == PERSON:
                self._people.add(part.number)
            else:
                self._photos += 1
            yield part, rows, data

    def _keys(self, session: Session, parts: list[Part]) -> None:
        """Give the rows their keys back, so that an expunge destroys them."""
        known = self.snapshot.keys.keys
        rows: list[dict[str, Any]] = [
            {f"{part.kind}_id": part.number, "secret": known[name].secret}
            for part in parts
            for name in reversed(part.keys)  # the newest seals, and comes last here
            if name in known
        ]
        for kind in ("person", "photo"):
            some = [row for row in rows if f"{kind}_id" in row]
            if some:
                session.execute(self._tables["backup_keys"].insert(), some)
