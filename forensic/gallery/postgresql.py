"""What ``database`` does on a PostgreSQL server where SQLite has pragmas: locks, thorough deleting, checks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, inspect, select, text
from sqlalchemy.exc import DBAPIError

from forensic import vacuuming
from forensic.errors import GalleryError

WRITER = int.from_bytes(b"forensic")  # the advisory lock's number, one in each database
POLL_SECONDS = 0.05
SESSION = {
    "tcp_keepalives_idle": "30",  # a writer whose machine died gives its lock back after a minute, not two hours
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


def engine(url: URL) -> Engine:
    """An engine whose transactions each see one state throughout.

    Raises:
        GalleryError: the driver is not installed.
    """
    try:
        made = create_engine(url, isolation_level="REPEATABLE READ", pool_pre_ping=True, hide_parameters=True)
    except ImportError as error:
        raise GalleryError(
            "A gallery on PostgreSQL needs psycopg, which is not installed: pip install 'forensic-sketch[postgresql]'"
        ) from error
    event.listen(made, "connect", _prepare)
    return made


def _prepare(connection: Any, record: object) -> None:
    """Make each session durable, and refuse a database that cannot hold every name."""
    if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
        raise GalleryError(f"The database's encoding is {encoding}; make one with: createdb --encoding=UTF8")
    settings = dict(SESSION)
    if connection.execute("SHOW synchronous_commit").fetchone()[0] == "off":
        settings["synchronous_commit"] = "on"
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.execute("SET client_encoding = 'UTF8'")
    connection.commit()


@contextmanager
def sole_writer(engine: Engine, patience: float) -> Iterator[Connection]:
    """Keep writers on other machines away, by a lock that lives as long as the server's session.

    Yields:
        The lock's own connection. Whoever writes on it cannot go on after the lock was lost with the connection.

    Raises:
        TimeoutError: somebody else has held the lock all the time.
    """
    end = time.monotonic() + patience
    with engine.connect() as connection:
        while not _asked(connection, "pg_try_advisory_lock"):
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(POLL_SECONDS)
        try:
            yield connection
        finally:
            try:
                connection.rollback()
                _asked(connection, "pg_advisory_unlock")
            except DBAPIError:
                connection.invalidate()  # the server drops the lock with the session


def _asked(connection: Connection, function: str) -> bool:
    answer = connection.execute(text(f"SELECT {function}(:number)"), {"number": WRITER}).scalar_one()
    connection.rollback()  # ends the transaction; the lock is the session's and stays as it is
    return bool(answer)


def settle(connection: Connection) -> None:
    """Give new columns what no migration says.

    Text is ordered by code points, as SQLite orders it, whatever the database's collation. No statistics are kept:
    they would hold samples of people's names, which expunging cannot reach.
    """
    quote = connection.dialect.identifier_preparer.quote
    columns = connection.execute(
        text(
            "SELECT a.attrelid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod),"
            " a.attcollation != 0 AND a.attcollation != 'pg_catalog.\"C\"'::regcollation"
            " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
            " AND a.attnum > 0 AND NOT a.attisdropped"
        )
    ).all()
    changes: dict[str, list[str]] = {}
    for table, name, kind, collated in columns:
        column = f"ALTER COLUMN {quote(name)}"
        changes.setdefault(table, []).append(f"{column} SET STATISTICS 0")
        if collated:
            changes[table].append(f'{column} TYPE {kind} COLLATE "C"')
    for table, parts in changes.items():
        connection.exec_driver_sql(f"ALTER TABLE {table} {', '.join(parts)}")


def rewrite(engine: Engine, tables: list[str], patience: float) -> bool:
    """`vacuuming.rewrite` for tables of a database.

    Raises:
        DBAPIError: The disk is full, or the connection is lost.
    """
    names = ", ".join(map(engine.dialect.identifier_preparer.quote, tables))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            return vacuuming.rewrite(connection.connection.driver_connection, names, patience)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DBAPIError("VACUUM", None, error) from error
        finally:
            connection.invalidate()  # its settings are not for others


def faults(engine: Engine) -> list[str]:
    """Constraints and indexes that the server does not vouch for, and rows that name a row that is not there."""
    query = text(
        "SELECT 'constraint ' || conname || ' was never validated' FROM pg_constraint"
        " WHERE NOT convalidated AND connamespace = current_schema()::regnamespace"
        " UNION ALL SELECT 'index ' || indexrelid::regclass || ' is not valid' FROM pg_index"
        " JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace"
    )
    with engine.connect() as connection:
        found = list(connection.scalars(query))
        tables = MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            for key in table.foreign_keys:
                parent = key.column.table.alias("parent")  # a table may name itself
                named = parent.c[key.column.name]
                lost = select(key.parent).outerjoin(parent, key.parent == named).where(named.is_(None))
                if connection.execute(lost.where(key.parent.is_not(None)).limit(1)).first() is not None:
                    found.append(f"a row of {table.name} names a row of {key.column.table.name} that is not there")
    return found


def table_names(engine: Engine) -> list[str]:
    """The tables of the database's own schema."""
    return sorted(inspect(engine).get_table_names())
