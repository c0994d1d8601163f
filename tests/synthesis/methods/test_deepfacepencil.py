"""What the paper states, equation by equation, by hand on tiny tensors."""

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from forensic.errors import UsageError
from forensic.synthesis import Batch, create
from forensic.synthesis.attention import Classifier, SpatialAttentionPooling
from forensic.synthesis.methods.deepfacepencil import (
    DFM,
    GFM,
    DeepFacePencil,
    Drawn,
)

SMALL = {"size": 32, "width": 4, "blocks": 5}


@pytest.fixture
def method(make_tiny: Any) -> DeepFacePencil:
    return make_tiny("deepfacepencil", blocks=5)


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    return Batch(*(2 * torch.rand(2, 3, 32, 32, generator=draw) - 1 for _ in range(2)))


def small(**settings: Any) -> DeepFacePencil:
    torch.manual_seed(0)
    made = create("deepfacepencil", **{**SMALL, **settings})
    assert isinstance(made, DeepFacePencil)
    return made


def test_pooling_widens_a_stroke() -> None:
    """P_i = Pooling(S; r_i): a dark dot of one pixel becomes r x r pixels of 1, and at an edge the mirror helps not."""
    pooling = SpatialAttentionPooling(4, (1, 5), 3, "channels")
    S = torch.ones(1, 3, 16, 16)
    S[..., 8, 6] = -1
    S[..., 0, 0] = -1
    fine, wide = pooling.P(S)
    assert torch.equal(fine, -S[:, :1])
    expected = -torch.ones(1, 1, 16, 16)
    expected[..., 6:11, 4:9] = 1
    expected[..., :3, :3] = 1
    assert torch.equal(wide, expected)


def test_equation_1() -> None:
    """R = Concat(Conv_1(P_1), Conv_2(P_2)): each branch sees its own P alone; two ReLUs."""
    torch.manual_seed(0)
    pooling = SpatialAttentionPooling(4, (1, 5), 3, "channels")
    S, F_C = 2 * torch.rand(1, 3, 8, 8) - 1, features(1, 4, 8)
    A = pooling.A(F_C, (8, 8))
    parts = []
    for branch, P in zip(pooling.branches, pooling.P(S), strict=True):
        first, _, second, _ = branch
        inside = torch.conv2d(P, first.weight, first.bias, padding=1).clamp(min=0)
        parts.append(torch.conv2d(inside, second.weight, second.bias, padding=1).clamp(min=0))
    torch.testing.assert_close(pooling(S, F_C), A * torch.cat(parts, dim=1))  # equation 3


