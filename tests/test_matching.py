import dataclasses
import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from forensic import images, matching, search_records, weights
from forensic.commands import options
from forensic.datasets.synthetic import Made
from forensic.errors import DataError, ModelError, UsageError
from forensic.faces import Aligned, Finder
from forensic.matching import Matcher
from forensic.recognition.calibration import Calibration
from forensic.recognition.cohort import Cohort
from forensic.recognition.fusion import Scoring
from forensic.routes import ALIGNMENT, Route

CALIBRATION = Calibration(
    kind="viewed",
    population="nobody",
    people=9,
    mated=20,
    nonmated=80,
    slope=1.5,
    intercept=-2.0,
    lower=-1.0,
    upper=2.0,
)


@pytest.fixture(scope="module")
def face(people: list[Made]) -> Aligned:
    return Finder().one(images.read(people[0].photos[0]).image)


def test_the_command_lines_default_is_the_default() -> None:
    assert options.ROUTE == matching.DEFAULT


def test_names_are_routes_with_a_plus_between() -> None:
    matcher = matching.load(" direct + direct@patches")
    assert matcher.name == "direct+direct@patches"
    assert [route.name for route in matcher.routes] == ["direct", "direct@patches"]
    with pytest.raises(UsageError, match="twice"):
        matching.load("direct+direct")
    with pytest.raises(UsageError, match="Unknown route 'nosuch'"):
        matching.load("direct+nosuch")


def test_the_shipped_sets_of_routes_are_fitted() -> None:
    for name in ("direct", "direct@patches", "direct+direct@patches"):
        scoring = matching.load(name).scoring
        assert scoring.calibration is not None, name
        assert sum(scoring.weights) == pytest.approx(1)
        for cohort in scoring.cohorts:
            assert cohort is not None
            assert len(cohort.sketches) > 500
            np.testing.assert_allclose(np.linalg.norm(cohort.photos, axis=1), 1, atol=1e-3)


def test_plain_scoring_is_the_mean_of_the_cosines(face: Aligned) -> None:
    matcher = matching.load("direct+direct@patches", plain=True)
    assert matcher.scoring.calibration is None
    assert matcher.scoring.cohorts == (None, None)
    probe = [template[None] for template in matcher.describe(face, "probe")]
    gallery = [template[None] for template in matcher.describe(face, "gallery")]
    cosines = [float((a @ b.T)[0, 0]) for a, b in zip(probe, gallery, strict=True)]
    assert matcher.scoring.scores(probe, gallery)[0, 0] == pytest.approx(sum(cosines) / 2, abs=1e-6)


def test_the_order_of_the_routes_changes_no_score(face: Aligned) -> None:
    one, other = matching.load("direct+direct@patches"), matching.load("direct@patches+direct")
    rng = np.random.default_rng(0)
    gallery = [rng.normal(size=(4, route.embedder.dimension)).astype(np.float32) for route in one.routes]
    probes = [template[None] for template in one.describe(face, "probe")]
    scores = one.scoring.scores(probes, gallery)
    np.testing.assert_allclose(other.scoring.scores(probes[::-1], gallery[::-1]), scores, atol=1e-9)


def test_a_part_of_the_routes_has_its_own_scoring() -> None:
    fused, direct = matching.load(), matching.load("direct")
    part = fused.among(fused.routes[:1])
    assert part.name == "direct"
    assert part.scoring.calibration == direct.scoring.calibration
    assert fused.among(fused.routes) is fused


def test_a_stored_scoring_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set of routes that nobody fitted becomes fitted by a file of one's own, found by its models."""
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path))
    name = "photo-to-sketch:blend"
    (route,) = matching.load(name).routes
    assert matching.load(name).scoring.calibration is None
    rng = np.random.default_rng(0)
    cohort = Cohort(
        *(rng.normal(size=(5, route.embedder.dimension)).astype(np.float16).astype(np.float32) for _ in "sp")
    )
    content = matching.pack({matching.key(route): cohort}, {matching.key(route): ((1.0,), CALIBRATION)})
    weights.install("own-scoring", matching.KIND, content, {})
    scoring = matching.load(name).scoring
    assert scoring.calibration == CALIBRATION
    assert scoring.cohorts[0] is not None
    np.testing.assert_array_equal(scoring.cohorts[0].sketches, cohort.sketches)
    (tmp_path / "own-scoring.safetensors").write_bytes(content[:-1] + b"x")
    with pytest.raises(ModelError, match="changed or damaged"):
        matching.load(name)


