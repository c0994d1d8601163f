"""What the paper states, by hand on tiny tensors."""

from typing import Any

import pytest
import torch
from torch import nn

from forensic.errors import UsageError
from forensic.synthesis import Batch, create, perceptual
from forensic.synthesis.composition import LAYERS, compositional
from forensic.synthesis.methods.sca_gan import SCAGAN


@pytest.fixture
def method(make_tiny: Any) -> SCAGAN:
    return make_tiny("sca-gan")


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    return Batch(*(2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2)))


def entropy(logits: torch.Tensor, real: bool) -> float:
    likely = logits.sigmoid()
    return -(likely if real else 1 - likely).log().mean().item()


def test_each_stage_has_the_whole_objective(batch: Batch, make_tiny: Any) -> None:
    method = make_tiny("sca-gan", perceptual="embedder")
    faces, network = method(batch), perceptual.load("embedder")
    X, Y, M = batch.photo, batch.sketch, faces["M"]
    for stage in (1, 2):
        drawn = faces[f"stage {stage}"]
        terms = {name: value.item() for name, value in method.generator_loss(batch, faces, stage).items()}
        assert list(terms) == ["adversarial", "compositional", "perceptual"]
        D = method.discriminators[stage - 1]
        assert terms["adversarial"] == pytest.approx(entropy(D(torch.cat([X, M, drawn], dim=1)), True), rel=1e-4)
        assert terms["compositional"] == pytest.approx(10 * compositional(drawn, Y, M, share=0.7).item(), rel=1e-4)
        ours, theirs = network(drawn, LAYERS), network(Y, LAYERS)
        likeness = sum((ours[name] - theirs[name]).square().mean().item() for name in LAYERS)
        assert terms["perceptual"] == pytest.approx(5 * likeness, rel=1e-4)


def test_the_discriminators_see_the_composition(method: SCAGAN, batch: Batch) -> None:
    faces = method(batch)
    for stage, D in enumerate(method.discriminators, 1):
        terms = method.discriminator_loss(batch, faces, stage)
        known = [batch.photo, faces["M"]]
        real, fake = D(torch.cat([*known, batch.sketch], 1)), D(torch.cat([*known, faces[f"stage {stage}"]], 1))
        assert terms["real"].item() == pytest.approx(entropy(real, True) / 2, rel=1e-4)
        assert terms["synthesized"].item() == pytest.approx(entropy(fake, False) / 2, rel=1e-4)


def test_least_squares_is_the_codes_choice(batch: Batch, make_tiny: Any) -> None:
    method = make_tiny("sca-gan", criterion="least-squares")
    faces = method(batch)
    scores = method.discriminators[1](torch.cat([batch.photo, faces["M"], batch.sketch], 1))
    expected = (scores - 1).square().mean().item() / 2
    assert method.discriminator_loss(batch, faces, 2)["real"].item() == pytest.approx(expected, rel=1e-4)


def test_the_second_stage_sees_the_first_ones_face_and_leaves_it_alone(
    method: SCAGAN, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    G1, G2 = method.generators
    seen: list[tuple[torch.Tensor, ...]] = []
    forward = G2.forward
    monkeypatch.setattr(G2, "forward", lambda *given: seen.append(given) or forward(*given))
    faces = method(batch)
    face, composition = seen[0]
    assert torch.equal(face, torch.cat([batch.photo, faces["stage 1"]], dim=1))
    assert torch.equal(composition, faces["M"])
    torch.stack(list(method.generator_loss(batch, faces, 2).values())).sum().backward()
    assert all(parameter.grad is None for parameter in G1.parameters())
    assert all(parameter.grad is not None for parameter in G2.parameters())
    assert torch.equal(faces["synthesized"], faces["stage 2"])


def test_the_composition_steers_what_is_drawn(method: SCAGAN, batch: Batch) -> None:
    with torch.no_grad():
        M = method._parse(batch.photo)
        torch.testing.assert_close(M.sum(dim=1), torch.ones(1, 32, 32))
        seen, shuffled = (method._drawn(batch.photo, composition) for composition in (M, M.roll(1, dims=1)))
    for ours, theirs in zip(seen, shuffled, strict=True):
        assert not torch.allclose(ours, theirs, atol=1e-4)


def test_the_papers_three_systems(batch: Batch, make_tiny: Any) -> None:
    made = {row: make_tiny("sca-gan", **settings) for row, settings in SCAGAN.rows.items()}
    assert {row: list(method.players()) for row, method in made.items()} == {
        "cGAN": ["D1", "G1"],
        "CA-GAN": ["D1", "G1"],
        "SCA-GAN": ["D1", "D2", "G1", "G2"],
    }
    plain = made["cGAN"]
    assert not plain.needs
    assert made["CA-GAN"].needs
    faces = plain(batch)
    terms = plain.generator_loss(batch, faces, 1)
    expected = 10 * (faces["synthesized"] - batch.sketch).abs().mean().item()
    assert terms["compositional"].item() == pytest.approx(expected, rel=1e-4)
    score = plain.discriminators[0](torch.cat([batch.photo, faces["synthesized"]], 1))
    assert terms["adversarial"].item() == pytest.approx(entropy(score, True), rel=1e-4)


def test_the_papers_networks_and_settings() -> None:
    with torch.device("meta"):
        method = SCAGAN()
    widths = [64, 128, 256, 512, 512, 512, 512, 512]
    for network, inputs in zip(method.generators, (3, 6), strict=True):
        for encoder, channels in ((network.first, inputs), (network.second, 8)):
            layers = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
            assert [layer.out_channels for layer in layers] == widths
            assert layers[0].in_channels == channels
    for D in method.discriminators:
        layers = [layer for layer in D.modules() if isinstance(layer, nn.Conv2d)]
        assert layers[0].in_channels == 3 + 8 + 3
        field = 1
        for layer in reversed(layers):
            field = layer.stride[0] * (field - 1) + layer.kernel_size[0]
        assert field == 16
    recipe = method.recipe
    assert (recipe.epochs, recipe.batch, recipe.learning_rate_at(699), recipe.betas) == (700, 1, 2e-4, (0.5, 0.999))
    assert (method.alpha, method.lambda_cmp, method.gamma) == (0.7, 10, 5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 48}, "sca-gan: size 48 is not divisible by 32"),
        ({"alpha": 1.5}, r"alpha is 1\.5, expected a share from 0 to 1"),
        ({"patch": 17}, "patch is 17"),
        ({"source": "sketch"}, "one of them is 'photo'"),
        ({"stages": 3}, "stages is 3"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        create("sca-gan", **{"width": 4, **settings})
