"""What the paper states, by hand on tiny tensors: equations 1 to 3, Algorithm 1 and its solver."""

from typing import Any

import pytest
import torch

from forensic.errors import UsageError
from forensic.synthesis import Batch, create
from forensic.synthesis.methods.dualgan import DualGAN
from forensic.synthesis.trainer import Trainer


@pytest.fixture
def method(make_tiny: Any) -> DualGAN:
    return make_tiny("dualgan", lambda_U=100.0, lambda_V=300.0).eval()  # without dropout


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(2, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


@torch.no_grad()
def test_equations_1_and_2(method: DualGAN, batch: Batch) -> None:
    u, v = batch.photo, batch.sketch
    G_A, G_B = method.generators["photo_to_sketch"], method.generators["sketch_to_photo"]
    D_A, D_B = method.discriminators["sketch"], method.discriminators["photo"]
    terms = method.discriminator_loss(batch, method(batch))
    l_A = D_A(G_A(u)).mean() - D_A(v).mean()
    l_B = D_B(G_B(v)).mean() - D_B(u).mean()
    assert float(sum(terms.values())) == pytest.approx(float(l_A + l_B), rel=1e-4)


@torch.no_grad()
def test_equation_3(method: DualGAN, batch: Batch) -> None:
    u, v = batch.photo, batch.sketch
    G_A, G_B = method.generators["photo_to_sketch"], method.generators["sketch_to_photo"]
    D_A, D_B = method.discriminators["sketch"], method.discriminators["photo"]
    terms = method.generator_loss(batch, method(batch))
    assert float(terms["adversarial"]) == pytest.approx(float(-D_B(G_B(v)).mean() - D_A(G_A(u)).mean()), rel=1e-4)
    expected = 100 * (u - G_B(G_A(u))).abs().mean() + 300 * (v - G_A(G_B(v))).abs().mean()
    assert float(terms["reconstruction"]) == pytest.approx(float(expected), rel=1e-4)


@torch.no_grad()
def largest(network: torch.nn.Module) -> float:
    return max(float(parameter.abs().max()) for parameter in network.parameters())


def test_the_critics_stay_within_c_and_the_generators_do_not(make_tiny: Any, make_pairs: Any) -> None:
    method = make_tiny("dualgan", clip=0.02)
    assert largest(method.discriminators) == pytest.approx(0.02)  # as they begin: the norms' scales would be 1
    trainer = Trainer(method, method.recipe.changed(learning_rate=0.1), make_pairs(1))
    batch = make_pairs(1).batch()
    for _ in range(2):
        trainer.step(batch)
        assert largest(method.discriminators) == pytest.approx(0.02)
    assert largest(method.generators) > 0.1


def test_n_critic_steps_for_one_of_the_generators(make_tiny: Any, make_pairs: Any, monkeypatch: Any) -> None:
    method = make_tiny("dualgan", critic_turns=3)
    trainer = Trainer(method, method.recipe, make_pairs(1))
    stepped: list[str] = []
    for name, optimizer in trainer.optimizers.items():
        step = optimizer.step
        monkeypatch.setattr(optimizer, "step", lambda name=name, step=step: (stepped.append(name), step()))
    trainer.step(make_pairs(1).batch())
    assert stepped == ["discriminators"] * 3 + ["generators"]


def test_the_recipe_is_rmsprop() -> None:
    """For the same gradients Adam's steps are those of RMSprop, but for the correction sqrt(1 - 0.9^t) of the first."""
    ours, theirs = (torch.nn.Parameter(torch.zeros(5)) for _ in range(2))
    adam = torch.optim.Adam([ours], lr=1e-3, betas=DualGAN.recipe.betas)
    rmsprop = torch.optim.RMSprop([theirs], lr=1e-3, alpha=0.9, momentum=0.0)
    draw = torch.Generator().manual_seed(0)
    for t in range(1, 30):
        before = ours.detach().clone(), theirs.detach().clone()
        ours.grad = torch.randn(5, generator=draw)
        theirs.grad = ours.grad.clone()
        adam.step()
        rmsprop.step()
        torch.testing.assert_close(ours - before[0], (theirs - before[1]) * (1 - 0.9**t) ** 0.5, rtol=1e-3, atol=1e-7)


def test_the_papers_settings() -> None:
    with torch.device("meta"):
        method = DualGAN()
    assert 100 <= method.lambda_U <= 1000
    assert 100 <= method.lambda_V <= 1000
    assert 0.01 <= method.clip <= 0.1
    assert 2 <= method.critic_turns <= 4
    one, other = (sum(p.numel() for p in G.parameters()) for G in method.generators.values())
    assert one == other == pytest.approx(54.4e6, rel=0.01)  # pix2pix's U-Net
    assert (method.recipe.epochs, method.recipe.learning_rate, method.recipe.flat) == (45, 5e-5, 1)


def test_weight_files_hold_the_generators_alone(method: DualGAN) -> None:
    assert all(name.startswith("generators.") for name in method.translating_state())


def test_unknown_settings_are_refused() -> None:
    for settings in ({"size": 48}, {"clip": 0.0}, {"critic_turns": 0}, {"patch": 71}, {"source": "sketch"}):
        with pytest.raises(UsageError):
            create("dualgan", **{"width": 1, **settings})
