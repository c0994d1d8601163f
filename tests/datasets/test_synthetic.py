"""Synthetic people: the same every time, all different, and faces to a detector that never saw them."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forensic import datasets
from forensic.datasets import synthetic
from forensic.datasets.head import SIZE, Head, View
from forensic.datasets.persons import TRAITS
from forensic.datasets.synthetic import Person, Variation, draw_photo, draw_sketch, landmarks, make_people
from forensic.errors import DataError

SAMPLE = 20


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    return [draw_photo(Person.sample(seed), Variation.sample(seed)) for seed in range(SAMPLE)]


@pytest.fixture(scope="module")
def sketches() -> list[Image.Image]:
    return [
        draw_sketch(Person.sample(seed), Variation.sample(seed + 1000, 0.4), np.random.default_rng(seed))
        for seed in range(SAMPLE)
    ]


def sketch(seed: int, hand: int = 0, **options: float) -> np.ndarray:
    drawn = draw_sketch(Person.sample(seed), Variation(), np.random.default_rng(hand), **options)
    return np.asarray(drawn)


def test_a_seed_is_a_person() -> None:
    assert Person.sample(7) == Person.sample(7)
    assert len({Person.sample(seed) for seed in range(500)}) == 500


def test_people_are_far_apart() -> None:
    """Two people never nearly coincide: in units of the traits' spreads, the nearest of 400 are well apart."""
    vectors = np.stack([Person.sample(seed).vector() for seed in range(400)])
    distances = np.sqrt(((vectors[:, None] - vectors[None]) ** 2).mean(-1))
    np.fill_diagonal(distances, np.inf)
    assert vectors.shape[1] == len(TRAITS) > 50
    assert distances.min() > 0.7


def test_pictures_are_deterministic_and_of_the_stated_size(
    photos: list[Image.Image], sketches: list[Image.Image]
) -> None:
    again = draw_photo(Person.sample(3), Variation.sample(3))
    assert again.tobytes() == photos[3].tobytes()
    redrawn = draw_sketch(Person.sample(3), Variation.sample(1003, 0.4), np.random.default_rng(3))
    assert redrawn.tobytes() == sketches[3].tobytes()
    assert {(image.mode, image.size) for image in photos + sketches} == {("RGB", SIZE)}


def test_a_variation_changes_the_picture_and_not_the_person() -> None:
    person = Person.sample(4)
    first, second = (np.asarray(draw_photo(person, Variation.sample(seed)), float) for seed in (1, 2))
    assert np.abs(first - second).mean() > 2
    assert person == Person.sample(4)


def test_every_kind_of_person_can_be_drawn() -> None:
    """Each hair style, beard and pair of glasses, on its own: a picture with tones from dark to light."""
    plain = Person.sample(1)
    for part, choices in (
        ("hair_style", {name for styles in synthetic_styles().values() for name in styles}),
        ("beard", {"none", "stubble", "moustache", "goatee", "full"}),
        ("glasses", {"none", "round", "square"}),
    ):
        pictures = set()
        for choice in sorted(choices):
            changes = {part: choice} | ({"sex": "male"} if part == "beard" else {})
            person = dataclasses.replace(plain, **changes)
            pictures.add(draw_photo(person, Variation()).tobytes())
            assert np.asarray(draw_sketch(person, Variation(), np.random.default_rng(0))).std() > 20
        assert len(pictures) == len(choices)


def synthetic_styles() -> dict:
    from forensic.datasets.persons import HAIR_STYLES

    return HAIR_STYLES


def test_extreme_traits_stay_drawable() -> None:
    """A witness who remembers everything wrongly still gives a picture without holes."""
    for seed in range(6):
        assert np.isfinite(Person.sample(seed).distorted(4, np.random.default_rng(seed)).vector()).all()
        assert sketch(seed, hand=seed, distortion=4).std() > 20


def test_distortion_dials_the_likeness() -> None:
    """Without distortion two drawings differ by the hand alone; with more of it they differ more and more."""
    person = Person.sample(9)
    apart = []
    for amount in (0.0, 0.5, 1.0):
        off = [person.distorted(amount, np.random.default_rng(seed)).vector() - person.vector() for seed in range(40)]
        apart.append(float(np.sqrt(np.mean(np.square(off)))))
    assert apart[0] == 0
    assert apart[1] == pytest.approx(0.5, rel=0.2)  # limits and clipping take a little
    assert apart[2] == pytest.approx(1.0, rel=0.2)
    assert not np.array_equal(sketch(9, hand=1, distortion=0.0), sketch(9, hand=2, distortion=0.0))


def test_a_sketch_is_grey_on_paper() -> None:
    """Graphite has no colour, and most of the sheet stays bare."""
    pixels = sketch(5).astype(int)
    assert np.ptp(pixels, axis=-1).max() <= 10
    assert (pixels.mean(-1) > 200).mean() > 0.4


def test_the_view_inverts_itself() -> None:
    variation = Variation(roll=3, yaw=0.06, pitch=-0.05, shift=(4, -3))
    view = View(variation)
    x, y = view.grid()
    rows, columns = np.mgrid[40:300:20, 30:230:20]
    back = view.project(np.stack([x[rows, columns].ravel(), y[rows, columns].ravel()], 1))
    pixels = np.stack([columns.ravel(), rows.ravel()], 1) + 0.5
    assert np.abs(back - pixels).max() < 1.0


