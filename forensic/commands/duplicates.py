"""``forensic gallery duplicates | merge | keep | split``: people who are one, and one who is two."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensic.commands.options import NUMBER, open_place, place_option, sure
from forensic.commands.printing import Column, echo_json, print_table
from forensic.text import counted, printable

if TYPE_CHECKING:
    from forensic.duplicates import Duplicates, Pair

ABOVE = 2.0
LIMIT = 50


@click.command()
@place_option
@click.option(
    "--above", type=float, default=ABOVE, show_default=True, help="Least log10 likelihood ratio of 'one person'."
)
@click.option("--route", default="direct", show_default=True, help="Single route whose templates are compared.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=LIMIT, show_default=True, help="Show so many, the most alike."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def duplicates(gallery: Path, above: float, route: str, limit: int, as_json: bool) -> None:
    """Report photos of different people that are probably of one, for a person to decide.

    Every photo is compared with every photo of other people. Nothing is changed: look at both photos, then merge the
    two people, or keep them apart, so that they are not reported again.

    \b
    forensic gallery duplicates --above 2.5
    forensic gallery merge A-17 B-3
    forensic gallery keep A-17 B-4
    """
    with open_place(gallery) as opened:
        found, names = opened.people.duplicates(route, above, limit)
    if as_json:
        echo_json(found.to_json())
        return
    if found.pairs:
        sides = [Column(title) for side in "12" for title in (f"person {side}", f"photo {side}", f"file {side}")]
        columns = [*sides, Column("similarity", right=True), Column("log10 LR", right=True)]
        print_table(columns, [_row(pair, names) for pair in found.pairs])
    for line in _explained(found):
        click.echo(line)


@click.command()
@click.argument("person")
@click.argument("other")
@place_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def merge(person: str, other: str, gallery: Path, yes: bool) -> None:
    """Make PERSON and OTHER one: OTHER's photos move to PERSON, and OTHER's label is gone.

    PERSON takes the metadata of OTHER that it lacks. Where both have a value, PERSON's stays and the other one is
    reported and dropped; of two dates until which they may be kept the later one holds, which is reported too.

    \b
    forensic gallery merge A-17 B-3
    """
    from forensic.gallery.records import Shown

    with open_place(gallery) as opened:
        kept, (gone, photos) = opened.people.person(person), opened.people.view(other)
        what = f"{counted(len(photos), 'photo')} of {printable(other)} to {printable(person)}"
        if not yes and not sure(f"Give {what}, and drop the label {printable(other)}?"):
            click.echo("Nothing was merged.")
            return
        remarks = opened.people.merge(Shown.of(kept), Shown.of(gone, photos))
    click.echo(f"Gave {what}.")
    for remark in remarks:
        click.echo(f"  {printable(remark)}.")


@click.command()
@click.argument("person")
@click.argument("other")
@place_option
def keep(person: str, other: str, gallery: Path) -> None:
    """Note that PERSON and OTHER are two people: they are not reported as duplicates again.

    \b
    forensic gallery keep A-17 B-4
    """
    with open_place(gallery) as opened:
        new = opened.people.keep(person, other)
    click.echo(f"{printable(person)} and {printable(other)} {'are now' if new else 'were already'} kept apart.")


@click.command()
@click.argument("person")
@place_option
@click.option("--photo", "photos", type=NUMBER, multiple=True, required=True, help="A photo's id; may be repeated.")
@click.option("--new", required=True, metavar="LABEL", help="The new person's label.")
def split(person: str, gallery: Path, photos: tuple[int, ...], new: str) -> None:
    """Give some photos of PERSON to a new person, and keep the two apart.

    The new person has no metadata but the date until which the photos may be kept: whose they are is for a person to
    say ('forensic gallery update').

    \b
    forensic gallery show A-17                          the photos' ids
    forensic gallery split A-17 --photo 12 --photo 13 --new A-18
    """
    with open_place(gallery) as opened:
        made = opened.people.split(person, photos, new)
    known = f"no metadata yet but keep_until={made.keep_until}" if made.keep_until else "no metadata yet"
    click.echo(f"{printable(made.label)} has {counted(len(set(photos)), 'photo')} of {printable(person)}, and {known}.")


def _row(pair: Pair, names: dict[int, str]) -> list[str]:
    sides = [
        text
        for label, number in zip(pair.people, pair.photos, strict=True)
        for text in (label, str(number), names[number])
    ]
    return [*sides, f"{pair.similarity:.3f}", f"{'≥ ' if pair.bounded else ''}{pair.log_lr:.2f}"]


def _explained(found: Duplicates) -> list[str]:
    """What the figures rest on, in words."""
    fitted = found.calibration
    shown = f"{len(found.pairs)} shown of {found.found}" if found.found > len(found.pairs) else str(found.found)
    return [
        f"{shown} pairs of photos of different people with a log10 likelihood ratio of {found.above:g} or more "
        f"(similarity {found.least:.3f}), of {found.compared} compared; about {found.expected:.0f} are to be expected "
        "by chance among people like those of the fit, and several times as many where people resemble each other.",
        f"Likelihood ratios were fitted to {fitted.mated} pairs of photos of one person and {fitted.nonmated} of two, "
        f"of {fitted.people} people: {fitted.population}. In another population they are a rule of thumb.",
        *(
            ["Look at both photos, then: forensic gallery merge PERSON OTHER, or: keep PERSON OTHER"]
            if found.pairs
            else []
        ),
    ]
