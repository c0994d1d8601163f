"""Accuracy reports on a terminal: ``forensic evaluate`` and ``reports``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from forensic.text import printable

if TYPE_CHECKING:
    from rich.table import Table as Drawn
    from rich.text import Text

    from forensic.evaluation.tables import Table

WIDTH = 120
"""Columns of the tables where the output is no terminal."""


def show(report: Mapping[str, Any]) -> None:
    """Print the tables of a report (``Report.to_dict()``) that fit a terminal on standard output."""
    from rich.console import Console

    from forensic.evaluation.tables import tables

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    for table in tables(report):
        if table.headline:
            console.print(drawn(table))


def drawn(table: "Table") -> "Drawn":
    """A table with every interval below its figure."""
    from rich.table import Table as Drawn
    from rich.text import Text

    made = Drawn(title=Text(printable(table.title)), title_justify="left", show_lines=True)
    for heading in table.names:
        made.add_column(Text(printable(heading)), overflow="fold")
    for heading in table.figures:
        made.add_column(Text(printable(heading)), justify="right")
    for row in table.rows:
        made.add_row(*(_cell(cell) for cell in row))
    return made


def _cell(text: str) -> "Text":
    from rich.text import Text

    return Text(printable(text).replace(" [", "\n[").replace("] ", "]\n"))
