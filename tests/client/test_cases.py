"""Casework at a server: every command says there what it says on a folder."""

import hashlib
import json
from pathlib import Path

import pytest

from forensic.client.connection import Connection
from forensic.datasets.synthetic import Made

pytestmark = pytest.mark.server

OPENING = ("--purpose", "robbery", "--legal-basis", "warrant")
ROUTE = ("--route", "direct@patches")


def test_a_case_from_its_opening_to_the_second_examiner(both, people: list[Made]) -> None:
    assert both("investigator", "case", "open", "C-1", *OPENING).status == 0
    assert "C-1" in both("auditor", "case", "list").out
    about = ("--kind", "viewed", "--made-by", "M. Ito", "--described-by", "witness 2", "--drawn-on", "2026-11-02")
    assert both("investigator", "case", "add", "C-1", people[3].sketch, *about).status == 0
    searched = both("investigator", "case", "search", "C-1", "--top", 3, *ROUTE)
    assert (searched.status, "On record as search" in searched.out) == (0, True)
    shown = json.loads(both("investigator", "case", "show", "C-1", "--json").out)
    number = shown["searches"][-1]["search"]
    verdict = ("--rank", 1, "--verdict", "lead", "--reason", "ears agree")
    assert "lead (ears agree)" in both("examiner", "case", "decide", number, *verdict).out
    assert "ears agree" in both("auditor", "case", "show", "C-1").out
    assert "ears agree" not in both("investigator", "case", "show", "C-1").out
    assert both("examiner", "case", "decide", number, *verdict).status == 2
    assert json.loads(both("auditor", "case", "list", "--json").out.splitlines()[0])["case"] == "C-1"


def test_searches_on_record(both, people: list[Made]) -> None:
    both("investigator", "case", "open", "C-2", *OPENING)
    both("investigator", "case", "add", "C-2", people[1].sketch, people[2].sketch, "--kind", "forensic")
    assert both("investigator", "case", "search", "C-2", *ROUTE).out.count("On record as search") == 2
    both("investigator", "case", "search", "C-2", "--same-person", *ROUTE)
    listed = both("auditor", "search", "list", "--case", "C-2", "--json").out.splitlines()
    number = json.loads(listed[0])["search"]
    assert len(listed) == 3
    assert both("auditor", "search", "list").status == 0
    assert json.loads(both("auditor", "search", "show", number, "--json").out)["record"]["probes"]
    assert "warrant" not in both("auditor", "search", "show", number).out
    assert both("auditor", "search", "show", 10_000).status == 4


def test_a_search_is_repeated(both, people: list[Made]) -> None:
    both("investigator", "case", "open", "C-3", *OPENING)
    both("investigator", "case", "add", "C-3", people[4].sketch, "--kind", "viewed")
    both("investigator", "case", "search", "C-3", *ROUTE)
    number = json.loads(both("auditor", "search", "list", "--case", "C-3", "--json").out)["search"]
    assert "the same list, to the byte" in both("investigator", "search", "rerun", number).out


def test_a_filter_and_its_justification(both, people: list[Made]) -> None:
    both("investigator", "case", "open", "C-4", *OPENING)
    both("investigator", "case", "add", "C-4", people[5].sketch, "--kind", "viewed")
    narrowed = ("--where", "birth_year=1900..2030", "--justification", "the witness saw an adult person", *ROUTE)
    searched = both("investigator", "case", "search", "C-4", *narrowed)
    assert (searched.status, "the witness saw" in searched.out) == (0, True)


def test_what_is_refused_is_refused_in_the_same_words(both, people: list[Made], tmp_path: Path) -> None:
    both("investigator", "case", "open", "C-5", *OPENING)
    assert both("investigator", "case", "open", "C-5", *OPENING).status == 2
    assert both("auditor", "case", "open", "C-6", *OPENING).status == 4
    assert both("investigator", "case", "show", "C-none").status == 4
    assert both("investigator", "case", "search", "C-5", *ROUTE).status == 2
    assert both("investigator", "case", "add", "C-5", people[0].photos[0], "--kind", "viewed").status == 2
    (tmp_path / "no-picture.png").write_bytes(b"nothing")
    assert both("investigator", "case", "add", "C-5", tmp_path / "no-picture.png", "--kind", "viewed").status == 3
    both("investigator", "case", "add", "C-5", people[6].sketch, "--kind", "viewed")
    assert both("investigator", "case", "search", "C-5", "--sketch", 9999, *ROUTE).status == 2


