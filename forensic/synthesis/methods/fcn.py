"""FCN: a photo goes through a few small convolutions at full size, and comes out as its sketch.

Zhang, Lin, Wu, Ding, Zhang: End-to-End Photo-Sketch Generation via Fully Convolutional Representation Learning, ICMR
2015.

The objective is joint: a generative term, the mean squared error, and a discriminative regularization, by which a
synthesized sketch is nearer to its own person's sketch than to those of others. No adversary plays. What is open here:

- The paper's words are 'only convolutional kernels of very small sizes'; later papers count seven layers. Its table of
  layers was not at hand: kernels and channels are choices (``kernels``, ``width``), and every layer but the last has a
  ReLU. Edges are padded, so that the sketch is as large as the photo.
- The discriminative term is the softplus of how much farther the own sketch is than another person's, which falls to 0
  where it is clearly nearer. Its weight (``alpha``) and sharpness (``gamma``) are choices; distances are mean squares,
  which do not grow with the image.
- The others are those of the same batch: a batch of one has none, and its term is 0.
- The output passes tanh, to be in range. Adam and the schedule are those of the other methods here.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.synthesis import shares
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


@method("fcn")
class FCN(Adversarial):
    """Fully convolutional network with a generative-discriminative objective.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        size: Pixels a side at which it works; ``translate`` resizes to it and back.
        width: Channels of every layer but the last.
        kernels: Pixels a side of each layer's kernel, odd.
        alpha: Weight of the discriminative term.
        gamma: Sharpness of the discriminative term: how many units a difference of 1 in mean squares is.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = (
        "Zhang et al., End-to-End Photo-Sketch Generation via Fully Convolutional Representation Learning, ICMR 2015"
    )
    recipe = Recipe(
        epochs=200, flat=0.5, batch=4, learning_rate=2e-4, betas=(0.9, 0.999), flip=True, shift=15, tone=0.0
    )

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 128,
        kernels: tuple[int, ...] = (5, 5, 5, 3, 3, 3, 3),
        alpha: float = 0.1,
        gamma: float = 10.0,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        if min(kernels) < 1 or any(kernel % 2 == 0 for kernel in kernels):
            raise UsageError(f"fcn: kernels are {tuple(kernels)}, expected odd numbers, such as (5, 3, 3).")
        if alpha < 0 or gamma <= 0:
            raise UsageError(f"fcn: alpha is {alpha} and gamma {gamma}, expected 0 or more and more than 0.")
        self.source, self.target, self.size, self.width = source, target, size, width
        self.kernels, self.alpha, self.gamma = tuple(kernels), alpha, gamma
        self.network = network(width, self.kernels)

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        return resized(self.network(resized(images, self.size)), images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """f(p)."""
        return {"synthesized": self.network(batch.of(self.source))}

    def players(self) -> dict[str, Player]:
        """The network alone."""
        return {"network": Player(self.network, self.loss)}

    def loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The joint objective."""
        f, s = faces["synthesized"], batch.of(self.target)
        own, _ = shares.rows(len(f))
        return {
            "generative": F.mse_loss(f, s),
            "discriminative": self.alpha * discriminative(f, shares.gathered(s), own, gamma=self.gamma),
        }


def network(width: int, kernels: tuple[int, ...]) -> nn.Sequential:
    """Convolutions of stride 1, a ReLU between two and tanh at the end; weights as He et al. 2015 for ReLU."""
    layers: list[nn.Module] = []
    for index, kernel in enumerate(kernels):
        entering, leaving = 3 if index == 0 else width, 3 if index == len(kernels) - 1 else width
        convolution = nn.Conv2d(entering, leaving, kernel, padding=kernel // 2)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        layers += [convolution, nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Tanh())


def discriminative(f: Tensor, s: Tensor, own: range | None = None, *, gamma: float) -> Tensor:
    """Mean over all pairs i ≠ j of log(1 + exp(γ (|f_i - s_i|² - |f_i - s_j|²))) / γ.

    Args:
        f: Synthesized sketches, (n, c, h, w).
        s: Sketches of the same persons, likewise, and perhaps of others; |.|² is the mean over the elements.
        own: Where in s the persons of f are; where None, they are all of its persons.
        gamma: γ.

    Returns:
        Scalar; 0 for one person.
    """
    if len(s) == 1:
        return f.new_zeros(())
    apart = (f[:, None] - s[None]).square().mean(dim=(2, 3, 4))  # i down, j across
    first = own.start if own else 0
    others = ~torch.eye(len(s), dtype=torch.bool, device=f.device)[first : first + len(f)]
    correct = apart.diagonal(first)[: len(f), None]
    return F.softplus(gamma * (correct - apart))[others].mean() / gamma
