"""``forensic login`` and ``forensic logout``: a token for a server, kept in the system's key ring."""

from __future__ import annotations

import os

import click

from forensic.commands.options import PASSWORD, SERVER_VARIABLE, prompt
from forensic.text import printable

server_option = click.option(
    "--server",
    metavar="URL",
    envvar=SERVER_VARIABLE,
    show_envvar=True,
    required=True,
    help="Its address, https://HOST.",
)


@click.command()
@server_option
@click.option(
    "--as",
    "user",
    envvar="FORENSIC_USER",
    show_envvar=True,
    default="",
    metavar="NAME",
    help="Who you are there; the password is asked for, or taken from FORENSIC_PASSWORD.",
)
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 366), help="Until the token ends.")
def login(server: str, user: str, days: int) -> None:
    """Sign in to a server, so that commands can be given --server URL.

    The password is asked for, or taken from FORENSIC_PASSWORD; in a gallery without users it is the key that 'forensic
    serve' printed. The server gives a token for what your role may do, which is kept in the system's key ring. Where
    there is none, the token is printed for the environment variable FORENSIC_TOKEN.

    \b
    forensic login --server https://faces.example.org --as m.ito
    forensic match sketch.png --server https://faces.example.org --case 2026-117 --kind forensic
    """
    from forensic.client import credentials, signing_in
    from forensic.client.address import parse
    from forensic.client.connection import Connection
    from forensic.errors import GalleryError

    address = parse(server)
    with Connection(address, tell=_say) as connection:
        if remark := signing_in.check(connection):  # that it is a forensic server, before a password is asked for
            _say(remark)
        question = "The password" if user else "The key that 'forensic serve' printed"
        password = os.environ.get(PASSWORD) or prompt(question, PASSWORD)
        made = signing_in.sign_in(connection, user, password, days)
    try:
        credentials.keep(address, made)
    except GalleryError as error:
        _say(f"{error} The token is printed instead, this once: keep it in {credentials.VARIABLE}, and in no file.")
        click.echo(f"export {credentials.VARIABLE}={made.token}")
    who = f" as {printable(user)}" if user else ""
    _say(f"Signed in to {address}{who} until {made.ends[:10]}.")


@click.command()
@server_option
def logout(server: str) -> None:
    """End the token that the key ring holds for a server, there and here.

    \b
    forensic logout --server https://faces.example.org
    """
    from forensic.client import credentials, signing_in
    from forensic.client.address import parse
    from forensic.client.connection import Connection

    address = parse(server)
    kept = credentials.kept(address)
    if kept is None:
        _say(f"Nobody is signed in to {address} by the key ring; a token of {credentials.VARIABLE} is not touched.")
        return
    with Connection(address, kept.token, tell=_say) as connection:
        signing_in.sign_out(address, connection, kept)
    _say(f"Signed out of {address}.")


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)
