import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import forensic.datasets
import forensic.evaluation.protocols
import forensic.faces
import forensic.matching
from forensic.cli import run
from forensic.datasets import Pair
from forensic.datasets.synthetic import Made
from forensic.errors import FaceError
from forensic.gallery import Gallery
from forensic.gallery.reports import listed, save
from forensic.matching import Matcher
from forensic.recognition.calibration import Calibration
from forensic.recognition.fusion import Scoring

FITTED = Calibration(
    kind="viewed", population="noise", people=9, mated=20, nonmated=90, slope=3.0, intercept=-1.0, lower=-2.0, upper=2.0
)


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
    space, models, translated = "5ace", {"fake": "00"}, None

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


def matcher(name: str, device: str, plain: bool) -> Matcher:
    """Every matcher with `b` in its name has a calibration, unless it is to be plain."""
    routes = tuple(FakeRoute(part, device) for part in name.split("+"))
    scoring = Scoring.plain(len(routes))
    if "b" in name and not plain:
        scoring = replace(scoring, calibration=FITTED)
    return Matcher(routes, scoring)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(forensic.faces, "Finder", FakeFinder)
    monkeypatch.setattr(forensic.faces, "Detector", lambda device: None)
    monkeypatch.setattr(forensic.matching, "load", matcher)
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
    assert evaluate(folder, "--no-store", "--plain", "--cohort", str(folder / "pairs")) == 2
    assert "leave out --plain or --cohort" in capsys.readouterr().err
    assert evaluate(folder, "--no-store", "--routes", "sketch-to-photo:matched", "--cohort", str(folder / "pairs")) == 2
    assert "none is among untrained, sketch-to-photo:matched" in capsys.readouterr().err


def test_plain_leaves_out_what_was_fitted(folder: Path, tmp_path: Path) -> None:
    for options, calibrated in (([], True), (["--plain"], False)):
        file = tmp_path / f"{calibrated}.json"
        assert evaluate(folder, "--routes", "b", "--no-store", "--json", str(file), *options) == 0
        report = json.loads(file.read_text())
        assert [bool(system["calibration"]) for system in report["systems"] if system["name"] == "b"] == [calibrated]
        assert ("--plain" in report["command"]) != calibrated


