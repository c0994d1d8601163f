"""The contract that every synthesis method keeps.

A method translates faces between the two modalities. It names its networks, its losses and its paper's
settings; the trainer owns optimizers, precision, devices and checkpoints.
"""

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.errors import UsageError

Modality = Literal["photo", "sketch"]
DIRECTIONS: tuple[tuple[Modality, Modality], ...] = (("photo", "sketch"), ("sketch", "photo"))
SIZE = 256  # pixels a side of the faces that translate() takes and gives

Faces = dict[str, Tensor]
"""What the losses of one step share, by name: synthesized faces, each (n, 3, size, size) in [-1, 1], and maps of faces
(parsing, saliency), each (n, channels, size, size) in [0, 1]; and what networks say of faces (codes, logits), each
(n, ...), under names that end in " code"."""


class Batch(NamedTuple):
    """Aligned pairs of one training step.

    Attributes:
        photo: Photos, (n, 3, size, size) in [-1, 1] at the method's size.
        sketch: Their sketches, likewise.
        style: What each sketch is drawn in, counted from 0, (n,) int64; None where the data do not say.
    """

    photo: Tensor
    sketch: Tensor
    style: Tensor | None = None

    def of(self, modality: Modality) -> Tensor:
        """The images of one modality."""
        return self.photo if modality == "photo" else self.sketch


