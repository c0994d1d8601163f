"""What the paper states, by hand on tiny tensors."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from forensic.errors import UsageError
from forensic.synthesis import Batch, create
from forensic.synthesis.methods.fcn import FCN, discriminative


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(3, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


def flat(*tones: float) -> torch.Tensor:
    """One pixel a person."""
    return torch.tensor(tones).view(-1, 1, 1, 1)


def test_the_discriminative_term_by_hand() -> None:
    """Two persons: sketches 0 and 1, synthesized 0.5 and 1; own distances 0.25 and 0, of the other 0.25 and 1."""
    value = discriminative(flat(0.5, 1.0), flat(0.0, 1.0), gamma=4.0).item()
    expected = (math.log(1 + math.exp(4 * (0.25 - 0.25))) + math.log(1 + math.exp(4 * (0 - 1)))) / 2 / 4
    assert value == pytest.approx(expected, rel=1e-6)


def test_it_draws_a_sketch_to_its_own_person_and_away_from_others() -> None:
    f = flat(0.5, 0.0).requires_grad_()
    discriminative(f, flat(0.0, 1.0), gamma=1.0).backward()
    assert f.grad is not None
    assert f.grad[0].item() > 0  # less is nearer to its own 0 and farther from 1
    assert f.grad[1].item() < 0


def test_sharp_it_is_a_hinge() -> None:
    """With a large γ, only where another's sketch is nearer, and then by how much."""
    f, s = flat(0.9, 0.9), flat(0.0, 1.0)
    wrong = 0.81 - 0.01
    assert discriminative(f, s, gamma=1e4).item() == pytest.approx(wrong / 2, rel=1e-4)


def test_one_person_has_no_others() -> None:
    assert discriminative(flat(0.3), flat(0.9), gamma=1.0).item() == 0


def test_the_joint_objective(make_tiny: Any, batch: Batch) -> None:
    method = make_tiny("fcn", alpha=0.5, gamma=2.0)
    faces = method(batch)
    f, s = faces["synthesized"].detach(), batch.sketch
    terms = {name: value.item() for name, value in method.loss(batch, faces).items()}
    assert set(terms) == {"generative", "discriminative"}
    assert terms["generative"] == pytest.approx((f - s).square().mean().item(), rel=1e-5)
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    losses = [
        math.log(1 + math.exp(2 * ((f[i] - s[i]).square().mean() - (f[i] - s[j]).square().mean()).item())) / 2
        for i, j in pairs
    ]
    assert terms["discriminative"] == pytest.approx(0.5 * sum(losses) / 6, rel=1e-5)
    assert set(method.players()) == {"network"}


def test_only_small_convolutions_at_full_size() -> None:
    with torch.device("meta"):
        method = FCN()
    layers = [layer for layer in method.network if not isinstance(layer, nn.ReLU)]
    *convolutions, last = layers
    assert isinstance(last, nn.Tanh)
    assert all(isinstance(layer, nn.Conv2d) and layer.stride == (1, 1) for layer in convolutions)
    assert [layer.kernel_size[0] for layer in convolutions] == [5, 5, 5, 3, 3, 3, 3]
    assert [layer.out_channels for layer in convolutions] == [128] * 6 + [3]
    assert method.network(torch.zeros(1, 3, 50, 40, device="meta")).shape == (1, 3, 50, 40)


def test_a_pixel_depends_on_its_surroundings_alone(make_tiny: Any) -> None:
    """Kernels of 5, 5, 5, 3, 3, 3 and 3 see 10 pixels far."""
    method, images = make_tiny("fcn"), torch.zeros(1, 3, 32, 32, requires_grad=True)
    method.network(images)[0, :, 16, 16].sum().backward()
    assert images.grad is not None
    seen = images.grad[0].abs().sum(dim=0)
    assert seen[6:27, 6:27].count_nonzero() > 0
    seen[6:27, 6:27] = 0
    assert seen.count_nonzero() == 0


def test_unknown_settings_are_refused() -> None:
    for settings in ({"kernels": [4]}, {"alpha": -1.0}, {"gamma": 0.0}, {"source": "sketch"}):
        with pytest.raises(UsageError):
            create("fcn", **settings)
