"""Faces put together from patches of exemplars: what the methods that do so share.

A patch of the source is sought, or written, among the exemplars' patches near the same place; the patches of their
other side give the face. A method says how the patches are made; here are their places, the search, and how they are
joined.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from forensic.errors import DataError, ModelError, UsageError
from forensic.images import luminance
from forensic.synthesis.translator import Exemplary, Modality, check_directions

CHUNK = 16  # places at a time: 800 candidates of 20 x 20 in colour are 61 MB


class Patchwork(Exemplary):
    """A translator that makes a face patch by patch.

    Candidates are compared by luminance, in [-1, 1]; colours are those of the exemplars' patches. A candidate is an
    exemplar's number, row and column. The exemplars are faces of persons and no part of the state: no weight file
    holds them.

    Attributes:
        places: Row and column of every patch of a face, (places, 2), row by row.
        grey: Luminance of the exemplars' sources, (m, 1, h, w).
        targets: Their other sides, (m, 3, h, w).

    Args:
        source: Modality of the input.
        target: Modality of the output.
        patch: Pixels a side of a patch.
        step: Pixels from a patch to the next.
        search: Pixels around the same place in which candidates are sought.
        fewest: Candidates that every place must have.
        sizes: Pixels a side of the patches that `nearest` is asked for; ``patch`` alone if empty.

    Raises:
        UsageError: A setting is out of its range.
    """

    two_way = True
    places: Tensor
    grey: Tensor
    targets: Tensor

    def __init__(
        self,
        source: Modality,
        target: Modality,
        *,
        patch: int,
        step: int,
        search: int,
        fewest: int = 1,
        sizes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        check_directions(source, target)
        if not 1 <= step <= patch or search < 0 or fewest < 1:
            raise UsageError(
                f"{self.name}: patches of {patch} pixels every {step} with {fewest} candidates in a search of {search},"
                " expected patches of 1 or more that leave no gap, 1 candidate or more, a search of 0 or more."
            )
        self.source, self.target = source, target
        self.patch, self.search = patch, search
        self._step, self._fewest, self._sizes = step, fewest, sizes or (patch,)
        for name in ("places", "grey", "targets", *map(energies_of, self._sizes)):
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
            DataError: The shapes differ, the images are smaller than a patch, or there are too few of them.
        """
        height, width = photos.shape[-2:]
        if photos.shape != sketches.shape or photos.ndim != 4 or photos.shape[1] != 3:
            raise DataError(
                f"{self.name}: photos {tuple(photos.shape)} and sketches {tuple(sketches.shape)}, expected"
                " (m, 3, h, w) both."
            )
        largest = max(self._sizes)
        room = [min(self.search, side - largest) + 1 for side in (height, width)]
        if min(room) < 1 or len(photos) * room[0] * room[1] < self._fewest:
            raise DataError(
                f"{self.name}: {len(photos)} exemplars of {width} x {height} pixels do not have {self._fewest} patches"
                f" of {largest} pixels everywhere. Give more or larger ones, or ask for fewer neighbours."
            )
        sources, self.targets = (photos, sketches) if self.source == "photo" else (sketches, photos)
        self.targets = self.targets.contiguous()
        self.grey = luminance(sources).contiguous()
        self.places = grid(height, width, self.patch, self._step).places.to(self.grey.device)
        for size in self._sizes:
            energies = F.avg_pool2d(self.grey.square(), size, stride=1)[:, 0] * size**2
            setattr(self, energies_of(size), energies)
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
                f"{self.name!r} puts faces together from exemplars, and has none. They are faces of persons, so no"
                " weight file holds them. Give it the folder of training pairs: --exemplars DIR, or"
                f" create({self.name!r}).fit(photos, sketches) with what forensic.synthesis.examples.load reads."
            )
        if images.shape[1:] != self.targets.shape[1:]:
            raise UsageError(
                f"{self.name}: images {tuple(images.shape[1:])}, expected the exemplars' size"
                f" {tuple(self.targets.shape[1:])}."
            )
        return torch.stack([self.synthesized(x).clamp(-1, 1) for x in luminance(images)[:, 0]])

    def synthesized(self, x: Tensor) -> Tensor:
        """The face of one image (h, w), (3, h, w): the mean of the patches that cover a pixel."""
        parts = [slice(first, first + CHUNK) for first in range(0, len(self.places), CHUNK)]
        return averaged(torch.cat([self.made(x, part) for part in parts]), self.places, x.shape)

    def made(self, x: Tensor, part: slice) -> Tensor:
        """The patches of one image (h, w) at some of the places, (places, 3, patch, patch)."""
        raise NotImplementedError

    def nearest(self, x: Tensor, places: Tensor, count: int, size: int) -> Tensor:
        """The candidates nearest to the image's patches, (places, count, 3), the nearest first.

        The search is exact. Every place has other candidates, some 32,000 among 268 exemplars: an index would be built
        and asked once. The scalar products of a patch with all its candidates are one convolution instead.
        """
        return torch.stack([self._nearest(x, row, column, count, size) for row, column in places.tolist()])

    def _nearest(self, x: Tensor, top: int, left: int, count: int, size: int) -> Tensor:
        (first_row, last_row), (first_column, last_column) = (
            self.window(place, side, size) for place, side in zip((top, left), x.shape, strict=True)
        )
        window = self.grey[:, 0, first_row : last_row + size, first_column : last_column + size]
        m = len(window)
        patch = x[top : top + size, left : left + size].expand(m, 1, size, size)
        products = F.conv2d(window[None], patch, groups=m)[0]
        # |t - c|^2 without |t|^2, which is the same for all.
        energies: Tensor = getattr(self, energies_of(size))
        distances = energies[:, first_row : last_row + 1, first_column : last_column + 1] - 2 * products
        best = distances.flatten().topk(count, largest=False).indices
        exemplar, row, column = torch.unravel_index(best, distances.shape)
        return torch.stack([exemplar, row + first_row, column + first_column], dim=1)

    def window(self, place: int, side: int, size: int) -> tuple[int, int]:
        """First and last row (or column) of the candidates for a place."""
        return max(0, place - self.search), min(side - size, place + self.search)


