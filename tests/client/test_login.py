"""Signing in to a server and out, and which of folder and server a command means."""

import json
from pathlib import Path

import httpx2
import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoRing
from keyring.errors import PasswordDeleteError

from forensic.gallery.rights import RIGHTS, Right, Role

pytestmark = pytest.mark.server

PASSWORD = "a long password"


class Ring(KeyringBackend):
    """A key ring in memory."""

    priority = 1

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError("there is none")


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    """The system's key ring, in memory and empty."""
    made = Ring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: made)
    monkeypatch.delenv("FORENSIC_TOKEN", raising=False)
    return made


def test_signing_in_and_out(run, live, ring: Ring) -> None:
    at = ("--server", live.address)
    assert "forensic login" in run("case", "list", *at).err
    signed_in = run("login", *at, "--as", "examiner", FORENSIC_PASSWORD=PASSWORD)
    assert (signed_in.status, signed_in.out, "Signed in" in signed_in.err) == (0, "", True)
    ((service, name),) = ring.kept
    assert (service, name) == ("forensic server", live.address)
    token = json.loads(ring.kept[service, name])["token"]
    me = httpx2.get(f"{live.address}/api/v1/me", headers={"Authorization": f"Bearer {token}"}).json()
    assert {Right[right.upper()] for right in me["rights"]} == {
        right for right in Right if Role.EXAMINER in RIGHTS[right]
    }
    assert run("case", "list", *at).status == 0
    assert run("case", "list", *at, "--as", "examiner").status == 0
    assert "not that of auditor" in run("case", "list", *at, "--as", "auditor").err
    assert run("logout", *at).status == 0
    assert not ring.kept
    assert run("case", "list", *at, FORENSIC_TOKEN=token).status == 4  # it was revoked at the server too
    assert "Nobody is signed in" in run("logout", *at).err


def test_without_a_key_ring_the_token_is_printed(run, live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "get_keyring", NoRing)
    signed_in = run("login", "--server", live.address, "--as", "auditor", FORENSIC_PASSWORD=PASSWORD)
    name, equals, token = signed_in.out.strip().removeprefix("export ").partition("=")
    assert (signed_in.status, name, equals, "key ring" in signed_in.err) == (0, "FORENSIC_TOKEN", "=", True)
    assert run("case", "list", "--server", live.address, FORENSIC_TOKEN=token).status == 0
    assert run("case", "list", "--server", live.address, "--as", "auditor", FORENSIC_TOKEN=token).status == 0
    assert (
        "auditor's, not that of examiner"
        in run("case", "list", "--server", live.address, "--as", "examiner", FORENSIC_TOKEN=token).err
    )


def test_a_wrong_password_is_told_as_on_a_folder(run, live, ring: Ring) -> None:
    refused = run("login", "--server", live.address, "--as", "nobody here", FORENSIC_PASSWORD="a wrong password")
    assert (refused.status, "Check both" in refused.err, ring.kept) == (4, True, {})


def test_no_password_goes_to_what_is_no_forensic_server(run, ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    from forensic.client import connection

    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        return httpx2.Response(404, text="not here")

    real = connection.httpx2.Client
    monkeypatch.setattr(
        connection.httpx2, "Client", lambda **given: real(**given | {"transport": httpx2.MockTransport(answer)})
    )
    refused = run("login", "--server", "https://faces.example", "--as", "eva", FORENSIC_PASSWORD=PASSWORD)
    assert (refused.status, asked) == (4, ["/api/v1/health"])


def test_folder_or_server_is_never_in_doubt(run, live, folder: Path, ring: Ring) -> None:
    token, name = (
        {"FORENSIC_TOKEN": live.tokens["auditor"]},
        {"FORENSIC_USER": "auditor", "FORENSIC_PASSWORD": PASSWORD},
    )
    both = ("--server", live.address, "--gallery", folder)
    assert "keep one" in run("case", "list", *both, **token).err
    variables = {"FORENSIC_SERVER": live.address, "FORENSIC_GALLERY": str(folder)}
    assert "keep one" in run("case", "list", **variables, **token).err
    assert run("case", "list", FORENSIC_SERVER=live.address, **token).status == 0
    assert run("case", "list", "--server", live.address, FORENSIC_GALLERY=str(folder), **token).status == 0
    assert run("case", "list", "--gallery", folder, FORENSIC_SERVER=live.address, **name).status == 0


def test_what_is_for_a_folder_says_so(run, live, folder: Path, people) -> None:
    refused = run("gallery", "encrypt", "--server", live.address)
    assert (refused.status, "where the gallery's folder lies" in refused.err) == (2, True)
    refused = run("gallery", "encrypt", FORENSIC_SERVER=live.address)  # and not, say, the user's own gallery
    assert (refused.status, "Give the folder with --gallery" in refused.err) == (2, True)
    at = ("--server", live.address)
    token = {"FORENSIC_TOKEN": live.tokens["investigator"]}
    refused = run("match", people[0].sketch, "--case", "C-1", "--device", "cuda", *at, **token)
    assert (refused.status, "--device" in refused.err) == (2, True)
    assert "--case" in run("match", people[0].sketch, *at, **token).err
    assert run("match", people[0].sketch, "--case", "C-none", *at, **token).status == 4
    assert "--kind is for --server" in run("match", people[0].sketch, "--kind", "viewed", "--gallery", folder).err
