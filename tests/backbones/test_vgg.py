import pytest
import torch
from torchvision.models import vgg

from forensic.backbones.vgg import VGG, layers


@pytest.mark.parametrize(("architecture", "column"), [("vgg16", "D"), ("vgg19", "E")])
def test_it_is_torchvisions_network(architecture: str, column: str) -> None:
    torch.manual_seed(0)
    theirs = vgg.make_layers(vgg.cfgs[column]).eval()
    ours = VGG(architecture).eval()
    ours.load_state_dict({f"features.{key}": value for key, value in theirs.state_dict().items()})
    images = torch.randn(1, 3, 32, 32)
    found = ours(images, ["conv1_1", "relu4_1", "pool5"])
    places = {"conv1_1": 0, "relu4_1": {"vgg16": 18, "vgg19": 20}[architecture], "pool5": len(theirs) - 1}
    for name, place in places.items():
        torch.testing.assert_close(found[name], theirs[: place + 1](images))


def test_layers_are_named_as_in_papers() -> None:
    assert "conv3_4" in layers("vgg19")
    assert "conv3_4" not in layers("vgg16")
    assert layers("vgg19").index("relu3_4") == layers("vgg19").index("conv3_4") + 1


def test_only_what_is_asked_for_is_computed() -> None:
    network = VGG("vgg16")
    network.features[-2].register_forward_hook(lambda *_: pytest.fail("went too deep"))
    assert set(network(torch.zeros(1, 3, 32, 32), ["pool1", "conv2_1"])) == {"pool1", "conv2_1"}
    with pytest.raises(ValueError, match="conv3_4"):
        network(torch.zeros(1, 3, 32, 32), ["conv3_4"])
