"""Casework on the command line: a case from its opening to the second examiner, as two people do it."""

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from sqlalchemy import text

from forensic import cli
from forensic.datasets.synthetic import Made
from forensic.gallery import Gallery

HUGE = 10**22
PASSWORD = "a long password"


def open_case(run, sketch: Path) -> None:
    assert run("case", "open", "C-1", "--purpose", "robbery", "--legal-basis", "warrant")[0] == 0
    added = ("--kind", "forensic", "--made-by", "M. Ito", "--described-by", "witness 2", "--drawn-on", "2026-11-02")
    status, output = run("case", "add", "C-1", sketch, *added)
    assert (status, "is sketch 1 of case C-1" in output) == (0, True)


def test_a_case_from_its_opening_to_a_repetition(run, people: list[Made], tmp_path: Path) -> None:
    open_case(run, people[3].sketch)
    status, output = run("case", "search", "C-1", "--top", 3)
    assert status == 0
    assert "Search 1, sketch 1" in output
    assert "On record as search 1." in output
    status, output = run("case", "decide", 1, "--rank", 1, "--verdict", "lead", "--reason", "ears agree")
    assert "lead (ears agree)" in output
    shown = json.loads(run("case", "show", "C-1", "--json")[1])
    assert shown["legal basis"] == "warrant"
    assert shown["sketches"][0]["made by"] == "M. Ito"
    assert [c["rank"] for c in shown["searches"][0]["candidates"]] == [1, 2, 3]
    assert shown["searches"][0]["decisions"][0]["verdict"] == "lead"
    page = run("case", "show", "C-1")[1]
    assert all(part in page for part in ("robbery", "forensic", "ears agree", "1."))
    status, output = run("search", "rerun", 1)
    assert (status, "the same list, to the byte" in output) == (0, True)
    first = shown["searches"][0]["candidates"][0]["person"]
    assert run("expunge", "person", first, "--yes")[0] == 0
    status, output = run("search", "rerun", 1)
    assert (status, "another list" in output, "gallery" in output) == (1, True, True)
    assert "no longer enrolled" in run("search", "show", 1)[1]
    assert first not in run("search", "list", "--case", "C-1", "--json")[1].splitlines()[0]
    assert "C-1" in run("case", "list")[1]
    assert json.loads(run("search", "show", 1, "--json")[1])["record"]["probes"]
    assert run("gallery", "verify")[0] == 0


def test_nothing_that_a_terminal_obeys_is_printed_of_a_reference(run) -> None:
    """Blanks around it are taken away, and some of them clear the screen."""
    status, output = run("case", "open", "\x0cC-1\x85", "--purpose", "robbery", "--legal-basis", "warrant")
    assert (status, output) == (0, "Case C-1 is open. Add its sketch: forensic case add C-1 FILE --kind KIND\n")


def test_match_is_on_record_too(run, people: list[Made]) -> None:
    open_case(run, people[3].sketch)
    status, output = run("match", people[3].sketch, "--case", "C-1")
    assert (status, "On record as search 1." in output) == (0, True)
    assert json.loads(run("search", "list", "--json")[1])["case"] == "C-1"
    assert run("match", people[3].sketch, "--case", "C-9")[0] == 4


def test_match_for_a_case_states_no_likelihood_ratio_of_a_forensic_sketch(run, people: list[Made]) -> None:
    open_case(run, people[3].sketch)
    status, output = run("match", people[3].sketch, "--case", "C-1", "--json", "-")
    answer = json.loads(output.splitlines()[0])
    assert (status, answer["calibration"], {one["words"] for one in answer["candidates"]}) == (0, None, {None})
    table = run("match", people[3].sketch, "--case", "C-1")[1]
    assert ("log10 LR" in table, "none is shown for forensic ones" in table) == (False, True)


def test_a_sketch_without_a_face_is_named_with_what_to_do(run, people: list[Made], tmp_path: Path) -> None:
    open_case(run, people[3].sketch)
    Image.new("RGB", (200, 250), "white").save(tmp_path / "blank.png")
    assert run("case", "add", "C-1", tmp_path / "blank.png", "--kind", "forensic")[0] == 0
    known = people[3].sketch.name
    for words, searched in (((), 1), (("--same-person",), 0)):
        status, output = run("case", "search", "C-1", "--top", 2, *words)
        assert status == 3
        assert output.count("Error: sketch 2 (blank.png): no face was found in 200 x 250 pixels.") == 1
        assert output.count("forensic match FILE --case C-1 --landmarks") == 1
        assert output.count("On record as search") == searched
        assert sum(line.strip() == f"sketch 1 ({known})" for line in output.splitlines()) == searched  # a table's title
    status, output = run("case", "search", "C-1", "--top", 2, "--sketch", 1)
    assert (status, "--landmarks" in output) == (0, False)


