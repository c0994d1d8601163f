"""ISEGAN: sketch to photo in two stages, with a parsing between sketch and photo.

Li, Zheng, Liu: Face Photo Synthesis via Intermediate Semantic Enhancement Generative Adversarial Network, 2022.

Stage I (DIP-GAN) makes a first photo and the intermediate parsing P_int, nearer to the photo's parsing than the
sketch's is; stage II (SE-GAN) draws the photo again from both parsings, the sketch and the first photo. What the paper
leaves open or contradicts:

- Equations 3 and 5 use plain L2 norms, which grow with the image. Those of equation 3 are divided by the root of the
  number of pixels, and equation 5 takes the mean square of each layer, as in CA-GAN, the base; their weights then hold
  at any size. Conv1-1 and its kin are taken before the ReLU, which the base has after it.
- Equation 4 divides by the area of a component that is itself learned: a larger one would lower the loss. P_int gives
  no gradient there. CA-GAN's code does not divide by the area (``composition="code"``).
- The components are those of `composition`: a parsing sums to 1 as the softmax of P_int does.
- Whether both encoders of G₁ have skips is not said; they have, as in the base (``joined=False`` is the other).
- Whether stage II moves G₁ is not said: each generator moves on its own objective (equations 6 and 7), and what G₁
  gives to stage II is taken as it is.
- Equation 4 is a mean over the colours, not their sum. Edges are replicated around a crop, where the base has zeros.
- Photos are in [-1, 1]; the base's batch normalization always sees one image, so it is instance normalization here.
"""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from forensic.faces import priors
from forensic.synthesis.composition import COMPONENTS, Composed, Composition, compositional
from forensic.synthesis.losses import Bounded, adversarial, discriminating, distance
from forensic.synthesis.networks import PatchDiscriminator, TwinUNet
from forensic.synthesis.registry import method
from forensic.synthesis.translator import (
    Batch,
    Faces,
    Modality,
    Player,
    Recipe,
    resized,
)