def test_landmarks_lie_on_what_they_name() -> None:
    """Oracle: the picture itself. Pupils are dark, and darker than the skin between the eyes."""
    person = dataclasses.replace(Person.sample(2), glasses="none", eye_height=12.0)
    variation = Variation(yaw=0.04, roll=2)
    grey = np.asarray(draw_photo(person, variation).convert("L"), float)
    points = landmarks(person, variation)
    assert points.shape == (5, 2)
    left, right = points[:2]
    between = (left + right) / 2
    tone = [grey[int(y) - 1 : int(y) + 3, int(x) - 1 : int(x) + 3].mean() for x, y in (left, right, between)]
    assert max(tone[:2]) < 0.6 * tone[2]
    assert points[3, 0] < points[2, 0] < points[4, 0]
    assert points[:2, 1].max() < points[2, 1] < points[3:, 1].min()
    head = Head(person, variation)
    assert np.allclose(View(variation).project(head.landmarks()), points)


def test_a_detector_finds_every_face_where_it_is(photos: list[Image.Image]) -> None:
    """MTCNN, trained on photographs of people, at its default thresholds."""
    import torch
    from facenet_pytorch import MTCNN

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        detector = MTCNN(keep_all=True)
        errors = []
        for seed, photo in enumerate(photos):
            boxes, _, points = detector.detect(photo, landmarks=True)
            assert boxes is not None, f"no face in the photo of seed {seed}"
            assert len(boxes) == 1, f"{len(boxes)} faces in the photo of seed {seed}"
            truth = landmarks(Person.sample(seed), Variation.sample(seed))
            found = np.asarray(points[0], dtype=float)
            errors.append(np.linalg.norm(found - truth, axis=1) / np.linalg.norm(truth[1] - truth[0]))
    finally:
        torch.set_num_threads(threads)
    assert np.median(errors, axis=0).max() < 0.09
    assert np.percentile(errors, 95) < 0.2


def test_a_sketch_resembles_its_own_photo(photos: list[Image.Image], sketches: list[Image.Image]) -> None:
    """Correlation of coarse grey tones, after each modality's mean: mates above strangers for most people."""

    def tones(images: list[Image.Image]) -> np.ndarray:
        small = [np.asarray(image.convert("L").crop((40, 20, 216, 270)).resize((22, 31)), float) for image in images]
        flat = np.stack(small).reshape(len(images), -1)
        flat = flat - flat.mean(1, keepdims=True)
        flat = flat - flat.mean(0)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    likeness = tones(sketches) @ tones(photos).T
    mates = np.diag(likeness)
    strangers = likeness[~np.eye(SAMPLE, dtype=bool)]
    assert mates.mean() > strangers.mean() + 0.2
    better = (likeness <= mates[:, None]).mean(axis=1)  # share of people who are less alike; 0.5 by chance
    assert better.mean() > 0.8


def test_make_people_writes_a_table_fit_to_enroll(tmp_path: Path) -> None:
    seen: list[int] = []
    made = make_people(tmp_path, 12, seed=3, progress=seen.append)
    assert seen == list(range(1, 13))
    with (tmp_path / "people.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(synthetic.COLUMNS)
    assert [(tmp_path / row["file"]) for row in rows] == [photo for one in made for photo in one.photos]
    assert len({one.label for one in made}) == 12
    for row in rows:
        assert (tmp_path / row["file"]).is_file()
        assert row["person"].startswith(synthetic.PREFIX)
        assert row["name"].startswith("Synthetic ")
        assert row["sex"] in ("female", "male")
        assert 18 <= int(row["date_taken"][:4]) - int(row["birth_year"]) <= 80
    assert len(datasets.pairs(tmp_path)) == 12  # it is a folder of photo-sketch pairs too
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert written <= set(synthetic.files_of(12))


def test_make_people_repeats_itself_and_draws_who_is_asked_for(tmp_path: Path) -> None:
    first = make_people(tmp_path / "a", 3, seed=1, sketches=[2])
    second = make_people(tmp_path / "b", 3, seed=1, sketches=[2])
    other = make_people(tmp_path / "c", 3, seed=2, sketches=[2])
    assert [one.sketch is not None for one in first] == [False, True, False]
    for one, again, else_ in zip(first, second, other, strict=True):
        assert one.photos[0].read_bytes() == again.photos[0].read_bytes() != else_.photos[0].read_bytes()
    assert first[1].sketch.read_bytes() == second[1].sketch.read_bytes()
    assert (tmp_path / "a/people.csv").read_bytes() == (tmp_path / "b/people.csv").read_bytes()


def test_some_people_have_two_photos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the drawing, which is slow: about one in eight."""
    monkeypatch.setattr(synthetic, "draw_photo", lambda person, variation: Image.new("RGB", (8, 8)))
    made = make_people(tmp_path, 400, sketches=[])
    two = [one for one in made if len(one.photos) == 2]
    assert 25 < len(two) < 80
    assert all(one.photos[1].parent.name == "photos-later" for one in two)


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (1_000_000, 0), (5, -1)])
def test_make_people_refuses_impossible_numbers(tmp_path: Path, count: int, seed: int) -> None:
    with pytest.raises(DataError, match="expected 1 to 999,999 people"):
        make_people(tmp_path, count, seed)


def test_make_people_says_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        make_people(tmp_path / "file", 1)
