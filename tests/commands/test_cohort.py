"""``forensic cohort`` as a user meets it, on people drawn by the program."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forensic import cli, images, matching, own_cohort, parallel
from forensic.commands import printing
from forensic.datasets.synthetic import Made
from forensic.errors import FaceError
from forensic.faces import Aligned, Face, Finder
from forensic.gallery import Gallery
from forensic.gallery.log import trail

Captured = pytest.CaptureFixture[str]
ROUTE = ("--route", "direct")


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty gallery, which commands take without being told."""
    monkeypatch.setenv("FORENSIC_GALLERY", str(tmp_path / "gallery"))
    Gallery(tmp_path / "gallery", create=True).close()
    return tmp_path / "gallery"


def forensic(*arguments: object) -> int:
    return cli.run(["cohort", *map(str, arguments)])


def test_sketches_are_described_as_probes_are(gallery: Path, people: list[Made], capsys: Captured) -> None:
    files = [made.sketch for made in people[:3]]
    assert forensic("add", *files, *ROUTE) == 0
    shown = capsys.readouterr()
    assert "3 added, 0 already there, 0 failed." in shown.out
    assert "holds 3 sketches; from about 50 on" in shown.out
    route = matching.load("direct").routes[0]
    read = [images.read(file) for file in files]
    with parallel.one_thread():
        templates = {one.sha256: route.describe([Finder().one(one.image)], "probe")[0] for one in read}
    with Gallery(gallery) as opened:
        found = opened.cohort([matching.key(route)])[matching.key(route)]
        assert opened.size() == (0, 0)
        assert opened.verify() == []
    assert np.array_equal(found, np.stack([templates[sha256] for sha256 in sorted(templates)]))
    kept = b"".join(path.read_bytes() for path in gallery.rglob("*") if path.is_file())
    assert not any(one.data[-200:] in kept or one.data[200:264] in kept for one in read), "a picture was kept"


