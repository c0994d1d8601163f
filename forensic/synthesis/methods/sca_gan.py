"""SCA-GAN: photo to sketch or sketch to photo, with the face's composition as input and in the loss, in two stages.

Yu, Xu, Gao, Shi, Wang, Tao, Huang: Toward Realistic Face Photo-Sketch Synthesis via Composition-Aided GANs, IEEE
Transactions on Cybernetics 2021.

The face X and its composition M, the eight components that a parser finds, go into two encoders and one decoder; the
loss compares component by component (CA-GAN). A second such network sees the first one's face too, and mends it (the
stack). What the paper leaves open, or what differs here:

- M comes from the toolkit's parser in place of the paper's P-Net. Glasses, ears, hats, neck and cloth belong to the
  background.
- The paper divides the difference in a component by the component's area, the authors' code by the image's
  (``composition="code"``).
- The perceptual loss with its weight 5, the share α and the patches of 16 pixels are those of the authors' code, which
  holds CA-GAN alone, and compares after the ReLU of each layer what is compared before it here.
- The paper writes logarithms, the code takes least squares (``criterion="least-squares"``).
- The players move in the order that ISEGAN states as this paper's. Each generator moves on its own objective: the
  second stage takes the first one's face as it is.
- Faces are in [-1, 1] with three channels; the batch normalization of the code always sees one image, so it is instance
  normalization here.
"""

from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from forensic.errors import UsageError
from forensic.faces import priors
from forensic.synthesis.composition import COMPONENTS, Composed, Composition, compositional
from forensic.synthesis.losses import Bounded, adversarial, discriminating
from forensic.synthesis.networks import PatchDiscriminator, TwinUNet, UNet
from forensic.synthesis.registry import method
from forensic.synthesis.translator import Batch, Faces, Modality, Player, Recipe, resized