@pytest.fixture
def reported(both, people: list[Made]) -> int:
    """The number of a search of case R-1 with a decision, on the folder and at the server."""
    both("investigator", "case", "open", "R-1", *OPENING)
    both("investigator", "case", "add", "R-1", people[2].sketch, "--kind", "viewed")
    both("investigator", "case", "search", "R-1", "--top", 2, *ROUTE)
    number = int(json.loads(both("auditor", "search", "list", "--case", "R-1", "--json").out.splitlines()[0])["search"])
    both("examiner", "case", "decide", number, "--rank", 1, "--verdict", "lead", "--reason", "ears agree")
    return number


def test_reports_are_written(both, at_server, reported: int, tmp_path: Path) -> None:
    for what, start in ((("case", "report", "R-1"), b"%PDF"), (("search", "report", reported), b"%PDF")):
        files = [tmp_path / f"{what[0]}-{name}.pdf" for name in "ab"]
        told = [at_server("auditor", *what, "--out", file) for file in files]
        assert [ran.status for ran in told] == [0, 0]
        first, second = (file.read_bytes() for file in files)
        assert first == second  # the same record is the same bytes
        assert first.startswith(start)
        assert hashlib.sha256(first).hexdigest() in told[0].out
        assert files[0].stat().st_mode & 0o777 == 0o600
        assert both("auditor", *what, "--out", files[0]).status == 2  # it is there already
        assert both("auditor", *what, "--out", tmp_path / "a.docx").status == 2
        assert both("administrator", *what, "--out", tmp_path / "none.pdf").status == 4
    page = tmp_path / "search.html"
    assert at_server("auditor", "search", "report", reported, "--out", page).status == 0
    assert "ears agree" in page.read_text()
    assert both("auditor", "case", "report", "C-none", "--out", tmp_path / "none.pdf").status == 4
    assert both("auditor", "search", "report", 10_000, "--out", tmp_path / "none.pdf").status == 4
    assert not (tmp_path / "none.pdf").exists()


def test_a_report_at_a_server_is_that_of_a_folder(run, at_server, live, reported: int, tmp_path: Path) -> None:
    """The server's own gallery, as a folder beside it, gives the same bytes."""
    there, here = tmp_path / "there.html", tmp_path / "here.html"
    report = ("search", "report", reported, "--out")
    assert at_server("auditor", *report, there).status == 0
    alone = (*report, here, "--gallery", live.gallery, "--as", "auditor")
    assert run(*alone, FORENSIC_PASSWORD="a long password").status == 0
    assert there.read_bytes() == here.read_bytes()


def test_a_case_is_exported(run, both, at_server, reported: int, tmp_path: Path, monkeypatch) -> None:
    out, damaged = tmp_path / "case.zip", tmp_path / "damaged.zip"
    told = json.loads(at_server("auditor", "case", "export", "R-1", "--out", out, "--json").out)
    assert (told["bytes"], told["hidden"]) == (out.stat().st_size, 0)
    assert out.stat().st_mode & 0o777 == 0o600
    assert run("case", "verify", out, "--key", told["key"]).status == 0
    hidden = json.loads(at_server("investigator", "case", "export", "R-1", "--out", tmp_path / "b.zip", "--json").out)
    assert hidden["hidden"] == 1  # whoever may still have to decide sees nobody's verdict
    assert both("auditor", "case", "export", "R-1", "--out", out).status == 2
    assert both("auditor", "case", "export", "C-none", "--out", damaged).status == 4
    assert both("administrator", "case", "export", "R-1", "--out", damaged).status == 4
    for content in (out.read_bytes()[:-1], out.read_bytes().replace(b"ears agree", b"eyes agree")):
        monkeypatch.setattr(Connection, "bytes", lambda self, path, sent=content: sent)
        refused = at_server("auditor", "case", "export", "R-1", "--out", damaged)
        assert (refused.status, "no sound export" in refused.err, damaged.exists()) == (4, True, False)
