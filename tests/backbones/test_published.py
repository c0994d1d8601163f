"""Networks of published weights: the names, shapes and sizes of the official checkpoints."""

import pytest
import torch
from torch import nn

from forensic.backbones.bisenet import BiSeNet
from forensic.backbones.mobilenet_v1 import MobileNetV1
from forensic.backbones.u2net import ResidualU, U2Net


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def test_bisenet_has_the_names_of_face_parsing_pytorch() -> None:
    network = BiSeNet(19).eval()
    expected = {
        "cp.resnet.conv1.weight": (64, 3, 7, 7),
        "cp.resnet.layer4.0.downsample.0.weight": (512, 256, 1, 1),
        "cp.arm16.conv_atten.weight": (128, 128, 1, 1),
        "cp.arm32.conv.conv.weight": (128, 512, 3, 3),
        "cp.conv_head32.bn.running_mean": (128,),
        "cp.conv_avg.conv.weight": (128, 512, 1, 1),
        "ffm.convblk.conv.weight": (256, 256, 1, 1),
        "ffm.conv1.weight": (64, 256, 1, 1),
        "conv_out.conv_out.weight": (19, 256, 1, 1),
        "conv_out16.conv.conv.weight": (64, 128, 3, 3),
        "conv_out32.conv_out.weight": (19, 64, 1, 1),
    }
    assert expected.items() <= shapes(network).items()
    assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 19, 64, 96)


def test_u2net_has_the_names_and_the_size_of_the_original() -> None:
    full, small = U2Net("full"), U2Net("small")
    assert {
        "stage1.rebnconvin.conv_s1.weight": (64, 3, 3, 3),
        "stage1.rebnconv7.bn_s1.bias": (32,),
        "stage5.rebnconv4.conv_s1.weight": (256, 256, 3, 3),
        "stage1d.rebnconv1d.conv_s1.weight": (64, 32, 3, 3),
        "side6.weight": (1, 512, 3, 3),
        "outconv.weight": (1, 6, 1, 1),
    }.items() <= shapes(full).items()
    assert (size(full), size(small)) == (44_009_869, 1_131_181)


@pytest.mark.parametrize("side", [32, 40])
def test_u2net_maps_every_pixel(side: int) -> None:
    fused = U2Net("small").eval()(torch.randn(2, 3, side, side))
    assert fused.shape == (2, 1, side, side)
    assert 0 <= fused.min() <= fused.max() <= 1


def test_a_residual_u_pools_or_dilates() -> None:
    assert ResidualU(0, 8, 4, 8).rebnconv4.conv_s1.dilation == (8, 8)
    pooled = ResidualU(4, 8, 4, 8)
    assert pooled.rebnconv4.conv_s1.dilation == (2, 2)
    assert pooled.eval()(torch.zeros(1, 8, 16, 16)).shape == (1, 8, 16, 16)


def test_mobilenet_has_the_names_of_3ddfa() -> None:
    network = MobileNetV1(62).eval()
    assert {
        "conv1.weight": (32, 3, 3, 3),
        "dw2_1.conv_dw.weight": (32, 1, 3, 3),
        "dw5_6.conv_sep.weight": (1024, 512, 1, 1),
        "dw6.bn_sep.running_var": (1024,),
        "fc.weight": (62, 1024),
    }.items() <= shapes(network).items()
    assert round(size(network) / 1e6, 2) == 3.27
    assert network(torch.zeros(2, 3, 120, 120)).shape == (2, 62)