class Player(NamedTuple):
    """One side of an adversarial game.

    Attributes:
        network: The parameters that move on this player's turn, and no others.
        loss: Named, already weighted terms; their sum is minimized.
        turns: Optimizer steps a batch.
        rate: Learning rate in units of the recipe's.
        after: Called after each of its steps, as by a method that holds parameters to a range.
    """

    network: nn.Module
    loss: Callable[[Batch, Faces], dict[str, Tensor]]
    turns: int = 1
    rate: float = 1.0
    after: Callable[[], None] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a method is trained; each method's ``recipe`` holds its paper's values.

    Attributes:
        epochs: Passes over the training pairs.
        flat: Share of the epochs at the full learning rate; then it falls linearly towards 0.
        batch: Pairs a step.
        learning_rate: Adam's step size.
        betas: Adam's decay rates.
        weight_decay: Weight of half the parameters' squared norm, which Adam adds to every loss.
        flip: Mirror a pair at random.
        shift: Largest random shift of a pair, in pixels of a 256 x 256 face (edges are replicated).
        tone: Strength of the random contrast, brightness and paper-tint changes of the source image, 0 to 1. A method
            that learns both ways sees the changed image as the other way's target too.
        average: Decay, for each step, of the running mean of the weights that is judged, shown and saved; with 0 these
            are the last weights. None of the papers averages. What an adversary makes a generator draw changes from
            step to step; it goes in the mean (Yazici et al., The Unusual Effectiveness of Averaging in GAN Training,
            ICLR 2019).

    Raises:
        UsageError: A value is out of its range.
    """

    epochs: int = 200
    flat: float = 0.5
    batch: int = 1
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    flip: bool = True
    shift: int = 15
    tone: float = 0.0
    average: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        betas = tuple(self.betas) if isinstance(self.betas, list | tuple) else ()  # JSON and TOML bring a list
        if len(betas) != 2 or not all(type(beta) in (int, float) and 0 <= beta < 1 for beta in betas):
            raise UsageError(f"Recipe: betas is {self.betas!r}, expected two numbers from 0 to below 1.")
        object.__setattr__(self, "betas", betas)
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise UsageError(f"Recipe: {field.name} is {value!r}, expected {kind.__name__}.")
        ranges: dict[str, tuple[float, float]] = {
            "epochs": (1, float("inf")),
            "flat": (0, 1),
            "batch": (1, float("inf")),
            "learning_rate": (0, 1),
            "shift": (0, SIZE // 4),
            "tone": (0, 1),
            "average": (0, 0.99999),
            "weight_decay": (0, 1),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                expected = f"{low:g} or more" if high == float("inf") else f"{low:g} to {high:g}"
                raise UsageError(f"Recipe: {name} is {value}, expected {expected}.")

    def changed(self, **settings: Any) -> Self:
        """This recipe with some values replaced.

        Raises:
            UsageError: A name that no recipe has, or a value out of its range.
        """
        known = [field.name for field in dataclasses.fields(self)]
        for name in settings:
            if name not in known:
                raise UsageError(f"Unknown recipe setting {name!r}. Known: {', '.join(known)}.")
        return dataclasses.replace(self, **settings)

    def learning_rate_at(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0; the last one is small but not 0."""
        flat = round(self.flat * self.epochs)
        falling = max(0, epoch - flat + 1) / (self.epochs - flat + 1)
        return self.learning_rate * (1 - falling)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepRecipe(Recipe):
    """A recipe whose learning rate falls in steps, as in MSG-SARL, section 4.2.

    ``flat`` is the share of the epochs between two steps; each is to a tenth, until a hundredth is left.
    """

    def learning_rate_at(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        steps = epoch // max(1, round(self.flat * self.epochs))
        return self.learning_rate * 0.1 ** min(steps, 2)


class Translator(nn.Module):
    """Turns faces of one modality into the other.

    The constructor is the configuration: it takes keyword-only arguments with the paper's values as
    defaults and keeps each under its own name, so that ``settings`` can be written beside the weights.
    """

    paper: ClassVar[str]
    """Authors, title, venue and year."""
    critics: ClassVar[tuple[str, ...]] = ()
    """Submodules that only training needs; weight files leave them out."""
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = MappingProxyType({})
    """The least and the greatest value of settings, where these are not the usual ones (`registry.BOUNDS`)."""
    name: ClassVar[str]
    """Set by ``@method``."""

    source: Modality
    target: Modality
    two_way: bool = False
    """Whether the same weights go either way, as ``source`` and ``target`` say."""
    file_digest: str | None = None
    """SHA-256 of the weight file that this translator was loaded from."""

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality; in evaluation mode the same images always give the same faces.

        Args:
            images: Aligned faces of the source modality, (n, 3, 256, 256) in [-1, 1].

        Returns:
            (n, 3, 256, 256) in [-1, 1].
        """
        raise NotImplementedError

    @property
    def needs(self) -> dict[str, str]:
        """SHA-256 of every frozen network that ``translate`` consults, by what it is asked for.

        With other maps the same weights are another translator, so a weight file states them and `load` checks them.
        """
        return {}

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them.

        Raises:
            TypeError: The constructor did not keep one under its name.
        """
        names = inspect.signature(type(self)).parameters
        if lost := [name for name in names if not hasattr(self, name)]:
            raise TypeError(
                f"{type(self).__qualname__} does not keep {', '.join(lost)}: its constructor has to set"
                f" self.{lost[0]} = {lost[0]}, as of each of its arguments."
            )
        return {name: getattr(self, name) for name in names}

    def translating_state(self) -> dict[str, Tensor]:
        """The state that ``translate`` needs: everything but the critics."""
        return {name: value for name, value in self.state_dict().items() if name.split(".")[0] not in self.critics}

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all that decides the output: the weight file, else name, settings and state."""
        if self.file_digest is not None:
            return self.file_digest
        configuration = json.dumps(
            {"method": self.name, "settings": self.settings, "needs": self.needs}, sort_keys=True
        )
        content = hashlib.sha256(configuration.encode())
        for name, value in sorted(self.translating_state().items()):
            content.update(name.encode())
            content.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return content.hexdigest()


class Exemplary(Translator):
    """A translator that puts faces together from exemplars, which it holds in memory and no weight file holds."""

    def fit(self, photos: Tensor, sketches: Tensor) -> Self:
        """Take exemplars, in place of earlier ones.

        Args:
            photos: Aligned photos, (n, 3, 256, 256) in [-1, 1].
            sketches: Their sketches, likewise.
        """
        raise NotImplementedError


class Adversarial(Translator):
    """A translator that is trained by players who move in turn.

    Attributes:
        size: Pixels a side at which its networks work; the trainer feeds batches of this size.
        recipe: The paper's training settings.
    """

    size: int
    recipe: ClassVar[Recipe]

    @property
    def consults(self) -> dict[str, str]:
        """SHA-256 of every frozen network that the losses consult, all of them loaded and ready.

        Raises:
            ModelError: Weights are missing or damaged; the message says where they are to be had.
        """
        return {}

    def begin(self, epoch: int, epochs: int) -> None:
        """Called before each epoch, counted from 0; a method with stages chooses its stage by it."""

    def forward(self, batch: Batch) -> Faces:
        """Every synthesized face that the losses share, made once a step."""
        raise NotImplementedError

    def players(self) -> dict[str, Player]:
        """The players by name; the dict's order is the playing order."""
        raise NotImplementedError


def resized(images: Tensor, side: int) -> Tensor:
    """Square images (n, c, h, h) with another side."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


def check_directions(source: str, target: str) -> None:
    """Raise UsageError unless source and target are the two modalities, in either order."""
    if {source, target} != {"photo", "sketch"}:
        raise UsageError(f"Cannot translate from {source!r} to {target!r}: one of them is 'photo', the other 'sketch'.")


def halvings_of(name: str, size: int) -> int:
    """How often a size can be halved until it is 1.

    Raises:
        UsageError: It is no power of two from 32 on.
    """
    if size < 32 or size & (size - 1):
        raise UsageError(f"{name}: size is {size}, expected a power of two from 32 on.")
    return size.bit_length() - 1


def levels_of(name: str, size: int, depth: int | None) -> int:
    """Levels of a U-Net; as many as halve the size to 1 where no depth is given.

    Raises:
        UsageError: The size is below 32, or cannot be halved as often.
    """
    levels = size.bit_length() - 1 if depth is None else depth
    if size < 32 or size % 2**levels:
        raise UsageError(f"{name}: size {size} is not 32 or more and divisible by 2 ** {levels}.")
    return levels
