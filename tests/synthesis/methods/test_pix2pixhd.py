"""What the paper states, by hand on tiny tensors."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.synthesis import Batch, create, perceptual
from forensic.synthesis.losses import feature_matching, judged
from forensic.synthesis.methods.pix2pixhd import Pix2PixHD
from forensic.synthesis.perceptual import RELUS


@pytest.fixture
def method(make_tiny: Any) -> Pix2PixHD:
    return make_tiny("pix2pixhd")


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


def test_least_squares_are_summed_over_the_discriminators() -> None:
    """Two discriminators of one layer and the scores (0.5, 1) and (2)."""
    layer = torch.zeros(1, 1, 1, 1)
    seen = [[layer, torch.tensor([0.5, 1.0])], [layer, torch.tensor([2.0])]]
    assert judged(seen, real=True, criterion="least-squares").item() == pytest.approx((0.25 + 0) / 2 + 1)
    assert judged(seen, real=False, criterion="least-squares").item() == pytest.approx((0.25 + 1) / 2 + 4)


def test_feature_matching() -> None:
    """Layers of two and of one element: the mean of each, summed."""
    seen = [torch.tensor([1.0, 2.0]), torch.tensor([5.0])]
    true = [torch.tensor([0.0, 4.0]), torch.tensor([4.5])]
    assert feature_matching(seen, true).item() == (1 + 2) / 2 + 0.5


def test_the_objective_of_section_3_2(method: Pix2PixHD, batch: Batch) -> None:
    faces = method(batch)
    s, x, G = batch.photo, batch.sketch, faces["synthesized"]
    terms = {name: value.item() for name, value in method.generator_loss(batch, faces).items()}
    assert set(terms) == {"adversarial", "feature_matching", "perceptual"}
    seen, true = (method.discriminators(torch.cat([s, image], dim=1)) for image in (G, x))
    assert terms["adversarial"] == pytest.approx(sum((k[4] - 1).square().mean().item() for k in seen), rel=1e-4)
    matching = sum((seen[k][i] - true[k][i]).abs().mean().item() for k in range(3) for i in range(4))
    assert terms["feature_matching"] == pytest.approx(10 * matching, rel=1e-4)
    network = perceptual.load("embedder")
    ours, theirs = network(G, tuple(RELUS)), network(x, tuple(RELUS))
    likeness = sum(weight * (ours[name] - theirs[name]).abs().mean().item() for name, weight in RELUS.items())
    assert terms["perceptual"] == pytest.approx(10 * likeness, rel=1e-4)
    terms = {name: value.item() for name, value in method.discriminator_loss(batch, faces).items()}
    assert terms["real"] == pytest.approx(sum((k[4] - 1).square().mean().item() for k in true) / 2, rel=1e-4)
    assert terms["synthesized"] == pytest.approx(sum(k[4].square().mean().item() for k in seen) / 2, rel=1e-4)


def test_the_perceptual_loss_is_an_option(batch: Batch) -> None:
    method = create("pix2pixhd", size=32, width=4, perceptual="none")
    assert isinstance(method, Pix2PixHD)
    assert set(method.generator_loss(batch, method(batch))) == {"adversarial", "feature_matching"}
    assert method.consults == {}


def test_each_discriminator_sees_half_the_size_of_the_one_before(method: Pix2PixHD, batch: Batch) -> None:
    pair = torch.cat([batch.photo, batch.sketch], dim=1)
    seen = method.discriminators(pair)
    assert [layers[0].shape[-1] for layers in seen] == [17, 9, 5]
    half = F.avg_pool2d(pair, 3, stride=2, padding=1, count_include_pad=False)
    torch.testing.assert_close(seen[1][0], method.discriminators.scales[1][0](half))  # type: ignore[index]


def test_the_papers_networks() -> None:
    """c7s1-64, d128, d256, d512, d1024, R1024 x 9, u512, u256, u128, u64, c7s1-3; 3 x C64-C128-C256-C512."""
    with torch.device("meta"):
        method = Pix2PixHD()
    layers = [layer for layer in method.generator.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    channels = [64, 128, 256, 512, 1024]
    assert [layer.out_channels for layer in layers] == [*channels, *[1024] * 18, 512, 256, 128, 64, 3]
    ways = [(64, 128), (128, 256), (256, 512), (512, 1024)]
    counted = 49 * 3 * 64 + 128 + sum(9 * a * b + 2 * b + 9 * b * a + 2 * a for a, b in ways)
    counted += 18 * (9 * 1024 * 1024 + 2 * 1024) + 49 * 64 * 3 + 3
    assert sum(parameter.numel() for parameter in method.generator.parameters()) == counted
    assert len(method.discriminators.scales) == 3
    for D in method.discriminators.scales:
        convolutions = [layer for layer in D.modules() if isinstance(layer, nn.Conv2d)]
        assert [layer.out_channels for layer in convolutions] == [64, 128, 256, 512, 1]
        assert convolutions[0].in_channels == 6
        pixels = 1
        for layer in reversed(convolutions):
            pixels = layer.stride[0] * (pixels - 1) + layer.kernel_size[0]
        assert pixels == 70
    assert [Pix2PixHD(size=size, width=4).halvings for size in (32, 128, 256)] == [1, 3, 4]
    assert (method.lambda_fm, method.lambda_perceptual) == (10, 10)
    recipe = method.recipe
    assert (recipe.epochs, recipe.flat, recipe.batch, recipe.learning_rate) == (200, 0.5, 1, 2e-4)


def test_unknown_settings_are_refused() -> None:
    for settings in (
        {"size": 33},
        {"size": 0},
        {"size": 32, "halvings": 5},
        {"scales": 0},
        {"blocks": -1},
        {"source": "sketch"},
    ):
        with pytest.raises(UsageError):
            create("pix2pixhd", **settings)
