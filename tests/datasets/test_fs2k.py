"""The published table of FS2K's people, and what is done with it; no image is opened."""

import csv
import importlib.util
import os
import random
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from forensic import datasets
from forensic.datasets import CrossPhoto, Pair, cross_photo, fs2k, split_pairs
from forensic.errors import DataError

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "forensic" / "datasets" / "fs2k_people.csv"
data = pytest.mark.skipif("FORENSIC_DATA" not in os.environ, reason="FORENSIC_DATA is not set")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with TABLE.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def script():
    """The script that made the table."""
    file = ROOT / "experiments" / "fs2k_people.py"
    if not file.is_file():
        pytest.skip("experiments/ is not part of this copy")
    spec = importlib.util.spec_from_file_location("fs2k_people", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_well_formed(rows) -> None:
    assert list(rows[0]) == ["identity", "person", "split", "duplicate_of"]
    assert len(rows) == len({row["identity"] for row in rows}) == 2104
    assert Counter(row["identity"][:7] for row in rows) == {"fs2k-1-": 1529, "fs2k-2-": 98, "fs2k-3-": 477}
    people = list(dict.fromkeys(row["person"] for row in rows))
    assert people == [f"p{number:04d}" for number in range(1, len(people) + 1)]


def test_every_person_is_on_one_side(rows) -> None:
    sides = defaultdict(set)
    for row in rows:
        sides[row["person"]].add(row["split"])
    assert all(side in ({"train"}, {"test"}) for side in sides.values())


def test_a_duplicate_is_of_the_same_person_and_of_an_original(rows) -> None:
    known = {row["identity"]: row for row in rows}
    for row in rows:
        if row["duplicate_of"]:
            original = known[row["duplicate_of"]]
            assert original["person"] == row["person"]
            assert not original["duplicate_of"]
            assert original["identity"] < row["identity"]


def test_the_counts_are_those_of_the_documentation(rows) -> None:
    sizes = Counter(row["person"] for row in rows)
    several = [size for size in sizes.values() if size > 1]
    sides = Counter(row["split"] for row in rows)
    duplicates = sum(row["duplicate_of"] != "" for row in rows)
    page = " ".join((ROOT / "docs" / "data.md").read_text(encoding="utf-8").split())
    assert f"{len(sizes)} people, {len(several)} of them on several photos ({sum(several):,} photos" in page
    assert f"{sides['train']:,} training and {sides['test']:,} test photos" in page
    assert f"{duplicates} photos are copies" in page


def test_what_was_seen_overrules_the_embedder(rows, script) -> None:
    known = {row["identity"]: row for row in rows}
    verdicts = script.read(script.VERDICTS)
    assert verdicts.keys() == {"same", "different", "undecided"}
    for verdict, pairs in verdicts.items():
        for first, second in pairs:
            assert (known[first]["person"] == known[second]["person"]) == (verdict == "same"), (first, second)
            if verdict == "undecided":
                assert known[first]["split"] == known[second]["split"], (first, second)


def folder_of(folder: Path, identities: list[str]) -> Path:
    for side in ("photos", "sketches"):
        (folder / side).mkdir()
        for identity in identities:
            (folder / side / f"{identity}.jpg").write_bytes(b"not opened")
    lines = [f"{name},{name[5]},test,0,photos/{name}.jpg,sketches/{name}.jpg" for name in identities]
    (folder / "pairs.csv").write_text("\n".join(["identity,source,split,style,photo,sketch", *lines]))
    return folder


def test_a_part_of_fs2k_has_its_people_but_no_other_split(tmp_path, rows) -> None:
    some = folder_of(tmp_path, [row["identity"] for row in rows[:40]])
    found = datasets.pairs(some)
    assert [pair.person for pair in found] == [row["person"] for row in rows[:40]]
    assert {pair.split for pair in found} == {"test"}
    with pytest.raises(DataError, match=r"lacks 2064 of FS2K's photos .*fs2k-1-"):
        datasets.pairs(some, resplit=True)


def test_an_unknown_photo_is_an_error(tmp_path) -> None:
    with pytest.raises(DataError, match=r"nothing is known of the person on 1 photos .fs2k-9-0001.*2,104 pairs"):
        datasets.pairs(folder_of(tmp_path, ["fs2k-1-0001", "fs2k-9-0001"]))


def test_another_fs2k_of_the_same_ids_is_an_error(tmp_path, rows) -> None:
    everything = folder_of(tmp_path, [row["identity"] for row in rows])  # all of them test photos of style 0
    for resplit in (False, True):
        with pytest.raises(DataError, match="another source, style or split than FS2K"):
            datasets.pairs(everything, resplit=resplit)


def toy() -> list[Pair]:
    """Anna on three photos of which two are one picture, Berta on two, Clara on one, Dora on two copies."""
    shown = ("anna", "a1"), ("berta", "b1"), ("anna", "a2"), ("clara", "c1"), ("anna", "a1"), ("berta", "b2")
    shown += (("dora", "d1"), ("dora", "d1"))
    return [
        Pair(str(k), "", "test", Path(f"{k}.jpg"), Path(f"s{k}.jpg"), {}, person, picture)
        for k, (person, picture) in enumerate(shown)
    ]


def test_cross_photo_takes_the_own_picture_away_and_finds_the_others() -> None:
    assert cross_photo(toy()) == [
        CrossPhoto(0, (0, 4), (2,)),
        CrossPhoto(1, (1,), (5,)),
        CrossPhoto(2, (2,), (0, 4)),
        CrossPhoto(4, (0, 4), (2,)),
        CrossPhoto(5, (5,), (1,)),
    ]


def test_cross_photo_of_people_with_one_photo_is_empty() -> None:
    here = Path()
    assert cross_photo([Pair(name, "", "test", here, here, {}) for name in "ab"]) == []
    assert cross_photo([]) == []


def test_average_linkage_against_its_definition(script) -> None:
    directions = np.random.default_rng(3).normal(size=(8, 5)).repeat(4, axis=0)
    vectors = directions + np.random.default_rng(4).normal(size=directions.shape) * 0.7
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = (vectors @ vectors.T).astype(np.float32)
    groups = [{k} for k in range(len(vectors))]
    while True:
        of = combinations(range(len(groups)), 2)
        mean = {(a, b): similarity[np.ix_(list(groups[a]), list(groups[b]))].mean() for a, b in of}
        a, b = max(mean, key=mean.get)
        if mean[a, b] < script.THRESHOLD:
            break
        groups[a] |= groups.pop(b)
    found = script.cluster(similarity, [], [])
    assert 1 < len(groups) < len(vectors)
    assert {frozenset(np.flatnonzero(np.equal(found, g)).tolist()) for g in found} == set(map(frozenset, groups))


def test_links_and_their_opposite_in_clusters(script) -> None:
    similarity = np.array([[1, 0.9, 0.6, 0], [0.9, 1, 0.8, 0], [0.6, 0.8, 1, 0], [0, 0, 0, 1]], dtype=np.float32)
    assert script.cluster(similarity, [], []) == [0, 0, 0, 3]
    assert script.cluster(similarity, [], [(0, 2)]) == [0, 0, 2, 3]
    assert script.cluster(similarity, [(3, 2)], [(0, 2)]) in ([0, 0, 3, 3], [0, 0, 2, 2])


def test_no_person_would_be_better_on_the_other_side(script) -> None:
    chance = random.Random(5)
    for _ in range(30):
        groups = [chance.randrange(6) for _ in range(14)]
        test = [chance.random() < 0.5 for _ in groups]
        official = {g: {t for k, t in zip(groups, test, strict=True) if k == g} for g in groups}
        final = [side == "test" for side in script.resplit(groups, test, [""] * len(groups))]
        for g in official:
            (side,) = {f for k, f in zip(groups, final, strict=True) if k == g}
            flipped = [not f if k == g else f for k, f in zip(groups, final, strict=True)]
            if len(official[g]) == 1:
                assert official[g] == {side}
            else:
                assert cost(flipped, test) >= cost(final, test)


def cost(chosen: list[bool], official: list[bool]) -> int:
    """Photos that change sides, and by how many the test side grows or shrinks."""
    return sum(a != b for a, b in zip(chosen, official, strict=True)) + abs(sum(chosen) - sum(official))


def test_texture_tells_a_copy_from_another_picture(script) -> None:
    noise = np.random.default_rng(1).normal(size=(2, 256, 256)).astype(np.float32)
    smooth = np.array([np.apply_along_axis(np.convolve, 1, one, np.ones(5) / 5, "same") for one in noise])
    first, second = (100 * one.astype(np.float32) for one in smooth)
    copy = np.roll(first, (3, -2), axis=(0, 1)) * 0.5 + 40  # another crop in another tone
    assert script.texture(script.fine(first), script.fine(copy)) > 0.95
    assert script.texture(script.fine(first), script.fine(second)) < 0.5


@pytest.mark.data
@data
def test_the_loader_gives_people_and_both_splits(rows, script) -> None:
    folder = Path(os.environ["FORENSIC_DATA"]) / "fs2k"
    official, apart = datasets.pairs(folder), datasets.pairs(folder, resplit=True)
    known = {row["identity"]: row for row in rows}
    assert [pair.split for pair in apart] == [known[pair.identity]["split"] for pair in apart]
    assert [pair.person for pair in apart] == [known[pair.identity]["person"] for pair in apart]
    assert Counter(pair.split for pair in official) == {"train": 1058, "test": 1046}
    sides = defaultdict(set)
    for pair in official:
        sides[pair.person].add(pair.split)
    undecided = {identity for pair in script.read(script.VERDICTS)["undecided"] for identity in pair}
    perhaps = {known[identity]["person"] for identity in undecided}
    for before, after in zip(official, apart, strict=True):
        assert before._replace(split=after.split) == after
        if before.split != after.split:  # the person was on both sides, or may be one who was
            assert sides[before.person] == {"train", "test"} or before.person in perhaps


@pytest.mark.data
@data
def test_the_pages_say_what_training_on_one_split_gives_away_of_the_other(rows) -> None:
    """Of the table's lines, counted beside the official sides."""
    folder = Path(os.environ["FORENSIC_DATA"]) / "fs2k"
    with (folder / "pairs.csv").open(newline="", encoding="utf-8") as lines:
        official = {row["identity"]: row["split"] for row in csv.DictReader(lines)}
    sides = Counter((official[row["identity"]], row["split"]) for row in rows)
    known = {row["person"] for row in rows if official[row["identity"]] == "train"}
    seen = sum(row["split"] == "test" and row["person"] in known for row in rows)
    there, back = sides["train", "test"], sides["test", "train"]
    campaign, page, card = (
        " ".join((ROOT / name).read_text(encoding="utf-8").split())
        for name in ("docs/campaign.md", "docs/data.md", "forensic/weights/hida-photo-to-sketch.md")
    )
    assert f"{there} of its 1,058 training pairs are test pairs" in campaign
    assert f"{back} of those pairs are official test pairs" in campaign
    assert f"{there} of the official training pairs are test pairs of the other split, and {back} the other way" in page
    assert f"{there} of its {there + sides['test', 'test']:,} test pairs, and {seen} are of people" in card
    learned, held = split_pairs(folder, "train", 20, resplit=True)
    judged = {pair.person for pair in datasets.pairs(folder, resplit=True) if pair.split == "test"}
    assert not judged & {pair.person for pair in [*learned, *held]}


@pytest.mark.data
@data
def test_cross_photo_on_the_test_side_of_fs2k() -> None:
    """Against a direct count by two loops."""
    found = datasets.pairs(Path(os.environ["FORENSIC_DATA"]) / "fs2k", resplit=True)
    side = [pair for pair in found if pair.split == "test"]
    searches = cross_photo(side)
    expected = {}
    for k, probe in enumerate(side):
        mates = [n for n, other in enumerate(side) if other.person == probe.person and other.picture != probe.picture]
        if mates:
            expected[k] = tuple(mates)
    assert {search.probe: search.mates for search in searches} == expected
    page = " ".join((ROOT / "docs" / "data.md").read_text(encoding="utf-8").split())
    assert f"{len(searches)} sketches" in page
    for probe, excluded, mates in searches:
        assert probe in excluded
        assert not set(excluded) & set(mates)


@pytest.mark.data
@data
def test_no_person_of_cufs_is_there_twice() -> None:
    folder = Path(os.environ["FORENSIC_DATA"]) / "cufs"
    assert datasets.pairs(folder) == datasets.pairs(folder, resplit=True)
    assert all(pair.person == pair.picture == pair.identity for pair in datasets.pairs(folder))
    assert cross_photo(datasets.pairs(folder)) == []


def test_the_digest_does_not_depend_on_the_order() -> None:
    rows = {"fs2k-1-0001": ("1", "0", "test"), "fs2k-1-0002": ("1", "0", "train")}
    assert fs2k.digest(rows) == fs2k.digest(dict(reversed(rows.items())))
    assert fs2k.digest(rows) != fs2k.digest(rows | {"fs2k-1-0002": ("1", "0", "test")})
