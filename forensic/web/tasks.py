"""What a job is: where it stands, what it is given, how it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from forensic.gallery import Gallery
from forensic.web.state import Job


class Status(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


FORGOTTEN = (
    "What went wrong is no longer known: somebody was expunged since, and it might have named them. Ask for it again."
)
"""In place of an error's words that an expunge took away (`forensic.gallery.serving`)."""
ENDED = (Status.DONE, Status.FAILED, Status.CANCELLED)


class Lane(StrEnum):
    """Who waits for whom."""

    QUICK = "quick"
    SLOW = "slow"


class Cancelled(BaseException):
    """The job was cancelled: it stores nothing more, and what it enrolled or described before stays.

    No handler's ``except Exception`` may take it for a fault.
    """


class Interrupted(BaseException):
    """The server ends; the job begins anew when it is started again."""


class File(NamedTuple):
    """A file that came with a job."""

    name: str
    data: bytes


@dataclass
class Progress:
    """How far a job is; kept in memory alone.

    Attributes:
        stage: What it is doing.
        done: Of how many.
        total: 0 where it is one piece.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    stop: type[BaseException] | None = None
    listeners: list[Callable[[], None]] = field(default_factory=list)


class Work(NamedTuple):
    """A job, as the function that does it sees it.

    Attributes:
        asked: What to do.
        gallery: With whoever asked at work in it.
        files: What came with it.
        tell: Says how far it is (stage, done, total), and ends the job if it was cancelled.
    """

    asked: dict[str, Any]
    gallery: Gallery
    files: Sequence[File]
    tell: Callable[..., None]


class Outcome(NamedTuple):
    """How a job ended."""

    status: Status
    answer: dict[str, Any] | None = None
    error: str | None = None
    error_kind: str | None = None


Handler = Callable[[Work], dict[str, Any]]
"""Does a job; what it returns is its answer: numbers and links, nobody's name."""


class View(NamedTuple):
    """A job as its owner sees it.

    Attributes:
        job: The row.
        status: Where it stands.
        position: 1 for the next of its lane; 0 once it has begun.
        stage: What it is doing.
        done: Of how many.
        total: 0 where it is one piece.
    """

    job: Job
    status: Status
    position: int
    stage: str
    done: int
    total: int

    @property
    def error(self) -> str:
        """Why it failed; empty where it did not."""
        return (self.job.error or FORGOTTEN) if self.status is Status.FAILED else ""
