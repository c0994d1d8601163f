import numpy as np
import pytest
from PIL import Image

from forensic.faces import PORTRAIT, regions

PORTRAIT_IMAGE = Image.new("RGB", (256, 256))


@pytest.mark.parametrize("size", [(256, 256), (200, 250)])
def test_every_pixel_is_in_exactly_one_region(size: tuple[int, int]) -> None:
    masks = regions.from_landmarks(Image.new("RGB", size))
    assert tuple(masks) == regions.REGIONS
    assert all(mask.shape == size[::-1] and mask.any() for mask in masks.values())
    assert (np.sum(list(masks.values()), axis=0) == 1).all()


def test_landmarks_lie_in_their_regions() -> None:
    """Left and right are the person's own: the image's left eye is the right one."""
    masks = regions.from_landmarks(PORTRAIT_IMAGE)
    names = ["right eye", "left eye", "nose", "mouth", "mouth"]
    for name, (x, y) in zip(names, PORTRAIT.landmarks, strict=True):
        assert masks[name][int(y), int(x)], name


def test_sides_mirror_each_other() -> None:
    eyes, mouth = [[103.0, 128.0], [153.0, 128.0]], [[108.0, 188.0], [148.0, 188.0]]
    masks = regions.from_landmarks(PORTRAIT_IMAGE, np.array([*eyes, [128.0, 158.0], *mouth]))
    for part in ("brow", "eye", "cheek"):
        left, right = masks[f"left {part}"], masks[f"right {part}"]
        assert abs(int(left.sum()) - int(right.sum())) <= 0.05 * left.sum()
        assert (left[:, ::-1] & right).sum() > 0.9 * right.sum()


def test_parts_lie_as_in_a_face() -> None:
    masks = regions.from_landmarks(PORTRAIT_IMAGE)
    y = {name: np.nonzero(mask)[0].mean() for name, mask in masks.items()}
    order = ["hair", "forehead", "left brow", "left eye", "nose", "mouth", "chin and jaw"]
    assert [y[name] for name in order] == sorted(y[name] for name in order)


def test_regions_turn_with_the_landmarks() -> None:
    """A face that is turned by a quarter has its regions turned."""
    upright = regions.from_landmarks(PORTRAIT_IMAGE)
    x, y = PORTRAIT.landmarks.T
    turned = regions.from_landmarks(PORTRAIT_IMAGE, np.stack([256 - y, x], axis=1))
    for name, mask in upright.items():
        assert (np.rot90(mask, -1) != turned[name]).mean() < 0.005, name


@pytest.mark.parametrize(
    ("landmarks", "problem"),
    [
        (np.zeros((4, 2)), "shape"),
        (np.zeros((5, 2)), "coincide"),
        (PORTRAIT.landmarks[[1, 0, 2, 4, 3]], "image's left eye first"),
    ],
)
def test_landmarks_that_are_no_faces_are_refused(landmarks: np.ndarray, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        regions.from_landmarks(PORTRAIT_IMAGE, landmarks)
