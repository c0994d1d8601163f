import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from forensic import explanation, images, routes
from forensic.datasets.synthetic import Made
from forensic.evaluation.deletion import deletion_check
from forensic.explanation import Explanation, Score, explain, matcher_score, overlay
from forensic.faces import Aligned, Finder, regions
from forensic.faces.hiding import hide, soften
from forensic.matching import Matcher
from forensic.recognition.fusion import Scoring

MARGIN = 0.03


def plain_score(route: routes.Route) -> Score:
    """The route's own cosines: what the bounds below are stated in."""
    return matcher_score(Matcher((route,), Scoring.plain(1)))


class Pair(NamedTuple):
    probe: Aligned
    candidate: Aligned
    told: Explanation


@pytest.fixture(scope="module")
def route() -> routes.Route:
    return routes.load()


@pytest.fixture(scope="module")
def pair(people: list[Made], route: routes.Route) -> Pair:
    return explained(people[0], route)


def explained(person: Made, route: routes.Route) -> Pair:
    """A sketch with its mate's photo, explained by the shipped embedder: it takes seconds."""
    assert person.sketch is not None
    finder = Finder()
    probe, candidate = (finder.one(images.read(file).image) for file in (person.sketch, person.photos[0]))
    return Pair(probe, candidate, explain(plain_score(route), probe.portrait, candidate.portrait))


def patterned(region: str) -> Image.Image:
    """A grey portrait with noise; one region is brighter."""
    rng = np.random.default_rng(0)
    values = rng.integers(60, 100, (256, 256)).astype(np.uint8)
    values[regions.from_landmarks(Image.new("RGB", (256, 256)))[region]] += 120
    return Image.fromarray(values).convert("RGB")


def brightness(region: str) -> Score:
    """A score that looks at one region's mean alone, on both sides."""
    mask = regions.from_landmarks(Image.new("RGB", (256, 256)))[region]

    def means(portraits: Sequence[Image.Image]) -> np.ndarray:
        return np.array([np.asarray(portrait.convert("L"))[mask].mean() / 255 for portrait in portraits])

    return lambda probes, candidates: np.outer(means(probes), means(candidates))


@pytest.mark.parametrize("region", ["mouth", "nose", "left eye", "right brow", "hair", "right cheek", "chin and jaw"])
def test_a_score_of_one_region_is_explained_by_that_region(region: str) -> None:
    portrait, score = patterned(region), brightness(region)
    told = explain(score, portrait, portrait)
    mask = regions.from_landmarks(portrait)[region]
    for values in (told.probe_map, told.candidate_map):
        assert values.shape == (256, 256)
        assert mask[np.unravel_index(values.argmax(), values.shape)]
        assert values[mask].mean() > 4 * np.abs(values[~mask]).mean()
    shares = {row.name: row for row in told.regions}
    assert shares[region].probe > 0.8
    assert shares[region].candidate > 0.8
    assert shares[region].probe_fall > 0.3 * told.score
    found = deletion_check(score, portrait, portrait, told, areas=(0.1,), top_regions=1)
    assert [(one.side, one.what) for one in found] == [
        ("probe", "pixels"),
        ("probe", "regions"),
        ("candidate", "pixels"),
        ("candidate", "regions"),
    ]
    assert all(one.fall > 1.3 * one.random for one in found)


def test_the_sides_are_told_apart() -> None:
    """A score that looks at the probe's mouth and the candidate's nose."""
    mouth, nose = brightness("mouth"), brightness("nose")
    candidate, ones = patterned("nose"), Image.new("RGB", (256, 256), (255, 255, 255))

    def score(probes: Sequence[Image.Image], candidates: Sequence[Image.Image]) -> np.ndarray:
        return mouth(probes, [ones]) * nose([ones], candidates)

    told = explain(score, patterned("mouth"), candidate)
    assert max(told.regions, key=lambda row: row.probe).name == "mouth"
    assert max(told.regions, key=lambda row: row.candidate).name == "nose"


def test_hiding_what_raises_a_score_is_negative_and_has_no_share() -> None:
    portrait, brighter = patterned("mouth"), brightness("mouth")
    told = explain(lambda probes, candidates: 1 - brighter(probes, candidates), portrait, portrait)
    row = next(row for row in told.regions if row.name == "mouth")
    assert row.probe_fall < 0
    assert row.probe == 0
    assert told.probe_map.min() < -10 * told.probe_map.max()


def test_a_score_that_looks_at_nothing_has_no_shares() -> None:
    portrait = patterned("mouth")
    told = explain(lambda probes, candidates: np.full((len(probes), len(candidates)), 0.3), portrait, portrait)
    assert told.score == 0.3
    assert not any(row.probe or row.candidate for row in told.regions)
    assert told.ceiling == 0
    assert np.array_equal(overlay(portrait, told.probe_map), portrait)


