"""The closed form against its constrained program, solved by multipliers and by scipy; the draw; LLE as a limit."""

import numpy as np
import pytest
import torch
from invented import noise
from scipy.optimize import minimize
from torch import Tensor

from forensic.errors import UsageError
from forensic.images import luminance
from forensic.synthesis import create
from forensic.synthesis.methods.lle import combination
from forensic.synthesis.methods.rslcr import RSLCR, FastRSLCR, localized
from forensic.synthesis.patchwork import cut, cut_one


def by_multipliers(x: np.ndarray, X: np.ndarray, locality: float) -> np.ndarray:
    """Weights, sum 1, that minimize |x − X'w|² + λ |d ∘ w|², X (n, pixels)."""
    n = len(X)
    d = np.linalg.norm(X - x, axis=1)
    system = np.ones((n + 1, n + 1))
    system[n, n] = 0
    system[:n, :n] = 2 * (X @ X.T + locality * np.diag(d**2))
    return np.linalg.solve(system, np.append(2 * X @ x, 1.0))[:n]


@pytest.mark.parametrize("candidates", [7, 40])
def test_weights_are_those_of_the_constrained_program(candidates: int) -> None:
    """Fewer candidates than pixels, and more."""
    draw = torch.Generator().manual_seed(0)
    x, X = torch.randn(3, 16, generator=draw), torch.randn(3, candidates, 16, generator=draw)
    X[:, :3] = x[:, None] + 0.05 * X[:, :3]  # some are near
    w = localized(X - x[:, None], 0.5)
    for one, patch, others in zip(w, x.double().numpy(), X.double().numpy(), strict=True):
        np.testing.assert_allclose(one.numpy(), by_multipliers(patch, others, 0.5), atol=2e-5)


def test_weights_are_those_of_scipy() -> None:
    draw = np.random.default_rng(0)
    x, X = draw.standard_normal(9), draw.standard_normal((4, 9))
    d = np.linalg.norm(X - x, axis=1)
    found = minimize(
        lambda w: ((x - X.T @ w) ** 2).sum() + 0.5 * ((d * w) ** 2).sum(),
        np.full(4, 0.25),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    w = localized(torch.from_numpy(X - x).float()[None], 0.5)[0]
    np.testing.assert_allclose(w.numpy(), found.x, atol=1e-5)


def test_a_candidate_that_is_the_patch_has_all_the_weight() -> None:
    difference = torch.randn(1, 50, 9, generator=torch.Generator().manual_seed(0))
    difference[0, 7] = 0
    torch.testing.assert_close(localized(difference, 0.5), torch.eye(50)[7:8], rtol=0, atol=1e-4)


def test_among_candidates_as_far_it_is_lle() -> None:
    """Where all distances are equal, the locality constraint is LLE's ridge."""
    difference = torch.nn.functional.normalize(torch.randn(2, 5, 30, generator=torch.Generator().manual_seed(0)), dim=2)
    patch = torch.zeros(2, 30)
    torch.testing.assert_close(localized(3 * difference, 0.5), combination(patch, 3 * difference, ridge=0.5))


def near(method: RSLCR, x: Tensor) -> list[Tensor]:
    """What the nearest `kept` of each place's candidates are, by sorting."""
    kept = []
    for place, drawings in zip(method.places, method.drawings, strict=True):
        distance = (cut(method.grey, drawings, 4)[:, 0] - cut_one(x, place[None], 4)).square().sum(dim=(1, 2))
        kept.append(drawings[distance.argsort()[: getattr(method, "kept", len(drawings))]])
    return kept


@pytest.mark.parametrize("cls", [RSLCR, FastRSLCR])
def test_a_face_is_what_the_program_says_of_those_drawn(cls: type[RSLCR]) -> None:
    photos, sketches, probe = noise(3, 10, 9, seed=0), noise(3, 10, 9, seed=1), noise(1, 10, 9, seed=2)
    settings = {"kept": 5} if cls is FastRSLCR else {}
    method = cls(drawn=20, patch=4, overlap=2, search=2, **settings).fit(photos, sketches)
    x = luminance(probe)[0, 0]
    total, count = np.zeros((3, 10, 9)), np.zeros((10, 9))
    for (top, left), drawings in zip(method.places.tolist(), near(method, x), strict=True):
        X = cut(method.grey, drawings, 4).flatten(1).double().numpy()
        patch = x[top : top + 4, left : left + 4].flatten().double().numpy()
        w = by_multipliers(patch, X, 0.5)
        made = np.einsum("k,kcij->cij", w, cut(method.targets, drawings, 4).double().numpy())
        total[:, top : top + 4, left : left + 4] += made
        count[top : top + 4, left : left + 4] += 1
    np.testing.assert_allclose(method.translate(probe)[0].numpy(), (total / count).clip(-1, 1), atol=1e-4)


def test_the_draw_is_of_different_patches_near_the_place_and_is_repeated_by_its_seed() -> None:
    photos, sketches = noise(4, 20, 16, seed=0), noise(4, 20, 16, seed=1)
    one, same, other = (
        RSLCR(drawn=30, patch=6, overlap=2, search=3, seed=seed).fit(photos, sketches) for seed in (1, 1, 2)
    )
    assert torch.equal(one.drawings, same.drawings)
    assert not torch.equal(one.drawings, other.drawings)
    assert one.drawings.shape == (len(one.places), 30, 3)
    for place, drawings in zip(one.places, one.drawings, strict=True):
        assert len(drawings.unique(dim=0)) == 30
        assert (drawings[:, 1:] - place).abs().max() <= 3
        assert drawings[:, 0].max() < 4
        assert (drawings[:, 1:] + 6 <= torch.tensor([20, 16])).all()


def test_fewer_patches_than_are_to_be_drawn_are_all_taken() -> None:
    photos, sketches = noise(2, 12, 12, seed=0), noise(2, 12, 12, seed=1)
    assert RSLCR(patch=6, overlap=3, search=1).fit(photos, sketches).drawings.shape[1] == 2 * 2 * 2


def test_all_that_are_drawn_kept_is_rslcr() -> None:
    photos, sketches, probe = noise(3, 20, 16, seed=0), noise(3, 20, 16, seed=1), noise(1, 20, 16, seed=2)
    settings = {"drawn": 25, "patch": 6, "overlap": 3, "search": 3}
    fast = FastRSLCR(kept=25, **settings).fit(photos, sketches).translate(probe)
    torch.testing.assert_close(fast, RSLCR(**settings).fit(photos, sketches).translate(probe), rtol=0, atol=1e-4)


def test_bad_settings_are_refused() -> None:
    for settings in ({"drawn": 0}, {"locality": 0.0}, {"overlap": 20}):
        with pytest.raises(UsageError, match="rslcr"):
            create("rslcr", **settings)
    for kept in (0, 801):
        with pytest.raises(UsageError, match="fast-rslcr"):
            create("fast-rslcr", kept=kept)
