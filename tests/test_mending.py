"""`gallery verify --repair`: what is broken on a gallery of synthetic people is whole again, to the byte."""

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from forensic import Gallery, cli
from forensic.datasets.synthetic import Made
from forensic.mending import mend


@pytest.fixture
def folder(enrolled: Path, tmp_path: Path) -> Path:
    return shutil.copytree(enrolled, tmp_path / "gallery")


def test_everything_that_can_be_is_mended(folder: Path, people_folder: Path, capsys) -> None:
    with Gallery(folder) as gallery:
        before = gallery.digest()
        first, second, third = gallery.photos()[:3]
        gallery.objects.path(first.sha256).unlink()
        gallery.folder.chmod(0o755)
        with gallery.engine.begin() as connection:
            connection.execute(text("UPDATE templates SET vector = x'00' WHERE photo_id = :n"), {"n": second.id})
            connection.execute(text("DELETE FROM templates WHERE photo_id = :n"), {"n": third.id})
    arguments = ["gallery", "verify", "--gallery", str(folder), "--repair"]
    assert cli.run([*arguments, "--json"]) == 4
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["kind"] for line in lines if "mended" not in line] == ["original"]
    assert sum("anew" in line["mended"]["message"] for line in lines if "mended" in line) == 4  # of two routes
    assert cli.run([*arguments, "--from", str(people_folder)]) == 0
    assert "Its original is back" in capsys.readouterr().out
    with Gallery(folder) as gallery:
        assert gallery.verify() == []
        assert gallery.digest() == before


def test_templates_of_models_that_are_gone_are_named(folder: Path, people: list[Made]) -> None:
    with Gallery(folder) as gallery:
        with gallery.engine.begin() as connection:
            connection.execute(text("UPDATE template_spaces SET route = 'of another time' WHERE route = 'direct'"))
            connection.execute(text("UPDATE templates SET vector = x'00' WHERE photo_id = 1"))
        done, left = mend(gallery)
        assert [problem.kind for problem in left] == ["template"]
        assert "of another time" in left[0].message
        assert [problem.message for problem in done if "anew" in problem.message] == [
            "Its template of route direct@patches is made anew."
        ]


def test_a_folder_for_nothing(folder: Path, tmp_path: Path, capsys) -> None:
    assert cli.run(["gallery", "verify", "--gallery", str(folder), "--from", str(tmp_path)]) == 2
    assert "give that too" in capsys.readouterr().err
