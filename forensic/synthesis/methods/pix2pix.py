"""pix2pix: a conditional GAN with an L1 term. The template for new methods.

Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017.

Two choices where the paper leaves room. The paper's noise z is dropout, at training and at test; here it is
on in training alone, because the same sketch has to give the same face every time. The paper normalizes
each batch of one by its own statistics, which is instance normalization; by that name it does not depend
on what else is in the batch.
"""

import torch
from torch import Tensor

from forensic.synthesis.losses import adversarial, discriminating, l1
from forensic.synthesis.networks import PatchDiscriminator, UNet
from forensic.synthesis.registry import method
from forensic.synthesis.translator import (
    Adversarial,
    Batch,
    Faces,
    Modality,
    Player,
    Recipe,
    check_directions,
    levels_of,
    resized,
)


@method("pix2pix")
class Pix2Pix(Adversarial):
    """U-Net against a PatchGAN.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        size: Pixels a side inside the networks, a power of two; ``translate`` resizes to it and back.
        width: Channels of the first layers of both networks.
        depth: Levels of the U-Net; as many as halve ``size`` to 1 where None, as in the paper.
        patch: Pixels a side of the patches that the discriminator sees: 16, 34, 70 or 142. The paper's 70 at
            256 x 256 is 34 at 128 x 128.
        lambda_l1: Weight of the L1 term, the paper's λ.
        discriminator_rate: The discriminator's learning rate in units of the generator's.
        dropout: Rate of the dropout that stands for the paper's noise z in training.
    """

    paper = "Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017"
    critics = ("discriminator",)
    # Section 3.3 and appendix 6.2. The paper's jitter (enlarge to 286, crop 256) becomes shifts of as many
    # pixels, because aligned faces should be trained at the scale at which they are translated.
    recipe = Recipe(
        epochs=200, flat=0.5, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=True, shift=15, tone=0.0
    )

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        depth: int | None = None,
        patch: int = 70,
        lambda_l1: float = 100.0,
        discriminator_rate: float = 1.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        levels = levels_of(self.name, size, depth)
        self.source, self.target = source, target
        self.size, self.width, self.depth, self.patch = size, width, depth, patch
        self.lambda_l1, self.discriminator_rate, self.dropout = lambda_l1, discriminator_rate, dropout
        self.generator = UNet(width=width, depth=levels, dropout=dropout)
        self.discriminator = PatchDiscriminator(inputs=6, width=width, patch=patch)

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        return resized(self.generator(resized(images, self.size)), images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """G(x, z)."""
        return {"synthesized": self.generator(batch.of(self.source))}

    def players(self) -> dict[str, Player]:
        """D moves before G (section 3.3: one step each, alternating)."""
        return {
            "discriminator": Player(self.discriminator, self.discriminator_loss, rate=self.discriminator_rate),
            "generator": Player(self.generator, self.generator_loss),
        }

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 1 as D's minimization, halved to slow D relative to G (section 3.3)."""
        x, y = batch.of(self.source), batch.of(self.target)
        return discriminating(self._scores(x, y), self._scores(x, faces["synthesized"].detach()))

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 4, with the adversarial term as 'maximize log D(x, G(x, z))' (section 3.3)."""
        x, y = batch.of(self.source), batch.of(self.target)
        return {
            "adversarial": adversarial(self._scores(x, faces["synthesized"]), real=True),
            "l1": self.lambda_l1 * l1(faces["synthesized"], y),  # equation 3
        }

    def _scores(self, x: Tensor, y: Tensor) -> Tensor:
        scores: Tensor = self.discriminator(torch.cat([x, y], dim=1))
        return scores