def features(count: int, width: int, size: int) -> list[torch.Tensor]:
    return [torch.randn(count, width * 2**i, size // 2 ** (i + 1), size // 2 ** (i + 1)) for i in range(3)]


def test_equation_2() -> None:
    """Three convolutions of C's three maps, enlarged by 2, 4 and 8; a softmax over the channels."""
    torch.manual_seed(0)
    pooling = SpatialAttentionPooling(4, (1, 5), 3, "channels")
    F_C = features(2, 4, 16)
    A = pooling.A(F_C, (16, 16))
    assert A.shape == (2, 4, 16, 16)
    torch.testing.assert_close(A.sum(dim=1), torch.ones(2, 16, 16))
    enlarged = [
        nn.functional.interpolate(F_C[i], scale_factor=2 ** (i + 1), mode="bilinear", align_corners=True)
        for i in range(3)
    ]
    x = torch.cat(enlarged, dim=1)
    convolutions = [layer for layer in pooling.attend if isinstance(layer, nn.Conv2d)]
    assert [layer.in_channels for layer in convolutions] == [28, 4, 4]
    for layer in convolutions[:2]:
        x = layer(x).clamp(min=0)
    x = convolutions[2](x).exp()
    torch.testing.assert_close(A, x / x.sum(dim=1, keepdim=True))


def test_equation_3_with_a_weight_for_each_branch() -> None:
    pooling = SpatialAttentionPooling(6, (1, 5), 3, "branches")
    S, F_C = 2 * torch.rand(1, 3, 8, 8) - 1, features(1, 6, 8)
    A = pooling.A(F_C, (8, 8))
    assert A.shape == (1, 2, 8, 8)
    R = torch.cat([branch(P) for branch, P in zip(pooling.branches, pooling.P(S), strict=True)], dim=1)
    out = pooling(S, F_C)
    torch.testing.assert_close(out[:, :3], A[:, :1] * R[:, :3])
    torch.testing.assert_close(out[:, 3:], A[:, 1:] * R[:, 3:])


def entropy(logits: torch.Tensor, real: bool) -> float:
    likely = logits.sigmoid()
    return -(likely if real else 1 - likely).log().mean().item()


PAIRS = (("auxiliary", "aligned"), ("synthesized", "deformed"))


def test_equations_4_5_and_8(method: DeepFacePencil, batch: Batch) -> None:
    faces, x = method(batch), batch.photo
    terms = {name: value.item() for name, value in method.G_loss(batch, faces).items()}
    assert list(terms) == [
        *(f"{name}_{term}" for name, _ in PAIRS for term in ("reconstruction", "adversarial", "DFM")),
        "GFM",
    ]
    assert (method.lambda_dfm, method.mu) == (10, 10)
    for name, sketch in PAIRS:
        assert terms[f"{name}_reconstruction"] == pytest.approx((faces[name] - x).abs().mean().item(), rel=1e-4)
        seen = method.D(torch.cat([faces[sketch], faces[name]], dim=1))
        assert len(seen) == 3
        expected = sum(entropy(layers[-1], True) for layers in seen) / 3
        assert terms[f"{name}_adversarial"] == pytest.approx(expected, rel=1e-4)
        true = method.D(torch.cat([faces[sketch], x], dim=1))
        assert terms[f"{name}_DFM"] == pytest.approx(10 * DFM(seen, true).item(), rel=1e-4)
    assert terms["GFM"] == pytest.approx(10 * GFM(faces.G_a, faces.G_m).item(), rel=1e-4)


def test_equation_5_for_the_discriminator(method: DeepFacePencil, batch: Batch) -> None:
    """Each photo beside the sketch that it was made of, and the true photo beside both."""
    faces = method(batch)
    terms = {name: value.item() for name, value in method.D_loss(batch, faces).items()}
    for name, sketch in PAIRS:
        for kind, photo, real in (("real", batch.photo, True), ("fake", faces[name], False)):
            seen = method.D(torch.cat([faces[sketch], photo], dim=1))
            expected = sum(entropy(layers[-1], real) for layers in seen) / 3
            assert terms[f"{name}_{kind}"] == pytest.approx(expected, rel=1e-4)


def test_equation_6() -> None:
    """Three discriminators of two layers and a score: the score is no layer of Q, each layer counts by its mean."""
    one = [[torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 1, 4), torch.zeros(1)] for _ in range(3)]
    two = [
        [torch.full((1, 2, 2, 2), 0.1), torch.tensor([[[[1.0, 2, 3, 4]]]]), torch.full((1,), 9.0)],
        [torch.full((1, 2, 2, 2), 0.2), torch.zeros(1, 1, 1, 4), torch.zeros(1)],
        [torch.zeros(1, 2, 2, 2), torch.full((1, 1, 1, 4), -0.6), torch.zeros(1)],
    ]
    assert DFM(one, two).item() == pytest.approx((0.1 + 2.5 + 0.2 + 0.6) / (3 * 2))


def test_equation_7() -> None:
    """Two layers of four and two elements, each by its mean."""
    G_a = [torch.zeros(1, 1, 2, 2), torch.ones(1, 2, 1, 1)]
    G_m = [torch.tensor([[[[0.1, -0.1], [0.3, 0.5]]]]), torch.tensor([[[[0.0]], [[4.0]]]])]
    assert GFM(G_a, G_m).item() == pytest.approx((0.25 + 2.0) / 2)


def test_equation_7_compares_the_first_four_residual_blocks(batch: Batch) -> None:
    method = small()
    seen: list[torch.Tensor] = []
    for block in method.residual:
        block.register_forward_hook(lambda _module, _given, out: seen.append(out))
    faces = method(batch)
    assert isinstance(faces, Drawn)
    assert len(seen) == 10  # five blocks for G_a, then for G_m
    for ours, theirs in zip([*faces.G_a, *faces.G_m], [*seen[:4], *seen[5:9]], strict=True):
        assert torch.equal(ours, theirs)


def test_equation_7_compares_the_first_convolutions_as_in_the_code(batch: Batch) -> None:
    method = small(T="encoder", halvings=4)
    faces = method(batch)
    assert isinstance(faces, Drawn)
    assert [layer.shape[1:] for layer in faces.G_m] == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]


