"""``forensic case`` and ``forensic search``: cases, what was searched for them, and what examiners say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensic.commands.case_files import export, verify
from forensic.commands.case_reports import case_report, search_report
from forensic.commands.options import (
    KINDS,
    NUMBER,
    FolderOption,
    Place,
    device_option,
    filter_of,
    open_place,
    place_option,
    route_option,
)
from forensic.commands.printing import Column, echo_json, print_table
from forensic.text import counted, printable

if TYPE_CHECKING:
    from forensic.gallery.casework.cases import Opinion, Searched

VERDICTS = ("exclude", "inconclusive", "lead")
DIFFERENT = 1
"""Exit status of a repetition with another list."""


@click.group()
def case() -> None:
    """Cases: their sketches, searches and the examiners' decisions."""


@case.command("open")
@click.argument("reference")
@place_option
@click.option("--purpose", required=True, help="What the searches are for.")
@click.option("--legal-basis", required=True, help="By what right: the statute, the warrant, the order.")
def open_case(reference: str, gallery: Path, purpose: str, legal_basis: str) -> None:
    """Open a case under the agency's REFERENCE.

    \b
    forensic case open 2026-117 --purpose 'robbery, Main St 4' --legal-basis 'warrant 8 Gs 112/26'
    """
    with open_place(gallery) as opened:
        opened.cases.open_case(reference, purpose=purpose, legal_basis=legal_basis)
    case = printable(reference.strip())
    click.echo(f"Case {case} is open. Add its sketch: forensic case add {case} FILE --kind KIND")


@case.command("list")
@place_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_cases(gallery: Path, as_json: bool) -> None:
    """List the cases, the newest first.

    \b
    forensic case list
    """
    with open_place(gallery) as opened:
        found = opened.cases.listed()
    if as_json:
        for row in found:
            echo_json(_case(row))
        return
    rows = [[row.reference, f"{row.opened_at:%Y-%m-%d %H:%M}", row.opened_by, row.purpose] for row in found]
    print_table([Column("case"), Column("opened (UTC)"), Column("by"), Column("purpose")], rows)


@case.command()
@click.argument("reference")
@click.argument("files", nargs=-1, required=True, type=Place())
@place_option
@click.option("--kind", required=True, type=click.Choice(KINDS), help="Drawn from a photo, by software, from memory.")
@click.option("--made-by", help="The artist, or the software.")
@click.option("--described-by", help="Who described the face, as the case names them.")
@click.option("--drawn-on", help="When, such as 2026-11-02.")
def add(
    reference: str,
    files: tuple[Path, ...],
    gallery: Path,
    kind: str,
    made_by: str | None,
    described_by: str | None,
    drawn_on: str | None,
) -> None:
    """Add sketches to a case, with their bytes. They are evidence of the case and are never enrolled.

    \b
    forensic case add 2026-117 sketch.png --kind forensic --made-by 'M. Ito' --described-by 'witness 2'
    """
    from forensic import images
    from forensic.gallery.casework.cases import Drawing, Kind

    pictures = [images.read(file) for file in files]  # all of them are images, or none is added
    with open_place(gallery) as opened:
        for file, picture in zip(files, pictures, strict=True):
            drawing = Drawing(picture.data, file.name, Kind(kind), made_by, described_by, drawn_on)
            number = opened.cases.add_sketch(reference, drawing)
            click.echo(f"{images.display_name(file)} is sketch {number} of case {printable(reference)}.")


