"""``forensic cohort``: unlabelled sketches by an agency's own artists, so that scores of their style are comparable."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensic.commands.options import Place, device_option, files_of, gallery_option, open_gallery, sure
from forensic.commands.printing import Column, echo_json, print_table, print_warnings
from forensic.progress import bar
from forensic.text import counted, printable

if TYPE_CHECKING:
    from forensic.enrollment import Summary
    from forensic.gallery.models import Cohort

ENOUGH = 50
"""Sketches from which on a cohort tells much: a search compares a probe with so many."""


@click.group()
def cohort() -> None:
    """Sketches by your own artists, so that scores of their style are comparable.

    A drawing with strong shading is near to many photos, whoever it shows. How near is near is told by a cohort:
    sketches of other people. One is part of the program; sketches by the artists whose work you search with make it
    fit their style. They need no names: nothing is learnt of who they show, and nothing ties them to a person of the
    gallery. Their templates are kept, the pictures are not.
    """


@cohort.command()
@click.argument("paths", nargs=-1, required=True, type=Place())
@gallery_option
@click.option(
    "--route", "name", help="Routes to describe sketches for.", show_default="those of forensic match", default=None
)
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def add(paths: tuple[Path, ...], gallery: Path, name: str | None, device: str, as_json: bool) -> int:
    """Add unlabelled sketches to the gallery's own cohort.

    PATHS are sketches, or folders, sub-folders included. Take drawings by the hands whose sketches you search with,
    of any people, each person once, about 50 or more; the search then uses them beside the cohort of the program. Who
    is in them is neither asked nor learnt. A probe that is itself in the cohort is ignored there.

    Scores change with an own cohort, and no likelihood ratios are stated then, since none were fitted to it; the
    accuracy that the README states was measured without one. Templates hold for the models that made
    them: after a model was changed, add the sketches again.

    A file that fails is listed with its reason, and the rest goes on. A run that was interrupted goes on where it was
    when the same command is run again.

    \b
    Examples:
      forensic cohort add sketches/
      forensic cohort add case1.png case2.png --route direct

    Exit codes: 0 all added, 3 some files were not, 4 gallery or model trouble.
    """
    from forensic import devices, images, matching, own_cohort
    from forensic.errors import ImageError, UsageError
    from forensic.faces import Detector, Finder

    for path in paths:
        if not os.path.lexists(path):
            raise UsageError(f"{images.display_name(path)} does not exist. Give sketches or folders of sketches.")
    files = files_of(paths)
    if not files:
        raise UsageError(f"There is no file in {', '.join(map(images.display_name, paths))}.")
    devices.find(device)
    with open_gallery(gallery) as opened:
        matcher = matching.load(name or matching.DEFAULT, device=device)
        with bar("Adding", len(files)) as shown:
            finder = Finder(Detector(device))
            summary = own_cohort.add(opened, matcher, finder, files, lambda so_far: shown(so_far.done))
        sizes = opened.cohort_size()
    held = {route.name: sizes.get(matching.key(route), 0) for route in matcher.routes}
    for failure in summary.failures:
        click.echo(f"not added: {failure.file}: {failure.reason}", err=True)
    unused = [route.name for route, used in zip(matcher.routes, matcher.scoring.cohorts, strict=True) if used is None]
    if unused:
        summary.warnings.append(
            f"the program has no cohort for {', '.join(unused)} within {matcher.name}: such searches do not use the "
            "sketches."
        )
    if as_json:
        found = dataclasses.asdict(summary)
        click.echo(json.dumps({"added": found.pop("enrolled"), **found, "sketches": held}))
    else:
        _print(summary, held)
    return ImageError.exit_code if summary.failures else 0


@cohort.command()
@gallery_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def show(gallery: Path, as_json: bool) -> None:
    """Show how many sketches the gallery's own cohort holds, by route.

    Sketches that were described by models which have changed since are not used; they are shown as such.

    \b
    forensic cohort show
    """
    with open_gallery(gallery) as opened:
        rows, sizes = opened.cohorts(), opened.cohort_size()
    states = [_state(row) for row in rows]
    if as_json:
        for row, state in zip(rows, states, strict=True):
            echo_json({"route": row.route, "key": row.key, "sketches": sizes.get(row.key, 0), "models": state})
        return
    if not rows:
        click.echo("The gallery has no cohort of its own. Add sketches: forensic cohort add PATH...")
        return
    cells = [[row.route, str(sizes.get(row.key, 0)), state, row.key] for row, state in zip(rows, states, strict=True)]
    print_table([Column("route"), Column("sketches", right=True), Column("models"), Column("key")], cells)
    if any(state != "present" for state in states):
        click.echo("Sketches of other models than the present ones are not used: clear the cohort and add them again.")


@cohort.command()
@gallery_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(gallery: Path, yes: bool) -> None:
    """Remove all sketches of the gallery's own cohort, so that no trace is left in the folder.

    \b
    forensic cohort clear
    """
    with open_gallery(gallery) as opened:
        count = max(opened.cohort_size().values(), default=0)
        if not count:
            click.echo("The gallery has no cohort of its own.")
            return
        if not yes and not sure(f"Remove the cohort with its {counted(count, 'sketch')} for good?"):
            click.echo("Nothing was removed.")
            return
        removed = opened.clear_cohort()
    click.echo(f"Removed the templates of {counted(removed, 'sketch')}.")


def _state(row: Cohort) -> str:
    """Whether a cohort's sketches were described by the models that its route has now."""
    from forensic import matching, routes
    from forensic.errors import ModelError, UsageError

    try:
        return "present" if matching.key(routes.load(row.route)) == row.key else "changed"
    except (ModelError, UsageError):
        return "not installed"


def _print(summary: Summary, held: dict[str, int]) -> None:
    print_warnings(summary.warnings)
    click.echo(f"{summary.enrolled} added, {summary.already} already there, {len(summary.failures)} failed.")
    for name, count in held.items():
        few = f"; from about {ENOUGH} on, a cohort tells much" if count < ENOUGH else ""
        click.echo(f"The cohort of {printable(name)} holds {counted(count, 'sketch')}{few}.")
