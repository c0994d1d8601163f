"""DRIT: what a face shows and how it is rendered, taken apart and put together anew.

Lee, Tseng, Huang, Singh, Yang: Diverse Image-to-Image Translation via Disentangled Representations, ECCV 2018.

The paper's X are photos here and its Y sketches. Where the paper leaves room, or the toolkit differs:

- The paper draws many faces of one content, with attributes from N(0, I) or of another image. ``translate`` has to give
  one: that of the attribute 0, the middle.
- The attribute is joined to the features before each part of the decoder, as the paper does where shapes stay.
- One discriminator of each modality, of three scales, sees faces with encoded and with random attributes; the authors'
  code has one for either kind. The content discriminator is a PatchGAN whose patch is the whole image at 256; it moves
  three times a step at 1 / 2.5 of the learning rate. This, the epochs, the weight decay, and that the latent regression
  does not move E^a, are as in the authors' code; there the content discriminator's steps see further images and have
  clipped gradients, content has noise in training, and its squares are regularized in place of its L1 norm.
- Normalization is by instance throughout the encoders and decoders, where it learns scale and shift, and none is in the
  attribute encoders.
- The paper crops 216 x 216 pixels; faces are whole here, and shifted as for pix2pix.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from forensic.errors import UsageError
from forensic.synthesis import shares
from forensic.synthesis.losses import adversarial, l1, sum_of
from forensic.synthesis.networks import (
    HALVINGS,
    MultiScaleDiscriminator,
    PatchDiscriminator,
    ResidualBlock,
    enlarging,
    normal_init,
    residual_encoder,
)
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


@method("drit")
class DRIT(Adversarial):
    """Disentangled representations: content that both modalities share, and an attribute of each.

    Args:
        source: Modality of what ``translate`` takes.
        target: Modality of what ``translate`` gives.
        size: Pixels a side inside the networks, divisible by 4; ``translate`` resizes to it and back.
        width: Channels of the first layers of all networks.
        blocks: Residual blocks of a content encoder and of a generator; one of each is shared by both modalities.
        attributes: Numbers in an attribute vector.
        scales: Scales of the discriminators.
        content_patch: Side of the patch of content that the content discriminator sees, a pixel of which is four of
            the face: 16, 34, 70 or 142.
        content_turns: Steps of the content discriminator for one of all the others.
        lambda_content: Weight of the content adversary's loss.
        lambda_domain: Weight of the adversarial loss of faces.
        lambda_cc: Weight of the cross-cycle consistency.
        lambda_recon: Weight of the reconstruction of a face from its own content and attribute.
        lambda_latent: Weight of the latent regression.
        lambda_KL: Weight of the attributes' divergence from N(0, I), and of the content's L1 norm.
        discriminator_rate: The discriminators' learning rate in units of the generators'.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Lee et al., Diverse Image-to-Image Translation via Disentangled Representations, ECCV 2018"
    critics = ("discriminators", "content_discriminator", "attribute_encoders")
    two_way = True
    recipe = Recipe(
        epochs=400, flat=0.5, batch=1, learning_rate=1e-4, betas=(0.5, 0.999), flip=True, shift=15, weight_decay=1e-4
    )

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 64,
        blocks: int = 4,
        attributes: int = 8,
        scales: int = 3,
        content_patch: int = 70,
        content_turns: int = 3,
        lambda_content: float = 1.0,
        lambda_domain: float = 1.0,
        lambda_cc: float = 10.0,
        lambda_recon: float = 10.0,
        lambda_latent: float = 10.0,
        lambda_KL: float = 0.01,
        discriminator_rate: float = 1.0,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        least = max(32, 12 * 2 ** HALVINGS.get(content_patch, 0))  # its last norm sees 2 x 2 places
        if size < least or size % 4 or min(blocks, attributes, scales, content_turns) < 1:
            raise UsageError(
                f"drit: size {size}, blocks {blocks}, attributes {attributes}, scales {scales} and content_turns"
                f" {content_turns}; expected a size of {least} or more for content_patch {content_patch}, divisible"
                " by 4, and 1 or more of the others."
            )
        self.source, self.target, self.size, self.width, self.blocks = source, target, size, width, blocks
        self.attributes, self.scales = attributes, scales
        self.content_patch, self.content_turns = content_patch, content_turns
        self.lambda_content, self.lambda_domain, self.lambda_cc = lambda_content, lambda_domain, lambda_cc
        self.lambda_recon, self.lambda_latent, self.lambda_KL = lambda_recon, lambda_latent, lambda_KL
        self.discriminator_rate = discriminator_rate
        sides = [b for _, b in DIRECTIONS]
        self.content_encoders = ContentEncoders(width, blocks)
        self.generators = Generators(width, blocks, attributes)
        self.attribute_encoders = nn.ModuleDict({b: attribute_encoder(width, attributes) for b in sides})
        self.discriminators = nn.ModuleDict(
            {b: MultiScaleDiscriminator(inputs=3, width=width, scales=scales) for b in sides}
        )
        self.content_discriminator = PatchDiscriminator(inputs=4 * width, width=width, patch=content_patch)

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        content = self.content_encoders(self.source, resized(images, self.size))
        middle = content.new_zeros(len(content), self.attributes)
        return resized(self.generators(self.target, content, middle), images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """Of x and y: put together crosswise, from themselves, with a random attribute, and crosswise once more."""
        z = normal(batch.photo.new_empty(len(batch.photo), self.attributes))
        faces: Faces = {"random code": z}
        for _, b in DIRECTIONS:
            faces[f"{b} content code"] = self.content_encoders(b, batch.of(b))
            faces[f"{b} attribute code"] = self.attribute_encoders[b](batch.of(b))
        for a, b in DIRECTIONS:
            own, other = faces[f"{b} content code"], faces[f"{a} content code"]
            attribute = drawn(faces[f"{b} attribute code"])
            faces[b] = self.generators(b, other, attribute)  # u and v, equation 2
            faces[f"{b} itself"] = self.generators(b, own, attribute)
            faces[f"{b} random"] = self.generators(b, other, z)
        for a, b in DIRECTIONS:  # the content of x is in v, its attribute in u
            content, attribute = self.content_encoders(b, faces[b]), drawn(self.attribute_encoders[a](faces[a]))
            faces[f"{a} again"] = self.generators(a, content, attribute)  # equation 3
        return faces | {"synthesized": faces[self.target]}

    def players(self) -> dict[str, Player]:
        """The content's discriminator, the faces' discriminators, then encoders and generators together."""
        rate = self.discriminator_rate
        makers = nn.ModuleList([self.content_encoders, self.attribute_encoders, self.generators])
        return {
            "content_discriminator": Player(
                self.content_discriminator, self.content_loss, turns=self.content_turns, rate=rate / 2.5
            ),
            "discriminators": Player(self.discriminators, self.discriminator_loss, rate=rate),
            "generators": Player(makers, self.generator_loss),
        }

    def content_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """D^c tells which modality a content is from (equation 1)."""
        photo, sketch = (self._content_scores(faces, b, detached=True) for b in ("photo", "sketch"))
        return {"photo": adversarial(photo, real=True), "sketch": adversarial(sketch, real=False)}

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The domains' adversarial loss; both kinds of synthesized faces count half."""
        real, synthesized = [], []
        for _, b in DIRECTIONS:
            real += [adversarial(scores, real=True) for scores in self._scores(b, batch.of(b))]
            for made in (faces[b], faces[f"{b} random"]):
                synthesized += [adversarial(scores, real=False) / 2 for scores in self._scores(b, made.detach())]
        return {"real": sum_of(real), "synthesized": sum_of(synthesized)}

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The full objective, each term summed over both modalities."""
        terms: dict[str, list[Tensor]] = {}
        for _, b in DIRECTIONS:
            content, attribute = faces[f"{b} content code"], faces[f"{b} attribute code"]
            unsure = self._content_scores(faces, b)
            mean = self._held(b, faces[f"{b} random"]).chunk(2, dim=1)[0]
            made = [*self._scores(b, faces[b]), *self._scores(b, faces[f"{b} random"])]
            side = {
                # Half of either answer: content from which D^c cannot tell the modality (equation 1).
                "content": self.lambda_content * sum_of(adversarial(unsure, real=real) / 2 for real in (True, False)),
                "domain": self.lambda_domain * sum_of(adversarial(scores, real=True) for scores in made),
                "cross_cycle": self.lambda_cc * l1(faces[f"{b} again"], batch.of(b)),  # equation 4
                "reconstruction": self.lambda_recon * l1(faces[f"{b} itself"], batch.of(b)),
                "latent": self.lambda_latent * l1(mean, faces["random code"]),
                "KL": self.lambda_KL * divergence(attribute),
                "content_norm": self.lambda_KL * content.abs().mean(),
            }
            for name, value in side.items():
                terms.setdefault(name, []).append(value)
        return {name: sum_of(values) for name, values in terms.items()}

    def _content_scores(self, faces: Faces, b: Modality, *, detached: bool = False) -> Tensor:
        content = faces[f"{b} content code"]
        scores: Tensor = self.content_discriminator(content.detach() if detached else content)
        return scores

    def _scores(self, b: Modality, images: Tensor) -> list[Tensor]:
        """The scores of each scale."""
        return [levels[-1] for levels in self.discriminators[b](images)]

    def _held(self, b: Modality, images: Tensor) -> Tensor:
        """What E^a says of images, without a gradient for E^a itself: or it would read what the generator hides."""
        E = self.attribute_encoders[b]
        code = functional_call(E, {name: value.detach() for name, value in E.named_parameters()}, (images,))
        return cast(Tensor, code)


def drawn(code: Tensor) -> Tensor:
    """An attribute drawn from the normal distribution whose mean and log variance the code (n, 2 z) is."""
    mean, log_variance = code.chunk(2, dim=1)
    return mean + (log_variance / 2).exp() * normal(mean)


def normal(like: Tensor) -> Tensor:
    """Drawn from N(0, I), like a tensor (n, z)."""
    return shares.drawn(lambda n: torch.randn_like(like.new_empty(n, like.shape[1])), len(like))


def divergence(code: Tensor) -> Tensor:
    """Kullback-Leibler divergence of that distribution from N(0, I): a sum over the vector, a mean over the faces."""
    mean, log_variance = code.chunk(2, dim=1)
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2


def attribute_encoder(width: int, attributes: int) -> nn.Sequential:
    """E^a: four convolutions, their mean, and one layer to the means and log variances of the attribute."""
    layers: list[nn.Module] = []
    entering = 3
    for leaving in (width, 2 * width, 4 * width, 4 * width):
        layers += [nn.Conv2d(entering, leaving, 4, stride=2, padding=1), nn.ReLU()]
        entering = leaving
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(entering, 2 * attributes))


class ContentEncoders(nn.Module):
    """E^c of both modalities, whose last block is one and the same."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        own: dict[str, nn.Module] = {
            b: nn.Sequential(*residual_encoder(3, width, 2, blocks - 1)) for _, b in DIRECTIONS
        }
        self.own, self.shared = nn.ModuleDict(own), ResidualBlock(4 * width)
        normal_init(self)

    def forward(self, modality: Modality, images: Tensor) -> Tensor:
        """Images (n, 3, h, w) of a modality to content (n, 4 width, h / 4, w / 4)."""
        content: Tensor = self.shared(self.own[modality](images))
        return content


