"""Enrolling at a server: in batches, resumed where it was interrupted, told as on a folder."""

import json
from pathlib import Path

import pytest

from forensic.client import enrolling
from forensic.datasets.synthetic import make_people

pytestmark = pytest.mark.server

PASSWORD = "a long password"


@pytest.fixture(scope="module")
def newcomers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of people who are not enrolled yet, and beside it a file that is no picture."""
    folder = tmp_path_factory.mktemp("newcomers")
    make_people(folder, 3, seed=77)
    table = folder / "people.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line.replace("synthetic-", "newcomer-") for line in lines) + "\n")
    (folder / "broken.jpg").write_bytes(b"nothing")
    return folder


def test_what_is_enrolled_is_told_as_on_a_folder(
    run, at_server, live, folder: Path, newcomers: Path, monkeypatch
) -> None:
    monkeypatch.setattr(enrolling, "FILES", 2)  # several batches
    asked = (
        "enroll",
        newcomers / "broken.jpg",
        "--csv",
        newcomers / "people.csv",
        "--keep-until",
        "2031-12-31",
        "--json",
    )
    here = ("--gallery", folder, "--as", "analyst", "--route", "direct@patches")
    for status in (3, 3):  # the second time, all but the broken one are there
        alone = run(*asked, *here, FORENSIC_PASSWORD=PASSWORD)
        served = at_server("analyst", *asked)
        assert (served.status, alone.status) == (status, status)
        told, expected = json.loads(served.out), json.loads(alone.out)
        assert len(told.pop("warnings")) == len(expected.pop("warnings"))  # a server's job names nobody in them
        assert told == expected
        assert "broken.jpg" in served.err
    shown = json.loads(at_server("analyst", "gallery", "show", "newcomer-0001", "--json").out)
    assert (shown["metadata"]["keep_until"], shown["photos"][0]["file_name"]) == ("2031-12-31", "0001.jpg")
    assert at_server("investigator", *asked).status == 4


def test_odd_names_are_no_hindrance(run, at_server, folder: Path, newcomers: Path, tmp_path: Path) -> None:
    photos = sorted((newcomers / "photos").iterdir())[:3]
    for photo, name in zip(photos, ('Jane "JD" Doe.jpg', "'=1+1.jpg", "two\nlines.jpg"), strict=True):
        # Some bytes more make another file of the same picture.
        (tmp_path / name).write_bytes(photo.read_bytes() + b"\0")
    asked, here = ("enroll", tmp_path, "--json"), ("--gallery", folder, "--as", "analyst", "--route", "direct@patches")
    served, alone = at_server("analyst", *asked), run(*asked, *here, FORENSIC_PASSWORD=PASSWORD)
    told, expected = json.loads(served.out), json.loads(alone.out)
    assert (told["enrolled"], told["already"]) == (expected["enrolled"], expected["already"]) == (2, 0)
    assert [one["file"] for one in told["failures"]] == [one["file"] for one in expected["failures"]]
    shown = json.loads(at_server("analyst", "gallery", "show", "'=1+1", "--json").out)
    assert shown["photos"][0]["file_name"] == "'=1+1.jpg"
    shown = json.loads(at_server("analyst", "gallery", "show", 'Jane "JD" Doe', "--json").out)
    assert shown["photos"][0]["file_name"] == 'Jane "JD" Doe.jpg'


def test_an_interruption_leaves_whole_what_was_sent(at_server, newcomers: Path, monkeypatch) -> None:
    monkeypatch.setattr(enrolling, "FILES", 1)
    sent = enrolling._send
    seen: list[object] = []

    def once(*given: object) -> object:
        if seen:
            raise KeyboardInterrupt
        seen.append(given)
        return sent(*given)

    monkeypatch.setattr(enrolling, "_send", once)
    stopped = at_server("analyst", "enroll", newcomers / "photos")
    assert (stopped.status, "run the same command again" in stopped.err) == (130, True)
    monkeypatch.setattr(enrolling, "_send", sent)


def test_batches_are_bounded_and_name_each_file_once(tmp_path: Path, monkeypatch) -> None:
    from forensic.enrollment import Summary
    from forensic.intake import Item

    monkeypatch.setattr(enrolling, "BYTES", 10)
    items = []
    for place, (name, size) in enumerate([("a", 4), ("b", 4), ("c", 4), ("a", 3), ("a", 3), ("d", 50), ("e", 1)]):
        file = tmp_path / str(place) / name
        file.parent.mkdir()
        file.write_bytes(b"x" * size)
        items.append(Item(name, file, {}))
    summary = Summary()
    batches = [[row.item.file_name for row in batch] for batch in enrolling._batches(items, summary)]
    assert batches == [["a", "b"], ["c", "a"], ["a"], ["d"], ["e"]]