def test_the_shipped_embedders_maps_survive_deletion(people: list[Made], pair: Pair, route: routes.Route) -> None:
    """What the maps point at matters more than random spots of the same size, on average and for most pairs."""
    score, pairs = plain_score(route), [pair, *(explained(person, route) for person in people[1:4])]
    found = [
        one
        for pair in pairs
        for one in deletion_check(score, pair.probe.portrait, pair.candidate.portrait, pair.told, repeats=5)
    ]
    for side in explanation.SIDES:
        for what in ("pixels", "regions"):
            some = [one for one in found if (one.side, one.what) == (side, what)]
            assert np.mean([one.fall - one.random for one in some]) > MARGIN
            assert np.mean([one.fall > one.random for one in some]) > 0.5


def test_an_explanation_is_of_the_routes_score(pair: Pair, route: routes.Route) -> None:
    """The portrait is a copy at another scale, so the score differs in the second decimal at most."""
    exact = route.describe([pair.probe], "probe") @ route.describe([pair.candidate], "gallery").T
    assert pair.told.score == pytest.approx(exact.item(), abs=0.05)


def test_the_same_pair_gives_the_same_explanation(pair: Pair, route: routes.Route) -> None:
    again = explain(plain_score(route), pair.probe.portrait, pair.candidate.portrait)
    assert again == pair.told
    assert again.probe_map.tobytes() == pair.told.probe_map.tobytes()
    assert again.candidate_map.tobytes() == pair.told.candidate_map.tobytes()


def test_an_explanation_is_plain_data(pair: Pair) -> None:
    told = pair.told
    data = json.loads(json.dumps(told.to_json()))
    assert [row["name"] for row in data["regions"]] == list(regions.REGIONS)
    for side in explanation.SIDES:
        assert sum(row[side] for row in data["regions"]) == pytest.approx(1, abs=1e-4)
    assert sum(row["area"] for row in data["regions"]) == pytest.approx(1, abs=1e-4)
    assert data["described"] == told.described


def test_what_the_embedder_does_not_see_is_described_once(route: routes.Route, pair: Pair) -> None:
    """The shipped embedder looks at a square within the portrait."""
    portrait = pair.probe.portrait
    corner = np.zeros((256, 256), dtype=np.float32)
    corner[:30, :30] = 1
    scores = plain_score(route)([portrait, *hide(portrait, [corner])], [pair.candidate.portrait])
    assert scores[0] == scores[1]


@pytest.mark.parametrize("name", ["sketch-to-photo:pix2pix", "photo-to-sketch:pencil"])
def test_routes_that_translate_are_explained(name: str, pair: Pair) -> None:
    route = routes.load(name)
    told = explain(plain_score(route), pair.probe.portrait, pair.candidate.portrait, patch=96, step=86)
    assert told.described == 2 * (9 + len(regions.REGIONS) + 2)
    assert told.ceiling > 0


def test_an_overlay_is_orange_where_it_matters_and_blue_where_it_does_not() -> None:
    values = np.zeros((256, 256), dtype=np.float32)
    values[:10], values[-10:] = 0.2, -0.2
    shown = np.asarray(overlay(Image.new("RGB", (256, 256), (100, 150, 100)), values), dtype=int)
    assert shown[0, 0, 0] > shown[0, 0, 2] + 100
    assert shown[-1, 0, 2] > shown[-1, 0, 0] + 80
    assert shown[128, 0, 0] == shown[128, 0, 1] == shown[128, 0, 2]
    fainter = np.asarray(overlay(Image.new("RGB", (256, 256), (100, 150, 100)), values, ceiling=2.0), dtype=int)
    assert abs(fainter[0, 0, 0] - shown[128, 0, 0]) < 20


def test_hiding_fills_in_from_around() -> None:
    """A dark mouth on skin becomes skin, without an edge; the rest stays as it is."""
    skin = np.full((256, 256, 3), (200, 160, 140), dtype=np.uint8)
    mouth = regions.from_landmarks(Image.new("RGB", (256, 256)))["mouth"]
    dark = skin.copy()
    inner = np.zeros_like(mouth)
    inner[180:196, 115:141] = True
    dark[inner] = 20
    (hidden,) = hide(Image.fromarray(dark), [soften(mouth)])
    assert np.abs(np.asarray(hidden, dtype=int) - skin).max() <= 3
    mask = np.zeros((256, 256), dtype=np.float32)
    (same,) = hide(Image.fromarray(dark), [mask])
    assert np.array_equal(same, dark)
    (all_hidden,) = hide(Image.fromarray(dark), [mask + 1])
    assert np.isfinite(np.asarray(all_hidden)).all()


def test_wrong_input_is_refused(pair: Pair) -> None:
    small, whole, score = Image.new("RGB", (112, 112)), patterned("mouth"), brightness("mouth")
    with pytest.raises(ValueError, match="112 x 112"):
        explain(score, whole, small)
    with pytest.raises(ValueError, match="patch and a step"):
        explain(score, whole, whole, step=0)
    with pytest.raises(ValueError, match="areas between 0 and 1"):
        deletion_check(score, whole, whole, pair.told, areas=(10,))
    with pytest.raises(ValueError, match="map's size"):
        overlay(small, pair.told.probe_map)
