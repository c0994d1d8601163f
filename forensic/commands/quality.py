"""``forensic quality``: synthesized images against their targets."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensic.commands import files
from forensic.commands.options import Place
from forensic.commands.printing import Column, print_table
from forensic.quality.metrics import METRICS
from forensic.text import printable

if TYPE_CHECKING:
    from forensic.quality.measuring import Figure, Quality
    from forensic.recognition.embedding import Modality

_FOLDER = Place(file_okay=False, exists=True)
_FILE = Place(dir_okay=False)
SHOWN = 5
"""Left-over files that are named; the JSON file names all."""


@click.command()
@click.argument("synthesized_dir", type=_FOLDER)
@click.argument("target_dir", type=_FOLDER)
@click.option(
    "--metric",
    "chosen",
    multiple=True,
    type=click.Choice(list(METRICS)),
    metavar="NAME",
    help=f"Measure this one only; may be repeated. Without it, all of {', '.join(METRICS)}.",
)
@click.option(
    "--modality",
    type=click.Choice(["photo", "sketch"]),
    default="photo",
    show_default=True,
    help="What the images of both folders are, for the embedding's metrics.",
)
@click.option(
    "--crop/--no-crop",
    default=True,
    show_default=True,
    help="Cut 256 x 256 images to the 200 x 250 pixels that the field compares.",
)
@click.option("--json", "json_file", type=_FILE, help="Write the figures with their implementations to this file.")
@click.option("--csv", "csv_file", type=_FILE, help="Write every pair's values to this file.")
@click.pass_context
def quality(
    context: click.Context,
    synthesized_dir: Path,
    target_dir: Path,
    chosen: tuple[str, ...],
    modality: "Modality",
    crop: bool,
    json_file: Path | None,
    csv_file: Path | None,
) -> None:
    """Measure synthesized images against their targets.

    \b
    forensic quality faces/ photos/
    forensic quality sketches-made/ sketches/ --modality sketch --json quality.json --csv images.csv
    forensic quality faces/ photos/ --metric fsim --metric scoot

    Files belong together by their stems; NAME-synthetic.png belongs to NAME.jpg. Nothing is downloaded: a
    metric whose weights are missing is reported with the file that it needs.
    """
    for file in filter(None, (json_file, csv_file)):
        files.check_place(file)
    from forensic.progress import bar
    from forensic.quality.measuring import measure

    with bar("Measuring") as shown:
        measured = measure(
            synthesized_dir,
            target_dir,
            metrics=chosen or tuple(METRICS),
            modality=modality,
            crop=crop,
            progress=shown,
        )
    _report_files(measured)
    _print_figures(measured.figures)
    if json_file:
        found = {"synthesized": str(synthesized_dir), "target": str(target_dir), "cropped": crop} | measured.to_dict()
        files.write(json_file, json.dumps(found, indent=1, allow_nan=False) + "\n")
    if csv_file:
        files.write(csv_file, _rows(measured))
    for file in filter(None, (json_file, csv_file)):
        click.echo(f"Written: {file}", err=True)
    if measured.failures:
        context.exit(3)


def _report_files(measured: "Quality") -> None:
    """Say on standard error what was left over and what failed."""
    left = measured.matched
    for paths, what in (
        (left.synthesized_only, "synthesized without a target"),
        (left.target_only, "targets without a synthesized image"),
    ):
        if paths:
            named = ", ".join(printable(path.name) for path in paths[:SHOWN])
            more = f" and {len(paths) - SHOWN} more (all are in the --json file)" if len(paths) > SHOWN else ""
            click.echo(f"{len(paths)} {what}: {named}{more}", err=True)
    for name, reason in measured.failures:
        click.echo(f"Error: {printable(name)}: {reason}", err=True)


def _print_figures(figures: "list[Figure]") -> None:
    """A table of what was measured; below it, notes and what was not."""
    table = [figure for figure in figures if figure.value is not None]
    columns = [Column("metric"), Column("better"), *(Column(title, right=True) for title in ("n", "value", "sd"))]
    print_table([*columns, Column("95 % interval", right=True)], map(_cells, table))
    for figure in table:
        if figure.note:
            click.echo(f"{figure.metric.name}: {printable(figure.note)}.")
    reasons: dict[str, list[str]] = {}
    for figure in figures:
        if figure.value is None:
            reasons.setdefault(figure.missing, []).append(figure.metric.name)
    for reason, names in reasons.items():
        click.echo(f"{', '.join(names)} not measured: {printable(reason)}.")


def _cells(figure: "Figure") -> list[str]:
    arrow = {"higher": "↑ higher", "lower": "↓ lower"}[figure.metric.better]
    interval = "-" if figure.interval is None else "{:.4f} to {:.4f}".format(*figure.interval)
    sd = "-" if figure.sd is None else f"{figure.sd:.4f}"
    return [figure.metric.name, arrow, str(figure.n), f"{figure.value:.4f}", sd, interval]


def _rows(measured: "Quality") -> str:
    """One line a pair: its name, files and every metric of pairs that was measured."""
    names = [figure.metric.name for figure in measured.figures if figure.metric.over == "pair"]
    names = [name for name in names if any(name in values for _, values in measured.rows)]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["name", "synthesized", "target", *names])
    for pair, values in measured.rows:
        texts = (printable(str(text)) for text in pair)  # a name that is no UTF-8 has no other way into the file
        writer.writerow([*texts, *(values.get(name, "") for name in names)])
    return text.getvalue()