def test_one_bad_file_does_not_stop_the_others(
    gallery: Path, people: list[Made], tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "sketches"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.txt").write_text("no picture")
    (folder / "b.jpg").write_bytes(people[0].sketch.read_bytes())
    (folder / "deeper" / "c\x1b.jpg").write_bytes(b"")
    (folder / "deeper" / "d.jpg").write_bytes(people[1].sketch.read_bytes())
    (folder / "deeper" / "same.jpg").write_bytes(people[1].sketch.read_bytes())
    assert forensic("add", folder, tmp_path / "sketches" / "b.jpg", "--json", *ROUTE) == 3
    shown = capsys.readouterr()
    summary = json.loads(shown.out)
    assert (summary["added"], summary["already"], summary["sketches"]) == (2, 2, {"direct": 2})
    assert [Path(failure["file"]).name for failure in summary["failures"]] == ["a.txt", "c\\x1b.jpg"]
    assert "not added:" in shown.err
    assert "\x1b" not in shown.err + shown.out


def test_a_run_that_adds_nothing_leaves_no_entry_in_the_log(gallery: Path, people: list[Made], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no picture")
    assert forensic("add", people[0].sketch, *ROUTE) == 0
    assert forensic("add", people[0].sketch, tmp_path / "a.txt", *ROUTE) == 3
    with Gallery(gallery) as opened:
        assert [entry["details"]["sketches"] for entry in trail.entries(opened, action="cohort")] == [1]


def test_a_photo_of_the_gallery_is_no_sketch(gallery: Path, people: list[Made], capsys: Captured) -> None:
    assert cli.run(["enroll", str(people[0].photos[0]), *ROUTE]) == 0
    assert forensic("add", people[0].photos[0], people[0].sketch, *ROUTE) == 3
    shown = capsys.readouterr()
    assert "enrolled as a photo" in shown.err
    assert "1 added, 0 already there, 1 failed." in shown.out


def test_an_interrupted_run_goes_on_where_it_was(
    gallery: Path, people: list[Made], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(own_cohort, "BATCH", 2)
    files = [made.sketch for made in people[:7]]
    read, find, described = images.read_bytes, Finder.one, []

    def interrupted(path: Path) -> bytes:
        if path in files[5:]:
            raise KeyboardInterrupt
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(images, "read_bytes", interrupted)
        assert forensic("add", *files, *ROUTE) == cli.INTERRUPTED
    assert "run the same command again" in capsys.readouterr().err
    with Gallery(gallery) as opened:
        assert list(opened.cohort_size().values()) == [4], "two batches, and the fifth was under way"
        assert opened.verify() == []

    def one(self: Finder, image: Image.Image) -> Aligned:
        described.append(image)
        return find(self, image)

    monkeypatch.setattr(Finder, "one", one)
    assert forensic("add", *files, *ROUTE) == 0
    assert "3 added, 4 already there, 0 failed." in capsys.readouterr().out
    assert len(described) == 3


def test_every_route_of_a_matcher_gets_its_cohort(gallery: Path, people: list[Made], capsys: Captured) -> None:
    name = "direct+sketch-to-photo:pix2pix"
    sketch = people[0].sketch
    assert forensic("add", sketch, *ROUTE) == 0
    assert forensic("add", sketch, people[1].sketch, "--route", name) == 0
    routes = matching.load(name).routes
    with Gallery(gallery) as opened:
        assert opened.cohort_size() == {matching.key(route): 2 for route in routes}
        assert [row.route for row in opened.cohorts()] == [route.name for route in routes]


def test_show_and_clear(gallery: Path, people: list[Made], capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert forensic("show") == 0
    assert "no cohort of its own" in capsys.readouterr().out
    assert forensic("clear", "--yes") == 0
    assert "no cohort of its own" in capsys.readouterr().out
    assert forensic("add", people[0].sketch, *ROUTE) == 0
    vector = np.eye(4, dtype=np.float32)[0]
    with Gallery(gallery) as opened:
        opened.add_cohort("of earlier models", {"a" * 64: vector}, route="direct")
        opened.add_cohort("of others", {"a" * 64: vector}, route="direct@no-such-embedder")
    capsys.readouterr()
    assert forensic("show", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    states = {line["key"]: (line["route"], line["sketches"], line["models"]) for line in lines}
    assert states == {
        matching.key(matching.load("direct").routes[0]): ("direct", 1, "present"),
        "of earlier models": ("direct", 1, "changed"),
        "of others": ("direct@no-such-embedder", 1, "not installed"),
    }
    assert forensic("show") == 0
    assert "clear the cohort and add them again" in " ".join(capsys.readouterr().out.split())
    monkeypatch.setattr("click.confirm", lambda question: False)
    assert forensic("clear") == 0
    assert "Nothing was removed" in capsys.readouterr().out
    monkeypatch.setattr("click.confirm", lambda question: True)
    assert forensic("clear") == 0
    assert "Removed the templates of 2 sketches." in capsys.readouterr().out
    with Gallery(gallery) as opened:
        assert opened.cohorts() == []


def test_exit_codes(gallery: Path, people: list[Made], tmp_path: Path, capsys: Captured) -> None:
    sketch, empty = people[0].sketch, tmp_path / "empty"
    empty.mkdir()
    cases = {
        2: [["add"], ["add", tmp_path / "none"], ["add", empty], ["add", sketch, "--route", "nosuch"], ["nosuch"]],
        4: [["add", sketch, "--gallery", empty], ["show", "--gallery", empty], ["clear", "--gallery", empty]],
    }
    for code, commands in cases.items():
        for arguments in commands:
            assert forensic(*arguments) == code, arguments
            shown = capsys.readouterr()
            assert "Traceback" not in shown.err
            assert shown.err.strip()


def test_no_face_is_a_failure(
    gallery: Path, people: list[Made], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(self: Finder, image: object, **options: object) -> Aligned:
        raise FaceError("no face was found")

    monkeypatch.setattr(Finder, "one", none)
    assert forensic("add", people[0].sketch, *ROUTE) == 3
    assert f"not added: {people[0].sketch}: no face was found" in capsys.readouterr().err


def test_what_a_person_should_look_at_is_said(
    gallery: Path, people: list[Made], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Finder.one

    def warned(self: Finder, image: object, **options: object) -> Aligned:
        found = find(self, image, **options)  # type: ignore[arg-type]
        return Aligned(found.image, Face(*found.face), ("there are two faces",))

    monkeypatch.setattr(Finder, "one", warned)
    monkeypatch.setattr(printing, "WARNINGS", 1)
    assert forensic("add", people[0].sketch, people[1].sketch, *ROUTE) == 0
    shown = capsys.readouterr().err
    assert f"warning: {people[0].sketch}: there are two faces" in shown
    assert "more warnings (--json lists all)" in shown
