"""``forensic gallery``: look at a gallery and look after it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensic.commands.duplicates import duplicates, keep, merge, split
from forensic.commands.encryption import encrypt
from forensic.commands.encryption import key as key_group
from forensic.commands.engine import engine
from forensic.commands.enroll import reindex
from forensic.commands.options import (
    NUMBER,
    Place,
    gallery_option,
    head_option,
    open_gallery,
    open_place,
    pairs,
    place_option,
)
from forensic.commands.originals import originals
from forensic.commands.photo_quality import quality
from forensic.commands.printing import Column, echo_json, held, print_problems, print_table
from forensic.errors import UsageError
from forensic.text import counted, printable

if TYPE_CHECKING:
    from forensic.gallery.models import Person, Photo

ROWS = 1000
"""Of a table, unless more are asked for: nobody reads so many, and they take a second to lay out."""


@click.group()
def gallery() -> None:
    """Look at a gallery and look after it."""


@gallery.command("list")
@place_option
@click.option("--where", multiple=True, callback=pairs, metavar="KEY=VALUE", help="Only these; may be repeated.")
@click.option("--limit", type=NUMBER, help=f"At most so many; by default {ROWS:,} in a table, and all with --json.")
@click.option("--offset", type=click.IntRange(0, 2**31 - 1), default=0, help="Pass over so many first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_people(gallery: Path, where: dict[str, str], limit: int | None, offset: int, as_json: bool) -> None:
    """List the people who are enrolled, by label.

    A text that ends in * asks for what begins so, an empty one for whoever has no value.

    \b
    forensic gallery list --where sex=F --where birth_year=1980
    forensic gallery list --where 'person=A-1*'
    """
    most = limit if as_json else limit or ROWS
    with open_place(gallery) as opened:
        people, size = opened.people.look_through(where, limit=most, offset=offset), opened.people.size()
    if as_json:
        for person in people:
            echo_json(_person(person))
        return
    titles = [
        Column("person"),
        Column("photos", right=True),
        *map(Column, ("name", "sex", "birth year", "case", "keep until", "other")),
    ]
    print_table(titles, [_row(person) for person in people])
    click.echo(f"{len(people):,} shown of {counted(size.people, 'person')} with {counted(size.photos, 'photo')}.")
    if len(people) == most:
        click.echo(f"If there are more, --offset {offset + most} shows them; --where asks for some.")


@gallery.command()
@click.argument("person")
@place_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(person: str, gallery: Path, as_json: bool) -> None:
    """Show a PERSON with all photos.

    \b
    forensic gallery show A-17
    """
    with open_place(gallery) as opened:
        found, photos = opened.people.view(person)
        paths = [opened.people.path(photo.sha256) for photo in photos]
    record = _person(found) | {
        "enrolled": found.created_at.isoformat(),
        "updated": found.updated_at.isoformat(),
        "photos": [_photo(photo) | {"path": path} for photo, path in zip(photos, paths, strict=True)],
    }
    if as_json:
        echo_json(record)
        return
    for key, value in record.items():
        if key != "photos":
            click.echo(f"{printable(key):<15} {printable(_text(value))}")
    for photo in record["photos"]:
        click.echo(f"\nphoto {photo['id']}")
        for key, value in photo.items():
            if key not in ("id", "landmarks", "quality") and value not in (None, []):
                click.echo(f"  {printable(key):<13} {printable(_text(value))}")
        for key, value in _quality(photo["quality"]).items():
            click.echo(f"  {printable(key):<13} {printable(value)}")


@gallery.command()
@click.argument("person", required=False)
@place_option
@click.option("--photo", type=NUMBER, help="Change a photo's date_taken or source, by its id, instead of a person.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    callback=pairs,
    metavar="KEY=VALUE",
    help="What to write; an empty value removes it. May be repeated.",
)
@click.option("--person", "rename", metavar="LABEL", help="Give the person another label.")
def update(person: str | None, gallery: Path, photo: int | None, changes: dict[str, str], rename: str | None) -> None:
    """Change the metadata of a PERSON or of one photo.

    \b
    forensic gallery update A-17 --set birth_year=1980 --set name=
    forensic gallery update A-17 --person B-3
    forensic gallery update --photo 12 --set date_taken=2019-05
    """
    _one_of(person, photo)
    if not changes and rename is None:
        raise UsageError("Nothing to change was given; use --set KEY=VALUE or --person LABEL.")
    if photo is not None and rename is not None:
        raise UsageError("--person gives a person another label; a photo stays with its person.")
    with open_place(gallery) as opened:
        if person is not None:
            changed = opened.people.update(person, changes, rename=rename)
            click.echo(f"{printable(changed.label)} is updated.")
        elif photo is not None:
            opened.people.update_photo(photo, changes)
            click.echo(f"Photo {photo} is updated.")


@gallery.command()
@gallery_option
@click.option("--out", required=True, type=Place(), help="A new folder, or a new .csv file's name.")
def export(gallery: Path, out: Path) -> None:
    """Write people, metadata and originals as a table that `forensic enroll --csv` reads.

    Templates are not in it: enrolling makes them anew.

    \b
    forensic gallery export --out exported
    forensic enroll --csv exported/gallery.csv --gallery another
    """
    from forensic.gallery.exchange import export as write

    with open_gallery(gallery) as opened:
        table, size = write(opened, out), opened.size()
    click.echo(f"Written: {table} ({held(size.people, size.photos)}). These are personal data.")


@gallery.command()
@place_option
@head_option
@click.option("--repair", is_flag=True, help="Mend what can be mended first.")
@click.option(
    "--from",
    "source",
    type=Place(exists=True, file_okay=False),
    help="With --repair: a folder that may have originals which are missing or altered, under any names.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a problem, a line each.")
def verify(gallery: Path, head: Path | None, repair: bool, source: Path | None, as_json: bool) -> None:
    """Check everything: database, originals, templates, index, permissions, audit log, cases.

    With --repair, permissions are tightened, unfinished files are deleted, altered indexes too, templates are made anew
    as 'forensic gallery reindex' does, and originals come back from a folder that has them. What was done is in the
    log. Originals that no photo has are left: they may be the only copies. A damaged database or log is never touched
    up: restore a backup.

    Exit status 4 if something is wrong, or still is.

    \b
    forensic gallery verify --head head.json
    forensic gallery verify --repair --from mugshots/
    """
    from forensic.gallery.log.audit import Head

    if source is not None and not repair:
        raise UsageError("--from says where originals may lie for --repair: give that too.")
    exported = None if head is None else Head.read(head)
    with open_place(gallery) as opened:
        if repair:
            done, problems = opened.records.repair(source, exported)
            for one in done:
                if as_json:
                    echo_json({"mended": one._asdict()})
                else:
                    click.echo(f"mended: {one.kind}: {printable(one.subject)}: {printable(one.message)}")
        else:
            problems = opened.records.verify(exported)
        size = None if problems else opened.people.size()
    print_problems(problems, as_json=as_json)
    if size and not as_json:
        click.echo(f"Sound: {held(size.people, size.photos)}.")


def _one_of(person: object, photo: int | None) -> None:
    if (person is None) == (photo is None):
        raise UsageError("Give either a PERSON or --photo ID.")


def _row(person: "Person") -> list[str]:
    other = ", ".join(f"{key}={value}" for key, value in sorted(person.extra.items()))
    fields = (person.name, person.sex, person.birth_year, person.case_reference, person.keep_until)
    return [person.label, str(person.photo_count), *("" if value is None else str(value) for value in fields), other]


def _person(person: "Person") -> dict[str, Any]:
    from forensic.gallery.people import described

    return {"person": person.label, "photo_count": person.photo_count, "metadata": described(person)}


def _photo(photo: "Photo") -> dict[str, Any]:
    return {
        "id": photo.id,
        "sha256": photo.sha256,
        "file_name": photo.file_name,
        "format": photo.format,
        "size": [photo.width, photo.height],
        "date_taken": photo.date_taken,
        "source": photo.source,
        "landmarks": photo.landmarks,
        "detector": photo.detector,
        "detector_score": photo.detector_score,
        "warnings": photo.warnings,
        "quality": photo.quality,
        "enrolled": photo.enrolled_at.isoformat(),
    }


def _quality(quality: dict[str, Any] | None) -> dict[str, str]:
    """A photo's quality for the reader."""
    if quality is None:
        return {"quality": "not measured; 'forensic gallery quality' does it"}
    measures = ", ".join(f"{name} {value:.4g}" for name, value in quality["measures"].items())
    reasons = f": {'; '.join(quality['reasons'])}" if quality["reasons"] else ""
    return {"quality": quality["verdict"] + reasons, "measures": measures, "policy": quality["policy"]}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


for command in (reindex, quality, duplicates, merge, keep, split, engine, originals, encrypt, key_group):
    gallery.add_command(command)
