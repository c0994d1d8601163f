"""``forensic evaluate``."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensic.commands.options import gallery_option

if TYPE_CHECKING:
    from forensic.evaluation.accuracy import Report

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--data", required=True, type=_FOLDER, help="CUFS, FS2K, or a folder of photos/ and sketches/.")
@click.option(
    "--routes", "route_names", default="direct", show_default=True, help="Routes under test, with commas between."
)
@click.option(
    "--protocols",
    "protocol_names",
    help="closed-set, nlda, distractors, with commas between.  [default: all that the options allow]",
)
@click.option("--distractors", type=_FOLDER, help="Photos of other people that enlarge the gallery.")
@click.option("--split", type=click.Choice(["test", "train", "all"]), default="test", show_default=True)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Random splits of the NLDA protocol.",
)
@click.option("--seed", default=0, show_default=True, help="Of every random choice.")
@click.option("--json", "json_file", type=_FILE, help="Write every figure as JSON.")
@click.option("--csv", "csv_file", type=_FILE, help="Write one row a figure.")
@click.option("--plot", "plot_file", type=_FILE, help="Draw the CMC: a .png, .svg or .pdf file.")
@click.option("--store/--no-store", default=True, help="Keep the report in the gallery.  [default: store]")
@gallery_option
@click.option("--device", default="cpu", show_default=True, help="Where models run: cpu, cuda, cuda:1, ...")
def evaluate(
    data: Path,
    route_names: str,
    protocol_names: str | None,
    distractors: Path | None,
    split: str,
    repeats: int,
    seed: int,
    json_file: Path | None,
    csv_file: Path | None,
    plot_file: Path | None,
    store: bool,
    device: str,
    gallery: Path,
) -> None:
    """Measure how well routes recognize real sketches.

    Sketches are the probes and photos the gallery. The untrained embedder is always the first row: a route
    that does not beat it has not helped. A sketch or photo in which no face is found is a miss. Square
    brackets hold 95 % bootstrap intervals over identities.

    \b
    Protocols:
      closed-set   CMC on the whole data set, and rank-1 within each subset
      nlda         the field's: null-space LDA fitted on some of the identities, 20 random splits
      distractors  the same sketches in a gallery that grows by other people (--distractors)

    \b
    Examples:
      forensic evaluate --data cufs
      forensic evaluate --data cufs --routes direct,sketch-to-photo:pix2pix --plot cmc.png
      forensic evaluate --data fs2k --protocols closed-set --json fs2k.json --csv fs2k.csv
      forensic evaluate --data cufs --distractors faces
      forensic evaluate --data my-pairs --split all --no-store

    The shipped models saw training splits: figures on 'train' and 'all' show memory, not recognition.
    """
    from forensic import devices, routes
    from forensic.commands import accuracy
    from forensic.evaluation import plots, protocols
    from forensic.faces import Detector, Finder
    from forensic.gallery import Gallery
    from forensic.gallery.reports import save

    allowed = [name for name in protocols.PROTOCOLS if name != "distractors" or distractors]
    chosen = _names(protocol_names) if protocol_names else allowed
    devices.find(device)
    if plot_file:
        plots.check(plot_file, chosen)
    if store:
        Gallery(gallery, create=True).close()  # trouble with the gallery shows before the work, not after
    report = protocols.evaluate(
        data,
        [routes.load(name, device=device) for name in protocols.with_untrained(_names(route_names))],
        Finder(Detector(device)),
        protocols=chosen,
        split=split,
        distractors=distractors,
        repeats=repeats,
        seed=seed,
        quiet=False,
    )
    plain = report.to_dict()
    for side, faces in plain["faces"].items():
        for failure in faces["failures"]:
            click.echo(f"missed ({side}): {failure['file']}: {failure['reason']}", err=True)
    accuracy.show(plain)
    _write_files(report, plain, json_file, csv_file, plot_file)
    if store:
        title = f"{plain['data']['name']} ({split}): {', '.join(route['name'] for route in plain['routes'])}"
        with Gallery(gallery) as opened:
            number = save(opened, title, plain)
        click.echo(f"Kept as report {number}: forensic reports show {number} --gallery {gallery}", err=True)


def _write_files(
    report: "Report", plain: dict[str, Any], json_file: Path | None, csv_file: Path | None, plot_file: Path | None
) -> None:
    """Write the files that were asked for, and say so."""
    from forensic.evaluation import plots

    if json_file:
        _write(json_file, json.dumps(plain, indent=1, allow_nan=False) + "\n")
    if csv_file:
        _write(csv_file, _table_text(report))
    if plot_file:
        plots.cmc(plain, plot_file)
    for file in filter(None, (json_file, csv_file, plot_file)):
        click.echo(f"Written: {file}", err=True)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _table_text(report: "Report") -> str:
    rows = list(report.rows())
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="")
