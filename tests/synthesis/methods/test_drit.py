"""What the paper states: contents and attributes, crossed twice; who learns from which term; by hand."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from forensic.errors import UsageError
from forensic.synthesis import Batch, create
from forensic.synthesis.methods import drit
from forensic.synthesis.methods.drit import DRIT


@pytest.fixture
def method(make_tiny: Any) -> DRIT:
    weights = {"content": 2, "domain": 3, "cc": 5, "recon": 7, "latent": 11, "KL": 13}
    return make_tiny("drit", scales=2, **{f"lambda_{name}": float(weight) for name, weight in weights.items()})


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(2, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


def mean_of(code: torch.Tensor) -> torch.Tensor:
    return code[:, :2]


def unlikely(scores: torch.Tensor, *, real: bool) -> float:
    return float(-(scores.sigmoid() if real else 1 - scores.sigmoid()).log().mean())


@torch.no_grad()
def test_equations_2_and_3(method: DRIT, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drit, "drawn", mean_of)
    x, y = batch.photo, batch.sketch
    faces, E_c, G = method(batch), method.content_encoders, method.generators
    E_x, E_y = method.attribute_encoders["photo"], method.attribute_encoders["sketch"]
    u = G("photo", E_c("sketch", y), mean_of(E_x(x)))
    v = G("sketch", E_c("photo", x), mean_of(E_y(y)))
    assert torch.equal(faces["photo"], u)
    assert torch.equal(faces["sketch"], v)
    assert torch.equal(faces["photo again"], G("photo", E_c("sketch", v), mean_of(E_x(u))))
    assert torch.equal(faces["sketch again"], G("sketch", E_c("photo", u), mean_of(E_y(v))))
    assert torch.equal(faces["photo itself"], G("photo", E_c("photo", x), mean_of(E_x(x))))
    z = faces["random code"]
    assert torch.equal(faces["sketch random"], G("sketch", E_c("photo", x), z))


@torch.no_grad()
def test_the_generators_objective(method: DRIT, batch: Batch) -> None:
    faces = method(batch)
    terms = {name: value.item() for name, value in method.generator_loss(batch, faces).items()}
    expected = dict.fromkeys(terms, 0.0)
    for side in ("photo", "sketch"):
        true, code, content = batch.of(side), faces[f"{side} attribute code"], faces[f"{side} content code"]
        scores = method.content_discriminator(content)
        expected["content"] += 2 * (unlikely(scores, real=True) + unlikely(scores, real=False)) / 2  # equation 1
        for made in (faces[side], faces[f"{side} random"]):
            for levels in method.discriminators[side](made):
                expected["domain"] += 3 * unlikely(levels[-1], real=True)
        expected["cross_cycle"] += 5 * float((faces[f"{side} again"] - true).abs().mean())  # equation 4
        expected["reconstruction"] += 7 * float((faces[f"{side} itself"] - true).abs().mean())
        found = mean_of(method.attribute_encoders[side](faces[f"{side} random"]))
        expected["latent"] += 11 * float((found - faces["random code"]).abs().mean())
        encoded = Normal(code[:, :2], (code[:, 2:] / 2).exp())
        expected["KL"] += 13 * float(kl_divergence(encoded, Normal(0.0, 1.0)).sum(dim=1).mean())
        expected["content_norm"] += 13 * float(content.abs().mean())
    assert terms == pytest.approx(expected, rel=1e-3)


@torch.no_grad()
def test_the_discriminators_objectives(method: DRIT, batch: Batch) -> None:
    faces = method(batch)
    real = synthesized = 0.0
    for side in ("photo", "sketch"):
        D = method.discriminators[side]
        real += sum(unlikely(levels[-1], real=True) for levels in D(batch.of(side)))
        for made in (faces[side], faces[f"{side} random"]):
            synthesized += sum(unlikely(levels[-1], real=False) for levels in D(made)) / 2
    terms = method.discriminator_loss(batch, faces)
    assert terms["real"].item() == pytest.approx(real, rel=1e-4)
    assert terms["synthesized"].item() == pytest.approx(synthesized, rel=1e-4)
    D_c, terms = method.content_discriminator, method.content_loss(batch, faces)
    assert terms["photo"].item() == pytest.approx(unlikely(D_c(faces["photo content code"]), real=True), rel=1e-4)
    assert terms["sketch"].item() == pytest.approx(unlikely(D_c(faces["sketch content code"]), real=False), rel=1e-4)


def test_content_is_best_where_the_modality_cannot_be_told(method: DRIT, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equation 1 for the encoders: its gradient vanishes where D^c says one half, and points there from both sides."""
    for says, sign in ((0.0, 0), (1.0, 1), (-1.0, -1)):
        scores = torch.tensor([says], requires_grad=True)
        monkeypatch.setattr(method.content_discriminator, "forward", lambda _content, scores=scores: scores)
        batch = Batch(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32))
        method.generator_loss(batch, method(batch))["content"].backward(inputs=[scores])
        assert scores.grad is not None
        assert scores.grad.sign().item() == sign


