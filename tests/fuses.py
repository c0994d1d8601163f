"""Failures at a chosen step of those that change the disk."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from forensic.gallery import database


class Crash(BaseException):
    """Stands for the process's end: nothing in the package may catch it."""


class Fuse:
    """Fails at the n-th step of those that change the disk, or lets all of them through."""

    def __init__(self, step: int | None, error: Callable[[], BaseException]) -> None:
        self.step, self.error, self.steps, self.lock = step, error, 0, threading.Lock()

    def __call__(self, *args: object) -> None:
        with self.lock:
            self.steps += 1
            blown = self.steps - 1 == self.step
        if blown:
            raise self.error()


@contextmanager
def failing(fuse: Fuse) -> Iterator[None]:
    """Put the fuse before each system call that changes files and before each commit."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "fsync", "replace", "unlink", "mkdir", "rmdir"):
            real = getattr(os, name)

            def wrapped(*args, _name=name, _real=real, **kwargs):
                if not (_name == "mkdir" and os.path.isdir(args[0])):  # that is asked for often, and changes nothing
                    fuse()
                return _real(*args, **kwargs)

            patch.setattr(os, name, wrapped)
        real_scrub = database.scrub

        def scrub(*args, **kwargs):
            fuse()
            return real_scrub(*args, **kwargs)

        patch.setattr(database, "scrub", scrub)
        event.listen(Engine, "commit", fuse)
        try:
            yield
        finally:
            event.remove(Engine, "commit", fuse)
