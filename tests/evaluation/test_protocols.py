import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from forensic.errors import DataError, FaceError, UsageError
from forensic.evaluation import null_space, protocols, systems, trials
from forensic.evaluation.accuracy import Report
from forensic.evaluation.rows import rows as rows_of
from forensic.matching import Matcher
from forensic.recognition.cohort import Cohort
from forensic.recognition.fusion import Scoring
from forensic.recognition.nlda import NLDA

SIZE = 24
LOST = {"subset-b-07"}  # no face will be found in this person's sketch


class Face(NamedTuple):
    method: str = "fake"


class Aligned(NamedTuple):
    code: np.ndarray
    face: Face = Face()


class FakeFinder:
    """Reads the person's code back out of the picture; finds no face in a black one."""

    def __init__(self) -> None:
        self.calls = 0

    def find(self, images: Sequence[Image.Image]) -> list[Aligned | FaceError]:
        self.calls += len(images)
        codes = [np.asarray(image).astype(float)[:, :, 0].ravel() - 128 for image in images]
        return [Aligned(code) if code.max() > -100 else FaceError("No face was found.") for code in codes]


@dataclass
class FakeRoute:
    name: str
    noise: float
    models: dict[str, str] = field(default_factory=lambda: {"embedder": "00ff"})
    space: str = "space"
    translated: str | None = None

    def describe(self, aligned: Sequence[Aligned], side: str) -> np.ndarray:
        rows = []
        for face in aligned:
            spoilt = np.random.default_rng(abs(int(face.code.sum()))).normal(size=64) * self.noise * 40
            vector = face.code[:64] + (spoilt if side == "probe" else 0)
            rows.append(vector / np.linalg.norm(vector))
        return np.array(rows, dtype=np.float32)

    def portraits(self, aligned: Sequence[Aligned], side: str) -> Any:
        faces = np.zeros((len(aligned), 3, 256, 256), dtype=np.float32)
        for image, face in zip(faces, aligned, strict=True):
            image[:, 100 : 100 + SIZE, 100 : 100 + SIZE] = face.code.reshape(SIZE, SIZE) / 128
        return -faces if side == self.translated else faces