class Generators(nn.Module):
    """G of both modalities, whose first block is one and the same; then the attribute joins, before each stage."""

    def __init__(self, width: int, blocks: int, attributes: int) -> None:
        super().__init__()
        z, c = attributes, 4 * width
        self.shared = ResidualBlock(c)
        self.own = nn.ModuleDict()
        for _, b in DIRECTIONS:
            residual = nn.Sequential(*(ResidualBlock(c + z) for _ in range(blocks - 1)))
            first, second = (nn.Sequential(*enlarging(k, m)) for k, m in ((c + 2 * z, c // 2), (c // 2 + z, width)))
            last = nn.Sequential(nn.ConvTranspose2d(width + z, 3, 1), nn.Tanh())
            self.own[b] = nn.ModuleList([residual, first, second, last])
        normal_init(self)

    def forward(self, modality: Modality, content: Tensor, attribute: Tensor) -> Tensor:
        """Content (n, 4 width, h / 4, w / 4) and attributes (n, z) to faces (n, 3, h, w) in [-1, 1] of a modality."""
        features: Tensor = self.shared(content)
        for stage in self.own[modality].children():
            joined = attribute[..., None, None].expand(-1, -1, *features.shape[-2:])
            features = stage(torch.cat([features, joined], dim=1))
        return features