def test_a_scoring_file_that_does_not_fit_is_a_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path))
    name = "photo-to-sketch:blend"
    (route,) = matching.load(name).routes
    rows = np.eye(5, route.embedder.dimension + 1, dtype=np.float32)
    of = matching.key(route)
    weights.install("own", matching.KIND, matching.pack({of: Cohort(rows, rows)}, {of: ((1.0,), CALIBRATION)}), {})
    with pytest.raises(ModelError, match="another dimension"):
        matching.load(name)
    weights.install("own", matching.KIND, matching.pack({}, {of: ((1.0,), CALIBRATION)}), {})
    with pytest.raises(ModelError, match=r"own\.safetensors"):
        matching.load(name)


def test_one_route_under_two_names_is_refused() -> None:
    with pytest.raises(UsageError, match="two ways"):
        matching.load("direct+direct@mobilefacenet-cross-modal")


def test_the_scoring_stands_among_the_models() -> None:
    matcher = matching.load()
    assert matcher.models["scoring"] == matcher.scoring.digest
    assert len(matcher.models) == 3


def test_a_method_that_takes_part_both_ways_has_both_models_on_record() -> None:
    """Keys and template spaces are of a route alone, so that nothing that was fitted or stored to them is lost."""
    names = ["sketch-to-photo:painter", "photo-to-sketch:painter", "direct"]
    painters = [SimpleNamespace(name="painter", digest=digest * 64) for digest in "ab"]
    embedder = matching.load("direct").routes[0].embedder
    both = (
        Route(names[0], embedder, cast(Any, painters[0]), "probe"),
        Route(names[1], embedder, cast(Any, painters[1]), "gallery"),
        Route(names[2], embedder),
    )
    plain = Scoring.plain(1)
    assert Matcher(both, Scoring.plain(3)).models == {
        embedder.name: embedder.digest,
        "painter (sketch-to-photo)": "a" * 64,
        "painter (photo-to-sketch)": "b" * 64,
    }
    assert Matcher(both[:1], plain).models == {embedder.name: embedder.digest, "painter": "a" * 64}
    assert both[0].models == {embedder.name: embedder.digest, "painter": "a" * 64}  # what keys are made of
    made_by = {"alignment": ALIGNMENT, "translated": "probe", "models": both[0].models}
    assert matching.key(both[0]) == hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:16]
    for matcher in (Matcher(both, Scoring.plain(3)), Matcher(both[:2], Scoring.plain(2))):
        for route in matcher.routes:
            assert search_records.made_with({"models": matcher.models}, route.name, route.models)
        swapped = both[0].models | {"painter": "b" * 64}
        assert not search_records.made_with({"models": matcher.models}, names[0], swapped)


def test_an_own_cohort_has_no_likelihood_ratios() -> None:
    matcher = matching.load()
    own = {matching.key(route): np.eye(2, route.embedder.dimension, dtype=np.float32) for route in matcher.routes}
    assert matcher.with_cohort(own).scoring.calibration is None


def test_further_sketches_join_the_cohort_of_their_route() -> None:
    matcher = matching.load()
    first, second = matcher.routes
    own = {matching.key(second): np.eye(3, second.embedder.dimension, dtype=np.float32)}
    before, after = matcher.scoring.cohorts, matcher.with_cohort(own).scoring.cohorts
    assert after[0] is before[0]
    assert len(after[1].sketches) == len(before[1].sketches) + 3
    assert matcher.with_cohort({}).scoring.cohorts == before
    assert matching.key(first) != matching.key(second)


def test_a_key_is_of_all_that_makes_templates() -> None:
    names = ["direct", "direct@patches", "sketch-to-photo:matched", "photo-to-sketch:pencil", "photo-to-sketch:blend"]
    assert len({matching.key(matching.load(name).routes[0]) for name in names}) == len(names)


def test_shipped_calibrations_say_what_was_measured_of_them() -> None:
    """The figures are those of the two documents, in which other experiments wrote them."""
    root = Path(__file__).parents[1]
    for name in ("direct", "direct@patches", "direct+direct@patches"):
        calibration = matching.load(name).scoring.calibration
        assert calibration is not None
        assert len(calibration.measured) == 6
        for line in calibration.measured:
            page = (root / line.source).read_text(encoding="utf-8")
            if line.source.endswith("recognition.md"):
                page = "".join(part.split("\n### ")[0] for part in page.split("### Likelihood ratios")[1:])
            rows = [
                [cell.strip() for cell in row.split("|")]
                for row in page.splitlines()
                if row.startswith("|") and f"`{name}`" in row
            ]
            source = line.data.partition(",")[0].lower()
            if line.source.endswith("scoring.md"):
                assert [float(row[4]) for row in rows if row[1] == source] == [line.cllr]
            else:
                counts = re.findall(r"([\d,]+) comparisons of one person, ([\d,]+) of two", line.data)
                found = [float(row[4].split()[0]) for row in rows if tuple(row[2:4]) in counts]
                assert found == [line.cllr]


def test_a_calibration_must_rise() -> None:
    with pytest.raises(DataError, match="slope"):
        dataclasses.replace(CALIBRATION, slope=-1.0)