def lined_up(folder: Path) -> Path:
    """A pairs.csv with two subsets and a gender behind the plain folder's images."""
    rows = [
        (f"{n:02}", "ab"[n % 2], "test", "fm"[n % 3 % 2], f"photos/{n:02}.png", f"sketches/{n:02}.png")
        for n in range(20)
    ]
    with (folder / "pairs/pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("identity", "subset", "split", "gender", "photo", "sketch"), *rows])
    with (folder / "pairs/others/faces.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("photo", "group"), *((f"{n:02}.png", "xy"[n % 2]) for n in range(20))])
    return folder


def test_the_page_shows_every_protocol_and_can_be_written_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lined_up(folder)
    page, again, kept = folder / "page.html", folder / "again.html", ["--gallery", str(folder / "gallery")]
    options = ["--routes", "direct,direct+b", "--distractors", str(folder / "pairs/others"), "--page", str(page)]
    assert run(["evaluate", "--data", str(folder / "pairs"), "--repeats", "2", *options, *kept]) == 0
    text = page.read_text()
    for words in ("Closed set", "System against system", "Open set", "Likelihood ratios", "Distractors", "Groups"):
        assert words in text
    assert text.count("<svg") == text.count('role="img"') == 1 + 4 + 4 + 2  # CMC, DETs, ECE and Tippett, sweeps
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert not re.search(r'(src|href)="(?!#)', text)  # nothing is fetched from anywhere
    assert str(folder) not in text
    assert "evaluate --data pairs --routes direct,direct+b" in text
    assert run(["reports", "page", "1", str(again), *kept]) == 0
    assert again.read_bytes() == page.read_bytes()
    assert run(["reports", "page", "1", str(folder / "pairs/pairs.csv/page.html"), *kept]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_report_of_another_version_makes_no_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Gallery(folder / "gallery", create=True) as gallery:
        save(gallery, "old", {"format": "forensic-accuracy-1"})
    assert run(["reports", "page", "1", str(folder / "old.html"), "--gallery", str(folder / "gallery")]) == 2
    assert "run the evaluation again" in capsys.readouterr().err
    assert not (folder / "old.html").exists()


def test_several_routes_make_one_system_and_are_described_once(folder: Path) -> None:
    file = folder / "report.json"
    options = ["--protocols", "closed-set,calibration", "--routes", "direct,direct+b", "--json", str(file)]
    assert evaluate(folder, "--no-store", *options) == 0
    report = json.loads(file.read_text())
    assert [system["name"] for system in report["systems"]] == ["untrained", "direct", "direct+b"]
    assert [route["name"] for route in report["routes"]] == ["untrained", "direct", "b"]
    assert [row["route"] for row in report["evidence"]] == ["direct+b"]
    assert report["systems"][2]["calibration"]["population"] == "noise"
    pairs = [(row["route"], row["against"]) for row in report["paired"]]
    assert pairs == [("direct", "untrained"), ("direct+b", "untrained"), ("direct+b", "direct")]
    assert report["command"][:5] == ["evaluate", "--data", "pairs", "--routes", "direct,direct+b"]
    assert str(folder) not in file.read_text()


def test_a_subset_is_probes_and_gallery(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lined_up(folder)
    options = ["--no-store", "--protocols", "closed-set", "--routes", "direct", "--json", str(folder / "a.json")]
    assert evaluate(folder, "--subset", "a", *options) == 0
    report = json.loads((folder / "a.json").read_text())
    assert {(row["subset"], row["probes"], row["gallery"]) for row in report["closed_set"]} == {("all", 10, 10)}
    assert report["data"]["subset"] == "a"
    assert {(row["attribute"], row["value"]) for row in report["groups"]} == {("gender", "f"), ("gender", "m")}
    assert "pairs, a alone (all): 10 sketches" in capsys.readouterr().out
    assert evaluate(folder, "--subset", "c", *options) == 2
    assert "no subset 'c'. It has: a, b" in capsys.readouterr().err


def test_by_person_alone_and_what_the_data_cannot_give(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "a.json"
    options = ["--no-store", "--routes", "direct", "--json", str(file)]
    assert evaluate(folder, "--by", "person", "--protocols", "closed-set", *options) == 0
    assert {row["by"] for row in json.loads(file.read_text())["closed_set"]} == {"person"}
    assert evaluate(folder, "--protocols", "cross-photo", *options) == 2
    assert "nobody in two pictures" in capsys.readouterr().err
    assert evaluate(folder, "--protocols", "calibration", *options) == 2
    assert "needs a system with a calibration" in capsys.readouterr().err


def test_one_person_alone_is_no_reason_to_lose_the_page(folder: Path) -> None:
    """No false alarm is possible, and nothing to compare with: the figures that cannot be drawn are left out."""
    for side in ("photos", "sketches"):
        for file in (folder / "pairs" / side).iterdir():
            if file.stem != "01":
                file.unlink()
    page, table = folder / "page.html", folder / "table.csv"
    routes = [
        "--routes",
        "direct,b",
        "--page",
        str(page),
        "--csv",
        str(table),
        "--distractors",
        str(folder / "pairs/others"),
    ]
    assert evaluate(folder, "--no-store", *routes) == 0
    assert "<h2" in page.read_text()
    table.unlink()
    assert evaluate(folder, "--no-store", "--protocols", "calibration", *routes[:2], "--csv", str(table)) == 0
    assert table.read_text().startswith("protocol,route,part,probes,gallery,metric,value,low,high")


def test_people_who_repeat_are_counted_both_ways(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = forensic.datasets.pairs

    def two_by_two(place: Path, *, resplit: bool = False) -> list[Pair]:
        return [pair._replace(person=f"person-{at // 2}") for at, pair in enumerate(whole(place, resplit=resplit))]

    monkeypatch.setattr(forensic.datasets, "pairs", two_by_two)
    file = folder / "a.json"
    assert evaluate(folder, "--no-store", "--routes", "direct", "--json", str(file)) == 0
    report = json.loads(file.read_text())
    assert report["data"]["people"] == 10
    assert {row["by"] for row in report["closed_set"]} == {"image", "person"}
    assert {(row["probes"], row["people"]) for row in report["cross_photo"]} == {(20, 10)}
    assert {row["mated"] for row in report["verification"]} == {40}


def test_what_cannot_be_written_is_told_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    for option in ("--json", "--csv", "--page", "--plot"):
        code = run(["evaluate", "--data", str(tmp_path), "--no-store", option, str(blocked / "below" / "x.png")])
        assert code == 2
        assert "cannot be written" in capsys.readouterr().err
    assert run(["evaluate", "--data", str(tmp_path), "--no-store", "--protocols", ","]) == 2
    assert "No protocol" in capsys.readouterr().err


def test_an_own_cohort_is_a_system_of_its_own(people: list[Made], people_folder: Path, tmp_path: Path) -> None:
    """The shipped scoring with the sketches in its cohort, beside the one without, and not calibrated."""
    out = tmp_path / "report.json"
    command = ["evaluate", "--data", str(people_folder), "--split", "all", "--protocols", "closed-set", "--no-store"]
    command += ["--routes", "direct@patches", "--cohort", str(people_folder / "sketches"), "--json", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forensic.evaluation.protocols, "with_untrained", list)
        patch.setattr(forensic.evaluation.protocols, "UNTRAINED", "direct@patches")
        assert run(command) == 0
    first, second = json.loads(out.read_text())["systems"]
    assert first["name"] == "direct@patches"
    assert first["calibration"]
    assert second["name"] == f"direct@patches with {len(people)} own sketches"
    assert second["calibration"] is None
    assert second["weights"] == first["weights"]
