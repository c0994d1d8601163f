"""``forensic enroll``, and ``forensic gallery reindex``: what describes photos and stores it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensic.commands.options import (
    ROUTE,
    FolderOption,
    Place,
    PlaceOrUrl,
    cluster_of,
    day,
    device_option,
    open_place,
    pairs,
    place_option,
    policy_option,
    ray_options,
    route_option,
)
from forensic.commands.printing import print_warnings
from forensic.errors import UsageError
from forensic.progress import bar
from forensic.text import counted

if TYPE_CHECKING:
    from forensic.enrollment import Item, Summary
    from forensic.gallery.records import Size


@click.command()
@click.argument("paths", nargs=-1, type=PlaceOrUrl())
@click.option("--csv", "table", type=Place(), help="Table with the columns person,file and any metadata.")
@click.option(
    "--store",
    "stores",
    multiple=True,
    metavar="URL",
    help="Folder in which URLs of the table may lie, such as s3://mugshots/; may be repeated.",
)
@click.option(
    "--nist",
    "columns",
    multiple=True,
    callback=pairs,
    metavar="COLUMN=FIELD",
    help="Fill a column from a field of ANSI/NIST-ITL files, as in person=2.054; may be repeated.",
)
@place_option
@click.option(
    "--route",
    "route_names",
    cls=FolderOption,
    multiple=True,
    default=(ROUTE,),
    show_default=True,
    help="Route to make templates for, or several with + between; may be repeated.",
)
@policy_option
@click.option(
    "--keep-until",
    callback=day,
    metavar="DATE",
    help="Last day (UTC) on which new people may be kept, such as 2031-12-31, for rows without a date of their own.",
)
@click.option(
    "--database",
    cls=FolderOption,
    metavar="URL",
    envvar="FORENSIC_DATABASE",
    show_envvar=True,
    help="PostgreSQL database of a new gallery, postgresql://USER@HOST/NAME; the folder keeps it for later commands.",
)
@device_option
@ray_options
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def enroll(
    paths: tuple[Path | str, ...],
    table: Path | None,
    stores: tuple[str, ...],
    columns: dict[str, str],
    gallery: Path,
    route_names: tuple[str, ...],
    policy: Path | None,
    keep_until: date | None,
    database: str | None,
    device: str,
    ray: str | None,
    ray_actors: int | None,
    ray_gpus: float | None,
    as_json: bool,
) -> int:
    """Enroll photos in a gallery, which is made if it is not there.

    PATHS are photos, ANSI/NIST-ITL files, or folders of both, sub-folders included but for links to folders; each file
    names its person by its stem. A table given with --csv names people itself, several photos a person, with metadata:
    name, sex, birth_year, case_reference, keep_until, source, date_taken, and any column of your own. Its files are
    relative to the table.

    ANSI/NIST-ITL files (.an2, .eft, .nist) are known by their content. Each Type-10 record of a FACE is a photo of one
    person, named by the file's stem, or by the field of --nist person=FIELD: which fields hold a number or a name is
    every agency's own rule. The date is that of 10.005, the source that of 10.004.

    Photos may also be named by URLs: file:///shared/photos/, s3://bucket/folder/ (with the package s3fs). A table's
    URLs are followed only into the folders of --store.

    With --ray a cluster prepares the photos, in the same way: the gallery is the same as without it.

    Whoever is enrolled already keeps what is known of them, and gets from a table what is not known yet. --keep-until
    is for new people alone. 'forensic gallery update' changes what is known, and 'forensic retention' shows who is due.

    The quality of each photo is measured and kept. What the policy warns of is enrolled with a warning; what it
    refuses is not enrolled.

    A file that fails is listed with its reason, and the rest goes on. An enrollment that was interrupted goes on
    where it was when the same command is run again; no photo is enrolled twice.

    \b
    Examples:
      forensic enroll mugshots/
      forensic enroll --csv people.csv --gallery cases/gallery
      forensic enroll bookings/ --nist person=2.054 --nist name=2.018 --nist birth_year=2.022

    Exit codes: 0 all enrolled, 3 some files were not, 4 gallery or model trouble.
    """
    from forensic import devices
    from forensic.gallery.enrolling import check_day

    check_day(keep_until)
    cluster = cluster_of(ray, ray_actors, ray_gpus)
    if cluster is None:
        devices.find(device)
    items = _items(paths, table, columns, stores)
    with open_place(gallery, create=True, url=database) as opened, bar("Enrolling", len(items)) as shown:
        dated = keep_until is not None and opened.people.size().people > 0
        summary = opened.enroll(
            items,
            route_names=route_names,
            policy=policy,
            keep_until=keep_until,
            device=device,
            cluster=cluster,
            progress=lambda so_far: shown(so_far.done),
        )
        size, where = opened.people.size(), opened.name
    _print_enrolled(summary, size, where, dated=dated, as_json=as_json)
    return 3 if summary.failures else 0


@click.command()
@place_option
@route_option
@click.option("--all", "everything", is_flag=True, help="Make every template anew, in place of damaged ones.")
@device_option
@ray_options
def reindex(
    gallery: Path,
    route: str,
    everything: bool,
    device: str,
    ray: str | None,
    ray_actors: int | None,
    ray_gpus: float | None,
) -> int:
    """Make the templates that a route needs, from the stored originals.

    Needed once for a photo-to-sketch route, and after a model was changed. Photos that have a template of the
    route are passed over, so that an interrupted run goes on where it was. With --ray a cluster describes them, in
    the same way.

    \b
    forensic gallery reindex
    forensic gallery reindex --route photo-to-sketch:pencil
    """
    cluster = cluster_of(ray, ray_actors, ray_gpus)
    with open_place(gallery) as opened, bar("Reindexing") as shown:
        summary = opened.reindex(route, everything=everything, device=device, cluster=cluster, progress=shown)
    _print_failures(summary, "described")
    _print(summary)
    return 4 if summary.failures else 0


def _items(
    paths: Sequence[Path | str], table: Path | None, columns: dict[str, str], stores: Sequence[str]
) -> list[Item]:
    """What is to be enrolled: the table's rows, then the files.

    Raises:
        UsageError: Neither was given, or one of them is wrong.
    """
    from forensic import enrollment

    if not paths and table is None:
        raise UsageError("There is nothing to enroll. Give photos or folders, or a table with --csv FILE.")
    rows = enrollment.items_of_csv(table, columns, stores) if table else []
    return rows + (enrollment.items_of(paths, columns) if paths else [])


def _print_failures(summary: Summary, what: str) -> None:
    for failure in summary.failures:
        click.echo(f"not {what}: {failure.file}: {failure.reason}", err=True)


def _print(summary: Summary) -> None:
    print_warnings(summary.warnings)
    passed = f"{summary.passed} passed over, " if summary.passed else ""
    click.echo(f"{summary.enrolled} enrolled, {summary.already} already there, {passed}{len(summary.failures)} failed.")


def _print_enrolled(summary: Summary, size: Size, where: str, *, dated: bool, as_json: bool) -> None:
    """The same, and what the gallery holds now; ``dated``: a date was for new people, and others were there."""
    _print_failures(summary, "enrolled")
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(summary) | size._asdict()))
        return
    _print(summary)
    if dated:
        click.echo("--keep-until is for new people: 'forensic gallery update' sets the date of others.")
    click.echo(f"The gallery {where} holds {counted(size.photos, 'photo')} of {counted(size.people, 'person')}.")
