"""``forensic demo``: everything once, on people drawn by the program."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensic.commands.options import Place
from forensic.progress import bar
from forensic.text import printable

if TYPE_CHECKING:
    from forensic.candidates import Search
    from forensic.datasets.synthetic import Made
    from forensic.identify import Identifier

MARKER = ".forensic-demo.json"
"""Lies in a folder that the demo made, and says for how many people."""
PEOPLE, GALLERY, REPORT = "people", "gallery", "report.html"
TOP = 10


@click.command()
@click.option("--people", "count", default=300, show_default=True, type=click.IntRange(10, 100_000), help="How many.")
@click.option(
    "--out",
    "folder",
    default=Path("demo"),
    show_default=True,
    type=Place(file_okay=False),
    help="Folder that is made, or made anew where the demo made it.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Another seed, other people.")
def demo(count: int, folder: Path, seed: int) -> int:
    """Try everything: make people, enroll them, match three sketches, write a report.

    The people are drawn by the program and exist nowhere; no data and no network are needed. How often their
    sketches are matched, and the likelihood ratios, say nothing about real sketches: forensic evaluate measures that.
    The demo takes a minute or two.

    \b
    Examples:
      forensic demo
      forensic demo --people 1000 --out /tmp/demo

    Exit codes: 0 done, 2 the folder is not the demo's, 4 gallery or model trouble.
    """
    from forensic import report
    from forensic.datasets.synthetic import TABLE, make_people
    from forensic.gallery import Gallery, address
    from forensic.identify import Identifier

    address.check_outside(folder)
    _clear(folder)
    drawn = [1 + count * part // 4 for part in (1, 2, 3)]  # settled before anything is searched
    _mark(folder, count)
    with bar("Drawing people", count) as shown:
        made = make_people(folder / PEOPLE, count, seed, sketches=drawn, progress=shown)
    with Gallery(folder / GALLERY, create=True) as gallery:
        identifier = Identifier(gallery)
        photos = sum(len(one.photos) for one in made)
        with bar("Enrolling", photos) as shown:
            summary = identifier.enroll(folder / PEOPLE / TABLE, progress=lambda so_far: shown(so_far.done))
        for failure in summary.failures:
            click.echo(f"not enrolled: {failure.file}: {failure.reason}", err=True)
        click.echo(f"{summary.enrolled} photos of {count} people, drawn by the program, are enrolled.")
        searches = [search for number in drawn if (search := _match(identifier, made[number - 1]))]
        if searches:
            report.write(searches, gallery, folder / REPORT)
    _explain(folder, searches)
    return 0


def _match(identifier: Identifier, mate: Made) -> Search | None:
    """Search one sketch and say where its mate stands."""
    from forensic.errors import FaceError

    try:
        search = identifier.search(str(mate.sketch), TOP)
    except FaceError as error:
        click.echo(f"  {mate.sketch}: no search, {printable(str(error))}")
        return None
    ranks = [candidate.rank for candidate in search.candidates if candidate.person == mate.label]
    found = f"found at rank {ranks[0]}" if ranks else f"not among the first {TOP}"
    click.echo(f"  {mate.sketch}: its person, {mate.label}, is {found}.")
    return search


def _clear(folder: Path) -> None:
    """Remove what an earlier demo made in the folder, and nothing else.

    Raises:
        UsageError: The folder holds files and the demo did not make it, or other people were enrolled there.
    """
    from forensic.datasets.synthetic import files_of
    from forensic.errors import UsageError

    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        count = int(json.loads((folder / MARKER).read_text(encoding="utf-8"))["people"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{folder} holds files that forensic demo did not make. Give another --out.") from None
    if (folder / GALLERY).is_dir():
        _check_people(folder / GALLERY)
        shutil.rmtree(folder / GALLERY)
    files = [folder / PEOPLE / file for file in files_of(count)]
    inside = folder.resolve()
    if not all(parent.resolve().is_relative_to(inside) for parent in {file.parent for file in files}):
        raise UsageError(f"{folder / PEOPLE} leads out of {folder}. Give another --out.")
    for file in [*files, folder / REPORT, folder / MARKER]:
        file.unlink(missing_ok=True)


def _check_people(folder: Path) -> None:
    """Refuse to remove a gallery in which somebody enrolled other people.

    Raises:
        UsageError: It holds people whom the demo did not make.
    """
    from forensic.datasets.synthetic import PREFIX
    from forensic.errors import UsageError
    from forensic.gallery import Gallery

    with Gallery(folder) as gallery:
        others = [photo.person for photo in gallery.photos() if not photo.person.label.startswith(PREFIX)]
    if others:
        raise UsageError(
            f"The gallery {folder} holds people whom the demo did not make, such as {others[0].label!r}. "
            "Give another --out, or expunge them first."
        )


def _mark(folder: Path, count: int) -> None:
    """Claim the folder, before the first file: a demo that is interrupted can be run again."""
    from forensic.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text(json.dumps({"made by": "forensic demo", "people": count}), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror}). Give another --out.") from None


def _explain(folder: Path, searches: list[Search]) -> None:
    """Where the report is, and the same with one's own files."""
    from forensic.candidates import LEAD

    if searches:
        click.echo(f"\nThe report: {(folder / REPORT).resolve()}")
    sketch = searches[0].probe if searches else "sketch.png"
    click.echo(
        f"{LEAD}\n"
        "These faces are drawn, and more alike than real ones: their likelihood ratios say nothing. How real sketches "
        "fare is measured by: forensic evaluate --data FOLDER\n"
        "\nThe same by hand:\n"
        f"  forensic enroll --csv {_quoted(folder / PEOPLE / 'people.csv')} --gallery {_quoted(folder / GALLERY)}\n"
        f"  forensic match {_quoted(sketch)} --gallery {_quoted(folder / GALLERY)} --report report.html\n"
        "\nWith files of your own (the file's stem names the person):\n"
        "  forensic enroll mugshots/ --gallery mygallery\n"
        "  forensic match sketch.png --gallery mygallery --top 20 --report report.html"
    )


def _quoted(path: Path | str) -> str:
    return shlex.quote(str(path))
