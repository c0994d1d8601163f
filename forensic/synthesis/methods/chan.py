"""CHAN: two unlike generators, fused by a gate, against a discriminator that sees many levels and scales.

Gao, Xu, Yu, Shang, Li, Tao: Complementary, Heterogeneous and Adversarial Networks for Image-to-Image Translation, IEEE
Transactions on Image Processing 30, 2021.

A deep U-Net has the whole face in view, a shallow residual network the texture. A gate says of each place which of
both counts; further residual blocks draw the face from their sum. Sizes, counts and settings are those of the authors'
release. What differs or is chosen:

- The release normalizes the generator by the statistics of batches of one, which are instance norms; so here.
- The residual blocks at the bottleneck, without norms there, see one pixel: their convolutions are 1 x 1.
- Other residual blocks are CycleGAN's: edges are reflected, and no ReLU follows the sum.
- The release begins with the weights of a trained pix2pix and lets the U-Net's last skips attend to each other; neither
  is described in the abstract, and both are left out.
- The discriminator's deepest features are 8 x 8 at any size (``levels``), and all its convolutions are 4 x 4.
- All images have three channels, also the sketches. The release pads to 286 and crops 256 at random, which is a shift
  of 15 pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.synthesis.losses import adversarial, discriminating, l1
from forensic.synthesis.networks import ResidualBlock, encoder, every_level, normal_init, up
from forensic.synthesis.registry import method
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


@method("chan")
class CHAN(Adversarial):
    """Complementary, heterogeneous and adversarial networks.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        size: Pixels a side inside the networks, a power of two; ``translate`` resizes to it and back.
        width: Channels of the first layers of all networks.
        depth: Levels of the U-Net; as many as halve ``size`` to 1 where None.
        before: Residual blocks of the shallow network before the fusion.
        after: Residual blocks after the fusion.
        levels: Convolutions of stride 2 in the discriminator; as many as leave 8 x 8 where None: 5 at 256.
        lambda_l1: Weight of the L1 term.
        discriminator_rate: The discriminator's learning rate in units of the generator's.
        dropout: Rate in the U-Net's second to fourth decoding level.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Gao et al., Complementary, Heterogeneous and Adversarial Networks for Image-to-Image Translation, TIP 2021"
    critics = ("discriminator",)
    recipe = Recipe(  # the release: 800 epochs, no fall of the learning rate, no mirroring
        epochs=800, flat=1.0, batch=1, learning_rate=1e-4, betas=(0.5, 0.999), flip=False, shift=15, tone=0.0
    )

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        depth: int | None = None,
        before: int = 3,
        after: int = 9,
        levels: int | None = None,
        lambda_l1: float = 100.0,
        discriminator_rate: float = 1.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        halvings = halvings_of(self.name, size)
        depth = halvings if depth is None else depth
        levels = halvings - 3 if levels is None else levels
        if not 2 <= depth <= halvings or not 2 <= levels <= halvings - 1:
            raise UsageError(
                f"chan: depth {depth} and levels {levels}; at size {size} depth is 2 to {halvings}, levels 2 to"
                f" {halvings - 1}."
            )
        if min(before, after) < 0:
            raise UsageError(f"chan: before {before} and after {after} residual blocks, expected 0 or more.")
        self.source, self.target, self.size, self.width, self.depth = source, target, size, width, depth
        self.before, self.after, self.levels = before, after, levels
        self.lambda_l1, self.discriminator_rate, self.dropout = lambda_l1, discriminator_rate, dropout
        self.generator = Generator(width, depth, before=before, after=after, dropout=dropout)
        self.discriminator = IntegrationDiscriminator(6, width, levels)

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        return resized(self.generator(resized(images, self.size)), images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """G(x)."""
        return {"synthesized": self.generator(batch.of(self.source))}

    def players(self) -> dict[str, Player]:
        """D moves before G, as in the release."""
        return {
            "discriminator": Player(self.discriminator, self.discriminator_loss, rate=self.discriminator_rate),
            "generator": Player(self.generator, self.generator_loss),
        }

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The adversarial loss as D's minimization, halved."""
        return discriminating(
            self._scores(batch, batch.of(self.target)), self._scores(batch, faces["synthesized"].detach())
        )

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The adversarial loss as 'maximize log D', and the distance to the true face."""
        made = faces["synthesized"]
        return {
            "adversarial": adversarial(self._scores(batch, made), real=True),
            "l1": self.lambda_l1 * l1(made, batch.of(self.target)),
        }

    def _scores(self, batch: Batch, y: Tensor) -> Tensor:
        scores: Tensor = self.discriminator(torch.cat([batch.of(self.source), y], dim=1))
        return scores


class Generator(nn.Module):
    """U-Net and residual network, their gate, and what draws the face of both.

    Args:
        width: Channels of the first layers.
        depth: Levels of the U-Net.
        before: Residual blocks before the fusion.
        after: Residual blocks after it.
        dropout: Rate in the U-Net.
    """

    def __init__(self, width: int, depth: int, *, before: int, after: int, dropout: float) -> None:
        super().__init__()
        self.unet = UNetFeatures(width, depth, dropout)
        self.residual = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
            nn.InstanceNorm2d(2 * width, affine=True),
            nn.LeakyReLU(0.2),
            *(ResidualBlock(2 * width) for _ in range(before)),
        )
        self.fusion = GatedFusion(2 * width)
        self.draw = nn.Sequential(
            *(ResidualBlock(2 * width) for _ in range(after)), up(2 * width, 3, outermost=True), nn.Tanh()
        )
        normal_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 3, h, w) to faces (n, 3, h, w) in [-1, 1]."""
        faces: Tensor = self.draw(self.fusion(self.unet(x), self.residual(x)))
        return faces


class UNetFeatures(nn.Module):
    """What a U-Net knows before its last level: ``2 * width`` channels at half the size."""

    def __init__(self, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.down, channels = encoder(3, width, depth)
        self.bottleneck = nn.Sequential(*(Bottleneck(channels[-1]) for _ in range(3)))
        self.up = nn.ModuleList()
        entering = channels[-1]
        for layer, leaving in enumerate(reversed(channels[:-1])):
            self.up.append(up(entering, leaving, dropout=dropout if 1 <= layer <= 3 else 0.0))
            entering = 2 * leaving

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 3, h, w) to features (n, 2 width, h / 2, w / 2)."""
        *skips, deepest = every_level(self.down, x)
        features: Tensor = self.bottleneck(deepest)
        for level, skip in zip(self.up, reversed(skips), strict=True):
            features = torch.cat([level(features), skip], dim=1)
        return features


class Bottleneck(nn.Module):
    """Two convolutions of one pixel beside the identity, and ReLUs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False), nn.ReLU(), nn.Conv2d(channels, channels, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, channels, h, w) to as many."""
        out: Tensor = (x + self.layers(x)).relu()
        return out


class GatedFusion(nn.Module):
    """A gate of one channel in (0, 1), looked for in both kinds of features: the U-Net's share at each place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(2 * channels, 1, 3, padding=1)

    def forward(self, unet: Tensor, residual: Tensor) -> Tensor:
        """Two features (n, channels, h, w) to their weighted mean."""
        gate = self.gate(torch.cat([residual, unet], dim=1)).sigmoid()
        fused: Tensor = gate * unet + (1 - gate) * residual
        return fused