def energies_of(size: int) -> str:
    """The buffer with the squared norm of every patch of that size, (m, h - size + 1, w - size + 1)."""
    return f"energies_{size}"


class Grid(NamedTuple):
    """Where the patches of a face begin: every row of ``rows`` with every column of ``columns``."""

    rows: list[int]
    columns: list[int]

    @property
    def places(self) -> Tensor:
        """Row and column of every patch, (places, 2), row by row."""
        return torch.cartesian_prod(torch.tensor(self.rows), torch.tensor(self.columns))


def grid(height: int, width: int, patch: int, step: int) -> Grid:
    """Patches every ``step`` pixels; the last ones end with the image."""
    return Grid(starts(height, patch, step), starts(width, patch, step))


def starts(side: int, patch: int, step: int) -> list[int]:
    """Where patches begin along a side; the last one ends with it.

    >>> starts(side=10, patch=4, step=4)
    [0, 4, 6]
    """
    last = side - patch
    return [*range(0, last, step), last]


def cut(images: Tensor, candidates: Tensor, size: int) -> Tensor:
    """Patches of images.

    Args:
        images: (m, c, h, w), contiguous.
        candidates: Image, row and column, (..., 3).
        size: Pixels a side.

    Returns:
        (..., c, size, size).
    """
    c, h, w = images.shape[1:]
    exemplar, row, column = candidates.unbind(-1)
    origin = exemplar * (c * h * w) + row * w + column
    plane = torch.arange(c, device=images.device)[:, None] * (h * w)
    lines = origin[..., None, None] + plane + torch.arange(size, device=images.device) * w
    # Whole lines of a patch are copied at once: twice as fast as pixel by pixel.
    made = images.flatten().unfold(0, size, 1).index_select(0, lines.flatten())
    return made.view(*lines.shape, size)