def moved_by(term: torch.Tensor, network: nn.Module) -> bool:
    gradients = torch.autograd.grad(term, list(network.parameters()), allow_unused=True, retain_graph=True)
    return any(gradient is not None and bool(gradient.any()) for gradient in gradients)


def test_who_learns_from_which_term(method: DRIT, batch: Batch) -> None:
    faces = method(batch)
    terms = method.generator_loss(batch, faces)
    E_c, E_a, G = method.content_encoders, method.attribute_encoders, method.generators
    assert [moved_by(terms["latent"], network) for network in (E_c, E_a, G)] == [True, False, True]
    assert [moved_by(terms["content"], network) for network in (E_c, E_a, G)] == [True, False, False]
    assert [moved_by(terms["KL"], network) for network in (E_c, E_a, G)] == [False, True, False]
    assert [moved_by(terms["cross_cycle"], network) for network in (E_c, E_a, G)] == [True, True, True]
    assert not moved_by(method.content_loss(batch, faces)["photo"], E_c)


def test_attributes_are_drawn_from_what_is_encoded() -> None:
    torch.manual_seed(0)
    code = torch.tensor([[1.0, -2.0, 0.0, 2.0 * torch.log(torch.tensor(3.0))]]).expand(20000, 4)
    found = drit.drawn(code)
    torch.testing.assert_close(found.mean(dim=0), torch.tensor([1.0, -2.0]), rtol=0, atol=0.1)
    torch.testing.assert_close(found.std(dim=0), torch.tensor([1.0, 3.0]), rtol=0.05, atol=0)


def test_both_modalities_share_the_last_block_of_content_and_the_first_of_the_generators(method: DRIT) -> None:
    with torch.no_grad():
        for part in (method.content_encoders.shared, method.generators.shared):
            x = torch.randn(1, 16, 8, 8)
            before = part(x)
            for parameter in part.parameters():
                parameter.zero_()
            assert torch.equal(part(x), x)  # only the identity is left
            assert not torch.equal(before, x)
    own = {id(p) for part in (method.content_encoders, method.generators) for p in part.own["photo"].parameters()}
    other = {id(p) for part in (method.content_encoders, method.generators) for p in part.own["sketch"].parameters()}
    assert not own & other


def test_translate_draws_the_middle_attribute(make_tiny: Any) -> None:
    method = make_tiny("drit").eval()
    back = make_tiny("drit", seed=1, source="sketch", target="photo").eval()
    back.load_state_dict(method.translating_state(), strict=False)
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        for translator, a, b in ((method, "photo", "sketch"), (back, "sketch", "photo")):
            expected = method.generators(b, method.content_encoders(a, images), torch.zeros(2, 2))
            assert torch.equal(translator.translate(images), expected)
    assert {name.split(".")[0] for name in method.translating_state()} == {"content_encoders", "generators"}


def test_the_papers_settings() -> None:
    with torch.device("meta"):
        method = DRIT()
    assert method.attributes == 8
    assert (method.lambda_content, method.lambda_domain, method.lambda_cc) == (1, 1, 10)
    assert (method.lambda_recon, method.lambda_latent, method.lambda_KL) == (10, 10, 0.01)
    players = method.players()
    assert list(players) == ["content_discriminator", "discriminators", "generators"]
    assert (players["content_discriminator"].turns, players["content_discriminator"].rate) == (3, 0.4)
    encoder = method.attribute_encoders["photo"]
    assert sum(isinstance(layer, nn.Conv2d) for layer in encoder) == 4
    recipe = method.recipe
    assert (recipe.learning_rate, recipe.betas, recipe.batch, recipe.weight_decay) == (1e-4, (0.5, 0.999), 1, 1e-4)


def test_unknown_settings_are_refused() -> None:
    for settings in (
        {"size": 34},
        {"attributes": 0},
        {"content_turns": 0},
        {"content_patch": 71},
        {"source": "sketch"},
    ):
        with pytest.raises(UsageError):
            create("drit", **{"width": 1, **settings})
