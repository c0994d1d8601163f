"""The connection to the database, and errors in a user's words. What SQLite and PostgreSQL do apart is decided here."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from forensic.errors import GalleryError
from forensic.gallery import postgresql

HEAD = "0009"  # the newest revision in migrations/versions
MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_SECONDS = 30
JOURNAL = "loose_objects"


def connect(database: URL | Path, key: bytes | None = None) -> Engine:
    """An engine for an SQLite file (a path), or for the URL of an SQLite or PostgreSQL database.

    Args:
        database: The file or the URL.
        key: Of an SQLite file that SQLCipher encrypts, 32 bytes; None for a plain one.
    """
    url = URL.create("sqlite", database=str(database)) if isinstance(database, Path) else database
    if url.get_backend_name() == "postgresql":
        return postgresql.engine(url)
    if key is None:
        engine = create_engine(url, hide_parameters=True)  # people's names have no place in a log
    else:
        from sqlcipher3 import dbapi2 as sqlcipher

        engine = create_engine(url, module=sqlcipher, hide_parameters=True)
        event.listen(engine, "do_connect", partial(_keyed, key))
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _keyed(key: bytes, dialect: Any, record: object, arguments: Sequence[Any], settings: Mapping[str, Any]) -> Any:
    """A connection that has its key before SQLAlchemy asks it for anything: 256 random bits, used as they are."""
    connection = dialect.connect(*arguments, **settings)
    connection.execute("PRAGMA cipher_log_level = NONE")  # it writes to stderr what we raise as an error in words
    connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    return connection


@contextmanager
def sole_writer(engine: Engine, patience: float) -> Iterator[Engine | Connection]:
    """What transactions that write are to run on, while no other machine's writer can be at work.

    SQLite's own lock serves on one machine; the folder's lock comes before it.

    Raises:
        TimeoutError: another machine is writing.
    """
    if engine.dialect.name == "postgresql":
        with postgresql.sole_writer(engine, patience) as connection:
            yield connection
    else:
        yield engine.execution_options(immediate=True)


def _prepare(connection: Any, record: object) -> None:
    """Make each SQLite connection durable, strict about foreign keys, and thorough in deleting."""
    connection.isolation_level = None  # transactions begin in _begin, reads included
    for pragma in (
        f"busy_timeout = {int(BUSY_SECONDS * 1000)}",
        "synchronous = FULL",
        "fullfsync = ON",  # macOS: to the disk, and not to its cache; nothing elsewhere
        "checkpoint_fullfsync = ON",
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
        except connection.OperationalError as error:  # of sqlite3 or of SQLCipher, whose exceptions have no common base
            if "locked" not in str(error) or time.monotonic() > patience:
                raise
            time.sleep(0.01)


def _begin(connection: Connection) -> None:
    """Begin for real: a writer takes the write lock at once, since a reader that turns writer can deadlock."""
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def version(engine: Engine) -> str | None:
    """The schema's revision of a gallery's database; None where its making was cut off."""
    with engine.connect() as connection:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


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
    return version(engine)


def migrate(writer: Engine | Connection, then: Callable[[Connection], None], revision: str = "") -> None:
    """Bring the schema to a revision, and do what belongs to it, in one transaction.

    Args:
        writer: as `sole_writer` gives it.
        then: called with the connection once the tables are there.
        revision: HEAD if none is named.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with writer.connect() if isinstance(writer, Engine) else nullcontext(writer) as connection, connection.begin():
        config.attributes |= {"connection": connection, "then": then}
        command.upgrade(config, revision or HEAD)
        if connection.dialect.name == "postgresql":
            postgresql.settle(connection)


def last_ids(connection: Connection, tables: Collection[str]) -> dict[str, int]:
    """The highest id that each of these tables ever gave out, also to rows that are gone; no entry for none.

    Raises:
        GalleryError: the database is of a kind that nobody taught this function.
    """
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, seq FROM sqlite_sequence")).all()
        return {name: last for name, last in rows if name in tables}
    if connection.dialect.name == "postgresql":
        query = text("SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(:name, 'id') AS regclass))")
        found = {name: connection.execute(query, {"name": name}).scalar() for name in tables}
        return {name: last for name, last in found.items() if last is not None}
    raise GalleryError(f"Backups of a gallery in {connection.dialect.name} are not known here: use SQLite.")


