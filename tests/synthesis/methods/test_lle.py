"""Against a direct solve, patch by patch in double precision."""

import numpy as np
import pytest
import torch
from invented import noise
from numpy.typing import NDArray

from forensic.errors import DataError, UsageError
from forensic.synthesis import create
from forensic.synthesis.methods.lle import LLE, combination

LUMINANCE = np.array([0.299, 0.587, 0.114])


def direct(
    image: torch.Tensor,
    sources: torch.Tensor,
    targets: torch.Tensor,
    *,
    p: int,
    step: int,
    K: int,
    r: int,
    ridge: float,
) -> NDArray[np.float64]:
    """The method as it is told: every candidate measured, the constraint by a Lagrange multiplier."""
    x, grey = (np.einsum("c,...chw->...hw", LUMINANCE, side.double().numpy()) for side in (image, sources))
    colours = targets.double().numpy()
    height, width = x.shape
    total, count = np.zeros((3, height, width)), np.zeros((height, width))
    for top in sorted({*range(0, height - p, step), height - p}):
        for left in sorted({*range(0, width - p, step), width - p}):
            t = x[top : top + p, left : left + p]
            candidates = []
            for m in range(len(grey)):
                for row in range(max(0, top - r), min(height - p, top + r) + 1):
                    for column in range(max(0, left - r), min(width - p, left + r) + 1):
                        c = grey[m, row : row + p, column : column + p]
                        candidates.append((((t - c) ** 2).sum(), m, row, column))
            best = sorted(candidates)[:K]
            C = np.stack([grey[m, row : row + p, column : column + p].ravel() for _, m, row, column in best])
            rho = ridge * np.mean([distance for distance, *_ in best])
            # minimize |t - C'w|^2 + rho |w|^2 where the w sum to 1
            system = np.ones((K + 1, K + 1))
            system[K, K] = 0
            system[:K, :K] = 2 * (C @ C.T + rho * np.eye(K))
            w = np.linalg.solve(system, np.append(2 * C @ t.ravel(), 1.0))[:K]
            for share, (_, m, row, column) in zip(w, best, strict=True):
                total[:, top : top + p, left : left + p] += share * colours[m, :, row : row + p, column : column + p]
            count[top : top + p, left : left + p] += 1
    return (total / count).clip(-1, 1)


@pytest.mark.parametrize(("source", "target"), [("photo", "sketch"), ("sketch", "photo")])
def test_equals_a_direct_solve(source: str, target: str) -> None:
    photos, sketches = noise(3, 17, 14, seed=0), noise(3, 17, 14, seed=1)
    probe = noise(1, 17, 14, seed=2)
    lle = create("lle", source=source, target=target, patch=6, overlap=4, neighbours=4, search=2)
    assert isinstance(lle, LLE)
    made = lle.fit(photos, sketches).translate(probe)
    sides = (photos, sketches) if source == "photo" else (sketches, photos)
    expected = direct(probe[0], *sides, p=6, step=2, K=4, r=2, ridge=1e-3)
    np.testing.assert_allclose(made[0].numpy(), expected, rtol=0, atol=1e-5)


def test_an_exemplar_gives_its_own_sketch() -> None:
    photos, sketches = noise(4, 24, 24, seed=0), noise(4, 24, 24, seed=1)
    lle = LLE(patch=8, overlap=4, search=2).fit(photos, sketches)
    torch.testing.assert_close(lle.translate(photos[2:3]), sketches[2:3], rtol=0, atol=0.02)


def test_a_shifted_exemplar_is_found_inside_the_search_window() -> None:
    photos, sketches = noise(4, 30, 30, seed=0), noise(4, 30, 30, seed=1)
    found = LLE(patch=8, overlap=4, search=3).fit(photos[..., :28, :28], sketches[..., :28, :28])
    made = found.translate(photos[1:2, :, 2:, 2:])
    # Up to pixel 20 all patches are those that the exemplar holds.
    torch.testing.assert_close(made[..., :20, :20], sketches[1:2, :, 2:22, 2:22], rtol=0, atol=0.02)


def test_weights_of_a_combination_are_found() -> None:
    """A patch that is 0.3, 0.9 and -0.2 of its neighbours."""
    C = torch.randn(1, 3, 50)
    w = torch.tensor([[0.3, 0.9, -0.2]])
    torch.testing.assert_close(combination((w[..., None] * C).sum(1), C, ridge=1e-9), w, rtol=0, atol=1e-4)


def test_equal_neighbours_share_their_weight() -> None:
    t = torch.randn(1, 50)
    torch.testing.assert_close(combination(t, t[:, None].expand(1, 4, 50), ridge=1e-3), torch.full((1, 4), 0.25))


def test_what_does_not_fit_is_refused() -> None:
    for settings in ({"overlap": 20}, {"neighbours": 0}, {"ridge": 0.0}):
        with pytest.raises(UsageError):
            create("lle", **settings)
    faces = noise(1, 24, 24, seed=0)
    with pytest.raises(DataError, match="do not have 5 patches"):
        LLE(search=1).fit(faces, faces)
