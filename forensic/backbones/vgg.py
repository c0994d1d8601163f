"""The convolutions of VGG-16 and VGG-19 (Simonyan and Zisserman 2015), which perceptual losses look through.

Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015, Table 1, columns
D and E. Layers are called as papers call them: ``conv3_4`` is the fourth convolution of the third block before its
ReLU, ``relu3_4`` after it, ``pool3`` the block's maximum. The state dict is torchvision's, its classifier left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions of each block."""
WIDTHS = (64, 128, 256, 512, 512)
"""Channels of each block."""


def layers(architecture: str) -> tuple[str, ...]:
    """Names of all layers, in the order in which they are computed.

    Args:
        architecture: ``vgg16`` or ``vgg19``.

    >>> layers("vgg16")[:6]
    ('conv1_1', 'relu1_1', 'conv1_2', 'relu1_2', 'pool1', 'conv2_1')
    """
    names: list[str] = []
    for block, convolutions in enumerate(BLOCKS[architecture], 1):
        for k in range(1, convolutions + 1):
            names += [f"conv{block}_{k}", f"relu{block}_{k}"]
        names.append(f"pool{block}")
    return tuple(names)


class VGG(nn.Module):
    """Images (n, 3, h, w), scaled as the weights expect, to the activations of named layers.

    Args:
        architecture: ``vgg16`` or ``vgg19``.
    """

    def __init__(self, architecture: str) -> None:
        super().__init__()
        self.layers = layers(architecture)
        modules: list[nn.Module] = []
        channels = 3
        for width, convolutions in zip(WIDTHS, BLOCKS[architecture], strict=True):
            for _ in range(convolutions):
                # Not in place: a convolution's output is asked for before its ReLU.
                modules += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            modules.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*modules)

    def forward(self, images: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
        """Activations of the wanted layers; nothing beyond the deepest of them is computed.

        Raises:
            ValueError: A layer that the network does not have.
        """
        absent = set(wanted).difference(self.layers)
        if absent:
            raise ValueError(f"No layers {sorted(absent)}. There are: {', '.join(self.layers)}.")
        found: dict[str, Tensor] = {}
        x = images
        for name, module in zip(self.layers, self.features, strict=True):
            if len(found) == len(set(wanted)):
                break
            x = module(x)
            if name in wanted:
                found[name] = x
        return found
