"""SDGAN: photo to sketch, driven by what is known of the face.

Qi, Sun, Wang, Dong, Li, Shan: Face Sketch Synthesis via Semantic-Driven Generative Adversarial Network, IJCB 2021.

The photo X and its saliency map M go in; the twelve semantic masks S steer every normalization of the decoder; the
Adaptive Re-weighting loss compares sketches class by class. What the paper leaves open or contradicts:

- Equation 2 as printed also adds μ² for every pixel outside of a class; the variance inside the class is meant, and
  taken here (``variance="printed"`` is the other).
- Equation 3 with a constant μ or ν would give every class the same cosine. μ(c) and ν(c) are laid out inside the masks
  of their classes, and the product with F is kept as a map: its class c says how much the class weighs in the whole
  sketch (``affinity="cosine"`` takes one cosine a class instead, in which μ and ν cancel: C₁ and C₂ are then one).
- Equations 6 and 7 are written as sums; they are means here (equation 6 over the pixels of each class, then over the
  classes, so that each counts alike), so that their weights hold at any size.
- The text says batch normalization in the SI modules, the settings say instance normalization; with batches of one
  these are the same in training, and only the latter is the same afterwards.
- The masks of the target sketch are the photo's: the pairs are aligned. Seven levels at 256 x 256 leave 2 x 2. Each SI
  ResBlock stands before its upsampling (SPADE's after it), so that a convolution alone works at the full size.
- The paper's Backbone has pix2pix's own figures; here it is this decoder, plainly normalized, without dropout. On CUFSF
  the paper leaves M out. Edges are replicated around a crop, where the padding that it refers to has zeros.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.faces import priors
from forensic.synthesis import perceptual as features
from forensic.synthesis.aids import Aid
from forensic.synthesis.blocks import SPADE
from forensic.synthesis.losses import Affinity, Variance, adversarial, discriminating, l1, reweighting
from forensic.synthesis.networks import PatchDiscriminator, encoder, every_level, normal_init
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

CLASSES = {
    "eyes": ("left eye", "right eye"),
    "brows": ("left brow", "right brow"),
    "ears": ("left ear", "right ear", "earring"),
    "glasses": ("glasses",),
    "lips": ("upper lip", "lower lip"),
    "inner mouth": ("inner mouth",),
    "hair": ("hair", "hat"),
    "nose": ("nose",),
    "skin": ("skin",),
    "neck": ("neck", "necklace"),
    "cloth": ("cloth",),
    "background": ("background",),
}
"""The paper's twelve classes. It does not place hats, earrings and necklaces; they go where they are worn."""


