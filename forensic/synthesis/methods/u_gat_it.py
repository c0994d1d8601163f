"""U-GAT-IT: attention by class activation maps, and a normalization that chooses how much of the style to change.

Kim, Kim, Kang, Lee: U-GAT-IT: Unsupervised Generative Attentional Networks with Adaptive Layer-Instance Normalization
for Image-to-Image Translation, ICLR 2020.

For each direction, X_s is what it takes and X_t what it gives. Where the paper leaves room, or the toolkit differs:

- η and η_D stand for two classifiers each, of global average and of global maximum pooling, as in the authors' code;
  a term is the mean over both. Equation 6 is least squares there, with 1 for true images and 0 for synthesized ones.
- The classifiers' weights scale the features, which a 1 x 1 convolution then brings back to as many channels. In the
  discriminators the weights are spectrally normalized, as all but that convolution is.
- γ and β come from all of the features; ``light`` takes their means, as the authors' code does to save memory.
- The paper's 1,000,000 steps are 294 passes over its 3,400 training images. Its jitter is that of pix2pix.
- The encoder is CycleGAN's: its instance norms learn scale and shift.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from forensic.errors import UsageError
from forensic.synthesis.cyclic import Cyclic
from forensic.synthesis.losses import adversarial, l1, sum_of
from forensic.synthesis.networks import normal_init, residual_encoder
from forensic.synthesis.registry import method
from forensic.synthesis.translator import DIRECTIONS, Batch, Faces, Modality, Player, Recipe, check_directions


@method("u-gat-it")
class UGATIT(Cyclic):
    """Unsupervised generative attentional networks with adaptive layer-instance normalization.

    Args:
        source: Modality of what ``translate`` takes.
        target: Modality of what ``translate`` gives.
        size: Pixels a side inside the networks; ``translate`` resizes to it and back.
        width: Channels of the first layers of all networks.
        blocks: Residual blocks of a generator's encoder, and of its decoder.
        layers: Convolutions of the discriminators, global and local; of k, k - 2 halve the sides. ``size`` is divisible
            by ``2 ** (k - 2)`` and is ``2 ** k`` or more.
        light: Whether γ and β come from the features' means alone.
        lambda_1: Weight of the adversarial loss, λ₁.
        lambda_2: Weight of the cycle loss, λ₂.
        lambda_3: Weight of the identity loss, λ₃.
        lambda_4: Weight of the generators' CAM loss, λ₄.
        discriminator_rate: The discriminators' learning rate in units of the generators'.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = (
        "Kim et al., U-GAT-IT: Unsupervised Generative Attentional Networks with Adaptive Layer-Instance Normalization"
        " for Image-to-Image Translation, ICLR 2020"
    )
    critics = ("discriminators",)
    recipe = Recipe(
        epochs=294, flat=0.5, batch=1, learning_rate=1e-4, betas=(0.5, 0.999), flip=True, shift=15, weight_decay=1e-4
    )

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        blocks: int = 4,
        layers: tuple[int, int] = (7, 5),
        light: bool = False,
        lambda_1: float = 1.0,
        lambda_2: float = 10.0,
        lambda_3: float = 10.0,
        lambda_4: float = 1000.0,
        discriminator_rate: float = 1.0,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        if min(layers) < 3 or size < 2 ** max(layers) or size % max(4, 2 ** (max(layers) - 2)):
            raise UsageError(
                f"u-gat-it: layers {tuple(layers)} and size {size}; expected 3 layers or more, and a size that is"
                " 2 ** layers or more and divisible by 2 ** (layers - 2)."
            )
        self.source, self.target, self.size, self.width = source, target, size, width
        self.blocks, self.layers, self.light, self.discriminator_rate = blocks, tuple(layers), light, discriminator_rate
        self.lambda_1, self.lambda_2, self.lambda_3, self.lambda_4 = lambda_1, lambda_2, lambda_3, lambda_4
        seen = 1 if light else (size // 4) ** 2
        self.generators = nn.ModuleDict({f"{a}_to_{b}": Generator(width, blocks, seen) for a, b in DIRECTIONS})
        self.discriminators = nn.ModuleDict(
            {b: nn.ModuleList(Discriminator(width, count) for count in layers) for _, b in DIRECTIONS}
        )

    def forward(self, batch: Batch) -> Faces:
        """G(x) and what returns from it, for each direction, beside what η says of x."""
        faces: Faces = {}
        for a, b in DIRECTIONS:
            faces[b], faces[f"{b} code"] = self._attentive(a, b, batch.of(a))
        faces |= {f"{a} again": self._G(b, a, faces[b]) for a, b in DIRECTIONS}
        return faces | {"synthesized": faces[self.target]}

    def players(self) -> dict[str, Player]:
        """All discriminators, then both generators, whose ρ stay in [0, 1]."""
        return {
            "discriminators": Player(self.discriminators, self.discriminator_loss, rate=self.discriminator_rate),
            "generators": Player(self.generators, self.generator_loss, after=self.clip_rho),
        }

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equations 2 and 6, with least squares, summed over the directions and both scales."""
        real = [verdict for _, b in DIRECTIONS for verdict in self._verdicts(b, batch.of(b))]
        synthesized = [verdict for _, b in DIRECTIONS for verdict in self._verdicts(b, faces[b].detach())]
        return {"real": self._L_gan(real, real=True), "synthesized": self._L_gan(synthesized, real=False)}

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The full objective, each term summed over the directions."""
        verdicts = [verdict for _, b in DIRECTIONS for verdict in self._verdicts(b, faces[b])]
        terms = {
            "adversarial": self._L_gan(verdicts, real=True),  # equation 2
            "cycle": self.lambda_2 * self.cycle(batch, faces),  # equation 3
        }
        identity, CAM = [], []
        for a, b in DIRECTIONS:
            same, code = self._attentive(a, b, batch.of(b))
            identity.append(l1(same, batch.of(b)))  # equation 4
            # Equation 5: η_s tells what has to be translated from what is there already.
            CAM += [adversarial(faces[f"{b} code"], real=True), adversarial(code, real=False)]
        return terms | {"identity": self.lambda_3 * sum_of(identity), "CAM": self.lambda_4 * sum_of(CAM)}

    @torch.no_grad()
    def clip_rho(self) -> None:
        """Bring every ρ back into [0, 1] (below equation 1)."""
        for module in self.generators.modules():
            if isinstance(module, AdaLIN):
                module.rho.clamp_(0, 1)

    def _attentive(self, a: Modality, b: Modality, images: Tensor) -> tuple[Tensor, Tensor]:
        generator = self.generators[f"{a}_to_{b}"]
        assert isinstance(generator, Generator)
        return generator.attentive(images)

    def _L_gan(self, verdicts: list[Tensor], *, real: bool) -> Tensor:
        return self.lambda_1 * sum_of(adversarial(seen, real=real, criterion="least-squares") for seen in verdicts)

    def _verdicts(self, b: Modality, images: Tensor) -> list[Tensor]:
        """Of each scale, the scores of D and the logits of η_D."""
        return [verdict for D in self.discriminators[b].children() for verdict in D(images)]


class Attention(nn.Module):
    """Features weighted by what makes them one class or the other (section 2.1.1, after Zhou et al. 2016).

    Args:
        channels: Channels of the features.
        slope: Of the activation below 0.
        normalized: Whether the classifiers' weights are spectrally normalized.
    """

    def __init__(self, channels: int, *, slope: float = 0.0, normalized: bool = False) -> None:
        super().__init__()
        self.slope = slope
        self.average, self.maximum = (nn.Linear(channels, 1, bias=False) for _ in range(2))
        if normalized:
            spectral_norm(self.average)
            spectral_norm(self.maximum)
        self.merge = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, c, h, w) to attended ones of the same shape, and to the logits of η, (n, 2)."""
        logits = torch.cat([self.average(features.mean(dim=(2, 3))), self.maximum(features.amax(dim=(2, 3)))], dim=1)
        weights = torch.cat(
            [self.average.weight, self.maximum.weight], dim=1
        )  # of either's features, one after the other
        attended = self.merge(torch.cat([features, features], dim=1) * weights[..., None, None])
        return F.leaky_relu(attended, self.slope), logits


class AdaLIN(nn.Module):
    """A mean of instance and layer normalization, ρ of the one and 1 - ρ of the other (equation 1).

    Args:
        channels: Channels of the features; each has its own ρ.
        rho: Where every ρ begins: 1 in residual blocks, 0 in the up-sampling.
    """

    def __init__(self, channels: int, rho: float) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((1, channels, 1, 1), rho))

    def forward(self, a: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Features (n, c, h, w), with γ and β of shape (n, c) or (1, c)."""
        by_instance, by_layer = F.instance_norm(a), F.layer_norm(a, a.shape[1:])
        mixed = self.rho * by_instance + (1 - self.rho) * by_layer
        return gamma[..., None, None] * mixed + beta[..., None, None]


