import numpy as np
import pytest
from PIL import Image
from scipy.optimize import least_squares

from forensic.faces.align import ARCFACE, CROP, PORTRAIT, similarity, warp


def test_similarity_is_the_least_squares_one() -> None:
    """Oracle: scipy minimizes the same four-parameter residual without the closed form."""
    rng = np.random.default_rng(3)
    source, target = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))

    def residual(p: np.ndarray) -> np.ndarray:
        turn = np.array([[p[0], -p[1]], [p[1], p[0]]])
        return (source @ turn.T + p[2:] - target).ravel()

    best = least_squares(residual, np.ones(4)).x
    a, t = similarity(source, target)
    np.testing.assert_allclose([a.real, a.imag, t.real, t.imag], best, atol=1e-6)


def test_similarity_recovers_a_known_map() -> None:
    a, t = similarity(ARCFACE, ARCFACE * 2 + (3, 4))
    assert a == pytest.approx(2)
    assert t == pytest.approx(3 + 4j)
    with pytest.raises(ValueError, match="coincide"):
        similarity(np.ones((5, 2)), ARCFACE)


@pytest.mark.parametrize("angle", [0, 25, -60])
@pytest.mark.parametrize("scale", [0.7, 1.0, 3.3])
def test_landmarks_land_on_the_frame(angle: float, scale: float) -> None:
    """Draw a dot at each landmark of a turned and scaled face; after warping, each lies where the frame says."""
    turn = scale * np.exp(1j * np.deg2rad(angle))
    points = (ARCFACE - 56) @ (1, 1j) * turn + (260 + 240j)
    rows, columns = np.mgrid[0:500, 0:520]
    picture = np.zeros((500, 520))
    for point in points:  # Pillow's pixel (x, y) has its centre at (x + .5, y + .5)
        distance = (columns + 0.5 - point.real) ** 2 + (rows + 0.5 - point.imag) ** 2
        picture += np.exp(-distance / (2 * (1.5 * scale) ** 2))
    image = Image.fromarray((255 * picture.clip(0, 1)).astype(np.uint8)).convert("RGB")
    crop = np.asarray(warp(image, np.stack([points.real, points.imag], axis=1), CROP).convert("L")).astype(float)
    rows, columns = np.mgrid[0:112, 0:112]
    for x, y in ARCFACE:
        near = crop * ((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 < 36)
        assert (near * (columns + 0.5)).sum() / near.sum() == pytest.approx(x, abs=0.35)
        assert (near * (rows + 0.5)).sum() / near.sum() == pytest.approx(y, abs=0.35)


def test_the_border_goes_on_where_the_image_ends() -> None:
    white = Image.new("RGB", (60, 60), (250, 240, 230))
    crop = np.asarray(warp(white, ARCFACE - 30, CROP))
    assert np.unique(crop.reshape(-1, 3), axis=0).tolist() == [[250, 240, 230]]


def test_portrait_and_crop_share_their_landmarks() -> None:
    """A crop through the portrait shows what a crop of the image shows."""
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).resize(
        (400, 400), Image.Resampling.BICUBIC
    )
    landmarks = ARCFACE * 2 + 60
    straight = np.asarray(warp(smooth, landmarks, CROP)).astype(float)
    through = np.asarray(warp(warp(smooth, landmarks, PORTRAIT), PORTRAIT.landmarks, CROP)).astype(float)
    assert np.abs(straight - through).mean() < 1.5


def test_the_portrait_frame_is_that_of_cufs() -> None:
    """The mean landmarks measured on all 606 CUFS photos, padded from 200 x 250 to 256 x 256."""
    measured = [[102.2, 129.0], [153.3, 128.8], [128.0, 157.9], [107.0, 186.8], [149.0, 186.6]]
    assert np.abs(PORTRAIT.landmarks - measured).max() < 3
