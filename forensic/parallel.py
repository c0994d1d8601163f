"""Worker threads for work on single images.

On a CPU, one image a thread with one compute thread each is as fast as batches on all cores, and what comes out
for an image then depends on nothing but the image: sums that several threads share end in other digits with their
number.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 8
"""Items a core that may be under way or wait to be taken at once: it bounds memory, and a slow one stops nobody."""


_OUTSIDE: list[int] = []  # a number for each caller of `one_thread`: what held before the first of them
_LIMITING = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread in the caller's meanwhile, and in those that begin meanwhile.

    What was said for a thread is what new ones begin with. Of several callers at once the last one to end therefore
    says again what held before the first.
    """
    import torch

    before = torch.get_num_threads()
    with _LIMITING:
        _OUTSIDE.append(_OUTSIDE[0] if _OUTSIDE else before)
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _LIMITING:
            torch.set_num_threads(before if len(_OUTSIDE) > 1 else _OUTSIDE[0])
            _OUTSIDE.pop()


@contextmanager
def workers(count: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """A pool of worker threads, by default one a core; torch computes with one thread in each, and in the caller's.

    An exception inside cancels what has not begun and waits for what has.
    """
    with one_thread():
        pool = ThreadPoolExecutor(count or os.cpu_count() or 1, initializer=_begin)
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """Tell torch in a new thread, which else asks what somebody may have said for the whole process by then."""
    import torch

    torch.set_num_threads(1)


def ordered(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], window: int | None = None
) -> Iterator[Result]:
    """Results in the items' order, at most ``window`` of them ahead of the reader; by default ``AHEAD`` a core."""
    window = window or AHEAD * (os.cpu_count() or 1)
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
