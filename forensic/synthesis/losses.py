"""Terms of the methods' objectives, each a mean over all elements: weights do not depend on the size."""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from forensic.synthesis.blocks import sobel

Criterion = Literal["log", "least-squares", "wasserstein"]
Bounded = Literal["log", "least-squares"]
"""Criteria that have a least value; by the other one a discriminator has to be held to a range."""
Variance = Literal["within", "printed"]
Affinity = Literal["map", "cosine"]
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
    """Root mean square difference: the papers' unsquared L2 norm over the root of its number of elements; scalar.

    A face's, and their mean: so a batch is the same in one process or in several.
    """
    return (first - second).square().flatten(1).mean(dim=1).clamp(min=1e-12).sqrt().mean()


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


def reweighting(
    G: Tensor, Y: Tensor, S: Tensor, *, variance: Variance = "within", affinity: Affinity = "map"
) -> Tensor:
    """The Adaptive Re-weighting loss of SDGAN (Qi et al. 2021, equation 6): sketches compared class by class.

    Args:
        G: Synthesized sketches, (n, c, h, w) in [-1, 1].
        Y: Target sketches, likewise.
        S: Semantic masks, (n, classes, h, w) in [0, 1].
        variance: Reading of equation 2.
        affinity: Reading of equation 3.

    Returns:
        Scalar: the sum over both kinds of maps of the mean over faces and classes. A class that a face does not have
        adds nothing.
    """
    target = affinities(Y, S, variance=variance, affinity=affinity)
    synthesized = affinities(G, S, variance=variance, affinity=affinity)
    total = G.new_zeros(len(G))
    for C_target, C_fake in zip(target, synthesized, strict=True):  # r = 1, 2
        difference = (C_target - C_fake).square()
        if affinity == "map":  # over the pixels of the class
            area = S.sum(dim=(2, 3))
            difference = difference.mean(dim=2).sum(dim=(2, 3)) / area.clamp(min=1)
        total = total + difference.mean(dim=1)
    return total.mean()


def affinities(
    sketches: Tensor, S: Tensor, *, variance: Variance = "within", affinity: Affinity = "map"
) -> tuple[Tensor, Tensor]:
    """C₁ and C₂ (Qi et al. 2021, equations 1 to 3).

    F is the sketch in [0, 1]: no ink is 1. ‖·‖₂ is the root mean square, so that an affinity does not depend on the
    number of pixels.

    Returns:
        Each (n, classes, c, h, w), zero outside of its class; or (n, classes) for one cosine a class.
    """
    F_, S = ((sketches + 1) / 2)[:, None], S[:, :, None]  # (n, 1, c, h, w) and (n, classes, 1, h, w)
    area = S.sum(dim=(3, 4), keepdim=True).clamp(min=1e-6)  # |S(:, :, c)|
    mu = (S * F_).sum(dim=(3, 4), keepdim=True) / area  # equation 1
    if variance == "within":
        nu = (S * (F_ - mu).square()).sum(dim=(3, 4), keepdim=True) / area  # equation 2
    else:
        nu = (S * F_ - mu).square().sum(dim=(3, 4), keepdim=True) / area
    return _affinity(F_, S, mu, affinity), _affinity(F_, S, nu, affinity)


def _affinity(F_: Tensor, S: Tensor, weight: Tensor, affinity: Affinity) -> Tensor:
    """Equation 3, the weight laid out inside the masks."""
    if affinity == "cosine":
        inside, laid_out = (S * F_).flatten(2), (S * weight).flatten(2)
        return F.cosine_similarity(inside, laid_out, dim=2, eps=1e-6)

    def norm(x: Tensor) -> Tensor:
        return x.square().mean(dim=(2, 3, 4), keepdim=True).clamp(min=1e-8).sqrt()

    return S * F_ * weight / (norm(F_) * norm((S * weight).sum(dim=1, keepdim=True)))
