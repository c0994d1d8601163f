"""Where a gallery's database is: the file ``gallery.db`` in its folder, or the server that ``database.url`` names.

The record is written once, when the gallery is made, so that no later command can open the originals of one gallery
with the database of another. It holds no password: that comes from PGPASSWORD or ~/.pgpass.
"""

import os
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from forensic.errors import GalleryError, UsageError
from forensic.gallery.cipher.encryption import KEY_FILE
from forensic.gallery.objects import write_private

FILE = "gallery.db"
RECORD = "database.url"
DRIVER = "postgresql+psycopg"
SECRETS = ("password", "sslpassword")  # libpq also takes them after the question mark
EXPECTED = "expected postgresql://USER@HOST/DATABASE"


class Address(NamedTuple):
    """A gallery's database.

    Args:
        url: with the password, if one was given.
        file: the folder's own SQLite file; None for any other database.
        settled: whether the folder already says that this is its database.
    """

    url: URL
    file: Path | None = None
    settled: bool = True

    @property
    def name(self) -> str:
        """What messages call it; never with a password."""
        return str(self.file) if self.file else public(self.url)


def find(folder: Path, given: str | None = None, *, home: Path | None = None) -> Address:
    """The database of the gallery in a folder.

    Args:
        folder: the gallery's.
        given: the URL that somebody asks for; an SQLite one is another database for this once.
        home: where its own SQLite file lies, if that is another folder.

    Raises:
        GalleryError: the URL is none, or the folder's gallery has another database.
    """
    recorded, file = _recorded(folder), (home or folder) / FILE
    if given is None:
        return Address(recorded) if recorded else Address(URL.create("sqlite", database=str(file)), file)
    url = parse(given)
    has = public(recorded) if recorded else file if file.exists() else None
    if url.get_backend_name() == "sqlite" and recorded is None:
        return Address(url)
    if has is not None and has != public(url):
        raise GalleryError(
            f"The gallery in {folder} has the database {has}, not {public(url)}: leave the URL out "
            "(--database, FORENSIC_DATABASE), or name another folder."
        )
    return Address(url, settled=recorded is not None)


def is_gallery(folder: Path) -> bool:
    """Whether a folder is a gallery's, by the files that say so."""
    return any(os.path.exists(folder / name) for name in (FILE, RECORD, KEY_FILE))


def check_outside(path: Path) -> None:
    """Stop before something is written into a gallery's folder, where no expunge reaches it.

    Raises:
        UsageError: The path lies in one.
    """
    real = Path(os.path.realpath(path))
    for folder in (real, *real.parents):
        if is_gallery(folder):
            raise UsageError(f"{path} lies in the gallery {folder}, where no expunge reaches it: name a place outside.")


def record(folder: Path, url: URL) -> None:
    """Write down that a gallery's database is on a server."""
    write_private({folder / RECORD: f"{public(url)}\n".encode()})


def parse(text: str) -> URL:
    """The URL of a server's or an SQLite database.

    Raises:
        GalleryError: it is none, or one of another kind. The text is not repeated: it may hold a password.

    >>> parse("postgresql://clerk@db.example/mugshots").drivername
    'postgresql+psycopg'
    """
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        raise GalleryError(f"The database's URL cannot be read; {EXPECTED}.") from None
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername=DRIVER)
    if url.drivername != DRIVER and url.get_backend_name() != "sqlite":
        raise GalleryError(f"The database's URL begins with {url.drivername}; {EXPECTED}.")
    return url


def public(url: URL) -> str:
    """The URL without passwords.

    >>> public(make_url("postgresql+psycopg://clerk:secret@db.example/mugshots?password=secret"))
    'postgresql+psycopg://clerk@db.example/mugshots'
    """
    query = {key: value for key, value in url.query.items() if key not in SECRETS}
    plain = URL.create(url.drivername, url.username, None, url.host, url.port, url.database, query)
    return plain.render_as_string(hide_password=False)


def _recorded(folder: Path) -> URL | None:
    try:
        return parse((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
