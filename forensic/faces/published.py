"""Published networks that can take the place of the toolkit's own priors.

=================  ===========  ==========================================================================
architecture       kind         published as
=================  ===========  ==========================================================================
``bisenet``        parsing      79999_iter.pth of zllrunning/face-parsing.PyTorch
``u2net``          saliency     u2net.pth of xuebinqin/U-2-Net
``u2netp``         saliency     u2netp.pth of the same, 1.1 instead of 44 million parameters
``u2net-portrait`` saliency     u2net_portrait.pth of the same: a drawing on white, not a foreground
``3ddfa-v2``       depth        files of cleardusk/3DDFA_V2, made into one by experiments/convert_3ddfa.py
=================  ===========  ==========================================================================

Their weights come in by ``forensic models import``; none is shipped. Each adapter does what its publisher's test
program does to an image, and turns the answer into the maps of `Prior`.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from forensic import weights
from forensic.backbones import IMAGENET_MEAN, IMAGENET_STD
from forensic.backbones.bisenet import BiSeNet
from forensic.backbones.mobilenet_v1 import MobileNetV1
from forensic.backbones.u2net import Size, U2Net
from forensic.errors import ModelError
from forensic.faces.align import PORTRAIT
from forensic.faces.priors import PARSING_CLASSES, Prior

BISENET_CLASSES = (
    "background", "skin", "left brow", "right brow", "left eye", "right eye", "glasses", "left ear", "right ear",
    "earring", "nose", "inner mouth", "upper lip", "lower lip", "neck", "necklace", "cloth", "hair", "hat",
)  # fmt: skip
"""The order in which face-parsing.PyTorch was trained (its prepropess_data.py)."""


class _Published(Prior):
    """A prior whose weights somebody else trained.

    Args:
        name: What the weights are called.
        digest: SHA-256 of the weight file.
    """

    network: nn.Module

    def __init__(self, name: str, digest: str) -> None:
        super().__init__()
        self.name, self.digest = name, digest
        self._imagenet_mean: Tensor
        self._imagenet_std: Tensor
        self.register_buffer("_imagenet_mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_imagenet_std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode, whatever a module that holds it is switched to."""
        return super().train(False)

    def _standardized(self, images: Tensor) -> Tensor:
        """Images in [0, 1] as networks trained on ImageNet take them."""
        return (images - self._imagenet_mean) / self._imagenet_std


class BiSeNetParsing(_Published):
    """Parsing by BiSeNet, trained on CelebAMask-HQ: 512 x 512, the first head, its classes put in our order."""

    SIDE = 512

    def __init__(self, name: str, digest: str) -> None:
        super().__init__(name, digest)
        self.network = BiSeNet(len(BISENET_CLASSES))
        self._order = [BISENET_CLASSES.index(each) for each in PARSING_CLASSES]

    def forward(self, images: Tensor) -> Tensor:
        """Faces (n, 3, h, w) in [-1, 1] to probabilities (n, 19, h, w) in the order of ``PARSING_CLASSES``."""
        logits = self.network(self._standardized(_squashed((images + 1) / 2, self.SIDE)))
        return _resized(logits.softmax(dim=1)[:, self._order], images)


class U2NetSaliency(_Published):
    """Saliency by U2-Net: the fused map, stretched to [0, 1] in each image.

    Args:
        name: What the weights are called.
        digest: SHA-256 of the weight file.
        size: ``full`` or ``small``.
        portrait: Whether the weights draw portraits: 512 instead of 320 pixels, and one minus the map, which is
            a drawing with dark lines on white.
    """

    def __init__(self, name: str, digest: str, *, size: Size = "full", portrait: bool = False) -> None:
        super().__init__(name, digest)
        self.network = U2Net(size)
        self.portrait = portrait
        self.side = 512 if portrait else 320

    def forward(self, images: Tensor) -> Tensor:
        """Faces (n, 3, h, w) in [-1, 1] to foreground (n, 1, h, w) in [0, 1]."""
        small = _squashed((images + 1) / 2, self.side)
        small = small / small.amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)  # data_loader.py's ToTensorLab
        fused = self.network(self._standardized(small))
        fused = 1 - fused if self.portrait else fused
        least, most = fused.amin(dim=(1, 2, 3), keepdim=True), fused.amax(dim=(1, 2, 3), keepdim=True)
        return _resized((fused - least) / (most - least).clamp_min(1e-6), images)


