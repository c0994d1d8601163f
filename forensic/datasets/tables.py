"""The CSV tables of data sets: ``pairs.csv`` and ``faces.csv``."""

import csv
from collections.abc import Sequence
from pathlib import Path

from forensic.errors import DataError


def rows(table: Path, required: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table, each with its number (the header's is 1) and a text for every column.

    Raises:
        DataError: The table is no CSV in UTF-8, lacks a required column, or has a row that is longer or shorter.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:  # spreadsheets begin with a byte order mark
            reader = csv.DictReader(lines)
            missing = [name for name in required if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{table} lacks the column {', '.join(missing)}; expected at least {', '.join(required)}."
                )
            found = list(enumerate(reader, start=2))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a CSV table in UTF-8: {error}.") from None
    for number, row in found:
        if None in row or None in row.values():
            raise DataError(f"{table}, line {number}: expected as many fields as the header has.")
    return found