def test_what_has_to_be_known_of_a_search_is_shown_with_it(run, people: list[Made]) -> None:
    """Its warnings, its filter and what it repeats, in the case as in the search."""
    open_case(run, people[3].sketch)
    narrowed = ("--where", "birth_year=1900..2030", "--justification", "the witness saw an adult")
    assert run("case", "search", "C-1", "--top", 2, *narrowed)[0] == 0
    assert run("search", "rerun", 1)[0] == 0
    warnings = json.loads(run("search", "show", 1, "--json")[1])["record"]["warnings"]
    assert any("those left by a filter are more alike" in words for words in warnings)
    case, first, second = (
        run(*words)[1] for words in (("case", "show", "C-1"), *(("search", "show", n) for n in (1, 2)))
    )
    told = "  only birth_year=1900..2030 (the witness saw an adult): 0 people left out, 0 kept because"
    for words in warnings:
        assert [page.count(f"  warning: {words}") for page in (case, first, second)] == [2, 1, 1]
    assert [page.count(told) for page in (case, first, second)] == [2, 1, 1]
    assert [page.count("repetition of search 1") for page in (case, first, second)] == [1, 0, 1]
    plain = json.loads(run("case", "show", "C-1", "--json")[1])["searches"]
    assert [one["repeats"] for one in plain] == [None, 1]
    assert [one["warnings"] for one in plain] == [warnings] * 2
    assert {one["filter"]["justification"] for one in plain} == {"the witness saw an adult"}


def test_the_log_and_its_head(run, people: list[Made], tmp_path: Path) -> None:
    head = tmp_path / "head.json"
    assert run("audit", "head", "--out", head)[0] == 0
    assert run("gallery", "show", people[0].label)[0] == 0
    status, output = run("audit", "verify", "--head", head)
    assert (status, "Sound" in output) == (0, True)
    entries = [json.loads(line) for line in run("audit", "log", "--json", "--limit", 2)[1].splitlines()]
    assert [entry["action"] for entry in entries] == ["view", "head"]
    assert "view" in run("audit", "log", "--action", "view")[1]
    with Gallery(tmp_path / "gallery") as gallery, gallery.engine.begin() as connection:
        connection.execute(text("DELETE FROM audit WHERE number >= :n"), {"n": json.loads(head.read_text())["number"]})
    assert run("audit", "verify")[0] == 0  # a cut end shows against a head alone
    status, output = run("audit", "verify", "--head", head)
    assert (status, "cut" in output) == (4, True)
    assert run("gallery", "verify", "--head", head)[0] == 4
    head.write_text("{}")
    assert run("audit", "verify", "--head", head)[0] == 2


def test_users_sign_in_with_as(run, people: list[Made], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORENSIC_NEW_PASSWORD", PASSWORD)
    monkeypatch.setenv("FORENSIC_PASSWORD", PASSWORD)
    assert run("user", "add", "root", "--role", "administrator")[0] == 0
    status, output = run("gallery", "list")
    assert (status, "--as NAME" in output) == (4, True)
    assert run("user", "add", "ines", "--role", "investigator", "--as", "root")[0] == 0
    assert run("user", "add", "eva", "--role", "examiner", "--as", "root")[0] == 0
    status, output = run("case", "open", "C-1", "--purpose", "p", "--legal-basis", "l", "--as", "root")
    assert (status, "root is administrator here" in output) == (4, True)
    assert run("case", "open", "C-1", "--purpose", "p", "--legal-basis", "l", "--as", "ines")[0] == 0
    assert run("user", "role", "eva", "--role", "auditor", "--as", "eva")[0] == 4
    assert run("user", "role", "eva", "--role", "auditor", "--as", "root")[0] == 0
    assert run("user", "remove", "eva", "--as", "root")[0] == 0
    assert "removed" in run("user", "list", "--as", "root")[1]
    monkeypatch.setenv("FORENSIC_PASSWORD", "wrong password")
    status, output = run("gallery", "list", "--as", "ines")
    assert (status, "Check both" in output) == (4, True)
    monkeypatch.setenv("FORENSIC_PASSWORD", PASSWORD)
    assert run("user", "password", "ines", "--as", "ines")[0] == 0


@pytest.mark.parametrize(
    "words",
    [
        ("gallery", "list", "--limit", HUGE),
        ("expunge", "prove", HUGE),
        ("search", "show", HUGE),
        ("case", "decide", HUGE, "--rank", 1, "--verdict", "lead", "--reason", "x"),
        ("audit", "head", "--out", ""),
        ("gallery", "list", "--gallery", ""),
        ("case", "verify", ""),
    ],
)
def test_numbers_and_paths_that_cannot_be_are_refused(run, words) -> None:
    assert run(*words)[0] == 2


def test_an_earlier_head_is_not_replaced(run, tmp_path: Path) -> None:
    assert run("audit", "head", "--out", tmp_path / "head")[0] == 0
    before = (tmp_path / "head").read_bytes()
    assert run("audit", "head", "--out", tmp_path / "head")[0] == 2
    assert (tmp_path / "head").read_bytes() == before


def test_a_password_that_nobody_can_be_asked_for(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORENSIC_NEW_PASSWORD", PASSWORD)
    run("user", "add", "root", "--role", "administrator")
    monkeypatch.delenv("FORENSIC_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    status, output = run("user", "list", "--as", "root")
    assert (status, "set FORENSIC_PASSWORD" in output) == (2, True)


def test_a_password_is_asked_for(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FORENSIC_NEW_PASSWORD", PASSWORD)
    assert run("user", "add", "root", "--role", "administrator")[0] == 0
    asked = CliRunner().invoke(cli.forensic, ["user", "list", "--as", "root"], input=f"{PASSWORD}\n")
    assert (asked.exit_code, "administrator" in asked.output) == (0, True)
    assert PASSWORD not in asked.output
