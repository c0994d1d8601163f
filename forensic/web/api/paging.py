"""Lists a page at a time. A program is given a signed cursor, which it cannot alter nor take to another list."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request
from pydantic import StringConstraints

from forensic.errors import UsageError
from forensic.web.server import Server

MOST = 200
"""Items of one page."""
CURSOR = r"^[A-Za-z0-9_-]*$"
_SIGNED = 16
Thing = TypeVar("Thing")
Cursor = Annotated[str, StringConstraints(max_length=100, pattern=CURSOR)]
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many items at most.")]


@dataclass(frozen=True)
class Window:
    """Which part of a list is asked for.

    Attributes:
        limit: How many items.
        after: The number that the page before ended with; None for the first page.
        key: Signs cursors.
        about: Which list it is.
    """

    limit: int
    after: int | None
    key: bytes
    about: str

    @classmethod
    def of(cls, server: Server, about: str, limit: int, cursor: str | None) -> Window:
        """The window that a cursor of this list opens.

        Raises:
            UsageError: The cursor was altered, or is that of another list or of an earlier server.
        """
        after = None if cursor is None else _read(server.cursor_key, about, cursor)
        return cls(limit, after, server.cursor_key, about)

    def cut(self, things: Sequence[Thing], number: Callable[[Thing], int]) -> tuple[Sequence[Thing], str | None]:
        """A page of things of which one more than ``limit`` were looked up, and the cursor to the next page.

        Args:
            things: Those after ``after``.
            number: What tells where a thing stands in the list.
        """
        shown = things[: self.limit]
        if len(things) <= self.limit:
            return shown, None
        return shown, _write(self.key, self.about, number(shown[-1]))


def window(
    request: Request,
    limit: Limit = 50,
    cursor: Annotated[Cursor | None, Query(description="`next` of the page before.")] = None,
) -> Window:
    """A dependency: the part of the route's list that is asked for."""
    rest = sorted((key, value) for key, value in request.query_params.multi_items() if key not in ("limit", "cursor"))
    return Window.of(request.app.state.server, f"{request.url.path} {rest}", limit, cursor)


Paged = Annotated[Window, Depends(window)]


def _write(key: bytes, about: str, number: int) -> str:
    body = number.to_bytes(8, "big")
    return base64.urlsafe_b64encode(body + _sign(key, about, body)).decode().rstrip("=")


def _read(key: bytes, about: str, cursor: str) -> int:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    body, signature = data[:8], data[8:]
    if not hmac.compare_digest(signature, _sign(key, about, body)):
        raise UsageError(
            "The cursor is none of this list, or the server was started anew since. Ask again without a cursor."
        )
    return int.from_bytes(body, "big")


def _sign(key: bytes, about: str, body: bytes) -> bytes:
    return hmac.digest(key, about.encode() + b"\0" + body, hashlib.sha256)[:_SIGNED]
