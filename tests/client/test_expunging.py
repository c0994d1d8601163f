"""Photos and people removed at a server, by name or since their time has passed; listed and proved as on a folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forensic import Gallery
from forensic.datasets.synthetic import Made
from forensic.gallery.log import trail

pytestmark = pytest.mark.server


@pytest.fixture
def labels(labels: list[str]) -> list[str]:
    """Who is enrolled by now, the last one first: others' tests use the first ones."""
    return labels[::-1]


@pytest.fixture
def lines(run: Callable, at_server: Callable, folder: Path) -> Callable[..., list[list[dict[str, Any]]]]:
    """The lines of JSON that a command prints on the folder and at the server; both end alike."""

    def invoke(user: str, *arguments: object) -> list[list[dict[str, Any]]]:
        alone = run(*arguments, "--json", "--gallery", folder, "--as", user, FORENSIC_PASSWORD="a long password")
        served = at_server(user, *arguments, "--json")
        assert (alone.status, alone.err) == (served.status, served.err)
        return [[json.loads(line) for line in ran.out.splitlines()] for ran in (alone, served)]

    return invoke


def test_an_end_that_stands_for_many_is_nobodys_label(both, labels: list[str]) -> None:
    for some in (f"{labels[0][:-1]}*", "*", ""):
        assert both("analyst", "expunge", "person", some, "--yes").status == 4
        assert both("analyst", "gallery", "show", some).status == 4


def test_a_photo_is_removed(both, at_server, lines, labels: list[str]) -> None:
    photo = json.loads(at_server("analyst", "gallery", "show", labels[0], "--json").out)["photos"][0]["id"]
    assert both("examiner", "expunge", "photo", photo, "--yes").status == 4
    assert both("analyst", "expunge", "photo", photo, "--yes", "--reason", labels[0]).status == 2
    removed = both("analyst", "expunge", "photo", photo, "--yes", "--reason", "order 5")
    assert "its templates and the index" in removed.out
    assert both("analyst", "expunge", "photo", photo, "--yes").status == 4
    told = lines("auditor", "expunge", "list")
    alone, served = ({key: stones[0][key] for key in ("photos", "reason", "operator", "people")} for stones in told)
    assert served == alone == {"photos": [photo], "reason": "order 5", "operator": "analyst", "people": alone["people"]}


def test_a_look_at_a_photo_is_one_entry(both, live, labels: list[str]) -> None:
    with Gallery(live.gallery) as gallery:
        gallery.sign_in("auditor", "a long password")
        photo, before = gallery.photos(labels[0])[0], trail.entries(gallery, action="view")
        asked = both("analyst", "expunge", "photo", photo.id, typed="n\n")
        assert f"photo {photo.id} ({photo.file_name}) of {labels[0]}" in asked.out
        (look, *others) = trail.entries(gallery, action="view")
        assert (look["details"]["person"], others) == (photo.person_id, before)


def test_a_photo_goes_as_it_was_shown(
    at_server, live, labels: list[str], people: list[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another analyst takes the person's other photos away while the command asks whether one of them shall go."""
    label = next(one.label for one in people if len(one.photos) > 1 and one.label in labels[1:])

    def answer(question: str) -> bool:
        assert "It is the last one" not in question
        gallery.split(label, [other.id for other in others], "apart")
        return True

    monkeypatch.setattr("forensic.commands.expunge.sure", answer)
    with Gallery(live.gallery) as gallery:
        gallery.sign_in("analyst", "a long password")
        photo, *others = gallery.photos(label)
        refused = at_server("analyst", "expunge", "photo", photo.id)
        assert refused.status == 4
        assert f"Photo {photo.id} was changed since it was shown (the last one now)" in refused.err
        assert gallery.photo(photo.id).person.label == label
        gallery.merge(label, "apart")


def test_an_expunge_is_proved(both, at_server, lines, labels: list[str], tmp_path: Path) -> None:
    both("analyst", "expunge", "person", labels[0], "--yes", "--reason", "order 6")
    (stone, *_), (served, *_) = lines("auditor", "expunge", "list")
    (number,) = stone["people"]
    assert served["people"] == [number]
    alone, told = lines("auditor", "expunge", "prove", number, "--text", labels[0], "--wipe")
    assert {check["passed"] for check in told} <= {True, None}
    # The log's entry has another number there, and a server that is running is a check more.
    assert {check["name"] for check in told} - {check["name"] for check in alone} == {"server"}
    verdicts = {check["name"]: check["passed"] for check in told if check["name"] != "server"}
    assert verdicts == {check["name"]: check["passed"] for check in alone}
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    refused = at_server("auditor", "expunge", "prove", number, "--photo", tmp_path / "photo.jpg")
    assert (refused.status, "--photo is for a gallery's folder" in refused.err) == (2, True)
    assert at_server("auditor", "expunge", "prove", number, "--text", labels[1]).status == 4
    assert both("auditor", "expunge", "prove", number, "--text", " ").status == 2
    assert both("investigator", "expunge", "prove", number).status == 4
    assert both("investigator", "expunge", "list").status == 4


def test_whoever_is_due_is_removed(both, labels: list[str]) -> None:
    due, later = labels[:2]
    both("analyst", "gallery", "update", due, "--set", "keep_until=2001-01-01")
    both("analyst", "gallery", "update", later, "--set", "keep_until=2999-01-01")
    assert due in both("analyst", "retention", "list").out
    assert both("auditor", "retention", "list", "--before", "2002-01-01", "--json").out.count("\n") == 1
    assert due in both("analyst", "retention", "apply", "--dry-run").out
    assert "Nothing was removed" in both("analyst", "retention", "apply", typed="n\n").out
    assert both("examiner", "retention", "apply", "--yes").status == 4
    gone = json.loads(both("analyst", "retention", "apply", "--yes", "--json").out)
    assert (gone["label"], gone["keep_until"]) == (due, "2001-01-01")
    assert both("analyst", "gallery", "show", due).status == 4
    assert "0 people" in both("analyst", "retention", "apply", "--yes").out
    both("analyst", "gallery", "update", later, "--set", "keep_until=")


def test_nobody_goes_who_was_not_shown(at_server, live, labels: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """While the command asks, another analyst gives the label to somebody else, or the person more time."""
    one, other = labels[:2]

    def swap() -> None:
        for label, new in ((one, "between"), (other, one), ("between", other)):
            gallery.update(label, {}, rename=new)

    def answer(question: str) -> bool:
        if question.startswith("Remove"):
            swap()
        else:
            gallery.update(one, {"keep_until": "2999-01-01"})
            gallery.update(other, {"keep_until": "2001-01-01"})
        return True

    monkeypatch.setattr("forensic.commands.expunge.sure", answer)
    monkeypatch.setattr("forensic.commands.retention.sure", answer)
    with Gallery(live.gallery) as gallery:
        gallery.sign_in("analyst", "a long password")
        refused = at_server("analyst", "expunge", "person", one)
        assert (refused.status, "was changed since it was shown" in refused.err) == (4, True)
        swap()
        gallery.update(one, {"keep_until": "2001-01-01"})
        applied = at_server("analyst", "retention", "apply")
        assert applied.status == 0
        assert "0 people, due on" in applied.out
        assert "1 person became due" in applied.err
        assert {one, other} <= {person.label for person in gallery.people()}
        for label in (one, other):
            gallery.update(label, {"keep_until": ""})