@method("isegan")
class ISEGAN(Composed):
    """Intermediate semantic enhancement GAN.

    The switches ``L_per``, ``L_cmp``, ``L_PM``, ``enhanced`` and ``stage`` are the rows of the paper's Table 2
    (``rows``).

    Args:
        source: Modality of the input.
        target: Modality of the output.
        size: Pixels a side inside the networks; ``translate`` resizes to it and back.
        width: Channels of the first levels of all networks.
        depth: Levels of the generators; as many as halve ``size`` to 1 where None, as in the paper.
        patches: Pixels a side of the patches that D₁ and D_par see, and D₂.
        L_per: Whether the perceptual loss counts.
        L_cmp: Whether the compositional loss counts.
        L_PM: Whether the parsing matching loss counts.
        enhanced: Whether stage II takes P_int beside the sketch's parsing, and not the latter twice.
        stage: Whose photo ``translate`` gives, 1 or 2.
        perceptual: Network of the perceptual loss, or ``"none"``.
        alpha: Share of the photo in the adversarial loss of stage I, the paper's α.
        beta: Share of the whole in the parsing matching loss, β.
        delta: Share of the whole in the compositional loss, δ.
        lambda_cmp: Weight of the compositional loss, λ.
        gamma: Weight of the perceptual loss, γ.
        mu: Weight of the parsing matching loss, μ.
        criterion: Adversarial loss: the paper's logarithms, or the base's least squares.
        composition: Whether a component's difference is divided by its area (equation 4) or not (the base's code).
        joined: Whether the parsing encoder of G₁ has skips.
        parsing: Network of the parsings.
        discriminator_rate: The discriminators' learning rate in units of the generators'.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Li et al., Face Photo Synthesis via Intermediate Semantic Enhancement GAN, 2022"
    critics = ("D1", "D_par", "D2")
    recipe = Recipe(  # section 3.1; shifts as in CA-GAN, whose strategy the paper follows
        epochs=700, flat=1.0, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=False, shift=15, tone=0.0
    )
    rows: ClassVar[dict[str, dict[str, object]]] = {
        "Base": {"L_per": False, "L_cmp": False, "L_PM": False, "enhanced": False},
        "Base + L_per": {"L_cmp": False, "L_PM": False, "enhanced": False},
        "Base + L_per + L_cmp": {"L_PM": False, "enhanced": False},
        "Base + L_per + L_cmp + L_PM": {"enhanced": False},
        "full model (stage-I output)": {"stage": 1},
        "full model (stage-II output)": {},
    }

    def __init__(
        self,
        *,
        source: Modality = "sketch",
        target: Modality = "photo",
        size: int = 256,
        width: int = 64,
        depth: int | None = None,
        patches: tuple[int, int] = (70, 16),
        L_per: bool = True,
        L_cmp: bool = True,
        L_PM: bool = True,
        enhanced: bool = True,
        stage: Literal[1, 2] = 2,
        perceptual: str = "vgg19",
        alpha: float = 0.3,
        beta: float = 0.3,
        delta: float = 0.7,
        lambda_cmp: float = 10.0,
        gamma: float = 5.0,
        mu: float = 10.0,
        criterion: Bounded = "log",
        composition: Composition = "area",
        joined: bool = True,
        parsing: str = priors.OWN,
        discriminator_rate: float = 1.0,
    ) -> None:
        super().__init__(source, target, size, depth, parsing, perceptual)
        self.width = width
        self.patches = (patches[0], patches[1])
        self.L_per = L_per and self.L_per
        self.L_cmp, self.L_PM, self.enhanced, self.stage = L_cmp, L_PM, enhanced, stage
        self.discriminator_rate = discriminator_rate
        self.alpha, self.beta, self.delta = alpha, beta, delta
        self.lambda_cmp, self.gamma, self.mu = lambda_cmp, gamma, mu
        self.criterion, self.composition, self.joined = criterion, composition, joined
        c = len(COMPONENTS)
        self.G1 = TwinUNet(inputs=(3, c), outputs=(c, 3), width=width, depth=self.depth, joined=joined)
        self.G2 = TwinUNet(inputs=(6, 2 * c), outputs=(3,), width=width, depth=self.depth)
        self.D1 = PatchDiscriminator(inputs=6 + c, width=width, patch=patches[0])
        self.D_par = PatchDiscriminator(inputs=c, width=width, patch=patches[0])
        self.D2 = PatchDiscriminator(inputs=6 + c, width=width, patch=patches[1])

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        X = resized(images, self.size)
        made = self._made(X, self._parse(X))
        return resized(made["first" if self.stage == 1 else "synthesized"], images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """Both stages, with the parsings of sketch and photo."""
        X, Y = batch.of(self.source), batch.of(self.target)
        P_s, P_p = self._parse(X), self._parse(Y)
        return {**self._made(X, P_s), "P_s": P_s, "P_p": P_p}

    def players(self) -> dict[str, Player]:
        """The order of section 3.1: D₁ and D_par, D₂, G₁, G₂."""
        return {
            "D1": Player(self.D1, self.D1_loss, rate=self.discriminator_rate),
            "D_par": Player(self.D_par, self.D_par_loss, rate=self.discriminator_rate),
            "D2": Player(self.D2, self.D2_loss, rate=self.discriminator_rate),
            "G1": Player(self.G1, self.G1_loss),
            "G2": Player(self.G2, self.G2_loss),
        }

    def D1_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The photo's part of equation 1, halved as in the base."""
        return self._judged(self.D1, batch, faces, "first", self.alpha)

    def D2_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 2, halved as in the base."""
        return self._judged(self.D2, batch, faces, "synthesized", 1.0)

    def D_par_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The parsing's part of equation 1, halved as in the base."""
        P_p, P_int = faces["P_p"], faces["P_int"].detach()
        return discriminating(self.D_par(P_p), self.D_par(P_int), weight=1 - self.alpha, criterion=self.criterion)

    def G1_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 6."""
        X, Y, Y1 = batch.of(self.source), batch.of(self.target), faces["first"]
        P_int, P_p = faces["P_int"], faces["P_p"]
        face = adversarial(self.D1(torch.cat([X, faces["P_s"], Y1], dim=1)), real=True, criterion=self.criterion)
        parsing = adversarial(self.D_par(P_int), real=True, criterion=self.criterion)
        terms = {"adversarial": self.alpha * face + (1 - self.alpha) * parsing}  # equation 1
        terms |= self._likeness(Y1, Y, P_int)
        if self.L_PM:
            terms["parsing_matching"] = self.mu * parsing_matching(P_p, P_int, beta=self.beta)
        return terms

    def G2_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 7."""
        X, Y, Y2 = batch.of(self.source), batch.of(self.target), faces["synthesized"]
        score = self.D2(torch.cat([X, faces["P_s"], Y2], dim=1))
        terms = {"adversarial": adversarial(score, real=True, criterion=self.criterion)}  # equation 2
        return terms | self._likeness(Y2, Y, faces["P_int"])

    def _likeness(self, photo: Tensor, Y: Tensor, P_int: Tensor) -> dict[str, Tensor]:
        """The terms that both generators have."""
        terms = {}
        if self.L_cmp:
            terms["compositional"] = self.lambda_cmp * compositional(  # equation 4
                photo, Y, P_int.detach(), share=self.delta, composition=self.composition
            )
        if self.L_per:
            terms["perceptual"] = self.gamma * self._perceptual(photo, Y)  # equation 5
        return terms

    def _judged(self, D: PatchDiscriminator, batch: Batch, faces: Faces, name: str, weight: float) -> dict[str, Tensor]:
        X, Y, P_s = batch.of(self.source), batch.of(self.target), faces["P_s"]
        real, synthesized = D(torch.cat([X, P_s, Y], dim=1)), D(torch.cat([X, P_s, faces[name].detach()], dim=1))
        return discriminating(real, synthesized, weight=weight, criterion=self.criterion)

    def _made(self, X: Tensor, P_s: Tensor) -> Faces:
        """Stage I, and stage II on what stage I gives."""
        parsing, first = self.G1(X, P_s)
        P_int, Y1 = parsing.softmax(dim=1), first.tanh()
        enhanced = torch.cat([P_s, P_int.detach() if self.enhanced else P_s], dim=1)
        (second,) = self.G2(torch.cat([X, Y1.detach()], dim=1), enhanced)
        return {"first": Y1, "P_int": P_int, "synthesized": second.tanh()}


def parsing_matching(P_p: Tensor, P_int: Tensor, *, beta: float = 0.3) -> Tensor:
    """The parsing matching loss (equation 3) of parsings (n, 8, h, w), norms over the root of h w; the faces' mean."""
    c_ = P_p.shape[1]
    whole = math.sqrt(c_) * distance(P_p, P_int)
    channels = sum(distance(P_p[:, c], P_int[:, c]) for c in range(c_))
    return beta * whole + (1 - beta) * channels
