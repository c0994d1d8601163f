import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from forensic.errors import UsageError
from forensic.synthesis import create, load
from forensic.synthesis.methods.pencil import gaussian_blur


def portrait() -> torch.Tensor:
    """A dark disc of 'hair' and a thin dark line on light 'skin'."""
    rows, columns = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    image = torch.full((256, 256), 0.6)
    image[(rows - 60) ** 2 + (columns - 128) ** 2 < 45**2] = -0.8
    image[180:183, 100:156] = -0.2
    return image.expand(1, 3, -1, -1)


def test_blur_is_scipys() -> None:
    image = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    ours = gaussian_blur(torch.from_numpy(image)[None, None], 2.5)[0, 0].numpy()
    theirs = gaussian_filter(image, 2.5, mode="nearest", radius=8)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_lines_are_dark_on_white_paper_and_hair_is_shaded() -> None:
    sketch = create("pencil").translate(portrait())[0]
    assert torch.equal(sketch[0], sketch[1])
    assert torch.equal(sketch[0], sketch[2])
    paper, line, hair = sketch[0, 220, 128], sketch[0, 181, 128], sketch[0, 60, 128]
    assert paper > 0.8
    assert line < paper - 0.6
    assert hair < paper - 0.6


def test_an_evenly_lit_surface_has_no_strokes() -> None:
    white = create("pencil").translate(torch.ones(1, 3, 256, 256))
    torch.testing.assert_close(white, torch.ones_like(white), rtol=0, atol=1e-5)


def test_exposure_leaves_the_strokes_alone() -> None:
    """Dodging divides by the surround: without shading, a darker exposure gives the same drawing."""
    pencil = create("pencil", shading=0.0)
    light = (portrait() + 1) / 2
    torch.testing.assert_close(pencil.translate(2 * light - 1), pencil.translate(light - 1), rtol=0, atol=1e-4)


def test_needs_no_weights_and_goes_one_way() -> None:
    assert load("pencil", source="photo", target="sketch").digest == create("pencil").digest
    assert create("pencil", radius=3.0).digest != create("pencil").digest
    with pytest.raises(UsageError, match="from photo to sketch"):
        load("pencil", source="sketch")
    with pytest.raises(UsageError, match="radius is -1"):
        create("pencil", radius=-1)