def test_the_classifier_learns_from_its_own_loss_alone(method: DeepFacePencil, batch: Batch) -> None:
    faces = method(batch)
    torch.stack(list(method.G_loss(batch, faces).values())).sum().backward()
    assert all(parameter.grad is None for parameter in method.C.parameters())
    aligned, deformed = method.C(faces["aligned"])[-1], method.C(faces["deformed"])[-1]
    told = method.C_loss(batch, faces)["told_apart"].item()
    likely = torch.cat([aligned.softmax(dim=1)[:, 0], deformed.softmax(dim=1)[:, 1]])
    assert told == pytest.approx(-likely.log().mean().item(), rel=1e-4)


def test_both_sides_of_equation_7_move(method: DeepFacePencil, batch: Batch) -> None:
    method.G_loss(batch, method(batch))["GFM"].backward()
    for network in (method.E_a, method.E_m, method.pooling, method.residual[0]):
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_artists_sketches_or_deformed_boundaries(batch: Batch) -> None:
    artists, boundaries, still = small(), small(drawings="boundaries"), small(drawings="boundaries", d=0.0)
    torch.manual_seed(1)
    faces = artists(batch)
    assert torch.equal(faces["deformed"], batch.sketch)
    torch.manual_seed(1)
    twins = boundaries(batch)
    assert torch.equal(twins["aligned"], faces["aligned"])
    assert not torch.equal(twins["deformed"], twins["aligned"])
    torch.manual_seed(1)
    assert torch.equal(boundaries(batch)["deformed"], twins["deformed"])
    again = still(batch)
    assert torch.equal(again["deformed"], again["aligned"])


@pytest.mark.parametrize(
    ("row", "terms", "networks"),
    [
        ("Baseline", 6, {"E_m", "residual", "decoder", "D"}),
        ("Baseline_deform", 6, {"E_m", "residual", "decoder", "D"}),
        ("Ours", 7, {"C", "pooling", "E_m", "E_a", "residual", "decoder", "D"}),
    ],
)
def test_the_rows_of_table_1(row: str, terms: int, networks: set[str], batch: Batch) -> None:
    made = small(**DeepFacePencil.rows[row])
    faces = made(batch)
    assert len(made.G_loss(batch, faces)) == terms
    assert {name.split(".")[0] for name, _ in made.named_parameters()} == networks
    assert torch.equal(faces["aligned"], faces["deformed"]) == (row == "Baseline")
    if row != "Ours":  # one generator for both sketches
        torch.testing.assert_close(made.translate(faces["aligned"]), faces["auxiliary"])
    assert list(made.players()) == (["C", "G", "D"] if row == "Ours" else ["G", "D"])


