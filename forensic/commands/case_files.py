"""``forensic case export`` and ``forensic case verify``: a case as one signed file, and its check without a gallery."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensic.commands.options import Place, open_place, place_option
from forensic.commands.printing import echo_json, print_problems
from forensic.text import counted, printable

if TYPE_CHECKING:
    from forensic.casefile.verifying import Verified


@click.command()
@click.argument("reference")
@place_option
@click.option("--out", required=True, type=Place(dir_okay=False), help="A new .zip file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def export(reference: str, gallery: Path, out: Path, as_json: bool) -> None:
    """Write the case REFERENCE as one signed ZIP file: reports, records, sketches, thumbnails, entries of the log.

    The export is on record. Verdicts that you may not see yet are not in it.

    \b
    forensic case export 2026-117 --out 2026-117.zip
    """
    from forensic.casefile.layout import fingerprint

    with open_place(gallery) as opened:
        made = opened.cases.export(reference, out)
    key = made.manifest.public_key
    if as_json:
        said = {"file": str(made.path), "bytes": made.size, "files": len(made.manifest.files), "hidden": made.hidden}
        echo_json(said | {"manifest": made.manifest.sha256, "key": key, "fingerprint": fingerprint(key)})
        return
    click.echo(
        f"Written: {printable(str(made.path))} ({counted(len(made.manifest.files), 'file')}, {made.size:,} bytes)."
    )
    if made.hidden:
        click.echo(f"Verdicts that are hidden from you and so are not in it: {made.hidden}.")
    click.echo(f"Signed with the key {fingerprint(key)}. Tell the receiver the whole key by another way:\n{key}")
    click.echo("These are personal data.")


@click.command()
@click.argument("file", type=Place(dir_okay=False))
@click.option("--key", metavar="KEY", help="The gallery's public key as you know it from elsewhere: 64 digits.")
@click.option("--head", type=Place(dir_okay=False), help="Or an exported head of the gallery's log.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a problem, a line each.")
def verify(file: Path, key: str | None, head: Path | None, as_json: bool) -> None:
    """Check an exported case, FILE, by itself, without the gallery; exit status 4 if something is wrong.

    \b
    forensic case verify 2026-117.zip --key 5f0c...
    """
    from forensic.casefile.verifying import verify as check
    from forensic.errors import UsageError
    from forensic.gallery.log.audit import Head

    if key is not None and head is not None:
        raise UsageError("Give either --key or --head: the head has the key in it.")
    if key is not None and not re.fullmatch(r"[0-9a-f]{64}", key := key.strip().lower()):
        raise UsageError(
            f"{key[:80]!r} is no public key: expected 64 hexadecimal digits, as 'case export' prints them."
        )
    known = None if head is None else Head.read(head)
    found = check(file, public_key=key, head=known)
    print_problems(found.problems, as_json=as_json)
    if not as_json:
        _print_sound(found, expected=key is not None or known is not None)


def _print_sound(found: Verified, *, expected: bool) -> None:
    """What was checked, and what that shows."""
    from forensic.casefile.layout import fingerprint

    manifest = found.manifest
    if manifest is None:
        return
    hidden = f" Of {found.hidden} decisions the verdict is hidden and was not compared." if found.hidden else ""
    own = (
        "The key was taken from the file itself: this shows that nothing was changed since it was signed, not who "
        "signed it. For that, give the gallery's key (--key) or an exported head of its log (--head)."
    )
    lines = {
        "export": f"case {manifest.case}, made {manifest.made} by {manifest.operator}, forensic {manifest.version}",
        "files": f"{len(manifest.files)}, each of the length and SHA-256 that the manifest states; none beyond",
        "manifest": "signed, and not altered since",
        "log": f"{found.entries} entries of the case, each signed; the log ended with entry {manifest.head.number}",
        "statements": f"case, sketches, searches and decisions are those of the log's entries.{hidden}",
        "gallery": manifest.gallery,
        "key": f"{fingerprint(manifest.public_key)}{', the expected one' if expected else ''}",
    }
    for name, text in lines.items():
        click.echo(f"{name:<12} {printable(text)}")
    click.echo("Sound." if expected else f"Sound. {own}")
