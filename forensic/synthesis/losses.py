"""Terms of the methods' objectives, each a mean over all elements: weights do not depend on the size."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Criterion = Literal["log", "least-squares"]


def adversarial(scores: Tensor, *, real: bool, criterion: Criterion = "log") -> Tensor:
    """Distance of a discriminator's raw scores from the answer 'real' (or 'synthesized').

    The discriminator minimizes it with the true answer; the generator minimizes it with ``real=True`` on
    synthesized faces (the non-saturating form, Goodfellow et al. 2014, section 3).

    Args:
        scores: Raw outputs (no sigmoid), any shape.
        real: The answer to come close to.
        criterion: ``"log"`` is binary cross-entropy on the scores as logits (Goodfellow et al. 2014);
            ``"least-squares"`` is the squared distance to 1 or 0 (Mao et al. 2017).

    Returns:
        Scalar.
    """
    answer = torch.full_like(scores, float(real))
    if criterion == "log":
        return F.binary_cross_entropy_with_logits(scores, answer)
    return F.mse_loss(scores, answer)


def l1(faces: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute difference, scalar."""
    return F.l1_loss(faces, targets)


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Root mean square difference: the papers' unsquared L2 norm over the root of its number of elements; scalar."""
    return (first - second).square().mean().clamp(min=1e-12).sqrt()
