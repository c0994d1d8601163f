"""What the paper states, equation by equation, by hand on tiny tensors."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from forensic.errors import UsageError
from forensic.synthesis import Batch, create, perceptual
from forensic.synthesis.attention import SARB, SelfAttention
from forensic.synthesis.losses import total_variation
from forensic.synthesis.methods.msg_sarl import MSGSARL, Discriminator, pyramid

SMALL: dict[str, object] = {"size": 32, "width": 4, "perceptual": "embedder"}


@pytest.fixture
def method(make_tiny: Any) -> MSGSARL:
    return make_tiny("msg-sarl")


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


def test_equation_1_reads_images_at_four_scales(method: MSGSARL, batch: Batch) -> None:
    made = method.generators["photo_to_sketch"](batch.photo)
    assert [image.shape[1:] for image in made] == [(3, 4, 4), (3, 8, 8), (3, 16, 16), (3, 32, 32)]
    assert all(layer.kernel_size == (1, 1) for layer in method.generators["photo_to_sketch"].gamma)
    assert all(image.abs().max() <= 1 for image in made)


def test_skips_are_sums(method: MSGSARL, batch: Batch) -> None:
    """A constant added to the first down-sampling's output comes back in the layer that O2 is read from."""
    generator = method.generators["photo_to_sketch"]
    with torch.no_grad():
        for layer in (*generator.DS[1], *generator.US[1]):  # silence all other ways
            for parameter in layer.parameters():
                parameter.zero_()
        features = generator.DS[0](batch.photo)
        expected = generator.gamma[2](features).tanh()
        torch.testing.assert_close(generator(batch.photo)[2], expected)


def test_equation_2_joins_each_side_at_its_resolution(batch: Batch) -> None:
    """i + j = 4: O2 meets a2 (H/2), O1 meets a3 (H/4), O0 meets a4 (H/8)."""
    D = Discriminator(4, MSG=True)
    seen: list[torch.Size] = []
    for layer in D.theta:
        layer.register_forward_hook(lambda _layer, _given, out: seen.append(out.shape[1:]))
    O_ = pyramid(batch.photo)
    assert D(batch.photo, O_).shape == (1, 1, 2, 2)
    assert seen == [(4, 16, 16), (8, 8, 8), (16, 4, 4)]  # as many channels as they meet
    a = D.delta[0](batch.photo)
    for j in (2, 3, 4):
        a = D.delta[j - 1](torch.cat([D.theta[j - 2](O_[4 - j]), a], dim=1))
    torch.testing.assert_close(D(batch.photo, O_), a)


def test_equation_4_takes_the_real_image_down() -> None:
    y = torch.arange(64.0).view(1, 1, 8, 8)
    O0, O1, O2 = pyramid(y)
    assert O0.item() == 31.5
    assert O1[0, 0, 0, 0] == sum(8 * row + column for row in range(4) for column in range(4)) / 16
    assert O2[0, 0, 0].tolist() == [4.5, 6.5, 8.5, 10.5]


def test_equation_5_stacks_four_blocks_with_both_residuals(method: MSGSARL) -> None:
    SARM = method.generators["sketch_to_photo"].SARM
    assert [type(block) for block in SARM] == [SARB] * 4
    block, F = SARM[0], torch.randn(1, 16, 4, 4)
    torch.testing.assert_close(block(F), F + block.unit(block.conv5(F + block.local(F))))
    assert block.conv5[0].kernel_size == (5, 5)


@pytest.fixture
def unit() -> SelfAttention:
    """Two channels, C* = 1: A reads the first channel, B the second, C both as they are."""
    unit = SelfAttention(2, k=8)
    with torch.no_grad():
        for layer, weight in ((unit.A, [[1.0, 0]]), (unit.B, [[0, 1.0]]), (unit.C, [[1.0, 0], [0, 1.0]])):
            layer.weight.copy_(torch.tensor(weight)[..., None, None])
            layer.bias.zero_()
        unit.alpha.fill_(0.5)
        unit.beta.fill_(0.25)
    return unit


