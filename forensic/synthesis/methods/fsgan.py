"""FSGAN: photo to sketch, part by part and then whole, in the style that is asked for.

Fan, Huang, Zheng, Liu, Qin, Van Gool: Facial-Sketch Synthesis: A New Challenge, Machine Intelligence Research 19, 2022.

Facial-aware masking: six networks draw the eyes, the nose, the mouth, the rest of the person and the background, each
from what the photo shows there; where they overlap the darker pixel counts. Style-vector expansion: a second network
draws the whole sketch of that, with the style laid out as maps beside its coarse features. Networks, sizes and
settings are those of the authors' release, which follows APDrawingGAN (Yi et al. 2019) and pix2pixHD. What differs or
is chosen:

- The release trains at 512; sizes of parts are given at 256 there and here, and follow the size.
- Landmarks and background come from the toolkit's priors of the photo; the release reads them from files.
- Normalization is over the instance (the release: over batches of one), activations are ReLU.
- The release leaves the masks out where the discriminators of rest and background look; they see their own here.
- Feature matching is a mean over the scales, also in the parts. Scores are compared as logits, once.
- Perceptual features of the parts are compared on the parts put together: a network may want whole faces.
- The release never steps the classifier of styles. Here it learns from both kinds of sketches, as its loss there says.
- All images have three channels, also the sketches.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.faces import parts, priors
from forensic.faces.parts import PARTS
from forensic.synthesis import perceptual as features
from forensic.synthesis.aids import Aid
from forensic.synthesis.blocks import ResidualDense
from forensic.synthesis.losses import feature_matching, judged, l1
from forensic.synthesis.networks import MultiScaleDiscriminator, ResNet, encoder, normal_init
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

SHARES = {**dict.fromkeys(PARTS, 1.0), "rest": 1.8}
"""What the losses of each part count, beside 1 for the whole sketch in the adversarial terms."""
REDUCTIONS = (1, 2, 4)
"""At which perceptual features of the whole sketch are compared."""

Seen = list[list[Tensor]]
"""What each layer of a discriminator's scales made."""


