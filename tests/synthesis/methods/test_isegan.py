"""What the paper states, equation by equation, by hand on tiny tensors."""

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from forensic.errors import UsageError
from forensic.synthesis import Batch, create, perceptual
from forensic.synthesis.composition import LAYERS, compositional
from forensic.synthesis.methods.isegan import ISEGAN, parsing_matching


@pytest.fixture
def method(make_tiny: Any) -> ISEGAN:
    return make_tiny("isegan")


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    return Batch(*(2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2)))


def test_equation_3() -> None:
    """Two components of two pixels: differences (.3, .4) and (0, .2)."""
    P_p = torch.tensor([[[[0.5, 0.5]], [[0.1, 0.3]]]])
    P_int = torch.tensor([[[[0.2, 0.9]], [[0.1, 0.1]]]])
    whole = ((0.09 + 0.16 + 0 + 0.04) / 2) ** 0.5  # over the pixels, as every channel's is
    channels = ((0.09 + 0.16) / 2) ** 0.5 + (0.04 / 2) ** 0.5
    assert parsing_matching(P_p, P_int, beta=0.3).item() == pytest.approx(0.3 * whole + 0.7 * channels)
    assert parsing_matching(P_p, P_p).item() == pytest.approx(0, abs=1e-5)


def entropy(logits: torch.Tensor, real: bool) -> float:
    likely = logits.sigmoid()
    return -(likely if real else 1 - likely).log().mean().item()


def test_equation_6(method: ISEGAN, batch: Batch) -> None:
    faces = method(batch)
    X, Y, Y1, P_int = batch.sketch, batch.photo, faces["first"], faces["P_int"]
    terms = {name: value.item() for name, value in method.G1_loss(batch, faces).items()}
    assert list(terms) == ["adversarial", "compositional", "perceptual", "parsing_matching"]
    face = entropy(method.D1(torch.cat([X, faces["P_s"], Y1], dim=1)), real=True)
    assert terms["adversarial"] == pytest.approx(0.3 * face + 0.7 * entropy(method.D_par(P_int), real=True), rel=1e-4)
    assert terms["compositional"] == pytest.approx(10 * compositional(Y1, Y, P_int).item(), rel=1e-4)
    assert terms["perceptual"] == pytest.approx(5 * likeness(Y1, Y), rel=1e-4)
    assert terms["parsing_matching"] == pytest.approx(10 * parsing_matching(faces["P_p"], P_int).item(), rel=1e-4)


def test_equation_7(method: ISEGAN, batch: Batch) -> None:
    faces = method(batch)
    X, Y, Y2 = batch.sketch, batch.photo, faces["synthesized"]
    terms = {name: value.item() for name, value in method.G2_loss(batch, faces).items()}
    assert list(terms) == ["adversarial", "compositional", "perceptual"]
    score = method.D2(torch.cat([X, faces["P_s"], Y2], dim=1))
    assert terms["adversarial"] == pytest.approx(entropy(score, True), rel=1e-4)
    assert terms["compositional"] == pytest.approx(10 * compositional(Y2, Y, faces["P_int"]).item(), rel=1e-4)
    assert terms["perceptual"] == pytest.approx(5 * likeness(Y2, Y), rel=1e-4)


def likeness(photo: torch.Tensor, Y: torch.Tensor) -> float:
    """Equation 5."""
    network = perceptual.load("embedder")
    ours, theirs = network(photo, LAYERS), network(Y, LAYERS)
    return sum((ours[name] - theirs[name]).square().mean().item() for name in LAYERS)


def test_equations_1_and_2_for_the_discriminators(method: ISEGAN, batch: Batch) -> None:
    faces = method(batch)
    condition = [batch.sketch, faces["P_s"]]
    for loss, D, name, weight in (
        (method.D1_loss, method.D1, "first", 0.3),
        (method.D2_loss, method.D2, "synthesized", 1.0),
    ):
        terms = loss(batch, faces)
        real, fake = D(torch.cat([*condition, batch.photo], 1)), D(torch.cat([*condition, faces[name]], 1))
        assert terms["real"].item() == pytest.approx(weight * entropy(real, True) / 2, rel=1e-4)
        assert terms["synthesized"].item() == pytest.approx(weight * entropy(fake, False) / 2, rel=1e-4)
    terms = method.D_par_loss(batch, faces)
    assert terms["real"].item() == pytest.approx(0.7 * entropy(method.D_par(faces["P_p"]), True) / 2, rel=1e-4)
    assert terms["synthesized"].item() == pytest.approx(
        0.7 * entropy(method.D_par(faces["P_int"]), False) / 2, rel=1e-4
    )


def test_least_squares_is_the_bases_choice(batch: Batch) -> None:
    method = create("isegan", size=32, width=4, perceptual="embedder", criterion="least-squares")
    assert isinstance(method, ISEGAN)
    faces = method(batch)
    expected = (method.D_par(faces["P_p"]) - 1).square().mean().item()
    assert method.D_par_loss(batch, faces)["real"].item() == pytest.approx(0.35 * expected, rel=1e-4)


def test_each_generator_moves_on_its_own_objective(method: ISEGAN, batch: Batch) -> None:
    """Stage II leaves G1 alone, and the compositional loss leaves P_int alone."""
    faces = method(batch)
    torch.stack(list(method.G2_loss(batch, faces).values())).sum().backward()
    assert all(parameter.grad is None for parameter in method.G1.parameters())
    faces = method(batch)
    (gradient,) = torch.autograd.grad(method.G1_loss(batch, faces)["compositional"], faces["P_int"], allow_unused=True)
    assert gradient is None


