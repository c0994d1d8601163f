"""What a server keeps beside a gallery, in the folder ``server``: its lock, and its state (`forensic.web.state`).

The state lies there as an SQLite file also where a PostgreSQL server has the gallery's database, is encrypted where the
gallery is, and is in no backup. What it holds of enrolled people goes when a job ends (files, conditions of a search)
or when anybody is expunged (texts of errors, answers that are kept for a request that is sent twice).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from forensic.errors import GalleryError
from forensic.gallery import database
from forensic.gallery.casework.casework_models import AuditEntry
from forensic.gallery.objects import private_folders

if TYPE_CHECKING:
    from filelock import FileLock

    from forensic.gallery.storage import Storage

FOLDER, FILE, LOCK = "server", "state.db", "lock"
FORGOTTEN = {
    "jobs": "UPDATE jobs SET error = NULL WHERE error IS NOT NULL",
    "made": "DELETE FROM made WHERE status >= 400",
    "uploads": "DELETE FROM uploads WHERE job NOT IN (SELECT id FROM jobs WHERE ended_at IS NULL)",
}
"""Table of the state -> what takes texts out of it that may name somebody."""
LASTING = ("case", "route", "key")
"""Words of a job's request that name nobody who is enrolled."""


def claim(home: Path) -> FileLock:
    """The lock of the one server that may serve a gallery; ``release`` gives it back, and so does the process's end.

    Args:
        home: `Storage.home`.

    Raises:
        GalleryError: Another server has it.
    """
    from filelock import FileLock, Timeout

    folder = home / FOLDER
    private_folders(folder)
    lock = FileLock(folder / LOCK, timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise GalleryError(
            f"Another server is serving the gallery in {home}: one gallery has one server. End the other one first."
        ) from None
    return lock


def is_running(home: Path) -> bool:
    """Whether a server is serving the gallery now."""
    from filelock import FileLock, Timeout

    if not (home / FOLDER / LOCK).exists():
        return False
    try:
        with FileLock(home / FOLDER / LOCK, timeout=0, mode=0o600):
            return False
    except Timeout:
        return True


def check_idle(gallery: Storage) -> None:
    """Stop what would take the state away, as an encryption does, while somebody needs it.

    Raises:
        GalleryError: A server is running, or jobs wait for one, or nobody can say.
    """
    if is_running(gallery.home):
        raise GalleryError(f"A server is serving the gallery in {gallery.folder}: end it first.")
    waiting = _count(gallery, "SELECT count(*) FROM jobs WHERE ended_at IS NULL", "jobs")
    if waiting is None:
        raise GalleryError(
            f"The server's state {gallery.home / FOLDER / FILE} cannot be read, so nobody knows what waits in it."
            f" Delete the folder {gallery.home / FOLDER}; its jobs, sessions and uploads are gone then."
        )
    if waiting:
        raise GalleryError(
            f"{waiting} jobs wait for the server of the gallery in {gallery.folder}: start it and let it do them, or "
            f"delete the folder {gallery.home / FOLDER}, and they are gone."
        )


def files(gallery: Storage) -> int | None:
    """How many uploaded files wait in the server's state; None where it cannot be read."""
    return _count(gallery, "SELECT count(*) FROM uploads", "uploads")


def forget(gallery: Storage) -> str:
    """Take out of the state what may name somebody, and wipe its file.

    Returns:
        Why that could not be done; empty where it was, or where there is no state.
    """
    path = gallery.home / FOLDER / FILE
    if not path.exists():
        return ""
    engine = _engine(gallery)
    try:
        there = inspect(engine).get_table_names()
        with engine.execution_options(immediate=True).begin() as connection:
            for table, statement in FORGOTTEN.items():
                if table in there:
                    connection.execute(text(statement))
            ended = text("SELECT id, asked FROM jobs WHERE ended_at IS NOT NULL")
            for number, asked in connection.execute(ended).all() if "jobs" in there else ():
                kept = {"id": number, "asked": json.dumps(lasting(json.loads(asked)))}
                connection.execute(text("UPDATE jobs SET asked = :asked WHERE id = :id"), kept)
        settled, reason = database.scrub(engine, vacuum=True), "it is being read"
    except (SQLAlchemyError, OSError) as error:
        settled, reason = False, str(getattr(error, "orig", None) or error)
    finally:
        engine.dispose()
    if settled:
        return ""
    return f"the server's state {path} could not be wiped ({reason}): end the server, delete the file, start it again."


def lasting(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What of a job's request may stay where nobody is to be named: numbers, and words that tell of nobody.

    >>> lasting({"case": "C-1", "top": 5, "where": ["name=Jane"], "landmarks": [[[1.5, 2], None]]})
    {'case': 'C-1', 'top': 5, 'landmarks': [[[1.5, 2], None]]}
    """
    return {key: value for key, value in asked.items() if key in LASTING or _is_number(value)}


def _is_number(value: object) -> bool:
    """Whether a value is a number, or none, or lists of such."""
    if isinstance(value, list):
        return all(map(_is_number, value))
    return value is None or isinstance(value, int | float)


def removals(gallery: Storage, after: int) -> tuple[int, bool]:
    """Whether anybody was expunged since an entry of the log, by whatever program.

    Args:
        gallery: The gallery.
        after: Number of the last entry that the caller knows.

    Returns:
        Number of the last entry now, and whether one in between says so.
    """
    with gallery.asking() as connection:
        last = connection.scalars(select(func.max(AuditEntry.number))).one() or 0
        if last <= after:
            return last, False
        fresh = select(AuditEntry.number).where(AuditEntry.number > after)
        removing = fresh.where(AuditEntry.entry.contains('"action":"expunge"', autoescape=True))
        return last, connection.scalars(removing.limit(1)).first() is not None


def _engine(gallery: Storage) -> Engine:
    key = None if gallery.sealing is None else gallery.sealing.database
    return database.connect(gallery.home / FOLDER / FILE, key)


def _count(gallery: Storage, query: str, table: str) -> int | None:
    """A number from the state, 0 where there is none; None where it is damaged."""
    if not (gallery.home / FOLDER / FILE).exists():
        return 0
    engine = _engine(gallery)
    try:
        if table not in inspect(engine).get_table_names():
            return 0
        with engine.connect() as connection:
            return int(connection.execute(text(query)).scalar_one())
    except SQLAlchemyError:
        return None
    finally:
        engine.dispose()
