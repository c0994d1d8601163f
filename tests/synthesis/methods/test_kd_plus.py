"""What the paper's abstract states: KT's scheme with one teacher, and adversaries beside it."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from forensic.synthesis import Batch
from forensic.synthesis.methods.kd_plus import KDPlus


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


@pytest.fixture
def method(make_tiny: Any) -> KDPlus:
    return make_tiny("kd-plus", patch=16)


def scores(method: KDPlus, target: str, source: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return method.discriminators[target](torch.cat([source, images], dim=1))


def test_the_objective(method: KDPlus, batch: Batch) -> None:
    faces = method(batch)
    terms = {name: value.item() for name, value in method.student_loss(batch, faces).items()}
    # -log σ(D) for both students
    fooled = F.softplus(-scores(method, "sketch", batch.photo, faces["sketch"])).mean()
    fooled = fooled + F.softplus(-scores(method, "photo", batch.sketch, faces["photo"])).mean()
    assert terms == pytest.approx(
        {
            "reconstruction": 100 * method.reconstruction(batch, faces).item(),
            "teacher": 10 * method.taught(batch, faces).item(),
            "mutual": method.mutual(faces).item(),
            "adversarial": fooled.item(),
        },
        rel=1e-4,
    )


def test_the_discriminators_see_source_and_target(method: KDPlus, batch: Batch) -> None:
    faces = method(batch)
    terms = method.discriminator_loss(batch, faces)
    assert set(terms) == {"real sketch", "synthesized sketch", "real photo", "synthesized photo"}
    real = F.softplus(-scores(method, "photo", batch.sketch, batch.photo)).mean() / 2
    assert terms["real photo"].item() == pytest.approx(real.item(), rel=1e-4)
    made = F.softplus(scores(method, "sketch", batch.photo, faces["sketch"])).mean() / 2
    assert terms["synthesized sketch"].item() == pytest.approx(made.item(), rel=1e-4)
    method.zero_grad()
    torch.stack(list(terms.values())).sum().backward()
    assert all(parameter.grad is None for parameter in method.students.parameters())


def test_without_adversaries_it_is_kd(make_tiny: Any, batch: Batch) -> None:
    method = make_tiny("kd-plus", **KDPlus.rows["KD"])
    assert set(method.players()) == {"students"}
    assert set(method.student_loss(batch, method(batch))) == {"reconstruction", "teacher", "mutual"}
    assert not list(method.discriminators.parameters())


def test_only_students_are_kept(method: KDPlus) -> None:
    assert {name.split(".")[0] for name in method.translating_state()} == {"students"}
    assert len(set(method.consults.values())) == 1
