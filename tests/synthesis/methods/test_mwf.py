"""The quadratic programs against scipy and by hand."""

import numpy as np
import pytest
import torch
from invented import noise
from scipy.optimize import minimize
from torch import Tensor

from forensic.errors import UsageError
from forensic.images import luminance
from forensic.synthesis import create
from forensic.synthesis.methods.mrf import MRF
from forensic.synthesis.methods.mwf import MWF, cascade, on_simplex
from forensic.synthesis.patchwork import cut, grid


def by_scipy(H: Tensor, c: Tensor, k: int) -> np.ndarray:
    """Weights, k and k of which are on a simplex, that minimize w'Hw/2 − c'w."""
    matrix, vector = H.numpy(), c.numpy()
    sums = [{"type": "eq", "fun": lambda w, i=i: w[i : i + k].sum() - 1} for i in range(0, len(c), k)]
    found = minimize(
        lambda w: w @ matrix @ w / 2 - vector @ w,
        np.full(len(c), 1 / k),
        jac=lambda w: matrix @ w - vector,
        bounds=[(0, 1)] * len(c),
        constraints=sums,
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert found.success
    return np.asarray(found.x)


def test_weights_on_the_simplex_are_those_of_scipy() -> None:
    draw = torch.Generator().manual_seed(0)
    A = torch.randn(12, 7, 5, generator=draw, dtype=torch.float64)
    c = torch.randn(12, 5, generator=draw, dtype=torch.float64)
    H = A.mT @ A
    made = on_simplex(H, c)
    for one, matrix, vector in zip(made, H, c, strict=True):
        np.testing.assert_allclose(one.numpy(), by_scipy(matrix, vector, 5), atol=1e-6)
    assert (made >= 0).all()
    assert (made < 1e-9).any()  # some constraints hold


def test_weights_by_hand() -> None:
    """With H = 1 they are the nearest point of the simplex."""
    c = torch.tensor([[0.5, 0.3, 0.2], [2.0, 0.0, 0.0], [0.9, 0.5, -1.0]], dtype=torch.float64)
    expected = torch.tensor([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [0.7, 0.3, 0.0]], dtype=torch.float64)
    H = torch.eye(3, dtype=torch.float64).expand(3, 3, 3)
    torch.testing.assert_close(on_simplex(H, c), expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(on_simplex(1e6 * H, 1e6 * c), expected, rtol=0, atol=1e-8)


def test_what_is_the_same_shares_its_weight_and_nothing_is_infinite() -> None:
    w = on_simplex(torch.zeros(2, 4, 4, dtype=torch.float64), torch.zeros(2, 4, dtype=torch.float64))
    torch.testing.assert_close(w, torch.full_like(w, 0.25))


def test_the_cascade_ends_at_the_optimum_of_the_whole() -> None:
    """Four nodes in a ring, as a face of 2 x 2 patches, all 12 weights at once by scipy."""
    draw = torch.Generator().manual_seed(1)
    first, second = torch.tensor([0, 0, 1, 2]), torch.tensor([1, 2, 3, 3])
    own = torch.zeros(4, 3, 3, dtype=torch.float64)
    shared, whole = [], torch.zeros(12, 12, dtype=torch.float64)
    for i in range(4):
        P = torch.randn(6, 3, generator=draw, dtype=torch.float64)
        own[i] += P.T @ P
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        a, b = torch.randn(2, 4, 3, generator=draw, dtype=torch.float64)
        own[i] += a.T @ a
        own[j] += b.T @ b
        shared.append(a.T @ b)
        whole[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] -= a.T @ b
    whole = whole + whole.T
    for i in range(4):
        whole[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] = own[i]
    w = cascade(own, first, second, torch.stack(shared), torch.tensor([0, 1, 1, 0]), sweeps=500)
    expected = by_scipy(2 * whole, torch.zeros(12, dtype=torch.float64), 3)
    np.testing.assert_allclose(w.flatten().numpy(), expected, atol=5e-3)
    value = float(w.flatten() @ whole @ w.flatten())
    assert value == pytest.approx(float(expected @ whole.numpy() @ expected), rel=1e-4)


def test_without_agreement_every_patch_is_written_alone() -> None:
    photos, sketches, probe = noise(4, 9, 9, seed=0), noise(4, 9, 9, seed=1), noise(1, 9, 9, seed=2)
    mwf = MWF(alpha=0.0, neighbours=3, patch=3, overlap=0, search=1).fit(photos, sketches)
    made = mwf.translate(probe)[0]
    x = luminance(probe)[0, 0]
    for y, left in grid(9, 9, 3, 3).places.tolist():
        nearest = mwf.nearest(x, torch.tensor([[y, left]]), 3, 3)
        P = cut(mwf.grey, nearest, 3).flatten(2)[0].double()
        t = x[y : y + 3, left : left + 3].flatten().double()
        w = torch.from_numpy(by_scipy(P @ P.T, P @ t, 3)).float()
        patch = torch.einsum("k,kcij->cij", w, cut(mwf.targets, nearest, 3)[0])
        torch.testing.assert_close(made[:, y : y + 3, left : left + 3], patch, rtol=0, atol=1e-4)


def test_with_agreement_neighbours_agree_more() -> None:
    photos, sketches, probe = noise(4, 15, 15, seed=0), noise(4, 15, 15, seed=1), noise(1, 15, 15, seed=2)
    spread = [
        MWF(alpha=alpha, patch=6, overlap=3, search=2).fit(photos, sketches).translate(probe).std()
        for alpha in (0.0, 50.0)
    ]
    assert spread[1] < spread[0]  # of noise the mean alone agrees with everything


def test_one_candidate_is_the_field_of_one_candidate() -> None:
    """With K = 1 there is nothing to weigh: MRF and MWF are the same quilt of nearest patches."""
    photos, sketches, probe = noise(3, 17, 14, seed=0), noise(3, 17, 14, seed=1), noise(1, 17, 14, seed=2)
    settings = {"patch": 6, "overlap": 3, "search": 2}
    mwf = MWF(neighbours=1, **settings).fit(photos, sketches)
    mrf = MRF(candidates=1, scales=1, **settings).fit(photos, sketches)
    torch.testing.assert_close(mwf.translate(probe), mrf.translate(probe))


def test_bad_settings_are_refused() -> None:
    for settings in ({"alpha": -1.0}, {"sweeps": 0}, {"neighbours": 0}, {"overlap": 10}):
        with pytest.raises(UsageError, match="mwf"):
            create("mwf", **settings)
