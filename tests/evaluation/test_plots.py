from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from forensic.errors import UsageError
from forensic.evaluation import plots


def report(*starts: float) -> dict[str, Any]:
    names = ["untrained", *(f"sketch-to-photo:method{number}" for number in range(1, len(starts)))]
    rows = []
    for name, start in zip(names, starts, strict=True):
        value = [1 - (1 - start) / rank for rank in range(1, 51)]
        curve = {"value": value, "low": [v - 0.02 for v in value], "high": [min(1, v + 0.02) for v in value]}
        rows.append({"route": name, "by": "image", "subset": "all", "probes": 50, "gallery": 50, "curve": curve})
    return {"data": {"name": "pairs", "split": "test"}, "closed_set": rows}


def test_the_plot_names_every_route_with_its_figure(tmp_path: Path) -> None:
    plots.cmc(report(0.5, 0.7, 0.625), tmp_path / "new" / "cmc.svg")
    text = (tmp_path / "new" / "cmc.svg").read_text()
    for words in ("rank-1 70.0 % [68.0, 72.0]", "rank-1 62.5 %", "sketch-to-photo:method2", "gallery of 50 photos"):
        assert words in text  # matplotlib leaves each text as a comment beside its outlines


def test_each_route_has_a_colour_of_its_own_and_the_baseline_is_grey(tmp_path: Path) -> None:
    plots.cmc(report(0.5, 0.7, 0.6), tmp_path / "cmc.png")
    with Image.open(tmp_path / "cmc.png") as image:
        seen = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
    for colour in (plots.BASELINE, *plots.COLOURS[:2]):
        assert tuple(bytes.fromhex(colour[1:])) in seen
    assert tuple(bytes.fromhex(plots.COLOURS[2][1:])) not in seen


def test_more_routes_than_colours_and_a_gallery_of_one(tmp_path: Path) -> None:
    plots.cmc(report(*[0.1 * n for n in range(10)], 0.95), tmp_path / "many.png")
    single = report(0.9)
    single["closed_set"][0]["curve"] = {"value": [1.0], "low": [1.0], "high": [1.0]}
    plots.cmc(single, tmp_path / "one.pdf")
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")


def test_the_same_report_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        plots.cmc(report(0.5, 0.7), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot draw 'cmc\.jpg': give a file that ends in \.png"):
        plots.cmc(report(0.5), tmp_path / "cmc.jpg")
    with pytest.raises(UsageError, match="run the protocol closed-set too"):
        plots.cmc({"closed_set": []}, tmp_path / "cmc.png")
