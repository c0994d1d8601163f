"""RSLCR: candidates are drawn at random once, in place of a search; near ones weigh more. Fast-RSLCR takes a few.

Wang, Gao, Li: Random Sampling for Fast Face Sketch Synthesis, Pattern Recognition 76, 2018.

At every place N of the exemplars' patches are drawn at random, off line. A patch x of the photo is written with all of
them, X, under the locality constraint: minimize

    |x − X w|² + λ |d ∘ w|²   where the w sum to 1

with the distances d of x to each of them. The closed form is w ∝ (C + λ diag(d²))⁻¹ 1, C the covariance of X about x.
The same combination of the sketch patches is the patch's sketch; overlaps are averaged. Fast-RSLCR leaves out all but
the K nearest of those drawn. Patches of 20 pixels that overlap by 14, a search of 5 pixels, N = 800, λ = 0.5 and
K = 200 are those of the authors' demonstration. Choices here:

- Luminance is compared; colours are those of the exemplars' patches.
- The draw is seeded (``seed``), the same for the same exemplars' number and size. What is kept is which patches were
  drawn, not two gigabytes of pixels.
"""

from typing import Self

import torch
from torch import Tensor

from forensic.errors import UsageError
from forensic.synthesis.patchwork import Patchwork, cut, cut_one, energies_of
from forensic.synthesis.registry import method
from forensic.synthesis.translator import Modality

SAME = 1e-6  # a distance (of patches in [-1, 1]) at which a candidate is the patch itself


@method("rslcr")
class RSLCR(Patchwork):
    """Random sampling and locality constraint.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        drawn: Candidates of a place, N; all of them where there are fewer.
        locality: Weight of the locality constraint, λ.
        patch: Pixels a side of a patch.
        overlap: Pixels that neighbouring patches share.
        search: Pixels around the same place from which candidates are drawn.
        seed: Of the draw.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Wang, Gao, Li, Random Sampling for Fast Face Sketch Synthesis, Pattern Recognition 2018"
    drawings: Tensor
    """The candidates of every place, (places, N, 3)."""

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        drawn: int = 800,
        locality: float = 0.5,
        patch: int = 20,
        overlap: int = 14,
        search: int = 5,
        seed: int = 0,
    ) -> None:
        super().__init__(source, target, patch=patch, step=patch - overlap, search=search)
        if drawn < 1 or locality <= 0:
            raise UsageError(f"{self.name}: drawn is {drawn}, expected 1 or more; locality {locality}, more than 0.")
        self.drawn, self.locality, self.overlap, self.seed = drawn, locality, overlap, seed
        self.register_buffer("drawings", torch.empty(0), persistent=False)

    def fit(self, photos: Tensor, sketches: Tensor) -> Self:
        """Take exemplars and draw the candidates; the rest as in `Patchwork.fit`."""
        super().fit(photos, sketches)
        m, _, *sides = self.grey.shape
        windows = [
            [self.window(place, side, self.patch) for place, side in zip(places, sides, strict=True)]
            for places in self.places.tolist()
        ]
        counts = [m * (bottom - top + 1) * (right - left + 1) for (top, bottom), (left, right) in windows]
        draw, each = torch.Generator().manual_seed(self.seed), min(self.drawn, *counts)
        drawings = []
        for count, ((top, bottom), (left, right)) in zip(counts, windows, strict=True):
            number = torch.randperm(count, generator=draw)[:each]
            shape = (m, bottom - top + 1, right - left + 1)
            exemplar, row, column = torch.unravel_index(number, shape)
            drawings.append(torch.stack([exemplar, row + top, column + left], dim=1))
        self.drawings = torch.stack(drawings).to(self.grey.device)
        return self

    def made(self, x: Tensor, part: slice) -> Tensor:
        """The patches at some of the places: the combinations of the candidates."""
        patches = cut_one(x, self.places[part], self.patch).flatten(1)
        candidates = self.candidates(patches, self.drawings[part])
        w = localized(cut(self.grey, candidates, self.patch).flatten(2) - patches[:, None], self.locality)
        targets = cut(self.targets, candidates, self.patch)
        return (w[:, None] @ targets.flatten(2)).view(-1, *targets.shape[2:])

    def candidates(self, patches: Tensor, drawings: Tensor) -> Tensor:
        """Those drawn (l, N, 3) with which patches (l, pixels) are written, (l, k, 3)."""
        return drawings


@method("fast-rslcr")
class FastRSLCR(RSLCR):
    """RSLCR with the nearest of the candidates alone.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        kept: Candidates that a patch is written with, K, the nearest of those drawn.
        drawn: As the following, a setting of `RSLCR`.
        locality: Its weight λ.
        patch: Its patches' side.
        overlap: Their overlap.
        search: Its search.
        seed: Its draw's seed.

    Raises:
        UsageError: A setting is out of its range.
    """

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        kept: int = 200,
        drawn: int = 800,
        locality: float = 0.5,
        patch: int = 20,
        overlap: int = 14,
        search: int = 5,
        seed: int = 0,
    ) -> None:
        super().__init__(
            source=source,
            target=target,
            drawn=drawn,
            locality=locality,
            patch=patch,
            overlap=overlap,
            search=search,
            seed=seed,
        )
        if not 1 <= kept <= drawn:
            raise UsageError(f"fast-rslcr: kept is {kept}, expected 1 to drawn, {drawn}.")
        self.kept = kept

    def candidates(self, patches: Tensor, drawings: Tensor) -> Tensor:
        """The nearest of those drawn; as `RSLCR.candidates`."""
        drawn = cut(self.grey, drawings, self.patch).flatten(2)
        energies: Tensor = getattr(self, energies_of(self.patch))
        distances = energies[drawings.unbind(2)] - 2 * (drawn @ patches[..., None])[..., 0]
        near = distances.topk(min(self.kept, distances.shape[1]), largest=False).indices
        return drawings.take_along_dim(near[..., None], dim=1)


def localized(difference: Tensor, locality: float) -> Tensor:
    """Weights w ∝ (C + λ diag(d²))⁻¹ 1 that sum to 1.

    With v = d ∘ w and unit vectors B in place of the differences the system is (B B' + λ) v = 1 / d, whose condition is
    no more than 1 + N / λ, however near or far the candidates are; single precision does.

    Args:
        difference: Candidates less the patch, (l, N, pixels).
        locality: λ.

    Returns:
        (l, N).
    """
    d = torch.linalg.vector_norm(difference, dim=2, keepdim=True).clamp_min(SAME)
    B = difference / d
    if B.shape[1] <= B.shape[2]:
        v = _regularized(B @ B.mT, 1 / d, locality)
    else:  # the same by Woodbury's identity, in as many unknowns as a patch has pixels
        v = (1 / d - B @ _regularized(B.mT @ B, B.mT @ (1 / d), locality)) / locality
    w: Tensor = (v / d)[..., 0]
    return w / w.sum(dim=1, keepdim=True)


def _regularized(gram: Tensor, right: Tensor, locality: float) -> Tensor:
    factor = torch.linalg.cholesky(gram + locality * torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device))
    return torch.cholesky_solve(right, factor)
