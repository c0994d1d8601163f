"""Tokens: one a server, in the system's key ring, or in ``FORENSIC_TOKEN`` where there is no ring. Never in a file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field

from forensic.errors import GalleryError, RightsError
from forensic.gallery.cipher.keys import first_sentence, ring

VARIABLE = "FORENSIC_TOKEN"
RING = "forensic server"
"""Service under which tokens stand in the key ring; the name of an entry is the server's address."""


@dataclass(frozen=True)
class Login:
    """A token and whose it is.

    Attributes:
        token: What requests carry.
        number: By which it is revoked; 0 for one out of the environment.
        user: Whose; empty in a gallery without users, or where only the server knows.
        ends: Until when it lives, as ISO 8601.
    """

    token: str = field(repr=False)
    number: int = 0
    user: str = ""
    ends: str = ""


def find(address: str) -> Login | None:
    """The token for a server: that of ``FORENSIC_TOKEN``, or of the key ring; None if there is none."""
    if token := os.environ.get(VARIABLE, "").strip():
        return Login(token)
    return kept(address)


def kept(address: str) -> Login | None:
    """What the key ring holds for a server; None where it holds nothing that can be used, or there is no ring."""
    from keyring.errors import KeyringError

    try:
        text = ring().get_password(RING, address)
        return None if text is None else Login(**json.loads(text))
    except (KeyringError, ValueError, TypeError):
        return None


def needed(address: str, user: str | None) -> Login:
    """The token for a server.

    Args:
        address: The server's.
        user: Whose it has to be, where a command names somebody with ``--as``.

    Raises:
        RightsError: There is none, or it is somebody else's.
    """
    login = find(address)
    if login is None:
        raise RightsError(f"Nobody is signed in to {address}: forensic login --server {address} --as NAME")
    if user is not None and login.number and login.user != user:
        whose = login.user or "nobody's (the gallery had no users)"
        raise RightsError(
            f"The token for {address} is {whose}, not that of {user}: forensic login --server {address} --as {user}"
        )
    return login


def keep(address: str, login: Login) -> None:
    """Put a token into the system's key ring, in place of an earlier one.

    Raises:
        GalleryError: There is no key ring, or it does not take it.
    """
    from keyring.errors import KeyringError

    text = json.dumps(asdict(login))
    try:
        ring().set_password(RING, address, text)
        taken = ring().get_password(RING, address) == text
    except KeyringError as error:
        raise GalleryError(f"The system's key ring did not take the token: {first_sentence(error)}.") from None
    if not taken:
        raise GalleryError("The system's key ring did not keep the token.")


def forget(address: str) -> None:
    """Take a server's token out of the key ring."""
    from keyring.errors import KeyringError

    try:
        ring().delete_password(RING, address)
    except KeyringError as error:
        raise GalleryError(f"The system's key ring did not give the token up: {first_sentence(error)}.") from None
