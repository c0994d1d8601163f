import json
import shutil
from pathlib import Path

import pytest

from forensic import cli
from forensic.gallery import Gallery


@pytest.fixture
def run(enrolled, places, monkeypatch, capsys):
    """Runs ``forensic backup`` on a gallery of six people; gives exit status and what was printed."""
    monkeypatch.setenv("FORENSIC_GALLERY", str(enrolled.folder))
    monkeypatch.setenv("COLUMNS", "400")

    def invoke(*arguments: object) -> tuple[int, str]:
        status = cli.run(["backup", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return invoke


def test_from_the_first_backup_to_a_restored_gallery(run, enrolled, places, tmp_path):
    folder, keys = places
    status, output = run("make", folder, "--keys", keys)
    assert (status, "Snapshot 1: 6 people, 12 photos. Written and read back: " in output) == (0, True)
    assert json.loads(run("make", folder, "--json")[1])["files"] == 2
    enrolled.expunge("P0000")
    lines = [json.loads(line) for line in run("list", folder, "--keys", keys, "--json")[1].splitlines()]
    assert [(line["number"], line["people"], line["fault"]) for line in lines] == [(1, 6, ""), (2, 6, "")]
    status, output = run("verify", folder, "--keys", keys)
    assert (status, "3 people and photos in it are expunged" in output) == (0, True)
    status, output = run("restore", folder, "--keys", keys, "--gallery", tmp_path / "new")
    assert (status, "5 people, 10 photos. Left out: 1 person, 2 photos" in output) == (0, True)
    with Gallery(tmp_path / "new") as new:
        assert new.verify() == []
    given = ("--keys", keys, "--gallery", tmp_path / "newer", "--number", 1, "--json")
    restored = json.loads(run("restore", folder, *given)[1].splitlines()[0])
    assert (restored["number"], restored["photos_left_out"], restored["problems"]) == (1, 2, [])
    status, output = run("prune", folder, "--keep", 1)
    assert (status, "Removed: 1 snapshot" in output) == (0, True)
    shown = run("list", folder, "--keys", keys)[1].splitlines()
    assert [line.split()[1] for line in shown if line.startswith("│")] == ["2"]


def test_what_is_wrong_ends_with_status_4(run, enrolled, places, tmp_path):
    folder, keys = places
    run("make", folder, "--keys", keys)
    status, output = run("status")
    assert (status, str(folder) in output, str(keys) in output) == (0, True, True)
    away = Path(shutil.move(keys, tmp_path / "away"))
    assert cli.run(["expunge", "person", "P0000", "--yes"]) == 4
    assert run("shred")[0] == 4
    assert run("status")[0] == 4
    status, output = run("status", "--json")
    shown = json.loads(output)
    assert (status, shown["owes"], "is missing" in shown["problems"][0]) == (4, True, True)
    status, output = run("make", folder)
    assert (status, "Error: The key file" in output) == (4, True)
    shutil.move(away, keys)
    assert run("shred") == (0, "The key files hold no key that the gallery has no more.\n")
    assert run("status")[0] == 0
    shutil.rmtree(folder / "blobs")
    status, output = run("verify", folder, "--keys", keys)
    assert (status, "is missing. Delete it" in output) == (4, True)
    status, output = run("restore", folder, "--keys", keys, "--gallery", tmp_path / "new", "--incomplete")
    assert (status, "is needed whole" in output) == (4, True)
    assert run("forget", folder)[0] == 4
    shutil.move(keys.parent, tmp_path / "unmounted")
    assert run("forget", folder)[0] == 4
    shutil.move(tmp_path / "unmounted", keys.parent)
    keys.unlink()
    assert run("forget", folder)[0] == 0


def test_usage(run, places):
    assert run("make", places[0])[0] == 2
    assert run("restore", places[0], "--keys", places[1])[0] == 2
    assert run("prune", places[0], "--keep", 0)[0] == 2


def test_places_that_no_file_can_have_end_in_words(run, enrolled, places, tmp_path):
    run("make", places[0], "--keys", places[1])
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    for arguments in (
        ("restore", places[0], "--keys", places[1], "--gallery", tmp_path / ("x" * 300)),
        ("restore", places[0], "--keys", places[1], "--gallery", tmp_path / ("x" * 250)),
        ("make", loop, "--keys", tmp_path / "apart" / "k"),
        ("make", tmp_path / "other", "--keys", loop / "k"),
        ("make", tmp_path / ("x" * 300), "--keys", tmp_path / "apart" / "k"),
        ("make", tmp_path / "other", "--keys", tmp_path / ("x" * 300)),
        ("verify", places[0], "--keys", tmp_path / ("x" * 300)),
        ("forget", tmp_path / ("x" * 300)),
    ):
        status, output = run(*arguments)
        assert (status in (2, 4), "Error: " in output) == (True, True), arguments