class LIN(AdaLIN):
    """The same with γ and β of its own: the up-sampling's normalization."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, rho=0.0)
        self.gamma, self.beta = nn.Parameter(torch.ones(1, channels)), nn.Parameter(torch.zeros(1, channels))

    def forward(self, a: Tensor) -> Tensor:  # type: ignore[override]
        """Features (n, c, h, w) to as many."""
        return super().forward(a, self.gamma, self.beta)


class AdaptiveBlock(nn.Module):
    """A residual block whose norms take γ and β from elsewhere."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(reflected(channels, channels, 3, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(AdaLIN(channels, rho=1.0) for _ in range(2))

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Features (n, c, h, w) to as many."""
        inner = self.norms[0](self.convolutions[0](x), gamma, beta).relu()
        out: Tensor = x + self.norms[1](self.convolutions[1](inner), gamma, beta)
        return out


class Generator(nn.Module):
    """Encoder, attention, and a decoder that AdaLIN steers.

    Args:
        width: Channels of the first layer; they double twice.
        blocks: Residual blocks before and after the attention.
        seen: Values of each channel that γ and β are computed from; 1 means their mean.
    """

    def __init__(self, width: int, blocks: int, seen: int) -> None:
        super().__init__()
        channels = 4 * width
        self.light = seen == 1
        self.E = nn.Sequential(*residual_encoder(3, width, 2, blocks))
        self.attention = Attention(channels)
        self.mlp = nn.Sequential(
            nn.Linear(seen * channels, channels, bias=False),
            nn.ReLU(),
            nn.Linear(channels, channels, bias=False),
            nn.ReLU(),
        )
        self.gamma, self.beta = (nn.Linear(channels, channels, bias=False) for _ in range(2))
        self.blocks = nn.ModuleList(AdaptiveBlock(channels) for _ in range(blocks))
        up: list[nn.Module] = []
        for leaving in (2 * width, width):
            up += [nn.Upsample(scale_factor=2), reflected(2 * leaving, leaving, 3, bias=False), LIN(leaving), nn.ReLU()]
        self.up = nn.Sequential(*up, reflected(width, 3, 7), nn.Tanh())
        normal_init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, 3, h, w) to (n, 3, h, w) in [-1, 1]."""
        return self.attentive(images)[0]

    def attentive(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the logits of η, (n, 2)."""
        x, logits = self.attention(self.E(images))
        code = self.mlp(x.mean(dim=(2, 3)) if self.light else x.flatten(1))
        gamma, beta = self.gamma(code), self.beta(code)
        for block in self.blocks:
            x = block(x, gamma, beta)
        return self.up(x), logits


class Discriminator(nn.Module):
    """A PatchGAN with attention and spectral norms; 5 convolutions see 70 pixels, 7 see 286.

    Args:
        width: Channels of the first layer; all convolutions but the last double them.
        layers: Convolutions, of which the last two do not halve the sides.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        channels = [3, *(width * 2**level for level in range(layers - 1))]
        convolutions = [
            reflected(entering, leaving, 4, stride=2 if level < layers - 2 else 1)
            for level, (entering, leaving) in enumerate(pairwise(channels))
        ]
        self.C = reflected(channels[-1], 1, 4, bias=False)
        for padded in (*convolutions, self.C):
            normal_init(padded)
            spectral_norm(padded.get_submodule("1"))
        self.E = nn.Sequential(*(nn.Sequential(layer, nn.LeakyReLU(0.2)) for layer in convolutions))
        self.attention = Attention(channels[-1], slope=0.2, normalized=True)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, 3, h, w) to scores (n, 1, h', w') and the logits of η_D, (n, 2)."""
        features, logits = self.attention(self.E(images))
        return self.C(features), logits


def reflected(entering: int, leaving: int, kernel: int, *, stride: int = 1, bias: bool = True) -> nn.Sequential:
    """A convolution of reflected edges."""
    convolution = nn.Conv2d(entering, leaving, kernel, stride=stride, bias=bias)
    return nn.Sequential(nn.ReflectionPad2d((kernel - 1) // 2), convolution)
