"""A server on a gallery of synthetic people, with one user of each role; no network is used."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from staff import PASSWORD, employ
from starlette.testclient import TestClient
from web.programs import CASE

from forensic import Gallery, routes
from forensic.duplicates import Duplicates, Pair
from forensic.gallery import users
from forensic.gallery.models import Photo
from forensic.gallery.rights import Operator, Role
from forensic.recognition import duplicates
from forensic.web.api.models import SCOPES
from forensic.web.app import assemble, create
from forensic.web.server import Server
from forensic.web.settings import Settings

HOST = "http://localhost"


@pytest.fixture(scope="session")
def staffed(enrolled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the enrolled gallery in which each role has a user of its name, and examiners a second one."""
    folder = shutil.copytree(enrolled, tmp_path_factory.mktemp("staffed") / "gallery")
    employ(folder)
    return folder


@pytest.fixture
def gallery_folder(staffed: Path, tmp_path: Path) -> Path:
    """A gallery with users, for one test."""
    return shutil.copytree(staffed, tmp_path / "gallery")


@pytest.fixture
def server(gallery_folder: Path) -> Iterator[Server]:
    """An assembled server; ``app`` runs it."""
    with closing(assemble(Settings(gallery=gallery_folder, routes=("direct@patches",), decoding_seconds=120))) as made:
        yield made


@pytest.fixture
def app(server: Server) -> Iterator[FastAPI]:
    """The running application."""
    made = create(server)
    with TestClient(made, base_url=HOST):
        yield made


@pytest.fixture
def gallery(app: FastAPI) -> Gallery:
    """The running server's gallery, with an analyst at work in it."""
    served: Server = app.state.server
    return served.gallery.acting_as(Operator("analyst", Role.ANALYST))


@pytest.fixture
def suspected(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Photo, Photo]]:
    """Two couples of photos that a search for duplicates finds; nobody is compared."""
    photos = gallery.photos()[:4]
    couples = [(photos[0], photos[1]), (photos[2], photos[3])]
    pairs = tuple(Pair((a.person.label, b.person.label), (a.id, b.id), 0.7, 2.7, True) for a, b in couples)
    fitted = duplicates.calibration(routes.load("direct").space)
    assert fitted is not None
    monkeypatch.setattr("forensic.duplicates.find", lambda *asked: Duplicates("direct", 2.0, 0.5, pairs, 2, 66, fitted))
    return couples


@pytest.fixture
def browser(app: FastAPI) -> Callable[[str], TestClient]:
    """Makes a browser in which a user is signed in; ``""`` for nobody. It sends the CSRF token by itself."""

    def sign_in(user: str) -> TestClient:
        client = TestClient(app, base_url=HOST, follow_redirects=False)
        if user:
            assert client.post("/sign-in", data={"name": user, "password": PASSWORD}).status_code == 303
            visit = app.state.server
            from forensic.web import sessions

            found = sessions.find(visit.state, client.cookies["forensic"], visit.settings)
            assert found is not None
            client.headers["X-CSRF-Token"] = found.csrf
        return client

    return sign_in


@pytest.fixture
def program(app: FastAPI) -> Callable[..., TestClient]:
    """Makes a program that has a user's token; with scopes, one that may do no more than these."""

    def make(user: str, *scopes: str) -> TestClient:
        client = TestClient(app, base_url=HOST, follow_redirects=False)
        asked = {"user": user, "password": PASSWORD, "note": "a test", "scopes": list(scopes or SCOPES)}
        answer = client.post("/api/v1/tokens", json=asked)
        assert answer.status_code == 201
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return client

    return make


@pytest.fixture
def examiner(program: Callable[..., TestClient]) -> TestClient:
    """A program with an examiner's token of all scopes, and one case, number 1."""
    client = program("examiner")
    assert client.post("/api/v1/cases", json=CASE).json() == {"id": 1}
    return client


@pytest.fixture
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed by little work."""
    monkeypatch.setattr(users, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    users._nobody.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, quick_passwords: None) -> Path:
    """An empty gallery with an administrator, ``boss``, and an examiner, ``anna``."""
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        users.add(gallery, "boss", Role.ADMINISTRATOR, PASSWORD)
        users.add(gallery.acting_as(Operator("boss", Role.ADMINISTRATOR)), "anna", Role.EXAMINER, PASSWORD)
    return tmp_path / "gallery"


@pytest.fixture
def serving() -> Iterator[Callable[..., FastAPI]]:
    """Starts servers."""
    running = []

    def start(folder: Path, **settings: Any) -> FastAPI:
        app = create(assemble(Settings(gallery=folder, **settings)))
        client = TestClient(app)
        client.__enter__()
        running.append(client)
        return app

    yield start
    for client in running:
        client.__exit__(None, None, None)
