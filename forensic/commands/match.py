"""``forensic match``: search a gallery with sketches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensic.commands import files
from forensic.commands.options import (
    KINDS,
    FolderOption,
    Place,
    device_option,
    files_of,
    filter_of,
    open_place,
    place_option,
    route_option,
)
from forensic.progress import bar
from forensic.text import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from forensic.candidates import Search
    from forensic.client.searching import RemoteIdentifier
    from forensic.errors import ForensicError
    from forensic.gallery import Filter
    from forensic.identify import Identifier

TABLES = 5
"""Searches up to which each gets a table of its own; of more, each gets a line."""
REPORTED = 50
"""Searches that one HTML file holds at most: each brings its pictures."""


@click.command()
@click.argument("paths", nargs=-1, required=True, type=Place())
@place_option
@click.option(
    "--top", default=10, show_default=True, type=click.IntRange(1, 1000), help="Length of the candidate list."
)
@route_option
@click.option("--same-person", is_flag=True, help="The sketches show one person: one search with all of them.")
@click.option("--where", multiple=True, metavar="KEY=VALUE", help="Search only these people; may be repeated.")
@click.option("--justification", default="", help="Why --where may be used; kept with the answer.")
@click.option("--case", "reference", help="Reference of the open case that the search is for.")
@click.option("--purpose", cls=FolderOption, default="", help="What the search is for, where there is no case.")
@click.option(
    "--kind", type=click.Choice(KINDS), help="With --server: how a sketch came about that the case lacks yet."
)
@click.option(
    "--explain",
    cls=FolderOption,
    is_flag=True,
    help="Tell which parts of the face the first candidate's score hangs on.",
)
@click.option(
    "--json", "json_file", help="Write one JSON object a search and line to this file; - for standard output."
)
@click.option("--report", type=Place(dir_okay=False), help="Write an HTML report with pictures.")
@click.option("--face", cls=FolderOption, type=click.IntRange(1), help="Which face of a probe, 1 for the largest.")
@click.option(
    "--landmarks",
    help="Five points 'x,y x,y x,y x,y x,y' in pixels from the upper left: eyes, nose tip, mouth corners, those on the "
    "picture's left first; or a JSON file with [[x, y], ...].",
)
@device_option
def match(
    paths: tuple[Path, ...],
    gallery: Path,
    top: int,
    route: str,
    same_person: bool,
    where: tuple[str, ...],
    justification: str,
    reference: str | None,
    purpose: str,
    kind: str | None,
    explain: bool,
    json_file: str | None,
    report: Path | None,
    face: int | None,
    landmarks: str | None,
    device: str,
) -> int:
    """Search the gallery with sketches and list the most similar people.

    PATHS are sketches, or folders, which are taken image by image. A probe is never enrolled, and every search is on
    record (forensic search list); --case puts it under a case. A candidate is an
    investigative lead, not an identification. Its likelihood ratio (log10 LR) says how much better the score fits one
    person than two; it holds for the sketches and people it was fitted to, and is no probability of a match.

    \b
    Routes, one or several with + between; several are fused into one score:
      direct                    both sides as they are, by an embedder adapted to drawings
      direct@patches            both sides as they are, by gradients of patches
      sketch-to-photo:METHOD    the sketch is translated to a photo first
      photo-to-sketch:METHOD    the gallery is translated to sketches (once: forensic gallery reindex)

    \b
    Examples:
      forensic match sketch.png
      forensic match sketch.png --top 50 --report report.html --explain
      forensic match first.png second.png --same-person
      forensic match sketch.png --where sex=female --justification 'the witness saw a woman'
      forensic match sketches/ --json results.jsonl
      forensic match sketch.png --landmarks '103,128 153,128 128,158 107,187 149,187'

    Exit codes: 0 candidates for every probe, 2 usage, 3 a probe without a usable face, 4 gallery or model trouble.
    """
    from forensic.errors import ImageError
    from forensic.faces import read_landmarks

    only = filter_of(where, justification)
    probes = _probes(paths, one=bool(face or landmarks), same_person=same_person, reported=bool(report))
    _check_files(json_file, report, probes)
    points = None if landmarks is None else read_landmarks(landmarks)
    names = _names(probes, together=same_person)
    for_people, few = json_file != files.STANDARD, len(names) <= TABLES

    with open_place(gallery) as opened:
        identifier = opened.identifier(route, device=device, case=reference, purpose=purpose, kind=kind)
        if same_person:
            results = _together(identifier, probes, top, only)
        else:
            results = identifier.search_all(probes, top, face=face, landmarks=points, only=only)
        if explain:
            results = (_explained(identifier, result) for result in results)
        # Kept where they are shown at the end: pictures of thousands fill the memory.
        keep = bool(report) or few
        searches, failures = _collect(names, results, json_file, keep=keep, lines=for_people and not few)
        if for_people and few:
            print_searches(searches)
        if report and searches:
            opened.write_report(searches, report)
            click.echo(f"The report is {report}.", err=not for_people)
    return ImageError.exit_code if failures else 0


def _check_files(json_file: str | None, report: Path | None, probes: Sequence[Path]) -> None:
    """Refuse files that cannot be written, before anything is searched for."""
    if json_file and json_file != files.STANDARD:
        files.check(Path(json_file), "--json", probes)
    if report:
        files.check(report, "--report", probes, whole=True)


def _probes(paths: Sequence[Path], *, one: bool, same_person: bool, reported: bool) -> list[Path]:
    """The files to search with, as many as the options allow."""
    from forensic import images
    from forensic.errors import UsageError

    probes = files_of(paths)
    if not probes:
        raise UsageError(f"There is no file in {', '.join(map(images.display_name, paths))}.")
    if one and (same_person or len(probes) > 1):
        raise UsageError(f"--face and --landmarks are for one probe, without --same-person; {len(probes)} were given.")
    if reported and not same_person and len(probes) > REPORTED:
        raise UsageError(
            f"--report holds up to {REPORTED} searches, {len(probes)} were asked for. Use --json for many."
        )
    return probes


def _names(probes: Sequence[Path], *, together: bool) -> list[str]:
    """What each search is called."""
    from forensic import images

    names = [images.display_name(probe) for probe in probes]
    return [", ".join(names)] if together else names


def _collect(
    names: Sequence[str], results: Iterator[Search | ForensicError], json_file: str | None, *, keep: bool, lines: bool
) -> tuple[list[Search], int]:
    """Write every answer where it belongs as it comes; the searches, if they are to be kept, and the failures."""
    from forensic.errors import ForensicError, UsageError

    searches, numbers, failures = [], list[str](), 0
    with files.lines(json_file) as write_line, bar("Matching", len(names)) as shown:
        for done, (name, search) in enumerate(zip(names, results, strict=True), 1):
            if isinstance(search, ForensicError):
                failures += 1
                click.echo(f"Error: {search}", err=True)
                write_line({"probe": name, "error": str(search), "candidates": []})
            else:
                numbers.append(str(search.number))
                last = search
                try:
                    write_line(search.to_json())
                except UsageError as error:
                    raise UsageError(f"{error} On record already: search {_told(numbers)}.") from None
                if keep:
                    searches.append(search)
                if lines:
                    _line(search)
            shown(done)
    if lines and numbers:
        _close_lines(last, _told(numbers))
    elif json_file and numbers:  # not in the lines: these are the same to the byte whenever the search is repeated
        click.echo(f"On record as search {_told(numbers)}, in the probes' order.", err=True)
    return searches, failures


def _close_lines(search: Search, numbers: str) -> None:
    """What many searches have in common, once: the last of them stands for all."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    if search.calibration:
        console.print(Text(_rest_on(search.calibration), style="dim"))
    _close(console, search, numbers)


