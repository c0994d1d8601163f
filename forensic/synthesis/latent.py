"""Translators that go by way of a latent domain between photos and sketches."""

from collections.abc import Callable

from torch import Tensor, nn

from forensic.synthesis.translator import Adversarial, Batch, Faces, Modality, Player, check_directions, resized

MODALITIES: tuple[Modality, ...] = ("photo", "sketch")


class Bridged(Adversarial):
    """A translator either way: from each modality into one latent domain, and out of it into each.

    Latent variables are images of three channels in [-1, 1], of the size of the faces.

    Args:
        source: Modality of what ``translate`` takes.
        target: Modality of what ``translate`` gives.
        size: Pixels a side inside the networks.
        entering: Makes a network from a modality to the latent domain.
        leaving: Makes a network from the latent domain to a modality.

    Raises:
        UsageError: Source and target are not the two modalities.
    """

    two_way = True
    critics = ("discriminators",)
    discriminators: nn.ModuleDict
    discriminator_rate: float

    def __init__(
        self,
        source: Modality,
        target: Modality,
        size: int,
        entering: Callable[[], nn.Module],
        leaving: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        check_directions(source, target)
        self.source, self.target, self.size = source, target, size
        parts = {f"{a}_to_latent": entering() for a in MODALITIES} | {f"latent_to_{b}": leaving() for b in MODALITIES}
        self.generators = nn.ModuleDict(parts)

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        Z = self.latent(self.source, resized(images, self.size))
        return resized(self.face(self.target, Z), images.shape[-1])

    def players(self) -> dict[str, Player]:
        """All discriminators, then all generators, a step each."""
        critics = Player(self.discriminators, self.discriminator_loss, rate=self.discriminator_rate)
        return {"discriminators": critics, "generators": Player(self.generators, self.generator_loss)}

    def discriminator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The terms of all discriminators."""
        raise NotImplementedError

    def generator_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The terms of all generators."""
        raise NotImplementedError

    def latent(self, a: Modality, images: Tensor) -> Tensor:
        """The latent variables of faces of a modality."""
        Z: Tensor = self.generators[f"{a}_to_latent"](images)
        return Z

    def face(self, b: Modality, Z: Tensor) -> Tensor:
        """Faces of a modality out of latent variables."""
        faces: Tensor = self.generators[f"latent_to_{b}"](Z)
        return faces
