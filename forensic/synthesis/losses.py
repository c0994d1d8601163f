"""Terms of the methods' objectives, each a mean over all elements: weights do not depend on the size."""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from forensic.synthesis.blocks import sobel

Criterion = Literal["log", "least-squares", "wasserstein"]
FLAT = 0.01
"""Length below which a Sobel gradient counts for less: a step of one grey level is 8 / 255 long."""


def adversarial(scores: Tensor, *, real: bool, criterion: Criterion = "log") -> Tensor:
    """Distance of a discriminator's raw scores from the answer 'real' (or 'synthesized').

    The discriminator minimizes it with the true answer; the generator minimizes it with ``real=True`` on
    synthesized faces (the non-saturating form, Goodfellow et al. 2014, section 3).

    Args:
        scores: Raw outputs (no sigmoid), any shape.
        real: The answer to come close to.
        criterion: ``"log"`` is binary cross-entropy on the scores as logits (Goodfellow et al. 2014);
            ``"least-squares"`` is the squared distance to 1 or 0 (Mao et al. 2017); ``"wasserstein"`` is not one, but
            the mean score, negated where the answer is 'real' (Arjovsky et al. 2017).

    Returns:
        Scalar.
    """
    answer = torch.full_like(scores, float(real))
    if criterion == "log":
        return F.binary_cross_entropy_with_logits(scores, answer)
    if criterion == "least-squares":
        return F.mse_loss(scores, answer)
    if criterion == "wasserstein":
        return -scores.mean() if real else scores.mean()
    raise ValueError(f"Unknown criterion {criterion!r}: expected 'log', 'least-squares' or 'wasserstein'.")


def discriminating(
    real: Tensor, synthesized: Tensor, *, weight: float = 1.0, criterion: Criterion = "log"
) -> dict[str, Tensor]:
    """The terms of a discriminator's minimization, halved to slow it relative to the generator (pix2pix, section 3.3).

    Args:
        real: Its raw scores of true images.
        synthesized: Its raw scores of detached synthesized ones.
        weight: Weight of both terms.
        criterion: As in `adversarial`.
    """
    return {
        "real": weight * adversarial(real, real=True, criterion=criterion) / 2,
        "synthesized": weight * adversarial(synthesized, real=False, criterion=criterion) / 2,
    }


def judged(seen: Sequence[Sequence[Tensor]], *, real: bool, criterion: Criterion = "log") -> Tensor:
    """`adversarial`, summed over discriminators.

    Args:
        seen: What the layers of each discriminator made; the last are its raw scores.
        real: As in `adversarial`.
        criterion: As in `adversarial`.

    Returns:
        Scalar.
    """
    return sum_of(adversarial(layers[-1], real=real, criterion=criterion) for layers in seen)


def sum_of(terms: Iterable[Tensor]) -> Tensor:
    """Sum of scalars."""
    return torch.stack(list(terms)).sum()


def l1(faces: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute difference, scalar."""
    return F.l1_loss(faces, targets)


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Root mean square difference: the papers' unsquared L2 norm over the root of its number of elements; scalar."""
    return (first - second).square().mean().clamp(min=1e-12).sqrt()


def total_variation(images: Tensor) -> Tensor:
    """Sum of the squared differences of neighbouring pixels (Duan et al. 2020, equation 15).

    The one term that is no mean, as its weight is so small. A smooth image has the same at any size: twice the pixels
    a side, half the differences.

    Args:
        images: Shape (n, c, h, w).

    Returns:
        Scalar: the sum over the pixels, the mean over images and colours.
    """
    down = (images[..., 1:, :] - images[..., :-1, :]).square().sum(dim=(-2, -1))
    right = (images[..., 1:] - images[..., :-1]).square().sum(dim=(-2, -1))
    return (down + right).mean()


def feature_matching(seen: Sequence[Tensor], true: Sequence[Tensor]) -> Tensor:
    """Sum over layers of the mean absolute difference of activations (Wang et al. 2018, section 3.2); scalar."""
    return torch.stack([F.l1_loss(ours, theirs) for ours, theirs in zip(seen, true, strict=True)]).sum()


def textural(faces: Tensor, targets: Tensor) -> Tensor:
    """1 minus the mean cosine of the gradients of grey images (n, 1, h, w), in [0, 2]; scalar.

    Gao et al. 2023, equation 6. Where one of the two has no gradient the cosine is 0, so that flat paper neither gains
    nor loses.
    """
    with torch.autocast(targets.device.type, enabled=False):  # differences of neighbours are small
        found, true = sobel(faces.float()), sobel(targets.float())
        return 1 - F.cosine_similarity(true, found, dim=1, eps=FLAT).mean()