M = torch.tensor([[[[1.0, 2.0]], [[0.5, -1.0]]]])  # two channels, two positions


def softmax(row: list[float]) -> list[float]:
    total = sum(map(math.exp, row))
    return [math.exp(value) / total for value in row]


def test_equations_6_to_8(unit: SelfAttention) -> None:
    A, B = [1.0, 2.0], [0.5, -1.0]
    mu = [softmax([B[j] * A[i] for i in range(2)]) for j in range(2)]  # one softmax over i
    for c, values in enumerate(([1.0, 2.0], [0.5, -1.0])):
        for j in range(2):
            expected = 0.5 * sum(mu[j][i] * values[i] for i in range(2)) + values[j]
            assert unit.E(M)[0, c, 0, j].item() == pytest.approx(expected)


@pytest.mark.parametrize("channel", ["printed", "danet"])
def test_equations_9_and_10(unit: SelfAttention, channel: Any) -> None:
    unit.channel = channel
    rows = [[1.0, 2.0], [0.5, -1.0]]
    energy = [[sum(a * b for a, b in zip(rows[j], rows[i], strict=True)) for i in range(2)] for j in range(2)]
    if channel == "danet":
        energy = [[max(row) - value for value in row] for row in energy]
    x = [softmax(row) for row in energy]
    for j in range(2):
        for position in range(2):
            expected = 0.25 * sum(x[j][i] * rows[i][position] for i in range(2)) + rows[j][position]
            assert unit.H(M)[0, j, 0, position].item() == pytest.approx(expected)


def test_equation_11(unit: SelfAttention) -> None:
    expected = unit.gamma(unit.epsilon_H(unit.H(M)) + unit.epsilon_E(unit.E(M))) + M
    torch.testing.assert_close(unit(M), expected)
    assert unit.epsilon_H.kernel_size == unit.epsilon_E.kernel_size == (3, 3)
    assert unit.gamma.kernel_size == (1, 1)


def test_attention_begins_at_0_and_reduces_by_8() -> None:
    unit, features = SelfAttention(256), torch.randn(1, 256, 2, 2)
    assert unit.alpha.item() == unit.beta.item() == 0
    assert torch.equal(unit.E(features), features)
    assert torch.equal(unit.H(features), features)
    assert unit.A.out_channels == unit.B.out_channels == 32


def squared(scores: torch.Tensor, answer: float) -> float:
    return (scores - answer).square().mean().item()


def test_equation_12_for_the_discriminators(method: MSGSARL, batch: Batch) -> None:
    faces = method(batch)
    terms = method.discriminator_loss(batch, faces)
    real, fake = 0.0, 0.0
    for a, b in (("photo", "sketch"), ("sketch", "photo")):
        *O_, y = method.generators[f"{a}_to_{b}"](batch.of(a))  # type: ignore[arg-type]
        D, true = method.discriminators[b], batch.of(b)  # type: ignore[arg-type]
        real += squared(D(true, pyramid(true)), 1)
        fake += squared(D(y, O_), 0)
    assert terms["real"].item() == pytest.approx(real, rel=1e-4)
    assert terms["synthesized"].item() == pytest.approx(fake, rel=1e-4)
    gradients = torch.autograd.grad(
        terms["synthesized"], list(method.generators.parameters()), allow_unused=True, retain_graph=True
    )
    assert all(gradient is None for gradient in gradients)


def test_equation_13() -> None:
    """The equation's pool2 and pool5, each a mean over H, W and C."""
    method, draw = create("msg-sarl", **SMALL), torch.Generator().manual_seed(5)
    assert isinstance(method, MSGSARL)
    assert method.pools == (2, 5)
    batch = Batch(*(2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2)))
    faces, network, expected = method(batch), perceptual.load("embedder"), 0.0
    for b in ("photo", "sketch"):
        ours, theirs = network(faces[b], ["pool2", "pool5"]), network(getattr(batch, b), ["pool2", "pool5"])
        expected += sum((ours[name] - theirs[name]).square().mean().item() for name in ours)
    assert method.generator_loss(batch, faces)["perceptual"].item() == pytest.approx(10 * expected, rel=1e-4)


