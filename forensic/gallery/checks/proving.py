"""Proof that an expunged person is gone: the tombstone in the log, and a look at everything that could still tell.

What is left of a person are numbers, theirs and their photos', in the log and in the records of earlier searches. They
are never given out again and tell nothing of who it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Column, func, select, text
from sqlalchemy.orm import Session

from forensic.errors import GalleryError
from forensic.gallery import engines, originals, serving, templates
from forensic.gallery.backup import keyfiles
from forensic.gallery.checks import apart, pages
from forensic.gallery.checks.traces import Traces
from forensic.gallery.describing import INDEX
from forensic.gallery.log import audit
from forensic.gallery.models import Backup, Base, CohortSketch, IndexFile, LooseObject, Person, Photo
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import Storage

NAMED = 3
"""How many files or rows a check names."""
LEFT_OUT = "left out of a restored gallery"
"""Why people of a backup are not in the gallery that came from it: they had been expunged since, or were damaged."""


class Tombstone(NamedTuple):
    """What the log keeps of an expunge: no word of who it was.

    Attributes:
        entry: The entry's number in the log.
        at: When, in UTC, ISO 8601.
        operator: Who did it.
        people: Numbers of the people who are gone.
        photos: Numbers of their photos, or of the photos that were removed by themselves.
        reason: What whoever did it gave; "retention" where the date had passed, `LEFT_OUT`, or empty.
    """

    entry: int
    at: str
    operator: str
    people: tuple[int, ...]
    photos: tuple[int, ...]
    reason: str


class Check(NamedTuple):
    """One thing that was looked at.

    Attributes:
        name: What it is.
        passed: Whether no trace was found; None where nobody can look.
        said: What was found, in words.
    """

    name: str
    passed: bool | None
    said: str


class _Case(NamedTuple):
    """Whose traces are looked for, and where."""

    gallery: Storage
    session: Session
    number: int
    photos: Sequence[int]
    traces: Traces


@needs(Right.PROVE)
def tombstones(gallery: Storage) -> list[Tombstone]:
    """All expunges, and restorings that left somebody out, the newest first."""
    with gallery.reading() as session:
        return _tombstones(session)


@needs(Right.PROVE)
def prove(gallery: Storage, number: int, *, traces: Traces | None = None, wipe: bool = False) -> list[Check]:
    """Look for traces of an expunged person.

    Args:
        gallery: The gallery; nobody else writes to it meanwhile.
        number: The person's, from the tombstone.
        traces: What one still has in hand of the person, to be searched for in the bytes of all files.
        wipe: Write the database's file anew before, so that bytes of no row that later work left do not count.

    Raises:
        GalleryError: Another process keeps writing.
    """
    with gallery.writing() as session:
        gallery.note(session, "prove", person=number)
    with gallery.still(vacuum=wipe) as settled, gallery.reading() as session:
        stones = [stone for stone in _tombstones(session) if number in stone.people]
        photos = sorted({photo for stone in stones for photo in stone.photos})
        case = _Case(gallery, session, number, photos, traces or Traces())
        return [*_log(case, stones), *_side_files(gallery, settled), *(one for check in CHECKS for one in check(case))]


def _tombstones(session: Session) -> list[Tombstone]:
    return [
        Tombstone(
            entry["number"],
            entry["at"],
            entry["operator"],
            tuple(entry["details"]["people"]),
            tuple(entry["details"]["photos"]),
            LEFT_OUT if entry["action"] == "restore" else str(entry["details"].get("reason", "")),
        )
        for entry in audit.entries(session)
        if entry["action"] == "expunge" or (entry["action"] == "restore" and entry["details"]["photos"])
    ]


def _log(case: _Case, stones: Sequence[Tombstone]) -> Iterator[Check]:
    if stones:
        last = stones[0]
        what = LEFT_OUT if last.reason == LEFT_OUT else "expunged"
        said = f"entry {last.entry}: {what} {last.at[:19]} (UTC) by {last.operator}, {len(last.photos)} photos"
        yield Check("tombstone", True, said)
    else:
        yield Check("tombstone", False, f"no entry of the log says that person {case.number} was expunged")
    problems = list(audit.verify(case.session))
    said = "; ".join(f"{one.subject}: {one.message}" for one in problems[:NAMED]) or "chained and signed throughout"
    yield Check("log", not problems, said)


def _rows(case: _Case) -> Iterator[Check]:
    """Every column that can name a person or a photo, those of tables to come too."""
    found = [
        f"{count} in {column}"
        for owner, numbers in ((Person, [case.number]), (Photo, case.photos))
        for column in _naming(Base.metadata.tables[owner.__tablename__].c.id)
        if (count := _count(case.session, column, numbers))
    ]
    said = "rows name the person or a photo of it: " + ", ".join(found) if found else "no row names the person"
    yield Check("rows", not found, said)


def _naming(key: Column[int]) -> list[Column[int]]:
    """A table's key, and all columns that refer to it."""
    columns = (column for table in Base.metadata.sorted_tables for column in table.columns)
    return [column for column in columns if column is key or column.references(key)]