@method("sdgan")
class SDGAN(Adversarial):
    """Semantic-driven GAN.

    The switches ``M``, ``S``, ``AR``, ``perceptual`` and ``BCE`` are the rows of the paper's Table 2 (``rows``).

    Args:
        source: Modality of the input.
        target: Modality of the output.
        size: Pixels a side inside the networks; ``translate`` resizes to it and back.
        width: Channels of the first level of encoder and discriminator.
        depth: Levels; as many as halve ``size`` to 2 where None, as in the paper.
        hidden: Channels inside an SI module; twice the width where None (SPADE's 128).
        patch: Pixels a side of the patches that the discriminator sees; the paper's 70 at 256 is 34 at 128.
        M: Whether the saliency map goes in beside the photo.
        S: Whether the semantic masks steer the decoder.
        AR: Whether the Adaptive Re-weighting loss counts.
        perceptual: Network of the perceptual loss, or ``"none"``.
        BCE: Whether the parsing of the sketches is compared.
        alpha: Weight of the content loss, the paper's α.
        lambda_ar: Weight of the Adaptive Re-weighting loss, λ.
        delta: Weight of the perceptual loss, δ.
        eta: Weight of the parsing loss, η.
        variance: Reading of equation 2.
        affinity: Reading of equation 3.
        parsing: Network of the semantic masks.
        saliency: Network of the saliency map.
        discriminator_rate: The discriminator's learning rate in units of the generator's.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Qi et al., Face Sketch Synthesis via Semantic-Driven Generative Adversarial Network, IJCB 2021"
    critics = ("discriminator",)
    # Section 4.1; CA-GAN, whose padding the paper takes over, shifts by 15 pixels and does not mirror.
    recipe = Recipe(
        epochs=200, flat=0.5, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=False, shift=15, tone=0.0
    )
    rows: ClassVar[dict[str, dict[str, object]]] = {
        "Backbone": {"M": False, "S": False, "AR": False, "perceptual": "none", "BCE": False},
        "M": {"S": False, "AR": False, "perceptual": "none", "BCE": False},
        "M + S": {"AR": False, "perceptual": "none", "BCE": False},
        "M + S + AR": {"perceptual": "none", "BCE": False},
        "M + S + AR + perceptual": {"BCE": False},
        "M + S + AR + perceptual + BCE": {},
    }

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        depth: int | None = None,
        hidden: int | None = None,
        patch: int = 70,
        M: bool = True,
        S: bool = True,
        AR: bool = True,
        perceptual: str = "vgg19",
        BCE: bool = True,
        alpha: float = 100.0,
        lambda_ar: float = 100.0,
        delta: float = 1.0,
        eta: float = 10.0,
        variance: Variance = "within",
        affinity: Affinity = "map",
        parsing: str = priors.OWN,
        saliency: str = priors.OWN,
        discriminator_rate: float = 1.0,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        levels = int(math.log2(size)) - 1 if depth is None else depth
        if size % 32 or size % 2**levels:
            raise UsageError(f"sdgan: size {size} is not divisible by 32 (for the priors) and by 2 ** {levels}.")
        self.source, self.target, self.size, self.width = source, target, size, width
        self.depth, self.hidden, self.patch = levels, hidden or 2 * width, patch
        self.M, self.S, self.AR, self.perceptual, self.BCE = M, S, AR, perceptual, BCE
        self.alpha, self.lambda_ar, self.delta, self.eta = alpha, lambda_ar, delta, eta
        self.variance, self.affinity = variance, affinity
        self.parsing, self.saliency, self.discriminator_rate = parsing, saliency, discriminator_rate
        self.generator = Generator(3 + M, width, levels, classes=len(CLASSES) if S else 0, hidden=self.hidden)
        self.discriminator = PatchDiscriminator(inputs=6 + M, width=width, patch=patch)
        chosen: dict[priors.Kind, str] = {"parsing": parsing} if S else {}
        self._conditions = Aid(lambda: priors.Priors(chosen | ({"saliency": saliency} if M else {})))
        self._parser = Aid(lambda: priors.Priors({"parsing": parsing}))  # of the losses
        self._features = Aid(lambda: features.load(perceptual))

    @property
    def needs(self) -> dict[str, str]:
        """The networks of M and S."""
        masks = {"parsing": priors.digest("parsing", self.parsing)} if self.S else {}
        return masks | ({"saliency": priors.digest("saliency", self.saliency)} if self.M else {})

    @property
    def consults(self) -> dict[str, str]:
        """The networks of the masks in the losses and of the perceptual loss."""
        chosen = {"parsing": self._parser.ready().digests["parsing"]} if self.AR or self.BCE else {}
        if self.M or self.S:
            self._conditions.ready()
        if self.perceptual != "none":
            chosen["perceptual"] = self._features.ready().digest
        return chosen

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        X = resized(images, self.size)
        return resized(self._synthesized(X, self._known(X)), images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """G(X, M), steered by S."""
        X = batch.of(self.source)
        known = self._known(X)
        if self.AR and "masks" not in known:
            known["masks"] = self._masks(X)
        return {"synthesized": self._synthesized(X, known), **known}

    def players(self) -> dict[str, Player]:
        """D moves before G, as in pix2pix."""
        return {
            "discriminator": Player(self.discriminator, self.discriminator_loss, rate=self.discriminator_rate),
            "generator": Player(self.generator, self.generator_loss),
        }

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 4 as D's minimization, halved as in pix2pix."""
        X, Y = batch.of(self.source), batch.of(self.target)
        return discriminating(self._scores(X, faces, Y), self._scores(X, faces, faces["synthesized"].detach()))

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 9."""
        X, Y, G = batch.of(self.source), batch.of(self.target), faces["synthesized"]
        terms = {
            "adversarial": adversarial(self._scores(X, faces, G), real=True),  # equation 4
            "content": self.alpha * l1(G, Y),  # equation 5
        }
        if self.AR:
            terms["reweighting"] = self.lambda_ar * reweighting(
                G, Y, faces["masks"], variance=self.variance, affinity=self.affinity
            )  # equation 6
        if self.perceptual != "none":
            terms["perceptual"] = self.delta * features.perceptual(
                self._features.at(Y), G, Y, ("pool1", "pool2")
            )  # equation 7
        if self.BCE:
            terms["parsing"] = self.eta * self._parsing_loss(G, Y)  # equation 8
        return terms

    @torch.no_grad()
    def _known(self, X: Tensor) -> Faces:
        """What goes in beside the photo: M, S, both or neither."""
        if not (self.M or self.S):
            return {}
        maps = self._conditions.at(X)(X)
        known = {"saliency": maps["saliency"]} if self.M else {}
        return known | ({"masks": priors.merged(maps["parsing"], CLASSES)} if self.S else {})

    @torch.no_grad()
    def _masks(self, images: Tensor) -> Tensor:
        return priors.merged(self._parser.at(images)(images)["parsing"], CLASSES)

    def _synthesized(self, X: Tensor, known: Faces) -> Tensor:
        faces: Tensor = self.generator(self._with_saliency(X, known), known["masks"] if self.S else None)
        return faces

    def _scores(self, X: Tensor, known: Faces, Y: Tensor) -> Tensor:
        scores: Tensor = self.discriminator(torch.cat([self._with_saliency(X, known), Y], dim=1))
        return scores

    def _with_saliency(self, X: Tensor, known: Faces) -> Tensor:
        return torch.cat([X, 2 * known["saliency"] - 1], dim=1) if self.M else X

    def _parsing_loss(self, G: Tensor, Y: Tensor) -> Tensor:
        """Equation 8: cross-entropy of every class against the target's probabilities."""
        target = self._masks(Y)
        found = priors.merged(self._parser.at(G)(G)["parsing"], CLASSES)
        with torch.autocast(G.device.type, enabled=False):  # not allowed in half precision
            return F.binary_cross_entropy(found.float().clamp(0, 1), target.float().clamp(0, 1))


