"""A PostgreSQL server of the tests' own on loopback, and a database on it for each gallery that a test makes.

It is run by an unprivileged user, since PostgreSQL refuses root, and asks for a password, which the package gets
from PGPASSWORD as a user's would.
"""

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import Connection, inspect, text

from forensic.gallery import Gallery, address, database

DEBIANS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
PORT = "FORENSIC_TEST_PORT"
ADMINISTRATOR, OWNER = "postgres", "clerk"  # the server's superuser; an ordinary user, whose databases galleries are
EMPTY, TABLES = "empty", "tables"  # databases that others are copies of: with nothing, and with a gallery's tables
# Nothing outlasts a power cut in a test, so nothing waits for the disk.
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "shared_buffers": "128MB",
    "wal_level": "minimal",
}
# ICU's order of letters is not that of code points: what hangs on the server's collation shows.
COLLATED = "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'"
PLAIN = "ENCODING 'UTF8' LOCALE 'C'"  # for a server that was built without ICU


class Server:
    """A running server.

    Args:
        data: its data directory.
        port: on 127.0.0.1.
    """

    def __init__(self, data: Path, port: int) -> None:
        self.data, self.port = data, port
        self.made: list[str] = []  # databases

    def url(self, name: str, user: str = OWNER) -> str:
        """The URL of a database, without the password."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{name}"

    def run(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Run statements as the superuser; gives the last one's rows."""
        import psycopg

        where = {"host": "127.0.0.1", "port": self.port, "user": ADMINISTRATOR, "dbname": database}
        with closing(psycopg.connect(**where, autocommit=True)) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def make(self, name: str, template: str = EMPTY) -> str:
        """Make a database unless it is there; gives its URL."""
        import psycopg

        with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            self.run(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER}")
            self.made.append(name)
        return self.url(name)

    def drop(self, names: list[str]) -> None:
        """Remove databases, whoever uses them."""
        self.run("SELECT 1", *(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in names))

    def copy(self, old: Path, new: Path) -> Path:
        """Copy a gallery that nobody has open: its folder, and its database."""
        shutil.copytree(old, new)
        (new / address.RECORD).unlink()
        address.record(new, address.parse(self.make(database_of(new), database_of(old))))
        return new


def database_of(folder: Path) -> str:
    """The name of the database that a test's gallery has."""
    return "gallery_" + hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:24]


@contextmanager
def every_gallery_on(server: Server) -> Iterator[None]:
    """Within it, a gallery that is made without a URL gets a database on the server in place of ``gallery.db``.

    Its tables are a copy of those that the migrations made once, which takes a fifth of the time.
    """
    find, migrate, head = address.find, database.migrate, database.HEAD

    def find_on_server(folder: Path, given: str | None = None, *, home: Path | None = None) -> address.Address:
        found = find(folder, given, home=home)
        if given is None and found.file and not found.file.exists():
            return find(folder, server.make(database_of(folder), TABLES))
        return found

    def migrate_unless_copied(writer: Any, then: Callable[[Connection], None], revision: str = "") -> None:
        if isinstance(writer, Connection) and head == database.HEAD and _is_copy(writer):
            with writer.begin():
                writer.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": head})
                then(writer)
        else:
            migrate(writer, then, revision)

    with (
        mock.patch.dict(os.environ, {PORT: str(server.port)}),
        mock.patch.object(address, "find", find_on_server),
        mock.patch.object(database, "migrate", migrate_unless_copied),
    ):
        yield


def as_in_the_test() -> AbstractContextManager[None]:
    """In a script that a test starts: the test's own `every_gallery_on`, if it is in one."""
    port = os.environ.get(PORT)
    return every_gallery_on(Server(Path(), int(port))) if port else nullcontext()


def _is_copy(connection: Connection) -> bool:
    """Whether there are tables that no gallery has begun in."""
    with connection.begin():
        return inspect(connection).has_table("alembic_version") and not connection.scalar(
            text("SELECT count(*) FROM alembic_version")
        )


def program(name: str) -> Path:
    """One of the server's programs; skips the test where it is missing."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, DEBIANS)]))
    if found is None:
        pytest.skip(f"PostgreSQL's {name} is not installed (Debian: apt-get install postgresql)")
    return Path(found).resolve()


@contextmanager
def running(programs: Path | None = None) -> Iterator[Server]:
    """A server from start to end, with everything it wrote; the programs are those of a folder, or the system's."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    initdb, postgres = (programs / name if programs else program(name) for name in ("initdb", "postgres"))
    folder = Path(tempfile.mkdtemp(prefix="forensic-postgresql-"))
    password = folder / "password"
    log = (folder / "log").open("wb")
    become = partial(subprocess.Popen, cwd=folder, stdout=log, stderr=log, **_unprivileged(folder))
    try:
        password.write_text(secrets.token_hex())
        options = [
            f"--username={ADMINISTRATOR}",
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            "--encoding=UTF8",
            "--locale=C",
        ]
        become([initdb, "-D", folder / "data", *options, "--no-sync"]).wait(60)
        with mock.patch.dict(os.environ, PGPASSWORD=password.read_text(), PGCONNECT_TIMEOUT="20"):
            port = _free_port()
            settings = FAST | {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
            arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            process = become([postgres, "-D", folder / "data", *arguments])
            try:
                server = Server(folder / "data", port)
                _wait(server, process, folder / "log")
                server.run(
                    f"CREATE ROLE {OWNER} LOGIN PASSWORD '{password.read_text()}'",
                    f"CREATE DATABASE {EMPTY} TEMPLATE template0 {PLAIN if programs else COLLATED} OWNER {OWNER}",
                )
                Gallery(folder / "tables", create=True, url=server.make(TABLES)).close()
                server.run("DELETE FROM alembic_version", "DELETE FROM audit", "DELETE FROM identity", database=TABLES)
                yield server
            finally:
                process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
                process.wait(20)
    finally:
        log.close()
        shutil.rmtree(folder)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Arguments that start a program as a user other than root, to whom the folder is given."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def _wait(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    import time

    import psycopg

    end = time.monotonic() + 60
    while True:
        try:
            server.run("SELECT 1")
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"The tests' PostgreSQL does not start: {log.read_text()}")
            time.sleep(0.05)
