"""What the paper states: attention, AdaLIN and its ρ, and the terms, by hand on tiny tensors."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from forensic.errors import UsageError
from forensic.synthesis import Batch, create
from forensic.synthesis.methods.u_gat_it import LIN, UGATIT, AdaLIN, Attention, Discriminator, Generator
from forensic.synthesis.trainer import Trainer


@pytest.fixture
def method(make_tiny: Any) -> UGATIT:
    """In evaluation mode, where the spectral norms stay as they are."""
    return make_tiny("u-gat-it", lambda_1=2.0, lambda_2=3.0, lambda_3=5.0, lambda_4=7.0).eval()


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(2, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


def test_equation_1() -> None:
    draw = np.random.default_rng(0)
    a, rho = draw.normal(1, 3, (2, 3, 4, 5)), draw.random(3)
    gamma, beta = draw.normal(size=(2, 2, 3))
    layer = AdaLIN(3, rho=1.0)
    layer.rho.data = torch.tensor(rho, dtype=torch.float32).view(1, 3, 1, 1)
    out = layer(*(torch.tensor(x, dtype=torch.float32) for x in (a, gamma, beta))).detach().numpy()
    for n in range(2):
        by_layer = (a[n] - a[n].mean()) / np.sqrt(a[n].var() + 1e-5)
        for c in range(3):
            by_instance = (a[n, c] - a[n, c].mean()) / np.sqrt(a[n, c].var() + 1e-5)
            mixed = rho[c] * by_instance + (1 - rho[c]) * by_layer[c]
            np.testing.assert_allclose(out[n, c], gamma[n, c] * mixed + beta[n, c], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_rho_begins_at_1_in_residual_blocks_and_at_0_in_the_up_sampling() -> None:
    generator = Generator(width=4, blocks=2, seen=64)
    assert all(float(layer.rho.min()) == 1 for block in generator.blocks for layer in block.norms)
    lins = [layer for layer in generator.up if isinstance(layer, LIN)]
    assert len(lins) == 2
    assert all(float(layer.rho.abs().max()) == 0 for layer in lins)


def test_rho_stays_in_0_to_1(make_tiny: Any, make_pairs: Any) -> None:
    method = make_tiny("u-gat-it")
    trainer = Trainer(method, method.recipe.changed(learning_rate=0.05), make_pairs(1))
    trainer.step(make_pairs(1).batch())
    rhos = torch.cat([layer.rho.flatten() for layer in method.modules() if isinstance(layer, AdaLIN)])
    assert rhos.min() == 0  # steps to either side were taken, and cut off
    assert rhos.max() == 1
    assert ((rhos > 0) & (rhos < 1)).any()


@torch.no_grad()
def test_attention_weighs_features_by_what_classifies_them() -> None:
    attention = Attention(3)
    x = torch.randn(2, 3, 4, 5)
    attended, logits = attention(x)
    w, v = attention.average.weight[0], attention.maximum.weight[0]
    for n in range(2):
        assert float(logits[n, 0]) == pytest.approx(sum(float(w[c] * x[n, c].mean()) for c in range(3)), abs=1e-5)
        assert float(logits[n, 1]) == pytest.approx(sum(float(v[c] * x[n, c].max()) for c in range(3)), abs=1e-5)
    maps = torch.cat([x * w.view(1, 3, 1, 1), x * v.view(1, 3, 1, 1)], dim=1)  # a = w E(x)
    merged = torch.einsum("kc,nchw->nkhw", attention.merge.weight[..., 0, 0], maps)
    expected = (merged + attention.merge.bias.view(3, 1, 1)).relu()
    torch.testing.assert_close(attended, expected, rtol=1e-4, atol=1e-5)


def squared(seen: torch.Tensor, answer: float) -> torch.Tensor:
    return (seen - answer).square().mean()


@torch.no_grad()
def test_the_generators_objective(method: UGATIT, batch: Batch) -> None:
    terms = method.generator_loss(batch, method(batch))
    expected = dict.fromkeys(("adversarial", "cycle", "identity", "CAM"), 0.0)
    for x, y, there, back, D_t in (
        (batch.photo, batch.sketch, "photo_to_sketch", "sketch_to_photo", method.discriminators["sketch"]),
        (batch.sketch, batch.photo, "sketch_to_photo", "photo_to_sketch", method.discriminators["photo"]),
    ):
        G, F_ = method.generators[there], method.generators[back]
        fake, eta = G.attentive(x)
        same, eta_of_y = G.attentive(y)
        for D in D_t:
            scores, eta_D = D(fake)
            expected["adversarial"] += 2 * float(squared(scores, 1) + squared(eta_D, 1))
        expected["cycle"] += 3 * float((F_(fake) - x).abs().mean())
        expected["identity"] += 5 * float((same - y).abs().mean())
        # Equation 5: -(E[log η_s(x)] + E[log(1 - η_s(y))])
        expected["CAM"] -= 7 * float(eta.sigmoid().log().mean() + (1 - eta_of_y.sigmoid()).log().mean())
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected, rel=1e-3)


@torch.no_grad()
def test_the_discriminators_objective(method: UGATIT, batch: Batch) -> None:
    faces = method(batch)
    terms = method.discriminator_loss(batch, faces)
    real = synthesized = 0.0
    for side in ("photo", "sketch"):
        assert len(method.discriminators[side]) == 2  # global and local
        for D in method.discriminators[side]:
            real += sum(2 * float(squared(seen, 1)) for seen in D(batch.of(side)))
            synthesized += sum(2 * float(squared(seen, 0)) for seen in D(faces[side]))
    assert float(terms["real"]) == pytest.approx(real, rel=1e-4)
    assert float(terms["synthesized"]) == pytest.approx(synthesized, rel=1e-4)


def test_gamma_and_beta_come_from_all_features_or_from_their_means() -> None:
    full, light = Generator(width=2, blocks=1, seen=64).eval(), Generator(width=2, blocks=1, seen=1).eval()
    assert full.mlp[0].in_features == 8 * 8 * 8
    assert light.mlp[0].in_features == 8
    assert full(torch.zeros(1, 3, 32, 32)).shape == light(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


@pytest.mark.parametrize(("layers", "patch"), [(5, 70), (7, 286)])
def test_local_and_global_patches(layers: int, patch: int) -> None:
    D = Discriminator(1, layers)
    field = 1
    for layer in reversed([part for part in (*D.E.modules(), *D.C.modules()) if isinstance(part, nn.Conv2d)]):
        field = layer.stride[0] * (field - 1) + layer.kernel_size[0]
    assert field == patch


@torch.no_grad()
def test_the_discriminators_layers_have_norm_1() -> None:
    torch.manual_seed(0)
    D = Discriminator(2, 4)
    for _ in range(40):  # each call in training takes a step of the power iteration
        D(torch.rand(1, 3, 32, 32))
    D.eval()
    normalized = [part for part in (*D.E.modules(), *D.C.modules()) if isinstance(part, nn.Conv2d)]
    for layer in (*normalized, D.attention.average, D.attention.maximum):
        assert float(torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)) == pytest.approx(1, rel=0.02)


def test_the_papers_settings() -> None:
    with torch.device("meta"):
        method = UGATIT()
    assert (method.lambda_1, method.lambda_2, method.lambda_3, method.lambda_4) == (1, 10, 10, 1000)
    assert (method.layers, method.blocks, method.light) == ((7, 5), 4, False)
    G = method.generators["photo_to_sketch"]
    assert G.mlp[0].in_features == 64 * 64 * 256
    recipe = method.recipe
    assert (recipe.learning_rate, recipe.betas, recipe.batch, recipe.flat) == (1e-4, (0.5, 0.999), 1, 0.5)
    assert recipe.weight_decay == 1e-4
    assert recipe.epochs * 3400 == pytest.approx(1_000_000, rel=0.001)


def test_unknown_settings_are_refused() -> None:
    for settings in ({"size": 64}, {"layers": (2, 5)}, {"size": 130}, {"source": "sketch"}):
        with pytest.raises(UsageError):
            create("u-gat-it", **{"width": 1, "light": True, **settings})


def test_weight_files_hold_the_generators_alone(method: UGATIT) -> None:
    assert all(name.startswith("generators.") for name in method.translating_state())
