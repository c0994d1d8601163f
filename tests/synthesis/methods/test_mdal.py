"""What paper and code state, by hand on tiny tensors."""

from typing import Any

import pytest
import torch
from torch import nn

from forensic.errors import UsageError
from forensic.synthesis import Batch, create
from forensic.synthesis.methods.mdal import MDAL


@pytest.fixture
def method(make_tiny: Any) -> MDAL:
    return make_tiny("mdal", dropout=0.0)


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    return Batch(*(2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2)))


def entropy(logits: torch.Tensor, real: bool) -> float:
    likely = logits.sigmoid()
    return -(likely if real else 1 - likely).log().mean().item()


def parts(method: MDAL) -> list[nn.Module]:
    """First parts of photos and sketches, second parts of photos and sketches."""
    names = ("photo_to_latent", "sketch_to_latent", "latent_to_photo", "latent_to_sketch")
    return [method.generators[name] for name in names]


def test_both_domains_reconstruct_themselves(method: MDAL, batch: Batch) -> None:
    P1, S1, P2, S2 = parts(method)
    terms = {name: value.item() for name, value in method.generator_loss(batch, method(batch)).items()}
    x, y = batch.photo, batch.sketch
    for b, true, again, across in (("photo", x, P2(P1(x)), P2(S1(y))), ("sketch", y, S2(S1(y)), S2(P1(x)))):
        D = method.discriminators[b]
        for name, face in (("again", again), ("across", across)):
            assert terms.pop(f"adversarial {b} {name}") == pytest.approx(entropy(D(face), True), rel=1e-4)
            assert terms.pop(f"l1 {b} {name}") == pytest.approx(100 * (face - true).abs().mean().item(), rel=1e-4)
    assert set(terms) == {"adversarial latent", "l1 latent"}


def test_the_bridge_leads_photos_latent_variables_to_those_of_sketches(method: MDAL, batch: Batch) -> None:
    P1, S1, P2, S2 = parts(method)
    terms = method.generator_loss(batch, method(batch))
    bridge = terms["adversarial latent"] + terms["l1 latent"]
    photos, sketches = P1(batch.photo), S1(batch.sketch)
    expected = entropy(method.discriminators["latent"](photos), True) + 100 * (photos - sketches).abs().mean().item()
    assert bridge.item() == pytest.approx(expected, rel=1e-4)
    bridge.backward()
    moved = [any(parameter.grad is not None for parameter in part.parameters()) for part in (P1, S1, P2, S2)]
    assert moved == [True, False, False, False]


def test_three_discriminators(method: MDAL, batch: Batch) -> None:
    P1, S1, P2, S2 = parts(method)
    losses = method.discriminator_loss(batch, method(batch))
    terms = {name: value.item() for name, value in losses.items()}
    x, y = batch.photo, batch.sketch
    D_P, D_S, D_W = (method.discriminators[name] for name in ("photo", "sketch", "latent"))
    assert terms["real photo"] == pytest.approx(entropy(D_P(x), True), rel=1e-4)
    assert terms["real sketch"] == pytest.approx(entropy(D_S(y), True), rel=1e-4)
    photos = entropy(D_P(P2(P1(x))), False) + entropy(D_P(P2(S1(y))), False)
    assert terms["synthesized photo"] == pytest.approx(photos, rel=1e-4)
    sketches = entropy(D_S(S2(S1(y))), False) + entropy(D_S(S2(P1(x))), False)
    assert terms["synthesized sketch"] == pytest.approx(sketches, rel=1e-4)
    assert terms["sketches' latent"] == pytest.approx(entropy(D_W(S1(y)), True), rel=1e-4)
    assert terms["photos' latent"] == pytest.approx(entropy(D_W(P1(x)), False), rel=1e-4)
    torch.stack(list(losses.values())).sum().backward()
    assert all(parameter.grad is None for parameter in method.generators.parameters())


def test_reconstructions_and_bridge_alone(batch: Batch, make_tiny: Any) -> None:
    method = make_tiny("mdal", cross=False, dropout=0.0)
    P1, S1, _, S2 = parts(method)
    faces = method(batch)
    torch.testing.assert_close(faces["synthesized"], S2(P1(batch.photo)))
    terms = method.generator_loss(batch, faces)
    assert {name for name in terms if "across" in name} == set()
    assert len(terms) == 6
    made = method.discriminator_loss(batch, faces)["synthesized sketch"]
    judged = entropy(method.discriminators["sketch"](S2(S1(batch.sketch))), False)
    assert made.item() == pytest.approx(judged, rel=1e-4)


@pytest.mark.parametrize("source", ["photo", "sketch"])
def test_the_latent_variable_of_one_domain_is_drawn_in_the_other(source: str, batch: Batch, make_tiny: Any) -> None:
    method = make_tiny("mdal", source=source, target="sketch" if source == "photo" else "photo").eval()
    P1, S1, P2, S2 = parts(method)
    with torch.no_grad():
        expected = S2(P1(batch.photo)) if source == "photo" else P2(S1(batch.sketch))
        torch.testing.assert_close(method.translate(batch.of(method.source)), expected)


def test_the_codes_networks_and_settings() -> None:
    """ResNets of six blocks, U-Nets of eight levels, three discriminators of single images with patches of 70."""
    with torch.device("meta"):
        method = MDAL()
    first, second = parts(method)[:2], parts(method)[2:]
    for part in first:
        layers = [layer for layer in part.modules() if isinstance(layer, nn.Conv2d)]
        assert sum(layer.in_channels == layer.out_channels == 256 for layer in layers) == 2 * 6
        assert layers[-1].out_channels == 3
    for part in second:
        layers = [layer for layer in part.modules() if isinstance(layer, nn.Conv2d)]
        assert [layer.out_channels for layer in layers] == [64, 128, 256, 512, 512, 512, 512, 512]
        assert layers[0].in_channels == 3
        assert [layer.p for layer in part.modules() if isinstance(layer, nn.Dropout)] == [0.5] * 3
    assert {name: D.layers[0].in_channels for name, D in method.discriminators.items()} == {
        "photo": 3,
        "sketch": 3,
        "latent": 3,
    }
    assert list(method.players()) == ["discriminators", "generators"]
    assert (method.patch, method.lambda_l1, method.lambda_latent) == (70, 100, 100)
    recipe = method.recipe
    assert (recipe.epochs, recipe.batch, recipe.learning_rate_at(199), recipe.betas) == (200, 1, 2e-4, (0.5, 0.999))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 48}, "size is 48"),
        ({"blocks": 0}, "blocks 0; expected .* 1 block or more"),
        ({"patch": 17}, "patch is 17"),
        ({"target": "photo"}, "one of them is 'photo'"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        create("mdal", **{"width": 4, **settings})
