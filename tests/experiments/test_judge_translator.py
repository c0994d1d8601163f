"""The montage of experiments/judge_translator.py."""

import torch


def test_the_sides_of_a_face_stand_beside_each_other() -> None:
    import judge_translator

    sides = [torch.arange(20).view(20, 1, 1, 1).expand(-1, 3, 1, 1) + 100 * side for side in range(3)]
    sheet = judge_translator.montage(*sides)[0]
    assert sheet[0].tolist() == [0, 100, 200, 10, 110, 210]
    assert sheet[-1].tolist() == [9, 109, 209, 19, 119, 219]
