"""Exact search whose look at all rows is another device's: a graphics card reads its memory many times as fast.

What the device computes is rough, with a bound on its error. Whatever may belong among the best k by that bound is
scored by `Index.among` as in every other search, so that the list, its order and its scores are `Index`'s to the last
bit, whatever the device adds up in which order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forensic.errors import UsageError
from forensic.exact import checked
from forensic.recognition.index import Index, Upon
from forensic.recognition.segments import EPS, LEVELS, Floats, Ids, Segment, rounding

Numbers = Literal["float32", "float16", "int8"]
NUMBERS: tuple[Numbers, ...] = get_args(Numbers)
DTYPES: dict[Numbers, torch.dtype] = {"float32": torch.float32, "float16": torch.float16, "int8": torch.int8}
SEGMENTS = 64
"""Segments that lie in one block on the device: where one of them was changed, all are sent again."""
GROUP = 128
"""Rows of which the best score is looked at first: few groups hold what is near."""
WIDTH = 16
"""Rows are filled up with zeros to a multiple of it: products of bytes need that."""
COLUMNS = 8
"""Columns of a product; a query in bytes takes two of them, one for what the other leaves over."""


class Block(NamedTuple):
    """Some segments' rows on the device.

    Attributes:
        sources: The arrays that they were made from, by which they are known again.
        rows: Shape (n, w): n is a multiple of ``GROUP`` and w of ``WIDTH``.
        held: How many of them are rows.
        scale: x ≈ scale ∘ row, shape (d,); ones but for bytes.
        residual: Length of the longest error of a row, |x / scale - row|.
        length: Length of the longest row.
    """

    sources: tuple[Floats, ...]
    rows: Tensor
    held: int
    scale: Floats
    residual: float
    length: float

    @property
    def longest(self) -> float:
        """A bound on the length of what the rows stand for."""
        return (self.length + self.residual) * float(self.scale.max(initial=0))


class Asked(NamedTuple):
    """Queries as a block is asked.

    Attributes:
        columns: Shape (c, w), in the block's numbers; those that are not needed are zeros.
        units: The queries are the columns times these, but for an error; shape (8, q).
        slack: How far each query's scores may be from exact ones, at most; shape (q,).
    """

    columns: NDArray[Any]
    units: Floats
    slack: NDArray[np.float64]


class DeviceIndex(Upon):
    """An index on a device.

    Args:
        index: All rows. They stay in the processor's memory too, or on the disk, for what is near.
        device: Where all rows are looked at, such as ``cuda``.
        numbers: What is kept of them there: 4, 2 or 1 byte a number.
        known: Blocks of an earlier index; those of segments that are the same are taken over.

    Raises:
        UsageError: The device's memory does not hold the rows.
    """

    def __init__(
        self, index: Index, device: torch.device, numbers: Numbers = "int8", known: Sequence[Block] = ()
    ) -> None:
        super().__init__(index)
        self.device, self.numbers = device, numbers
        before = {tuple(map(id, block.sources)): block for block in known}
        blocks, starts, start = list[Block](), list[int](), 0
        for first in range(0, len(index.segments), SEGMENTS):
            segments = index.segments[first : first + SEGMENTS]
            sources = tuple(part.vectors for segment in segments for part in segment.parts)
            block = before.get(tuple(map(id, sources))) or self._sent(segments, sources)
            ends = np.cumsum([0, *(len(segment.ids) for segment in segments)])
            starts.extend((start + ends[:-1]).tolist())
            start += len(block.rows)
            blocks.append(block)
        self.blocks, self._starts, self._length = tuple(blocks), np.array(starts, np.int64), start

    def search(self, queries: NDArray[Any], k: int) -> tuple[Floats, Ids]:
        """The ``k`` nearest templates of each query, best first: what `Index.search` answers."""
        probes = checked(queries, self.index.dimensions if self.blocks else None, k)
        k = min(k, len(self))
        scores, ids = np.empty((len(probes), k), np.float32), np.empty((len(probes), k), np.int64)
        if not k:
            return scores, ids
        for start in range(0, len(probes), COLUMNS // 2):
            some = probes[start : start + COLUMNS // 2]
            for at, rows in enumerate(self.near(some, k), start):
                segment = np.searchsorted(self._starts, rows, side="right") - 1
                scores[at], ids[at] = self.index.among(probes[at], segment, rows - self._starts[segment], k)
        return scores, ids

    @torch.inference_mode()
    def near(self, probes: Floats, k: int) -> list[Ids]:
        """For each of a few queries the places of all rows that may be among its ``k`` best, ascending.

        Places count the blocks' rows one after the other, and what they are filled up with.
        """
        scores = torch.empty((len(probes), self._length), device=self.device)
        slack, start = np.zeros(len(probes)), 0
        for block in self.blocks:
            asked = self._asked(block, probes)
            part = scores[:, start : start + len(block.rows)]
            part.copy_(self._products(block, asked).T)
            part[:, block.held :] = -torch.inf
            slack, start = np.maximum(slack, asked.slack), start + len(block.rows)
        room = 2 * torch.from_numpy(slack.astype(np.float32)).to(self.device)
        return [self._passed(*one, k) for one in zip(scores.view(len(probes), -1, GROUP), room, strict=True)]

    def _passed(self, groups: Tensor, room: Tensor, k: int) -> Ids:
        """Places of the scores (n / GROUP, GROUP) that are below the ``k``-th best by no more than ``room``."""
        tops = groups.amax(1)
        if len(tops) > k:  # the k-th best group's best row is no better than the k-th best row
            near = torch.nonzero(tops >= torch.topk(tops, k).values[-1] - room)[:, 0]
        else:
            near = torch.arange(len(tops), device=self.device)
        some = groups[near]
        group, row = torch.nonzero(some >= torch.topk(some.flatten(), k).values[-1] - room, as_tuple=True)
        places: Ids = (near[group] * GROUP + row).cpu().numpy()
        return places

    def _products(self, block: Block, asked: Asked) -> Tensor:
        """Rough scores of a block's rows with some queries, shape (n, q), in single precision."""
        columns, q = torch.from_numpy(asked.columns).to(self.device), asked.units.shape[1]
        if self.numbers == "float32":
            # A product with a vector reads as fast as the memory gives; one with a matrix of one column may not.
            return block.rows @ columns.T if q > 1 else (block.rows @ columns[0])[:, None]
        if self.numbers == "float16":
            if self.device.type == "cuda":  # sums in half precision would be off by more than the bound
                return torch.mm(block.rows, columns.T, out_dtype=torch.float32)[:, :q]
            return block.rows.float() @ columns[:q].float().T
        # PyTorch has no other product of bytes; it is exact, and so are its sums as floats, being below 2^24.
        return torch._int_mm(block.rows, columns.T).float() @ torch.from_numpy(asked.units).to(self.device)

    def _asked(self, block: Block, probes: Floats) -> Asked:
        """The queries for a block, with the bound on the error of their scores.

        With query ∘ scale = v = units · columns + e, e its rounding error, and x = scale ∘ (row + r), the inner product
        is off by v . r + e . row, which Cauchy and Schwarz bound, and by what single precision rounds.
        """
        v, q = (probes * block.scale).astype(np.float64), len(probes)
        units: Floats = np.zeros((COLUMNS, q), np.float32)
        if self.numbers == "int8":
            coarse, high = _coded(v)
            fine, low = _coded(v - coarse[:, None] * high)
            columns = np.concatenate([high, low]).astype(np.int8)
            kept = coarse[:, None] * high + fine[:, None] * low
            units[:q], units[q : 2 * q] = np.diag(coarse), np.diag(fine)
        else:
            most = np.finfo(self.numbers).max
            columns = v.clip(-most, most).astype(self.numbers)
            kept = columns.astype(np.float64)
            units[:q] = np.eye(q)
        wide = q if self.numbers == "float32" else COLUMNS
        columns = np.pad(columns, ((0, wide - len(columns)), (0, block.rows.shape[1] - v.shape[1])))
        error, size = np.linalg.norm(v - kept, axis=1), np.linalg.norm(v, axis=1)
        rounded = np.array([rounding(probe, block.longest) for probe in probes])
        return Asked(columns, units, size * block.residual + error * block.length + 2 * rounded)

    def _sent(self, segments: Sequence[Segment], sources: tuple[Floats, ...]) -> Block:
        ends = np.cumsum([0, *(len(segment.ids) for segment in segments)]).tolist()
        count, dimensions = ends[-1], self.index.dimensions
        scale = np.ones(dimensions, np.float32)
        if self.numbers == "int8":
            scale = np.concatenate(
                [
                    np.max([segment.parts[part].codes.scale for segment in segments], axis=0)
                    for part in range(len(segments[0].parts))
                ]
            )
        shape = (-(-count // GROUP) * GROUP, -(-dimensions // WIDTH) * WIDTH)
        try:
            rows = torch.zeros(shape, dtype=DTYPES[self.numbers], device=self.device)
            told = [
                self._fill(rows[first:last, :dimensions], segment, scale)
                for segment, (first, last) in zip(segments, pairwise(ends), strict=True)
            ]
        except torch.OutOfMemoryError:
            size = len(self) * shape[1] * DTYPES[self.numbers].itemsize / 2**30
            raise UsageError(
                f"The memory of {self.device} does not hold {len(self)} templates, which take {size:.1f} GB there: "
                "search without it."
            ) from None
        residual, length = np.max(told, axis=0).tolist()
        # What is divided and summed in single precision is off by some of its last digits.
        residual += (dimensions + 3) * EPS * residual + 2 * EPS * (length + residual)
        return Block(sources, rows, count, scale, residual, (1 + (dimensions + 3) * EPS) * length)

    def _fill(self, rows: Tensor, segment: Segment, scale: Floats) -> tuple[float, float]:
        """Send a segment's rows; the length of the longest error, and of the longest row."""
        exact = torch.from_numpy(segment.rows(np.arange(len(segment.ids)))).to(self.device)
        if self.numbers == "int8":
            exact /= torch.from_numpy(scale).to(self.device)
            rows.copy_(exact.round().clamp_(-LEVELS, LEVELS))
        elif self.numbers == "float16":
            most = torch.finfo(torch.float16).max
            rows.copy_(exact.clamp(-most, most))
        else:
            rows.copy_(exact)
        kept = rows.float()
        return (exact - kept).norm(dim=1).max().item(), kept.norm(dim=1).max().item()


def _coded(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Units (q,) and whole numbers up to ``LEVELS`` (q, d) whose products are near the vectors (q, d)."""
    units = np.maximum(np.abs(vectors).max(axis=1) / LEVELS, np.finfo(np.float32).tiny)
    units = units.astype(np.float32).astype(np.float64)  # as the device has them
    return units, np.clip(np.rint(vectors / units[:, None]), -LEVELS, LEVELS)
