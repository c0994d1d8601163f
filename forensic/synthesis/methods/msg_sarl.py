"""MSG-SARL: photo to sketch and sketch to photo, learned together.

Duan, Chen, Wu, Cai, Lu: Multi-Scale Gradients Self-Attention Residual Learning for Face Photo-Sketch Transformation,
IEEE Transactions on Information Forensics and Security 16, 2020.

One model holds both generators and goes either way: ``source`` and ``target`` say only which way ``translate`` goes.
What the paper leaves open or contradicts:

- Three down-sampling steps, of 64, 128 and 256 channels: O₀ of H/8 then leaves the attention module itself, before the
  first up-sampling. The skips are added at H/4 and H/2. y is read like the side images, by a 1 x 1 convolution; tanh
  keeps all four in [-1, 1]. Up-sampling repeats pixels.
- In a SARB the 5 x 5 convolution follows the basic residual block, and the attention unit follows it.
- Equations 6 and 7 take the softmax twice, which would leave it uniform: once here. Equation 9 is as printed: M is
  normalized, so that each channel's energy with itself is by far the largest, and X is nearly the identity
  (``channel="danet"`` turns the energies around, as in DANet). Equation 10 sums over the C channels.
- Equation 11 writes one ε for H and E; they are two convolutions here.
- The discriminators' convolutions are 3 x 3, each before a max pooling, and the last two 4 x 4: the patch stays 70
  pixels. A side image is lifted by a 1 x 1 convolution to as many channels as it meets (as in MSG-GAN), and the real
  ones are averages over 2, 4 and 8 pixels.
- Equation 12 is least squares as Mao et al. 2017 have it: D takes real to 1 and synthesized to 0, G synthesized to 1.
- Equation 13: the text says pool1 and pool2, the equation pool2 and pool5, as the results do (``pools``).
- Equation 15 is a sum over the pixels, and the mean over the colours: a grey face counts as one of one channel.
- All images have three channels, also the sketches. No augmentation is named; shifts here are those of pix2pix.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.synthesis import perceptual as features
from forensic.synthesis.aids import Aid
from forensic.synthesis.attention import SARB, ChannelEnergy, convolution
from forensic.synthesis.losses import adversarial, l1, sum_of, total_variation
from forensic.synthesis.networks import every_level, normal_init
from forensic.synthesis.registry import method
from forensic.synthesis.translator import (
    DIRECTIONS,
    Adversarial,
    Batch,
    Faces,
    Modality,
    Player,
    StepRecipe,
    check_directions,
    resized,
)

SIDES = (8, 4, 2)
"""How many pixels of y one pixel of O₀, O₁ and O₂ stands for."""


@method("msg-sarl")
class MSGSARL(Adversarial):
    """Multi-scale gradients, self-attention residual learning.

    The switches ``MSG``, ``attention`` and ``cycle`` are the rows of the paper's Tables 1 to 3 (``rows``).

    Args:
        source: Modality of what ``translate`` takes.
        target: Modality of what ``translate`` gives.
        size: Pixels a side inside the networks, divisible by 8; ``translate`` resizes to it and back.
        width: Channels of the first layers of all networks.
        MSG: Whether the discriminators see the side images.
        attention: Whether the SARBs have their self-attention unit.
        cycle: Whether both directions are learned, with equation 14; else only the one from source to target is.
        k: Channels of the attention over the channels of its queries and keys.
        channel: Equation 9 as printed, or with DANet's reversed energies.
        perceptual: Network of the perceptual loss, or ``"none"``.
        pools: Poolings of VGG-19 that the perceptual loss compares, the paper's i.
        lambda_1: Weight of the adversarial loss, λ₁.
        lambda_2: Weight of the perceptual loss, λ₂.
        lambda_3: Weight of the total variation, λ₃.
        lambda_4: Weight of the cycle consistency, λ₄.
        discriminator_rate: The discriminators' learning rate in units of the generators'.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = (
        "Duan et al., Multi-Scale Gradients Self-Attention Residual Learning for Face Photo-Sketch Transformation,"
        " TIFS 2020"
    )
    critics = ("discriminators",)
    recipe = StepRecipe(  # section 4.2
        epochs=400, flat=0.25, batch=1, learning_rate=1e-3, betas=(0.5, 0.999), flip=False, shift=15, tone=0.0
    )
    two_way = True  # unless made without the cycle
    rows: ClassVar[dict[str, dict[str, object]]] = {
        "backbone": {"MSG": False, "attention": False, "cycle": False},
        "backbone w/ MSG": {"attention": False, "cycle": False},
        "backbone w/ Self-Attention": {"MSG": False, "cycle": False},
        "MSG-SARL w/o MSG": {"MSG": False},
        "MSG-SARL w/o Cycle": {"cycle": False},
        "MSG-SARL w/o Self-Attention": {"attention": False},
        "MSG-SARL": {},
    }

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        MSG: bool = True,
        attention: bool = True,
        cycle: bool = True,
        k: int = 8,
        channel: ChannelEnergy = "printed",
        perceptual: str = "vgg19",
        pools: tuple[int, ...] = (2, 5),
        lambda_1: float = 1.0,
        lambda_2: float = 10.0,
        lambda_3: float = 1e-4,
        lambda_4: float = 10.0,
        discriminator_rate: float = 1.0,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        if size < 32 or size % 8:
            raise UsageError(f"msg-sarl: size {size} is not 32 or more and divisible by 8.")
        if k < 1 or not set(pools) <= {1, 2, 3, 4, 5}:
            raise UsageError(f"msg-sarl: k {k} and pools {tuple(pools)}; expected 1 or more, and poolings from 1 to 5.")
        self.source, self.target, self.size, self.width = source, target, size, width
        self.two_way = cycle
        self.MSG, self.attention, self.cycle, self.k, self.channel = MSG, attention, cycle, k, channel
        self.perceptual, self.pools = perceptual, tuple(pools)
        self.lambda_1, self.lambda_2, self.lambda_3, self.lambda_4 = lambda_1, lambda_2, lambda_3, lambda_4
        self.discriminator_rate = discriminator_rate
        self._ways = [way for way in DIRECTIONS if cycle or way == (source, target)]
        self.generators = nn.ModuleDict(
            {f"{a}_to_{b}": Generator(width, MSG=MSG, k=k if attention else 0, channel=channel) for a, b in self._ways}
        )
        self.discriminators = nn.ModuleDict({b: Discriminator(width, MSG=MSG) for _, b in self._ways})
        self._features = Aid(lambda: features.load(perceptual))

    @property
    def consults(self) -> dict[str, str]:
        """The network of the perceptual loss."""
        return {} if self.perceptual == "none" else {"perceptual": self._features.ready().digest}

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        return resized(self._G(self.source, self.target, resized(images, self.size))[-1], images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """Each direction's y = G(x) under its modality, its side images, and what comes back from y.

        A side image is enlarged by repetition, so that all have one size; ``_sides`` takes them back.
        """
        faces: Faces = {}
        for a, b in self._ways:
            *O_, faces[b] = self._G(a, b, batch.of(a))
            for i, (side, image) in enumerate(zip(SIDES, O_, strict=False)):
                faces[f"{b} O{i}"] = F.interpolate(image, scale_factor=side, mode="nearest")
        if self.cycle:
            for a, b in self._ways:
                faces[f"{a} again"] = self._G(b, a, faces[b])[-1]
        return faces | {"synthesized": faces[self.target]}

    def players(self) -> dict[str, Player]:
        """Both discriminators, then both generators: they are updated alternately (section 4.2)."""
        return {
            "discriminators": Player(self.discriminators, self.discriminator_loss, rate=self.discriminator_rate),
            "generators": Player(self.generators, self.generator_loss),
        }

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The discriminators' part of equation 16."""
        real, synthesized = [], []
        for _, b in self._ways:
            y = batch.of(b)
            d_real = self.discriminators[b](y, pyramid(y))  # equation 4
            d_fake = self.discriminators[b](
                faces[b].detach(), [O_i.detach() for O_i in self._sides(faces, b)]
            )  # equation 3
            real.append(adversarial(d_real, real=True, criterion="least-squares"))  # equation 12
            synthesized.append(adversarial(d_fake, real=False, criterion="least-squares"))
        return {"real": self.lambda_1 * sum_of(real), "synthesized": self.lambda_1 * sum_of(synthesized)}

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 16, each term summed over the directions."""
        targets = [b for _, b in self._ways]
        scores = [self.discriminators[b](faces[b], self._sides(faces, b)) for b in targets]  # equation 3
        terms = {
            "adversarial": self.lambda_1
            * sum_of([adversarial(d_fake, real=True, criterion="least-squares") for d_fake in scores]),  # equation 12
            "total_variation": self.lambda_3 * sum_of([total_variation(faces[b]) for b in targets]),  # equation 15
        }
        if self.perceptual != "none":
            network, layers = self._features.at(batch.photo), [f"pool{i}" for i in self.pools]
            terms["perceptual"] = self.lambda_2 * sum_of(
                [features.perceptual(network, faces[b], batch.of(b), layers) for b in targets]
            )  # equation 13
        if self.cycle:
            terms["cycle"] = self.lambda_4 * sum_of(
                [l1(faces[f"{a} again"], batch.of(a)) for a, _ in self._ways]
            )  # equation 14
        return terms

    def _G(self, a: Modality, b: Modality, images: Tensor) -> list[Tensor]:
        made: list[Tensor] = self.generators[f"{a}_to_{b}"](images)
        return made

    def _sides(self, faces: Faces, b: Modality) -> list[Tensor]:
        """O₀, O₁ and O₂ at their own sizes."""
        return [faces[f"{b} O{i}"][..., ::side, ::side] for i, side in enumerate(SIDES) if self.MSG]


def pyramid(y: Tensor) -> list[Tensor]:
    """Real images (n, c, h, w) at the sizes of O₀, O₁ and O₂ (equation 4)."""
    return [F.avg_pool2d(y, side) for side in SIDES]


class Generator(nn.Module):
    """Down-sampling DS, the self-attention residual module, up-sampling US, and images read at four scales (Fig. 2).

    Args:
        width: Channels of the first layer; they double twice.
        MSG: Whether the side images are read, or y alone.
        k: Reduction in the attention units; 0 leaves them out.
        channel: Reading of equation 9.
    """

    def __init__(self, width: int, *, MSG: bool, k: int, channel: ChannelEnergy) -> None:
        super().__init__()
        w = (width, 2 * width, 4 * width)
        self.DS = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(3, w[0], 4, stride=2, padding=1), nn.PReLU()),
                convolution(w[0], w[1], 4, stride=2),
                convolution(w[1], w[2], 4, stride=2),
            ]
        )
        self.SARM = nn.Sequential(*(SARB(w[2], k, channel) for _ in range(4)))  # equation 5
        self.US = nn.ModuleList([convolution(w[2], w[1], 3), convolution(w[1], w[0], 3), convolution(w[0], w[0], 3)])
        read = (w[2], w[1], w[0], w[0]) if MSG else (w[0],)
        self.gamma = nn.ModuleList(nn.Conv2d(channels, 3, 1) for channels in read)
        normal_init(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images (n, 3, h, w) to O₀, O₁, O₂ (h / 8, h / 4, h / 2) and y, or to y alone; all in [-1, 1]."""
        skips = every_level(self.DS, x)
        layers: list[Tensor] = [self.SARM(skips.pop())]
        for level in self.US:
            layer = level(F.interpolate(layers[-1], scale_factor=2, mode="nearest"))
            layers.append(layer + skips.pop() if skips else layer)
        read = layers[-len(self.gamma) :]
        return [gamma(layer).tanh() for gamma, layer in zip(self.gamma, read, strict=True)]  # equation 1


class Discriminator(nn.Module):
    """A PatchGAN with max pooling that also sees the side images (Fig. 2).

    Args:
        width: Channels of the first layer; they double three times.
        MSG: Whether it sees the side images.
    """

    def __init__(self, width: int, *, MSG: bool) -> None:
        super().__init__()
        w = [width, 2 * width, 4 * width]
        self.theta = nn.ModuleList(nn.Conv2d(3, channels, 1) for channels in w if MSG)
        seen = [channels * (1 + MSG) for channels in w]
        self.delta = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(3, w[0], 3, padding=1), nn.LeakyReLU(0.2), nn.MaxPool2d(2)),
                nn.Sequential(*normalized(seen[0], w[1], 3), nn.MaxPool2d(2)),
                nn.Sequential(*normalized(seen[1], w[2], 3), nn.MaxPool2d(2)),
                nn.Sequential(*normalized(seen[2], 8 * width, 4), nn.Conv2d(8 * width, 1, 4, padding=1)),
            ]
        )
        normal_init(self)

    def forward(self, y: Tensor, O_: list[Tensor]) -> Tensor:
        """Images (n, 3, h, w) and O₀, O₁, O₂ to scores (n, 1, h / 8 - 2, w / 8 - 2)."""
        a: Tensor = self.delta[0](y)  # a₂
        for j in (2, 3, 4):
            if self.theta:
                a = torch.cat([self.theta[j - 2](O_[4 - j]), a], dim=1)
            a = self.delta[j - 1](a)  # equation 2
        return a


def normalized(entering: int, leaving: int, kernel: int) -> list[nn.Module]:
    """A convolution, instance normalization and LeakyReLU."""
    layer = nn.Conv2d(entering, leaving, kernel, padding=1, bias=False)
    return [layer, nn.InstanceNorm2d(leaving, affine=True), nn.LeakyReLU(0.2)]
