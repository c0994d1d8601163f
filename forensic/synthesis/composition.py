"""The eight components of a face, and what methods do with them.

Yu, Xu, Gao, Shi, Wang, Tao, Huang: Toward Realistic Face Photo-Sketch Synthesis via Composition-Aided GANs, IEEE
Transactions on Cybernetics 2021.
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.faces import priors
from forensic.synthesis import perceptual as features
from forensic.synthesis.aids import Aid
from forensic.synthesis.translator import Adversarial, Modality, check_directions

COMPONENTS = {
    "background": (
        "background", "glasses", "left ear", "right ear", "hat", "earring", "necklace", "neck", "cloth",
    ),
    "skin": ("skin",),
    "brows": ("left brow", "right brow"),
    "eyes": ("left eye", "right eye"),
    "nose": ("nose",),
    "inner mouth": ("inner mouth",),
    "lips": ("upper lip", "lower lip"),
    "hair": ("hair",),
}  # fmt: skip
"""The papers' eight components. They leave out glasses, ears, hats, jewels, neck and cloth; here these belong to the
background, so that the components of a pixel sum to 1."""
LAYERS = ("conv1_1", "conv3_4", "conv4_1")
"""VGG-19's layers in the perceptual loss of CA-GAN and its kin."""
Composition = Literal["area", "code"]


class Composed(Adversarial):
    """A method that sees the components of a face and compares perceptual features.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        size: Pixels a side inside the networks.
        depth: Levels of the generators; as many as halve ``size`` to 1 where None.
        parsing: Network of the parsings.
        perceptual: Network of the perceptual loss, or ``"none"``.

    Raises:
        UsageError: Source and target are not the two modalities, or the size does not suit parser and generators.
    """

    def __init__(
        self, source: Modality, target: Modality, size: int, depth: int | None, parsing: str, perceptual: str
    ) -> None:
        super().__init__()
        check_directions(source, target)
        levels = int(math.log2(size)) if depth is None else depth
        if size % 32 or size % 2**levels:
            raise UsageError(f"{self.name}: size {size} is not divisible by 32 (for the priors) and by 2 ** {levels}.")
        self.source, self.target, self.size, self.depth = source, target, size, levels
        self.parsing, self.perceptual = parsing, perceptual
        self.L_per = perceptual != "none"
        self._priors = Aid(lambda: priors.Priors({"parsing": parsing}))
        self._features = Aid(lambda: features.load(perceptual))

    @property
    def needs(self) -> dict[str, str]:
        """The network of the parsings."""
        return {"parsing": priors.digest("parsing", self.parsing)}

    @property
    def consults(self) -> dict[str, str]:
        """The network of the perceptual loss beside that of the parsings."""
        chosen = dict(self._priors.ready().digests)
        if self.L_per:
            chosen["perceptual"] = self._features.ready().digest
        return chosen

    @torch.no_grad()
    def _parse(self, images: Tensor) -> Tensor:
        """Components (n, 8, h, w) of images (n, 3, h, w), as probabilities."""
        return priors.merged(self._priors.at(images)(images)["parsing"], COMPONENTS)

    def _perceptual(self, faces: Tensor, Y: Tensor) -> Tensor:
        return features.perceptual(self._features.at(Y), faces, Y, LAYERS)


def compositional(
    faces: Tensor, Y: Tensor, components: Tensor, *, share: float = 0.7, composition: Composition = "area"
) -> Tensor:
    """The compositional loss: the difference of whole images, and that of every component over its area.

    Args:
        faces: Synthesized faces, (n, c, h, w).
        Y: Target faces, likewise.
        components: Probabilities of the components, (n, 8, h, w).
        share: Share of the whole image; the components have the rest.
        composition: Whether a component's difference is divided by its area (the paper), or by the image's (its code).

    Returns:
        Scalar: the mean over faces and colours. A component of less than a pixel counts by its pixels alone.
    """
    difference = (Y - faces).abs().mean(dim=1, keepdim=True)
    parts = (difference * components).sum(dim=(2, 3))
    height, width = Y.shape[2:]
    area = components.sum(dim=(2, 3)).clamp(min=1.0) if composition == "area" else float(height * width)
    return share * F.l1_loss(faces, Y) + (1 - share) * (parts / area).sum(dim=1).mean()
