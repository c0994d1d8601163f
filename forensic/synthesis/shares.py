"""What a process has of a step's batch, where several train one model together (`distributed.py`).

Whatever a method draws by chance or remembers is of the whole batch: every process draws all of it and keeps its own
rows. So the weights do not depend on how many processes there are, and their random generators stay alike. Where one
process has the whole batch, all of this does nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.synthesis.translator import Batch


class Share(NamedTuple):
    """Rows of a step's batch, one after the other.

    Attributes:
        first: The first of them, counted from 0.
        last: The row after the last of them.
        total: Rows of the batch.
        weight: What they count in the batch's mean.
        add: Replaces a tensor by its sum over all processes, and returns it.
    """

    first: int
    last: int
    total: int
    weight: float
    add: Callable[[Tensor], Tensor]

    @property
    def whole(self) -> bool:
        """Whether it is all of the batch."""
        return self.last - self.first == self.total

    def of(self, batch: Batch) -> Batch:
        """These rows of a batch."""
        style = None if batch.style is None else self.own(batch.style)
        return Batch(self.own(batch.photo), self.own(batch.sketch), style)

    def own(self, rows: Tensor) -> Tensor:
        """These of the batch's rows, (total, ...)."""
        return rows[self.first : self.last]


def share(total: int, rank: int, world: int, add: Callable[[Tensor], Tensor]) -> Share:
    """The share that one process of several has of a batch.

    The last batch of an epoch may have fewer rows than there are processes: who has none works on the first row, which
    counts nothing there, and so takes part in all that the processes do together.
    """
    first, last = rank * total // world, (rank + 1) * total // world
    return Share(first, last, total, (last - first) / total, add) if last > first else Share(0, 1, total, 0.0, add)


_taken: ContextVar[Share | None] = ContextVar("share", default=None)


@contextmanager
def taken(share: Share) -> Iterator[None]:
    """Let the step inside have this share of its batch."""
    token = _taken.set(None if share.whole else share)
    try:
        yield
    finally:
        _taken.reset(token)


def rows(count: int) -> tuple[range, int]:
    """Where this process's rows, so many, are in the batch, and how many the batch has.

    Raises:
        ValueError: It has another number of rows.
    """
    share = _taken.get()
    if share is None:
        return range(count), count
    if count != share.last - share.first:
        raise ValueError(f"{count} rows where the process has {share.last - share.first} of the batch's {share.total}.")
    return range(share.first, share.last), share.total


def drawn(draw: Callable[[int], Tensor], count: int) -> Tensor:
    """This process's rows, so many, of what chance gives for the whole batch: ``draw(n)`` of n rows, (n, ...)."""
    own, total = rows(count)
    return draw(total)[own.start : own.stop]


def gathered(own: Tensor) -> Tensor:
    """Rows (n, ...) of all processes in the order of the batch, without gradients."""
    share = _taken.get()
    if share is None:
        return own.detach()
    whole = own.new_zeros(share.total, *own.shape[1:])
    if share.weight:
        whole[share.first : share.last] = own.detach()
    return share.add(whole)


class Dropout(nn.Dropout):
    """Dropout, (n, ...) to (n, ...), that drops the same whatever share of the batch the rows are."""

    def forward(self, features: Tensor) -> Tensor:
        """The features, of which in training some are 0 and the others larger."""
        if not self.training or (_taken.get() is None and features.is_contiguous()):
            return super().forward(features)
        # Else drawn row by row: in another layout torch draws in the order of memory, which differs with the share.
        with torch.no_grad():
            kept = drawn(
                lambda n: F.dropout(features.new_ones(n, *features.shape[1:]), self.p, training=True), len(features)
            )
        return features * kept
