"""``forensic evaluate``."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from forensic.commands import files
from forensic.commands.options import Place, device_option, gallery_option, open_gallery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensic.evaluation.accuracy import Report
    from forensic.evaluation.systems import Named
    from forensic.evaluation.trials import By
    from forensic.faces import Aligned, Finder
    from forensic.matching import Matcher

_FOLDER = Place(exists=True, file_okay=False)
_FILE = Place(dir_okay=False)


@click.command()
@click.option("--data", required=True, type=_FOLDER, help="CUFS, FS2K, or a folder of photos/ and sketches/.")
@click.option(
    "--routes",
    "route_names",
    help="Systems under test: commas between systems, + inside one.  [default: what `forensic match` uses]",
)
@click.option("--protocols", "protocol_names", help="Which to run.  [default: all that data and options allow]")
@click.option(
    "--split",
    type=click.Choice(["test", "train", "all"]),
    default="test",
    show_default=True,
    help="Which pairs of the data set.",
)
@click.option("--resplit", is_flag=True, help="Take the split that keeps people apart (FS2K).")
@click.option("--subset", metavar="NAME", help="Only this subset's sketches and photos.")
@click.option(
    "--by",
    type=click.Choice(["image", "person"]),
    help="Closed set: which photos are mates.  [default: image, and person too where people repeat]",
)
@click.option("--distractors", type=_FOLDER, help="Photos of other people that enlarge the gallery.")
@click.option(
    "--cohort",
    type=_FOLDER,
    help="Unlabelled sketches; each system is tried with them in its cohort too, under a name of its own.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Random splits of the NLDA protocol.",
)
@click.option("--plain", is_flag=True, help="Score by the mean of the routes' cosines, whatever was fitted to them.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of every random choice.")
@click.option("--json", "json_file", type=_FILE, help="Write every figure as JSON.")
@click.option("--csv", "csv_file", type=_FILE, help="Write one row a figure.")
@click.option("--page", "page_file", type=_FILE, help="Write tables and plots as one HTML page.")
@click.option("--plot", "plot_file", type=_FILE, help="Draw the CMC: a .png, .svg or .pdf file.")
@click.option("--store/--no-store", default=True, help="Keep the report in the gallery.  [default: store]")
@gallery_option
@device_option
def evaluate(
    data: Path,
    route_names: str | None,
    protocol_names: str | None,
    split: str,
    resplit: bool,
    subset: str | None,
    by: "By | None",
    distractors: Path | None,
    cohort: Path | None,
    repeats: int,
    plain: bool,
    seed: int,
    json_file: Path | None,
    csv_file: Path | None,
    page_file: Path | None,
    plot_file: Path | None,
    store: bool,
    device: str,
    gallery: Path,
) -> None:
    """Measure how well routes, alone and together, recognize real sketches.

    Sketches are the probes and photos the gallery; scores are those of a search. The untrained embedder is
    always the first row: a system that does not beat it has not helped. A sketch or photo in which no face is
    found is a miss. Square brackets hold 95 % bootstrap intervals over people.

    \b
    Protocols:
      closed-set   CMC on the whole data set, by subset and by attribute, and every system against every other
      cross-photo  the photo that the sketch was drawn from is gone; another photo of the person counts (FS2K)
      open-set     the person may not be there: FNIR at FPIR .01 and .003, and verification
      calibration  likelihood ratios: Cllr, ECE, Tippett, misleading evidence
      nlda         the field's: null-space LDA fitted on some of the people, each route by itself
      distractors  a gallery that grows by other people (--distractors), and which groups stand first

    \b
    Examples:
      forensic evaluate --data cufs --page cufs.html
      forensic evaluate --data cufs --routes direct,direct+sketch-to-photo:pix2pix --plot cmc.png
      forensic evaluate --data fs2k --resplit --distractors faces --json fs2k.json --csv fs2k.csv
      forensic evaluate --data cufs --split all --subset cuhk --protocols closed-set --no-store

    The shipped models saw training splits: figures on 'train' and 'all' show memory, not recognition, unless the model
    was trained without that part. So do those of hida with --resplit: it learned from FS2K's official training pairs,
    some of which that split tests.
    """
    from forensic.evaluation import protocols

    chosen = _chosen(protocol_names)
    _check_places([json_file, csv_file, page_file], plot_file, chosen)
    systems, finder = _systems(route_names, cohort, device, plain=plain)
    if store:
        open_gallery(gallery, create=True).close()  # trouble shows now; after the models, whose lack leaves no gallery
    report = protocols.evaluate(
        data,
        systems,
        finder,
        protocols=chosen,
        by=by,
        split=split,
        resplit=resplit,
        subset=subset,
        distractors=distractors,
        repeats=repeats,
        seed=seed,
        quiet=False,
        command=_command(click.get_current_context()),
    )
    _tell(report, gallery if store else None, json_file, csv_file, page_file, plot_file)


def _systems(
    route_names: str | None, cohort: Path | None, device: str, *, plain: bool
) -> "tuple[list[Matcher | Named], Finder]":
    """What is measured: the untrained embedder, the routes asked for, and these with a cohort of one's own."""
    from forensic import devices, matching
    from forensic.errors import UsageError
    from forensic.evaluation import protocols
    from forensic.faces import Detector, Finder

    devices.find(device)
    if plain and cohort:
        raise UsageError("--plain scores without a cohort: leave out --plain or --cohort.")
    names, finder = protocols.with_untrained(_names(route_names or matching.DEFAULT)), Finder(Detector(device))
    matchers = [matching.load(name, device=device, plain=plain) for name in names]
    return [*matchers, *([] if cohort is None else _with_cohort(matchers, cohort, finder))], finder