def test_the_papers_networks() -> None:
    """Four down-sampling, nine residual and four up-sampling layers; widths 48 to 768; three scales."""
    with torch.device("meta"):
        method = DeepFacePencil()
    widths = [48, 96, 192, 384, 768]
    for network, inputs in ((method.E_m, 48), (method.E_a, 3)):
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        assert [layer.in_channels for layer in layers] == [inputs, *widths[:-1]]
        assert [layer.out_channels for layer in layers] == widths
        assert [(layer.kernel_size[0], layer.stride[0]) for layer in layers] == [(7, 1), *[(3, 2)] * 4]
    assert len(method.residual) == 9
    ups = [layer for layer in method.decoder if isinstance(layer, nn.ConvTranspose2d)]
    assert [layer.in_channels for layer in ups] == widths[:0:-1]
    assert isinstance(method.decoder[-1], nn.Tanh)
    assert len(method.D.scales) == 3
    for scale in method.D.scales:
        layers = [layer for layer in scale.modules() if isinstance(layer, nn.Conv2d)]
        assert [layer.in_channels for layer in layers] == [6, 64, 128, 256, 512]
        assert [layer.out_channels for layer in layers] == [64, 128, 256, 512, 1]
    strides = [layer.stride[0] for layer in method.C.modules() if isinstance(layer, nn.Conv2d)]
    assert strides == [2, 2, 2, 1]
    assert method.pooling.kernels == (1, 5, 9, 13)
    assert method.d == 11
    for name, count in counted().items():
        assert sum(parameter.numel() for parameter in getattr(method, name).parameters()) == count, name
    recipe = method.recipe
    assert (recipe.batch, recipe.learning_rate, recipe.betas) == (32, 2e-4, (0.5, 0.999))


def counted() -> dict[str, int]:
    """Parameters by hand; a normalized convolution has no bias, but a scale and a shift for each channel."""
    widths = [48, 96, 192, 384, 768]
    steps = list(itertools.pairwise(widths))
    down = sum(9 * a * b + 2 * b for a, b in steps)
    branch = (169 * 12 + 12) + (9 * 12 * 12 + 12)
    attention = (169 * 336 * 48 + 48) + 2 * (9 * 48 * 48 + 48)
    return {
        "E_m": 49 * 48 * 48 + 96 + down,
        "E_a": 49 * 3 * 48 + 96 + down,
        "residual": 9 * 2 * (9 * 768 * 768 + 2 * 768),
        "decoder": sum(9 * a * b + 2 * a for a, b in steps) + 49 * 48 * 3 + 3,
        "pooling": 4 * branch + attention,
        "C": 9 * 48 + 48 + (9 * 48 * 96 + 2 * 96) + (9 * 96 * 192 + 2 * 192) + 9 * 192 * 2 + 2,
    }


def test_the_classifier_halves_three_times() -> None:
    seen = Classifier(4)(torch.zeros(2, 3, 32, 32))
    assert [tuple(layer.shape) for layer in seen] == [(2, 4, 16, 16), (2, 8, 8, 8), (2, 16, 4, 4), (2, 2)]


def test_least_squares_is_the_codes_choice(batch: Batch) -> None:
    method = small(criterion="least-squares")
    faces = method(batch)
    seen = method.D(torch.cat([faces["deformed"], batch.photo], dim=1))
    expected = sum((layers[-1] - 1).square().mean().item() for layers in seen) / 3
    assert method.D_loss(batch, faces)["synthesized_real"].item() == pytest.approx(expected, rel=1e-4)


def test_weight_files_leave_out_what_translating_does_not_need(method: DeepFacePencil) -> None:
    kept = {name.split(".")[0] for name in method.translating_state()}
    assert kept == {"C", "pooling", "E_m", "residual", "decoder"}
    assert method.needs == {}
    assert set(method.consults) == {"parsing"}


def test_unknown_readings_are_refused() -> None:
    wrong: list[dict[str, Any]] = [
        {"source": "photo", "target": "sketch"},
        {"source": "photo"},
        {"drawings": "x"},
        {"attention": "x"},
        {"T": "x"},
        {"criterion": "x"},
        {"size": 40},
        {"size": 16},
        {"width": 6},
        {"blocks": 0},
        {"kernels": (1, 4)},
        {"kernels": ()},
        {"reach": 2},
        {"d": -1.0},
        {"stages": (1, 1)},
        {"stages": (1, 0, 1)},
        {"stages": (1, 1, 0)},
    ]
    for settings in wrong:
        with pytest.raises(UsageError):
            create("deepfacepencil", **settings)
