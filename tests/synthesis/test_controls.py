import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from forensic.errors import UsageError
from forensic.synthesis import create
from forensic.synthesis.methods.controls import PHOTO_TONES


def noise(seed: int = 0) -> torch.Tensor:
    return 2 * torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(seed)).expand(-1, 3, -1, -1) - 1


def test_a_wide_pencil_keeps_more_shading() -> None:
    """A broad dark spot fades under the narrow pencil, whose surround is as dark, and stays under the wide one."""
    rows, columns = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    spot = 0.6 - 0.5 * torch.exp(-((rows - 128) ** 2 + (columns - 128) ** 2) / (2 * 14.0**2))
    image = spot.expand(1, 3, -1, -1)
    settings = {"shading": 0.0}
    narrow = create("pencil", **settings).translate(image)[0, 0, 128, 128]
    assert create("pencil-wide", **settings).translate(image)[0, 0, 128, 128] < narrow - 0.1


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_blend_lies_between_photo_and_pencil(share: float) -> None:
    image = noise()
    expected = share * create("pencil").translate(image) + (1 - share) * image
    torch.testing.assert_close(create("blend", share=share).translate(image), expected, atol=1e-5, rtol=0)


def test_a_matched_sketch_has_a_photos_tones_in_its_own_order() -> None:
    sketch = noise(1) ** 3
    toned = create("matched", radius=0.4).translate(sketch)[0, 0]
    levels = np.quantile((toned.numpy() + 1) / 2, np.linspace(0, 1, len(PHOTO_TONES)))
    np.testing.assert_allclose(levels, PHOTO_TONES, atol=2e-3)
    blurred = create("matched", radius=0.4).translate(-sketch)[0, 0]
    assert np.corrcoef(toned.ravel(), blurred.ravel())[0, 1] < -0.9


def test_a_matched_sketch_has_one_tone_for_one_grey() -> None:
    """White paper above and below a dark bar: each is one tone, that of its pixels' mean rank."""
    sketch = torch.ones(1, 3, 256, 256)
    sketch[:, :, 100:140] = -0.5
    toned = (create("matched", radius=0.4).translate(sketch)[0, 0].numpy() + 1) / 2
    ranks = rankdata(sketch[0, 0].numpy()).reshape(256, 256) - 1
    expected = np.interp(ranks / (256 * 256 - 1), np.linspace(0, 1, len(PHOTO_TONES)), PHOTO_TONES)
    away = np.abs(np.arange(256)[:, None] - [99.5, 139.5]).min(axis=1) > 3  # from the bar's blurred edges
    np.testing.assert_allclose(toned[away], expected[away], atol=5e-3)
    assert np.ptp(toned[:90]) == np.ptp(toned[150:]) == 0
    assert toned[0, 0] == toned[255, 255]


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="share 2"):
        create("blend", share=2)
    with pytest.raises(UsageError, match="radius 0"):
        create("matched", radius=0)