def _told(numbers: Sequence[str]) -> str:
    """Searches' numbers, as many as a person reads."""
    return ", ".join(numbers) if len(numbers) <= REPORTED else f"{numbers[0]} and on"


def _explained(identifier: Identifier | RemoteIdentifier, result: Search | ForensicError) -> Search | ForensicError:
    """An answer with what its first candidate's score hangs on; an error as it is."""
    from forensic.candidates import Search

    return identifier.explain(result) if isinstance(result, Search) and result.candidates else result


def _together(
    identifier: Identifier | RemoteIdentifier, probes: Sequence[Path], top: int, only: Filter | None
) -> Iterator[Search | ForensicError]:
    """One search with several sketches of one person; an unusable one is an error of the whole."""
    from forensic.errors import FaceError, ImageError

    try:
        return iter([identifier.search_together(probes, top, only=only)])
    except (ImageError, FaceError) as error:
        return iter([error])


def _line(search: Search) -> None:
    """One probe among many: its first candidates on a line."""
    strengths = [f"log10 LR {c.strength}" if c.strength else f"score {c.score:.3f}" for c in search.candidates[:3]]
    first = ", ".join(f"{c.rank}. {c.person} ({s})" for c, s in zip(search.candidates, strengths, strict=False))
    click.echo(f"{search.probe}: {first}")


