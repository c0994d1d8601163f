"""DualGAN: two translations that undo each other, against Wasserstein critics.

Yi, Zhang, Tan, Gong: DualGAN: Unsupervised Dual Learning for Image-to-Image Translation, ICCV 2017.

The paper's U are photos here and its V sketches; G_A goes from U to V and D_A judges V. Where the paper leaves room:

- Its noise z and z' is dropout at training and at test; here in training alone, as in pix2pix.
- λ_U and λ_V are "within [100, 1000]": 500. n_critic is 2 to 4: 2, and all of an iteration's steps see one batch. c is
  0.01 to 0.1: 0.01. With compact networks, whose critics say less, c has to be larger.
- RMSProp is Adam without its momentum: β₁ = 0, β₂ = RMSProp's decay of 0.9. Adam alone corrects the mean of squares
  for having started at 0, in the first steps. The learning rate and the epochs are those of the authors' code.
- Batches of one are normalized by their own statistics, as in pix2pix.
"""

import torch
from torch import Tensor, nn

from forensic.errors import UsageError
from forensic.synthesis.cyclic import Cyclic
from forensic.synthesis.losses import adversarial, l1, sum_of
from forensic.synthesis.networks import PatchDiscriminator, UNet
from forensic.synthesis.registry import method
from forensic.synthesis.translator import (
    DIRECTIONS,
    Batch,
    Faces,
    Modality,
    Player,
    Recipe,
    check_directions,
    levels_of,
)


@method("dualgan")
class DualGAN(Cyclic):
    """Dual learning with U-Nets and Wasserstein critics.

    Args:
        source: Modality of what ``translate`` takes.
        target: Modality of what ``translate`` gives.
        size: Pixels a side inside the networks, a power of two; ``translate`` resizes to it and back.
        width: Channels of the first layers of all networks.
        depth: Levels of the U-Nets; as many as halve ``size`` to 1 where None, as in the paper.
        patch: Pixels a side of the patches that the critics see; the paper's 70 at 256 is 34 at 128.
        lambda_U: Weight of the photos' reconstruction, λ_U.
        lambda_V: Weight of the sketches' reconstruction, λ_V.
        clip: Largest magnitude of the critics' parameters, c.
        critic_turns: The critics' steps for one of the generators, n_critic.
        discriminator_rate: The critics' learning rate in units of the generators'.
        dropout: Rate of the dropout that stands for the paper's noise in training.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Yi et al., DualGAN: Unsupervised Dual Learning for Image-to-Image Translation, ICCV 2017"
    critics = ("discriminators",)
    recipe = Recipe(epochs=45, flat=1.0, batch=1, learning_rate=5e-5, betas=(0.0, 0.9), flip=True, shift=15, tone=0.0)

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        depth: int | None = None,
        patch: int = 70,
        lambda_U: float = 500.0,
        lambda_V: float = 500.0,
        clip: float = 0.01,
        critic_turns: int = 2,
        discriminator_rate: float = 1.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        levels = levels_of(self.name, size, depth)
        if clip <= 0 or critic_turns < 1:
            raise UsageError(
                f"dualgan: clip {clip} and critic_turns {critic_turns}; expected one above 0, and 1 or more."
            )
        self.source, self.target = source, target
        self.size, self.width, self.depth, self.patch = size, width, depth, patch
        self.lambda_U, self.lambda_V, self.clip, self.critic_turns = lambda_U, lambda_V, clip, critic_turns
        self.discriminator_rate, self.dropout = discriminator_rate, dropout
        self.generators = nn.ModuleDict(
            {f"{a}_to_{b}": UNet(width=width, depth=levels, dropout=dropout) for a, b in DIRECTIONS}
        )
        self.discriminators = nn.ModuleDict(
            {b: PatchDiscriminator(inputs=3, width=width, patch=patch) for _, b in DIRECTIONS}
        )
        self.clip_critics()

    def players(self) -> dict[str, Player]:
        """Algorithm 1: n_critic steps of both critics, then one of both generators."""
        return {
            "discriminators": Player(
                self.discriminators,
                self.discriminator_loss,
                turns=self.critic_turns,
                rate=self.discriminator_rate,
                after=self.clip_critics,
            ),
            "generators": Player(self.generators, self.generator_loss),
        }

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equations 1 and 2: each critic's mean score of synthesized faces, less that of true ones."""
        real = [self.discriminators[b](batch.of(b)) for _, b in DIRECTIONS]
        synthesized = [self.discriminators[b](faces[b].detach()) for _, b in DIRECTIONS]
        return {
            "real": sum_of(adversarial(scores, real=True, criterion="wasserstein") for scores in real),
            "synthesized": sum_of(adversarial(scores, real=False, criterion="wasserstein") for scores in synthesized),
        }

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 3, the same for both generators."""
        U, V = (l1(faces[f"{a} again"], batch.of(a)) for a, _ in DIRECTIONS)
        scores = [self.discriminators[b](faces[b]) for _, b in DIRECTIONS]
        return {
            "adversarial": sum_of(adversarial(seen, real=True, criterion="wasserstein") for seen in scores),
            "reconstruction": self.lambda_U * U + self.lambda_V * V,
        }

    @torch.no_grad()
    def clip_critics(self) -> None:
        """Bring the critics' parameters back into [-c, c] (Algorithm 1)."""
        for parameter in self.discriminators.parameters():
            parameter.clamp_(-self.clip, self.clip)
