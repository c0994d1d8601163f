"""A server's address: https, or plain http where nothing leaves this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from forensic.errors import UsageError

EXPECTED = "expected https://HOST or https://HOST:PORT, without a path, a user or anything after it"


def parse(text: str) -> str:
    """The address as it stands in requests and in the key ring: scheme, host and port.

    Raises:
        UsageError: It is none, or would carry passwords and pictures in the clear over a network.

    >>> parse("https://Faces.example.org/")
    'https://faces.example.org'
    >>> parse("http://localhost:8000")
    'http://localhost:8000'
    """
    try:
        parts = urlsplit(text.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise UsageError(f"The server's address {text[:80]!r} is none: {EXPECTED}.") from None
    bare = parts.path in ("", "/") and not parts.query and not parts.fragment
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or not bare:
        # What was given is not repeated: a password may stand before the @.
        shown = "" if "@" in parts.netloc else f" {text[:80]!r}"
        raise UsageError(f"The server's address{shown} cannot be used: {EXPECTED}.")
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError(
            f"http://{host} would carry passwords and pictures in the clear: give https://{host}. Plain http is for "
            "a server on this machine alone, such as http://127.0.0.1:8000."
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or number alone, whatever a name server says.

    >>> is_loopback("127.0.0.2"), is_loopback("::1"), is_loopback("localhost.example.org")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
