"""``forensic gallery engine``: where a gallery's templates are searched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensic.commands.options import gallery_option, open_gallery, route_option
from forensic.commands.printing import echo_json
from forensic.errors import UsageError
from forensic.text import printable

if TYPE_CHECKING:
    from forensic.engines.synchronizing import Changes
    from forensic.gallery import Gallery
    from forensic.gallery.engines import Status


@click.command()
@click.argument("url", required=False)
@gallery_option
@click.option("--none", "nothing", is_flag=True, help="Search in memory again; the engine's templates are removed.")
@click.option(
    "--lost",
    is_flag=True,
    help="With URL or --none: the earlier engine is no more, so do not ask it to remove anything.",
)
@click.option("--sync", is_flag=True, help="Send what is new, remove what has gone, finish what an expunge could not.")
@click.option(
    "--unencrypted",
    is_flag=True,
    help="Send templates of an encrypted gallery, where an engine holds them in the clear.",
)
@route_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def engine(
    url: str | None, gallery: Path, nothing: bool, lost: bool, sync: bool, unencrypted: bool, route: str, as_json: bool
) -> None:
    """Hold the templates in Milvus or in PostgreSQL's pgvector, at a URL; without one, show what holds them.

    For galleries too large for one machine's memory. Answers are those of the index in memory, to the last bit. A
    password is never part of the URL: Milvus's token is taken from FORENSIC_MILVUS_TOKEN, PostgreSQL's password from
    PGPASSWORD or ~/.pgpass. An expunge removes people's templates from the engine too.

    \b
    forensic gallery engine milvus:http://milvus.example:19530 --sync
    forensic gallery engine postgresql://clerk@db.example/mugshots --sync
    forensic gallery engine --none
    """
    from forensic.gallery import engines

    if nothing and (url or sync):
        raise UsageError("--none ends the use of an engine: give it without a URL and without --sync.")
    if lost and not (nothing or url):
        raise UsageError("--lost says of the earlier engine that it is no more: give a URL or --none too.")
    with open_gallery(gallery) as opened:
        if nothing or url is not None:
            engines.choose(opened, url, unencrypted=unencrypted, lost=lost)
        if sync:
            changes = _synchronized(opened, route)
            if not as_json:
                click.echo(f"{changes.put} templates sent, {changes.removed} removed.")
        found = engines.status(opened)
    if as_json:
        echo_json(found._asdict())
    else:
        _show(found)


def _synchronized(gallery: Gallery, route: str) -> Changes:
    """Send the templates of the routes that every photo has them of."""
    from forensic import matching
    from forensic.gallery import engines
    from forensic.progress import bar

    spaces = [one.space for one in matching.load(route).routes]
    whole = [space for space in spaces if not gallery.missing(space)] if gallery.size().photos else []
    with bar("Sending templates") as shown:
        return engines.synchronize(gallery, whole, progress=shown)


def _show(found: Status) -> None:
    """What holds the templates, for people."""
    from forensic.gallery.engines import CURE

    if found.url is None:
        click.echo("Templates are searched in memory; no engine holds them.")
        return
    click.echo(printable(found.url))
    for layout, count in found.rows.items():
        click.echo(f"  {layout}  {count} templates")
    if found.owed:
        click.echo(f"It may hold templates of {found.owed} expunged photos: {CURE}")
