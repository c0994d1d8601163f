"""Frozen networks that a method consults, kept out of its own state and loaded when first asked for.

They are the maps that a method is conditioned on and the features that its perceptual loss compares.
"""

from collections.abc import Callable
from itertools import chain
from typing import Generic, TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class Aid(Generic[M]):
    """A frozen network, loaded at its first use.

    Args:
        load: Makes the network; it may raise ModelError.
    """

    def __init__(self, load: Callable[[], M]) -> None:
        self._load = load
        self._network: M | None = None

    def __deepcopy__(self, memo: object) -> "Aid[M]":
        """Itself: a copied method consults the same frozen network."""
        return self

    def ready(self) -> M:
        """The network.

        Raises:
            ModelError: Its weights are missing or damaged.
        """
        if self._network is None:
            self._network = self._load()
        return self._network

    def at(self, images: Tensor) -> M:
        """The network, where the images are."""
        network = self.ready()
        # The network itself is asked where it is: perceptual features are shared, and others may have moved them.
        held = next(chain(network.parameters(), network.buffers()), images)
        return network if held.device == images.device else network.to(images.device)
