"""The montage and the figures of experiments/judge_translator.py."""

import pytest
import torch
from invented import smooth_pairs

from forensic.images import to_image
from forensic.quality import gauges
from forensic.quality.pairing import Pair, cropped


def test_the_sides_of_a_face_stand_beside_each_other() -> None:
    import judge_translator

    sides = [torch.arange(20).view(20, 1, 1, 1).expand(-1, 3, 1, 1) + 100 * side for side in range(3)]
    sheet = judge_translator.montage(*sides)[0]
    assert sheet[0].tolist() == [0, 100, 200, 10, 110, 210]
    assert sheet[-1].tolist() == [9, 109, 209, 19, 119, 219]


def test_ssim_and_fsim_are_those_of_forensic_quality() -> None:
    """Of one name, they are one figure: in luminance, of the pixels that a file has."""
    import judge_translator

    made, true = smooth_pairs(1, seed=1, size=256).batch().photo, smooth_pairs(1, seed=2, size=256).batch().photo
    pair = Pair("face", cropped(to_image(made[0])), cropped(to_image(true[0])))
    *_, ssim, fsim, _ = judge_translator.row("some", made, true).split("|")
    assert float(ssim) == pytest.approx(gauges.ssim(pair), abs=5e-5)
    assert float(fsim) == pytest.approx(gauges.fsim(pair), abs=5e-5)
