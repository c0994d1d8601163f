"""What the paper and its release state, by hand on tiny tensors."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.synthesis import Batch, create
from forensic.synthesis.methods.chan import CHAN, Bottleneck, GatedFusion, IntegrationDiscriminator
from forensic.synthesis.networks import ResidualBlock


@pytest.fixture
def method(make_tiny: Any) -> CHAN:
    return make_tiny("chan")


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(2, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


def test_the_releases_networks() -> None:
    """U-Net of eight levels, 3 and 9 residual blocks of 128 channels, MID over 128 + 256 + 512 + 512 channels."""
    with torch.device("meta"):
        method = CHAN()
    G = method.generator
    encoded = [layer.out_channels for layer in G.unet.down.modules() if isinstance(layer, nn.Conv2d)]
    assert encoded == [64, 128, 256, 512, 512, 512, 512, 512]
    decoded = [layer for layer in G.unet.up.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [layer.in_channels for layer in decoded] == [512, 1024, 1024, 1024, 1024, 512, 256]
    assert [layer.out_channels for layer in decoded] == [512, 512, 512, 512, 256, 128, 64]
    dropped = [any(isinstance(layer, nn.Dropout) for layer in level) for level in G.unet.up]  # type: ignore[attr-defined]
    assert dropped == [False, True, True, True, False, False, False]
    assert sum(isinstance(layer, Bottleneck) for layer in G.unet.bottleneck) == 3
    assert sum(isinstance(layer, ResidualBlock) for layer in G.residual) == 3
    assert sum(isinstance(layer, ResidualBlock) for layer in G.draw) == 9
    assert method.discriminator.score.in_channels == 1408
    strided = [layer for layer in method.discriminator.levels.modules() if isinstance(layer, nn.Conv2d)]
    assert [(layer.out_channels, layer.stride) for layer in strided] == [(c, (2, 2)) for c in (64, 128, 256, 512, 512)]
    assert not any(isinstance(layer, nn.InstanceNorm2d) for layer in G.unet.bottleneck.modules())


def test_the_gate_gives_each_place_to_one_network_or_the_other() -> None:
    """Of one channel: where the residual network's features are large, a weight of -100 shuts the U-Net out."""
    fusion = GatedFusion(1)
    with torch.no_grad():
        fusion.gate.weight.zero_()
        fusion.gate.weight[0, 0, 1, 1] = -100.0  # residual features come first
        fusion.gate.bias.fill_(50.0)
    residual = torch.tensor([[[[0.0, 1.0]]]])
    unet = torch.full_like(residual, 7.0)
    torch.testing.assert_close(fusion(unet, residual), torch.tensor([[[[7.0, 1.0]]]]))
    with torch.no_grad():
        fusion.gate.weight.zero_()
        fusion.gate.bias.fill_(-1.0986123)  # sigmoid: a quarter
    torch.testing.assert_close(fusion(unet, residual), 0.25 * unet + 0.75 * residual)


def test_both_networks_are_trained_through_the_gate(method: CHAN, batch: Batch) -> None:
    method.generator_loss(batch, method(batch))["l1"].backward()
    for part in (method.generator.unet, method.generator.residual, method.generator.fusion):
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in part.parameters())
        assert any(weight.grad.abs().sum() > 0 for weight in part.parameters())


def test_the_unet_alone_sees_the_whole_face(method: CHAN) -> None:
    """One pixel in a corner changes the shallow features nearby, and the U-Net's in the opposite corner, too."""
    network = create("chan", size=64, width=4, depth=6, before=0).eval()
    assert isinstance(network, CHAN)
    image, changed = torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    changed[..., 0, 0] = 1.0
    first, second = network.generator.residual[0], network.generator.residual[2]  # norms look at the whole, too

    def shallow(x: torch.Tensor) -> torch.Tensor:
        return second(F.leaky_relu(first(x), 0.2))

    with torch.no_grad():
        seen = (shallow(changed) - shallow(image)).abs().sum(dim=1)[0] > 0
        deep = (network.generator.unet(changed) - network.generator.unet(image)).abs().sum(dim=1)[0]
    assert seen[:3, :3].any()
    assert not seen[3:].any()
    assert deep[-1, -1] > 0


def test_features_of_several_levels_score_together() -> None:
    """Three levels at 16 pixels: the second's 4 x 4 are averaged to the third's 2 x 2 and normalized."""
    torch.manual_seed(0)
    discriminator = IntegrationDiscriminator(2, width=3, levels=3)
    images = torch.randn(1, 2, 16, 16)
    finer, deepest = discriminator.integrated(images)
    x2 = discriminator.levels[1](discriminator.levels[0](images))
    torch.testing.assert_close(deepest, discriminator.levels[2](x2))
    means = x2.view(1, 6, 2, 2, 2, 2).mean(dim=(3, 5))
    centred = means - means.mean(dim=(2, 3), keepdim=True)
    expected = centred / (centred.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(finer, expected)
    torch.testing.assert_close(discriminator(images), discriminator.score(torch.cat([finer, deepest], dim=1)))
    assert discriminator(images).shape == (1, 1, 1, 1)


def test_the_objective(method: CHAN, batch: Batch) -> None:
    faces = method(batch)
    made = faces["synthesized"]
    terms = {name: value.item() for name, value in method.generator_loss(batch, faces).items()}
    fake, real = (method.discriminator(torch.cat([batch.photo, y], dim=1)) for y in (made, batch.sketch))
    assert terms["adversarial"] == pytest.approx(-fake.sigmoid().log().mean().item(), rel=1e-4)
    assert terms["l1"] == pytest.approx(100 * (made - batch.sketch).abs().mean().item(), rel=1e-4)
    terms = {name: value.item() for name, value in method.discriminator_loss(batch, faces).items()}
    assert terms["real"] == pytest.approx(-real.sigmoid().log().mean().item() / 2, rel=1e-4)
    assert terms["synthesized"] == pytest.approx(-(1 - fake.sigmoid()).log().mean().item() / 2, rel=1e-4)


def test_the_discriminators_loss_does_not_reach_the_generator(method: CHAN, batch: Batch) -> None:
    torch.stack(list(method.discriminator_loss(batch, method(batch)).values())).sum().backward()
    assert all(weight.grad is None for weight in method.generator.parameters())
    assert all(weight.grad is not None for weight in method.discriminator.parameters())


def test_the_releases_schedule() -> None:
    """The release: 800 epochs at 1e-4 throughout, batches of one; D moves first."""
    recipe = CHAN.recipe
    assert (recipe.epochs, recipe.batch, recipe.flip, recipe.betas) == (800, 1, False, (0.5, 0.999))
    assert {recipe.learning_rate_at(epoch) for epoch in (0, 400, 799)} == {1e-4}
    with torch.device("meta"):
        assert list(CHAN(width=4).players()) == ["discriminator", "generator"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"size": 48}, "size is 48, expected a power of two"),
        ({"size": 64, "depth": 7}, r"depth 7 and levels 3; at size 64 depth is 2 to 6"),
        ({"size": 64, "levels": 6}, r"levels 6; at size 64 depth is 2 to 6, levels 2 to 5"),
        ({"before": -1}, "before -1 and after 9"),
    ],
)
def test_bad_values_are_refused(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        create("chan", **settings)