def test_equation_15() -> None:
    y = torch.tensor([[0.0, 1.0, 3.0], [2.0, 1.0, 0.0]]).view(1, 1, 2, 3)
    down, right = 4 + 0 + 9, 1 + 4 + 1 + 1
    assert total_variation(y).item() == down + right
    assert total_variation(y.expand(2, 3, 2, 3)).item() == down + right  # grey in three channels, two faces


def test_equation_16_for_the_generators(method: MSGSARL, batch: Batch) -> None:
    faces = method(batch)
    terms = {name: value.item() for name, value in method.generator_loss(batch, faces).items()}
    assert set(terms) == {"adversarial", "perceptual", "total_variation", "cycle"}
    G_ps, G_sp = method.generators["photo_to_sketch"], method.generators["sketch_to_photo"]
    (*O_s, y_s), (*O_p, y_p) = G_ps(batch.photo), G_sp(batch.sketch)
    D_s, D_p = method.discriminators["sketch"], method.discriminators["photo"]
    assert terms["adversarial"] == pytest.approx(squared(D_s(y_s, O_s), 1) + squared(D_p(y_p, O_p), 1), rel=1e-4)
    cycle = (G_sp(y_s)[-1] - batch.photo).abs().mean() + (G_ps(y_p)[-1] - batch.sketch).abs().mean()
    assert terms["cycle"] == pytest.approx(10 * cycle.item(), rel=1e-4)  # equation 14, both ways
    variation = total_variation(y_s) + total_variation(y_p)
    assert terms["total_variation"] == pytest.approx(1e-4 * variation.item(), rel=1e-4)


def test_the_discriminators_answers_reach_the_side_images(method: MSGSARL, batch: Batch) -> None:
    faces = method(batch)
    side = method.generators["photo_to_sketch"].gamma[0].weight
    (gradient,) = torch.autograd.grad(method.generator_loss(batch, faces)["adversarial"], side)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize(
    ("row", "terms", "directions"),
    [
        ("backbone", set(), 1),
        ("backbone w/ MSG", set(), 1),
        ("backbone w/ Self-Attention", set(), 1),
        ("MSG-SARL w/o MSG", {"cycle"}, 2),
        ("MSG-SARL w/o Cycle", set(), 1),
        ("MSG-SARL w/o Self-Attention", {"cycle"}, 2),
        ("MSG-SARL", {"cycle"}, 2),
    ],
)
def test_the_rows_of_tables_1_to_3(row: str, terms: set[str], directions: int, batch: Batch) -> None:
    made = create("msg-sarl", **{**SMALL, **MSGSARL.rows[row]})
    assert isinstance(made, MSGSARL)
    faces = made(batch)
    assert set(made.generator_loss(batch, faces)) == {"adversarial", "perceptual", "total_variation"} | terms
    assert set(made.discriminator_loss(batch, faces)) == {"real", "synthesized"}
    assert len(made.generators) == len(made.discriminators) == directions
    units = [layer for layer in made.modules() if isinstance(layer, SelfAttention)]
    attention = "Self-Attention" in row if "backbone" in row else "w/o Self" not in row
    assert len(units) == (4 * directions if attention else 0)
    MSG = row in ("backbone w/ MSG", "MSG-SARL w/o Cycle", "MSG-SARL w/o Self-Attention", "MSG-SARL")
    assert ("sketch O2" in faces) == MSG
    with torch.no_grad():
        torch.testing.assert_close(made.translate(batch.photo), faces["synthesized"].detach())


def test_without_cycle_a_model_can_learn_the_other_direction(batch: Batch) -> None:
    made = create("msg-sarl", **SMALL, cycle=False, source="sketch", target="photo")
    assert isinstance(made, MSGSARL)
    assert list(made.generators) == ["sketch_to_photo"]
    assert made(batch)["synthesized"].shape == (1, 3, 32, 32)


