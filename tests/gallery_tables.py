"""A new gallery's tables, made by the migrations once and copied after that: most tests begin with a new gallery."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from unittest import mock

from sqlalchemy import Connection, Engine, inspect

from forensic.gallery import database


@contextmanager
def made_once(folder: Path) -> Iterator[None]:
    """Within it, an empty SQLite database gets its tables in a tenth of the time; all others are migrated.

    Args:
        folder: For the database that the migrations make.
    """
    migrate, head = database.migrate, database.HEAD
    statements: list[str] = []

    def made_by_migrations() -> list[str]:
        engine = database.connect(folder / "migrated.db")
        migrate(engine, lambda connection: None)
        engine.dispose()
        with closing(sqlite3.connect(folder / "migrated.db")) as connection:
            return [*connection.iterdump()][1:-1]  # between BEGIN and COMMIT

    @wraps(migrate)
    def migrate_or_copy(writer: Engine | Connection, then: Callable[[Connection], None], revision: str = "") -> None:
        new = isinstance(writer, Engine) and not inspect(writer).get_table_names()
        if not new or revision or head != database.HEAD:
            migrate(writer, then, revision)
            return
        statements.extend([] if statements else made_by_migrations())
        with writer.connect() as connection, connection.begin():
            for statement in statements:
                connection.exec_driver_sql(statement)
            then(connection)

    with mock.patch.object(database, "migrate", migrate_or_copy):
        yield
