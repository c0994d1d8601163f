"""``forensic demo``, whole, with an embedder of random weights: what it makes, and what it leaves alone."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from forensic import weights
from forensic.backbones.mobilefacenet import MobileFaceNet
from forensic.commands.demo import demo
from forensic.errors import UsageError
from forensic.gallery import Gallery
from forensic.recognition import embedding


@pytest.fixture(autouse=True)
def _random_embedder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path / "weights"))
    torch.manual_seed(0)
    content = embedding.pack(MobileFaceNet().state_dict(), "mobilefacenet")
    weights.install(embedding.DEFAULT, embedding.KIND, content, {"architecture": "mobilefacenet"})


def run(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(demo, ["--people", "10", "--out", str(folder), *options], standalone_mode=False)


def test_the_demo_twice(tmp_path: Path) -> None:
    folder = tmp_path / "a demo"
    first = run(folder)
    assert first.exception is None, first.output
    assert first.output.count("its person, synthetic-") == 3
    assert str(folder / "report.html") in first.output
    assert "forensic enroll mugshots/" in first.output
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "not an identification" in page
    with Gallery(folder / "gallery") as gallery:
        assert gallery.size().people == 10
        assert gallery.person("synthetic-0004").name == "Synthetic 0004"
    mine = folder / "people" / "photos" / "mine.jpg"
    mine.write_bytes(b"a file of the user's")

    second = run(folder, "--seed", "1")
    assert second.exception is None, second.output
    assert mine.read_bytes() == b"a file of the user's"
    with Gallery(folder / "gallery") as gallery:
        assert gallery.size().people == 10


def test_a_folder_that_the_demo_did_not_make_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "report.html").write_text("evidence")
    for marker in (None, "[]", '{"people": "x"}', "not json"):
        if marker is not None:
            (folder / ".forensic-demo.json").write_text(marker)
        result = run(folder)
        assert isinstance(result.exception, UsageError)
        assert "did not make" in str(result.exception)
    assert (folder / "report.html").read_text() == "evidence"


def test_a_gallery_with_other_people_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody enrolled their own people in the demo's gallery: they are not thrown away."""
    folder = tmp_path / "demo"
    assert run(folder).exception is None
    with Gallery(folder / "gallery") as gallery:
        gallery.update("synthetic-0003", {}, rename="A real suspect")
    result = run(folder)
    assert isinstance(result.exception, UsageError)
    assert "A real suspect" in str(result.exception)
    with Gallery(folder / "gallery") as gallery:
        assert gallery.size().people == 10


def test_links_that_lead_out_are_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "demo", tmp_path / "outside"
    (outside / "photos").mkdir(parents=True)
    kept = outside / "photos" / "0001.jpg"
    kept.write_bytes(b"kept")
    folder.mkdir()
    (folder / ".forensic-demo.json").write_text(json.dumps({"people": 10}))
    (folder / "people").symlink_to(outside)
    result = run(folder)
    assert isinstance(result.exception, UsageError)
    assert "leads out" in str(result.exception)
    assert kept.read_bytes() == b"kept"
