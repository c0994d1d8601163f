import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import s3
from scripts import module_of

from forensic.gallery import Gallery, originals

SCRIPT = Path(__file__).with_name("making.py")
NUMBER = itertools.count()
"""Of buckets."""
BACKEND = "FORENSIC_TEST_BACKEND"
"""Set to postgresql, it gives each gallery that these tests make a database on a PostgreSQL server."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if on_postgresql() and (mark := item.get_closest_marker("sqlite")):
        pytest.skip(*mark.args)


def on_postgresql() -> bool:
    backend = os.environ.get(BACKEND, "sqlite")
    if backend not in ("sqlite", "postgresql"):
        pytest.exit(f"{BACKEND} is {backend!r}; expected sqlite or postgresql.")
    return backend == "postgresql"


@pytest.fixture(scope="session")
def making() -> ModuleType:
    """The module of made-up records."""
    return module_of(SCRIPT)


@pytest.fixture(scope="session")
def faults() -> ModuleType:
    """The module of processes that are killed."""
    return module_of(SCRIPT.with_name("faults.py"))


@pytest.fixture(scope="session")
def server_module() -> ModuleType:
    return module_of(SCRIPT.with_name("server.py"))


@pytest.fixture(scope="session")
def server(server_module: ModuleType) -> Iterator[Any]:
    """A PostgreSQL server."""
    with server_module.running() as started:
        yield started


@pytest.fixture(scope="session", autouse=True)
def _backend(request: pytest.FixtureRequest) -> Iterator[None]:
    if not on_postgresql():
        yield
        return
    server = request.getfixturevalue("server")
    with request.getfixturevalue("server_module").every_gallery_on(server):
        yield


@pytest.fixture(autouse=True)
def _drop_databases(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove the databases that a test made; each takes 7 MB."""
    if not on_postgresql():
        yield
        return
    server = request.getfixturevalue("server")
    before = len(server.made)
    yield
    server.drop(server.made[before:])


@pytest.fixture
def sqlite_alone() -> None:
    """For fixtures: the tests that use them are about SQLite's files."""
    if on_postgresql():
        pytest.skip("SQLite's files")


@pytest.fixture
def pace() -> float:
    """How much longer an act may take than on SQLite."""
    return 3 if on_postgresql() else 1


@pytest.fixture
def copy(request: pytest.FixtureRequest) -> Callable[[Path, Path], Path]:
    """Copies a gallery that is not open, with its database."""
    copy: Callable[[Path, Path], Path] = shutil.copytree
    return request.getfixturevalue("server").copy if on_postgresql() else copy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With FORENSIC_TEST_ENCRYPTED=1, leave out what reads the files of plain galleries."""
    if os.environ.get("FORENSIC_TEST_ENCRYPTED"):
        for item in items:
            if item.get_closest_marker("plain"):
                item.add_marker(pytest.mark.skip(reason="reads a plain gallery's files"))


@pytest.fixture(scope="session", autouse=True)
def keys_of_the_tests(making: ModuleType) -> Iterator[None]:
    """No test uses a key or the key ring of whoever runs it; with FORENSIC_TEST_ENCRYPTED=1 all galleries have one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        for name in ("FORENSIC_KEY", "FORENSIC_KEY_FILE"):
            patch.delenv(name, raising=False)
        if making.ENCRYPTED:
            making.encrypt_all(patch)
        yield


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(tmp_path / "gallery", create=True) as made:
        yield made


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A backup's folder and key file."""
    (tmp_path / "apart").mkdir()
    return tmp_path / "backup", tmp_path / "apart" / "keys"


@pytest.fixture
def enrolled(gallery: Gallery, making: ModuleType) -> Gallery:
    """P0000 to P0005 with two photos each."""
    gallery.enroll([making.record(number) for number in range(12)])
    return gallery


@pytest.fixture
def nursery() -> Iterator[Callable[[Path], Callable[[str], str]]]:
    """Starts a process that forks enrolling children; gives a function that sends a command and returns the answer."""
    started: list[subprocess.Popen[str]] = []

    def start(folder: Path) -> Callable[[str], str]:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout
        assert stdout.readline() == "up\n"

        def ask(command: str) -> str:
            stdin.write(command + "\n")
            stdin.flush()
            return stdout.readline().strip()

        return ask

    yield start
    for process in started:
        process.communicate(timeout=20)
        assert process.returncode == 0


@pytest.fixture
def sealed(tmp_path: Path, making: ModuleType) -> Path:
    """The folder of an encrypted gallery of two photos; it is closed."""
    from user_keys import KEY

    from forensic.gallery.cipher import encrypting

    encrypting.create(tmp_path / "sealed", KEY)
    with Gallery(tmp_path / "sealed", key=KEY) as gallery:
        gallery.enroll([making.record(number) for number in range(2)])
    return gallery.folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[s3.Server]:
    """An S3 server."""
    with s3.running() as server:
        yield server


@pytest.fixture
def bucket(s3_server: s3.Server) -> s3.Bucket:
    return s3_server.bucket(f"mugshots-{next(NUMBER)}")


@pytest.fixture
def far(enrolled: Gallery, bucket: s3.Bucket) -> Gallery:
    """P0000 to P0005, their originals in a bucket."""
    originals.move(enrolled, f"{bucket.url}/originals")
    return enrolled
