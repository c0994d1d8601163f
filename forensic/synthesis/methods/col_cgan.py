"""Col-cGAN: photo to sketch and sketch to photo at once, which meet in a latent domain between the two.

Zhu, Li, Wang, Gao: A Deep Collaborative Framework for Face Photo-Sketch Synthesis, IEEE Transactions on Neural Networks
and Learning Systems 2019.

Each mapping has two halves, G: X -> Z -> Y and F: Y -> Z -> X. The collaborative loss asks that both reach the same
latent image from the two faces of one person, so that each mapping is supervised in its middle by the other. Where the
paper's settings are not known to the toolkit:

- The authors have not published code. The halves (ResNets with nine blocks), what the discriminators judge (triplets of
  photo, latent image and sketch) and the weights 10 and 1 are those of the network of Bae et al. (A Bidirectional
  Network for Face Photo-Sketch Recognition), which builds on this paper's. ``judged="pair"`` leaves the latent image
  out, as pix2pix does.
- In the discriminator's real triplet the latent image is that of the same mapping, so that it tells the faces apart and
  not the latent images.
- Epochs and their schedule are CycleGAN's, whose halves and step size these are.
- Instance normalization takes the place of batch normalization with batches of one.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from forensic.errors import UsageError
from forensic.synthesis.latent import Bridged
from forensic.synthesis.losses import adversarial, discriminating, l1
from forensic.synthesis.networks import PatchDiscriminator, ResNet
from forensic.synthesis.registry import method
from forensic.synthesis.translator import DIRECTIONS, Batch, Faces, Modality, Recipe


@method("col-cgan")
class ColCGAN(Bridged):
    """Collaborative conditional GAN.

    Args:
        source: Modality of what ``translate`` takes.
        target: Modality of what ``translate`` gives.
        size: Pixels a side inside the networks, divisible by 4; ``translate`` resizes to it and back.
        width: Channels of the first layers of all networks.
        blocks: Residual blocks of each half of a mapping.
        patch: Pixels a side of the patches that the discriminators see; the paper's 70 at 256 is 34 at 128.
        judged: Whether the discriminators see the latent image beside photo and sketch (``"triplet"``).
        lambda_l1: Weight of the difference from the true face.
        lambda_col: Weight of the collaborative loss.
        discriminator_rate: The discriminators' learning rate in units of the generators'.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Zhu et al., A Deep Collaborative Framework for Face Photo-Sketch Synthesis, TNNLS 2019"
    recipe = Recipe(epochs=200, flat=0.5, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=True, shift=8, tone=0.0)

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        blocks: int = 9,
        patch: int = 70,
        judged: Literal["triplet", "pair"] = "triplet",
        lambda_l1: float = 10.0,
        lambda_col: float = 1.0,
        discriminator_rate: float = 1.0,
    ) -> None:
        if size < 32 or size % 4 or blocks < 1:
            raise UsageError(
                f"col-cgan: size is {size} and blocks {blocks}; expected 32 or more, divisible by 4, and 1 or more."
            )

        def half() -> ResNet:
            return ResNet(width=width, blocks=blocks)

        super().__init__(source, target, size, half, half)
        self.width, self.blocks, self.patch, self.judged = width, blocks, patch, judged
        self.lambda_l1, self.lambda_col, self.discriminator_rate = lambda_l1, lambda_col, discriminator_rate
        seen = 9 if judged == "triplet" else 6
        self.discriminators = nn.ModuleDict(
            {b: PatchDiscriminator(inputs=seen, width=width, patch=patch) for _, b in DIRECTIONS}
        )

    def forward(self, batch: Batch) -> Faces:
        """The latent image of each face, and the other face out of it."""
        faces: Faces = {f"latent of {a}": self.latent(a, batch.of(a)) for a, _ in DIRECTIONS}
        faces |= {b: self.face(b, faces[f"latent of {a}"]) for a, b in DIRECTIONS}
        return faces | {"synthesized": faces[self.target]}

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The adversarial losses of both mappings as the discriminators' minimization, halved as in pix2pix."""
        terms = {"real": batch.photo.new_zeros(()), "synthesized": batch.photo.new_zeros(())}
        for a, b in DIRECTIONS:
            Z = faces[f"latent of {a}"].detach()
            real = self._scores(b, batch.of(a), Z, batch.of(b))
            for name, term in discriminating(real, self._scores(b, batch.of(a), Z, faces[b].detach())).items():
                terms[name] += term
        return terms

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The adversarial loss and the L1 loss of both mappings, and the collaborative loss between them."""
        scores = {b: self._scores(b, batch.of(a), faces[f"latent of {a}"], faces[b]) for a, b in DIRECTIONS}
        judged = torch.stack([adversarial(scores[b], real=True) for _, b in DIRECTIONS])
        different = torch.stack([l1(faces[b], batch.of(b)) for _, b in DIRECTIONS])
        return {
            "adversarial": judged.sum(),
            "l1": self.lambda_l1 * different.sum(),
            "collaborative": self.lambda_col * l1(faces["latent of photo"], faces["latent of sketch"]),
        }

    def _scores(self, b: Modality, given: Tensor, Z: Tensor, made: Tensor) -> Tensor:
        """What the discriminator of modality b says of a face of b, beside the face of a and its latent image."""
        triplet = [given, Z, made] if self.judged == "triplet" else [given, made]
        scores: Tensor = self.discriminators[b](torch.cat(triplet, dim=1))
        return scores
