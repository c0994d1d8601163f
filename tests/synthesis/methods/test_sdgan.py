"""What the paper states, equation by equation, by hand on tiny tensors."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.faces import priors
from forensic.synthesis import Batch, create, perceptual
from forensic.synthesis.blocks import SPADE
from forensic.synthesis.losses import affinities, reweighting
from forensic.synthesis.methods.sdgan import CLASSES, SDGAN


@pytest.fixture
def method(make_tiny: Any) -> SDGAN:
    return make_tiny("sdgan")


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    return Batch(*(2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2)))


def two_classes() -> torch.Tensor:
    """Masks of a 1 x 4 image: the first three pixels, the fourth."""
    return torch.tensor([[[[1.0, 1, 1, 0]], [[0, 0, 0, 1]]]])


def sketch(*values: float) -> torch.Tensor:
    """A 1 x n sketch of values in [0, 1], one channel, as the methods have it in [-1, 1]."""
    return 2 * torch.tensor(values).view(1, 1, 1, -1) - 1


def test_equations_1_to_3() -> None:
    """F = (.1 .2 .6 | .5 .9): mu = .3 and .7, nu = (.04 + .01 + .09) / 3 and (.04 + .04) / 2."""
    S = torch.tensor([[[[1.0, 1, 1, 0, 0]], [[0, 0, 0, 1, 1]]]])
    values = (0.1, 0.2, 0.6, 0.5, 0.9)
    mu, nu = (0.3, 0.7), (0.14 / 3, 0.04)
    norm_f = math.sqrt(sum(value**2 for value in values) / 5)
    for C, (first, second) in zip(affinities(sketch(*values), S), (mu, nu), strict=True):
        norm = norm_f * math.sqrt((3 * first**2 + 2 * second**2) / 5)
        assert C[0, 0, 0, 0].tolist() == pytest.approx([value * first / norm for value in values[:3]] + [0, 0])
        assert C[0, 1, 0, 0].tolist() == pytest.approx([0, 0, 0] + [value * second / norm for value in values[3:]])


def test_equation_2_as_printed_counts_the_pixels_outside() -> None:
    """nu = (.04 + .01 + .09 + .3²) / 3 and (0 + 3 · .5²) / 1."""
    _, C2 = affinities(sketch(0.1, 0.2, 0.6, 0.5), two_classes(), variance="printed")
    first, second = (0.14 + 0.09) / 3, 0.75
    norm_f = math.sqrt((0.01 + 0.04 + 0.36 + 0.25) / 4)
    norm_nu = math.sqrt((3 * first**2 + second**2) / 4)
    assert C2[0, 1, 0, 0, 3].item() == pytest.approx(0.5 * second / (norm_f * norm_nu))


def test_equation_3_as_one_cosine_a_class() -> None:
    """The cosine of (.1 .2 .6) with a constant: .9 / sqrt(3 · .41); of one pixel with itself: 1."""
    C1, _ = affinities(sketch(0.1, 0.2, 0.6, 0.5), two_classes(), affinity="cosine")
    assert C1[0].tolist() == pytest.approx([0.9 / math.sqrt(3 * 0.41), 1.0])


def test_equation_6_is_a_mean_over_each_class_and_over_the_classes() -> None:
    S = two_classes()
    target, fake = sketch(0.1, 0.2, 0.6, 0.5), sketch(0.3, 0.2, 0.4, 0.9)
    expected = 0.0
    for C_target, C_fake in zip(affinities(target, S), affinities(fake, S), strict=True):
        difference = (C_target - C_fake)[0, :, 0, 0].square()
        expected += float((difference[0].sum() / 3 + difference[1].sum() / 1) / 2)
    assert reweighting(fake, target, S).item() == pytest.approx(expected)
    assert reweighting(target, target, S).item() == 0


@pytest.mark.parametrize("variance", ["within", "printed"])
@pytest.mark.parametrize("affinity", ["map", "cosine"])
def test_a_class_that_a_face_lacks_adds_nothing(variance: Any, affinity: Any) -> None:
    S = torch.cat([two_classes(), torch.zeros(1, 1, 1, 4)], dim=1)
    target, fake = sketch(0.1, 0.2, 0.6, 0.5), sketch(0.3, 0.2, 0.4, 0.9).requires_grad_()
    without = reweighting(fake, target, two_classes(), variance=variance, affinity=affinity)
    with_it = reweighting(fake, target, S, variance=variance, affinity=affinity)
    assert with_it.item() == pytest.approx(without.item() * 2 / 3)
    with_it.backward()
    assert fake.grad is not None
    assert fake.grad.isfinite().all()


def test_equation_9_and_its_weights(method: SDGAN, batch: Batch) -> None:
    """Every term, worked out beside the method."""
    faces = method(batch)
    X, Y, G = batch.photo, batch.sketch, faces["synthesized"]
    M, S = faces["saliency"], faces["masks"]
    terms = {name: value.item() for name, value in method.generator_loss(batch, faces).items()}
    assert list(terms) == ["adversarial", "content", "reweighting", "perceptual", "parsing"]

    logits = method.discriminator(torch.cat([X, 2 * M - 1, G], dim=1))
    assert terms["adversarial"] == pytest.approx(-torch.sigmoid(logits).log().mean().item(), rel=1e-4)  # equation 4
    assert terms["content"] == pytest.approx(100 * (Y - G).abs().mean().item(), rel=1e-4)  # equation 5
    assert terms["reweighting"] == pytest.approx(100 * reweighting(G, Y, S).item(), rel=1e-4)  # equation 6
    network = perceptual.load("embedder")
    theirs, ours = network(Y, ("pool1", "pool2")), network(G, ("pool1", "pool2"))
    likeness = sum((theirs[name] - ours[name]).square().mean().item() for name in ("pool1", "pool2"))
    assert terms["perceptual"] == pytest.approx(likeness, rel=1e-4)  # equation 7
    parse = priors.Priors({"parsing": "priors"})
    p, q = (priors.merged(parse(side)["parsing"], CLASSES).clamp(1e-7, 1 - 1e-7) for side in (Y, G))
    entropy = -(p * q.log() + (1 - p) * (1 - q).log()).mean().item()
    assert terms["parsing"] == pytest.approx(10 * entropy, rel=1e-3)  # equation 8


def test_equation_4_for_the_discriminator(method: SDGAN, batch: Batch) -> None:
    faces = method(batch)
    condition = [batch.photo, 2 * faces["saliency"] - 1]
    real = method.discriminator(torch.cat([*condition, batch.sketch], dim=1)).sigmoid()
    fake = method.discriminator(torch.cat([*condition, faces["synthesized"]], dim=1)).sigmoid()
    terms = method.discriminator_loss(batch, faces)
    assert terms["real"].item() == pytest.approx(-real.log().mean().item() / 2, rel=1e-4)
    assert terms["synthesized"].item() == pytest.approx(-(1 - fake).log().mean().item() / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("row", "terms"),
    [
        ("Backbone", ["adversarial", "content"]),
        ("M", ["adversarial", "content"]),
        ("M + S", ["adversarial", "content"]),
        ("M + S + AR", ["adversarial", "content", "reweighting"]),
        ("M + S + AR + perceptual", ["adversarial", "content", "reweighting", "perceptual"]),
        ("M + S + AR + perceptual + BCE", ["adversarial", "content", "reweighting", "perceptual", "parsing"]),
    ],
)
def test_the_rows_of_table_2(row: str, terms: list[str], batch: Batch) -> None:
    settings = {"size": 32, "width": 4, "perceptual": "embedder", **SDGAN.rows[row]}
    made = create("sdgan", **settings)
    assert isinstance(made, SDGAN)
    assert list(made.generator_loss(batch, made(batch))) == terms
    assert made.generator.down[0][0].in_channels == (3 if row == "Backbone" else 4)
    assert any(isinstance(layer, SPADE) and layer.steered for layer in made.modules()) == ("S" in row)
    assert set(made.needs) == ({"saliency"} if row == "M" else set() if row == "Backbone" else {"parsing", "saliency"})


@pytest.mark.parametrize(("row", "asked"), [("Backbone", set()), ("M", {"saliency"}), ("M + S + AR", {"parsing"})])
def test_only_the_networks_that_a_row_uses_are_asked_for(row: str, asked: set[str], batch: Batch) -> None:
    others = {"parsing", "saliency"} - asked
    made = create("sdgan", **{"size": 32, "width": 4, **SDGAN.rows[row], **({"M": False} if "S" in row else {})})
    assert set(made.needs) == asked
    missing = create("sdgan", **{**made.settings, **dict.fromkeys(others, "nobody's")})
    assert isinstance(missing, SDGAN)
    assert torch.isfinite(missing.generator_loss(batch, missing(batch))["content"])
    assert missing.translate(batch.photo).shape == (1, 3, 32, 32)
    assert set(missing.consults) <= asked


def test_the_papers_networks() -> None:
    """Seven levels down to 2 x 2, seven SI ResBlocks of two convolutions and two SI modules, 12 classes, 70 x 70."""
    with torch.device("meta"):
        method = SDGAN()
    down = [layer for layer in method.generator.down.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in down] == [64, 128, 256, 512, 512, 512, 512]
    assert all((layer.kernel_size, layer.stride) == ((4, 4), (2, 2)) for layer in down)
    assert len(method.generator.up) == 7
    assert [block.conv2.out_channels for block in method.generator.up] == [512, 512, 512, 256, 128, 64, 64]
    for block in method.generator.up:
        assert sum(isinstance(layer, SPADE) for layer in block.modules()) == 2
        assert block.first.shared[0].in_channels == 12
        assert block.first.shared[0].out_channels == 128
    with torch.device("meta"):
        assert method.generator(torch.empty(1, 4, 256, 256), torch.empty(1, 12, 256, 256)).shape == (1, 3, 256, 256)
        assert method.discriminator(torch.empty(1, 7, 256, 256)).shape == (1, 1, 30, 30)
    assert sum(p.numel() for p in method.generator.parameters()) == counted()
    assert (method.alpha, method.lambda_ar, method.delta, method.eta) == (100, 100, 1, 10)
    recipe = method.recipe
    assert (recipe.epochs, recipe.flat, recipe.batch, recipe.learning_rate) == (200, 0.5, 1, 2e-4)


def counted() -> int:
    """Parameters by hand: 4 x 4 encoder, SI ResBlocks (Fig. 2b, 2c), the last convolution."""
    widths = [64, 128, 256, 512, 512, 512]
    encoder = 16 * 4 * 64 + 64 + sum(16 * a * b + 2 * b for a, b in itertools.pairwise(widths))
    encoder += 16 * 512 * 512 + 512

    def injection(channels: int) -> int:
        return 9 * 12 * 128 + 128 + 2 * (9 * 128 * channels + channels)

    decoder = 0
    for a, b in [(512, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64), (128, 64)]:
        middle = min(a, b)
        decoder += injection(a) + injection(middle) + 9 * a * middle + middle + 9 * middle * b + b
        decoder += a * b if a != b else 0
    return encoder + decoder + 9 * 64 * 3 + 3


def test_the_bottleneck_is_2_by_2(method: SDGAN) -> None:
    images = torch.zeros(1, 4, 32, 32)
    for level in method.generator.down:
        images = level(images)
    assert images.shape[2:] == (2, 2)


def test_fig_2c_normalizes_then_scales_and_shifts_by_the_masks() -> None:
    module = SPADE(2, classes=3, hidden=4)
    x, S = torch.randn(1, 2, 4, 4), torch.rand(1, 3, 8, 8)
    steering = module.shared(S[:, :, ::2, ::2])  # nearest, half the size
    mean, deviation = x.mean(dim=(2, 3), keepdim=True), x.var(dim=(2, 3), keepdim=True, correction=0).add(1e-5).sqrt()
    expected = (x - mean) / deviation * (1 + module.gamma(steering)) + module.beta(steering)
    torch.testing.assert_close(module(x, S), expected)


def test_the_masks_and_the_saliency_decide_the_sketch(method: SDGAN, batch: Batch) -> None:
    with torch.no_grad():
        known = method._known(batch.photo)
        plain = method._synthesized(batch.photo, known)
        for name, other in (("masks", known["masks"].flip(1)), ("saliency", 1 - known["saliency"])):
            assert not torch.equal(plain, method._synthesized(batch.photo, known | {name: other}))


def test_the_twelve_classes_take_every_class_once() -> None:
    named = [name for names in CLASSES.values() for name in names]
    assert len(CLASSES) == 12
    assert sorted(named) == sorted(priors.PARSING_CLASSES)
    likely = F.softmax(torch.randn(1, 19, 2, 2), dim=1)
    merged = priors.merged(likely, CLASSES)
    torch.testing.assert_close(merged.sum(dim=1), torch.ones(1, 2, 2))
    torch.testing.assert_close(merged[:, 0], likely[:, 4] + likely[:, 5])


def test_unknown_readings_are_refused() -> None:
    for settings in ({"variance": "x"}, {"affinity": "x"}, {"size": 48}, {"patch": 71}, {"source": "sketch"}):
        with pytest.raises(UsageError):
            create("sdgan", **settings)
