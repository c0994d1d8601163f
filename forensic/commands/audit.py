"""``forensic audit``: the log of everything that was done."""

import json
from datetime import date
from pathlib import Path

import click

from forensic.commands.options import Place, day, gallery_option, head_option, open_gallery, open_place, place_option
from forensic.commands.printing import Column, echo_json, print_problems, print_table
from forensic.text import counted, printable


@click.group()
def audit() -> None:
    """The log of everything that was done."""


@audit.command()
@place_option
@click.option("--action", help="Only such acts: enroll, expunge, search, decide, view, login, ...")
@click.option("--operator", help="Only acts of this user.")
@click.option("--since", callback=day, metavar="DATE", help="Only acts of this day (UTC) or later.")
@click.option("--until", callback=day, metavar="DATE", help="Only acts of this day (UTC) or earlier.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, as it was hashed.")
def log(
    gallery: Path,
    action: str | None,
    operator: str | None,
    since: date | None,
    until: date | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show the latest entries, the newest first.

    \b
    forensic audit log --action search --since 2026-11-01 --limit 100
    """
    from forensic.gallery.records import Choice

    with open_place(gallery) as opened:
        entries = opened.records.entries(limit=limit, choice=Choice(action, operator, since, until))
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
@place_option
@head_option
@click.option(
    "--tsa-certificate",
    "certificate",
    type=Place(dir_okay=False),
    help="Root certificates of time-stamping authorities, PEM or DER: each anchor has to lead to one.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a problem, a line each.")
def verify(gallery: Path, head: Path | None, certificate: Path | None, as_json: bool) -> None:
    """Check the log: an entry that was altered, removed, moved or cut off is named; exit status 4 then.

    The log's own signatures do not show that its end was cut off: give a head that was exported earlier.

    \b
    forensic audit verify --head /mnt/elsewhere/head.json
    """
    from forensic.gallery.log import anchoring
    from forensic.gallery.log.audit import Head

    exported = None if head is None else Head.read(head)
    roots = [] if certificate is None else anchoring.certificates(certificate)
    with open_place(gallery) as opened:
        size, anchors = opened.records.verify_log(exported, roots)
    print_problems(anchors.problems, as_json=as_json)
    if not as_json:
        beyond = "" if exported else " A cut end would not show: keep heads elsewhere (forensic audit head)."
        click.echo(f"Sound: {counted(size, 'entry')}.{beyond}")
        if anchors.checked:
            click.echo(f"Anchors: {anchors.checked}, each signed by an authority of {certificate}.")
        if anchors.unchecked:
            click.echo(f"Anchors whose signature was not checked: {anchors.unchecked}. Give --tsa-certificate FILE.")


@audit.command()
@gallery_option
@click.option("--tsa", required=True, metavar="URL", help="The authority's address, http:// or https://.")
@click.option(
    "--certificate",
    type=Place(dir_okay=False),
    help="The authority's root certificate, PEM or DER: its answer is checked before it is written.",
)
def anchor(gallery: Path, tsa: str, certificate: Path | None) -> None:
    """Have a time-stamping authority (RFC 3161) stamp the log's end, so that it cannot be written anew later.

    The authority gets a hash and nothing else. This is the only command of the log that uses the network.

    \b
    forensic audit anchor --tsa https://tsa.example --certificate root.pem
    """
    from forensic.gallery.log import anchoring

    roots = [] if certificate is None else anchoring.certificates(certificate)
    with open_gallery(gallery) as opened:
        made = anchoring.anchor(opened, tsa, roots)
    click.echo(
        f"Entry {made.number} is anchored: {printable(tsa)} says that it was there at {made.at:%Y-%m-%d %H:%M:%S} UTC."
    )
    if not roots:
        click.echo("The authority's signature was not checked. Give its root with --certificate FILE.")


@audit.command()
@place_option
@click.option("--out", type=Place(dir_okay=False), help="A file; else it is printed.")
def head(gallery: Path, out: Path | None) -> None:
    """Export the signed head of the log, to be kept where nobody who can write the gallery can write.

    \b
    forensic audit head --out /mnt/elsewhere/head.json
    """
    from forensic import weights
    from forensic.errors import UsageError
    from forensic.gallery import address

    if out is not None:
        address.check_outside(out)
    with open_place(gallery) as opened:
        content = json.dumps(opened.records.export_head()._asdict())
    if out is None:
        click.echo(content)
        return
    if out.exists():  # it may be what shows that the log was cut since
        raise UsageError(f"{out} is there already, and an earlier head is never replaced. Give a new name.")
    try:
        weights.write_bytes(out, f"{content}\n".encode())
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror}). Give another --out FILE.") from None
    click.echo(f"Written: {out}")
