"""CycleGAN: two translations that undo each other, learned without pairs.

Zhu, Park, Isola, Efros: Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks, ICCV 2017.

Choices here:

- The identity loss, which the paper has for paintings, is on as in the authors' code; it keeps tones.
- The history of synthesized faces is part of the checkpoint, and its choices come from torch's generator: a resumed
  training goes on as the uninterrupted one. Until it is full, the discriminators see the newest faces.
- Generators move before discriminators, as in the authors' code.
- Instance norms learn scale and shift, as most do here; the authors' have neither.
"""

import torch
from torch import Tensor, nn

from forensic.errors import UsageError
from forensic.synthesis import shares
from forensic.synthesis.cyclic import Cyclic
from forensic.synthesis.losses import adversarial, l1, sum_of
from forensic.synthesis.networks import PatchDiscriminator, ResNet
from forensic.synthesis.registry import method
from forensic.synthesis.translator import DIRECTIONS, Batch, Faces, Modality, Player, Recipe, check_directions


@method("cyclegan")
class CycleGAN(Cyclic):
    """Cycle-consistent adversarial networks.

    Args:
        source: Modality of what ``translate`` takes.
        target: Modality of what ``translate`` gives.
        size: Pixels a side inside the networks, divisible by 4; ``translate`` resizes to it and back.
        width: Channels of the first layers of all networks.
        blocks: Residual blocks of a generator; where None, the paper's 9 from 256 pixels on, and 6 below.
        patch: Pixels a side of the patches that the discriminators see; the paper's 70 at 256 is 34 at 128.
        lambda_cycle: Weight of the cycle consistency, the paper's λ.
        identity: Weight of the identity loss in units of λ.
        pool: Synthesized faces of each modality that are kept for the discriminators; 0 keeps none.
        discriminator_rate: The discriminators' learning rate in units of the generators'.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Zhu et al., Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks, ICCV 2017"
    critics = ("discriminators", "pools")
    recipe = Recipe(  # section 4 and appendix 7.1; the jitter of the authors' code as in pix2pix
        epochs=200, flat=0.5, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=True, shift=15, tone=0.0
    )

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        blocks: int | None = None,
        patch: int = 70,
        lambda_cycle: float = 10.0,
        identity: float = 0.5,
        pool: int = 50,
        discriminator_rate: float = 1.0,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        if size < 32 or size % 4 or pool < 0:
            raise UsageError(f"cyclegan: size {size} is not 32 or more and divisible by 4, or pool {pool} is below 0.")
        self.source, self.target, self.size, self.width = source, target, size, width
        self.blocks, self.patch, self.pool = blocks or (9 if size >= 256 else 6), patch, pool
        self.lambda_cycle, self.identity, self.discriminator_rate = lambda_cycle, identity, discriminator_rate
        self.generators = nn.ModuleDict({f"{a}_to_{b}": ResNet(width=width, blocks=self.blocks) for a, b in DIRECTIONS})
        self.discriminators = nn.ModuleDict(
            {b: PatchDiscriminator(inputs=3, width=width, patch=patch) for _, b in DIRECTIONS}
        )
        self.pools = nn.ModuleDict({b: Pool(pool, size) for _, b in DIRECTIONS})

    def players(self) -> dict[str, Player]:
        """Both generators, then both discriminators."""
        return {
            "generators": Player(self.generators, self.generator_loss),
            "discriminators": Player(self.discriminators, self.discriminator_loss, rate=self.discriminator_rate),
        }

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 3, each term summed over the directions, and the identity loss of section 5.2."""
        scores = [self.discriminators[b](faces[b]) for _, b in DIRECTIONS]
        terms = {
            # Equation 1, section 4.
            "adversarial": sum_of(adversarial(seen, real=True, criterion="least-squares") for seen in scores),
            "cycle": self.lambda_cycle * self.cycle(batch, faces),  # equation 2
        }
        if self.identity:
            likeness = sum_of(l1(self._G(a, b, batch.of(b)), batch.of(b)) for a, b in DIRECTIONS)
            terms["identity"] = self.identity * self.lambda_cycle * likeness
        return terms

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 1 with least squares, halved to slow D relative to G (appendix 7.1)."""
        terms = {"real": batch.photo.new_zeros(()), "synthesized": batch.photo.new_zeros(())}
        for _, b in DIRECTIONS:
            D, remembered = self.discriminators[b], self.pools[b](faces[b].detach())
            terms["real"] += adversarial(D(batch.of(b)), real=True, criterion="least-squares") / 2
            terms["synthesized"] += adversarial(D(remembered), real=False, criterion="least-squares") / 2
        return terms


class Pool(nn.Module):
    """A history of synthesized faces (section 4, after Shrivastava et al. 2017).

    Args:
        capacity: Faces that are kept.
        size: Pixels a side of a face.
    """

    faces: Tensor
    filled: Tensor

    def __init__(self, capacity: int, size: int) -> None:
        super().__init__()
        self.register_buffer("faces", torch.zeros(capacity, 3, size, size))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def forward(self, new: Tensor) -> Tensor:
        """New faces (n, 3, size, size), each of them replaced by an earlier one, whose place it takes, half the time.

        While there is room, a new face is kept and given back.
        """
        capacity = len(self.faces)
        if not capacity:
            return new
        given = []
        for face in shares.gathered(new.to(self.faces.dtype)):  # the history of all processes is one
            filled = int(self.filled)
            if filled < capacity:
                self.faces[filled] = face
                self.filled += 1
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(capacity, ()))
                face, self.faces[place] = self.faces[place].clone(), face
            given.append(face)
        own, _ = shares.rows(len(new))
        return torch.stack(given[own.start : own.stop])
