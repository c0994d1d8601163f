"""People, users, log and reports at a server: every command says there what it says on a folder."""

import json
from pathlib import Path

import pytest

from forensic import Gallery
from forensic.datasets.synthetic import Made
from forensic.gallery import reports

pytestmark = pytest.mark.server

PASSWORD = "a long password"
NEW = "FORENSIC_NEW_PASSWORD"


def test_people_are_listed_and_shown(both, people: list[Made]) -> None:
    listed = both("analyst", "gallery", "list")
    assert "people with" in listed.out
    assert both("analyst", "gallery", "list", "--json", "--limit", 3, "--offset", 2).out.count("\n") == 3
    assert both("analyst", "gallery", "list", "--where", f"person={people[0].label}").out.count(people[0].label) == 1
    assert both("analyst", "gallery", "list", "--where", "birth_year=never").status == 2
    assert both("analyst", "gallery", "show", "nobody").status == 4


def test_a_person_is_shown_without_the_originals_path(run, at_server, folder: Path, people: list[Made]) -> None:
    alone = run(
        "gallery", "show", people[1].label, "--json", "--gallery", folder, "--as", "analyst", FORENSIC_PASSWORD=PASSWORD
    )
    expected, served = (
        json.loads(alone.out),
        json.loads(at_server("analyst", "gallery", "show", people[1].label, "--json").out),
    )
    assert all(photo.pop("path") for photo in expected["photos"])
    assert [photo.pop("path") for photo in served["photos"]] == [None] * len(expected["photos"])
    assert served == expected
    assert people[1].label in at_server("analyst", "gallery", "show", people[1].label).out


def test_people_are_expunged(both, labels: list[str]) -> None:
    gone = labels[-1]
    assert both("examiner", "expunge", "person", gone, "--yes").status == 4
    assert both("analyst", "expunge", "person", gone, "nobody", "--yes").status == 4
    assert "Proof:" in both("analyst", "expunge", "person", gone, "--yes", "--reason", "order 4").out
    assert both("analyst", "gallery", "show", gone).status == 4


def test_users_are_named_and_removed(both, at_server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NEW, PASSWORD)
    assert both("administrator", "user", "add", "eva", "--role", "examiner").status == 0
    assert both("administrator", "user", "add", "eva", "--role", "examiner").status == 2
    assert both("analyst", "user", "add", "ines", "--role", "examiner").status == 4
    assert both("administrator", "user", "role", "eva", "--role", "auditor").status == 0
    assert both("administrator", "user", "role", "administrator", "--role", "auditor").status == 4
    assert "auditor" in both("administrator", "user", "list", "--json").out
    assert both("administrator", "user", "password", "eva").status == 0
    assert both("administrator", "user", "remove", "eva").status == 0
    assert "removed" in both("administrator", "user", "list").out
    assert both("administrator", "user", "remove", "eva").status == 4
    monkeypatch.setenv(NEW, "short")
    assert at_server("administrator", "user", "add", "otto", "--role", "examiner").status == 2


def test_the_log(at_server, live, tmp_path: Path) -> None:
    at_server("analyst", "gallery", "list")
    entries = [json.loads(line) for line in at_server("auditor", "audit", "log", "--json").out.splitlines()]
    assert (entries[0]["action"], entries[0]["operator"]) == ("list", "analyst")
    with Gallery(live.gallery) as gallery:
        gallery.sign_in("auditor", PASSWORD)
        from forensic.gallery.log import trail

        written = {entry["number"]: entry for entry in trail.entries(gallery)}
    assert entries == [written[entry["number"]] for entry in entries]  # to the byte as it was hashed
    lists = at_server("auditor", "audit", "log", "--json", "--action", "list", "--operator", "analyst").out.splitlines()
    assert {(entry["action"], entry["operator"]) for entry in map(json.loads, lists)} == {("list", "analyst")}
    head = tmp_path / "head.json"
    assert at_server("auditor", "audit", "head", "--out", head).status == 0
    assert json.loads(head.read_text())["number"] > entries[0]["number"]
    assert at_server("investigator", "audit", "log").status == 4


def test_reports(both, folder: Path, live) -> None:
    for place in (folder, live.gallery):
        with Gallery(place) as gallery:
            gallery.sign_in("analyst", PASSWORD)
            reports.save(gallery, "A first look", {"rank 1": 0.5})
    assert "A first look" in both("auditor", "reports", "list").out
    assert json.loads(both("auditor", "reports", "show", 1, "--json").out)["data"] == {"rank 1": 0.5}
    assert both("auditor", "reports", "show", 99).status == 4
