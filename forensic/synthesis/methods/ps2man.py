"""PS²-MAN: photo and sketch, either way, with adversaries at three resolutions inside each generator.

Wang, Sindagi, Patel: High-Quality Facial Photo-Sketch Synthesis Using Multi-Adversarial Networks, FG 2018.

Each generator gives an image after its residual blocks, after the first up-sampling and at its end (64, 128 and 256
pixels); each has its own discriminator, a synthesis loss against the true image of that size, and a cycle through the
other generator. One model holds both generators and goes either way: ``source`` and ``target`` say only which way
``translate`` goes. Where the paper's text was not at hand, the facts are those of the authors' code:

- Nine residual blocks; the smaller images are read by 3 x 3 convolutions and tanh. Discriminators see the source beside
  the image, both at its size, by patches of 16 pixels; least squares. Adversarial, cycle and synthesis losses weigh 1,
  0.7 and 10; 400 epochs, the first 100 at the full rate: so the code's options say, which then keeps the rate.
- The code scores detached images, by the other direction's discriminators, so that no adversarial gradient reaches a
  generator. Here it does, as the name of the method has it.
- The code's history of 50 synthesized images is left out: discriminators see the newest.
- Smaller true images are resized bilinearly with a filter, not bicubically; instance norms are affine throughout, and
  stand in the discriminators too.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.synthesis.losses import adversarial, discriminating, l1
from forensic.synthesis.networks import PatchDiscriminator, ResNet, normal_init
from forensic.synthesis.registry import method
from forensic.synthesis.translator import (
    DIRECTIONS,
    Adversarial,
    Batch,
    Faces,
    Modality,
    Player,
    Recipe,
    check_directions,
    resized,
)

SIDES = (4, 2, 1)
"""How many pixels of the largest image one pixel of each image stands for, in the generator's order."""


@method("ps2man")
class PS2MAN(Adversarial):
    """Photo-sketch synthesis by multi-adversarial networks.

    Args:
        source: Modality of what ``translate`` takes.
        target: Modality of what ``translate`` gives.
        size: Pixels a side of the largest images, divisible by 4; ``translate`` resizes to it and back.
        width: Channels of the first layers of all networks.
        blocks: Residual blocks of a generator.
        patch: Pixels a side of the patches that every discriminator sees, at its own size.
        lambda_syn: Weight of the synthesis losses, the code's λ.
        mu: Weight of the cycle losses, μ; that of the adversarial losses is 1.
        discriminator_rate: The discriminators' learning rate in units of the generators'.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Wang et al., High-Quality Facial Photo-Sketch Synthesis Using Multi-Adversarial Networks, FG 2018"
    two_way = True
    critics = ("discriminators",)
    recipe = Recipe(
        epochs=400, flat=0.25, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=True, shift=0, tone=0.0
    )

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        blocks: int = 9,
        patch: int = 16,
        lambda_syn: float = 10.0,
        mu: float = 0.7,
        discriminator_rate: float = 1.0,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        if size < 32 or size % 4:
            raise UsageError(f"ps2man: size {size} is not 32 or more and divisible by 4.")
        self.source, self.target, self.size, self.width, self.blocks = source, target, size, width, blocks
        self.patch, self.lambda_syn, self.mu = patch, lambda_syn, mu
        self.discriminator_rate = discriminator_rate
        self.generators = nn.ModuleDict({f"{a}_to_{b}": Generator(width, blocks) for a, b in DIRECTIONS})
        self.discriminators = nn.ModuleDict(
            {f"{b}_{side}": PatchDiscriminator(width=width, patch=patch) for _, b in DIRECTIONS for side in SIDES}
        )

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        generator = self.generators[f"{self.source}_to_{self.target}"]
        return resized(generator(resized(images, self.size))[-1], images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """Of each direction, the three images made, and the three that come back from the largest.

        A smaller image is enlarged by repetition, so that all have one size; ``_made`` takes it back.
        """
        faces: Faces = {}
        for a, b in DIRECTIONS:
            there = self.generators[f"{a}_to_{b}"](batch.of(a))
            again = self.generators[f"{b}_to_{a}"](there[-1])
            for side, image, back in zip(SIDES, there, again, strict=True):
                faces[f"{b} {side}"] = F.interpolate(image, scale_factor=side, mode="nearest")
                faces[f"{a} again {side}"] = F.interpolate(back, scale_factor=side, mode="nearest")
        return faces | {"synthesized": faces[f"{self.target} 1"]}

    def players(self) -> dict[str, Player]:
        """All discriminators, then both generators, as in the authors' code."""
        return {
            "discriminators": Player(self.discriminators, self.discriminator_loss, rate=self.discriminator_rate),
            "generators": Player(self.generators, self.generator_loss),
        }

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Least squares of every discriminator, halved, summed over directions and sizes."""
        terms = {"real": batch.photo.new_zeros(()), "synthesized": batch.photo.new_zeros(())}
        for a, b in DIRECTIONS:
            for side in SIDES:
                y = resized(batch.of(b), self.size // side)
                real, made = (self._scores(batch, a, b, side, image) for image in (y, _made(faces, b, side).detach()))
                for name, term in discriminating(real, made, criterion="least-squares").items():
                    terms[name] += term
        return terms

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The adversarial, the synthesis and the cycle losses, each summed over directions and sizes."""
        terms = {name: batch.photo.new_zeros(()) for name in ("adversarial", "synthesis", "cycle")}
        for a, b in DIRECTIONS:
            for side in SIDES:
                x, y = (resized(batch.of(modality), self.size // side) for modality in (a, b))
                made, again = _made(faces, b, side), _made(faces, f"{a} again", side)
                scores = self._scores(batch, a, b, side, made)
                terms["adversarial"] += adversarial(scores, real=True, criterion="least-squares")
                terms["synthesis"] += self.lambda_syn * l1(made, y)
                terms["cycle"] += self.mu * l1(again, x)
        return terms

    def _scores(self, batch: Batch, a: Modality, b: Modality, side: int, images: Tensor) -> Tensor:
        """What the discriminator of a size says to images of b, beside their source."""
        seen = torch.cat([resized(batch.of(a), self.size // side), images], dim=1)
        scores: Tensor = self.discriminators[f"{b}_{side}"](seen)
        return scores


def _made(faces: Faces, name: str, side: int) -> Tensor:
    """An image at its own size."""
    return faces[f"{name} {side}"][..., ::side, ::side]


class Generator(ResNet):
    """CycleGAN's generator, whose hidden layers give images too.

    Args:
        width: Channels of the first layer.
        blocks: Residual blocks.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__(width=width, blocks=blocks)
        self.heads = nn.ModuleList(nn.Conv2d(side * width, 3, 3, padding=1) for side in SIDES[:-1])
        normal_init(self.heads)

    def forward(self, images: Tensor) -> list[Tensor]:  # type: ignore[override]
        """Images (n, 3, h, w) to those of h / 4, h / 2 and h, each in [-1, 1]."""
        features = self.stages(images)[-len(SIDES) - 1 :]
        smaller = [head(level).tanh() for head, level in zip(self.heads, features, strict=False)]
        return [*smaller, features[-1]]
