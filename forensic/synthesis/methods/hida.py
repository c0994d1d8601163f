"""HIDA: photo to sketch in three styles, driven by the depth of the face.

Gao, Zhu, Jiang, Wang: Human-Inspired Facial Sketch Synthesis with Dynamic Adaptation, ICCV 2023.

Photo X and depth map D go in; D, the style S and the appearance A, which is what the encoder saw, steer the activations
and the normalizations of the decoder; the generator gives D back beside the sketch. What the paper leaves open or
contradicts, resolved as its released parts are where these say something:

- Equation 1 lacks the factor x that ACON has; it is taken with it. The text's θ = σ(x), one for each value, is the
  default; the released metaACON has one for each channel (``switch="channel"``).
- The first convolutions and the innermost one, whose output is 1 x 1, are not normalized. "metaReLU" is metaACON.
- A is one channel. The first decoding layer has no skip, and so none. The last one, which the paper does not except
  from InfoACON, begins with metaACON, as in the release.
- The plain γ of equation 3 begins at 1.
- F in equation 4 is InfoACON(H). Without DySPADE a layer gives F, normalized; there is nothing to add it to.
- The deformable convolution has two groups of offsets and weighted taps; a bilinear enlargement precedes it.
- Sketches have one channel: targets are made grey. The last layers are two, each with its own first skip; the depth's
  ends in a sigmoid, since depth is in [0, 1] here.
- Equations 5 and 7 are means. Equation 6 is a similarity; the loss is 1 minus it, and gradients below a third of a grey
  level count for less. Its target is the sketch (``texture="photo"`` compares with the photo, as the release does).
- Equation 8 gives the discriminator the reconstructed depth with a synthesized sketch (``judged="input"``: the photo's,
  as in the release). It is not halved.
- The discriminator is pix2pix's, with LeakyReLU in every row, where Table 3's text gives it metaACON too. The paper's
  Model-A has pix2pix's own figures; here it is this generator with all switches off, and keeps the textural loss.
  ``discriminator_norm=False`` takes its instance norms out: at compact sizes, where the adversarial term counts, they
  let lone black dots pass.
- The three middle layers (``DOG="mid3"``) are of the seven at 256; smaller sizes have fewer.
- The weights of equation 9, 4, 1 and 4, the dropout in the first three decoding layers, Adam's decay and the fall of
  the learning rate in the second half are the release's.
"""

import itertools
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.faces import priors
from forensic.images import luminance
from forensic.synthesis.aids import Aid
from forensic.synthesis.blocks import DeformableConvolution, gaussian_pyramid
from forensic.synthesis.dynamic import Activation, DecodingLayer, Design, Switch
from forensic.synthesis.losses import adversarial, l1, textural
from forensic.synthesis.networks import PatchDiscriminator, every_level, normal_init
from forensic.synthesis.registry import method
from forensic.synthesis.styles import Styled
from forensic.synthesis.translator import (
    Batch,
    Faces,
    Modality,
    Player,
    Recipe,
    check_directions,
    halvings_of,
    resized,
)

Texture = Literal["sketch", "photo"]
Judged = Literal["reconstructed", "input"]
Deformed = Literal["none", "top2", "mid3", "btm2", "all"]
DEFORMED = {"none": slice(0), "top2": slice(2), "mid3": slice(2, -2), "btm2": slice(-2, None), "all": slice(None)}
"""Decoding layers with deformable convolutions (Fig. 9)."""