def set_last_ids(connection: Connection, last: Mapping[str, int]) -> None:
    """Let tables, filled with rows that brought their ids, go on counting after these."""
    for name, number in last.items():
        if connection.dialect.name == "sqlite":
            given = {"name": name, "number": number}
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), given)
            connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :number)"), given)
        else:
            query = text("SELECT setval(CAST(pg_get_serial_sequence(:name, 'id') AS regclass), :number)")
            connection.execute(query, {"name": name, "number": number})


def scrub(engine: Engine, *, vacuum: bool, patience: float | None = None) -> bool:
    """Wipe what was deleted from the database's files; with ``vacuum`` from all, else from the journal.

    SQLite: ``secure_delete`` zeroes deleted cells, but B-tree balancing can leave a copy of a cell in a page's gap:
    only VACUUM, which writes every page anew, is sure to drop those. Truncating the write-ahead log then
    removes the old pages in it. PostgreSQL: tables are rewritten; its write-ahead log is out of reach.

    Args:
        engine: the database.
        vacuum: write all pages anew first.
        patience: seconds to wait for readers; by default as long as for any lock.

    Returns:
        False if another process was reading, so that the log could not be truncated, or tables not rewritten.

    Raises:
        DBAPIError: The disk is full, or another process keeps the database locked.
    """
    if engine.dialect.name == "postgresql":
        tables = postgresql.table_names(engine) if vacuum else [JOURNAL]
        return postgresql.rewrite(engine, tables, BUSY_SECONDS if patience is None else patience)
    try:
        with closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            if vacuum:
                cursor.execute("VACUUM")
            if patience is not None:
                cursor.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
            try:
                busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:  # the connection goes back to the pool
                cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
                cursor.close()
    except engine.dialect.loaded_dbapi.Error as error:
        raise DBAPIError("VACUUM", None, error) from error
    return not busy


def integrity(engine: Engine) -> list[str]:
    """What the database's own checks find wrong with it."""
    try:
        if engine.dialect.name == "postgresql":
            return postgresql.faults(engine)
        with closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            # SQLCipher's check of every page's authentication code goes first, since it names pages; others lack it.
            for name in ("cipher_integrity_check", "integrity_check"):
                found = [str(row[0]) for row in cursor.execute(f"PRAGMA {name}") if row[0] != "ok"]
                if found:
                    return found
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
        cause = getattr(error, "orig", None) or error
        reason, state = " ".join(str(cause).split()).rstrip("."), getattr(cause, "sqlstate", None)
        raise GalleryError(f"The gallery's database {database}: {reason}. {_advice(f'{reason} [{state}]')}") from error
    except UnicodeError as error:
        raise GalleryError(f"The gallery's database {database} stores Unicode text alone: {error}.") from error
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise GalleryError(f"The gallery of {database}: {error.strerror or error}{where}.") from error


# Words of an error, or a server's SQLSTATE in brackets, which is the same in every language -> what to do about it.
ADVICE = {
    ("permission denied", "[42501]"): "This user needs the right to make, read and change tables in it.",
    ('database "',): "Make it: createdb --encoding=UTF8 NAME; or name another.",
    ("malformed", "not a database", "no such table", "relation", "[XX001]", "[XX002]"): (
        "It is damaged: restore the gallery from a backup; 'forensic gallery verify' says more."
    ),
    ("locked", "busy", "[55P03]"): "Another process keeps it busy: wait for that one to end, then try again.",
    ("readonly", "unable to open"): (
        "This user needs the right to read and write the gallery's folder and all files in it."
    ),
    ("full", "[53100]"): "Free space on its disk, then try again; nothing of this step was stored.",
    ("too many clients", "connection slots", "[53300]"): "Too many use the server at once: try again later.",
    ("password", "pg_hba"): (
        "Give the password in PGPASSWORD or in ~/.pgpass (the gallery's folder keeps none), and see that the server "
        "lets this user in."
    ),
    ("[25006]",): "This is a standby server: name the primary one.",
    ("connection", "resolve host", "database system is", "[57P0"): (
        "See that the server runs and can be reached, then try again; what was under way is undone or finished."
    ),
}


def _advice(reason: str) -> str:
    found = (advice for words, advice in ADVICE.items() if any(word in reason for word in words))
    return next(found, "Nothing of this step was stored.")
