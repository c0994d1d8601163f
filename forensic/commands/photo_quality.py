"""``forensic gallery quality``: the quality of the photos that are enrolled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensic.commands.options import gallery_option, open_gallery, policy_option
from forensic.commands.printing import Column, echo_json, print_table
from forensic.progress import bar
from forensic.text import counted

if TYPE_CHECKING:
    from forensic.gallery.models import Photo

FAILED = 4


@click.command()
@gallery_option
@policy_option
@click.option("--all", "everything", is_flag=True, help="Measure every photo anew, and judge it by this policy.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a photo, a line each.")
def quality(gallery: Path, policy: Path | None, everything: bool, as_json: bool) -> None:
    """Measure the photos that have no measures yet, and list those that are not good enough.

    Photos are measured when they are enrolled; those of older galleries are measured here, from the stored originals.
    A photo that the policy refuses stays enrolled. Photos that were measured before keep the verdict of the policy of
    that time, unless --all is given.

    Exit codes: 0 done, 4 some photos could not be measured.

    \b
    forensic gallery quality
    forensic gallery quality --all --policy policy.toml
    """
    from forensic.appraisal import appraise
    from forensic.faces.policy import load

    chosen = load(policy)
    with open_gallery(gallery) as opened:
        with bar("Measuring") as shown:
            result = appraise(opened, chosen, everything=everything, progress=shown)
        for failure in result.failures:
            click.echo(f"not measured: {failure.file}: {failure.reason}", err=True)
        if as_json:
            for photo in opened.photos():
                echo_json({"person": photo.person.label, "photo": photo.id, "quality": photo.quality})
        else:
            _print(opened.photos(), result.measured)
    if result.failures:
        raise click.exceptions.Exit(FAILED)


def _print(photos: Iterable[Photo], measured: int) -> None:
    """A line for each photo that is not good enough, and the counts."""
    counts, poor = Counter[str](), []
    for photo in photos:
        found = photo.quality or {"verdict": "none", "reasons": []}
        counts[found["verdict"]] += 1
        if found["verdict"] in ("warn", "refuse"):
            poor.append((photo, found))
    if poor:
        titles = [Column("person"), Column("photo", right=True), *map(Column, ("file", "verdict", "reasons"))]
        rows = [
            [photo.person.label, str(photo.id), photo.file_name, found["verdict"], "; ".join(found["reasons"])]
            for photo, found in sorted(poor, key=lambda pair: (pair[0].person.label, pair[0].id))
        ]
        print_table(titles, rows)
    words = {"accept": "good enough", "warn": "to look at", "refuse": "of no use", "none": "not measured"}
    told = ", ".join(f"{counts[verdict]} {text}" for verdict, text in words.items() if counts[verdict])
    click.echo(f"{measured} measured now. {counted(counts.total(), 'photo')}{': ' if told else ''}{told}.")
