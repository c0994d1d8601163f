"""People corrected, merged, kept apart and split at a server, told as on a folder; duplicates found as there."""

import json
from collections.abc import Callable

import pytest

from forensic.datasets.synthetic import Made

pytestmark = pytest.mark.server


def update(both: Callable, label: str, *changes: str):
    """Change somebody's metadata on both."""
    given = (word for change in changes for word in ("--set", change))
    return both("analyst", "gallery", "update", label, *given)


def test_people_and_photos_are_corrected(both, labels: list[str]) -> None:
    one, other = labels[:2]
    assert update(both, one, "birth_year=1980", "eyes=brown").status == 0
    shown = json.loads(both("analyst", "gallery", "list", "--where", f"person={one}", "--json").out)
    assert (shown["metadata"]["birth_year"], shown["metadata"]["eyes"]) == (1980, "brown")
    assert update(both, one, "eyes=").status == 0
    assert "0 shown" in both("analyst", "gallery", "list", "--where", "eyes=brown").out
    assert update(both, one, "birth_year=never").status == 2
    assert update(both, one, "source=booking").status == 2
    assert both("analyst", "gallery", "update", one, "--person", other).status == 4
    assert both("analyst", "gallery", "update", one, "--person", "renamed").status == 0
    assert both("analyst", "gallery", "update", "renamed", "--person", one).status == 0
    assert update(both, "nobody", "eyes=blue").status == 4
    assert both("examiner", "gallery", "update", one, "--set", "eyes=blue").status == 4


def test_a_photo_is_corrected(both, at_server, labels: list[str]) -> None:
    shown = json.loads(at_server("analyst", "gallery", "show", labels[0], "--json").out)
    number = shown["photos"][0]["id"]
    change = ("gallery", "update", "--photo", number, "--set")
    assert both("analyst", *change, "source=booking").status == 0
    assert both("analyst", *change, "eyes=blue").status == 2
    assert both("analyst", "gallery", "update", "--photo", 99_999, "--set", "source=booking").status == 4
    again = json.loads(at_server("analyst", "gallery", "show", labels[0], "--json").out)
    assert again["photos"][0]["source"] == "booking"
    assert both("analyst", *change, "source=").status == 0


def test_people_are_kept_apart_and_merged(both, labels: list[str]) -> None:
    one, other = labels[2:4]
    assert "are now kept apart" in both("analyst", "gallery", "keep", one, other).out
    assert "were already kept apart" in both("analyst", "gallery", "keep", one, other).out
    assert both("analyst", "gallery", "keep", one, one).status == 2
    update(both, one, "birth_year=1980", "eyes=brown", "keep_until=2030-01-01")
    update(both, other, "birth_year=1990", "eyes=blue", "keep_until=2031-01-01", "scar=chin")
    assert "Nothing was merged" in both("analyst", "gallery", "merge", one, other, typed="n\n").out
    merged = both("analyst", "gallery", "merge", one, other, "--yes")
    assert merged.status == 0
    for remark in ("birth_year stays 1980", "eyes stays 'brown'", "keep_until is 2031-01-01", "had been kept apart"):
        assert remark in merged.out
    assert both("analyst", "gallery", "show", other).status == 4
    assert both("analyst", "gallery", "merge", one, other, "--yes").status == 4
    assert both("analyst", "gallery", "merge", one, one, "--yes").status == 2
    assert both("auditor", "gallery", "merge", one, labels[0], "--yes").status == 4
    told = json.loads(both("analyst", "gallery", "list", "--where", f"person={one}", "--json").out)
    assert (told["metadata"]["scar"], told["metadata"]["keep_until"]) == ("chin", "2031-01-01")
    update(both, one, "keep_until=")


def test_a_person_is_split(both, at_server, labels: list[str], people: list[Made]) -> None:
    whole = next(made.label for made in people if len(made.photos) > 1 and made.label in labels[4:])
    shown = json.loads(at_server("analyst", "gallery", "show", whole, "--json").out)
    number = shown["photos"][0]["id"]
    split = ("gallery", "split", whole, "--photo", number, "--new")
    assert both("analyst", *split, whole).status == 4
    update(both, whole, "keep_until=2031-01-01")
    assert "keep_until=2031-01-01" in both("analyst", *split, "apart").out
    assert both("analyst", *split, "again").status == 4  # the photo is no longer theirs
    assert both("analyst", "gallery", "merge", whole, "apart", "--yes").status == 0
    update(both, whole, "keep_until=")


def test_duplicates(both, at_server) -> None:
    found = both("analyst", "gallery", "duplicates", "--above", 0.5, "--limit", 3, "--json")
    pairs = json.loads(found.out)["pairs"]
    assert (found.status, len(pairs)) == (0, 3)
    assert "log10 LR" in both("analyst", "gallery", "duplicates", "--above", 0.5, "--limit", 3).out
    assert both("analyst", "gallery", "keep", *pairs[0]["people"]).status == 0
    left = json.loads(both("analyst", "gallery", "duplicates", "--above", 0.5, "--limit", 3, "--json").out)["pairs"]
    assert pairs[0]["people"] not in [pair["people"] for pair in left]
    assert both("analyst", "gallery", "duplicates", "--route", "direct@patches").status == 2
    assert at_server("analyst", "gallery", "duplicates", "--limit", 1001).status == 2
    assert both("auditor", "gallery", "duplicates").status == 4
