"""``forensic match``: what it says of many searches."""

from pathlib import Path
from typing import Any

from forensic.commands.match import TABLES
from forensic.datasets.synthetic import Made


def test_each_of_many_searches_gets_a_line_beside_a_report_too(run: Any, people: list[Made], tmp_path: Path) -> None:
    probes = [str(person.sketch) for person in people if person.sketch][: TABLES + 1]
    page = tmp_path / "report.html"
    status, printed = run("match", *probes, "--route", "direct", "--report", page)
    assert status == 0
    lines = printed.splitlines()
    assert [line.partition(": 1. ")[0] for line in lines if ": 1. " in line] == probes
    assert lines[-1] == f"The report is {page}."
    said = " ".join(printed.split())
    assert said.count("Likelihood ratios rest on viewed sketches") == said.count("an investigative lead") == 1
    assert "On record as search " in said
