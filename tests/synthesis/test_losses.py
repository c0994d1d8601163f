import math

import pytest
import torch

from forensic.synthesis.losses import adversarial, distance, l1, sum_of


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def test_log_criterion_is_cross_entropy_of_the_logits() -> None:
    scores = torch.tensor([[0.5, -2.0]])
    # -log sigmoid(s) = softplus(-s); -log(1 - sigmoid(s)) = softplus(s)
    assert adversarial(scores, real=True).item() == pytest.approx((softplus(-0.5) + softplus(2.0)) / 2, rel=1e-6)
    assert adversarial(scores, real=False).item() == pytest.approx((softplus(0.5) + softplus(-2.0)) / 2, rel=1e-6)


def test_least_squares_criterion() -> None:
    scores = torch.tensor([0.5, -2.0])
    assert adversarial(scores, real=True, criterion="least-squares").item() == pytest.approx((0.25 + 9) / 2)
    assert adversarial(scores, real=False, criterion="least-squares").item() == pytest.approx((0.25 + 4) / 2)


def test_wasserstein_criterion_is_a_difference_of_means() -> None:
    scores = torch.tensor([0.5, -2.0])
    assert adversarial(scores, real=True, criterion="wasserstein").item() == 0.75
    assert adversarial(scores, real=False, criterion="wasserstein").item() == -0.75


def test_an_unknown_criterion_is_refused() -> None:
    with pytest.raises(ValueError, match="'hinge': expected 'log', 'least-squares' or 'wasserstein'"):
        adversarial(torch.zeros(1), real=True, criterion="hinge")  # type: ignore[arg-type]


def test_a_sum_of_terms() -> None:
    assert sum_of(torch.tensor(value) for value in (1.0, 2.0, 4.5)).item() == 7.5


def test_l1_is_a_mean() -> None:
    assert l1(torch.tensor([1.0, -1.0, 0.5, 0.0]), torch.tensor([0.0, 1.0, 0.5, 0.0])).item() == 0.75


def test_a_distance_is_the_mean_of_the_faces_own() -> None:
    """Root mean squares 3 and 4: halves of a batch in two processes have the same mean as the whole."""
    first = torch.tensor([[[[3.0, -3.0]]], [[[0.0, 4 * 2**0.5]]]])
    assert distance(first, torch.zeros_like(first)).item() == pytest.approx(3.5)


def test_pix2pix_objective_by_hand(make_tiny, make_pairs) -> None:  # type: ignore[no-untyped-def]
    """Equations 1, 3 and 4, written out on the discriminator's probabilities."""
    method = make_tiny("pix2pix").eval()
    batch = make_pairs(1).batch()
    faces = method(batch)
    x, y, fake = batch.photo, batch.sketch, faces["synthesized"]
    real_p, fake_p = (torch.sigmoid(method.discriminator(torch.cat([x, z], 1))) for z in (y, fake))
    loss = sum(method.discriminator_loss(batch, faces).values())
    torch.testing.assert_close(loss, -(real_p.log().mean() + (1 - fake_p).log().mean()) / 2)
    loss = sum(method.generator_loss(batch, faces).values())
    torch.testing.assert_close(loss, -fake_p.log().mean() + 100 * (y - fake).abs().mean())
