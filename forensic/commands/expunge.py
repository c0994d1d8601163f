"""``forensic expunge``: remove people for good, and prove it."""

from pathlib import Path

import click

from forensic.commands.options import NUMBER, Place, open_place, place_option, sure
from forensic.commands.printing import PROBLEMS, Column, echo_json, print_table
from forensic.text import counted, printable

reason_option = click.option(
    "--reason", default="", help="Why, such as an order's number: it stays in the log, so it must not name the person."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
VERDICTS = {True: "gone", False: "FOUND", None: "not seen"}


@click.group()
def expunge() -> None:
    """Remove people for good, and prove it.

    Removed are records, photos, templates and the index, in one act, also from other processes at their next search.
    The log keeps an entry with numbers alone.
    """


@expunge.command()
@click.argument("people", metavar="PERSON...", nargs=-1, required=True)
@place_option
@reason_option
@yes_option
def person(people: tuple[str, ...], gallery: Path, reason: str, yes: bool) -> None:
    """Remove each PERSON with originals and templates, so that no trace is left in the gallery.

    \b
    forensic expunge person A-17 --reason 'order 8 Gs 112/26'
    """
    from forensic.gallery.records import Shown

    with open_place(gallery) as opened:
        seen = [opened.people.view(label) for label in dict.fromkeys(people)]
        found = [one for one, _ in seen]
        shown = [Shown.of(one, own) for one, own in seen]
        photos = counted(sum(len(own) for _, own in seen), "photo")
        what = f"{', '.join(printable(one.label) for one in found)} with {photos}"
        if not yes and not sure(f"Remove {what} for good?"):
            click.echo("Nothing was removed.")
            return
        removed = opened.people.expunge(*shown, reason=reason)
    click.echo(f"Removed {what}: {counted(len(removed), 'original')}, their templates and the index.")
    for one in found:
        _show_proof(one.id)


@expunge.command()
@click.argument("number", type=NUMBER)
@place_option
@reason_option
@yes_option
def photo(number: int, gallery: Path, reason: str, yes: bool) -> None:
    """Remove one photo by its NUMBER, as 'forensic gallery show' gives it; its person too if it was the last one.

    \b
    forensic gallery show A-17          the photos' numbers
    forensic expunge photo 12
    """
    with open_place(gallery) as opened:
        found = opened.people.photo(number)
        last = opened.people.person(found.person.label).photo_count == 1
        what = f"photo {number} ({printable(found.file_name)}) of {printable(found.person.label)}"
        if not yes and not sure(f"Remove {what} for good?{' It is the last one.' if last else ''}"):
            click.echo("Nothing was removed.")
            return
        opened.people.expunge_photo(number, reason=reason, owner=found.person_id, last=last)
    click.echo(f"Removed {what}, its templates and the index.")
    if last:
        _show_proof(found.person_id)


@expunge.command("list")
@place_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_tombstones(gallery: Path, as_json: bool) -> None:
    """List what the log keeps of those who were removed, the newest first: when, by whom, numbers.

    \b
    forensic expunge list
    """
    with open_place(gallery) as opened:
        found = opened.records.tombstones()
    if as_json:
        for stone in found:
            echo_json(stone._asdict())
        return
    columns = [Column("entry", right=True), *map(Column, ("at (UTC)", "operator", "people", "photos", "reason"))]
    rows = [
        [str(stone.entry), stone.at[:19], stone.operator, _numbers(stone.people), _numbers(stone.photos), stone.reason]
        for stone in found
    ]
    print_table(columns, rows)


@expunge.command()
@click.argument("number", type=NUMBER)
@place_option
@click.option(
    "--text", "texts", multiple=True, help="Search all files and rows for this too, such as the label; may be repeated."
)
@click.option(
    "--photo",
    "photos",
    multiple=True,
    type=Place(dir_okay=False),
    help="Search all files and rows for this photo too, by hash and content; may be repeated.",
)
@click.option("--wipe", is_flag=True, help="Write the database's file anew before, as an expunge does.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a check, a line each.")
def prove(
    number: int, gallery: Path, texts: tuple[str, ...], photos: tuple[Path, ...], wipe: bool, as_json: bool
) -> None:
    """Look for traces of the removed person with this NUMBER, which 'forensic expunge list' gives.

    The log's entry, all rows, the database's pages, originals, indexes, the folder, the keys of backups. Records of
    earlier searches and the log keep the number, which is never given out again. "not seen" is what nobody can look
    into, such as a server's files. Exit status 4 if a trace is found. That it was looked for is in the log.

    \b
    forensic expunge prove 17
    forensic expunge prove 17 --text A-17 --photo a-17.jpg
    """
    with open_place(gallery) as opened:
        checks = opened.records.prove(number, texts=texts, photos=photos, wipe=wipe)
    for check in checks:
        if as_json:
            echo_json(check._asdict())
        else:
            click.echo(f"{VERDICTS[check.passed]:<9} {check.name}: {printable(check.said)}")
    if any(check.passed is False for check in checks):
        raise click.exceptions.Exit(PROBLEMS)
    if not as_json:
        unseen = [check.name for check in checks if check.passed is None]
        but = f" Nobody can look into: {', '.join(unseen)}." if unseen else ""
        click.echo(f"No trace of person {number} was found.{but}")


def _show_proof(number: int) -> None:
    click.echo(f"Person {number} in the log. Proof: forensic expunge prove {number}")


def _numbers(numbers: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    return f"{shown} and {len(numbers) - 10} more" if len(numbers) > 10 else shown
