"""GENRE: photo to sketch, steered by the parsing of the face and by what the encoder saw of it.

Li, Gao, Huang: High-Quality Face Sketch Synthesis via Geometric Normalization and Regularization, ICME 2021.

Photo X and parsing M go in; an eSPADE normalization stands in every decoding layer but the last; the generator gives M
back beside the sketch. Two terms take the face's structure from the photo: the parsing given back, and the directions
of the gradients. Sizes and settings are those of the authors' release. What differs or is chosen:

- The decoder is normalized by the statistics of batches of one, which are instance norms; so here.
- Gradients are Sobel's, as HIDA, of the same group, has them; the release takes Prewitt's.
- The innermost encoding layer, whose output is 1 x 1, is not normalized. The first decoding layer has no skip, and so
  M alone steers it.
- The discriminator sees M and a sketch; it is pix2pix's, where the release has its norms before the convolutions.
- The parsing is the toolkit's, of the same 19 classes, as probabilities. That of the photo stands for the sketch's.
- Sketches have one channel: targets are made grey.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.faces import priors
from forensic.images import luminance
from forensic.synthesis.aids import Aid
from forensic.synthesis.blocks import SPADE
from forensic.synthesis.losses import adversarial, distance, l1, textural
from forensic.synthesis.networks import PatchDiscriminator, down, every_level, normal_init
from forensic.synthesis.registry import method
from forensic.synthesis.shares import Dropout
from forensic.synthesis.translator import (
    Adversarial,
    Batch,
    Faces,
    Modality,
    Player,
    Recipe,
    check_directions,
    halvings_of,
    resized,
)

CLASSES = len(priors.PARSING_CLASSES)


@method("genre")
class GENRE(Adversarial):
    """Geometric normalization and regularization.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        size: Pixels a side inside the networks, a power of two; ``translate`` resizes to it and back.
        width: Channels of each first convolution and of the discriminator's first layer.
        depth: Encoding layers; as many as halve ``size`` to 1 where None.
        hidden: Channels inside an eSPADE; twice the width where None (SPADE's 128).
        patch: Pixels a side of the patches that the discriminator sees; 70 at 256 is 34 at 128.
        appearance: Whether the encoder's features steer the normalizations beside M; else they are SPADE.
        lambda_pix: Weight of the pixel loss.
        lambda_sem: Weight of the distance between the parsing given back and M.
        lambda_geo: Weight of the comparison of the sketch's gradients with the photo's.
        dropout: Rate in the first three decoding layers.
        parsing: Network of the parsing.
        discriminator_rate: The discriminator's learning rate in units of the generator's.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Li et al., High-Quality Face Sketch Synthesis via Geometric Normalization and Regularization, ICME 2021"
    critics = ("discriminator",)
    recipe = Recipe(  # the release: 400 epochs, and 400 along which the learning rate falls
        epochs=800, flat=0.5, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=True, shift=15, tone=0.0
    )

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
        appearance: bool = True,
        lambda_pix: float = 4.0,
        lambda_sem: float = 4.0,
        lambda_geo: float = 1.0,
        dropout: float = 0.5,
        parsing: str = priors.OWN,
        discriminator_rate: float = 1.0,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        halvings = halvings_of(self.name, size)
        depth = halvings if depth is None else depth
        if not 2 <= depth <= halvings:
            raise UsageError(f"genre: depth is {depth}, expected 2 to {halvings} at size {size}.")
        self.source, self.target, self.size, self.width = source, target, size, width
        self.depth, self.hidden, self.patch, self.appearance = depth, hidden or 2 * width, patch, appearance
        self.lambda_pix, self.lambda_sem, self.lambda_geo = lambda_pix, lambda_sem, lambda_geo
        self.dropout, self.parsing, self.discriminator_rate = dropout, parsing, discriminator_rate
        self.generator = Generator(width, depth, hidden=self.hidden, appearance=appearance, dropout=dropout)
        self.discriminator = PatchDiscriminator(inputs=CLASSES + 1, width=width, patch=patch)
        self._priors = Aid(lambda: priors.Priors({"parsing": parsing}))

    @property
    def needs(self) -> dict[str, str]:
        """The network of M."""
        return {"parsing": priors.digest("parsing", self.parsing)}

    @property
    def consults(self) -> dict[str, str]:
        """The network of M, which the losses and the discriminator see too."""
        return dict(self._priors.ready().digests)

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        X = resized(images, self.size)
        Y, _ = self.generator(X, self._parsed(X))
        return resized(Y.expand(-1, 3, -1, -1), images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """The sketch and the parsing of G(X, M), beside M."""
        X = batch.of(self.source)
        M = self._parsed(X)
        Y, parsing = self.generator(X, M)
        return {"synthesized": Y.expand(-1, 3, -1, -1), "M": M, "parsing": parsing}

    def players(self) -> dict[str, Player]:
        """The authors' code moves the generator first."""
        return {
            "generator": Player(self.generator, self.generator_loss),
            "discriminator": Player(self.discriminator, self.discriminator_loss, rate=self.discriminator_rate),
        }

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The adversarial term as 'maximize log D', pixels, and both regularizations."""
        X, Y = luminance(batch.of(self.source)), luminance(batch.of(self.target))
        drawn = faces["synthesized"][:, :1]
        return {
            "adversarial": adversarial(self._scores(faces, drawn), real=True),
            "pixel": self.lambda_pix * l1(drawn, Y),
            "semantic": self.lambda_sem * distance(faces["parsing"], faces["M"]),
            "geometric": self.lambda_geo * textural(drawn, X),
        }

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The adversarial loss as D's minimization."""
        real = self._scores(faces, luminance(batch.of(self.target)))
        synthesized = self._scores(faces, faces["synthesized"][:, :1].detach())
        return {"real": adversarial(real, real=True), "synthesized": adversarial(synthesized, real=False)}

    def _scores(self, faces: Faces, Y: Tensor) -> Tensor:
        scores: Tensor = self.discriminator(torch.cat([faces["M"], Y], dim=1))
        return scores

    @torch.no_grad()
    def _parsed(self, X: Tensor) -> Tensor:
        M: Tensor = self._priors.at(X)(X)["parsing"].float()
        return M


class Generator(nn.Module):
    """U-Net that takes photo and parsing, and gives sketch and parsing.

    Args:
        width: Channels of each first convolution; layers have up to ``8 * width``.
        depth: Encoding layers.
        hidden: Channels inside an eSPADE.
        appearance: Whether the encoder's features steer, too.
        dropout: Rate in the first three decoding layers.
    """

    def __init__(self, width: int, depth: int, *, hidden: int, appearance: bool, dropout: float) -> None:
        super().__init__()
        self.photo = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.parsing = nn.Conv2d(CLASSES, width, 4, stride=2, padding=1)
        widths = [width * min(2**level, 8) for level in range(depth)]
        self.down = nn.ModuleList(
            down(2 * width if level == 1 else widths[level - 1], widths[level], normalized=level < depth - 1)
            for level in range(1, depth)
        )
        self.up = nn.ModuleList()
        for layer, level in enumerate(range(depth - 1, 0, -1)):
            self.up.append(
                DecodingLayer(
                    (widths[level] if layer else 0, widths[level]),
                    widths[level - 1],
                    hidden=hidden,
                    appearance=appearance and layer > 0,
                    dropout=dropout if layer < 3 else 0.0,
                )
            )
        self.heads = nn.ModuleDict({name: head(2 * width, n) for name, n in (("sketch", 1), ("parsing", CLASSES))})
        normal_init(self)

    def forward(self, X: Tensor, M: Tensor) -> tuple[Tensor, Tensor]:
        """Photos (n, 3, h, w) in [-1, 1] and parsings M to sketches (n, 1, h, w) in [-1, 1] and parsings like M."""
        photo, parsing = self.photo(X), self.parsing(M)
        *skips, K = every_level(self.down, torch.cat([photo, parsing], dim=1))
        K = self.up[0](None, K, M)
        for layer, E in zip(self.up[1:], reversed(skips), strict=True):
            K = layer(K, E, M)
        Y: Tensor = self.heads["sketch"](torch.cat([K, photo], dim=1)).tanh()
        return Y, self.heads["parsing"](torch.cat([K, parsing], dim=1)).softmax(dim=1)


def head(entering: int, leaving: int) -> nn.Sequential:
    """A last decoding layer, raw."""
    return nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(entering, leaving, 4, stride=2, padding=1))


class DecodingLayer(nn.Module):
    """ReLU, a transposed convolution and eSPADE.

    Args:
        entering: Channels of the layer before (0 for the first layer) and of the encoding layer of the same size.
        leaving: Channels of the output.
        hidden: Channels inside the eSPADE.
        appearance: Whether the encoding layer steers it, too.
        dropout: Rate at the end.
    """

    def __init__(
        self, entering: tuple[int, int], leaving: int, *, hidden: int, appearance: bool, dropout: float
    ) -> None:
        super().__init__()
        before, skip = entering
        self.enlarge = head(before + skip, leaving)
        self.espade = ESPADE(leaving, skip if appearance else 0, hidden)
        self.dropout = Dropout(dropout)

    def forward(self, K: Tensor | None, E: Tensor, M: Tensor) -> Tensor:
        """Features K (n, before, h, w), or None, and E (n, skip, h, w) to (n, leaving, 2 h, 2 w), steered by M."""
        x = self.enlarge(E if K is None else torch.cat([K, E], dim=1))
        dropped: Tensor = self.dropout(self.espade(x, M, E))
        return dropped


class ESPADE(nn.Module):
    """Enhanced SPADE: steered by the parsing and by an encoding layer of half the size, beside the identity.

    Args:
        channels: Channels of the features.
        skip: Channels of the encoding layer; 0 leaves it out.
        hidden: Channels of the first convolution of what steers.
    """

    def __init__(self, channels: int, skip: int, hidden: int) -> None:
        super().__init__()
        self.appearance = nn.ConvTranspose2d(skip, CLASSES, 4, stride=2, padding=1) if skip else None
        self.spade = SPADE(channels, CLASSES * (1 + (skip > 0)), hidden)

    def forward(self, x: Tensor, M: Tensor, E: Tensor) -> Tensor:
        """Features (n, channels, h, w), steered by M of any size and E (n, skip, h / 2, w / 2)."""
        steering = F.interpolate(M, size=x.shape[2:], mode="nearest")
        if self.appearance is not None:
            steering = torch.cat([steering, self.appearance(E)], dim=1)
        steered: Tensor = x + self.spade(x, steering)
        return steered