def paint(path: Path, code: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(code + 128, 20, 255).astype(np.uint8).reshape(SIZE, SIZE)).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in place of people: 24 of a subset a, 12 of b (its sketches and photos share a background)."""
    root = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    rows = []
    for subset, count in (("a", 24), ("b", 12)):
        background = generator.normal(size=SIZE * SIZE) * 20
        for number in range(count):
            name = f"subset-{subset}-{number:02}"
            person = generator.normal(size=SIZE * SIZE) * 20 + background
            lost = np.full_like(person, -128.0)
            paint(root / f"photos/{name}.png", person)
            paint(
                root / f"sketches/{name}.png",
                lost if name in LOST else person + generator.normal(size=576) * 12,
            )
            rows.append((name, subset, "test", f"photos/{name}.png", f"sketches/{name}.png"))
    rows.append(("other", "a", "train", rows[0][3], rows[0][4]))
    with (root / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("identity", "subset", "split", "photo", "sketch"), *rows])
    for number in range(300):
        paint(root / f"crowd/{number:03}.png", generator.normal(size=SIZE * SIZE) * 25)
    (root / "crowd/000.png").write_text("not an image")
    return root


ROUTES = [FakeRoute("untrained", 1.2), FakeRoute("direct", 0.5)]
PROTOCOLS = ("closed-set", "open-set", "nlda", "distractors")


def alone(route: FakeRoute) -> Matcher:
    return Matcher((route,), Scoring.plain(1))  # type: ignore[arg-type]


SYSTEMS = [alone(route) for route in ROUTES]


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return protocols.evaluate(
        folder, SYSTEMS, FakeFinder(), protocols=PROTOCOLS, distractors=folder / "crowd", repeats=4
    )


def test_closed_set_is_what_a_walk_over_the_list_gives(report: Report, folder: Path) -> None:
    finder = FakeFinder()
    names = [f"subset-a-{number:02}" for number in range(24)] + [f"subset-b-{number:02}" for number in range(12)]
    for route in ROUTES:
        ranks = []
        photos = [finder.find([Image.open(folder / f"photos/{name}.png").convert("RGB")])[0] for name in names]
        gallery = route.describe([face for face in photos if isinstance(face, Aligned)], "gallery")
        for at, name in enumerate(names):
            found = finder.find([Image.open(folder / f"sketches/{name}.png").convert("RGB")])[0]
            if isinstance(found, FaceError):
                ranks.append(np.inf)
                continue
            scores = gallery @ route.describe([found], "probe")[0]
            ranks.append(1 + sum(scores[other] > scores[at] for other in range(36) if other != at))
        row = next(row for row in report.closed_set if (row.route, row.subset) == (route.name, "all"))
        assert (row.probes, row.gallery, row.missed) == (36, 36, 1)
        assert list(row.ranks) == [1, 5, 10, 20]  # no rank beyond the gallery
        for rank, figure in row.ranks.items():
            assert figure.value == pytest.approx(np.mean(np.array(ranks) <= rank))
            assert figure.low <= figure.value <= figure.high
        assert row.curve.value[4] == row.ranks[5].value
        assert len(row.curve.value) == 36
        assert max(row.curve.value) <= 35 / 36


def test_each_subset_searches_its_own_photos(report: Report) -> None:
    sizes = {row.subset: (row.probes, row.gallery, row.missed) for row in report.closed_set}
    assert sizes == {"all": (36, 36, 1), "a": (24, 24, 0), "b": (12, 12, 1)}
    assert [row.route for row in report.closed_set[:2]] == ["untrained", "direct"]


def test_every_route_is_compared_with_the_untrained_one(report: Report) -> None:
    untrained, direct = report.closed_set[:2]
    assert untrained.over_untrained is None
    assert direct.over_untrained is not None
    gain = direct.ranks[1].value - untrained.ranks[1].value
    assert gain > 0
    assert direct.over_untrained.value == pytest.approx(gain)


def test_a_file_without_a_face_is_reported_and_faces_are_found_once(report: Report, folder: Path) -> None:
    faces = report.to_dict()["faces"]
    assert faces["probes"]["failures"] == [{"file": "subset-b-07.png", "reason": "No face was found."}]
    assert faces["probes"]["detectors"] == {"fake": 35}
    assert faces["gallery"] == {"files": 36, "found": 36, "detectors": {"fake": 36}, "failures": []}
    assert faces["distractors"]["found"] == 299
    assert "000.png" in faces["distractors"]["failures"][0]["reason"]
    finder = FakeFinder()
    protocols.evaluate(folder, SYSTEMS, finder, protocols=["closed-set"])
    assert finder.calls == 72


def test_distractors_enlarge_the_gallery_step_by_step(report: Report) -> None:
    for route in ("untrained", "direct"):
        rows = [row for row in report.distractors if row.route == route]
        assert [row.distractors for row in rows] == [0, 250, 299]
        assert [row.gallery for row in rows] == [36, 286, 335]
        closed = next(row for row in report.closed_set if row.route == route)
        assert rows[0].ranks[1] == closed.ranks[1]
        for rank in (1, 10, 50):
            values = [row.ranks[rank].value for row in rows]
            assert values == sorted(values, reverse=True)  # nested galleries: no rank can improve
    assert report.distractors[2].ranks[1].value < report.distractors[0].ranks[1].value


def test_nlda_has_a_row_on_pixels_and_one_on_embeddings(report: Report) -> None:
    rows = [(row.route, row.features, row.analysis) for row in report.nlda]
    assert rows == [
        (route, *features)
        for route in ("untrained", "direct")
        for features in (("pixels", "NLDA"), ("embeddings", "regularized LDA"))
    ]
    for row in report.nlda:
        assert (row.repeats, row.fitting, row.testing) == (4, 16, 20)  # 150 of 338
        assert len(row.mean) == len(row.deviation) == 15
        assert row.maximum.value == pytest.approx(max(row.mean))
        assert row.mean[row.maximum_at - 1] == max(row.mean)
        assert 1 <= row.chosen_at <= 15
        assert row.chosen.value <= row.maximum.value
        assert max(row.mean) <= 19.5 / 20  # the lost face is always tested and always missed


@pytest.mark.parametrize("pictures", [1, 2])
def test_the_nlda_curve_is_the_protocols(folder: Path, pictures: int) -> None:
    """Against the protocol done the long way, on the pixels themselves; all pictures of a person are on one side."""
    probes, gallery = (
        trials.describe(entries, side, ROUTES[:1], FakeFinder(), pixels=True)
        for entries, side in zip(trials.sides(trials.pairs_of(folder, "test")), ("probe", "gallery"), strict=True)
    )
    people = np.array([f"{at // pictures:02}" for at in range(len(probes.people))])
    probes, gallery = replace(probes, people=people), replace(gallery, people=people)
    (pixels, _) = null_space.null_space(["untrained"], probes, gallery, repeats=1, seed=5)
    whole = np.unique(people[probes.found])
    fitting = np.random.default_rng(5).permutation(whole)[: round(len(np.unique(people)) * 150 / 338)]
    inside = np.isin(people, fitting)
    sketches, photos = probes.pixels["untrained"].astype(float), gallery.pixels["untrained"].astype(float)
    there = inside & probes.found
    fitted = NLDA().fit(
        np.concatenate([sketches[there], photos[inside]]), np.concatenate([people[there], people[inside]])
    )
    left, right = fitted.transform(sketches[~inside]), fitted.transform(photos[~inside])
    assert (pixels.fitting, pixels.testing) == (len(fitting), len(np.unique(people[~inside])))
    for dimension in (1, 5, len(fitting) - 1):
        nearest = [int(np.argmin(((row[:dimension] - right[:, :dimension]) ** 2).sum(axis=1))) for row in left]
        hit = (people[~inside][nearest] == people[~inside]) & probes.found[~inside]
        assert pixels.mean[dimension - 1] == pytest.approx(hit.mean())


def test_pictures_that_routes_share_are_kept_once(folder: Path) -> None:
    routes = [*ROUTES, FakeRoute("negative", 0.5, translated="probe")]
    entries, photos = trials.sides(trials.pairs_of(folder, "test"))
    probes = trials.describe(entries, "probe", routes, FakeFinder(), pixels=True)
    gallery = trials.describe(photos, "gallery", routes, FakeFinder(), pixels=True)
    assert probes.pixels["untrained"] is probes.pixels["direct"]
    assert gallery.pixels["untrained"] is gallery.pixels["direct"] is gallery.pixels["negative"]
    found = probes.found
    np.testing.assert_allclose(probes.pixels["negative"][found], 1 - probes.pixels["direct"][found], atol=1e-6)
    assert np.ptp(probes.pixels["direct"][found]) > 0.1
    assert trials.describe(photos, "gallery", routes, FakeFinder()).pixels == {}


@pytest.mark.parametrize("length", [500, 12])
def test_the_rotation_keeps_distances(length: int) -> None:
    rows = np.random.default_rng(0).random((20, length)).astype(np.float32)
    inside = null_space.in_own_span(rows)
    assert inside.shape[1] <= min(20, length)

    def distances(table: np.ndarray) -> np.ndarray:
        return np.linalg.norm(table[:, None].astype(float) - table[None], axis=2)

    np.testing.assert_allclose(distances(inside), distances(rows), rtol=1e-5, atol=1e-5)


def test_the_dimension_is_chosen_on_fitting_people_alone(folder: Path) -> None:
    """Spoiling everything about the tested people leaves the chosen dimensions as they were."""
    probes, gallery = (
        trials.describe(entries, side, ROUTES[1:], FakeFinder(), pixels=True)
        for entries, side in zip(trials.sides(trials.pairs_of(folder, "test")), ("probe", "gallery"), strict=True)
    )
    before = null_space.null_space(["direct"], probes, gallery, repeats=1, seed=1)
    fitting = np.random.default_rng(1).permutation(np.unique(probes.identities[probes.found]))[:16]
    for side in (probes, gallery):
        tested = ~np.isin(side.identities, fitting)
        for table in (side.templates["direct"], side.pixels["direct"]):
            table[tested] = np.random.default_rng(9).random((int(tested.sum()), table.shape[1]))
    after = null_space.null_space(["direct"], probes, gallery, repeats=1, seed=1)
    assert [row.chosen_at for row in after] == [row.chosen_at for row in before]
    assert [row.mean for row in after] != [row.mean for row in before]


def test_the_report_is_json_and_the_same_again(report: Report, folder: Path) -> None:
    text = json.dumps(report.to_dict(), allow_nan=False)
    again = protocols.evaluate(
        folder, SYSTEMS, FakeFinder(), protocols=PROTOCOLS, distractors=folder / "crowd", repeats=4
    )
    assert json.dumps(again.to_dict(), allow_nan=False) == text
    plain = json.loads(text)
    assert plain["routes"][1] == {"name": "direct", "space": "space", "models": {"embedder": "00ff"}}
    assert plain["data"]["subsets"] == {"a": 24, "b": 12}
    assert plain["data"]["split"] == "test"
    assert plain["made_by"]["forensic-sketch"]
    assert str(folder) not in text
    assert plain["closed_set"][0]["ranks"]["1"].keys() == {"value", "low", "high"}
    rows = list(rows_of(report))
    assert {row["protocol"] for row in rows} == {*PROTOCOLS, "groups", "paired"}
    assert len({tuple(row) for row in rows}) == 1
    assert [row["protocol"] for row in rows].count("closed-set") == 2 * (4 + 4 + 3)


def test_what_cannot_be_evaluated_is_refused(folder: Path, tmp_path: Path) -> None:
    finder = FakeFinder()
    with pytest.raises(UsageError, match=r"Unknown protocol 'cmc'\. Known: closed-set"):
        protocols.evaluate(folder, SYSTEMS, finder, protocols=["cmc"])
    with pytest.raises(UsageError, match="needs a folder of photos"):
        protocols.evaluate(folder, SYSTEMS, finder, protocols=["distractors"])
    with pytest.raises(UsageError, match="first system must be 'untrained'"):
        protocols.evaluate(folder, SYSTEMS[1:], finder)
    with pytest.raises(UsageError, match="at least one repeat"):
        protocols.evaluate(folder, SYSTEMS, finder, repeats=0)
    with pytest.raises(DataError, match=r"needs 12 people, .* shows 1\. Leave it out"):
        protocols.evaluate(folder, SYSTEMS, finder, split="train", protocols=["nlda"])
    assert protocols.evaluate(folder, SYSTEMS, finder, split="train").nlda == ()
    with pytest.raises(DataError, match="No folder of distractors"):
        trials.distractors_in(tmp_path / "none")
    with pytest.raises(DataError, match="holds no photo"):
        trials.distractors_in(tmp_path)
    (tmp_path / "faces.csv").write_text("file\na.png\n")
    with pytest.raises(DataError, match="lacks the column photo"):
        trials.distractors_in(tmp_path)


def test_a_folder_of_pairs_has_no_test_split(tmp_path: Path) -> None:
    for side in ("photos", "sketches"):
        paint(tmp_path / side / "ann.png", np.zeros(SIZE * SIZE))
    with pytest.raises(DataError, match=r"no pair in the split 'test'\. Give --split train or all"):
        trials.pairs_of(tmp_path, "test")
    assert [pair.identity for pair in trials.pairs_of(tmp_path, "all")] == ["ann"]


def test_a_photo_of_two_sketches_is_in_the_gallery_once(folder: Path) -> None:
    probes, photos = trials.sides(trials.pairs_of(folder, "all"))
    assert (len(probes), len(photos)) == (37, 36)


def test_a_table_names_the_distractors(tmp_path: Path) -> None:
    (tmp_path / "faces.csv").write_text("identity,photo\nx,photos/x.png\ny,photos/y.png\n")
    entries = trials.distractors_in(tmp_path)
    assert [entry.file for entry in entries] == [tmp_path / "photos/x.png", tmp_path / "photos/y.png"]
    assert entries[0].identity == "distractor:photos/x.png"


def test_a_table_of_distractors_is_read_as_spreadsheets_write_it_or_refused(tmp_path: Path) -> None:
    (tmp_path / "faces.csv").write_text("photo,sex\nx.png,f\n", encoding="utf-8-sig")
    assert [dict(entry.attributes) for entry in trials.distractors_in(tmp_path)] == [{"sex": "f"}]
    (tmp_path / "faces.csv").write_text("sex,photo\nf\n")
    with pytest.raises(DataError, match="line 2: expected as many fields"):
        trials.distractors_in(tmp_path)


def test_a_system_of_two_routes_scores_as_a_search_does(folder: Path) -> None:
    probes, gallery = (
        trials.describe(entries, side, ROUTES, FakeFinder())
        for entries, side in zip(trials.sides(trials.pairs_of(folder, "test")), ("probe", "gallery"), strict=True)
    )
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(60, 64)).astype(np.float32)
    cohort = Cohort(rows, rows[::-1])
    both = Matcher(tuple(ROUTES), Scoring((0.3, 0.7), (None, cohort)))  # type: ignore[arg-type]
    scores = systems.compare(both, probes, gallery)
    assert [route.name for route in systems.distinct_routes([*SYSTEMS, both])] == ["untrained", "direct"]
    for at in range(len(scores)):
        if not probes.found[at]:
            assert np.isneginf(scores[at]).all()
            continue
        query = both.scoring.query([probes.templates[route.name][at] for route in ROUTES])
        photos = np.hstack([gallery.templates[route.name] for route in ROUTES])
        np.testing.assert_allclose(scores[at], photos @ query.vector + query.offset, atol=1e-6)  # in single precision


def test_faces_are_described_once_for_all_systems_of_a_route(folder: Path) -> None:
    finder, calls = FakeFinder(), []

    class Counted(FakeRoute):
        def describe(self, aligned: Sequence[Aligned], side: str) -> np.ndarray:
            calls.append(side)
            return super().describe(aligned, side)

    route = Counted("direct", 0.5)
    both = Matcher((ROUTES[0], route), Scoring.plain(2))  # type: ignore[arg-type]
    protocols.evaluate(folder, [SYSTEMS[0], alone(route), both], finder, protocols=["closed-set"])
    assert (calls.count("probe"), calls.count("gallery")) == (35, 36)


def test_an_identical_photo_of_a_stranger_is_no_hit_of_the_null_space_protocol() -> None:
    """Coordinates of equal rows are computed apart, and differ in their last digits."""
    generator = np.random.default_rng(0)
    faces = generator.normal(size=(60, 500))
    probes, photos = (faces + 0.3 * generator.normal(size=faces.shape) for _ in range(2))
    photos[31::2] = photos[30::2]  # every tested photo is also somebody else's
    rows = null_space.in_own_span(np.concatenate([probes, photos]).astype(np.float32))
    people = np.tile([f"{k:02}" for k in range(60)], 2)
    samples = null_space.Samples(rows, people, np.ones(120, bool), 60)
    inside = np.isin(people, people[:30])
    assert not null_space.rank_one_curve(samples, inside, ~inside, NLDA(pca=55)).any()


def test_people_with_many_pictures_leave_a_null_space() -> None:
    """300 principal components of more images than that would leave none."""
    generator = np.random.default_rng(0)
    people = np.repeat([f"{k:03}" for k in range(340)], 2)
    faces = {person: generator.normal(size=2000) for person in people}

    def side() -> trials.Side:
        pictures = np.stack([faces[person] + generator.normal(size=2000) for person in people]).astype(np.float32)
        found, of = np.ones(len(people), bool), {"direct": pictures}
        return trials.Side(people, people, people, {}, found, {"direct": pictures[:, :16]}, of, (), {})

    pixels, _ = null_space.null_space(["direct"], side(), side(), repeats=1, seed=0)
    assert (pixels.fitting, pixels.testing, pixels.maximum_at > 1) == (150, 190, True)
    assert pixels.maximum.value > 0.95
