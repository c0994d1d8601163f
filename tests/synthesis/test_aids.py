from typing import Self

import pytest
import torch
from torch import nn

from forensic.errors import ModelError
from forensic.synthesis.aids import Aid


class Shared(nn.Module):
    """A network that writes down where it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.sent: list[torch.device] = []

    def to(self, device: torch.device) -> Self:  # type: ignore[override]
        self.sent.append(device)
        self.weight = nn.Parameter(torch.zeros(1, device=device), requires_grad=False)
        return self


def test_a_network_is_loaded_once_and_when_it_is_asked_for() -> None:
    made: list[Shared] = []
    aid = Aid(lambda: made.append(Shared()) or made[-1])
    assert made == []
    assert aid.ready() is aid.at(torch.zeros(1))
    assert len(made) == 1


def test_a_shared_network_is_found_wherever_another_user_left_it() -> None:
    network = Shared()
    first, second = Aid(lambda: network), Aid(lambda: network)
    elsewhere, here = torch.zeros(1, device="meta"), torch.zeros(1)
    assert first.at(elsewhere).weight.device.type == "meta"
    assert second.at(here).weight.device.type == "cpu"
    assert first.at(elsewhere).weight.device.type == "meta"
    assert len(network.sent) == 3


def test_missing_weights_are_an_error_every_time() -> None:
    def missing() -> Shared:
        raise ModelError("no weights")

    aid = Aid(missing)
    for _ in range(2):
        with pytest.raises(ModelError):
            aid.ready()
