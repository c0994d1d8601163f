import copy

import pytest
import torch
from torch import nn

from forensic.backbones.folding import folded
from forensic.faces import priors
from forensic.recognition.embedding import ARCHITECTURES


def trained(network: nn.Module) -> nn.Module:
    """A network of random weights whose normalisation statistics are not trivial."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return network.eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_folding_an_embedders_trunk_changes_rounding_alone(architecture: str) -> None:
    trunk = trained(ARCHITECTURES[architecture].build())
    side = ARCHITECTURES[architecture].frame.size
    faces = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        expected = trunk(faces)
        found = folded(copy.deepcopy(trunk))(faces)
    assert expected.std() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_folding_the_network_of_the_priors_changes_rounding_alone() -> None:
    network = trained(priors.PriorNetwork())
    faces = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        expected = network(faces)
        found = folded(copy.deepcopy(network))(faces)
    for kind in expected._fields:
        torch.testing.assert_close(getattr(found, kind), getattr(expected, kind), rtol=1e-4, atol=1e-4)


def test_every_normalisation_after_a_convolution_is_gone() -> None:
    network = folded(ARCHITECTURES["mobilefacenet"].build())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