@method("hida")
class HIDA(Styled):
    """Human-inspired dynamic adaptation.

    The switches ``depth``, ``DySPADE``, ``activation`` and ``DOG`` are the rows of the paper's Tables 2 and 3 and of
    its Fig. 9 (``rows``). Where the data state no styles, every pair has the style ``style``.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        style: What ``translate`` draws in, 1, 2 or 3: FS2K's attribute ``style``, 0, 1 or 2, plus 1.
        size: Pixels a side inside the networks, a power of two; ``translate`` resizes to it and back.
        width: Channels of each first convolution and of the discriminator's first layer.
        patch: Pixels a side of the patches that the discriminator sees; the paper's 70 at 256 is 34 at 128.
        depth: Whether the depth map goes in, steers and is reconstructed; without it the discriminator sees the photo.
        DySPADE: Whether the condition steers the decoder's normalizations.
        activation: Whether the condition steers the decoder's activations (``"InfoACON"``); else the generator's are
            all metaACON, or ReLU in the encoder and LeakyReLU in the decoder.
        DOG: Decoding layers with deformable convolutions: ``"none"``, ``"top2"``, ``"mid3"``, ``"btm2"``, ``"all"``.
        switch: What the θ of a metaACON is computed from.
        texture: Whose gradients the sketch's are compared with.
        judged: Which depth the discriminator sees beside a synthesized sketch.
        lambda_pix: Weight of the pixel loss, the paper's λ₁.
        lambda_tex: Weight of the textural loss, λ₂.
        lambda_geo: Weight of the geometric loss, λ₃.
        dropout: Rate in the first three decoding layers.
        prior: Network of the depth map.
        discriminator_rate: The discriminator's learning rate in units of the generator's.
        discriminator_norm: Whether the discriminator has instance norms.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Gao et al., Human-Inspired Facial Sketch Synthesis with Dynamic Adaptation, ICCV 2023"
    critics = ("discriminator",)
    styles = (1, 2, 3)
    # Section 4.1; the release crops 256 at random after enlarging by 30, which is a shift of 15 pixels.
    recipe = Recipe(
        epochs=800, flat=0.5, batch=4, learning_rate=1e-4, betas=(0.5, 0.999), flip=True, shift=15, tone=0.0
    )
    rows: ClassVar[dict[str, dict[str, object]]] = {
        "Base (Model-A)": {"depth": False, "DySPADE": False, "activation": "ReLU", "DOG": "none"},
        "+ Depth (Model-B)": {"DySPADE": False, "activation": "ReLU", "DOG": "none"},
        "+ DySPADE (Model-C)": {"activation": "ReLU", "DOG": "none"},
        "metaACON": {"activation": "metaACON", "DOG": "none"},
        "+ InfoACON (Model-D)": {"DOG": "none"},
        "+ DOG (full)": {},
        "DOG mid3": {"DOG": "mid3"},
        "DOG btm2": {"DOG": "btm2"},
        "DOG all": {"DOG": "all"},
    }

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        style: int = 1,
        size: int = 256,
        width: int = 64,
        patch: int = 70,
        depth: bool = True,
        DySPADE: bool = True,
        activation: Activation = "InfoACON",
        DOG: Deformed = "top2",
        switch: Switch = "pixel",
        texture: Texture = "sketch",
        judged: Judged = "reconstructed",
        lambda_pix: float = 4.0,
        lambda_tex: float = 1.0,
        lambda_geo: float = 4.0,
        dropout: float = 0.5,
        prior: str = priors.OWN,
        discriminator_rate: float = 1.0,
        discriminator_norm: bool = True,
    ) -> None:
        super().__init__(style)
        check_directions(source, target)
        halvings = halvings_of(self.name, size)
        self.source, self.target, self.size, self.width, self.patch = source, target, size, width, patch
        self.depth, self.DySPADE, self.activation, self.DOG, self.switch = depth, DySPADE, activation, DOG, switch
        self.texture, self.judged = texture, judged
        self.lambda_pix, self.lambda_tex, self.lambda_geo = lambda_pix, lambda_tex, lambda_geo
        self.dropout, self.prior = dropout, prior
        self.discriminator_rate, self.discriminator_norm = discriminator_rate, discriminator_norm
        design = Design(depth, DySPADE, activation, DOG, switch, dropout)
        self.generator = Generator(design, width, halvings, len(self.styles))
        self.discriminator = PatchDiscriminator(
            inputs=2 if depth else 4, width=width, patch=patch, normalized=discriminator_norm
        )
        self._priors = Aid(lambda: priors.Priors({"depth": prior}))

    @property
    def needs(self) -> dict[str, str]:
        """The network of D."""
        return {"depth": priors.digest("depth", self.prior)} if self.depth else {}

    @property
    def consults(self) -> dict[str, str]:
        """The network of D, which the losses see too."""
        return dict(self._priors.ready().digests) if self.depth else {}

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1], drawn in ``style``."""
        X = resized(images, self.size)
        Y, _ = self.generator(X, self._known(X), self.one_hot(X, None))
        return resized(Y.expand(-1, 3, -1, -1), images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """Ŷ and D̂ of G(X, D, S), beside D."""
        X = batch.of(self.source)
        D = self._known(X)
        Y, reconstructed = self.generator(X, D, self.one_hot(X, batch.style))
        faces = {"synthesized": Y.expand(-1, 3, -1, -1)}
        if D is not None and reconstructed is not None:
            faces |= {"depth": D, "reconstructed": reconstructed}
        return faces

    def players(self) -> dict[str, Player]:
        """G moves before D, as in the release."""
        return {
            "generator": Player(self.generator, self.generator_loss),
            "discriminator": Player(self.discriminator, self.discriminator_loss, rate=self.discriminator_rate),
        }

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 8."""
        Y = luminance(batch.of(self.target))
        real = self.discriminator(torch.cat([faces["depth"] if self.depth else batch.of(self.source), Y], dim=1))
        synthesized = self.discriminator(self._judged(batch, faces).detach())
        return {"real": adversarial(real, real=True), "synthesized": adversarial(synthesized, real=False)}

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 9, with the adversarial term as 'maximize log D'."""
        X, Y = luminance(batch.of(self.source)), luminance(batch.of(self.target))
        drawn = faces["synthesized"][:, :1]
        terms = {
            "adversarial": adversarial(self.discriminator(self._judged(batch, faces)), real=True),  # equation 8
            "pixel": self.lambda_pix * l1(drawn, Y),  # equation 7
            "texture": self.lambda_tex * textural(drawn, Y if self.texture == "sketch" else X),  # equation 6
        }
        if self.depth:
            terms["geometry"] = self.lambda_geo * F.mse_loss(faces["reconstructed"], faces["depth"])  # equation 5
        return terms

    def _judged(self, batch: Batch, faces: Faces) -> Tensor:
        """What the discriminator sees of a synthesized sketch."""
        if not self.depth:
            beside = batch.of(self.source)
        else:
            beside = faces["reconstructed" if self.judged == "reconstructed" else "depth"]
        return torch.cat([beside, faces["synthesized"][:, :1]], dim=1)

    @torch.no_grad()
    def _known(self, X: Tensor) -> Tensor | None:
        return self._priors.at(X)(X)["depth"].float() if self.depth else None


class Generator(nn.Module):
    """U-Net from ``2 ** levels`` pixels to one and back (Fig. 2a).

    Args:
        design: What it is made of.
        width: Channels of each first convolution; layers have up to ``8 * width``.
        levels: Encoding layers.
        styles: Number of styles.
    """

    def __init__(self, design: Design, width: int, levels: int, styles: int) -> None:
        super().__init__()
        channels = [width * min(2**level, 8) for level in range(levels)]
        encoded = [width * (1 + design.depth), *channels[1:]]
        self.photo = design.encode(3, width, normalized=False)
        self.depth = design.encode(1, width, normalized=False) if design.depth else None
        self.down = nn.ModuleList(
            design.encode(a, b, normalized=level < levels - 1)
            for level, (a, b) in enumerate(itertools.pairwise(encoded), start=1)
        )
        self.up = nn.ModuleList()
        deformed = range(levels - 1)[DEFORMED[design.DOG]]
        before = 0
        for layer, level in enumerate(reversed(range(levels - 1))):
            self.up.append(
                DecodingLayer(
                    design._replace(dropout=design.dropout if layer < 3 else 0.0),
                    (before, encoded[level + 1]),
                    channels[level],
                    styles=styles,
                    deformed=layer in deformed,
                )
            )
            before = channels[level]
        self.sketch_head = design.last(2 * width)
        self.depth_head = design.last(2 * width) if design.depth else None
        normal_init(self)
        for module in self.modules():
            if isinstance(module, DeformableConvolution):
                module.reset()

    def forward(self, X: Tensor, D: Tensor | None, s: Tensor) -> tuple[Tensor, Tensor | None]:
        """Sketches and reconstructed depths.

        Args:
            X: Photos, (n, 3, h, w) in [-1, 1].
            D: Their depth, (n, 1, h, w) in [0, 1]; None for a generator without.
            s: One-hot styles, (n, styles).

        Returns:
            Ŷ (n, 1, h, w) in [-1, 1], and D̂ (n, 1, h, w) in [0, 1] or None.
        """
        first = [self.photo(X)] if self.depth is None else [self.photo(X), self.depth(D)]
        E = [torch.cat(first, dim=1)]
        E += every_level(self.down, E[0])
        D_l = [None] * len(E) if D is None else gaussian_pyramid(D, len(E))
        K: Any = None  # nothing comes before the first layer
        for level, layer in zip(reversed(range(len(E))), self.up, strict=False):  # the heads take the outermost
            K = layer(K, E[level], D_l[level], s)
        Y: Tensor = self.sketch_head(torch.cat([K, first[0]], dim=1)).tanh()
        if self.depth_head is None:
            return Y, None
        return Y, self.depth_head(torch.cat([K, first[1]], dim=1)).sigmoid()