def cut_one(x: Tensor, places: Tensor, size: int) -> Tensor:
    """Patches (places, size, size) of one image (h, w)."""
    return cut(x[None, None].contiguous(), F.pad(places, (1, 0)), size)[:, 0]


def averaged(patches: Tensor, places: Tensor, shape: Sequence[int]) -> Tensor:
    """A face (3, h, w) of patches (places, 3, p, p): their mean where they overlap."""
    size = patches.shape[-1]
    total, count = patches.new_zeros(3, *shape), patches.new_zeros(*shape)
    for (top, left), one in zip(places.tolist(), patches, strict=True):
        total[:, top : top + size, left : left + size] += one
        count[top : top + size, left : left + size] += 1
    return total / count


def seams(patches: Tensor, places: Grid) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """What neighbouring patches say of the pixels that they share.

    Args:
        patches: Candidates of every place, (rows * columns, k, c, p, p).
        places: Where they are.

    Yields:
        Numbers of some places (n,) and of their right or lower neighbours (n,), and the shared pixels as the
        candidates of either have them, (n, k, pixels) each.
    """
    size = patches.shape[-1]
    shape = (len(places.rows), len(places.columns))
    number = torch.arange(len(patches), device=patches.device).view(shape)
    patches = patches.view(*shape, *patches.shape[1:])
    for j, (here, there) in enumerate(pairwise(places.columns)):
        step = there - here
        right, left = patches[:, j, ..., step:], patches[:, j + 1, ..., : size - step]
        yield number[:, j], number[:, j + 1], right.flatten(2), left.flatten(2)
    for i, (here, there) in enumerate(pairwise(places.rows)):
        step = there - here
        lower, upper = patches[i, ..., step:, :], patches[i + 1, ..., : size - step, :]
        yield number[i], number[i + 1], lower.flatten(2), upper.flatten(2)


def quilted(patches: Tensor, places: Grid) -> Tensor:
    """A face (3, h, w) of patches (rows * columns, 3, p, p), each cut from the last where they differ least.

    Efros and Freeman, Image Quilting for Texture Synthesis and Transfer, SIGGRAPH 2001: patches are joined to strips,
    strips to the face.
    """
    patches = patches.view(len(places.rows), len(places.columns), *patches.shape[1:])
    strips = _joined(patches.unbind(1), places.columns)
    return _joined([strip.mT[None] for strip in strips], places.rows)[0].mT


def _joined(pieces: Sequence[Tensor], begin: Sequence[int]) -> Tensor:
    """Pieces (n, 3, length, p) that begin at those columns, joined along their last side."""
    whole = pieces[0]
    for piece, first in zip(pieces[1:], begin[1:], strict=True):
        shared = whole.shape[-1] - first
        old, new = whole[..., first:], piece[..., :shared]
        kept = _before_cut((old - new).square().sum(dim=1))[:, None] if shared else old.bool()
        whole = torch.cat([whole[..., :first], torch.where(kept, old, new), piece[..., shared:]], dim=-1)
    return whole


def _before_cut(error: Tensor) -> Tensor:
    """Which pixels of a shared strip (n, length, width) lie before the cut of least error; bool, likewise."""
    cost = [error[:, 0]]
    for row in error.unbind(1)[1:]:
        padded = F.pad(cost[-1], (1, 1), value=torch.inf)
        cost.append(row + padded.unfold(1, 3, 1).amin(dim=2))
    column = cost[-1].argmin(dim=1, keepdim=True)
    path = [column]
    for above in cost[-2::-1]:
        near = (column + torch.arange(-1, 2, device=error.device)).clamp(0, error.shape[2] - 1)
        column = near.gather(1, above.gather(1, near).argmin(dim=1, keepdim=True))
        path.append(column)
    return torch.arange(error.shape[2], device=error.device) < torch.stack(path[::-1], dim=1)
