import pytest
import torch

from forensic import weights as store
from forensic.errors import ModelError
from forensic.synthesis import Recipe
from forensic.synthesis.checkpoint import CHECKPOINT, laid_out_like
from forensic.synthesis.trainer import Trainer


@pytest.fixture
def trained(make_tiny, make_pairs, tmp_path):
    """What makes a training; the first one has ended."""

    def made():
        return Trainer(make_tiny("pix2pix"), Recipe(epochs=1, shift=0), make_pairs(1), out=tmp_path)

    made().fit()
    return made


def without(*starts):
    def change(tensors):
        return {name: value for name, value in tensors.items() if not name.startswith(starts)}

    return change


def flipped(tensors):
    tensors["method/generator.down.0.0.weight"].view(torch.int32)[0, 0, 0, 0] ^= 1 << 20
    return tensors


def of_another_shape(tensors):
    name = "optimizer/generator/0/exp_avg"
    return tensors | {name: torch.zeros(tensors[name].numel() + 1)}


HARMS = {
    "a random state that is none": lambda tensors: tensors | {"random/cpu": torch.full((5056,), 255).byte()},
    "no random state": without("random"),
    "no network": without("method/generator.down.0"),
    "no moments of one parameter": without("optimizer/generator/0/exp"),
    "no state of a player": without("optimizer/generator"),
    "moments of another shape": of_another_shape,
    "an unknown player": lambda tensors: tensors | {"optimizer/third/0/step": torch.zeros(())},
    "a parameter too many": lambda tensors: tensors | {"optimizer/generator/999/step": torch.zeros(())},
}


@pytest.mark.parametrize("harm", [*HARMS.values(), flipped], ids=[*HARMS, "a flipped bit"])
@pytest.mark.parametrize("older", [False, True])
def test_a_damaged_checkpoint_is_not_gone_on_from(trained, tmp_path, harm, older) -> None:
    """One from before it stated a hash is damaged where it does not fit; nobody can see a flipped bit there."""
    path = tmp_path / CHECKPOINT
    tensors, description = store.read(path)
    if older:
        del description["sha256"]
    store.write(path, harm(tensors), description)
    if older and harm is flipped:
        trained().start(resume=True)
    else:
        with pytest.raises(ModelError, match=f"{path} is damaged: .*Bring the checkpoint back"):
            trained().start(resume=True)


def test_a_changed_position_is_seen(trained, tmp_path) -> None:
    path = tmp_path / CHECKPOINT
    tensors, description = store.read(path)
    store.write(path, tensors, description | {"epoch": 0})
    with pytest.raises(ModelError, match="its SHA-256 is not the one that it states"):
        trained().start(resume=True)


def test_restored_state_takes_the_parameters_layout() -> None:
    """The fused optimizer reads parameter and state side by side, whatever their strides say."""
    parameter = torch.rand(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    value = torch.rand(4, 3, 2, 2)
    restored = laid_out_like(parameter, value)
    assert restored.stride() == parameter.stride() != value.stride()
    assert torch.equal(restored, value)
    count = torch.tensor(3.0)
    assert laid_out_like(parameter, count) is count