def _count(session: Session, column: Column[int], numbers: Sequence[int]) -> int:
    query = select(func.count()).select_from(column.table)
    return sum(session.scalars(query.where(column.in_(some))).one() for some in templates.chunks(numbers))


def _side_files(gallery: Storage, settled: bool) -> Iterator[Check]:
    """The log of old pages, and what an interrupted VACUUM leaves."""
    file = _file(gallery)
    if file is None:
        return
    left = [path for end in ("-wal", "-journal") if (path := file.with_name(file.name + end)).exists()]
    full = [f"{path.name} holds {path.stat().st_size} bytes" for path in left if path.stat().st_size]
    blame = "" if settled else "; another process reads the gallery: end it, then try again"
    yield Check(
        "old pages", not full, ", ".join(full) + blame if full else "no write-ahead log or journal with content"
    )


def _pages(case: _Case) -> Iterator[Check]:
    """Bytes of the database's file that belong to no row."""
    file, name = _file(case.gallery), "pages"
    if file is None:
        said = "the server's own files: the expunge had every table written anew; its logs and backups are the server's"
        yield Check(name, None, said)
        return
    schema = text("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0")
    try:
        remains = apart.remains(file, case.session.scalars(schema).all())
    except pages.Malformed as error:
        free = case.session.scalars(text("PRAGMA freelist_count")).one()
        said = f"cannot be read ({error}): the expunge wrote them anew by VACUUM; {free} pages are free"
        yield Check(name, None if not free else False, said)
        return
    count = sum(page.bytes for page in remains)
    said = (
        f"{count} bytes in {len(remains)} pages belong to no row. Rows that were changed or moved since leave such, "
        "and whose they are cannot be told: --wipe writes the file anew and looks again"
    )
    yield Check(name, not remains, said if remains else "no byte belongs to no row but SQLite's own numbers")


def _objects(case: _Case) -> Iterator[Check]:
    store = case.gallery.objects
    named = {store.name(sha256) for sha256 in case.session.scalars(select(Photo.sha256))}
    try:
        store.check()
        strange = [store.where(name) for name in store.names() if name not in named]
        yield _files("originals", strange, "all are of enrolled photos")
    except OSError as error:
        said = f"{store.place} cannot be looked into ({error.strerror or error})"
        waiting = case.session.scalars(select(func.count()).where(LooseObject.expunged)).one()
        if waiting:
            said += f", and {waiting} expunged originals wait there to be removed: the next use that reaches it does it"
        yield Check("originals", False if waiting else None, said)
    if (left := originals.status(case.gallery).left) is not None:
        yield Check("moved originals", False, originals.LEFT.format(left))


def _indexes(case: _Case) -> Iterator[Check]:
    """Every expunge takes out the files that held somebody: what is there is known, and does not name the photos."""
    known = set(case.session.scalars(select(IndexFile.name)))
    paths = [path for path in sorted(case.gallery.index_folder.rglob("*")) if not _is_open_folder(path)]
    names = {path: _names(case.gallery, path, case.photos) for path in paths if path.name in known}
    strange = [path for path in paths if names.get(path, True)]
    damaged = [path.name for path, named in names.items() if named is None]
    if damaged and not strange:
        said = f"cannot be read: {', '.join(damaged[:NAMED])}; the next search makes them anew, then look again"
        yield Check("indexes", None, said)
    else:
        yield _files("indexes", strange, f"{len(paths)} files, none with the person's photos")


def _is_open_folder(path: Path) -> bool:
    """Whether it holds nothing but what is looked at by itself."""
    return path.is_dir() and not path.is_symlink() and os.access(path, os.R_OK | os.X_OK)