def test_one_state_translates_both_ways(batch: Batch) -> None:
    there, back = (
        create("msg-sarl", **SMALL, source=a, target=b).eval() for a, b in (("photo", "sketch"), ("sketch", "photo"))
    )
    back.load_state_dict(there.translating_state(), strict=False)
    assert isinstance(there, MSGSARL)
    with torch.inference_mode():
        expected = there.generators["sketch_to_photo"](batch.sketch)[-1]
        assert torch.equal(back.translate(batch.sketch), expected)
    assert there.translating_state().keys() == back.translating_state().keys()
    assert all(name.startswith("generators.") for name in there.translating_state())


def test_the_papers_networks() -> None:
    with torch.device("meta"):
        method = MSGSARL()
    for generator in method.generators.values():
        assert sum(parameter.numel() for parameter in generator.parameters()) == counted_generator()
        assert not any(isinstance(layer, nn.ReLU | nn.LeakyReLU | nn.ConvTranspose2d) for layer in generator.modules())
    for D in method.discriminators.values():
        assert sum(parameter.numel() for parameter in D.parameters()) == counted_discriminator()
        assert sum(isinstance(layer, nn.MaxPool2d) for layer in D.modules()) == 3
        assert field(D) == 70
    weights = (method.lambda_1, method.lambda_2, method.lambda_3, method.lambda_4)
    assert weights == (1, 10, 1e-4, 10)
    assert list(method.players()) == ["discriminators", "generators"]


def counted_generator() -> int:
    """DS of 64, 128, 256; four SARBs at 256; US of 128, 64, 64; images from 256, 128, 64, 64 channels."""
    DS = 16 * 3 * 64 + 64 + 1 + 16 * 64 * 128 + 2 * 128 + 1 + 16 * 128 * 256 + 2 * 256 + 1
    c = 256
    residual = 2 * (9 * c * c + 2 * c) + 1 + 25 * c * c + 2 * c
    attention = 2 * (c * 32 + 32) + c * c + c + 2 + 2 * (9 * c * c + c) + c * c + c
    US = sum(9 * a * b + 2 * b + 1 for a, b in ((256, 128), (128, 64), (64, 64)))
    gamma = 3 * (256 + 128 + 64 + 64) + 4 * 3
    return DS + 4 * (residual + attention) + US + gamma


def counted_discriminator() -> int:
    delta = 9 * 3 * 64 + 64 + 9 * 128 * 128 + 2 * 128 + 9 * 256 * 256 + 2 * 256 + 16 * 512 * 512 + 2 * 512
    theta = (3 + 1) * (64 + 128 + 256)
    return delta + 16 * 512 + 1 + theta


def field(network: Discriminator) -> int:
    """Receptive field of the chain from the image to a score."""
    pixels = 1
    layers = [layer for layer in network.delta.modules() if isinstance(layer, nn.Conv2d | nn.MaxPool2d)]
    for layer in reversed(layers):
        size, stride = (2, 2) if isinstance(layer, nn.MaxPool2d) else (layer.kernel_size[0], layer.stride[0])
        pixels = stride * (pixels - 1) + size
    return pixels


def test_the_papers_learning_rate() -> None:
    """400 epochs: 1e-3, after 100 epochs 1e-4, after 200 epochs 1e-5 and no less."""
    recipe = MSGSARL.recipe
    assert (recipe.epochs, recipe.batch, recipe.betas) == (400, 1, (0.5, 0.999))
    rates = {0: 1e-3, 99: 1e-3, 100: 1e-4, 199: 1e-4, 200: 1e-5, 399: 1e-5}
    assert {epoch: recipe.learning_rate_at(epoch) for epoch in rates} == pytest.approx(rates)
    assert recipe.changed(epochs=4).learning_rate_at(1) == pytest.approx(1e-4)


def test_unknown_settings_are_refused() -> None:
    for settings in ({"channel": "x"}, {"k": 0}, {"pools": (2, 6)}, {"size": 36}, {"source": "sketch"}):
        with pytest.raises(UsageError):
            create("msg-sarl", **settings)