@method("fsgan")
class FSGAN(Styled):
    """Facial-aware masking and style-vector expansion.

    Where the data state no styles, every pair has the style ``style``.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        style: What ``translate`` draws in, 1, 2 or 3: FS2K's attribute ``style``, 0, 1 or 2, plus 1.
        size: Pixels a side inside the networks, a power of two; ``translate`` resizes to it and back.
        width: Channels of the first layers of the generators; the discriminators have half as many.
        halvings: Convolutions of stride 2 in the networks of the parts, and one fewer than in the second stage's coarse
            one; where None the release's 3 at 256, 2 at 128, 1 below.
        blocks: Residual dense blocks of each network; the second stage's fine one has a third of them.
        scales: Scales of every discriminator.
        lambda_l1: Weight of the whole sketch's distance and feature matching; half of it is that of its perceptual
            loss.
        lambda_local: Weight of the same terms of each part.
        perceptual: Network of the perceptual loss, or ``"none"``.
        discriminator_rate: The discriminators' learning rate in units of the generators'.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Fan et al., Facial-Sketch Synthesis: A New Challenge, Machine Intelligence Research 2022"
    critics = ("discriminators",)
    styles = (1, 2, 3)
    recipe = Recipe(  # the release: 150 epochs, no fall of the learning rate, mirrored, not shifted
        epochs=150, flat=1.0, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=True, shift=0, tone=0.0
    )

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        style: int = 1,
        size: int = 256,
        width: int = 64,
        halvings: int | None = None,
        blocks: int = 9,
        scales: int = 2,
        lambda_l1: float = 100.0,
        lambda_local: float = 25.0,
        perceptual: str = "vgg19",
        discriminator_rate: float = 0.01,
    ) -> None:
        super().__init__(style)
        check_directions(source, target)
        most = halvings_of(self.name, size) - 4
        halvings = max(1, min(3, most - 1)) if halvings is None else halvings
        if not 1 <= halvings <= most or blocks < 0 or width < 2 or not 1 <= scales <= 3:
            raise UsageError(
                f"fsgan: halvings {halvings}, blocks {blocks}, width {width}, scales {scales}; at size {size} expected"
                f" 1 to {most}, 0 or more, 2 or more, and 1 to 3."
            )
        self.source, self.target, self.size, self.width = source, target, size, width
        self.halvings, self.blocks, self.scales = halvings, blocks, scales
        self.lambda_l1, self.lambda_local = lambda_l1, lambda_local
        self.perceptual, self.discriminator_rate = perceptual, discriminator_rate
        self.boxes = parts.boxes(size, 2**halvings)
        local = nn.ModuleDict({part: drawing(width, halvings, blocks) for part in PARTS})
        whole = Fusion(width, halvings + 1, blocks, len(self.styles))
        self.generators = nn.ModuleDict({"parts": local, "whole": whole})
        self.discriminators = nn.ModuleDict({"style": StyleClassifier(width, len(self.styles))})
        for name in ("whole", *PARTS):
            self.discriminators[name] = MultiScaleDiscriminator(inputs=6, width=width // 2, scales=scales)
        self._priors = Aid(priors.network)
        self._features = Aid(lambda: features.load(perceptual))

    @property
    def needs(self) -> dict[str, str]:
        """The network of landmarks and background."""
        return {"parsing": priors.digest("parsing")}

    @property
    def consults(self) -> dict[str, str]:
        """The networks of landmarks and background, and of the perceptual loss."""
        self._priors.ready()
        chosen = {} if self.perceptual == "none" else {"perceptual": self._features.ready().digest}
        return self.needs | chosen

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1], drawn in ``style``."""
        X = resized(images, self.size)
        return resized(self._whole(self._drawn(X, self._masks(X)), X, None), images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """The whole sketch, the parts that it was drawn from, and where these are."""
        X = batch.of(self.source)
        masks = self._masks(X)
        drawn = self._drawn(X, masks)
        return {"synthesized": self._whole(drawn, X, batch.style), "parts": drawn, "masks": masks}

    def players(self) -> dict[str, Player]:
        """The discriminators move before the generators, as in the release."""
        return {
            "discriminators": Player(self.discriminators, self.discriminator_loss, rate=self.discriminator_rate),
            "generators": Player(self.generators, self.generator_loss),
        }

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The discriminators' minimization and the classifier's, both halved."""
        Y, made = batch.of(self.target), faces["synthesized"].detach()
        real, synthesized = (self._seen(batch, faces["masks"], image) for image in (Y, made))
        return {
            "real": answered(real, real=True) / 2,
            "synthesized": answered(synthesized, real=False) / 2,
            "style": (self._style_loss(batch, Y) + self._style_loss(batch, made)) / 2,
        }

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The whole sketch and the parts against the true ones: scores, pixels, features; and the style."""
        Y, made, masks = batch.of(self.target), faces["synthesized"], faces["masks"]
        seen = self._seen(batch, masks, made)
        with torch.no_grad():
            true = self._seen(batch, masks, Y)
        weights = {"whole": self.lambda_l1} | {part: self.lambda_local * share for part, share in SHARES.items()}
        drawn = zip(SHARES, faces["parts"].chunk(len(PARTS), dim=1), masks.chunk(len(PARTS), dim=1), strict=True)
        terms = {
            "adversarial": answered(seen, real=True),
            "matching": torch.stack([weights[name] * matching(seen[name], true[name]) for name in seen]).sum(),
            "l1": self.lambda_l1 * l1(made, Y),
            "local": torch.stack([weights[part] * inside(image, Y, mask) for part, image, mask in drawn]).sum(),
            "style": self._style_loss(batch, made),
        }
        if self.perceptual != "none":
            network = self._features.at(Y)
            whole = [features.layered(network, F.avg_pool2d(made, k), F.avg_pool2d(Y, k)) for k in REDUCTIONS]
            terms["perceptual"] = self.lambda_l1 / 2 * torch.stack(whole).mean()
            terms["local_perceptual"] = self.lambda_local / 2 * features.layered(network, together(faces["parts"]), Y)
        return terms

    @torch.no_grad()
    def _masks(self, X: Tensor) -> Tensor:
        return parts.masks(self._priors.at(X)(X), self.boxes)

    def _drawn(self, X: Tensor, masks: Tensor) -> Tensor:
        """The first stage's parts, white around each, (n, 6 * 3, h, w)."""
        networks: Any = self.generators["parts"]
        drawn = []
        for part, mask in zip(PARTS, masks.chunk(len(PARTS), dim=1), strict=True):
            image = networks[part](self._cut(part, X, mask))
            if part in self.boxes:
                drawn.append(torch.ones_like(X, dtype=image.dtype).masked_scatter(mask.expand_as(X).bool(), image))
            else:
                drawn.append(mask * (image - 1) + 1)
        return torch.cat(drawn, dim=1)

    def _whole(self, drawn: Tensor, X: Tensor, style: Tensor | None) -> Tensor:
        """The second stage's sketch of the first's parts."""
        whole: Tensor = self.generators["whole"](together(drawn), self.one_hot(X, style))
        return whole

    def _cut(self, part: str, images: Tensor, mask: Tensor) -> Tensor:
        """What a part's networks see of images (n, c, h, w): its box, or all of it with black around the mask."""
        if part not in self.boxes:
            return mask * (images + 1) - 1
        return images[mask.expand_as(images).bool()].view(*images.shape[:2], *self.boxes[part])

    def _seen(self, batch: Batch, masks: Tensor, Y: Tensor) -> dict[str, Seen]:
        """What each discriminator makes of photo and sketch, whole and part by part."""
        pair = torch.cat([batch.of(self.source), Y], dim=1)
        seen = {"whole": self.discriminators["whole"](pair)}
        for part, mask in zip(PARTS, masks.chunk(len(PARTS), dim=1), strict=True):
            seen[part] = self.discriminators[part](self._cut(part, pair, mask))
        return seen

    def _style_loss(self, batch: Batch, Y: Tensor) -> Tensor:
        return F.cross_entropy(self.discriminators["style"](Y), self.labels(Y, batch.style))


def answered(seen: dict[str, Seen], *, real: bool) -> Tensor:
    """The adversarial terms of whole and parts, summed with ``SHARES``; scalar."""
    return torch.stack([SHARES.get(name, 1.0) * judged(layers, real=real) for name, layers in seen.items()]).sum()


def together(drawn: Tensor) -> Tensor:
    """Parts (n, 6 * 3, h, w), white around each, as one sketch (n, 3, h, w): the darkest pixel of all."""
    return torch.stack(drawn.chunk(len(PARTS), dim=1)).amin(dim=0)


def inside(drawn: Tensor, Y: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference of sketches (n, 3, h, w) within masks (n, 1, h, w); a face's, and their mean; scalar."""
    apart, pixels = (mask * (drawn - Y)).abs().sum(dim=(1, 2, 3)), mask.sum(dim=(1, 2, 3))
    return (apart / (3 * pixels).clamp(min=1)).mean()


def matching(seen: Seen, true: Seen) -> Tensor:
    """Feature matching, the mean over the scales; scalar."""
    return torch.stack([feature_matching(a[:-1], b[:-1]) for a, b in zip(seen, true, strict=True)]).mean()


def drawing(width: int, halvings: int, blocks: int, growth: int = 4) -> ResNet:
    """pix2pixHD's generator with residual dense blocks, whose growth is given in units of the width."""
    return ResNet(width=width, halvings=halvings, blocks=blocks, block=partial(ResidualDense, growth=growth * width))


class Fusion(nn.Module):
    """The second stage: pix2pixHD's local enhancer around a coarse generator whose features meet the style.

    Args:
        width: Channels of the first fine layer; the coarse ones have twice as many.
        halvings: Convolutions of stride 2 in the coarse generator.
        blocks: Its residual dense blocks; the fine generator has a third of them.
        styles: Number of styles.
    """

    def __init__(self, width: int, halvings: int, blocks: int, styles: int) -> None:
        super().__init__()
        self.coarse = drawing(2 * width, halvings, blocks).layers[:-3]  # without its last convolution
        self.expand = nn.Conv2d(2 * width + styles, 2 * width, 1)
        fine = drawing(width, 1, blocks // 3, growth=2).layers
        self.enter, self.draw = fine[:7], fine[7:]  # down to half the size, and from there
        normal_init(self.expand)

    def forward(self, stage1: Tensor, style: Tensor) -> Tensor:
        """Sketches of the first stage (n, 3, h, w) and one-hot styles (n, styles) to sketches (n, 3, h, w)."""
        half = F.avg_pool2d(stage1, 3, stride=2, padding=1, count_include_pad=False)
        coarse = self.coarse(half)
        vector = style[:, :, None, None].expand(-1, -1, *coarse.shape[2:])
        faces: Tensor = self.draw(self.enter(stage1) + self.expand(torch.cat([coarse, vector], dim=1)))
        return faces


class StyleClassifier(nn.Module):
    """Tells the style of a sketch: convolutions of stride 2, the mean over the places, one linear layer."""

    def __init__(self, width: int, styles: int) -> None:
        super().__init__()
        levels, channels = encoder(3, width, 4)
        self.levels = nn.Sequential(*levels)
        self.linear = nn.Linear(channels[-1], styles)
        normal_init(self.levels)

    def forward(self, sketches: Tensor) -> Tensor:
        """Sketches (n, 3, h, w) to logits (n, styles)."""
        logits: Tensor = self.linear(self.levels(sketches).relu().mean(dim=(2, 3)))
        return logits