def test_the_players_move_in_the_papers_order(method: ISEGAN) -> None:
    assert list(method.players()) == ["D1", "D_par", "D2", "G1", "G2"]


@pytest.mark.parametrize(
    ("row", "terms"),
    [
        ("Base", {"adversarial"}),
        ("Base + L_per", {"adversarial", "perceptual"}),
        ("Base + L_per + L_cmp", {"adversarial", "perceptual", "compositional"}),
        ("Base + L_per + L_cmp + L_PM", {"adversarial", "perceptual", "compositional", "parsing_matching"}),
        ("full model (stage-I output)", {"adversarial", "perceptual", "compositional", "parsing_matching"}),
        ("full model (stage-II output)", {"adversarial", "perceptual", "compositional", "parsing_matching"}),
    ],
)
def test_the_rows_of_table_2(row: str, terms: set[str], batch: Batch) -> None:
    made = create("isegan", **{"size": 32, "width": 4, "perceptual": "embedder", **ISEGAN.rows[row]})
    assert isinstance(made, ISEGAN)
    faces = made(batch)
    assert set(made.G1_loss(batch, faces)) == terms
    assert set(made.G2_loss(batch, faces)) == terms - {"parsing_matching"}
    assert made.enhanced == ("full" in row)
    output = faces["first" if "stage-I " in row else "synthesized"]
    with torch.no_grad():
        torch.testing.assert_close(made.translate(batch.sketch), output.detach())


def test_stage_two_sees_both_parsings(method: ISEGAN, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    forward = method.G2.forward
    monkeypatch.setattr(method.G2, "forward", lambda *given: seen.append(given) or forward(*given))
    faces = method(batch)
    face, parsing = seen[0]
    assert torch.equal(face, torch.cat([batch.sketch, faces["first"]], dim=1))
    assert torch.equal(parsing, torch.cat([faces["P_s"], faces["P_int"]], dim=1))


def test_the_papers_networks() -> None:
    """8 + 8 blocks, two encoders, a softmax and a tanh branch; patches of 70, 70 and 16 pixels."""
    with torch.device("meta"):
        method = ISEGAN()
    widths = [64, 128, 256, 512, 512, 512, 512, 512]
    for network, inputs in ((method.G1, (3, 8)), (method.G2, (6, 16))):
        for encoder, channels in zip((network.first, network.second), inputs, strict=True):
            layers = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
            assert [layer.out_channels for layer in layers] == widths
            assert layers[0].in_channels == channels
        decoder = [layer for layer in network.up.modules() if isinstance(layer, nn.ConvTranspose2d)]
        assert [layer.in_channels for layer in decoder] == [1024, 1536, 1536, 1536, 1536, 768, 384]
        assert [layer.out_channels for layer in decoder] == [512, 512, 512, 512, 256, 128, 64]
    assert [head[1].out_channels for head in method.G1.heads] == [8, 3]
    assert [head[1].in_channels for head in method.G1.heads] == [192, 192]
    assert [head[1].out_channels for head in method.G2.heads] == [3]
    assert [field(D) for D in (method.D1, method.D_par, method.D2)] == [70, 70, 16]
    assert [D.layers[0].in_channels for D in (method.D1, method.D_par, method.D2)] == [14, 8, 14]
    assert sum(parameter.numel() for parameter in method.G1.parameters()) == counted()
    recipe = method.recipe
    assert (recipe.epochs, recipe.batch, recipe.learning_rate_at(699)) == (700, 1, 2e-4)
    weights = (method.alpha, method.beta, method.delta, method.lambda_cmp, method.gamma, method.mu)
    assert weights == (0.3, 0.3, 0.7, 10, 5, 10)


def counted() -> int:
    """Parameters of G1 by hand: two encoders, seven joined decoder levels, two heads; 4 x 4 throughout."""
    widths = [64, 128, 256, 512, 512, 512, 512]
    inner = sum(16 * a * b + 2 * b for a, b in itertools.pairwise(widths)) + 16 * 512 * 512 + 512
    encoders = sum(16 * channels * 64 + 64 + inner for channels in (3, 8))
    levels = [(1024, 512), (1536, 512), (1536, 512), (1536, 512), (1536, 256), (768, 128), (384, 64)]
    heads = 16 * 192 * 8 + 8 + 16 * 192 * 3 + 3
    return encoders + sum(16 * a * b + 2 * b for a, b in levels) + heads


def field(network: nn.Module) -> int:
    """Receptive field of a chain of convolutions."""
    pixels = 1
    for layer in reversed([layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]):
        pixels = layer.stride[0] * (pixels - 1) + layer.kernel_size[0]
    return pixels


def test_the_intermediate_parsing_is_a_parsing(method: ISEGAN, batch: Batch) -> None:
    faces = method(batch)
    for name in ("P_int", "P_s", "P_p"):
        assert faces[name].shape == (1, 8, 32, 32)
        torch.testing.assert_close(faces[name].sum(dim=1), torch.ones(1, 32, 32))


def test_unknown_readings_are_refused() -> None:
    for settings in ({"stage": 3}, {"composition": "x"}, {"size": 48}, {"patches": (70, 17)}, {"source": "photo"}):
        with pytest.raises(UsageError):
            create("isegan", **settings)
