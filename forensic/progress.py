"""Progress bars: on standard error, gone when done, with rate and time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """What the bar is told."""

    def __call__(self, done: int, total: int | None = None) -> None:
        """So many are done, of so many."""


@contextmanager
def bar(label: str, total: int | None = None, *, shown: bool = True) -> Iterator[Bar]:
    """Show a progress bar from the first step on, so that it does not draw over a question that is asked before.

    Nothing is shown where standard error is no terminal.

    Args:
        label: What is going on.
        total: How many there will be, if that is known already.
        shown: Whether it is to be seen at all.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", justify="right"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    progress = Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal))
    task = progress.add_task(label, total=total, rate="")

    def update(done: int, total: int | None = None) -> None:
        progress.start()
        elapsed = progress.tasks[0].elapsed or 0
        rate = f"{done / elapsed:.1f}/s" if elapsed > 0 else ""
        progress.update(task, total=total, completed=done, rate=rate)  # a total of None leaves it as it is

    try:
        yield update
    finally:
        progress.stop()
