import csv
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import forensic.faces
import forensic.routes
from forensic.cli import run
from forensic.errors import FaceError
from forensic.gallery import Gallery
from forensic.gallery.reports import listed


class FakeFinder:
    def __init__(self, detector: object) -> None:
        pass

    def find(self, images: Sequence[Image.Image]) -> list[Any]:
        faces = []
        for image in images:
            pixels = np.asarray(image)[:, :, 0].astype(float).ravel() - 128
            blank = np.ptp(pixels) == 0
            faces.append(
                FaceError("no face") if blank else SimpleNamespace(pixels=pixels, face=SimpleNamespace(method="fake"))
            )
        return faces


class FakeRoute:
    space, models = "5ace", {"fake": "00"}

    def __init__(self, name: str, device: str) -> None:
        self.name = name

    def describe(self, faces: Sequence[Any], side: str) -> np.ndarray:
        # The untrained route sees a sixth of what the other sees.
        rows = np.array([face.pixels[: 40 if self.name == "untrained" else 256] for face in faces])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def portraits(self, faces: Sequence[Any], side: str) -> np.ndarray:
        images = np.zeros((len(faces), 3, 256, 256), np.float32)
        images[:, :, 60:76, 60:76] = np.array([face.pixels.reshape(1, 16, 16) for face in faces]) / 128
        return images


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(forensic.faces, "Finder", FakeFinder)
    monkeypatch.setattr(forensic.faces, "Detector", lambda device: None)
    monkeypatch.setattr(forensic.routes, "load", lambda name, device: FakeRoute(name, device))
    generator = np.random.default_rng(0)
    for side in ("photos", "sketches", "others"):
        (tmp_path / "pairs" / side).mkdir(parents=True)
    for number in range(20):
        person = generator.normal(128, 25, (16, 16))
        sketch = person + generator.normal(0, 25, (16, 16))
        for side, picture in (("photos", person), ("sketches", sketch), ("others", person[::-1])):
            pixels = np.clip(picture, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"pairs/{side}/{number:02}.png")
    Image.new("L", (16, 16), 9).save(tmp_path / "pairs/sketches/03.png")
    return tmp_path


def evaluate(folder: Path, *more: str) -> int:
    return run(["evaluate", "--data", str(folder / "pairs"), "--split", "all", "--repeats", "2", *more])


def test_it_prints_tables_with_the_untrained_route_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(folder, "--no-store", "--distractors", str(folder / "pairs/others")) == 0
    out, err = capsys.readouterr()
    assert "pairs (all): 20 sketches, gallery of 20 photos; 1 missed for want of a face" in out
    assert out.index("untrained") < out.index("direct")
    assert "NLDA protocol" in out
    assert "a gallery with distractors" in out
    assert "missed (probes): 03.png: no face" in err


def test_it_writes_json_csv_and_plot_and_keeps_the_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {kind: folder / "out" / f"report.{kind}" for kind in ("json", "csv", "svg")}
    options = [
        *("--json", str(files["json"]), "--csv", str(files["csv"]), "--plot", str(files["svg"])),
        *("--gallery", str(folder / "gallery"), "--protocols", "closed-set", "--routes", "direct,direct"),
    ]
    assert evaluate(folder, *options) == 0
    report = json.loads(files["json"].read_text())
    assert [route["name"] for route in report["routes"]] == ["untrained", "direct"]
    assert report["nlda"] == []
    with files["csv"].open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert rows[0]["metric"] == "rank-1"
    assert float(rows[0]["value"]) == report["closed_set"][0]["ranks"]["1"]["value"]
    assert files["svg"].read_text().count("<svg") == 1
    with Gallery(folder / "gallery") as gallery:
        (kept,) = listed(gallery)
        assert kept.data == report
        assert kept.title == "pairs (all): untrained, direct"
    assert "forensic reports show 1" in capsys.readouterr().err
    first = files["svg"].read_bytes()
    assert evaluate(folder, *options) == 0
    assert files["svg"].read_bytes() == first


def test_wrong_requests_are_refused_before_the_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(folder, "--no-store", "--plot", "cmc.bmp") == 2
    assert "Cannot draw 'cmc.bmp': give a file that ends in .png" in capsys.readouterr().err
    assert evaluate(folder, "--no-store", "--protocols", "distractors") == 2
    assert evaluate(folder, "--no-store", "--protocols", "nlda,cmc") == 2
    assert "Unknown protocol 'cmc'" in capsys.readouterr().err
    assert run(["evaluate", "--data", str(folder / "pairs"), "--no-store"]) == 2
    assert "no pair in the split 'test'" in capsys.readouterr().err
    assert evaluate(folder, "--gallery", str(folder / "pairs")) == 4
    assert "is no gallery" in capsys.readouterr().err
    assert evaluate(folder, "--no-store", "--protocols", "nlda", "--plot", str(folder / "a.png")) == 2
    assert "run the protocol closed-set too" in capsys.readouterr().err
