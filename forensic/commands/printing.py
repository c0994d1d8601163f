"""Printing text that strangers wrote: tables and JSON without anything that a terminal would obey."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from forensic.text import counted, printable

if TYPE_CHECKING:
    from forensic.gallery import Problem

PROBLEMS = 4
"""Exit status of a check that found something."""
WARNINGS = 20
"""As many as a person reads."""


class Column(NamedTuple):
    """A table's column."""

    title: str
    right: bool = False


def held(people: int, photos: int) -> str:
    """How much a gallery, or a copy of one, holds.

    >>> held(1, 2)
    '1 person, 2 photos'
    """
    return f"{counted(people, 'person')}, {counted(photos, 'photo')}"


def echo_json(value: object) -> None:
    """Print one line of JSON in ASCII."""
    click.echo(json.dumps(value, allow_nan=False))


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as wide as the terminal, or as wide as its content where the output is a file."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)


def print_warnings(warnings: Sequence[str]) -> None:
    """Print the first warnings on standard error, and how many more there are."""
    for warning in warnings[:WARNINGS]:
        click.echo(f"warning: {warning}", err=True)
    if len(warnings) > WARNINGS:
        click.echo(f"... and {len(warnings) - WARNINGS} more warnings (--json lists all).", err=True)


def print_problems(problems: "Sequence[Problem]", *, as_json: bool) -> None:
    """Print what a check found, a line each; where it found something, the command ends with `PROBLEMS`."""
    for problem in problems:
        if as_json:
            echo_json(problem._asdict())
        else:
            click.echo(f"{problem.kind}: {printable(problem.subject)}: {printable(problem.message)}")
    if problems:
        raise click.exceptions.Exit(PROBLEMS)