class IntegrationDiscriminator(nn.Module):
    """The multi-layer integration discriminator (MID): features of all levels but the first score together.

    Args:
        inputs: Channels of the input.
        width: Channels of the first level; they double up to ``8 * width``.
        levels: Convolutions of stride 2.
    """

    def __init__(self, inputs: int, width: int, levels: int) -> None:
        super().__init__()
        channels = [width * min(2**level, 8) for level in range(levels)]
        self.levels = nn.ModuleList()
        for level, leaving in enumerate(channels):
            entering = channels[level - 1] if level else inputs
            norm = [nn.InstanceNorm2d(leaving)] if level else []
            convolution = nn.Conv2d(entering, leaving, 4, stride=2, padding=1)
            self.levels.append(nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2)))
        self.score = nn.Conv2d(sum(channels[1:]), 1, 4, padding=1)
        normal_init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, inputs, h, w) to raw scores (n, 1, h / 2 ** levels - 1, w / 2 ** levels - 1)."""
        scores: Tensor = self.score(torch.cat(self.integrated(images), dim=1))
        return scores

    def integrated(self, images: Tensor) -> list[Tensor]:
        """The features of every level but the first, all of the deepest one's size; the others' means, normalized."""
        *finer, deepest = every_level(self.levels, images)[1:]
        sides = (deepest.shape[2], deepest.shape[3])
        return [*(F.instance_norm(F.adaptive_avg_pool2d(features, sides)) for features in finer), deepest]
