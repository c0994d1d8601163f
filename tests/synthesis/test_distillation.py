"""What teachers and students do, by hand; KT's and KD+'s own parts are in their own tests."""

from typing import Any

import pytest
import torch

from forensic.errors import ModelError, UsageError
from forensic.synthesis import Batch, create, perceptual
from forensic.synthesis.distillation import Students
from forensic.synthesis.trainer import Trainer


@pytest.fixture
def method(make_tiny: Any) -> Students:
    return make_tiny("kt")


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


def hints(method: Students, name: str, images: torch.Tensor) -> list[torch.Tensor]:
    """After the first and second halving, after the residual block and the first doubling, by hooks."""
    found: list[torch.Tensor] = []
    student = method.students[name]
    for index in (6, 9, 10, 13):  # a padding and three times (convolution, norm, ReLU); the block; (up, norm, ReLU)
        student.get_submodule(f"layers.{index}").register_forward_hook(lambda _m, _given, made: found.append(made))
    student(images)
    return found


def test_hints_are_compared_with_what_the_teacher_sees_in_both_true_images(method: Students, batch: Batch) -> None:
    teacher, total = perceptual.load("embedder"), 0.0
    names = ("conv2_2", "conv3_4", "conv3_4", "conv2_2")
    for a, b in (("photo", "sketch"), ("sketch", "photo")):
        seen = [teacher(batch.of(m), names) for m in (a, a, b, b)]  # type: ignore[arg-type]
        for k, hint in enumerate(hints(method, b, batch.of(a))):  # type: ignore[arg-type]
            truth = seen[k][names[k]]
            read = method.regressors[b].get_submodule(str(k))(perceptual.crops(hint, truth.shape[-1]))
            total += (read - truth).square().mean().item()
    assert method.taught(batch, method(batch)).item() == pytest.approx(total, rel=1e-4)


def test_students_compare_what_they_know_of_one_modality(method: Students, batch: Batch) -> None:
    """Down from the photo meets up to the photo, and so for sketches."""
    down_photo = hints(method, "sketch", batch.photo)
    up_photo = hints(method, "photo", batch.sketch)[::-1]
    expected = sum((one - other).square().mean().item() for one, other in zip(down_photo, up_photo, strict=True))
    mutual = method.mutual(method(batch))
    assert mutual.item() == pytest.approx(expected, rel=1e-4)
    mutual.backward()
    for student in method.students.values():
        assert student.get_submodule("layers.1").weight.grad.any()  # type: ignore[union-attr, operator]


def test_faces_are_compared_in_both_directions(method: Students, batch: Batch) -> None:
    there, back = method.students["sketch"](batch.photo), method.students["photo"](batch.sketch)
    expected = (there - batch.sketch).abs().mean() + (back - batch.photo).abs().mean()
    assert method.reconstruction(batch, method(batch)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_teachers_stay_as_they_are_and_outside(method: Students, make_pairs: Any) -> None:
    teacher = perceptual.load("embedder")
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    Trainer(method, method.recipe, make_pairs(1)).step(make_pairs(1).batch())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert {name.split(".")[0] for name in method.state_dict()} == {"students", "regressors"}
    assert set(method.consults.values()) == {teacher.digest}
    assert {name.split(".")[0] for name in method.translating_state()} == {"students"}


def test_without_its_weights_there_is_no_teacher() -> None:
    method = create("kt", size=32, width=2, blocks=1)
    assert isinstance(method, Students)
    with pytest.raises(ModelError, match="'vgg19' are not installed"):
        _ = method.consults


def test_unknown_settings_are_refused() -> None:
    for settings in ({"size": 30}, {"perceptual": "none"}, {"perceptual": "vgg"}, {"source": "sketch"}):
        for name in ("kt", "kd-plus"):
            with pytest.raises(UsageError):
                create(name, **settings)
