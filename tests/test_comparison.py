"""Likeness by facial part, against what is known of the pictures."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from forensic.comparison import PARTS, Comparer, Likeness
from forensic.datasets.synthetic import Person, Variation, draw_photo, draw_sketch, landmarks
from forensic.faces import PORTRAIT, regions
from forensic.faces.align import warp
from forensic.faces.hiding import soften

STRANGERS, MATES = 20, 8


@pytest.fixture(scope="module")
def comparer() -> Comparer:
    return Comparer()


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    """Aligned portraits of people whom nothing else uses; their landmarks are known, so no face is searched."""
    return [photo(Person.sample(number)) for number in range(STRANGERS)]


def photo(person: Person) -> Image.Image:
    variation = Variation.sample(person.seed)
    return warp(draw_photo(person, variation), landmarks(person, variation), PORTRAIT)


def sketch(person: Person) -> Image.Image:
    variation = Variation.sample(person.seed + 1, 0.4)
    drawn = draw_sketch(person, variation, np.random.default_rng(person.seed))
    return warp(drawn, landmarks(person, variation), PORTRAIT)


def values(found: Sequence[Likeness]) -> dict[str, float]:
    return {one.part: one.value for one in found}


def test_a_portrait_is_most_like_itself_everywhere(comparer: Comparer, photos: list[Image.Image]) -> None:
    others = comparer.describe(photos[1:], "photo")
    found = comparer.compare(photos[0], photos[0], others, kinds=("photo", "photo"))
    assert [one.part for one in found] == list(PARTS)
    for one in found:
        assert one.value == pytest.approx(1)
        assert (one.less_alike, one.others) == (STRANGERS - 1, STRANGERS - 1)


@pytest.mark.parametrize(
    ("part", "far"),
    [
        ("mouth", ("hair", "forehead", "left brow", "right brow", "left eye", "right eye")),
        ("nose", ("hair", "chin and jaw", "ears and sides")),
        ("left eye", ("chin and jaw", "mouth", "right cheek")),
        ("hair", ("nose", "mouth", "chin and jaw", "left eye", "right eye")),
    ],
)
def test_a_part_of_another_face_is_unlike_at_that_part_alone(
    comparer: Comparer, photos: list[Image.Image], part: str, far: tuple[str, ...]
) -> None:
    face, other = photos[0], photos[1]
    mask = soften(regions.from_landmarks(face)[part])
    pasted = Image.composite(other, face, Image.fromarray((255 * mask).astype(np.uint8)))
    others = comparer.describe(photos[2:], "photo")
    fallen = {
        name: 1 - value
        for name, value in values(comparer.compare(face, pasted, others, kinds=("photo", "photo"))).items()
    }
    touched = fallen.pop(part)
    assert touched > 0.2
    assert max(fallen.values()) < touched / 2  # neighbours, which share the patches of the border
    assert max(fallen[name] for name in far) < 0.01


def test_the_mate_is_more_alike_than_strangers(comparer: Comparer, photos: list[Image.Image]) -> None:
    """On the average over people for every part, and over parts for nearly everybody; strangers lie in the middle."""
    others, mates, wrong = comparer.describe(photos, "photo"), [], []
    for number in range(MATES):
        person, stranger = Person.sample(1000 + number), Person.sample(2000 + number)
        drawn = sketch(person)
        for told, one in ((mates, person), (wrong, stranger)):
            told.append([found.less_alike / found.others for found in comparer.compare(drawn, photo(one), others)])
    by_part = np.mean(mates, axis=0)
    assert (by_part > np.mean(wrong, axis=0)).all()
    assert by_part.mean() > 0.85
    assert np.mean(wrong) == pytest.approx(0.5, abs=0.15)
    assert (np.mean(mates, axis=1) > np.mean(wrong, axis=1)).all()


def test_a_likeness_is_read_beside_others() -> None:
    assert Likeness("mouth", 0.2, 7, 11).words == "more alike than 7 of 11 others"
    assert "nobody else" in Likeness("mouth", 0.2, 0, 0).words


def test_without_others_there_is_a_value_alone(comparer: Comparer, photos: list[Image.Image]) -> None:
    found = comparer.compare(photos[0], photos[1], comparer.describe([], "photo"))
    assert {one.others for one in found} == {0}


def test_a_part_that_one_face_does_not_show_is_left_out(photos: list[Image.Image]) -> None:
    def bald(portrait: Image.Image) -> regions.Masks:
        masks = regions.from_landmarks(portrait)
        masks["forehead"] |= masks["hair"]
        masks["hair"] = np.zeros_like(masks["hair"])
        return masks

    comparer = Comparer(parse=bald)
    found = comparer.compare(photos[0], photos[1], comparer.describe(photos[2:4], "photo"))
    assert [one.part for one in found] == [part for part in PARTS if part != "hair"]


def test_only_aligned_portraits_are_compared(comparer: Comparer, photos: list[Image.Image]) -> None:
    with pytest.raises(ValueError, match="112 x 112"):
        comparer.compare(photos[0], Image.new("RGB", (112, 112)), comparer.describe([], "photo"))
