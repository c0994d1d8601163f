"""Getting a token for a server, and giving it back."""

from __future__ import annotations

import socket
from contextlib import suppress

from forensic import __version__
from forensic.client import credentials, reading
from forensic.client.connection import Connection, Sent
from forensic.client.credentials import Login
from forensic.errors import GalleryError, NotFound, RightsError
from forensic.gallery.rights import Right

ELSEWHERE = (Right.ENCRYPT, Right.BACKUP)
"""What is done where the folder lies alone, and so never by a token."""
LONGEST_NOTE = 100


def sign_in(connection: Connection, user: str, password: str, days: int) -> Login:
    """A new token, for all that the user's role may do at a server.

    Args:
        connection: The server's, for nobody.
        user: A user's name; empty in a gallery without users.
        password: The user's; the key that ``forensic serve`` printed in a gallery without users.
        days: Until it ends.

    Raises:
        RightsError: Name or password is wrong.
        GalleryError: It cannot be reached.
    """
    asked = {
        "user": user,
        "password": password,
        "note": f"forensic on {socket.gethostname()}"[:LONGEST_NOTE],
        "scopes": [right.name.lower() for right in Right if right not in ELSEWHERE],
        "days": days,
    }

    def made(answer: reading.Plain) -> Login:
        return Login(answer["token"], answer["id"], user, answer["expires_at"])

    # Without an idempotency key: the server keeps no secret that it could answer a second time.
    return connection.ask("POST", "/tokens", made, Sent(json=asked, unkept=True))


def check(connection: Connection) -> str:
    """See that a forensic server answers, before it is told a password.

    Returns:
        What has to be said of its version; empty for this program's own.

    Raises:
        GalleryError: Something else answers.
    """
    if connection.get("/health", lambda answer: answer["status"]) != "ok":
        raise GalleryError(f"{connection.address} answers, but not as a forensic server does. Check the address.")
    try:
        version = connection.version()
    except NotFound:  # a proxy may keep the document to itself
        return f"The server does not tell its version; this is {__version__}."
    if version.split(".")[:2] == __version__.split(".")[:2]:
        return ""
    return f"The server is version {version}, this is {__version__}: some of its answers may not be understood."


def sign_out(address: str, connection: Connection, login: Login) -> None:
    """Revoke a token at its server, and forget it here; one that has ended is forgotten all the same."""
    with suppress(NotFound, RightsError):
        connection.ask("DELETE", f"/tokens/{login.number}", reading.nothing)
    credentials.forget(address)
