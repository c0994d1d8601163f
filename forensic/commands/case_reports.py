"""``forensic case report`` and ``forensic search report``: what is on record, as one file for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensic.commands.options import NUMBER, Place, open_place, place_option
from forensic.text import printable

if TYPE_CHECKING:
    from forensic.casefile.reporting import Made

out_option = click.option("--out", required=True, type=Place(dir_okay=False), help="A new .pdf or .html file.")


@click.command("report")
@click.argument("reference")
@place_option
@out_option
def case_report(reference: str, gallery: Path, out: Path) -> None:
    """Write the report of the case REFERENCE: sketches, searches, method, limitations, decisions, the log's entries.

    The same record gives the same file to the byte. The log notes each copy with its SHA-256. Verdicts that you may not
    see yet are not in it.

    \b
    forensic case report 2026-117 --out 2026-117.pdf
    """
    from forensic.casefile.reporting import write

    with open_place(gallery) as opened:
        _say(write(out, lambda form: opened.cases.report(reference, form)), out)


@click.command("report")
@click.argument("number", type=NUMBER)
@place_option
@out_option
def search_report(number: int, gallery: Path, out: Path) -> None:
    """Write the report of a search: probe, candidates, method, limitations, decisions, the log's entries.

    As 'forensic case report' does, of one search alone.

    \b
    forensic search report 12 --out 12.pdf
    """
    from forensic.casefile.reporting import write

    with open_place(gallery) as opened:
        _say(write(out, lambda form: opened.cases.search_report(number, form)), out)


def _say(made: Made, out: Path) -> None:
    import hashlib

    click.echo(f"Written: {printable(str(out))} ({len(made.content):,} bytes).")
    click.echo(f"SHA-256, as the log notes it: {hashlib.sha256(made.content).hexdigest()}")
    click.echo("These are personal data.")
