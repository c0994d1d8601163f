"""The command line, at work on a gallery of synthetic people."""

import shutil
from pathlib import Path

import pytest

from forensic import cli


@pytest.fixture
def run(enrolled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs ``forensic`` on a gallery of synthetic people; gives exit status and output."""
    folder = shutil.copytree(enrolled, tmp_path / "gallery")
    monkeypatch.setenv("FORENSIC_GALLERY", str(folder))
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: object) -> tuple[int, str]:
        status = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return invoke
