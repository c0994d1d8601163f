import pytest
import torch
from torch import nn

from forensic.synthesis.networks import HALVINGS, PatchDiscriminator, ResNet, UNet


@pytest.mark.parametrize(("size", "depth"), [(32, 5), (64, 4), (256, 8)])
def test_unet_keeps_the_shape(size: int, depth: int) -> None:
    network = UNet(inputs=1, outputs=3, width=4, depth=depth)
    out = network(torch.randn(1, 1, size, size))
    assert out.shape == (1, 3, size, size)
    assert out.abs().max() <= 1


def test_unet_has_the_papers_layers() -> None:
    """C64-C128-C256-C512-C512-C512-C512-C512 and CD512-CD512-CD512-C512-C256-C128-C64 (appendix 6.1.1)."""
    network = UNet()
    down = [layer.out_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    up = [layer.out_channels for layer in network.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert down == [64, 128, 256, 512, 512, 512, 512, 512]
    assert up == [512, 512, 512, 512, 256, 128, 64, 3]
    assert [any(isinstance(layer, nn.Dropout) for layer in block) for block in network.up] == [True] * 3 + [False] * 5
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(54.4e6, rel=0.01)


def test_skip_connections_carry_detail() -> None:
    """With the innermost features silenced, the output still follows the input."""
    network = UNet(width=4, depth=5).eval()
    with torch.no_grad():
        for parameter in network.down[-1].parameters():
            parameter.zero_()
    first, second = (network(torch.randn(1, 3, 32, 32)) for _ in range(2))
    assert (first - second).abs().max() > 0


@pytest.mark.parametrize("blocks", [0, 2])
def test_stages_are_the_last_features_at_each_resolution(blocks: int) -> None:
    network, images = ResNet(width=4, halvings=2, blocks=blocks), torch.randn(1, 3, 16, 16)
    found = network.stages(images)
    assert [stage.shape[1:] for stage in found] == [
        (4, 16, 16),
        (8, 8, 8),
        (16, 4, 4),
        (16, 4, 4),
        (8, 8, 8),
        (4, 16, 16),
        (3, 16, 16),
    ]
    torch.testing.assert_close(found[-1], network(images))
    assert torch.equal(found[2], found[3]) == (blocks == 0)
    inputs = {nn.Conv2d: [], nn.ConvTranspose2d: []}  # what every change of resolution is given
    for layer in network.layers:
        if getattr(layer, "stride", None) == (2, 2):
            layer.register_forward_pre_hook(lambda module, given: inputs[type(module)].append(given[0]))
    network(images)
    torch.testing.assert_close(inputs, {nn.Conv2d: found[:2], nn.ConvTranspose2d: found[3:5]})


@pytest.mark.parametrize("patch", HALVINGS)
def test_receptive_field(patch: int) -> None:
    field = 1
    network = PatchDiscriminator(patch=patch, width=2)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    for layer in reversed(convolutions):
        field = layer.stride[0] * (field - 1) + layer.kernel_size[0]
    assert field == patch


def test_discriminator_has_the_papers_layers() -> None:
    """C64-C128-C256-C512 and one score (appendix 6.1.2)."""
    layers = [layer for layer in PatchDiscriminator().modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in layers] == [64, 128, 256, 512, 1]
    assert [layer.stride[0] for layer in layers] == [2, 2, 2, 1, 1]


@torch.no_grad()
def test_norms_hide_how_large_a_spike_is() -> None:
    """The same spot of ink, two and four times as dark: only without norms does it change the scores in proportion."""
    paper, spot = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    spot[0, 0, 32, 32] = 1e5

    def change(*, normalized: bool) -> float:
        torch.manual_seed(0)
        network = PatchDiscriminator(inputs=1, width=4, patch=34, normalized=normalized)
        once, twice = (network(paper + times * spot) - network(paper) for times in (2, 4))
        return float(twice.norm() / once.norm())

    assert change(normalized=False) > 1.9
    assert change(normalized=True) < 1.1


def test_a_score_depends_on_its_patch_alone() -> None:
    """The same by gradients; without norms, because their statistics see the whole image."""
    network = PatchDiscriminator(inputs=1, width=2, normalized=False)
    images = torch.randn(1, 1, 256, 256, requires_grad=True)
    scores = network(images)
    assert scores.shape == (1, 1, 30, 30)
    (gradient,) = torch.autograd.grad(scores[0, 0, 15, 15], images)
    touched = gradient[0, 0].nonzero()
    assert (touched.max(dim=0).values - touched.min(dim=0).values + 1).tolist() == [70, 70]