class Generator(nn.Module):
    """Encoder of pix2pix, decoder of Statistics Injection ResBlocks with upsampling (Fig. 2a).

    Args:
        inputs: Channels of the input.
        width: Channels of the first level; they double up to ``8 * width``.
        depth: Levels; the sides are divided by ``2 ** depth``.
        classes: Channels of the masks; 0 leaves plain normalizations.
        hidden: Channels inside an SI module.
    """

    def __init__(self, inputs: int, width: int, depth: int, *, classes: int, hidden: int) -> None:
        super().__init__()
        self.down, channels = encoder(inputs, width, depth)
        self.up = nn.ModuleList()
        entering = channels[-1]
        for level in reversed(range(depth)):
            leaving = channels[max(level - 1, 0)]
            self.up.append(SIResBlock(entering, leaving, classes, hidden))
            entering = 2 * leaving
        self.last = nn.Conv2d(channels[0], 3, 3, padding=1)
        normal_init(self)

    def forward(self, images: Tensor, S: Tensor | None) -> Tensor:
        """Images (n, inputs, h, w) and masks (n, classes, h, w) to sketches (n, 3, h, w) in [-1, 1]."""
        skips = every_level(self.down, images)
        features = skips.pop()
        for block in self.up:
            features = F.interpolate(block(features, S), scale_factor=2, mode="nearest")
            if skips:
                features = torch.cat([features, skips.pop()], dim=1)
        sketches: Tensor = self.last(features).tanh()
        return sketches


class SIResBlock(nn.Module):
    """Two convolutions, two ReLUs and two SI modules beside a shortcut (Fig. 2b)."""

    def __init__(self, entering: int, leaving: int, classes: int, hidden: int) -> None:
        super().__init__()
        middle = min(entering, leaving)
        self.first, self.second = (SPADE(width, classes, hidden) for width in (entering, middle))
        self.conv1 = nn.Conv2d(entering, middle, 3, padding=1)
        self.conv2 = nn.Conv2d(middle, leaving, 3, padding=1)
        self.shortcut = nn.Conv2d(entering, leaving, 1, bias=False) if entering != leaving else nn.Identity()

    def forward(self, x: Tensor, S: Tensor | None) -> Tensor:
        """Features (n, entering, h, w) to (n, leaving, h, w)."""
        y = self.conv1(self.first(x, S).relu())
        y = self.conv2(self.second(y, S).relu())
        out: Tensor = self.shortcut(x) + y
        return out
