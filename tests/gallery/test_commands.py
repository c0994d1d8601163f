import json
import sys

import pytest
from click.testing import CliRunner

from forensic.commands.gallery import gallery as group
from forensic.commands.reports import reports as reports_group
from forensic.errors import GalleryError, UsageError
from forensic.gallery import Gallery, reports
from forensic.text import printable


@pytest.fixture
def run(tmp_path, making, monkeypatch):
    """Run a command on a gallery of six photos of three people."""
    monkeypatch.setenv("FORENSIC_GALLERY", str(tmp_path / "gallery"))
    monkeypatch.setenv("COLUMNS", "200")
    with Gallery(tmp_path / "gallery", create=True) as made:
        made.enroll([making.record(number) for number in range(6)])

    def invoke(*arguments, group=group, **options):
        return CliRunner().invoke(group, arguments, **options)

    return invoke


def opened(tmp_path):
    return Gallery(tmp_path / "gallery")


def test_list(run):
    output = run("list").output
    assert output.endswith("3 shown of 3 people with 6 photos.\n")
    assert all(text in output for text in ("P0000", "P0001", "P0002", "Name 2"))
    assert "P0001" not in run("list", "--where", "sex=F").output
    assert "P0001" not in run("list", "--limit", "1").output
    lines = [
        json.loads(line) for line in run("list", "--json", "--where", "sex=F", "--offset", "1").output.splitlines()
    ]
    assert lines == [{"person": "P0002", "photo_count": 2, "metadata": {"name": "Name 2", "sex": "F"}}]


def test_a_long_list_is_shown_in_parts(run, monkeypatch):
    monkeypatch.setattr("forensic.commands.gallery.ROWS", 2)
    parts = [run("list", *more).output for more in ([], ["--offset", "2"])]
    assert [[label for label in ("P0000", "P0001", "P0002") if label in part] for part in parts] == [
        ["P0000", "P0001"],
        ["P0002"],
    ]
    assert "If there are more, --offset 2 shows them" in parts[0]
    assert "If there are more" not in parts[1]
    assert len(run("list", "--json").output.splitlines()) == 3


def test_list_of_another_gallery(run, tmp_path):
    Gallery(tmp_path / "empty", create=True).close()
    assert "0 people with 0 photos" in run("list", "--gallery", str(tmp_path / "empty")).output
    result = run("list", "--gallery", str(tmp_path / "none"))
    assert isinstance(result.exception, GalleryError)


def test_the_default_is_in_the_users_data_directory(run, monkeypatch, tmp_path):
    monkeypatch.delenv("FORENSIC_GALLERY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    result = run("list")
    assert isinstance(result.exception, GalleryError)
    assert "forensic" in str(result.exception)


def test_show(run, making):
    record = json.loads(run("show", "P0001", "--json").output)
    assert record["metadata"] == {"name": "Name 1", "sex": "M"}
    hashes = [making.record(number).sha256 for number in (2, 3)]
    assert [photo["sha256"] for photo in record["photos"]] == sorted(hashes)
    assert record["photos"][0]["size"] == [200, 250]
    assert all(sha256 in run("show", "P0001").output for sha256 in hashes)
    assert isinstance(run("show", "nobody").exception, GalleryError)


def test_metadata_cannot_steer_the_terminal(run, tmp_path):
    with opened(tmp_path) as made:
        made.update("P0000", {"name": "\x1b[2J[bold]x", "\x1b]0;key": "\x9b"})
    for arguments in (["list"], ["list", "--json"], ["show", "P0000"], ["show", "P0000", "--json"]):
        output = run(*arguments).output
        assert "\x1b" not in output
        assert "\x9b" not in output
        assert "[bold]x" in output
    assert printable("ünï 漢") == "ünï 漢"


def test_update(run, tmp_path):
    assert run("update", "P0000", "--set", "birth_year=1980", "--set", "name=", "--set", "a=b=c").exit_code == 0
    assert run("update", "P0000", "--person", "Q").exit_code == 0
    with opened(tmp_path) as made:
        person = made.person("Q")
        assert (person.name, person.birth_year, person.extra) == (None, 1980, {"a": "b=c"})
        photo = made.photos("Q")[0].id
    assert run("update", "--photo", str(photo), "--set", "source=booking").exit_code == 0
    with opened(tmp_path) as made:
        assert made.photo(photo).source == "booking"


@pytest.mark.parametrize(
    "arguments",
    [
        ["update", "P0000"],
        ["update", "--set", "a=b"],
        ["update", "P0000", "--photo", "1", "--set", "a=b"],
        ["update", "--photo", "1", "--person", "Q"],
        ["update", "P0000", "--set", "birth_year=x"],
    ],
)
def test_wrong_use(run, arguments):
    assert isinstance(run(*arguments).exception, UsageError)


@pytest.mark.parametrize("text", ["novalue", "=x", " =x"])
def test_pairs(run, text):
    assert run("update", "P0000", "--set", text).exit_code == 2
    assert run("list", "--where", "a=b", "--where", "a=c").exit_code == 2


def test_export(run, tmp_path):
    result = run("export", "--out", str(tmp_path / "out"))
    assert "gallery.csv (3 people, 6 photos)" in result.output
    assert len((tmp_path / "out" / "gallery.csv").read_text().splitlines()) == 7
    assert len(list((tmp_path / "out" / "gallery").iterdir())) == 6


def test_verify(run, tmp_path, making):
    sound = run("verify")
    assert (sound.exit_code, sound.output) == (0, "Sound: 3 people, 6 photos.\n")
    assert run("verify", "--json").output == ""
    with opened(tmp_path) as made:
        made.objects.path(making.record(0).sha256).unlink()
    broken = run("verify", "--json")
    assert broken.exit_code == 4
    assert json.loads(broken.output)["kind"] == "original"
    assert "is missing" in run("verify").output


def test_reports(run, tmp_path):
    with opened(tmp_path) as made:
        number = reports.save(made, "CUFS \x1b[31m", {"rank-1": 0.976})
    assert "CUFS" in run("list", group=reports_group).output
    assert "\x1b" not in run("list", group=reports_group).output
    assert json.loads(run("list", "--json", group=reports_group).output)["id"] == number
    assert json.loads(run("show", str(number), "--json", group=reports_group).output)["data"] == {"rank-1": 0.976}
    assert '"rank-1": 0.976' in run("show", str(number), group=reports_group).output
    assert isinstance(run("show", "99", group=reports_group).exception, GalleryError)


def test_gallery_commands_start_without_heavy_modules(run, tmp_path):
    import subprocess

    code = (
        "import sys; from forensic.commands.gallery import gallery; gallery(['list'], standalone_mode=False); "
        "sys.exit(bool({'torch', 'numpy', 'faiss', 'sklearn', 'matplotlib', 'alembic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0
