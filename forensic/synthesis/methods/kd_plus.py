"""KD+: knowledge distillation for two students, and a discriminator for each.

Zhu, Li, Wang, Gao: Knowledge Distillation for Face Photo-Sketch Synthesis, IEEE Transactions on Neural Networks and
Learning Systems 33, 2022 (online 2020).

KD is KT's successor: one teacher, trained on a large amount of data in a related task, sees photos and sketches apart
from each other, and two students take over both kinds of knowledge and pass theirs on mutually. KD+ sets GANs on top,
so that textures look real. One model goes either way, as KT's.

The paper's text was not at hand, its abstract was: the parts above are the paper's, the rest is as in ``kt.py``, and

- the discriminators are pix2pix's: 70 x 70 patches of source and target together, with logarithms;
- the adversarial weight is 1 beside a reconstruction of 100, as pix2pix has it;
- VGG-19 is the teacher as far as its weights are brought in: ``perceptual`` takes any of the toolkit's perceptual
  features instead, as the compact recipe does.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from forensic.synthesis.distillation import Students
from forensic.synthesis.losses import adversarial, discriminating
from forensic.synthesis.networks import PatchDiscriminator
from forensic.synthesis.registry import method
from forensic.synthesis.translator import DIRECTIONS, Batch, Faces, Modality, Player, Recipe


@method("kd-plus")
class KDPlus(Students):
    """Knowledge distillation with adversaries.

    The switch ``GAN`` is what the paper's KD and KD+ differ by (``rows``).

    Args:
        source: Modality of what ``translate`` takes.
        target: Modality of what ``translate`` gives.
        size: Pixels a side inside the networks, divisible by 4; ``translate`` resizes to it and back.
        width: Channels of a student's first layer; a discriminator's has twice as many.
        blocks: Residual blocks of a student.
        patch: Pixels a side of the patches that a discriminator sees; 70 at 256 is 34 at 128.
        GAN: Whether discriminators play.
        perceptual: Network of the teacher.
        lambda_rec: Weight of the reconstruction.
        lambda_teacher: Weight of what the teacher knows.
        lambda_mutual: Weight of what the students learn from each other.
        discriminator_rate: The discriminators' learning rate in units of the students'.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Zhu et al., Knowledge Distillation for Face Photo-Sketch Synthesis, TNNLS 2020"
    critics = ("regressors", "discriminators")
    recipe = Recipe(
        epochs=200, flat=0.5, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=True, shift=15, tone=0.0
    )
    rows: ClassVar[dict[str, dict[str, object]]] = {"KD": {"GAN": False}}

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 32,
        blocks: int = 6,
        patch: int = 70,
        GAN: bool = True,
        perceptual: str = "vgg19",
        lambda_rec: float = 100.0,
        lambda_teacher: float = 10.0,
        lambda_mutual: float = 1.0,
        discriminator_rate: float = 1.0,
    ) -> None:
        teachers: dict[Modality, str] = {"photo": perceptual, "sketch": perceptual}
        super().__init__(source=source, target=target, size=size, width=width, blocks=blocks, teachers=teachers)
        self.patch, self.GAN, self.perceptual = patch, GAN, perceptual
        self.lambda_rec, self.lambda_teacher, self.lambda_mutual = lambda_rec, lambda_teacher, lambda_mutual
        self.discriminator_rate = discriminator_rate
        self.discriminators = nn.ModuleDict(
            {b: PatchDiscriminator(width=2 * width, patch=patch) for _, b in DIRECTIONS if GAN}
        )

    def players(self) -> dict[str, Player]:
        """Both discriminators, where there are some, then both students."""
        if not self.GAN:
            return super().players()
        critics = Player(self.discriminators, self.discriminator_loss, rate=self.discriminator_rate)
        return {"discriminators": critics, **super().players()}

    def student_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """KD's objective, and the adversaries' part of KD+."""
        terms = {
            "reconstruction": self.lambda_rec * self.reconstruction(batch, faces),
            "teacher": self.lambda_teacher * self.taught(batch, faces),
            "mutual": self.lambda_mutual * self.mutual(faces),
        }
        if self.GAN:
            scores = [self._scores(batch, a, b, faces[b]) for a, b in DIRECTIONS]
            terms["adversarial"] = torch.stack([adversarial(given, real=True) for given in scores]).sum()
        return terms

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Each discriminator's minimization, halved as in pix2pix."""
        terms: dict[str, Tensor] = {}
        for a, b in DIRECTIONS:
            real, made = (self._scores(batch, a, b, images) for images in (batch.of(b), faces[b].detach()))
            terms |= {f"{name} {b}": term for name, term in discriminating(real, made).items()}
        return terms

    def _scores(self, batch: Batch, a: Modality, b: Modality, images: Tensor) -> Tensor:
        scores: Tensor = self.discriminators[b](torch.cat([batch.of(a), images], dim=1))
        return scores
