import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import spaces
from click.testing import CliRunner

from forensic import Gallery, routes
from forensic.commands.gallery import gallery as group
from forensic.errors import StaleIndex, UsageError
from forensic.recognition import duplicates


@pytest.fixture
def run(enrolled: Path, tmp_path: Path, monkeypatch):
    """Run a command on a copy of the gallery of synthetic people."""
    shutil.copytree(enrolled, tmp_path / "gallery")
    monkeypatch.setenv("FORENSIC_GALLERY", str(tmp_path / "gallery"))
    monkeypatch.setenv("COLUMNS", "250")

    def invoke(*arguments, **options):
        return CliRunner().invoke(group, arguments, **options)

    return invoke


def opened(tmp_path: Path) -> Gallery:
    return Gallery(tmp_path / "gallery")


def split_one(run, tmp_path: Path) -> tuple[str, int]:
    """Take a second photo from its person: two people who are one, and who were kept apart by that."""
    with opened(tmp_path) as gallery:
        person = next(person.label for person in gallery.people() if person.photo_count == 2)
        photo = gallery.photos(person)[0].id
    assert "no metadata yet" in run("split", person, "--photo", str(photo), "--new", "Double").output
    return person, photo


def test_a_split_person_is_found_unless_kept_apart(run, tmp_path):
    person, _ = split_one(run, tmp_path)
    apart = json.loads(run("duplicates", "--above", "0.5", "--limit", "1000", "--json").output)
    assert {person, "Double"} not in [set(pair["people"]) for pair in apart["pairs"]]
    with opened(tmp_path) as gallery, gallery.writing() as session:
        from sqlalchemy import delete

        from forensic.gallery.models import Distinct

        session.execute(delete(Distinct))
    found = json.loads(run("duplicates", "--above", "0.5", "--limit", "1000", "--json").output)
    assert {person, "Double"} in [set(pair["people"]) for pair in found["pairs"]]
    assert found["found"] == apart["found"] + 1
    _check_by_brute_force(found, tmp_path)
    assert "are now kept apart" in run("keep", person, "Double").output
    assert "were already kept apart" in run("keep", "Double", person).output
    again = json.loads(run("duplicates", "--above", "0.5", "--limit", "1000", "--json").output)
    assert again["found"] == apart["found"]


def _check_by_brute_force(found: dict, tmp_path: Path) -> None:
    space = routes.load("direct").space
    fitted = duplicates.calibration(space)
    with opened(tmp_path) as gallery:
        templates = gallery.templates(space)
    table = templates.vectors.astype(float) @ templates.vectors.astype(float).T
    people = np.array(templates.people)
    rows, columns = np.nonzero(np.triu(people[:, None] != people[None], 1))
    assert found["compared"] == len(rows)
    similar = {
        frozenset(templates.photo_ids[[row, column]].tolist()): table[row, column]
        for row, column in zip(rows, columns, strict=True)
        if fitted.slope * table[row, column] + fitted.intercept >= 0.5
    }
    assert {frozenset(pair["photos"]) for pair in found["pairs"]} == set(similar)
    for pair in found["pairs"]:
        assert pair["similarity"] == pytest.approx(similar[frozenset(pair["photos"])], abs=1e-4)
    assert found["expected_by_chance"] == pytest.approx(len(rows) / 10**0.5, abs=0.1)


def test_the_table_says_what_it_rests_on(run):
    output = run("duplicates", "--above", "0.1", "--limit", "1").output
    assert "FS2K" in output
    assert "expected by chance" in output.replace("\n", " ")
    assert "people" in output


def test_what_cannot_be_asked(run, tmp_path):
    for arguments in (["--above", "9"], ["--above", "-1"], ["--above", "nan"], ["--route", "untrained-"]):
        refused = run("duplicates", *arguments).exception
        assert isinstance(refused, UsageError)
        assert "--" not in str(refused), "a page says it too"
    assert isinstance(run("duplicates", "--route", "photo-to-sketch:pencil").exception, UsageError)
    with opened(tmp_path) as gallery:
        spaces.drop(gallery, routes.load("direct").space)
    assert isinstance(run("duplicates").exception, StaleIndex)


def test_merge(run, tmp_path):
    person, photo = split_one(run, tmp_path)
    assert "Nothing was merged." in run("merge", person, "Double", input="n\n").output
    told = run("merge", person, "Double", "--yes").output
    assert f"Gave 1 photo of Double to {person}." in told
    assert "had been kept apart" in told
    with opened(tmp_path) as gallery:
        assert photo in [found.id for found in gallery.photos(person)]


def test_quality_is_shown_and_made_again(run, tmp_path):
    with opened(tmp_path) as gallery:
        label = gallery.people()[0].label
        first = {found.id: found.quality for found in gallery.photos()}
        with gallery.writing() as session:
            from sqlalchemy import update

            from forensic.gallery.models import Photo

            session.execute(update(Photo).values(quality=None))
    assert all(quality["verdict"] == "accept" for quality in first.values())
    assert "not measured" in run("show", label).output
    assert f"{len(first)} measured now" in run("quality").output
    assert "0 measured now" in run("quality").output
    with opened(tmp_path) as gallery:
        again = {found.id: found.quality for found in gallery.photos()}
    assert again == first
    assert "eye_distance" in run("show", label).output
    shown = json.loads(run("show", label, "--json").output)["photos"][0]["quality"]
    assert set(shown) == {"measures", "verdict", "reasons", "policy"}


def test_a_strict_policy_in_quality(run, tmp_path):
    strict = tmp_path / "strict.toml"
    strict.write_text("[eye_distance]\nwarn = {below = 500}\n")
    output = run("quality", "--all", "--policy", str(strict)).output
    assert "to look at" in output
    assert "below 500" in output
    lines = [json.loads(line) for line in run("quality", "--json").output.splitlines()]
    assert {line["quality"]["verdict"] for line in lines} == {"warn"}
    strict.write_text("[eye_distance]\nwarn = 5\n")
    assert isinstance(run("quality", "--policy", str(strict)).exception, UsageError)


def test_a_missing_original_does_not_stop_the_others(run, tmp_path):
    with opened(tmp_path) as gallery:
        photos = gallery.photos()
        gallery.objects.path(photos[0].sha256).unlink()
    result = run("quality", "--all")
    assert result.exit_code == 4
    assert "not measured" in result.output
    assert f"{len(photos) - 1} measured now" in result.output
