"""What the server says of itself, on standard error, without a word about anybody who is enrolled.

Requests are named by their route's pattern, errors by their kind and by the lines of code that they passed: the words
of an error may quote what somebody typed. ``forensic.web.requests`` has a line for each request, ``forensic.web`` all
else; an agency's service manager (systemd, a container) collects them.
"""

from __future__ import annotations

import logging
import sys
import traceback

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
NAMES = ("forensic.web", "uvicorn")


def set_up() -> None:
    """Write the server's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    for name, level in zip(NAMES, (logging.INFO, logging.WARNING), strict=True):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def faults(error: BaseException) -> str:
    """Kinds and places of an error and of those that led to it, the last one first; none of their words.

    >>> faults(ValueError("Jane Doe"))
    'ValueError'
    """
    said: list[str] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        places = (f"{frame.filename}:{frame.lineno}" for frame in reversed(traceback.extract_tb(link.__traceback__)))
        said.append(" ".join((type(link).__name__, *places)))
        link = link.__cause__ or link.__context__
    return "; after ".join(said)
