"""What the paper states, by hand on tiny tensors."""

from typing import Any

import pytest
import torch
from torch import nn

from forensic.errors import UsageError
from forensic.synthesis import Batch, create
from forensic.synthesis.methods.col_cgan import ColCGAN


@pytest.fixture
def method(make_tiny: Any) -> ColCGAN:
    return make_tiny("col-cgan")


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    return Batch(*(2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2)))


def entropy(logits: torch.Tensor, real: bool) -> float:
    likely = logits.sigmoid()
    return -(likely if real else 1 - likely).log().mean().item()


def halves(method: ColCGAN) -> list[nn.Module]:
    """G₁, G₂, F₁, F₂."""
    names = ("photo_to_latent", "latent_to_sketch", "sketch_to_latent", "latent_to_photo")
    return [method.generators[name] for name in names]


def test_the_objective_of_both_mappings(method: ColCGAN, batch: Batch) -> None:
    G1, G2, F1, F2 = halves(method)
    x, y = batch.photo, batch.sketch
    z, z_ = G1(x), F1(y)
    terms = {name: value.item() for name, value in method.generator_loss(batch, method(batch)).items()}
    assert list(terms) == ["adversarial", "l1", "collaborative"]
    l1 = (G2(z) - y).abs().mean() + (F2(z_) - x).abs().mean()
    assert terms["l1"] == pytest.approx(10 * l1.item(), rel=1e-4)
    assert terms["collaborative"] == pytest.approx((z - z_).abs().mean().item(), rel=1e-4)
    D_Y, D_X = method.discriminators["sketch"], method.discriminators["photo"]
    judged = entropy(D_Y(torch.cat([x, z, G2(z)], 1)), True) + entropy(D_X(torch.cat([y, z_, F2(z_)], 1)), True)
    assert terms["adversarial"] == pytest.approx(judged, rel=1e-4)


def test_the_collaborative_loss_supervises_both_first_halves_alone(method: ColCGAN, batch: Batch) -> None:
    method.generator_loss(batch, method(batch))["collaborative"].backward()
    moved = [any(parameter.grad is not None for parameter in half.parameters()) for half in halves(method)]
    assert moved == [True, False, True, False]
    for half in (method.generators["photo_to_latent"], method.generators["sketch_to_latent"]):
        assert max(parameter.grad.abs().max() for parameter in half.parameters()) > 0


def test_the_discriminators_compare_triplets_with_the_same_latent_image(method: ColCGAN, batch: Batch) -> None:
    faces = method(batch)
    G1, G2, F1, F2 = halves(method)
    x, y = batch.photo, batch.sketch
    z, z_ = G1(x).detach(), F1(y).detach()
    D_Y, D_X = method.discriminators["sketch"], method.discriminators["photo"]
    terms = method.discriminator_loss(batch, faces)
    real = entropy(D_Y(torch.cat([x, z, y], 1)), True) + entropy(D_X(torch.cat([y, z_, x], 1)), True)
    assert terms["real"].item() == pytest.approx(real / 2, rel=1e-4)
    fake = entropy(D_Y(torch.cat([x, z, G2(z)], 1)), False) + entropy(D_X(torch.cat([y, z_, F2(z_)], 1)), False)
    assert terms["synthesized"].item() == pytest.approx(fake / 2, rel=1e-4)
    torch.stack(list(terms.values())).sum().backward()
    assert all(parameter.grad is None for parameter in method.generators.parameters())


def test_pairs_leave_the_latent_image_out(batch: Batch, make_tiny: Any) -> None:
    method = make_tiny("col-cgan", judged="pair")
    G1, G2, F1, F2 = halves(method)
    x, y = batch.photo, batch.sketch
    D_Y, D_X = method.discriminators["sketch"], method.discriminators["photo"]
    judged = entropy(D_Y(torch.cat([x, G2(G1(x))], 1)), True) + entropy(D_X(torch.cat([y, F2(F1(y))], 1)), True)
    assert method.generator_loss(batch, method(batch))["adversarial"].item() == pytest.approx(judged, rel=1e-4)


@pytest.mark.parametrize("source", ["photo", "sketch"])
def test_either_way_by_the_same_weights(source: str, batch: Batch, make_tiny: Any) -> None:
    target = "sketch" if source == "photo" else "photo"
    method = make_tiny("col-cgan", source=source, target=target).eval()
    assert method.two_way
    G1, G2, F1, F2 = halves(method)
    with torch.no_grad():
        expected = G2(G1(batch.photo)) if source == "photo" else F2(F1(batch.sketch))
        torch.testing.assert_close(method.translate(batch.of(method.source)), expected)
        torch.testing.assert_close(method(batch)["synthesized"], expected)


def test_the_networks_and_settings() -> None:
    """Four ResNets of nine blocks with latent images of three channels; patches of 70 pixels."""
    with torch.device("meta"):
        method = ColCGAN()
    for half in halves(method):
        layers = [layer for layer in half.modules() if isinstance(layer, nn.Conv2d)]
        assert (layers[0].in_channels, layers[0].out_channels, layers[-1].out_channels) == (3, 64, 3)
        assert sum(layer.in_channels == layer.out_channels == 256 for layer in layers) == 2 * 9
    assert [D.layers[0].in_channels for D in method.discriminators.values()] == [9, 9]
    assert (method.patch, method.lambda_l1, method.lambda_col) == (70, 10, 1)
    assert list(method.players()) == ["discriminators", "generators"]
    assert method.critics == ("discriminators",)
    assert (method.recipe.epochs, method.recipe.batch, method.recipe.learning_rate) == (200, 1, 2e-4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 30}, "size is 30"),
        ({"blocks": 0}, "blocks 0; expected .* 1 or more"),
        ({"patch": 17}, "patch is 17"),
        ({"target": "photo"}, "one of them is 'photo'"),
        ({"judged": "z"}, "judged is 'z'"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        create("col-cgan", **{"width": 4, **settings})
