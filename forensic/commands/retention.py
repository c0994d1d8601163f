"""``forensic retention``: until when people may be kept, and the end of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensic.commands.options import day, open_place, place_option, sure
from forensic.commands.printing import Column, echo_json, print_table
from forensic.text import counted, printable

if TYPE_CHECKING:
    from forensic.gallery.expunging import Due


@click.group()
def retention() -> None:
    """Until when people may be kept, and who is due.

    A date is given with 'forensic enroll --keep-until', in a table's column keep_until, or by 'forensic gallery update
    PERSON --set keep_until=2031-12-31'. It is the last day, in UTC, on which the person may be kept.
    """


@retention.command("list")
@place_option
@click.option("--before", callback=day, metavar="DATE", help="Only whose date is before this day: due on it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_due(gallery: Path, before: date | None, as_json: bool) -> None:
    """List who has a date, the earliest first.

    \b
    forensic retention list --before 2030-01-01
    """
    from forensic.gallery.expunging import today

    with open_place(gallery) as opened:
        found, size = opened.people.due(before), opened.people.size()
    if as_json:
        _print_json(found)
        return
    _print(found)
    overdue = sum(person.keep_until < today() for person in found)
    shown = f"{len(found)} of {counted(size.people, 'person')} have a date" + (
        "" if before is None else f" before {before}"
    )
    advice = ": 'forensic retention apply' expunges them" if overdue else ""
    click.echo(f"{shown}; {overdue} are due today ({today()} in UTC){advice}.")


@retention.command()
@place_option
@click.option("--dry-run", is_flag=True, help="Only show who would be expunged.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; needs --yes or --dry-run.")
def apply(gallery: Path, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Expunge everybody whose date has passed, in one act; on the day itself they are still kept.

    All that 'forensic expunge' does is done, to those alone who were shown: whoever became due since, or has other
    photos by now, is left for the next time. The log has one entry, with numbers and the reason, without labels.

    \b
    forensic retention apply --dry-run
    forensic retention apply
    """
    from forensic.errors import UsageError
    from forensic.gallery.expunging import today

    left, day = 0, today()
    if as_json and not (yes or dry_run):
        raise UsageError("--json cannot ask: give --yes too, or --dry-run.")
    with open_place(gallery) as opened:
        found = shown = opened.people.due(day)
        if not dry_run and not as_json:
            _print(found)
        if found and not dry_run:
            if not yes and not sure(f"Expunge {counted(len(found), 'person')}, due on {day} (UTC), for good?"):
                click.echo("Nothing was removed.")
                return
            found = opened.people.expunge_due(shown)
            left = len(opened.people.due(today()))  # of whom others may have come to be due at midnight
    if left:
        click.echo(
            f"{counted(left, 'person')} became due or changed since this was shown: left for the next time.",
            err=True,
        )
    if as_json:
        _print_json(found)
        return
    if dry_run:
        _print(found)
    what = "would be expunged" if dry_run else "were expunged"
    click.echo(f"{counted(len(found), 'person')}, due on {day} (UTC), {what}.")


def _print(found: Sequence[Due]) -> None:
    columns = [Column("keep until"), Column("person"), Column("number", right=True), Column("photos", right=True)]
    if found:
        rows = ((str(one.keep_until), printable(one.label), str(one.number), str(one.photos)) for one in found)
        print_table(columns, rows)


def _print_json(found: Sequence[Due]) -> None:
    for one in found:
        row = one._asdict() | {"keep_until": one.keep_until.isoformat(), "photo_ids": sorted(one.photo_ids)}
        echo_json(row)