class ThreeDDFADepth(_Published):
    """Depth by 3DDFA_V2: 62 parameters of the Basel face model, whose mesh is drawn into the image.

    The mesh is drawn with a z-buffer, so that no gradient reaches the images. The square that the network looks
    at follows the landmarks of the frame ``PORTRAIT``; its publisher takes a face detector's box.
    """

    SIDE = 120

    def __init__(self, name: str, digest: str, *, vertices: int, triangles: int) -> None:
        super().__init__(name, digest)
        self.network = MobileNetV1(62)
        for part, shape in {"mean": [62], "deviation": [62], "u": [3 * vertices]}.items():
            self.register_buffer(part, torch.zeros(shape))
        self.register_buffer("shape", torch.zeros(3 * vertices, 40))
        self.register_buffer("expression", torch.zeros(3 * vertices, 10))
        self.register_buffer("triangles", torch.zeros(triangles, 3, dtype=torch.int32))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Aligned portraits (n, 3, s, s) in [-1, 1] to nearness (n, 1, s, s), 0 behind the face; no gradients.

        Raises:
            ValueError: The images are not square.
        """
        size = images.shape[-1]
        maps = [rasterize(mesh, self._corners, (size, size)) for mesh in self.meshes(images).cpu().numpy()]
        return torch.from_numpy(np.stack(maps)).unsqueeze(1).to(images)

    @torch.no_grad()
    def meshes(self, images: Tensor) -> Tensor:
        """The faces' vertices, (n, v, 3): x and y in the image's pixels, z in [0, 1], larger nearer.

        Raises:
            ValueError: The images are not square.
        """
        left, top, side = _square(images)
        parameters = self.parameters_of(_cut(images, left, top, side, self.SIDE))
        face = self.get_buffer("u") + parameters[:, 12:52] @ self.get_buffer("shape").T
        face = face + parameters[:, 52:] @ self.get_buffer("expression").T
        pose = parameters[:, :12].view(-1, 3, 4)
        mesh = face.view(len(images), -1, 3) @ pose[:, :, :3].mT + pose[:, None, :, 3]
        # Pixels are counted from 1 and y runs upwards; a pixel's middle is half a pixel from its corner.
        x = (mesh[..., 0] - 0.5) * side / self.SIDE + left
        y = (self.SIDE - mesh[..., 1] + 0.5) * side / self.SIDE + top
        z = mesh[..., 2]
        least, most = z.amin(dim=1, keepdim=True), z.amax(dim=1, keepdim=True)
        return torch.stack([x, y, (z - least) / (most - least).clamp_min(1e-6)], dim=2)

    def parameters_of(self, crops: Tensor) -> Tensor:
        """The 62 parameters: 12 of the pose (3 x 4, row by row), 40 of the shape, 10 of the expression.

        Args:
            crops: Faces (n, 3, 120, 120) in [-1, 1].
        """
        raw: Tensor = self.network(crops.flip(1) * (127.5 / 128))  # trained on BGR, (x - 127.5) / 128
        return raw * self.get_buffer("deviation") + self.get_buffer("mean")

    @property
    def _corners(self) -> NDArray[np.int32]:
        corners: NDArray[np.int32] = self.get_buffer("triangles").cpu().numpy()
        return corners


def rasterize(
    vertices: NDArray[np.float32], triangles: NDArray[np.int32], size: tuple[int, int]
) -> NDArray[np.float32]:
    """The nearest z of a mesh at the middle of each pixel, 0 where there is none (a z-buffer).

    Args:
        vertices: Shape (v, 3): x and y in pixels, z at least 0, larger nearer.
        triangles: Shape (t, 3).
        size: Height and width.
    """
    height, width = size
    canvas = np.zeros(height * width, np.float32)
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = vertices[triangles].transpose(1, 2, 0).astype(np.float64)
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    # First and last pixel whose middle (k + 1/2) lies within each triangle's bounds.
    x0 = np.ceil(np.minimum(np.minimum(ax, bx), cx).clip(0) - 0.5).astype(int)
    y0 = np.ceil(np.minimum(np.minimum(ay, by), cy).clip(0) - 0.5).astype(int)
    x1 = np.floor(np.maximum(np.maximum(ax, bx), cx).clip(-1, width) - 0.5).astype(int)
    y1 = np.floor(np.maximum(np.maximum(ay, by), cy).clip(-1, height) - 0.5).astype(int)
    left = np.flatnonzero((area != 0) & (x0 <= x1) & (y0 <= y1))
    for row in range(int((y1 - y0)[left].max(initial=-1)) + 1):
        reached = left[y0[left] + row <= y1[left]]
        for column in range(int((x1 - x0)[reached].max(initial=-1)) + 1):
            k = reached[x0[reached] + column <= x1[reached]]
            x, y = x0[k] + column, y0[k] + row
            px, py = x + 0.5, y + 0.5
            v = ((px - ax[k]) * (cy[k] - ay[k]) - (py - ay[k]) * (cx[k] - ax[k])) / area[k]
            w = ((bx[k] - ax[k]) * (py - ay[k]) - (by[k] - ay[k]) * (px - ax[k])) / area[k]
            inside = (v >= 0) & (w >= 0) & (v + w <= 1)
            z = (1 - v - w) * az[k] + v * bz[k] + w * cz[k]
            np.maximum.at(canvas, (y * width + x)[inside], z[inside].astype(np.float32))
    return canvas.reshape(height, width)


NETWORKS: dict[str, tuple[str, Callable[[str, str], _Published]]] = {
    "bisenet": ("parsing", BiSeNetParsing),
    "u2net": ("saliency", U2NetSaliency),
    "u2netp": ("saliency", lambda name, digest: U2NetSaliency(name, digest, size="small")),
    "u2net-portrait": ("saliency", lambda name, digest: U2NetSaliency(name, digest, portrait=True)),
}
"""Kind and maker of each architecture that is a plain state dict."""
DEPTH = "3ddfa-v2"


def pack(state: Mapping[str, Tensor], architecture: str) -> bytes:
    """The weight file of a published state dict.

    Args:
        state: As it was published.
        architecture: One of ``NETWORKS``.

    Raises:
        ModelError: It does not fit.
    """
    kind, make = NETWORKS[architecture]
    state = {key.removeprefix("module."): value for key, value in state.items()}
    weights.fit(make("", "").network, state, f"The state dict does not fit {architecture}")
    kept = {f"network.{key}": value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    return weights.pack(kept, {"kind": kind, "architecture": architecture})


def pack_depth(content: bytes) -> bytes:
    """The weight file of 3DDFA_V2.

    Args:
        content: The npz that experiments/convert_3ddfa.py wrote.

    Raises:
        ModelError: It is no such file.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            state = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    except (ValueError, TypeError, OSError, AttributeError, EOFError, zipfile.BadZipFile) as problem:
        raise ModelError(
            f"The file is not an npz of plain arrays ({problem}). Make it: python experiments/convert_3ddfa.py"
        ) from None
    _depth_of("", "", state, "The npz")
    return weights.pack(state, {"kind": "depth", "architecture": DEPTH})


