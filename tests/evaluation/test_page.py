"""The report's tables, figures, page, rows and origin, and the documents that experiments write of reports."""

import json
import platform
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
from evaluation.toys import whole_report

from forensic import provenance
from forensic.errors import UsageError
from forensic.evaluation import (
    figures,
    page,
    plots,
    tables,
)
from forensic.evaluation.accuracy import Report
from forensic.evaluation.rows import rows

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made() -> Report:
    return whole_report()


@pytest.fixture(scope="module")
def plain(made: Report) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    return report


def test_every_table_is_whole_and_says_what_the_report_says(plain: dict[str, Any]) -> None:
    found = list(tables.tables(plain))
    assert {table.section for table in found} == set(page.SECTIONS) - {"nlda"}
    for table in found:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.names) + len(table.figures)}
    image, person = (table for table in found if table.section == "closed-set" and "30 photos" in table.title)
    assert "by person" in person.title
    assert [row[0] for row in image.rows] == ["untrained", "direct", "other"]
    first = plain["closed_set"][0]["ranks"]["1"]
    assert image.rows[0][1] == f"{100 * first['value']:.1f} [{100 * first['low']:.1f}, {100 * first['high']:.1f}]"
    assert image.figures[-1] == "rank-1 over direct"


def test_a_bound_that_cannot_be_resolved_is_marked(plain: dict[str, Any]) -> None:
    found, pairs = (table for table in tables.tables(plain) if table.section == "open-set")
    assert all(row[2].endswith(" *") for row in found.rows)  # 30 searches do not resolve 1 in 100
    assert "0 at 0.01, 0 at 0.003" in found.note
    assert "fewer than 10 of them" in found.note
    allowed = plain["verification"][0]["tar"]["0.01"]["allowed"]
    assert pairs.rows[0][3].endswith("*") == (allowed < 10)


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.01, 0.02, ""), (-0.02, 0.0, " no better"), (-0.02, -0.01, " worse")]
)
def test_a_gain_says_what_it_means(low: float, high: float, verdict: str) -> None:
    text = tables.gain({"value": (low + high) / 2, "low": low, "high": high})
    assert text.partition("]")[2] == verdict
    assert tables.gain(None) == ""


def test_the_page_repeats_to_the_byte_escapes_names_and_has_figures_in_its_own_colours(plain: dict[str, Any]) -> None:
    text = page.render(plain)
    assert page.render(plain) == text
    assert "<model>" not in text
    assert "&lt;model&gt;" in text
    drawings = list(figures.figures(plain))
    assert {figure.section for figure in drawings} <= set(page.SECTIONS)
    for figure in drawings:
        assert figure.svg in text
        assert "var(--c" in figure.svg
        assert not any(colour in figure.svg for colour in (plots.BASELINE, *plots.COLOURS, plots.INK))
    assert len(page.ON_DARK) == 1 + len(plots.COLOURS)


def test_rows_hold_every_protocol_with_equal_columns(made: Report) -> None:
    found = list(rows(made))
    assert len({tuple(row) for row in found}) == 1
    assert {row["protocol"] for row in found} == {
        *("closed-set", "cross-photo", "groups", "paired", "open-set", "calibration", "distractors", "differentials")
    }
    assert {row["metric"] for row in found if row["protocol"] == "calibration"} == {
        *("Cllr", "Cllr-min", "misleading, mated", "misleading, non-mated")
    }


def test_another_versions_report_is_refused() -> None:
    with pytest.raises(UsageError, match=r"forensic-accuracy-1.*run the evaluation again"):
        page.render({"format": "forensic-accuracy-1"})


def test_the_commit_is_that_of_the_packages_own_checkout(tmp_path: Path) -> None:
    package = tmp_path / "checkout" / "package"
    package.mkdir(parents=True)
    assert provenance.commit(package) is None

    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(package.parent), *who, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (package / "a.py").write_text("")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "a")
    head = git("rev-parse", "HEAD")
    assert provenance.commit(package) == head
    (package.parent / "notes").write_text("beside the package")
    assert provenance.commit(package) == head
    (package / "a.py").write_text("1")
    assert provenance.commit(package) == f"{head}+changes"
    inside = package / "site-packages" / "package"  # an environment in somebody's repository
    inside.mkdir(parents=True)
    assert provenance.commit(inside) is None


def test_the_machine_is_named_by_what_its_sums_hang_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Path, "read_text", lambda *_, **__: "processor : 0\nvendor_id\t: GenuineIntel\nvendor_id : other\n"
    )
    monkeypatch.setattr("numpy.show_config", lambda mode: {"SIMD Extensions": {"found": ["X86_V3", "X86_V4"]}})
    assert provenance.machine.__wrapped__() == f"{platform.machine()} GenuineIntel X86_V4"

    def nowhere(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", nowhere)
    monkeypatch.setattr("numpy.show_config", lambda mode: {"SIMD Extensions": {}})
    assert provenance.machine.__wrapped__() == platform.machine()


def test_the_document_of_results_is_made_of_the_reports(
    plain: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = tmp_path / "toys.json", tmp_path / "recognition.md"
    file.write_text(json.dumps(plain))
    arguments = [str(file), str(file), "--left-out", f"here={file}", "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["recognition.py", *arguments])
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    runpy.run_path(str(ROOT / "experiments" / "recognition.py"), run_name="__main__")
    text = out.read_text()
    assert text.count("### toys (test): 30 sketches, gallery of 30 photos") == 1  # the second time it is not repeated
    for words in ("Does it add to the adapted embedder (`direct`)?", "## Leave one source out", "| here | `direct` |"):
        assert words in text
    assert "- toys (test): `forensic evaluate --data toys`, seed 0; numpy 2" in text


def test_the_document_of_routes_has_a_row_for_each(
    plain: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maximum = {"value": 0.625, "low": 0.5, "high": 0.75}
    nlda = [{"route": "other", "features": "pixels", "analysis": "NLDA", "maximum": maximum}]
    file, out = tmp_path / "toys.json", tmp_path / "routes.md"
    file.write_text(json.dumps(plain | {"nlda": nlda}))
    monkeypatch.setattr("sys.argv", ["every_route.py", f"cmc.svg={file}", "--out", str(out)])
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    runpy.run_path(str(ROOT / "experiments" / "every_route.py"), run_name="__main__")
    table = [line.split(" | ") for line in out.read_text().splitlines() if line.startswith(("| route", "| `"))]
    assert [row[0] for row in table] == ["| route", "| `untrained`", "| `direct`", "| `other`"]
    assert table[0][-1] == "NLDA on pixels, maximum, % |"
    assert [row[-1].strip("| ") for row in table[1:]] == ["", "", "62.5 [50.0, 75.0]"]
    ranks = plain["closed_set"][0]["ranks"]
    assert [row.split()[0] for row in table[1][2:4]] == [f"{100 * ranks[k]['value']:.1f}" for k in ("1", "5")]
    assert "![CMC of every route](cmc.svg)" in out.read_text()
