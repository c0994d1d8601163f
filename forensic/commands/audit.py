"""``forensic audit``: the log of everything that was done."""

import json
from pathlib import Path

import click

from forensic.commands.options import gallery_option, head_option, open_gallery
from forensic.commands.output import Column, echo_json, print_problems, print_table


@click.group()
def audit() -> None:
    """The log of everything that was done."""


@audit.command()
@gallery_option
@click.option("--action", help="Only such acts: enroll, expunge, search, decide, view, login, ...")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, as it was hashed.")
def log(gallery: Path, action: str | None, limit: int, as_json: bool) -> None:
    """Show the latest entries, the newest first."""
    from forensic.gallery import trail

    with open_gallery(gallery) as opened:
        entries = trail.entries(opened, action=action, limit=limit)
    if as_json:
        for entry in entries:
            echo_json(entry)
        return
    rows = [
        [str(entry["number"]), entry["at"][:19], entry["operator"], entry["action"], json.dumps(entry["details"])[:60]]
        for entry in entries
    ]
    print_table([Column("entry", right=True), *map(Column, ("at (UTC)", "operator", "act", "details"))], rows)


@audit.command()
@gallery_option
@head_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a problem, a line each.")
def verify(gallery: Path, head: Path | None, as_json: bool) -> None:
    """Check the log: an entry that was altered, removed, moved or cut off is named; exit status 4 then.

    The log's own signatures do not show that its end was cut off: give a head that was exported earlier.
    """
    from forensic.gallery import trail
    from forensic.gallery.audit import Head

    exported = None if head is None else Head.read(head)
    with open_gallery(gallery) as opened:
        problems, size = trail.verify(opened, exported)
    print_problems(problems, as_json=as_json)
    if not as_json:
        beyond = "" if exported else " A cut end would not show: keep heads elsewhere (forensic audit head)."
        click.echo(f"Sound: {size} entries.{beyond}")


@audit.command()
@gallery_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A file; else it is printed.")
def head(gallery: Path, out: Path | None) -> None:
    """Export the signed head of the log, to be kept where nobody who can write the gallery can write."""
    from forensic import weights
    from forensic.errors import UsageError
    from forensic.gallery import trail

    with open_gallery(gallery) as opened:
        content = json.dumps(trail.export_head(opened)._asdict())
    if out is None:
        click.echo(content)
        return
    try:
        weights.write_bytes(out, content.encode())
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror}). Give another --out FILE.") from None
    click.echo(f"Written: {out}")
