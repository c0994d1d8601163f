"""``forensic gallery originals``: where a gallery's originals lie."""

from __future__ import annotations

from pathlib import Path

import click

from forensic.commands.options import gallery_option, open_gallery
from forensic.commands.printing import echo_json
from forensic.errors import UsageError
from forensic.text import counted, printable


@click.command()
@click.argument("url", required=False)
@gallery_option
@click.option("--folder", "back", is_flag=True, help="Bring the originals back into the gallery's folder.")
@click.option("--forget", is_flag=True, help="Give up what a move left in a place that is no more.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def originals(url: str | None, gallery: Path, back: bool, forget: bool, as_json: bool) -> None:
    """Keep the photos' originals in a bucket or another folder, at a URL; without one, show where they lie.

    For galleries whose photos do not fit on one disk. The originals that are there are moved, and later ones are stored
    there; a folder without a gallery gets an empty one. Nobody else can write to the gallery meanwhile, and a move that
    is interrupted leaves all where they were. An expunge removes photos there too, in all versions that a bucket keeps.

    s3:// needs the package s3fs. The server's address and the credentials are taken from AWS_ENDPOINT_URL,
    AWS_ACCESS_KEY_ID and the like, or from ~/.aws; never from the URL.

    \b
    forensic gallery originals s3://mugshots/originals
    forensic gallery originals file:///archive/originals
    forensic gallery originals --folder
    """
    from forensic.gallery import originals as places
    from forensic.progress import bar

    if (url is not None) + back + forget > 1:
        raise UsageError("Give a URL, --folder (the gallery's own folder) or --forget, one of them alone.")
    if url is not None:
        places.checked(url)  # before a gallery is made
    with open_gallery(gallery, create=url is not None) as opened:
        if back or url is not None:
            with bar("Moving originals") as shown:
                places.move(opened, url, progress=shown)
        if forget:
            places.forget(opened)
        found = places.status(opened)
    if as_json:
        echo_json(found._asdict())
        return
    click.echo(f"The originals of {counted(found.photos, 'photo')} lie in {printable(found.place)}.")
    if found.left is not None:
        click.echo(places.LEFT.format(printable(found.left)))
