"""Whose a name and a password are: asked by people who sign in and by programs that want a token."""

from __future__ import annotations

import secrets

from forensic.errors import RightsError
from forensic.gallery import users
from forensic.web import throttling
from forensic.web.problems import Busy
from forensic.web.server import Server

PATIENCE = 10
"""Seconds to wait for others whose passwords are being checked."""


def authenticate(server: Server, name: str, password: str, address: str) -> str | None:
    """Whose name and password these are; None for the system's account, whose password is the start key.

    Raises:
        RightsError: Nobody's.
        TooMany: Too many have failed.
        Busy: Others are signing in.
    """
    throttling.attempt(server.state, name, address)
    user = None
    if not server.gallery.standing().users:
        given = password.strip().encode(errors="replace")
        if not secrets.compare_digest(given, server.start_key.encode()):
            raise RightsError("That is not the key that 'forensic serve' printed when it started.")
    elif throttling.CHECKS.acquire(timeout=PATIENCE):
        try:
            user = users.sign_in(server.gallery, name, password).name
        finally:
            throttling.CHECKS.release()
    else:
        raise Busy("Many are signing in.", 5)
    throttling.succeeded(server.state, name, address)
    return user
