"""Which engine a URL names: ``milvus:FILE.db``, ``milvus:http(s)://HOST:PORT`` or ``postgresql://USER@HOST/DATABASE``.

A URL never holds a password: Milvus's token comes from FORENSIC_MILVUS_TOKEN, PostgreSQL's password from PGPASSWORD or
~/.pgpass, so that the URL can be kept in a folder and shown.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from forensic.errors import UsageError

if TYPE_CHECKING:
    from forensic.engines.protocol import Engine

MILVUS = "milvus:"
EXPECTED = "expected milvus:FILE.db, milvus:http(s)://HOST:PORT or postgresql://USER@HOST/DATABASE"
SECRETS = ("password", "sslpassword", "passfile", "token")
TOKEN = "FORENSIC_MILVUS_TOKEN"  # noqa: S105 - the variable's name


def parse(url: str) -> str:
    """A URL as it is kept: a file's path absolute, no driver's name.

    Raises:
        UsageError: It names no engine, or holds a password. The text is not repeated then.

    >>> parse("postgresql+psycopg://clerk@db.example/mugshots")
    'postgresql://clerk@db.example/mugshots'
    """
    text = re.sub(r"^(postgres|postgresql|postgresql\+psycopg)://", "postgresql://", url.strip())
    target = text.removeprefix(MILVUS)
    if "://" not in target:
        if target == text or not target.endswith(".db") or not target.isprintable():
            raise UsageError(f"The engine's URL cannot be read; {EXPECTED}.")
        return MILVUS + str(Path(target).expanduser().absolute())
    try:
        parts = urlsplit(target)
        named, query = bool(parts.hostname) or parts.scheme == "postgresql", parse_qsl(parts.query)
        _ = parts.port
    except ValueError:
        raise UsageError(f"The engine's URL cannot be read; {EXPECTED}.") from None
    if parts.scheme not in (("http", "https") if target != text else ("postgresql",)) or not named:
        raise UsageError(f"The engine's URL cannot be read; {EXPECTED}.")
    user = target != text and parts.username is not None
    if user or parts.password is not None or any(key.lower() in SECRETS for key, _ in query):
        raise UsageError(
            "The engine's URL holds a name or a password that the gallery's folder must not keep: leave it out. "
            f"Milvus's token (USER:PASSWORD, or an API key) is taken from {TOKEN}, PostgreSQL's password from "
            "PGPASSWORD or ~/.pgpass."
        )
    return text


def open_engine(url: str, gallery: str) -> Engine:
    """The engine that a URL names, with the collections of one gallery.

    Args:
        url: As `parse` takes it.
        gallery: The gallery's id: up to 32 letters and digits.

    Raises:
        UsageError: The URL names no engine, or holds a password.
        GalleryError: What it needs is not installed, or it cannot be reached or used.
    """
    url = parse(url)
    if url.startswith(MILVUS):
        from forensic.engines.milvus import Milvus

        return Milvus(url, gallery)
    from forensic.engines.pgvector import PgVector

    return PgVector(url, gallery)
