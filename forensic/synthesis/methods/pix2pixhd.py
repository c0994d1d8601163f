"""pix2pixHD: the global generator against discriminators at three scales.

Wang, Liu, Zhu, Tao, Kautz, Catanzaro: High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs,
CVPR 2018.

Faces of 256 x 256 need no local enhancer, and a photo or sketch has no instance maps: both are left out. Choices here:

- The objective of section 3.2 sums feature matching over layers and discriminators, each layer a mean. So it is here;
  the authors' code takes the mean over the discriminators (``lambda_fm=3.33``).
- The perceptual loss of section 4 compares absolute values with the weights of the authors' code, which the paper does
  not print; ``perceptual="none"`` leaves it out.
- Least squares, as the paper; the discriminators' objective is halved, as in the authors' code.
- Instance norms learn scale and shift; the authors' have neither.
"""

import math

import torch
from torch import Tensor

from forensic.errors import UsageError
from forensic.synthesis import perceptual as features
from forensic.synthesis.aids import Aid
from forensic.synthesis.losses import feature_matching, judged
from forensic.synthesis.networks import MultiScaleDiscriminator, ResNet
from forensic.synthesis.registry import method
from forensic.synthesis.translator import (
    Adversarial,
    Batch,
    Faces,
    Modality,
    Player,
    Recipe,
    check_directions,
    resized,
)


@method("pix2pixhd")
class Pix2PixHD(Adversarial):
    """Global generator against multi-scale discriminators.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        size: Pixels a side inside the networks, divisible by ``2 ** halvings``; ``translate`` resizes to it and back.
        width: Channels of the first layers of all networks.
        halvings: Convolutions of stride 2 in the generator; where None, as many as leave 16 pixels: the paper's 4 at
            256.
        blocks: Residual blocks of the generator.
        scales: Number of discriminators.
        lambda_fm: Weight of feature matching, the paper's λ.
        perceptual: Network of the perceptual loss, or ``"none"``.
        lambda_perceptual: Weight of the perceptual loss.
        discriminator_rate: The discriminators' learning rate in units of the generator's.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Wang et al., High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs, CVPR 2018"
    critics = ("discriminators",)
    recipe = Recipe(  # appendix A; the jitter as in pix2pix
        epochs=200, flat=0.5, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=True, shift=15, tone=0.0
    )

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        halvings: int | None = None,
        blocks: int = 9,
        scales: int = 3,
        lambda_fm: float = 10.0,
        perceptual: str = "vgg19",
        lambda_perceptual: float = 10.0,
        discriminator_rate: float = 1.0,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        halvings = int(math.log2(max(size, 32) / 16)) if halvings is None else halvings
        if halvings < 0 or size % 2**halvings or size < max(32, 2 ** (halvings + 1)):
            raise UsageError(
                f"pix2pixhd: size {size} is not 32 or more, divisible by 2 ** {halvings} and larger than that."
            )
        if blocks < 0 or not 1 <= scales <= 3:
            raise UsageError(f"pix2pixhd: blocks {blocks} is below 0, or scales {scales} is not 1 to 3.")
        self.source, self.target, self.size, self.width = source, target, size, width
        self.halvings, self.blocks, self.scales = halvings, blocks, scales
        self.lambda_fm, self.perceptual, self.lambda_perceptual = lambda_fm, perceptual, lambda_perceptual
        self.discriminator_rate = discriminator_rate
        self.generator = ResNet(width=width, halvings=halvings, blocks=blocks)
        self.discriminators = MultiScaleDiscriminator(inputs=6, width=width, scales=scales)
        self._features = Aid(lambda: features.load(perceptual))

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        return resized(self.generator(resized(images, self.size)), images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """G(s)."""
        return {"synthesized": self.generator(batch.of(self.source))}

    @property
    def consults(self) -> dict[str, str]:
        """The network of the perceptual loss."""
        return {} if self.perceptual == "none" else {"perceptual": self._features.ready().digest}

    def players(self) -> dict[str, Player]:
        """The generator, then its discriminators, as in the authors' code."""
        return {
            "generator": Player(self.generator, self.generator_loss),
            "discriminators": Player(self.discriminators, self.discriminator_loss, rate=self.discriminator_rate),
        }

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The generator's part of the objective of section 3.2, and the perceptual loss of section 4."""
        s, x, G = batch.of(self.source), batch.of(self.target), faces["synthesized"]
        seen = self._seen(s, G)
        with torch.no_grad():
            true = self._seen(s, x)
        matched = [feature_matching(ours[:-1], theirs[:-1]) for ours, theirs in zip(seen, true, strict=True)]
        terms = {
            "adversarial": judged(seen, real=True, criterion="least-squares"),
            "feature_matching": self.lambda_fm * torch.stack(matched).sum(),
        }
        if self.perceptual != "none":
            terms["perceptual"] = self.lambda_perceptual * features.layered(self._features.at(x), G, x)
        return terms

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The discriminators' part of it as their minimization, halved."""
        s, x, G = batch.of(self.source), batch.of(self.target), faces["synthesized"].detach()
        return {
            "real": judged(self._seen(s, x), real=True, criterion="least-squares") / 2,
            "synthesized": judged(self._seen(s, G), real=False, criterion="least-squares") / 2,
        }

    def _seen(self, s: Tensor, x: Tensor) -> list[list[Tensor]]:
        """D_k^(i)(s, x) for every discriminator k and layer i."""
        seen: list[list[Tensor]] = self.discriminators(torch.cat([s, x], dim=1))
        return seen
