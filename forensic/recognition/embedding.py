"""Aligned faces to unit vectors.

An embedder is a trunk (a face network) and, where it was adapted to drawings, a head: each modality's mean is
removed from the trunk's features, then a linear projection that separates people is applied (regularized LDA,
``lda.py``). The head is what makes a sketch and a photo comparable; without one, a sketch is described as if
it were a photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

from forensic import images, weights
from forensic.backbones.folding import folded
from forensic.backbones.mobilefacenet import MobileFaceNet
from forensic.errors import ModelError
from forensic.faces.align import ARCFACE, CROP, PORTRAIT, Aligned, Frame, warp
from forensic.recognition import patches
from forensic.recognition.patches import PatchGradients

Modality = Literal["photo", "sketch"]
DEFAULT = "mobilefacenet-cross-modal"
PATCHES = "patches"
UNTRAINED = "mobilefacenet"
KIND = "embedder"


class Architecture(NamedTuple):
    """A trunk and how it looks at a face.

    Attributes:
        build: Makes the network.
        dimension: Length of its features.
        frame: The square that it looks at.
        mirrored: Whether a face and its mirror image are averaged; a parting of the hair is lost by that.
    """

    build: Any
    dimension: int
    frame: Frame
    mirrored: bool = True


def _inception() -> nn.Module:
    from facenet_pytorch import InceptionResnetV1

    network: nn.Module = InceptionResnetV1(pretrained=None, classify=False)
    return network


ARCHITECTURES = {
    "mobilefacenet": Architecture(MobileFaceNet, MobileFaceNet.dimension, CROP),
    # FaceNet's crops are MTCNN's boxes with a margin: more forehead and chin than ArcFace's.
    "inception-resnet-v1": Architecture(_inception, 512, Frame(160, ARCFACE * 1.16 + (15.0, 22.0))),
    "patch-gradients": Architecture(PatchGradients, PatchGradients.dimension, patches.FRAME, mirrored=False),
}


class Head(NamedTuple):
    """What adapts a trunk to drawings.

    Attributes:
        means: Mean feature of each modality, shape (d,).
        projection: Columns that separate people, shape (d, k).
    """

    means: dict[Modality, Tensor]
    projection: Tensor


class Embedder:
    """Describes faces by unit vectors, whose inner product is their similarity.

    Args:
        name: What the weights are called.
        architecture: One of ``ARCHITECTURES``.
        trunk: The network, in evaluation mode.
        head: The adaptation to drawings, if there is one.
        digest: SHA-256 of the weight file.
        device: Where to run, as torch names it.
    """

    def __init__(
        self,
        name: str,
        architecture: str,
        trunk: nn.Module,
        head: Head | None,
        digest: str,
        device: str = "cpu",
    ) -> None:
        self.name = name
        self.head = head
        self.digest = digest
        self.device = device
        self.frame = ARCHITECTURES[architecture].frame
        self._mirrored = ARCHITECTURES[architecture].mirrored
        self.dimension = head.projection.shape[1] if head else ARCHITECTURES[architecture].dimension
        self._trunk = folded(trunk).to(device)

    def view(self, face: Aligned | Image.Image) -> Image.Image:
        """The square that the trunk looks at, of a face that was found or of a 256 x 256 portrait."""
        if isinstance(face, Aligned):
            return face.crop if self.frame is CROP else warp(face.image, face.face.landmarks, self.frame)
        return warp(face, PORTRAIT.landmarks, self.frame)

    def embed(self, crops: Sequence[Image.Image] | Tensor, modality: Modality) -> NDArray[np.float32]:
        """Describe faces.

        Args:
            crops: Faces in the embedder's frame; as a tensor, shape (n, 3, size, size) in [-1, 1].
            modality: What the faces are; it chooses the mean that the head removes.

        Returns:
            Unit vectors, shape (n, dimension).
        """
        if not isinstance(crops, Tensor):
            if not crops:
                return np.empty((0, self.dimension), dtype=np.float32)
            crops = images.to_tensor(crops)
        features = self.features(crops)
        if self.head is not None:
            features = normalize((features - self.head.means[modality]) @ self.head.projection)
        described: NDArray[np.float32] = features.numpy()
        return described

    @torch.inference_mode()
    def features(self, crops: Tensor) -> Tensor:
        """The trunk's unit features of a face, averaged with its mirror image's where that helps; (n, d), on the CPU.

        Faces go through one by one: a batch would change the last bits of a template with the company it is computed
        in, and on a CPU it is no faster.
        """
        grey = images.luminance(crops).expand(-1, 3, -1, -1)
        grey = grey * (127.5 / 128.0)  # the trunks were trained on (x - 127.5) / 128
        rows = []
        for face in torch.split(grey, 1):
            views = torch.cat([face, face.flip(-1)]) if self._mirrored else face
            views = views.to(self.device, memory_format=torch.channels_last)
            rows.append(normalize(self._trunk(views)).sum(0))
        return normalize(torch.stack(rows)).float().cpu()


def load(name: str = DEFAULT, *, device: str = "cpu") -> Embedder:
    """An embedder by name, after its file's hash was checked.

    Raises:
        ModelError: It is not installed, or damaged; the message says which command mends it.
    """
    for entry in weights.entries(KIND):
        if entry.name == name:
            return _build(entry, device)
    known = sorted({entry.name for entry in weights.entries(KIND)})
    raise ModelError(
        f"The embedder {name!r} is not installed (there are: {', '.join(known) or 'none'}). "
        f"Get it: forensic models fetch {name}, or, with its file at hand: forensic models import FILE --name {name}"
    )


def description(architecture: str, *, head: bool) -> dict[str, Any]:
    """What an embedder's weight file says of itself."""
    return {"kind": KIND, "architecture": architecture, "head": head}


def pack(trunk: dict[str, Tensor], architecture: str, head: Head | None = None) -> bytes:
    """An embedder's weight file, in half precision."""
    tensors = {f"trunk.{key}": value for key, value in trunk.items() if not key.endswith("num_batches_tracked")}
    if head is not None:
        tensors |= {f"head.mean_{modality}": mean for modality, mean in head.means.items()}
        tensors["head.projection"] = head.projection
    halves = {key: value.float() if key.startswith("head.mean") else value.half() for key, value in tensors.items()}
    return weights.pack(halves, description(architecture, head=head is not None))


def _build(entry: weights.Entry, device: str) -> Embedder:
    tensors, about = weights.read(weights.verified(entry))
    tensors = {key: value.float() for key, value in tensors.items()}
    architecture = about.get("architecture")
    if about.get("kind") != KIND or architecture not in ARCHITECTURES:
        raise ModelError(f"{entry.path} holds {about}, not an embedder of {', '.join(ARCHITECTURES)}.")
    trunk: nn.Module = ARCHITECTURES[architecture].build()
    state = {key.removeprefix("trunk."): value for key, value in tensors.items() if key.startswith("trunk.")}
    weights.fit(trunk, state, f"{entry.path} does not fit {architecture}")
    head = None
    if about.get("head"):
        means: dict[Modality, Tensor] = {
            "photo": tensors["head.mean_photo"],
            "sketch": tensors["head.mean_sketch"],
        }
        head = Head(means, tensors["head.projection"])
    return Embedder(entry.name, architecture, trunk.eval(), head, entry.sha256, device)
