import math

import numpy as np
import pytest
import torch

from forensic.recognition import patches
from forensic.recognition.patches import PatchGradients


def describe(grey: np.ndarray) -> np.ndarray:
    """Histograms of one grey portrait in [0, 1], shape (orientations, down, across)."""
    portrait = torch.from_numpy(grey.astype(np.float32) * 2 - 1).expand(1, 3, -1, -1)
    shape = (patches.ORIENTATIONS, PatchGradients.down, PatchGradients.across)
    return PatchGradients()(portrait).numpy().reshape(shape)


@pytest.mark.parametrize("orientation", range(patches.ORIENTATIONS))
def test_a_ramp_votes_for_its_own_orientation(orientation: int) -> None:
    angle = math.pi * orientation / patches.ORIENTATIONS
    rows, columns = np.mgrid[:128, :128]
    ramp = 0.5 + 0.003 * ((columns - 64) * math.cos(angle) + (rows - 64) * math.sin(angle))
    found = describe(ramp)[:, 5:-5, 5:-5]
    assert (found.argmax(0) == orientation).all()
    others = np.delete(found, orientation, axis=0)
    assert others.max() < 0.1 * found[orientation].min() + 0.05


def test_dark_on_bright_and_bright_on_dark_are_one_line() -> None:
    rng = np.random.default_rng(0)
    grey = rng.random((128, 128))
    np.testing.assert_allclose(describe(grey), describe(1 - grey), atol=1e-4)


def test_tone_and_contrast_hardly_count() -> None:
    rng = np.random.default_rng(1)
    grey = rng.random((128, 128))
    pale, plain = describe(0.5 * grey + 0.3).ravel(), describe(grey).ravel()
    assert pale @ plain > 0.999 * np.linalg.norm(pale) * np.linalg.norm(plain)


def test_blank_paper_has_no_lines() -> None:
    assert describe(np.full((128, 128), 0.8)).max() < 1e-2


def test_a_patch_is_the_histogram_by_hand() -> None:
    """Oracle: gradients, shared votes, patch means and contrast of one patch in plain loops."""
    rng = np.random.default_rng(2)
    grey = rng.random((128, 128))
    reach = math.ceil(2.5 * patches.SMOOTHING)
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * patches.SMOOTHING**2))
    kernel /= kernel.sum()
    cut = grey[patches.TOP : patches.BOTTOM, patches.LEFT : patches.RIGHT]
    padded = np.pad(cut, reach, mode="edge")
    rows = np.array([np.convolve(row, kernel, mode="valid") for row in padded])
    smooth = np.array([np.convolve(column, kernel, mode="valid") for column in rows.T]).T

    def histogram(down: int, across: int) -> np.ndarray:
        votes = np.zeros(patches.ORIENTATIONS)
        for y in range(down * patches.STRIDE, down * patches.STRIDE + patches.CELL):
            for x in range(across * patches.STRIDE, across * patches.STRIDE + patches.CELL):
                dx, dy = smooth[y, x + 1] - smooth[y, x - 1], smooth[y + 1, x] - smooth[y - 1, x]
                place = (math.atan2(dy, dx) % math.pi) / (math.pi / patches.ORIENTATIONS)
                low = int(place) % patches.ORIENTATIONS
                votes[low] += math.hypot(dx, dy) * (1 - place % 1)
                votes[(low + 1) % patches.ORIENTATIONS] += math.hypot(dx, dy) * (place % 1)
        return votes / patches.CELL**2

    around = [histogram(7 + i, 9 + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    contrast = math.sqrt(np.mean([votes @ votes for votes in around]))
    expected = np.sqrt(histogram(7, 9) / (contrast + patches.BLANK))
    np.testing.assert_allclose(describe(grey)[:, 7, 9], expected, atol=1e-4)


def test_the_frame_is_the_portraits() -> None:
    """The same head as a translator sees, at half the size."""
    assert patches.FRAME.size == patches.SIZE
    eyes = patches.FRAME.landmarks[1] - patches.FRAME.landmarks[0]
    assert 20 < np.linalg.norm(eyes) < 30
