"""A database's schema in a form that does not hang on how its tables came about."""

import re

from sqlalchemy import Engine


def parts(engine: Engine) -> dict[str, list[str]]:
    """Name of each table and index of an SQLite database -> the parts of its definition, in order of the alphabet.

    A table that was altered has quotes around its name, and its later columns stand behind the constraints.
    """
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'"
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(query).all()
    found = {name: re.split(r"[,\n]", sql.replace('"', "")) for name, sql in rows}
    return {name: sorted(filter(None, (part.strip(" \t()") for part in sql))) for name, sql in found.items()}
