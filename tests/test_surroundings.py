"""Where the program runs: terminals without its letters, accounts without a home."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forensic import cli
from forensic.datasets.synthetic import Made


def test_a_terminal_without_the_letters_gets_them_spelled_out(
    enrolled: Path, people: list[Made], tmp_path: Path
) -> None:
    """The list is on record by then: it must come out."""
    folder, sketch = shutil.copytree(enrolled, tmp_path / "gallery"), str(people[3].sketch)
    command = [sys.executable, "-m", "forensic", "match", sketch, "--gallery", str(folder), "--route", "direct"]
    latin = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    shown = subprocess.run(command, capture_output=True, env=latin, timeout=120)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert people[3].label.encode() in shown.stdout
    told = subprocess.run([*command, "--json", "-"], capture_output=True, env=latin, timeout=120)
    assert json.loads(told.stdout)["candidates"][0]["rank"] == 1
    assert told.stdout.isascii()


def test_an_account_without_a_home_is_told_what_to_name(
    enrolled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def homeless(*names: str) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("platformdirs.user_data_path", homeless)
    for name in ("FORENSIC_GALLERY", "FORENSIC_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    assert cli.run(["gallery", "list"]) == 2
    assert "name one by --gallery" in capsys.readouterr().err
    folder = shutil.copytree(enrolled, tmp_path / "gallery")
    assert cli.run(["gallery", "list", "--gallery", str(folder)]) == 0
    assert cli.run(["models", "list"]) == 0
