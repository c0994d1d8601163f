"""Searching with files at a server: they become sketches of the case."""

import json
from pathlib import Path

import pytest

from forensic.datasets.synthetic import Made

pytestmark = pytest.mark.server

OPENING = ("--purpose", "robbery", "--legal-basis", "warrant")
ROUTE = ("--route", "direct@patches")


@pytest.fixture
def case(both) -> str:
    """A case on the folder and at the server."""
    both("investigator", "case", "open", "M-1", *OPENING)  # in the second test it is there already
    return "M-1"


def test_the_answer_is_that_of_a_folder_in_full(run, at_server, folder: Path, case: str, people: list[Made]) -> None:
    sketch = people[7].sketch
    alone = run(
        *("match", sketch, "--case", case, "--json", "-", *ROUTE, "--gallery", folder, "--as", "investigator"),
        FORENSIC_PASSWORD="a long password",
    )
    refused = at_server("investigator", "match", sketch, "--case", case, "--json", "-", *ROUTE)
    assert (refused.status, "--kind viewed|composite|forensic" in refused.err) == (2, True)
    served = at_server("investigator", "match", sketch, "--case", case, "--kind", "viewed", "--json", "-", *ROUTE)
    assert served.status == alone.status == 0
    assert json.loads(served.out) == json.loads(alone.out)
    again = at_server("investigator", "match", sketch, "--case", case, "--json", "-", *ROUTE)  # it is known now
    assert again.out == served.out


def test_likelihood_ratios_are_hidden_where_they_do_not_hold(at_server, case: str, people: list[Made]) -> None:
    told = at_server("investigator", "match", people[8].sketch, "--case", case, "--kind", "forensic", *ROUTE)
    assert (told.status, "log10 LR" in told.out, "none is shown for forensic ones" in told.out) == (0, False, True)


def test_a_kind_that_the_case_does_not_state_is_refused(at_server, case: str, people: list[Made]) -> None:
    match = ("match", people[9].sketch, "--case", case, *ROUTE, "--kind")
    assert at_server("investigator", *match, "viewed").status == 0
    told = at_server("investigator", *match, "composite")
    assert (told.status, "with kind 'viewed', not 'composite'" in told.err) == (2, True)
    assert at_server("investigator", *match, "viewed").status == 0


def test_a_file_that_is_no_picture_ends_with_status_3(at_server, case: str, people: list[Made], tmp_path: Path) -> None:
    (tmp_path / "no-picture.png").write_bytes(b"nothing")
    lines = tmp_path / "answers.jsonl"
    probes = (tmp_path / "no-picture.png", people[7].sketch)
    told = at_server("investigator", "match", *probes, "--case", case, "--kind", "viewed", "--json", lines, *ROUTE)
    answers = [json.loads(line) for line in lines.read_text().splitlines()]
    assert (told.status, [len(answer["candidates"]) for answer in answers]) == (3, [0, 10])


def test_landmarks_and_several_sketches_of_one_person(at_server, case: str, people: list[Made]) -> None:
    two = (people[7].sketch, people[10].sketch)
    told = at_server("investigator", "match", *two, "--case", case, "--kind", "viewed", "--same-person", *ROUTE)
    assert (told.status, told.out.count("On record as search")) == (0, 1)
    points = "103,128 153,128 128,158 107,187 149,187"
    by_hand = ("match", people[7].sketch, "--case", case, "--landmarks", points, "--json", "-", *ROUTE)
    number = at_server("investigator", *by_hand).err.rpartition("search ")[2].split(",")[0]
    record = json.loads(at_server("investigator", "search", "show", number, "--json").out)["record"]
    assert record["landmarks"][0][0] == [103.0, 128.0]
