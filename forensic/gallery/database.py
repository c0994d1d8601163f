"""The connection to the database: pragmas, migrations, and errors in a user's words."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from forensic.errors import GalleryError

HEAD = "0005"  # the newest revision in migrations/versions
MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_SECONDS = 30


def connect(database: str | Path) -> Engine:
    """An engine for an SQLite file (a path) or for any URL that SQLAlchemy knows."""
    url = URL.create("sqlite", database=str(database)) if isinstance(database, Path) else database
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, record: object) -> None:
    """Make each SQLite connection durable, strict about foreign keys, and thorough in deleting."""
    connection.isolation_level = None  # transactions begin in _begin, reads included
    for pragma in (
        f"busy_timeout = {int(BUSY_SECONDS * 1000)}",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    _write_ahead(connection)


def _write_ahead(connection: Any) -> None:
    """Switch to WAL. That takes the whole file for a moment, and SQLite does not wait for its turn by itself."""
    patience = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > patience:
                raise
            time.sleep(0.01)


def _begin(connection: Connection) -> None:
    """Begin for real: a writer takes the write lock at once, since a reader that turns writer can deadlock."""
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def revision(engine: Engine) -> str | None:
    """The schema's revision; None for an empty database.

    Raises:
        GalleryError: the database holds tables, but not a gallery's.
    """
    with engine.connect() as connection:
        inspector = inspect(connection)
        if not inspector.has_table("alembic_version"):
            if tables := inspector.get_table_names():
                message = f"{engine.url.database} is no gallery's database: it has the tables {', '.join(tables[:3])}."
                raise GalleryError(f"{message} Name a gallery's folder, or a new one to 'forensic enroll'.")
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine, then: Callable[[Connection], None]) -> None:
    """Bring the schema to HEAD, and do what belongs to it, in one transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.execution_options(immediate=True).connect() as connection:
        config.attributes |= {"connection": connection, "then": then}
        command.upgrade(config, HEAD)
        connection.commit()


def scrub(engine: Engine, *, vacuum: bool, patience: float | None = None) -> bool:
    """Wipe what was deleted from an SQLite database's files; other databases do that themselves.

    ``secure_delete`` zeroes deleted cells, but B-tree balancing can leave a copy of a cell in a page's gap:
    only VACUUM, which writes every page anew, is sure to drop those. Truncating the write-ahead log then
    removes the old pages in it.

    Args:
        engine: the database.
        vacuum: write all pages anew first.
        patience: seconds to wait for readers; by default as long as for any lock.

    Returns:
        False if another process was reading, so that the log could not be truncated.

    Raises:
        DBAPIError: The disk is full, or another process keeps the database locked.
    """
    if engine.dialect.name != "sqlite":
        return True
    try:
        with closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            if vacuum:
                cursor.execute("VACUUM")
            if patience is not None:
                cursor.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
            busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
            cursor.close()
    except engine.dialect.loaded_dbapi.Error as error:
        raise DBAPIError("VACUUM", None, error) from error
    return not busy


def integrity(engine: Engine) -> list[str]:
    """What SQLite's own checks find wrong with the file; nothing for other databases."""
    if engine.dialect.name != "sqlite":
        return []
    try:
        with closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            found = [str(row[0]) for row in cursor.execute("PRAGMA integrity_check") if row[0] != "ok"]
            for table, row, parent, _ in cursor.execute("PRAGMA foreign_key_check"):
                found.append(f"row {row} of {table} names a row of {parent} that is not there")
            cursor.close()
    except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
        return [str(getattr(error, "orig", error))]
    return found


@contextmanager
def in_words(database: str) -> Iterator[None]:
    """Turn a database's or the system's error into a GalleryError that names the database and what to do."""
    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error)
        raise GalleryError(f"The gallery's database {database}: {reason}. {_advice(reason)}") from error
    except UnicodeError as error:
        raise GalleryError(f"The gallery's database {database} stores Unicode text alone: {error}.") from error
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise GalleryError(f"The gallery of {database}: {error.strerror or error}{where}.") from error


def _advice(reason: str) -> str:
    if "malformed" in reason or "not a database" in reason or "no such table" in reason:
        return "It is damaged: restore the gallery from a backup; 'forensic gallery verify' says more."
    if "locked" in reason or "busy" in reason:
        return "Another process keeps it busy: wait for that one to end, then try again."
    if "readonly" in reason or "unable to open" in reason:
        return "This user needs the right to read and write the gallery's folder and all files in it."
    if "full" in reason:
        return "Free space on its disk, then try again; nothing of this step was stored."
    return "Nothing of this step was stored."
