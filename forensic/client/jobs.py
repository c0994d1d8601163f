"""Long work at a server: asked for, and waited for as long as it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forensic.client import problems
from forensic.client.connection import WAIT, Connection, Sent
from forensic.errors import GalleryError

Plain = dict[str, Any]
Watch = Callable[[Plain], None]
"""Is told how a job stands."""


def unwatched(job: Plain) -> None:
    """Nobody watches."""


def finished(connection: Connection, path: str, sent: Sent, *, watch: Watch = unwatched, every: int = WAIT) -> Plain:
    """What comes of a write that becomes a job: its answer, or what the server made of it if it ended at once.

    The arguments are those of `ended`.
    """
    answer = ended(connection, path, sent, watch=watch, every=every)
    return answer["answer"] or {} if _is_job(answer) else answer


def ended(connection: Connection, path: str, sent: Sent, *, watch: Watch = unwatched, every: int = WAIT) -> Plain:
    """A write's job once it is done, or what the server made of it if it ended at once.

    Args:
        connection: The server's.
        path: Where it is asked for.
        sent: What is asked.
        watch: Is told how the job stands.
        every: Seconds between two looks at the job, where somebody watches.

    Raises:
        ForensicError: As the job failed; GalleryError where it was cancelled.
    """
    answer: Plain = connection.ask("POST", path, dict, sent._replace(prefer=every))
    if _is_job(answer) and answer["position"]:
        connection.tell(f"The server is at other work; this is number {answer['position']} of what waits there.")
    while _is_job(answer):
        watch(answer)
        if answer["status"] == "done":
            break
        if answer["status"] == "failed":
            problem = answer["error"] or {}
            kind = str(problem.get("type", "")).removeprefix(problems.TYPE)
            raise problems.error(kind, str(problem.get("detail", "The job failed.")))
        if answer["status"] == "cancelled":
            raise GalleryError("The job was cancelled at the server before it was done.")
        answer = connection.ask("GET", f"/jobs/{answer['id']}", dict, Sent(prefer=every))
    return answer


def _is_job(answer: Plain) -> bool:
    return "status" in answer and "answer" in answer
