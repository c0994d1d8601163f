"""Folders measured whole."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from quality.noisy import noise

from forensic.errors import ImageError, ModelError, UsageError
from forensic.quality.measuring import measure


def test_measure_means_deviations_and_intervals(folders: tuple[Path, Path]) -> None:
    made, targets = folders
    for seed in range(4):
        Image.blend(noise(seed), noise(9), 0.1 * seed).save(made / f"{seed}.png")
        noise(seed).save(targets / f"{seed}.png")
    told = []
    found = measure(made, targets, metrics=["ssim"], progress=lambda *done: told.append(done))
    values = [values["ssim"] for _, values in found.rows]
    (figure,) = found.figures
    assert values[0] == pytest.approx(1)
    assert figure.n == 4
    assert figure.value == pytest.approx(np.mean(values))
    assert figure.sd == pytest.approx(np.std(values, ddof=1))
    assert figure.interval is not None
    assert min(values) <= figure.interval[0] < figure.value < figure.interval[1] <= 1
    assert told == [(done, 4) for done in range(1, 5)]
    assert found.sizes == {(200, 250): 4}


def test_measure_with_one_pair_has_no_spread(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        noise(0).save(folder / "a.png")
    cosine, frechet = measure(*folders, metrics=["embedding-cosine", "embedding-frechet"]).figures
    assert cosine.sd is None
    assert cosine.interval is None
    assert frechet.value is None
    assert "at least 2 pairs" in frechet.missing


def test_measure_without_anything_to_measure(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        (folder / "a.png").write_text("no image")
    with pytest.raises(ImageError, match="None of 1 pairs"):
        measure(*folders, metrics=["ssim"])
    with pytest.raises(UsageError, match=r"Unknown metric 'psnr'\. Known: ssim, "):
        measure(*folders, metrics=["psnr"])
    with pytest.raises(ModelError, match=r"Nothing can be measured: fid needs pt_inception"):
        measure(*folders, metrics=["fid"])