@case.command("search")
@click.argument("reference")
@place_option
@click.option(
    "--sketch", "numbers", type=NUMBER, multiple=True, help="Which sketch, by number; else all. May be repeated."
)
@click.option("--same-person", is_flag=True, help="The sketches show one person: one search with all of them.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(1, 1000), help="Length of the list.")
@route_option
@click.option("--where", multiple=True, metavar="KEY=VALUE", help="Search only these people; may be repeated.")
@click.option("--justification", default="", help="Why --where may be used; kept with the search.")
@device_option
def search_case(
    reference: str,
    gallery: Path,
    numbers: tuple[int, ...],
    same_person: bool,
    top: int,
    route: str,
    where: tuple[str, ...],
    justification: str,
    device: str,
) -> int:
    """Search with the sketches of a case; every search is on record under its number.

    \b
    forensic case search 2026-117 --top 50
    forensic case search 2026-117 --sketch 2 --where sex=female --justification 'witness 2'
    """
    from forensic.commands.match import print_searches
    from forensic.errors import FaceError, ForensicError, ImageError

    only = filter_of(where, justification)
    failures, advised = 0, False
    with open_place(gallery) as opened:
        answers = opened.search_case(
            reference, numbers, top, route=route, together=same_person, only=only, device=device
        )
        for name, answer in answers:
            if isinstance(answer, ForensicError):
                failures += 1
                advised |= isinstance(answer, FaceError)
                click.echo(f"Error: {answer}", err=True)
            else:
                advised |= any(option in text for text in answer.warnings for option in ("--face", "--landmarks"))
                click.echo(f"Search {answer.number}, {name}:")
                print_searches([answer])
    if advised:  # faces are found for every command alike, and told of in the words of match
        by_hand = f"forensic match FILE --case {printable(reference)} --landmarks 'x,y x,y x,y x,y x,y'"
        click.echo(f"--face and --landmarks are options of match, with the sketch's file: {by_hand}", err=True)
    return ImageError.exit_code if failures else 0


@case.command()
@click.argument("search", type=NUMBER)
@place_option
@click.option("--rank", required=True, type=click.IntRange(min=1), help="Which candidate.")
@click.option("--verdict", required=True, type=click.Choice(VERDICTS), help="A lead is never an identification.")
@click.option("--reason", required=True, help="What in the faces speaks for it.")
def decide(search: int, gallery: Path, rank: int, verdict: str, reason: str) -> None:
    """Decide on a candidate of a SEARCH, independently: others' verdicts are shown after one's own alone.

    \b
    forensic case decide 12 --rank 1 --verdict lead --reason 'ears, nasal bridge and scar agree'
    """
    from forensic.gallery.casework.cases import Verdict

    with open_place(gallery) as opened:
        opened.cases.decide(search, rank, Verdict(verdict), reason)
        found = opened.cases.searched(search)
    for opinion in found.opinions:
        if opinion.rank == rank:
            click.echo(_opinion(opinion))
    if rank in found.disagreements:
        click.echo("The examiners disagree: a third one, or a conference, has to settle it.")


@case.command("show")
@click.argument("reference")
@place_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show_case(reference: str, gallery: Path, as_json: bool) -> None:
    """Show a case with its sketches, searches and decisions.

    \b
    forensic case show 2026-117
    """
    with open_place(gallery) as opened:
        row, sketches = opened.cases.find(reference), opened.cases.sketches(reference)
        searches = opened.cases.searches(reference)
    if as_json:
        echo_json(
            _case(row)
            | {"sketches": [_sketch(sketch) for sketch in sketches], "searches": [_search(one) for one in searches]}
        )
        return
    for key, value in _case(row).items():
        click.echo(f"{key:<12} {printable(value)}")
    for sketch in sketches:
        about = (
            f"{key} {value}" for key, value in _sketch(sketch).items() if value and key not in ("sketch", "sha256")
        )
        click.echo(f"sketch {sketch.id:<5} {printable(', '.join(about))}")
    kinds = {sketch.sha256: sketch.kind for sketch in sketches}
    for found in searches:
        _print_search(found, kinds)


for command in (case_report, export, verify):
    case.add_command(command)


@click.group()
def search() -> None:
    """Searches on record: list, show, repeat, report."""


search.add_command(search_report)


@search.command("list")
@place_option
@click.option("--case", "reference", help="Only those of a case.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_searches(gallery: Path, reference: str | None, as_json: bool) -> None:
    """List the searches on record.

    \b
    forensic search list --case 2026-117
    """
    with open_place(gallery) as opened:
        found = opened.cases.searches(reference)
    if as_json:
        for one in found:
            echo_json(_search(one))
        return
    heads = [Column("search", right=True), *map(Column, ("case", "started (UTC)", "operator", "route", "first"))]
    rows = []
    for one in found:
        first = _name(one, one.record["candidates"][0]) if one.record["candidates"] else ""
        said = (one.record[key] for key in ("operator", "route"))
        rows.append([str(one.number), one.case or "", one.record["started"][:16], *said, first])
    print_table(heads, rows)


@search.command("show")
@click.argument("number", type=NUMBER)
@place_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object: the whole record.")
def show_search(number: int, gallery: Path, as_json: bool) -> None:
    """Show a search: who, when, what for, with what, and the list with the examiners' decisions.

    \b
    forensic search show 12
    """
    with open_place(gallery) as opened:
        found = opened.cases.searched(number)
        held = [] if found.case is None else opened.cases.sketches(found.case)
        purpose = found.record["purpose"] if found.case is None else opened.cases.find(found.case).purpose
    if as_json:
        echo_json(_search(found) | {"record": found.record})
        return
    for key, value in _circumstances(found, purpose).items():
        click.echo(f"{key:<14} {printable(value)}")
    _print_search(found, {sketch.sha256: sketch.kind for sketch in held})


@search.command()
@click.argument("number", type=NUMBER)
@place_option
@click.option(
    "--probe",
    "files",
    cls=FolderOption,
    multiple=True,
    type=Place(),
    help="Its sketch, if no case has it; may be repeated.",
)
@device_option
def rerun(number: int, gallery: Path, files: tuple[Path, ...], device: str) -> int:
    """Repeat a search and say whether the list is the same, to the byte; exit status 1 if it is not.

    \b
    forensic search rerun 12
    forensic search rerun 12 --probe sketch.png
    """
    with open_place(gallery) as opened:
        again = opened.rerun(number, files, device=device)
    same = "the same list, to the byte" if again.identical else "another list"
    changed = f" Changed since: {', '.join(again.changed)}." if again.changed else " Nothing else on record differs."
    click.echo(f"Search {number}, repeated as search {again.search.number}: {same}.{changed}")
    return 0 if again.identical else DIFFERENT


def _print_search(found: Searched, kinds: Mapping[str, str]) -> None:
    """A search's list, a line a candidate, with what examiners say.

    Args:
        found: The search.
        kinds: Hash of each of the case's sketches -> its kind.
    """
    from forensic.candidates import beyond, narrowed, strength
    from forensic.search_records import repeats

    record = found.record
    click.echo(
        f"search {found.number:<5} {record['started'][:16]} by {printable(record['operator'])}, {record['route']}, "
        f"{counted(record['gallery']['photos'], 'photo')}, root {record['gallery']['root'][:12]}"
    )
    if repeated := repeats(record):
        click.echo(f"  repetition of search {repeated}")
    if record["filter"]:
        click.echo(f"  {printable(narrowed(record['filter']))}")
    warning = beyond(record["calibration"], {kinds[probe] for probe in record["probes"] if probe in kinds})
    for text in [*record["warnings"], *([warning] if warning else [])]:
        click.echo(f"  warning: {printable(text)}")
    for candidate in record["candidates"]:
        told = None if warning else strength(candidate["log_lr"], candidate["bounded"])
        stated = f", log10 LR {told}" if told else ""
        click.echo(f"  {candidate['rank']:>3}. {_name(found, candidate)} (score {candidate['score']:.3f}{stated})")
        for opinion in found.opinions:
            if opinion.rank == candidate["rank"]:
                click.echo(f"       {_opinion(opinion)}")
    if found.disagreements:
        click.echo(f"  The examiners disagree on rank {', '.join(map(str, found.disagreements))}.")


def _opinion(opinion: Opinion) -> str:
    said = "has decided; shown after your own decision" if opinion.verdict is None else f"{opinion.verdict}"
    return printable(f"{opinion.examiner}: {said}" + (f" ({opinion.reason})" if opinion.reason else ""))


def _name(found: Searched, candidate: dict[str, Any]) -> str:
    gone = f"person {candidate['person_id']}, no longer enrolled"
    return printable(found.people.get(candidate["photo_id"], gone))


def _case(row: Any) -> dict[str, str]:
    return {
        "case": row.reference,
        "purpose": row.purpose,
        "legal basis": row.legal_basis,
        "opened by": row.opened_by,
        "opened": row.opened_at.isoformat(),
    }


def _sketch(row: Any) -> dict[str, Any]:
    return {
        "sketch": row.id,
        "file": row.file_name,
        "kind": row.kind,
        "made by": row.made_by,
        "described by": row.described_by,
        "drawn on": row.drawn_on,
        "sha256": row.sha256,
    }


def _circumstances(found: Searched, purpose: str) -> dict[str, str]:
    """Who, when, what for, with what; without what is not known."""
    record = found.record
    told = {
        "case": found.case,
        "purpose": purpose,
        "operator": record["operator"],
        "from": f"{record['started'][:19]} UTC",
        "to": f"{record['ended'][:19]} UTC",
        "route": record["route"],
        "people asked": str(record["asked_for"]),
        "probe": ", ".join(record["probes"]),
        "code": record["code"],
        **{f"model {name}": sha256 for name, sha256 in sorted(record["models"].items())},
        "with": ", ".join(f"{name} {version}" for name, version in sorted(record["versions"].items())),
    }
    return {key: value for key, value in told.items() if value}


def _search(found: Searched) -> dict[str, Any]:
    from forensic.search_records import repeats

    return {
        "search": found.number,
        "case": found.case,
        "repeats": repeats(found.record),
        "started": found.record["started"],
        "operator": found.record["operator"],
        "route": found.record["route"],
        "filter": found.record["filter"],
        "warnings": found.record["warnings"],
        "candidates": [
            candidate | {"person": found.people.get(candidate["photo_id"])} for candidate in found.record["candidates"]
        ],
        "decisions": [opinion._asdict() | {"at": opinion.at.isoformat()} for opinion in found.opinions],
        "disagreements": found.disagreements,
    }