def _chosen(protocol_names: str | None) -> list[str] | None:
    """The protocols asked for; None leaves the choice to data and options."""
    from forensic.errors import UsageError
    from forensic.evaluation import protocols

    chosen = None if protocol_names is None else _names(protocol_names)
    if chosen == []:
        raise UsageError(f"No protocol is named. Known: {', '.join(protocols.PROTOCOLS)}.")
    return chosen


def _check_places(written: list[Path | None], plot_file: Path | None, chosen: list[str] | None) -> None:
    """Trouble with what is to be written shows before the work, not after."""
    from forensic.evaluation import plots, protocols

    if plot_file:
        plots.check(plot_file, chosen or protocols.PROTOCOLS)
    for file in filter(None, [*written, plot_file]):
        files.check_place(file)


def _show(figures: dict[str, Any]) -> None:
    """The tables, and every image that was missed."""
    from forensic.commands import accuracy

    for side, faces in figures["faces"].items():
        for failure in faces["failures"]:
            click.echo(f"missed ({side}): {failure['file']}: {failure['reason']}", err=True)
    accuracy.show(figures)


def _keep(gallery: Path, plain: dict[str, Any]) -> None:
    """Store the report in the gallery's database."""
    from forensic.gallery.reports import save

    systems = ", ".join(system["name"] for system in plain["systems"])
    with open_gallery(gallery) as opened:
        number = save(opened, f"{plain['data']['name']} ({plain['data']['split']}): {systems}", plain)
    click.echo(f"Kept as report {number}: forensic reports show {number} --gallery {gallery}", err=True)


def _with_cohort(matchers: "Sequence[Matcher]", folder: Path, finder: "Finder") -> "list[Named]":
    """Each matcher that has a cohort, with the folder's sketches in it.

    Raises:
        UsageError: No matcher has a cohort, or no sketch of the folder has a face.
    """
    import numpy as np

    from forensic import images, matching
    from forensic.errors import FaceError, ImageError, UsageError
    from forensic.evaluation.systems import Named
    from forensic.parallel import workers

    normalised = [matcher for matcher in matchers if any(cohort is not None for cohort in matcher.scoring.cohorts)]
    if not normalised:
        names = ", ".join(matcher.name for matcher in matchers)
        raise UsageError(f"--cohort is for systems whose scores a cohort was fitted to; none is among {names}.")
    for matcher in matchers:
        if matcher not in normalised:
            click.echo(f"without the cohort alone, since none was fitted to it: {matcher.name}", err=True)

    def find(file: Path) -> "Aligned | None":
        try:
            return finder.one(images.read(file).image)
        except (FaceError, ImageError) as error:
            click.echo(f"not in the cohort: {file.name}: {error}", err=True)
            return None

    systems = []
    with workers() as pool:  # templates too have the digits that `forensic cohort add` gives them
        faces = [face for face in pool.map(find, images.find_files(folder)) if face is not None]
        if not faces:
            raise UsageError(f"No sketch in {folder} has a face that is found. Give another --cohort.")
        for matcher in normalised:
            own = {matching.key(r): np.concatenate([r.describe([f], "probe") for f in faces]) for r in matcher.routes}
            name = f"{matcher.name} with {len(faces)} own sketches"
            systems.append(Named(name, matcher.routes, matcher.with_cohort(own).scoring))
    return systems


def _command(context: click.Context) -> list[str]:
    """The command line as it was given, files and folders by their names: reports are passed on."""
    words = ["evaluate"]
    for parameter in context.command.params:
        name = parameter.name or ""
        value = context.params.get(name)
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE or name == "gallery":
            continue
        if isinstance(value, bool):
            words.append(parameter.opts[0] if value else parameter.secondary_opts[0])
        else:
            words += [parameter.opts[0], value.resolve().name if isinstance(value, Path) else str(value)]
    return words


def _tell(
    report: "Report",
    gallery: Path | None,
    json_file: Path | None,
    csv_file: Path | None,
    page_file: Path | None,
    plot_file: Path | None,
) -> None:
    """Show the report, keep it in the gallery, if there is one, and write the files that were asked for."""
    from forensic.evaluation import page, plots

    plain = report.to_dict()
    _show(plain)
    if gallery:
        _keep(gallery, plain)
    if json_file:
        files.write(json_file, json.dumps(plain, indent=1, allow_nan=False) + "\n")
    if csv_file:
        files.write(csv_file, _table_text(report))
    if page_file:
        files.write(page_file, page.render(plain))
    if plot_file:
        plots.cmc(plain, plot_file)
    for file in filter(None, (json_file, csv_file, page_file, plot_file)):
        click.echo(f"Written: {file}", err=True)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _table_text(report: "Report") -> str:
    from forensic.evaluation.rows import COLUMNS, rows

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=COLUMNS)
    writer.writeheader()
    writer.writerows(rows(report))
    return text.getvalue()
