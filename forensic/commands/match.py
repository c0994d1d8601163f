"""``forensic match``: search a gallery with sketches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensic.commands.options import gallery_option
from forensic.progress import bar

if TYPE_CHECKING:
    from forensic.identify import Search

TABLES = 5
"""Probes up to which each gets a table of its own; of more, each gets a line."""
REPORTED = 50
"""Probes that one HTML file holds at most: each brings its pictures."""


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@gallery_option
@click.option(
    "--top", default=10, show_default=True, type=click.IntRange(1, 1000), help="Length of the candidate list."
)
@click.option("--route", default="direct", show_default=True, help="How probe and gallery are compared.")
@click.option("--json", "json_file", help="Write one JSON object a probe and line to this file; - for standard output.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write an HTML report with pictures.")
@click.option("--face", type=click.IntRange(1), help="Which face of a probe, 1 for the largest.")
@click.option("--landmarks", help="Five points 'x,y x,y x,y x,y x,y': eyes, nose, mouth corners; or a JSON file.")
@click.option("--device", default="cpu", show_default=True, help="Where models run: cpu, cuda, cuda:1, ...")
def match(
    paths: tuple[Path, ...],
    gallery: Path,
    top: int,
    route: str,
    json_file: str | None,
    report: Path | None,
    face: int | None,
    landmarks: str | None,
    device: str,
) -> int:
    """Search the gallery with sketches and list the most similar people.

    PATHS are sketches, or folders, which are taken image by image. A probe is never enrolled. A candidate is an
    investigative lead, not an identification; scores compare within one route only.

    \b
    Routes:
      direct                    both sides as they are, by an embedder adapted to drawings
      sketch-to-photo:METHOD    the sketch is translated to a photo first
      photo-to-sketch:METHOD    the gallery is translated to sketches (once: forensic gallery reindex)

    \b
    Examples:
      forensic match sketch.png
      forensic match sketch.png --top 50 --report report.html
      forensic match sketches/ --json results.jsonl
      forensic match sketch.png --landmarks '103,128 153,128 128,158 107,187 149,187'

    Exit codes: 0 candidates for every probe, 2 usage, 3 a probe without a usable face, 4 gallery or model trouble.
    """
    from forensic import images
    from forensic.errors import ForensicError, ImageError, UsageError
    from forensic.faces import read_landmarks
    from forensic.gallery import Gallery
    from forensic.identify import Identifier

    probes = [file for path in paths for file in images.find_files(path)]
    if not probes:
        raise UsageError(f"There is no file in {', '.join(map(images.display_name, paths))}.")
    if len(probes) > 1 and (face or landmarks):
        raise UsageError(f"--face and --landmarks are for one probe; {len(probes)} were given.")
    if report and len(probes) > REPORTED:
        raise UsageError(f"--report holds up to {REPORTED} probes, {len(probes)} were given. Use --json for many.")
    points = None if landmarks is None else read_landmarks(landmarks)

    failures = 0
    with Gallery(gallery) as opened:
        identifier = Identifier(opened, route, device=device)
        searches: list[Search] = []  # kept where they are shown at the end: pictures of thousands fill the memory
        with _lines(json_file) as write_line, bar("Matching", len(probes)) as shown:
            results = identifier.search_all(probes, top, face=face, landmarks=points)
            for done, (probe, search) in enumerate(zip(probes, results, strict=True), 1):
                if isinstance(search, ForensicError):
                    failures += 1
                    click.echo(f"Error: {search}", err=True)
                    write_line({"probe": images.display_name(probe), "error": str(search), "candidates": []})
                else:
                    write_line(search.to_json())
                    if report or len(probes) <= TABLES:
                        searches.append(search)
                    elif json_file != "-":
                        _line(search)
                shown(done)
        if json_file != "-" and len(probes) <= TABLES:
            _tables(searches)
        if report and searches:
            from forensic import report as html

            html.write(searches, opened, report)
            click.echo(f"The report is {report}.", err=json_file == "-")
    return ImageError.exit_code if failures else 0


@contextmanager
def _lines(target: str | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Writes one JSON object a line, to a file, to standard output (``-``) or nowhere."""
    from forensic.errors import UsageError

    if target is None:
        yield lambda line: None
    elif target == "-":
        yield lambda line: click.echo(json.dumps(line, ensure_ascii=False))
    else:
        try:
            file = Path(target).open("w", encoding="utf-8")  # noqa: SIM115 - closed below
        except OSError as error:
            raise UsageError(f"{target} cannot be written ({error.strerror}). Give another --json FILE.") from None
        with file:
            yield lambda line: print(json.dumps(line, ensure_ascii=False), file=file, flush=True)


def _line(search: Search) -> None:
    """One probe among many: its first candidates on a line."""
    first = ", ".join(f"{c.rank}. {c.person} ({c.score:.3f})" for c in search.candidates[:3])
    click.echo(f"{search.probe}: {first}")


def _tables(searches: list[Search]) -> None:
    """A table a probe, and what has to be said of it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from forensic.identify import LEAD

    console = Console()
    for search in searches:
        table = Table(title=Text(search.probe), title_justify="left", caption_justify="left")
        for heading, justify in (("rank", "right"), ("person", "left"), ("score", "right"), ("route", "left")):
            table.add_column(heading, justify=justify)  # type: ignore[arg-type]
        for candidate in search.candidates:
            table.add_row(str(candidate.rank), Text(candidate.person), f"{candidate.score:.4f}", search.route)
        console.print(table)
        for warning in search.warnings:
            console.print(Text(f"warning: {warning}", style="yellow"))
    if searches:
        console.print(Text(f"{searches[0].gallery_size} photos searched. {LEAD}", style="dim"))
