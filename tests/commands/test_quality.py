"""``forensic quality`` as a user meets it."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forensic.cli import run
from forensic.quality.metrics import METRICS

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _no_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three pairs as `forensic synthesize` leaves them, padded on one side and not on the other."""
    made, targets = tmp_path / "made", tmp_path / "targets"
    made.mkdir()
    targets.mkdir()
    draw = np.random.default_rng(0)
    for name in "abc":
        for path, size in ((made / f"{name}-synthetic.png", (256, 256)), (targets / f"{name}.png", (200, 250))):
            Image.fromarray(draw.integers(0, 256, (25, 20, 3), dtype=np.uint8)).resize(size).save(path)
    return made, targets


def quality(*arguments: object) -> int:
    return run(["quality", *map(str, arguments)])


def test_table_json_and_csv(folders: tuple[Path, Path], tmp_path: Path, capsys: Captured) -> None:
    lines, table = tmp_path / "new" / "quality.json", tmp_path / "quality.csv"
    assert quality(*folders, "--json", lines, "--csv", table) == 0
    shown = capsys.readouterr()
    assert "↑ higher" in shown.out
    assert "lpips-alex not measured: needs alexnet-owt-7be5be79.pth" in shown.out
    found = json.loads(lines.read_text())
    assert found["counts"]["compared"] == 3
    assert found["sizes"] == {"200x250": 3}
    figures = {figure["metric"]: figure for figure in found["metrics"]}
    assert set(figures) == set(METRICS)
    assert figures["fsim"]["implementation"].startswith("piq 0.")
    assert "mobilefacenet-cross-modal" in figures["embedding-frechet"]["implementation"]
    assert figures["embedding-frechet"]["value"] > 0
    assert figures["fid"]["value"] is None
    assert "pt_inception" in figures["fid"]["missing"]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    assert {"ssim", "fsim", "fsimc", "scoot", "embedding-cosine"} <= rows[0].keys()
    assert "fid" not in rows[0]
    mean = np.mean([float(row["scoot"]) for row in rows])
    assert figures["scoot"]["mean"] == pytest.approx(mean)
    assert figures["scoot"]["interval"][0] <= mean <= figures["scoot"]["interval"][1]


def test_chosen_metrics_alone(folders: tuple[Path, Path], tmp_path: Path, capsys: Captured) -> None:
    assert quality(*folders, "--metric", "ssim", "--metric", "scoot", "--json", tmp_path / "q.json") == 0
    found = json.loads((tmp_path / "q.json").read_text())
    assert [figure["metric"] for figure in found["metrics"]] == ["ssim", "scoot"]
    assert "lpips" not in capsys.readouterr().out
    assert quality(*folders, "--metric", "psnr") == 2


def test_left_over_and_bad_files_are_reported(folders: tuple[Path, Path], tmp_path: Path, capsys: Captured) -> None:
    made, targets = folders
    (made / "a-synthetic.png").write_text("no image")
    Image.new("RGB", (256, 256), "white").save(made / "b-synthetic.png")
    Image.new("RGB", (200, 250)).save(made / "stray.png")
    for number in range(7):
        Image.new("RGB", (200, 250)).save(targets / f"other{number}.png")
    assert quality(made, targets, "--metric", "ssim", "--metric", "scoot", "--json", tmp_path / "q.json") == 3
    told = capsys.readouterr().err
    assert "1 synthesized without a target: stray.png" in told
    assert "7 targets without a synthesized image: other0.png" in told
    assert "and 2 more" in told
    assert "a-synthetic.png: the content is no PNG" in told
    assert "b: scoot: the synthesized image has one single grey" in told
    found = json.loads((tmp_path / "q.json").read_text())
    assert {figure["metric"]: figure["n"] for figure in found["metrics"]} == {"ssim": 2, "scoot": 1}
    assert len(found["targets_without_synthesized"]) == 7
    assert {failure["name"] for failure in found["failures"]} == {"a", "b"}


def test_faces_that_are_not_aligned_have_no_embedding(tmp_path: Path, capsys: Captured) -> None:
    for folder in ("made", "targets"):
        (tmp_path / folder).mkdir()
        noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / folder / "a.png")
    command = [tmp_path / "made", tmp_path / "targets", "--metric", "ssim", "--metric", "embedding-cosine"]
    assert quality(*command) == 0
    assert "embedding-cosine not measured: 1 left out: needs aligned faces" in capsys.readouterr().out


def test_requests_that_cannot_be_met(folders: tuple[Path, Path], tmp_path: Path, capsys: Captured) -> None:
    assert quality(*folders, "--metric", "fid") == 4
    assert "put it in" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert quality(tmp_path / "empty", folders[1]) == 2
    assert "rename the files" in capsys.readouterr().err
    assert quality(tmp_path / "nowhere", folders[1]) == 2
    assert quality(*folders, "--json", tmp_path / "made" / "a-synthetic.png" / "q.json") == 2
    assert "cannot be written" in capsys.readouterr().err
    assert quality(*folders, "--no-crop", "--metric", "ssim") == 3


def test_a_name_that_is_no_utf8_is_spelled_out_in_the_table(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for folder, end in zip(folders, (b"-synthetic.png", b".png"), strict=True):
        (folder / os.fsdecode(b"a" + end)).rename(folder / os.fsdecode(b"\xff" + end))
    table, lines = tmp_path / "quality.csv", tmp_path / "quality.json"
    assert quality(*folders, "--metric", "ssim", "--csv", table, "--json", lines) == 0
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["b", "c", "\\udcff"]