def load(entry: weights.Entry) -> Prior:
    """The frozen prior of a manifest's entry.

    Raises:
        ModelError: Its file is missing, damaged, or not what the manifest says.
    """
    state, about = weights.read(weights.verified(entry))
    kind, architecture = about.get("kind"), about.get("architecture")
    prior: _Published
    if (kind, architecture) == ("depth", DEPTH):
        prior = _depth_of(entry.name, entry.sha256, state, str(entry.path))
    elif architecture in NETWORKS and kind == NETWORKS[architecture][0]:
        prior = NETWORKS[architecture][1](entry.name, entry.sha256)
        weights.fit(prior, state, f"{entry.path} does not fit {about['architecture']}")
    else:
        known = ", ".join([*NETWORKS, DEPTH])
        raise ModelError(f"{entry.path} holds {about}, not a published prior ({known}). Import {entry.name} again.")
    if kind != entry.kind:
        raise ModelError(f"{entry.path} is for {kind}, its manifest says {entry.kind}. Import {entry.name} again.")
    return prior.eval().requires_grad_(False)


def _depth_of(name: str, digest: str, state: Mapping[str, Tensor], what: str) -> ThreeDDFADepth:
    missing = {"u", "triangles"}.difference(state)
    if missing:
        raise ModelError(f"{what} does not fit {DEPTH}: it lacks {sorted(missing)}.")
    triangles = state["triangles"]
    if state["u"].ndim < 1 or triangles.ndim != 2 or triangles.shape[1] != 3 or triangles.is_floating_point():
        raise ModelError(
            f"{what} does not fit {DEPTH}: u has shape {tuple(state['u'].shape)}, expected (3 vertices,) or"
            f" (3 vertices, 1); triangles have {tuple(triangles.shape)} of {triangles.dtype}, expected (n, 3) integers."
        )
    vertices = len(state["u"]) // 3
    prior = ThreeDDFADepth(name, digest, vertices=vertices, triangles=len(triangles))
    weights.fit(prior, state, f"{what} does not fit {DEPTH}")
    if len(triangles) and not 0 <= int(triangles.min()) <= int(triangles.max()) < vertices:
        raise ModelError(f"{what} does not fit {DEPTH}: triangles name vertices beyond its {vertices}.")
    return prior


def _squashed(images: Tensor, side: int) -> Tensor:
    return F.interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)


def _resized(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, like.shape[2:], mode="bilinear", align_corners=False, antialias=True)


def _square(portraits: Tensor) -> tuple[float, float, float]:
    """Left, top and side of the square around the face, in pixels: as large as a detector's box, grown by 1.58."""
    height, width = portraits.shape[-2:]
    if height != width:
        raise ValueError(f"Expected square portraits, got {height} x {width}.")
    points = PORTRAIT.landmarks * (width / PORTRAIT.size)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    side = 1.8 * (np.linalg.norm(points[1] - points[0]) + 0.9 * np.linalg.norm(mouth - eyes))
    left, top = (eyes + mouth) / 2 + (0, 0.04 * side) - side / 2
    return float(left), float(top), float(side)


def _cut(images: Tensor, left: float, top: float, side: float, out: int) -> Tensor:
    """A square of the images, resampled bilinearly; black beyond their border, as the publisher pads."""
    height, width = images.shape[-2:]
    theta = images.new_tensor(
        [[side / width, 0, (2 * left + side) / width - 1], [0, side / height, (2 * top + side) / height - 1]]
    )
    shape = [len(images), images.shape[1], out, out]
    grid = F.affine_grid(theta.expand(len(images), 2, 3), shape, align_corners=False)
    # Padding is 0, so black is shifted there and back.
    return F.grid_sample(images + 1, grid, mode="bilinear", padding_mode="zeros", align_corners=False) - 1
