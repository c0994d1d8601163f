"""LLE: a sketch put together from patches of other sketches. The exemplar baseline; nothing is trained.

Liu, Tang, Jin, Lu, Ma: A Nonlinear Approach for Face Sketch Synthesis and Recognition, CVPR 2005.

A patch of the photo is written as a combination of the K nearest photo patches (locally linear embedding), the same
combination of their sketch patches is its sketch, and where patches overlap they are averaged. Choices here:

- Patches of 20 pixels that overlap by 14, and a search of 5 pixels around the same place, are the settings of RSLCR
  (Wang, Gao, Li 2018), which compares with this method; K = 5.
- Neighbours are sought by luminance; colours are those of the exemplars' patches. A person may give several neighbours.
- The search is exact. Every patch has other candidates, some 32,000 among 268 exemplars: an index would be built and
  asked once. The scalar products of a patch with all its candidates are one convolution instead.
- The exemplars are faces of persons. They are no part of the state: no weight file holds them.
"""

import hashlib
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from forensic.errors import DataError, ModelError, UsageError
from forensic.images import luminance
from forensic.synthesis.registry import method
from forensic.synthesis.translator import Exemplary, Modality, check_directions


@method("lle")
class LLE(Exemplary):
    """Locally linear embedding over the patches of exemplars.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        patch: Pixels a side of a patch.
        overlap: Pixels that neighbouring patches share.
        neighbours: Nearest patches that a patch is combined from, K.
        search: Pixels around the same place in which they are sought.
        ridge: Regularization of the combination, in units of the mean squared distance of the K neighbours (as Saul
            and Roweis 2003): near-equal neighbours share their weight.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Liu et al., A Nonlinear Approach for Face Sketch Synthesis and Recognition, CVPR 2005"
    two_way = True

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        patch: int = 20,
        overlap: int = 14,
        neighbours: int = 5,
        search: int = 5,
        ridge: float = 1e-3,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        if not 0 <= overlap < patch or neighbours < 1 or search < 0 or ridge <= 0:
            raise UsageError(
                f"lle: overlap {overlap} must be 0 or more and below patch {patch}, neighbours {neighbours} 1 or more,"
                f" search {search} 0 or more, ridge {ridge} above 0."
            )
        self.source, self.target = source, target
        self.patch, self.overlap, self.neighbours, self.search, self.ridge = patch, overlap, neighbours, search, ridge
        self.grey: Tensor  # luminance of the exemplars' sources, (m, h, w)
        self.targets: Tensor  # (m, 3, h, w)
        self.energies: Tensor  # squared norm of every patch of `grey`, (m, h - patch + 1, w - patch + 1)
        for name in ("grey", "targets", "energies"):
            self.register_buffer(name, torch.empty(0), persistent=False)
        self._exemplars = ""

    def fit(self, photos: Tensor, sketches: Tensor) -> Self:
        """Take exemplars, in place of earlier ones.

        Args:
            photos: Aligned photos, (m, 3, h, w) in [-1, 1].
            sketches: Their sketches, likewise.

        Returns:
            This translator.

        Raises:
            DataError: The shapes differ, the images are smaller than a patch, or there are too few for K neighbours.
        """
        height, width = photos.shape[-2:]
        if photos.shape != sketches.shape or photos.ndim != 4 or photos.shape[1] != 3:
            raise DataError(
                f"lle: photos {tuple(photos.shape)} and sketches {tuple(sketches.shape)}, expected (m, 3, h, w) both."
            )
        room = [min(self.search, side - self.patch) + 1 for side in (height, width)]
        if min(room) < 1 or len(photos) * room[0] * room[1] < self.neighbours:
            raise DataError(
                f"lle: {len(photos)} exemplars of {width} x {height} pixels do not have {self.neighbours} patches of"
                f" {self.patch} pixels everywhere. Give more or larger ones, or ask for fewer neighbours."
            )
        sources, self.targets = (photos, sketches) if self.source == "photo" else (sketches, photos)
        self.grey = luminance(sources)[:, 0].contiguous()
        self.energies = F.avg_pool2d(self.grey.square()[:, None], self.patch, stride=1)[:, 0] * self.patch**2
        content = hashlib.sha256(repr(tuple(photos.shape)).encode())
        for side in (photos, sketches):
            content.update(side.detach().cpu().contiguous().numpy().tobytes())
        self._exemplars = content.hexdigest()
        return self

    @property
    def needs(self) -> dict[str, str]:
        """The exemplars."""
        return {"exemplars": self._exemplars} if self._exemplars else {}

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, h, w) in [-1, 1], of images of the exemplars' size.

        Raises:
            ModelError: There are no exemplars yet.
            UsageError: The images have another size than the exemplars.
        """
        if not self._exemplars:
            raise ModelError(
                "'lle' puts faces together from exemplars, and has none. They are faces of persons, so no weight file"
                " holds them. Give it the folder of training pairs: --exemplars DIR, or"
                " create('lle').fit(photos, sketches) with what forensic.synthesis.examples.load reads."
            )
        if images.shape[1:] != self.targets.shape[1:]:
            raise UsageError(
                f"lle: images {tuple(images.shape[1:])}, expected the exemplars' size {tuple(self.targets.shape[1:])}."
            )
        return torch.stack([self._synthesized(x) for x in luminance(images)[:, 0]])

    def _synthesized(self, x: Tensor) -> Tensor:
        """The face of one image (h, w), (3, h, w)."""
        p = self.patch
        rows, columns = (starts(side, p, p - self.overlap) for side in x.shape)
        places = [(row, column) for row in rows for column in columns]
        nearest = torch.stack([self._nearest(x, row, column) for row, column in places])  # (places, K, 3)
        offsets = torch.arange(p, device=x.device)
        exemplar, row, column = nearest[..., None, None].unbind(2)
        row, column = row + offsets[:, None], column + offsets
        patches = torch.stack([x[row : row + p, column : column + p] for row, column in places])
        w = combination(patches.flatten(1), self.grey[exemplar, row, column].flatten(2), self.ridge)
        # Indexing puts the colours last: (places, K, p, p, 3).
        made = torch.einsum("lk,lkrct->ltrc", w, self.targets[exemplar, :, row, column])
        total, count = x.new_zeros(3, *x.shape), x.new_zeros(x.shape)
        for (top, left), one in zip(places, made, strict=True):
            total[:, top : top + p, left : left + p] += one
            count[top : top + p, left : left + p] += 1
        return (total / count).clamp(-1, 1)

    def _nearest(self, x: Tensor, top: int, left: int) -> Tensor:
        """Exemplar, row and column of the K patches nearest to the image's patch at a place, (K, 3)."""
        p, m = self.patch, len(self.grey)
        (first_row, last_row), (first_column, last_column) = (
            (max(0, place - self.search), min(side - p, place + self.search))
            for place, side in zip((top, left), x.shape, strict=True)
        )
        window = self.grey[:, first_row : last_row + p, first_column : last_column + p]
        patch = x[top : top + p, left : left + p].expand(m, 1, p, p)
        products = F.conv2d(window[None], patch, groups=m)[0]
        # |t - c|^2 without |t|^2, which is the same for all.
        distances = self.energies[:, first_row : last_row + 1, first_column : last_column + 1] - 2 * products
        best = distances.flatten().topk(self.neighbours, largest=False).indices
        exemplar, row, column = torch.unravel_index(best, distances.shape)
        return torch.stack([exemplar, row + first_row, column + first_column], dim=1)


def starts(side: int, patch: int, step: int) -> list[int]:
    """Where patches begin along a side; the last one ends with it.

    >>> starts(side=10, patch=4, step=4)
    [0, 4, 6]
    """
    last = side - patch
    return [*range(0, last, step), last]


def combination(t: Tensor, C: Tensor, ridge: float) -> Tensor:
    """Weights that sum to 1 and bring the neighbours nearest to the patch (Saul and Roweis 2003).

    Args:
        t: Patches, (l, d).
        C: Their neighbours, (l, k, d).
        ridge: Regularization in units of the mean squared distance of the neighbours.

    Returns:
        (l, k).
    """
    differences = (t[:, None] - C).double()
    gram = differences @ differences.transpose(1, 2)
    distance = gram.diagonal(dim1=1, dim2=2).mean(dim=1)
    # Where all neighbours are the patch itself, any combination is right: the equal one.
    eye = torch.eye(C.shape[1], dtype=gram.dtype, device=gram.device)
    gram = gram + (ridge * distance + 1e-12)[:, None, None] * eye
    w: Tensor = torch.linalg.solve(gram, gram.new_ones(gram.shape[:2]))
    return (w / w.sum(dim=1, keepdim=True)).to(t.dtype)
