"""Closed set, cross-photo, groups and distractors against walks over the lists of toy score tables."""

import numpy as np
import pytest
from evaluation.toys import HERE, repeated, side
from hypothesis import given
from hypothesis import strategies as st

from forensic.evaluation import closed_set, cross_photo, differentials
from forensic.evaluation.systems import Trial

SEED = 0


def walked_rank(scores: dict[str, list[float]], mate: str) -> float:
    """Rank of a person in a list of people with the scores of their photos, ties against them."""
    best = {person: max(values) for person, values in scores.items()}
    if best[mate] == -np.inf:
        return np.inf
    return sum(value >= best[mate] for value in best.values())


def by_label(row: np.ndarray, labels: list[str]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for score, label in zip(row, labels, strict=True):
        found.setdefault(label, []).append(score)
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("by", ["image", "person"])
def test_the_closed_set_by_image_and_by_person(seed: int, by: str) -> None:
    trial, pairs = repeated(seed)
    labels = [pair.identity if by == "image" else pair.person for pair in pairs]
    for row in closed_set.closed_set(trial, by, SEED):
        inside = [at for at, pair in enumerate(pairs) if row.subset in ("all", pair.subset)]
        ranks = np.array(
            [
                walked_rank(by_label(trial.own[row.route][at, inside], [labels[k] for k in inside]), labels[at])
                for at in inside
            ]
        )
        assert (row.by, row.probes, row.gallery) == (by, len(inside), len(inside))
        assert row.missed == np.isinf(ranks).sum()
        for rank, figure in row.ranks.items():
            assert figure.value == pytest.approx(np.mean(ranks <= rank))
            assert figure.low <= figure.value <= figure.high


def test_by_person_is_never_worse_than_by_image_and_finds_a_person_whose_own_photo_has_no_face() -> None:
    trial, _ = repeated(1)
    image, person = closed_set.whole_ranks(trial, "image"), closed_set.whole_ranks(trial, "person")
    assert all((person[name] <= image[name]).all() for name in trial.own)
    assert np.isinf(image["direct"][7])
    assert np.isfinite(person["direct"][7])  # the person of photo 7 has others
    assert np.isinf(person["direct"][3])  # no face in the sketch


@pytest.mark.parametrize("seed", range(3))
def test_cross_photo_takes_the_drawn_picture_and_its_copies_out(seed: int) -> None:
    trial, pairs = repeated(seed)
    rows, tests = cross_photo.cross_photo(trial, pairs, SEED)
    assert [(row.route, row.distractors) for row in rows] == [(name, n) for n in (0, 30) for name in trial.own]
    for row in rows:
        ranks = []
        for at, probe in enumerate(pairs):
            kept = [k for k, pair in enumerate(pairs) if pair.person != probe.person or pair.picture != probe.picture]
            if not any(pairs[k].person == probe.person for k in kept):
                continue
            lists = by_label(trial.own[row.route][at, kept], [pairs[k].person for k in kept])
            if row.distractors:
                lists |= by_label(trial.added[row.route][at], trial.crowd.people.tolist())
            ranks.append(walked_rank(lists, probe.person))
        found = np.array(ranks)
        assert (row.probes, row.missed) == (len(found), np.isinf(found).sum())
        assert row.people == len({pair.person for pair in pairs if int(pair.person[1:]) % 4})
        for rank, figure in row.ranks.items():
            assert figure.value == pytest.approx(np.mean(found <= rank))
    assert [(test.route, test.against) for test in tests] == [
        ("direct", "untrained"),
        ("other", "untrained"),
        ("other", "direct"),
    ]
    assert tests[0].difference.value == pytest.approx(rows[1].ranks[1].value - rows[0].ranks[1].value)


def test_cross_photo_bootstraps_people_and_not_sketches() -> None:
    """Ten people whose four sketches stand or fall together: the interval is that of ten, not of forty."""
    names = [f"p{person}-{photo}" for person in range(10) for photo in range(4)]
    people = [name.split("-")[0] for name in names]
    hit = np.array([int(person[1:]) < 5 for person in people])
    same = np.array(people)[:, None] == np.array(people)[None]
    scores = np.where(same, np.where(hit, 1.0, -1.0)[:, None], 0.0)
    trial = Trial(side(names, people), side(names, people), None, {"untrained": scores}, {})
    _, pairs = repeated(0)
    made = [
        pairs[0]._replace(identity=name, picture=name, person=person, photo=HERE / name)
        for name, person in zip(names, people, strict=True)
    ]
    (row,), _ = cross_photo.cross_photo(trial, made, SEED)
    figure = row.ranks[1]
    assert figure.value == 0.5
    draws = np.random.default_rng(1).binomial(10, 0.5, 20_000) / 10
    assert (figure.low, figure.high) == tuple(np.quantile(draws, (0.025, 0.975)))


def test_where_nobody_repeats_there_is_no_cross_photo() -> None:
    trial, pairs = repeated(0)
    alone = [pair._replace(person=pair.identity, picture=pair.identity) for pair in pairs]
    assert cross_photo.cross_photo(trial, alone, SEED) == ((), ())


def test_every_system_is_held_against_every_one_before_it() -> None:
    trial, _ = repeated(2)
    ranks = closed_set.whole_ranks(trial, "person")
    tests = closed_set.paired("closed-set", "person", ranks, trial.probes.people, SEED)
    assert len(tests) == 3
    for test in tests:
        expected = np.mean(ranks[test.route] <= 1) - np.mean(ranks[test.against] <= 1)
        assert test.difference.value == pytest.approx(expected)
        assert test.probes == len(trial.probes.people)


def test_groups_split_the_probes_and_keep_the_gallery() -> None:
    trial, pairs = repeated(0)
    ranks = closed_set.whole_ranks(trial, "image")
    found = list(closed_set.groups(trial.probes, "image", ranks, SEED))
    assert {(row.attribute, row.value) for row in found} == {
        ("subset", "a"),
        ("subset", "b"),
        ("gender", "f"),
        ("gender", "m"),
    }
    for row in found:
        own = [at for at, pair in enumerate(pairs) if row.value in (pair.subset, pair.attributes["gender"])]
        assert row.probes == len(own)
        assert row.ranks[10].value == pytest.approx(np.mean(ranks[row.route][own] <= 10))
    assert closed_set.group_names(np.array([str(at) for at in range(20)])) == []


@pytest.mark.parametrize("by", ["image", "person"])
def test_the_sweep_adds_distractors(by: str) -> None:
    trial, _ = repeated(0, crowd=300)
    rows = [row for row in closed_set.distractor_sweep(trial, by, SEED) if row.route == "direct"]
    assert [row.distractors for row in rows] == [0, 250, 300]
    labels = trial.gallery.labels(by).tolist()
    ranks = []
    for at, mate in enumerate(trial.probes.labels(by)):
        lists = by_label(trial.own["direct"][at], labels) | by_label(
            trial.added["direct"][at, :250], trial.crowd.people[:250].tolist()
        )
        ranks.append(walked_rank(lists, mate))
    assert rows[1].ranks[10].value == pytest.approx(np.mean(np.array(ranks) <= 10))


def test_differentials_count_who_stands_first() -> None:
    trial, _ = repeated(0)
    scores = trial.added["direct"].copy()
    rows = [row for row in differentials.differentials(trial, SEED) if row.route == "direct"]
    seen = [at for at in range(len(scores)) if trial.probes.found[at]]
    first = [trial.crowd.attributes["group"][np.argmax(scores[at])] for at in seen]
    for row in rows:
        assert row.photos == {"x": 20, "y": 10}[row.value]
        assert row.sample == 10
        assert row.share == pytest.approx({"x": 2 / 3, "y": 1 / 3}[row.value])
        assert row.first.value == pytest.approx(first.count(row.value) / len(first))
        assert row.ratio.value == pytest.approx(row.first.value / row.share)
        assert row.ratio.low <= row.ratio.value <= row.ratio.high
    alike = next(row for row in rows if row.value == "y")
    columns = trial.crowd.attributes["group"] == "y"
    assert alike.best.value == pytest.approx(scores[seen][:, columns].max(axis=1).mean())


def test_distractors_of_unknown_group_take_no_part() -> None:
    trial, _ = repeated(0)
    groups = np.where(np.arange(30) < 10, "", trial.crowd.attributes["group"])
    trial.crowd.attributes["group"] = groups  # type: ignore[index]
    rows = list(differentials.differentials(trial, SEED))
    assert sum(row.photos for row in rows if row.route == "direct") == 20
    assert sum(row.share for row in rows if row.route == "direct") == pytest.approx(1)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.integers(1, 8), st.integers(0, 99))
def test_the_expected_best_is_the_mean_over_all_samples(scores: list[float], sample: int, seed: int) -> None:
    from itertools import combinations

    size = min(sample, len(scores))
    every = [max(chosen) for chosen in combinations(scores, size)]
    assert differentials.expected_best(np.array([scores]), size)[0] == pytest.approx(np.mean(every), abs=1e-9)
