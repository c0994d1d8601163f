"""Casework at a server: every command says there what it says on a folder."""

import json
from pathlib import Path

import pytest

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