def print_searches(searches: list[Search]) -> None:
    """A table a search, and what has to be said of it."""
    from rich.console import Console
    from rich.text import Text

    from forensic.candidates import NO_SUPPORT

    console = Console()
    for search in searches:
        console.print(_table(search))
        if search.supported is False:
            console.print(Text(f"{NO_SUPPORT[0].upper()}{NO_SUPPORT[1:]}.", style="bold"))
        if search.explained:
            parts = sorted(search.explained.explanation.regions, key=lambda part: -(part.probe + part.candidate))[:5]
            shares = ", ".join(f"{part.name} {100 * (part.probe + part.candidate) / 2:.0f} %" for part in parts)
            console.print(Text(f"The score of {search.explained.person} hangs on: {shares}."))
        for warning in search.warnings:
            console.print(Text(f"warning: {warning}", style="yellow"))
        if search.calibration:
            console.print(Text(_rest_on(search.calibration), style="dim"))
    if searches:
        _close(console, searches[0], ", ".join(str(search.number) for search in searches))


def _close(console: Console, search: Search, numbers: str) -> None:
    """What is true of all lists, below the last of them."""
    from rich.text import Text

    from forensic.candidates import LEAD

    console.print(Text(f"{counted(search.gallery_size, 'photo')} searched. {LEAD}", style="dim"))
    console.print(Text(f"On record as search {numbers}.", style="dim"))


def _rest_on(calibration: dict[str, Any]) -> str:
    """What likelihood ratios are worth."""
    from forensic.candidates import cost

    told = cost(calibration)
    return (
        f"Likelihood ratios rest on {calibration['kind']} sketches and {calibration['population']}"
        f"{f'; on data beside those they cost {told}' if told else ''}. They are stated "
        f"from 1 to 10^{calibration['upper']:.1f} and are no probability of a match: of N photos of strangers about "
        "N / LR reach one."
    )


def _table(search: Search) -> Table:
    """The candidates of one search."""
    from rich.table import Table
    from rich.text import Text

    from forensic.candidates import narrowed

    caption = Text(narrowed(search.filter)) if search.filter else None
    table = Table(title=Text(search.probe), title_justify="left", caption=caption, caption_justify="left")
    for heading, justify in (("rank", "right"), ("person", "left"), ("score", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    if search.calibration:
        table.add_column("log10 LR", justify="right")
        table.add_column("evidence")
    for candidate in search.candidates:
        cells: list[str | Text] = [str(candidate.rank), Text(candidate.person), f"{candidate.score:.3f}"]
        if candidate.strength:
            cells += [candidate.strength, candidate.words or ""]
        table.add_row(*cells)
    return table
