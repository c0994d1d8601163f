"""MDAL: faces are interpreted by reconstructing them, and what comes up on the way bridges photos and sketches.

Zhang, Ji, Hu, Lu, Li: Face Sketch Synthesis by Multidomain Adversarial Learning, IEEE Transactions on Neural Networks
and Learning Systems 2019.

Photos and sketches are each reconstructed by a generator of two parts against a discriminator; what the first part
gives is the latent variable. A third discriminator makes the latent variables of photos indistinguishable from those
of sketches; then the latent variable of a photo, put into the sketches' second part, gives its sketch. Settings are
those of the authors' code:

- The first parts are ResNets of six blocks, the second U-Nets; λ is 100, the logarithms are not halved.
- Beside the reconstructions, the code also judges and compares what comes out of the other domain's latent variables.
  ``cross=False`` has reconstructions and the bridge alone, as the abstract says.
- The sketches' latent variables are the real ones: only the photos' first part moves for the bridge.
- The code steps its seven networks one after another, and some twice. Here the discriminators take one step, then all
  generators one on the sum of their terms.
- The dropout of the code's residual blocks is left out. That of the U-Nets is on in training alone, as in pix2pix.
- Xavier's initialization becomes that of pix2pix; batch normalization with batches of one, instance normalization.
"""

import math

from torch import Tensor, nn

from forensic.errors import UsageError
from forensic.synthesis.latent import MODALITIES, Bridged
from forensic.synthesis.losses import adversarial, l1
from forensic.synthesis.networks import PatchDiscriminator, ResNet, UNet
from forensic.synthesis.registry import method
from forensic.synthesis.translator import DIRECTIONS, Batch, Faces, Modality, Recipe


@method("mdal")
class MDAL(Bridged):
    """Multidomain adversarial learning.

    Args:
        source: Modality of what ``translate`` takes.
        target: Modality of what ``translate`` gives.
        size: Pixels a side inside the networks; ``translate`` resizes to it and back.
        width: Channels of the first layers of all networks.
        blocks: Residual blocks of the generators' first parts.
        depth: Levels of their second parts; as many as halve ``size`` to 1 where None, as in the code.
        patch: Pixels a side of the patches that the discriminators see; the code's 70 at 256 is 34 at 128.
        cross: Whether what comes out of the other domain's latent variables is judged and compared too.
        lambda_l1: Weight of the difference from the true face, λ.
        lambda_latent: Weight of the difference between the latent variables of a pair, λ again in the code.
        dropout: Rate in the first three levels of full width of the second parts.
        discriminator_rate: The discriminators' learning rate in units of the generators'.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Zhang et al., Face Sketch Synthesis by Multidomain Adversarial Learning, TNNLS 2019"
    recipe = Recipe(
        epochs=200, flat=1.0, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=False, shift=0, tone=0.0
    )

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        blocks: int = 6,
        depth: int | None = None,
        patch: int = 70,
        cross: bool = True,
        lambda_l1: float = 100.0,
        lambda_latent: float = 100.0,
        dropout: float = 0.5,
        discriminator_rate: float = 1.0,
    ) -> None:
        levels = int(math.log2(size)) if depth is None else depth
        if size < 32 or size % 2 ** max(levels, 2) or blocks < 1:
            raise UsageError(
                f"mdal: size is {size} and blocks {blocks}; expected a size of 32 or more, divisible by 4 and by"
                f" 2 ** {levels}, and 1 block or more."
            )
        super().__init__(
            source,
            target,
            size,
            lambda: ResNet(width=width, blocks=blocks),
            lambda: UNet(width=width, depth=levels, dropout=dropout),
        )
        self.width, self.blocks, self.depth, self.patch, self.cross = width, blocks, levels, patch, cross
        self.lambda_l1, self.lambda_latent, self.dropout = lambda_l1, lambda_latent, dropout
        self.discriminator_rate = discriminator_rate
        self.discriminators = nn.ModuleDict(
            {domain: PatchDiscriminator(inputs=3, width=width, patch=patch) for domain in (*MODALITIES, "latent")}
        )

    def forward(self, batch: Batch) -> Faces:
        """The latent variables, the reconstructions out of them, and the synthesized faces."""
        faces: Faces = {f"latent of {a}": self.latent(a, batch.of(a)) for a in MODALITIES}
        faces |= {f"{a} again": self.face(a, faces[f"latent of {a}"]) for a in MODALITIES}
        asked = DIRECTIONS if self.cross else [(self.source, self.target)]
        faces |= {b: self.face(b, faces[f"latent of {a}"]) for a, b in asked}
        return faces | {"synthesized": faces[self.target]}

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """True against made faces in either domain, and sketches' against photos' latent variables."""
        terms: dict[str, Tensor] = {}
        for b in MODALITIES:
            D = self.discriminators[b]
            terms[f"real {b}"] = adversarial(D(batch.of(b)), real=True)
            made = [adversarial(D(face.detach()), real=False) for face in self._made(b, faces)]
            terms[f"synthesized {b}"] = sum(made, start=batch.photo.new_zeros(()))
        D = self.discriminators["latent"]
        terms["sketches' latent"] = adversarial(D(faces["latent of sketch"].detach()), real=True)
        terms["photos' latent"] = adversarial(D(faces["latent of photo"].detach()), real=False)
        return terms

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Reconstruction in either domain, and the bridge between them."""
        terms: dict[str, Tensor] = {}
        for b in MODALITIES:
            for name, face in zip(("again", "across"), self._made(b, faces), strict=False):
                terms[f"adversarial {b} {name}"] = adversarial(self.discriminators[b](face), real=True)
                terms[f"l1 {b} {name}"] = self.lambda_l1 * l1(face, batch.of(b))
        photos, sketches = faces["latent of photo"], faces["latent of sketch"].detach()
        terms["adversarial latent"] = adversarial(self.discriminators["latent"](photos), real=True)
        terms["l1 latent"] = self.lambda_latent * l1(photos, sketches)
        return terms

    def _made(self, b: Modality, faces: Faces) -> list[Tensor]:
        """Faces of a domain that are judged and compared: reconstructed, and synthesized."""
        return [faces[f"{b} again"], *([faces[b]] if self.cross else [])]