@method("sca-gan")
class SCAGAN(Composed):
    """Stacked composition-aided GAN.

    The switches ``M``, ``alpha`` and ``stages`` are the paper's cGAN, CA-GAN and SCA-GAN (``rows``).

    Args:
        source: Modality of the input.
        target: Modality of the output.
        size: Pixels a side inside the networks; ``translate`` resizes to it and back.
        width: Channels of the first level of each encoder and discriminator.
        depth: Levels of the generators; as many as halve ``size`` to 1 where None, as in the paper.
        patch: Pixels a side of the patches that the discriminators see: 16, 34, 70 or 142.
        M: Whether the composition goes into generators and discriminators.
        stages: Networks in the stack, 1 (CA-GAN) or 2.
        alpha: Share of the whole face in the compositional loss, the paper's α; with 1 it is a plain L1 loss.
        lambda_cmp: Weight of the compositional loss, λ.
        gamma: Weight of the perceptual loss.
        perceptual: Network of the perceptual loss, or ``"none"``.
        criterion: Adversarial loss.
        composition: What a component's difference is divided by: its ``"area"``, or the image's (``"code"``).
        parsing: Network of the composition.
        discriminator_rate: The discriminators' learning rate in units of the generators'.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Yu et al., Toward Realistic Face Photo-Sketch Synthesis via Composition-Aided GANs, TCYB 2021"
    critics = ("discriminators",)
    # The authors' code; its padding to 286 pixels and crop of 256 are shifts of 15.
    recipe = Recipe(
        epochs=700, flat=1.0, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=False, shift=15, tone=0.0
    )
    rows: ClassVar[dict[str, dict[str, object]]] = {
        "cGAN": {"M": False, "stages": 1, "alpha": 1.0},
        "CA-GAN": {"stages": 1},
        "SCA-GAN": {},
    }

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        depth: int | None = None,
        patch: int = 16,
        M: bool = True,
        stages: Literal[1, 2] = 2,
        alpha: float = 0.7,
        lambda_cmp: float = 10.0,
        gamma: float = 5.0,
        perceptual: str = "vgg19",
        criterion: Bounded = "log",
        composition: Composition = "area",
        parsing: str = priors.OWN,
        discriminator_rate: float = 1.0,
    ) -> None:
        super().__init__(source, target, size, depth, parsing, perceptual)
        if not 0 <= alpha <= 1:
            raise UsageError(f"sca-gan: alpha is {alpha}, expected a share from 0 to 1.")
        self.width, self.patch = width, patch
        self.M, self.stages, self.alpha, self.lambda_cmp, self.gamma = M, stages, alpha, lambda_cmp, gamma
        self.criterion, self.composition, self.discriminator_rate = criterion, composition, discriminator_rate
        components = len(COMPONENTS) if M else 0
        self.generators = nn.ModuleList(
            TwinUNet(inputs=(seen, components), outputs=(3,), width=width, depth=self.depth)
            if M
            else UNet(inputs=seen, width=width, depth=self.depth, dropout=0.0)
            for seen in (3, 6)[:stages]
        )
        self.discriminators = nn.ModuleList(
            PatchDiscriminator(inputs=6 + components, width=width, patch=patch) for _ in range(stages)
        )

    @property
    def needs(self) -> dict[str, str]:
        """The network of the composition."""
        return super().needs if self.M else {}

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        X = resized(images, self.size)
        return resized(self._drawn(X, self._parse(X) if self.M else None)[-1], images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """Ŷ of each stage, beside M, which the losses see in any case."""
        X = batch.of(self.source)
        M = self._parse(X)
        drawn = self._drawn(X, M)
        return {f"stage {stage}": Y for stage, Y in enumerate(drawn, 1)} | {"synthesized": drawn[-1], "M": M}

    def players(self) -> dict[str, Player]:
        """All discriminators, then all generators, each a step."""
        critics = {
            f"D{stage}": Player(D, partial(self.discriminator_loss, stage=stage), rate=self.discriminator_rate)
            for stage, D in enumerate(self.discriminators, 1)
        }
        return critics | {
            f"G{stage}": Player(G, partial(self.generator_loss, stage=stage))
            for stage, G in enumerate(self.generators, 1)
        }

    def discriminator_loss(self, batch: Batch, faces: Faces, stage: int) -> dict[str, Tensor]:
        """The adversarial loss of a stage, 1 or 2, as its discriminator's minimization, halved as in the code."""
        real = self._scores(batch, faces, batch.of(self.target), stage)
        synthesized = self._scores(batch, faces, faces[f"stage {stage}"].detach(), stage)
        return discriminating(real, synthesized, criterion=self.criterion)

    def generator_loss(self, batch: Batch, faces: Faces, stage: int) -> dict[str, Tensor]:
        """The adversarial, the compositional and the perceptual loss of a stage."""
        Y, drawn = batch.of(self.target), faces[f"stage {stage}"]
        scores = self._scores(batch, faces, drawn, stage)
        difference = compositional(drawn, Y, faces["M"], share=self.alpha, composition=self.composition)
        terms = {
            "adversarial": adversarial(scores, real=True, criterion=self.criterion),
            "compositional": self.lambda_cmp * difference,
        }
        if self.L_per:
            terms["perceptual"] = self.gamma * self._perceptual(drawn, Y)
        return terms

    def _scores(self, batch: Batch, faces: Faces, Y: Tensor, stage: int) -> Tensor:
        known = [faces["M"]] if self.M else []
        scores: Tensor = self.discriminators[stage - 1](torch.cat([batch.of(self.source), *known, Y], dim=1))
        return scores

    def _drawn(self, X: Tensor, M: Tensor | None) -> list[Tensor]:
        """What each stage draws of X, and of what the stage before has drawn."""
        drawn: list[Tensor] = []
        for G in self.generators:
            seen = torch.cat([X, *(Y.detach() for Y in drawn)], dim=1)
            drawn.append(G(seen, M)[0].tanh() if self.M else G(seen))
        return drawn
