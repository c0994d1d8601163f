"""What the paper and its release state, by hand on tiny tensors."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.faces import priors
from forensic.images import luminance
from forensic.synthesis import Batch, create
from forensic.synthesis.losses import textural
from forensic.synthesis.methods.genre import CLASSES, ESPADE, GENRE, DecodingLayer


@pytest.fixture
def method(make_tiny: Any) -> GENRE:
    return make_tiny("genre")


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(2, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


def test_an_espade_by_hand() -> None:
    """x + (1 + γ) normalized(x) + β, where γ and β see the parsing and the enlarged encoding layer together."""
    torch.manual_seed(0)
    layer = ESPADE(3, skip=5, hidden=6)
    x, M, E = torch.randn(2, 3, 8, 8), torch.rand(2, CLASSES, 32, 32), torch.randn(2, 5, 4, 4)
    assert layer.appearance is not None
    A = layer.appearance(E)
    assert A.shape == (2, CLASSES, 8, 8)
    steering = torch.cat([M[..., ::4, ::4], A], dim=1)
    hidden = F.conv2d(steering, layer.spade.shared[0].weight, layer.spade.shared[0].bias, padding=1).clamp(min=0)
    gamma, beta = layer.spade.gamma(hidden), layer.spade.beta(hidden)
    mean, variance = x.mean(dim=(2, 3), keepdim=True), x.var(dim=(2, 3), keepdim=True, unbiased=False)
    normalized = (x - mean) / (variance + 1e-5).sqrt()
    torch.testing.assert_close(layer(x, M, E), x + (1 + gamma) * normalized + beta)


def test_the_parsing_alone_steers_where_there_is_no_encoding_layer() -> None:
    layer = ESPADE(3, skip=0, hidden=6)
    x, M = torch.randn(1, 3, 8, 8), torch.rand(1, CLASSES, 8, 8)
    assert torch.equal(layer(x, M, torch.zeros(1, 5, 4, 4)), layer(x, M, torch.ones(1, 5, 4, 4)))
    assert not torch.equal(layer(x, M, x), layer(x, 1 - M, x))


@pytest.mark.parametrize("appearance", [True, False])
def test_where_espades_stand(appearance: bool) -> None:
    """In every decoding layer but the heads; all but the first see an encoding layer, unless that is switched off."""
    with torch.device("meta"):
        G = GENRE(appearance=appearance).generator
    layers = list(G.up)
    assert len(layers) == 7
    assert all(isinstance(layer, DecodingLayer) for layer in layers)
    assert [layer.espade.appearance is not None for layer in layers] == [False] + 6 * [appearance]  # type: ignore[union-attr]
    assert [layer.dropout.p for layer in layers] == [0.5] * 3 + [0.0] * 4  # type: ignore[union-attr]
    assert layers[1].espade.spade.shared[0].out_channels == 128  # type: ignore[union-attr, index]


def test_the_releases_networks() -> None:
    with torch.device("meta"):
        method = GENRE()
    G = method.generator
    assert (G.photo.in_channels, G.photo.out_channels) == (3, 64)
    assert (G.parsing.in_channels, G.parsing.out_channels) == (19, 64)
    down = [layer for layer in G.down.modules() if isinstance(layer, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in down[:3]] == [(128, 128), (128, 256), (256, 512)]
    assert len(down) == 7
    assert not any(isinstance(layer, nn.InstanceNorm2d) for layer in G.down[-1].modules())
    up = [layer.enlarge[1] for layer in G.up]  # type: ignore[union-attr, index]
    assert [layer.in_channels for layer in up] == [512, 1024, 1024, 1024, 1024, 512, 256]  # type: ignore[union-attr]
    assert [layer.out_channels for layer in up] == [512, 512, 512, 512, 256, 128, 64]  # type: ignore[union-attr]
    assert next(iter(method.discriminator.parameters())).shape[1] == 20


def test_the_generator_gives_the_parsing_back(method: GENRE, batch: Batch) -> None:
    faces = method(batch)
    network = priors.Priors({"parsing": priors.OWN})
    torch.testing.assert_close(faces["M"], network(batch.photo)["parsing"])
    assert not faces["M"].requires_grad
    torch.testing.assert_close(faces["parsing"].sum(dim=1), torch.ones(2, 32, 32))
    assert faces["parsing"].min() > 0
    assert torch.equal(faces["synthesized"][:, 0], faces["synthesized"][:, 2])  # one channel, three times


def test_the_objective(method: GENRE, batch: Batch) -> None:
    faces = method(batch)
    X, Y, made = luminance(batch.photo), luminance(batch.sketch), faces["synthesized"][:, :1]
    terms = {name: value.item() for name, value in method.generator_loss(batch, faces).items()}
    fake, real = (method.discriminator(torch.cat([faces["M"], y], dim=1)) for y in (made, Y))
    assert terms["adversarial"] == pytest.approx(-fake.sigmoid().log().mean().item(), rel=1e-4)
    assert terms["pixel"] == pytest.approx(4 * (made - Y).abs().mean().item(), rel=1e-4)
    rms = (faces["parsing"] - faces["M"]).square().mean(dim=(1, 2, 3)).sqrt().mean()
    assert terms["semantic"] == pytest.approx(4 * rms.item(), rel=1e-4)
    assert terms["geometric"] == pytest.approx(textural(made, X).item(), rel=1e-4)  # the photo's, not the sketch's
    assert terms["geometric"] != pytest.approx(textural(made, Y).item(), rel=1e-4)
    terms = {name: value.item() for name, value in method.discriminator_loss(batch, faces).items()}
    assert terms["real"] == pytest.approx(-real.sigmoid().log().mean().item(), rel=1e-4)
    assert terms["synthesized"] == pytest.approx(-(1 - fake.sigmoid()).log().mean().item(), rel=1e-4)


def test_the_semantic_term_trains_what_both_heads_share(method: GENRE, batch: Batch) -> None:
    method.generator_loss(batch, method(batch))["semantic"].backward()
    G = method.generator
    assert all(weight.grad is None for weight in G.heads["sketch"].parameters())
    for shared in (G.photo, G.parsing, G.up[-1], G.heads["parsing"]):
        assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in shared.parameters())


def test_the_parsing_is_needed_to_translate(method: GENRE) -> None:
    assert method.needs == {"parsing": priors.digest("parsing")}
    assert method.consults == method.needs
    assert not any("prior" in name for name in method.state_dict())


def test_the_releases_schedule(method: GENRE) -> None:
    """400 epochs at 2e-4, 400 along which it falls; G moves first."""
    recipe = GENRE.recipe
    assert (recipe.epochs, recipe.batch, recipe.flip, recipe.betas) == (800, 1, True, (0.5, 0.999))
    assert recipe.learning_rate_at(399) == 2e-4
    assert recipe.learning_rate_at(600) == pytest.approx(2e-4 * (1 - 201 / 401))
    assert list(method.players()) == ["generator", "discriminator"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"size": 96}, "size is 96, expected a power of two"), ({"size": 64, "depth": 7}, "depth is 7, expected 2 to 6")],
)
def test_bad_values_are_refused(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        create("genre", **settings)