def _names(gallery: Storage, path: Path, photos: Iterable[int]) -> bool | None:
    """Whether an index holds one of the photos' numbers; None where it cannot be read as one."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        ids = load(gallery.codec.unseal(path.read_bytes(), INDEX, path.name))["ids"]
    except (SafetensorError, KeyError, ValueError, OSError):
        return None
    return not set(photos).isdisjoint(ids.tolist())


def _folder(case: _Case) -> Iterator[Check]:
    yield _files("folder", case.gallery.strange(), "nothing but the gallery's own files")


def _backups(case: _Case) -> Iterator[Check]:
    """The keys to what backups hold of people who are gone."""
    count = case.session.scalars(select(func.count(Backup.name))).one()
    left, unseen = keyfiles.remaining(case.session), keyfiles.unseen(case.session)
    said = f"every key to the expunged is gone from the key files of {count} backups" if count else "none is on record"
    if unseen:
        more = ", ".join(unseen[:NAMED])
        said += f"; that the key files of {len(unseen)} more are destroyed was said, not seen: {more}"
    said = "; ".join(f"{one.subject}: {one.message}" for one in left[:NAMED]) or said
    yield Check("backups", False if left else None if unseen else True, said)


def _cohorts(case: _Case) -> Iterator[Check]:
    """Templates of the photos that an earlier version let be in a cohort too: in backups nobody's key seals these."""
    log, photos = audit.entries(case.session), set(case.photos)
    restored = any(one["action"] == "restore" and photos.intersection(one["details"]["photos"]) for one in log)
    if restored and case.session.scalars(select(CohortSketch.id).limit(1)).first() is not None:
        said = (
            "came from a backup with its templates, and whether one is of the person's photos cannot be told: "
            "'forensic cohort clear' removes them"
        )
        yield Check("cohort", None, said)
    taken = (one for one in log if one["action"] == "expunge" and "cohort" in one["details"])
    last = max((one["number"] for one in taken if photos.intersection(one["details"]["photos"])), default=0)
    made = (one["details"] for one in log if one["action"] == "backup" and one["number"] < last)
    pruned = (one["details"] for one in log if one["action"] == "backup-prune")
    held = {(said["backup"], said["number"]) for said in made}
    held -= {(said["backup"], number) for said in pruned for number in said["snapshots"]}
    query = select(Backup.destination).where(Backup.name.in_({name for name, _ in held}))
    if folders := case.session.scalars(query.order_by(Backup.destination)).all():
        said = (
            f"templates of the photos went out of the gallery's cohort too; snapshots of before in "
            f"{', '.join(folders)} hold these still: 'forensic backup prune DEST' removes them"
        )
        yield Check("cohort", False, said)


def _engine(case: _Case) -> Iterator[Check]:
    """The rows that the engine has of the photos, and what it still owes."""
    if (url := engines.chosen(case.session)) is None:
        return
    if owed := engines.owed(case.session):
        yield Check("engine", False, f"{url} may hold templates of {len(owed)} expunged photos: {engines.CURE}")
        return
    try:
        count = engines.held(case.gallery, case.photos)
    except GalleryError as error:
        yield Check("engine", None, f"it was told to forget the photos, and cannot be asked now. {error}")
        return
    said = f"{url} holds {count} templates of the photos" if count else f"{url} holds no row of the photos"
    yield Check("engine", not count, f"{said}; its files are the engine's own")


def _server(case: _Case) -> Iterator[Check]:
    """What a server keeps of its own."""
    gallery, name = case.gallery, "server"
    if not (gallery.home / serving.FOLDER).exists():
        return
    if (count := serving.files(gallery)) is None:
        yield Check(name, None, "its state cannot be read: end the server, delete the file, start it again")
    elif count:
        yield Check(name, False, f"{count} uploaded files wait for the server: let it do its jobs, then look again")
    elif serving.is_running(gallery.home):
        yield Check(name, None, "it is running: what its memory holds of earlier pictures nobody can see; restart it")
    else:
        yield Check(name, True, "it is not running, and no uploaded file waits for it")


def _bytes(case: _Case) -> Iterator[Check]:
    """What one still has in hand of the person, in all files; in all rows too where a file does not show them."""
    if not case.traces:
        return
    hidden = ["the server's files cannot be searched"] if _file(case.gallery) is None else []
    hidden += ["sealed files show nothing of what they hold"] if case.gallery.sealing else []
    found = [f"{path.name} ({what})" for path, what in case.traces.found(case.gallery.folder)]
    if originals.are_elsewhere(case.gallery):
        try:
            found += [f"{name} ({what})" for name, what in case.traces.found_in(case.gallery.objects.contents())]
        except OSError as error:
            hidden.append(f"{case.gallery.objects.place} cannot be read ({error.strerror or error})")
    if hidden:
        found += [f"{column} ({what})" for column, what in case.traces.found_in_rows(case.session)]
    if found:
        yield Check("search", False, "found in " + ", ".join(found[:NAMED]))
    elif hidden:
        yield Check("search", None, f"in no row, and in no file as it lies; {', and '.join(hidden)}")
    else:
        yield Check("search", True, "in no file of the folder, and in no file's name")


def _files(name: str, strange: Sequence[Path | str], else_: str) -> Check:
    more = f" and {len(strange) - NAMED} more" if len(strange) > NAMED else ""
    said = "not the gallery's: " + ", ".join(map(str, strange[:NAMED])) + more
    return Check(name, not strange, said if strange else else_)


def _file(gallery: Storage) -> Path | None:
    """The database's file, where it is one."""
    url = gallery.engine.url
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


CHECKS: tuple[Callable[[_Case], Iterator[Check]], ...] = (
    _rows,
    _pages,
    _objects,
    _indexes,
    _folder,
    _backups,
    _cohorts,
    _engine,
    _server,
    _bytes,
)
"""What is looked at beside the log. Whatever else keeps something of people adds a check here."""
