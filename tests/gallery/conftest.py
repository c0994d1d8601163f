import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from forensic.gallery import Gallery

SCRIPT = Path(__file__).with_name("making.py")


def module_of(script: Path) -> ModuleType:
    """A script as a module."""
    spec = spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def making() -> ModuleType:
    """The module of made-up records."""
    return module_of(SCRIPT)


@pytest.fixture(scope="session")
def faults() -> ModuleType:
    """The module of processes that are killed."""
    return module_of(SCRIPT.with_name("faults.py"))


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(tmp_path / "gallery", create=True) as made:
        yield made


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
