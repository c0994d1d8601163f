"""What the paper states, equation by equation, by hand on tiny tensors."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.images import luminance
from forensic.synthesis import Batch, create, load, save
from forensic.synthesis.blocks import DeformableConvolution, gaussian_pyramid
from forensic.synthesis.dynamic import ACON, DecodingLayer, Design, MetaACON
from forensic.synthesis.losses import textural
from forensic.synthesis.methods.hida import HIDA
from forensic.synthesis.trainer import Trainer

FULL = Design(depth=True, DySPADE=True, activation="InfoACON", DOG="top2", switch="pixel", dropout=0.0)


@pytest.fixture
def method(make_tiny: Any) -> HIDA:
    return make_tiny("hida")


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(2, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch, torch.tensor([0, 2]))


def ramp(x: float, y: float) -> torch.Tensor:
    """A 3 x 3 sketch that rises by x a column and by y a row."""
    steps = torch.arange(3.0)
    return (x * steps[None, :] + y * steps[:, None])[None, None]


def layer_and_inputs(before: int = 6) -> tuple[DecodingLayer, list[Any]]:
    """A decoding layer from 4 x 4 to 8 x 8 with what goes into it: K, E, D, s."""
    layer = DecodingLayer(FULL, (before, 5), 3, styles=3, deformed=False)
    K = torch.randn(2, before, 4, 4) if before else None
    s = F.one_hot(torch.tensor([0, 2]), 3).float()
    return layer, [K, torch.randn(2, 5, 4, 4), torch.rand(2, 1, 8, 8), s]


def test_equations_2_to_4() -> None:
    """One decoding layer, worked out from its convolutions."""
    layer, (K, E, D, s) = layer_and_inputs()
    H = layer.enlarge(torch.cat([K, E], dim=1))
    S = s.view(2, 3, 1, 1).expand(2, 3, 8, 8)
    A = layer.appearance(E)
    assert A.shape == (2, 1, 8, 8)
    first, activation = layer.shared
    assert isinstance(activation, MetaACON)
    hidden = activation(first(torch.cat([D, S, A], dim=1)))
    theta = 1 / (1 + torch.exp(-layer.branches["theta"](hidden)))  # equation 2
    p1, p2 = layer.activate.p1, layer.activate.p2
    F_ = (p1 - p2) * H * torch.sigmoid(theta * (p1 - p2) * H) + p2 * H  # equation 1
    mu, variance = F_.mean(dim=(2, 3), keepdim=True), F_.var(dim=(2, 3), keepdim=True, correction=0)
    gamma, beta = 1 + layer.branches["gamma"](hidden), layer.branches["beta"](hidden)
    modulated = gamma * (F_ - mu) / (variance + 1e-5).sqrt() + beta  # equation 3
    torch.testing.assert_close(layer(K, E, D, s), H + modulated)  # equation 4


def test_one_network_of_two_layers_has_three_branches() -> None:
    layer, inputs = layer_and_inputs()
    assert list(layer.branches) == ["theta", "gamma", "beta"]
    assert layer.shared[0].in_channels == 1 + 3 + 1  # D, S and A
    assert all(branch.in_channels == branch.out_channels == 3 for branch in layer.branches.values())
    layer(*inputs).sum().backward()
    assert layer.shared[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("changed", ["depth", "style", "appearance"])
def test_depth_style_and_appearance_decide_theta_gamma_and_beta(changed: str) -> None:
    layer, (_, E, D, s) = layer_and_inputs()
    size = torch.Size([8, 8])
    others = {"depth": (E, 1 - D, s), "style": (E, D, s.flip(0)), "appearance": (-E, D, s)}
    plain, other = layer.steering(E, D, s, size), layer.steering(*others[changed], size)
    for name in ("theta", "gamma", "beta"):
        assert not torch.equal(plain[name], other[name])


def test_the_first_decoding_layer_has_no_appearance() -> None:
    layer, (K, E, D, s) = layer_and_inputs(before=0)
    assert layer.appearance is None
    assert layer.shared[0].in_channels == 1 + 3
    assert layer(K, E, D, s).shape == (2, 3, 8, 8)


def test_equation_6_by_hand() -> None:
    """Ramps along x and along both axes: the cosine is 1 / sqrt 2 in the middle and in the corners."""
    loss = textural(ramp(0.2, 0), ramp(0.2, 0.2)).item()
    corner, side, top = 1 / math.sqrt(2), 4 / math.sqrt(80), 8 / math.sqrt(80)
    assert loss == pytest.approx(1 - (5 * corner + 2 * side + 2 * top) / 9, rel=1e-5)
    assert textural(ramp(0.2, 0), ramp(0.1, 0)).item() == pytest.approx(0, abs=1e-6)
    assert textural(ramp(0.2, 0), ramp(0, 0.2)).item() == pytest.approx(1)
    assert textural(ramp(0.2, 0), ramp(-0.2, 0)).item() == pytest.approx(2)


def test_equation_6_falls_as_gradients_come_to_agree() -> None:
    target = ramp(0.2, 0)
    losses = [textural(ramp(math.cos(a), math.sin(a)), target).item() for a in (3.0, 2.0, 1.0, 0.5, 0.0)]
    assert losses == sorted(losses, reverse=True)
    made = ramp(0.1, 0.3).requires_grad_()
    textural(made, target).backward()
    assert made.grad is not None
    assert textural((made - 0.01 * made.grad).detach(), target) < textural(made, target)


def test_flat_paper_has_no_texture_to_gain_and_its_gradient_is_finite() -> None:
    flat = torch.zeros(1, 1, 3, 3, requires_grad=True)
    loss = textural(flat, ramp(0.2, 0))
    loss.backward()
    assert loss.item() == 1
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_equation_9_and_its_weights(method: HIDA, batch: Batch) -> None:
    """Every term, worked out beside the method."""
    faces = method(batch)
    Y, made = luminance(batch.sketch), faces["synthesized"]
    assert torch.equal(made[:, 0], made[:, 1])
    made = made[:, :1]
    terms = {name: value.item() for name, value in method.generator_loss(batch, faces).items()}
    assert list(terms) == ["adversarial", "pixel", "texture", "geometry"]
    scores = method.discriminator(torch.cat([faces["reconstructed"], made], dim=1))
    assert terms["adversarial"] == pytest.approx(-scores.sigmoid().log().mean().item(), rel=1e-4)  # equation 8
    assert terms["pixel"] == pytest.approx(4 * (made - Y).abs().mean().item(), rel=1e-4)  # equation 7
    assert terms["texture"] == pytest.approx(textural(made, Y).item(), rel=1e-4)  # equation 6
    difference = faces["reconstructed"] - faces["depth"]
    assert terms["geometry"] == pytest.approx(4 * difference.square().mean().item(), rel=1e-4)  # equation 5


@pytest.mark.parametrize("judged", ["reconstructed", "input"])
def test_equation_8_for_the_discriminator(judged: str, batch: Batch, make_tiny: Any) -> None:
    method = make_tiny("hida", judged=judged)
    faces = method(batch)
    beside = faces["reconstructed"] if judged == "reconstructed" else faces["depth"]
    real = method.discriminator(torch.cat([faces["depth"], luminance(batch.sketch)], dim=1)).sigmoid()
    fake = method.discriminator(torch.cat([beside, faces["synthesized"][:, :1]], dim=1)).sigmoid()
    terms = method.discriminator_loss(batch, faces)
    assert terms["real"].item() == pytest.approx(-real.log().mean().item(), rel=1e-4)
    assert terms["synthesized"].item() == pytest.approx(-(1 - fake).log().mean().item(), rel=1e-4)


def test_the_photos_texture_is_a_choice(batch: Batch, make_tiny: Any) -> None:
    method = make_tiny("hida", texture="photo", lambda_tex=2.0)
    faces = method(batch)
    expected = 2 * textural(faces["synthesized"][:, :1], luminance(batch.photo))
    torch.testing.assert_close(method.generator_loss(batch, faces)["texture"], expected)


@pytest.mark.parametrize("row", HIDA.rows)
def test_the_rows_of_the_ablations(row: str, batch: Batch) -> None:
    switches = {"depth": True, "DySPADE": True, "activation": "InfoACON", "DOG": "top2", **HIDA.rows[row]}
    made = create("hida", size=64, width=4, **HIDA.rows[row])
    assert isinstance(made, HIDA)
    grown = Batch(*(F.interpolate(side, size=64) for side in batch[:2]), batch.style)
    terms = ["adversarial", "pixel", "texture"] + ["geometry"] * bool(switches["depth"])
    assert list(made.generator_loss(grown, made(grown))) == terms
    assert set(made.discriminator_loss(grown, made(grown))) == {"real", "synthesized"}
    assert set(made.needs) == set(made.consults) == ({"depth"} if switches["depth"] else set())
    layers = list(made.generator.up)
    for layer in layers:
        assert isinstance(layer.activate, ACON) == (switches["activation"] == "InfoACON")
        assert ("gamma" in layer.branches) == ("beta" in layer.branches) == switches["DySPADE"]
    kinds = {type(module) for module in made.generator.modules()}
    assert (MetaACON in kinds) == (switches["activation"] != "ReLU")
    assert {nn.ReLU, nn.LeakyReLU} <= kinds if switches["activation"] == "ReLU" else nn.ReLU not in kinds
    deformed = [any(isinstance(part, DeformableConvolution) for part in layer.modules()) for layer in layers]
    expected = {"none": "00000", "top2": "11000", "mid3": "00100", "btm2": "00011", "all": "11111"}  # 5 layers at 64
    assert deformed == [bool(int(digit)) for digit in expected[str(switches["DOG"])]]


def test_the_base_does_not_see_the_style_and_steering_does(batch: Batch) -> None:
    torch.manual_seed(0)
    other = batch._replace(style=torch.tensor([1, 1]))
    for row, seen in (("Base (Model-A)", False), ("+ Depth (Model-B)", False), ("+ DySPADE (Model-C)", True)):
        method = create("hida", size=32, width=4, **HIDA.rows[row]).eval()
        same = torch.equal(method(batch)["synthesized"], method(other)["synthesized"])
        assert same == (not seen)


def test_the_papers_networks() -> None:
    """Depth and photo apart, eight halvings to one pixel; deformable convolutions in two of seven decoding layers."""
    with torch.device("meta"):
        method = HIDA()
    G = method.generator
    assert [(block[0].in_channels, block[0].out_channels) for block in (G.photo, G.depth)] == [(3, 64), (1, 64)]
    down = [block[0] for block in G.down]
    assert [layer.in_channels for layer in down] == [128, 128, 256, 512, 512, 512, 512]
    assert [layer.out_channels for layer in down] == [128, 256, 512, 512, 512, 512, 512]
    assert all((layer.kernel_size, layer.stride) == ((4, 4), (2, 2)) for layer in down)
    kinds = [[type(part) for part in block] for block in G.down]
    assert kinds == [[nn.Conv2d, MetaACON, nn.InstanceNorm2d]] * 6 + [[nn.Conv2d, MetaACON]]
    assert [layer.activate.p1.shape[1] for layer in G.up] == [512, 512, 512, 512, 256, 128, 64]
    deformable = [any(isinstance(part, DeformableConvolution) for part in layer.modules()) for layer in G.up]
    assert deformable == [True] * 2 + [False] * 5
    assert [layer.dropout.p for layer in G.up] == [0.5] * 3 + [0.0] * 4
    for head in (G.sketch_head, G.depth_head):
        assert (head[1].in_channels, head[1].out_channels, head[1].stride) == (128, 1, (2, 2))
    assert sum(parameter.numel() for parameter in G.parameters()) == counted()
    with torch.device("meta"):
        assert method.discriminator(torch.empty(1, 2, 256, 256)).shape == (1, 1, 30, 30)
    assert (method.lambda_pix, method.lambda_tex, method.lambda_geo) == (4, 1, 4)
    recipe = method.recipe
    assert (recipe.epochs, recipe.flat, recipe.batch, recipe.learning_rate) == (800, 0.5, 4, 1e-4)


def counted() -> int:
    """Parameters by hand; an ACON has two a channel."""
    widths = [128, 128, 256, 512, 512, 512, 512, 512]
    total = (16 * 3 * 64 + 64 + 128) + (16 * 1 * 64 + 64 + 128)
    total += sum(16 * a * b + b + 2 * b for a, b in itertools.pairwise(widths))
    befores = [0, 512, 512, 512, 512, 256, 128]
    leavings = [512, 512, 512, 512, 256, 128, 64]
    for index, (before, skip, leaving) in enumerate(zip(befores, reversed(widths), leavings, strict=False)):
        entering = before + skip
        if index < 2:  # nine taps; two groups of nine offsets along two axes and nine weights
            total += 9 * entering * leaving + leaving + 9 * entering * 54 + 54
        else:
            total += 16 * entering * leaving + leaving
        total += 2 * leaving  # InfoACON
        conditions = 4 + (index > 0)
        total += 16 * skip + 1 + 2 if index else 0  # appearance
        total += 9 * conditions * leaving + leaving + 2 * leaving
        total += 3 * (9 * leaving * leaving + leaving)
    return total + 2 * (2 * 128 + 16 * 128 + 1)


def test_the_encoder_ends_in_one_pixel_and_depth_comes_at_every_scale(method: HIDA, batch: Batch) -> None:
    seen: list[tuple[Any, ...]] = []
    for layer in method.generator.up:
        layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    D = method(batch)["depth"]
    assert [E.shape[-1] for _, E, _, _ in seen] == [1, 2, 4, 8]
    scales = gaussian_pyramid(D, 5)
    for (_, _, D_l, _), scale in zip(seen, reversed(scales), strict=False):
        assert torch.equal(D_l, scale)
    assert [D_l.shape[-1] for _, _, D_l, _ in seen] == [2, 4, 8, 16]
    assert seen[0][3].tolist() == [[1, 0, 0], [0, 0, 1]]


def test_depth_reaches_the_sketch_by_its_own_convolution_and_comes_back(method: HIDA, batch: Batch) -> None:
    D = torch.rand(2, 1, 32, 32)
    s = F.one_hot(torch.tensor([0, 1]), 3).float()
    with torch.no_grad():
        made, reconstructed = method.eval().generator(batch.photo, D, s)
        other, _ = method.generator(batch.photo, 1 - D, s)
    assert made.shape == reconstructed.shape == (2, 1, 32, 32)
    assert 0 <= reconstructed.min() <= reconstructed.max() <= 1
    assert not torch.equal(made, other)


def test_each_head_has_the_first_features_of_its_own_input(method: HIDA, batch: Batch) -> None:
    G, seen = method.generator, {}
    for name in ("photo", "depth"):
        getattr(G, name).register_forward_hook(lambda module, inputs, out, name=name: seen.update({name: out}))
    for name in ("sketch_head", "depth_head"):
        getattr(G, name).register_forward_pre_hook(lambda module, inputs, name=name: seen.update({name: inputs[0]}))
    method(batch)
    assert torch.equal(seen["sketch_head"][:, 4:], seen["photo"])
    assert torch.equal(seen["depth_head"][:, 4:], seen["depth"])
    assert torch.equal(seen["sketch_head"][:, :4], seen["depth_head"][:, :4])


def test_each_pair_is_drawn_in_its_style_or_else_in_the_methods(method: HIDA, batch: Batch) -> None:
    method.eval()
    method.style = 3
    with torch.no_grad():
        mixed, own = method(batch)["synthesized"], method(batch._replace(style=None))["synthesized"]
        translated = method.translate(F.interpolate(batch.photo, size=256))
    torch.testing.assert_close(mixed[1], own[1])
    assert (mixed[0] - own[0]).abs().max() > 1e-4
    method.style = 1
    with torch.no_grad():
        assert not torch.equal(translated, method.translate(F.interpolate(batch.photo, size=256)))


def test_the_style_is_a_setting_and_part_of_the_digest(method: HIDA, tmp_path: Path) -> None:
    save(method, tmp_path / "hida.safetensors")
    loaded = load("hida", weights=tmp_path / "hida.safetensors")
    assert isinstance(loaded, HIDA)
    own = loaded.digest
    assert own == loaded.file_digest
    digests = []
    for style in (1, 2, 3, 1):
        loaded.style = style
        assert loaded.settings["style"] == style
        digests.append(loaded.digest)
    assert len(set(digests)) == 3
    assert digests[0] == digests[3] == own
    before = method.digest
    method.style = 2
    assert method.digest != before
    with pytest.raises(UsageError, match="style is 4, expected one of 1, 2, 3"):
        loaded.style = 4


def test_trains_in_mixed_precision(method: HIDA, make_pairs: Any) -> None:
    trainer = Trainer(method, method.recipe.changed(epochs=1), make_pairs(2), precision="bf16")
    report = trainer.step(next(trainer._batches()))
    assert set(report) == {
        "generator/adversarial", "generator/pixel", "generator/texture", "generator/geometry",
        "discriminator/real", "discriminator/synthesized",
    }  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "x"}, {"DOG": "x"}, {"switch": "x"}, {"texture": "x"}, {"judged": "x"}, {"size": 48},
        {"size": 16}, {"patch": 71}, {"source": "sketch"}, {"style": 0},
    ],
)  # fmt: skip
def test_unknown_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        create("hida", **settings)
