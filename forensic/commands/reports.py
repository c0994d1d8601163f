"""``forensic reports``: accuracy reports that evaluations left in the gallery."""

import json
from pathlib import Path

import click

from forensic.commands.options import NUMBER, Place, open_place, place_option
from forensic.commands.printing import Column, echo_json, print_table
from forensic.text import printable


@click.group()
def reports() -> None:
    """Stored accuracy reports."""


@reports.command("list")
@place_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_reports(gallery: Path, as_json: bool) -> None:
    """List the reports, the newest first.

    \b
    forensic reports list
    """
    with open_place(gallery) as opened:
        found = opened.records.reports()
    if as_json:
        for report in found:
            echo_json({"id": report.id, "title": report.title, "created": report.created_at.isoformat()})
        return
    rows = [[str(report.id), report.created_at.strftime("%Y-%m-%d %H:%M UTC"), report.title] for report in found]
    print_table([Column("report", right=True), Column("made"), Column("title")], rows)


@reports.command()
@click.argument("number", type=NUMBER, metavar="REPORT")
@place_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on one line.")
def show(number: int, gallery: Path, as_json: bool) -> None:
    """Show a REPORT, by its number in the list.

    \b
    forensic reports show 3
    """
    with open_place(gallery) as opened:
        report = opened.records.report(number)
    created = report.created_at.isoformat()
    if as_json:
        echo_json({"id": report.id, "title": report.title, "created": created, "data": report.data})
        return
    click.echo(f"Report {report.id}: {printable(report.title)}, made {created}")
    click.echo(json.dumps(report.data, indent=2))


@reports.command()
@click.argument("number", type=NUMBER, metavar="REPORT")
@click.argument("file", type=Place(dir_okay=False))
@place_option
def page(number: int, file: Path, gallery: Path) -> None:
    """Write a REPORT's tables and plots to FILE, one HTML page.

    \b
    Example:
      forensic reports page 3 accuracy.html
    """
    from forensic.errors import UsageError
    from forensic.evaluation.page import render
    from forensic.weights import write_bytes

    with open_place(gallery) as opened:
        text = render(opened.records.report(number).data)
    try:
        write_bytes(file, text.encode())
    except OSError as error:
        raise UsageError(f"The page {file} cannot be written ({error.strerror}). Give another file.") from None
    click.echo(f"Written: {file}", err=True)
