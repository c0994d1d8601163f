"""Against the paper's sums, pixel by pixel, with numpy's least squares."""

import numpy as np
import pytest
import torch
from invented import noise

from forensic.errors import UsageError
from forensic.images import luminance
from forensic.synthesis import create
from forensic.synthesis.methods.ssd import SSD, least_squares


@pytest.mark.parametrize("step", [1, 2])
def test_a_pixel_is_the_mean_of_what_all_mappings_around_it_draw(step: int) -> None:
    photos, sketches, probe = noise(2, 9, 8, seed=0), noise(2, 9, 8, seed=1), noise(1, 9, 8, seed=2)
    ssd = SSD(neighbours=3, patch=5, step=step, search=1).fit(photos, sketches)
    x = luminance(probe)[0, 0]
    sources, targets = ((1 + side.double().numpy()) for side in (luminance(photos)[:, 0], sketches))
    estimates: dict[tuple[int, int], list[np.ndarray]] = {}
    for top, left in ssd.places.tolist():
        nearest = ssd.nearest(x, torch.tensor([[top, left]]), 3, 5)[0].tolist()
        columns = np.stack([sources[m, y : y + 5, c : c + 5].ravel() for m, y, c in nearest], axis=1)
        patch = 1 + x[top : top + 5, left : left + 5].double().numpy().ravel()
        mapping = np.linalg.lstsq(columns, patch, rcond=None)[0]
        for i in range(5):
            for j in range(5):
                drawn = sum(
                    factor * targets[m, :, y + i, c + j] for factor, (m, y, c) in zip(mapping, nearest, strict=True)
                )
                estimates.setdefault((top + i, left + j), []).append(drawn)
    made = ssd.translate(probe)[0].numpy()
    for (y, c), drawn in estimates.items():
        np.testing.assert_allclose(made[:, y, c], (np.mean(drawn, axis=0) - 1).clip(-1, 1), atol=1e-4)
    assert len(estimates) == 72


def test_a_mapping_has_no_constraint() -> None:
    """Factors of 0.3 and 0.9, whose sum is not 1, are found."""
    C = torch.rand(1, 2, 50, generator=torch.Generator().manual_seed(0))
    factors = torch.tensor([[0.3, 0.9]])
    torch.testing.assert_close(least_squares((factors[..., None] * C).sum(1), C), factors, rtol=0, atol=1e-4)


def test_the_same_patches_share_the_factor_and_black_has_none() -> None:
    t = torch.rand(1, 50, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(least_squares(t, t[:, None].expand(1, 4, 50)), torch.full((1, 4), 0.25))
    assert torch.equal(least_squares(t, torch.zeros(1, 4, 50)), torch.zeros(1, 4))


def test_bad_settings_are_refused() -> None:
    for settings in ({"neighbours": 0}, {"step": 0}, {"step": 18}):
        with pytest.raises(UsageError, match="ssd"):
            create("ssd", **settings)
