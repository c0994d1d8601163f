"""A server in a thread, on a port of this machine, and the same commands on a folder that began as its gallery did."""

import datetime
import io
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from staff import PASSWORD, employ

from forensic import Gallery, cli
from forensic.client import signing_in
from forensic.client.connection import Connection
from forensic.gallery.rights import Role
from forensic.web.app import assemble, create
from forensic.web.settings import Settings

ROUTE = "direct@patches"
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00:00)?")


class Live(NamedTuple):
    """A server at work.

    Attributes:
        address: Where it listens.
        gallery: Its gallery's folder.
        tokens: User -> token.
    """

    address: str
    gallery: Path
    tokens: dict[str, str]


class Ran(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def staffed(enrolled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery in which each role has a user of its name. Tests do not change it."""
    folder = shutil.copytree(enrolled, tmp_path_factory.mktemp("staffed") / "gallery")
    employ(folder)
    return folder


@pytest.fixture(scope="session")
def live(staffed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server with a user of each role, each with a token."""
    folder = shutil.copytree(staffed, tmp_path_factory.mktemp("served") / "gallery")
    app = create(assemble(Settings(gallery=folder, routes=(ROUTE,), requests_a_minute=100_000)))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # who comes before the server is up waits for it
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        with Connection(address) as connection:
            tokens = {role.value: signing_in.sign_in(connection, role, PASSWORD, 1).token for role in Role}
        yield Live(address, folder, tokens)
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def folder(staffed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is as the server's gallery was when it began."""
    return shutil.copytree(staffed, tmp_path_factory.mktemp("alone") / "gallery")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody's authority signed, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs ``forensic``, with variables of the environment."""
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: object, typed: str = "", **variables: str) -> Ran:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO(typed))
            for name, value in variables.items():
                patch.setenv(name, value)
            status = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return invoke


@pytest.fixture
def labels(live: Live) -> list[str]:
    """Who is enrolled by now, on the folder as at the server."""
    with Gallery(live.gallery) as gallery:
        gallery.sign_in("analyst", PASSWORD)
        return [person.label for person in gallery.people()]


@pytest.fixture
def at_server(run: Callable[..., Ran], live: Live) -> Callable[..., Ran]:
    """Runs a command at the server, as a user."""

    def invoke(user: str, *arguments: object, typed: str = "") -> Ran:
        return run(*arguments, "--server", live.address, typed=typed, FORENSIC_TOKEN=live.tokens[user])

    return invoke


@pytest.fixture
def both(run: Callable[..., Ran], at_server: Callable[..., Ran], folder: Path, live: Live) -> Callable[..., Ran]:
    """Runs a command on the folder and at the server; both have to say the same and end alike."""

    def invoke(user: str, *arguments: object, typed: str = "") -> Ran:
        alone = run(*arguments, "--gallery", folder, "--as", user, typed=typed, FORENSIC_PASSWORD=PASSWORD)
        served = at_server(user, *arguments, typed=typed)
        assert _timeless(served, live.gallery) == _timeless(alone, folder)
        return served

    return invoke


def _timeless(ran: Ran, gallery: Path) -> Ran:
    out, err = (MOMENT.sub("(moment)", text.replace(str(gallery), "(gallery)")) for text in (ran.out, ran.err))
    return Ran(ran.status, out, err)
