"""Who may do what. A gallery without users asks nobody; with the first one, every call needs a role that has its right.

@needs(Right.ENROLL)
def enroll(self, ...)
"""

from __future__ import annotations

import functools
import getpass
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeVar

from forensic.errors import RightsError


class Role(StrEnum):
    """What somebody is in the agency; one role a user."""

    ANALYST = "analyst"  # looks after the gallery
    INVESTIGATOR = "investigator"  # opens cases and searches
    EXAMINER = "examiner"  # the same, and decides on candidates
    AUDITOR = "auditor"  # reads everything that was done
    ADMINISTRATOR = "administrator"  # looks after users and backups


class Right(StrEnum):
    """What a call needs."""

    VIEW = "look at people and photos"
    ENROLL = "enroll and change people"
    EXPUNGE = "expunge people"
    PROVE = "prove that people are expunged"
    SEARCH = "search"
    CASE = "open cases and add sketches"
    DECIDE = "decide on candidates"
    READ_CASE = "read cases and searches"
    AUDIT = "read the audit log"
    USERS = "change users"
    ENCRYPT = "encrypt the gallery, change its key, its engine or where originals lie"
    BACKUP = "make and remove backups"


RIGHTS: dict[Right, frozenset[Role]] = {
    Right.VIEW: frozenset(Role),
    Right.ENROLL: frozenset({Role.ANALYST}),
    Right.EXPUNGE: frozenset({Role.ANALYST, Role.ADMINISTRATOR}),
    Right.PROVE: frozenset({Role.ANALYST, Role.AUDITOR, Role.ADMINISTRATOR}),
    Right.SEARCH: frozenset({Role.INVESTIGATOR, Role.EXAMINER}),
    Right.CASE: frozenset({Role.INVESTIGATOR, Role.EXAMINER}),
    Right.DECIDE: frozenset({Role.EXAMINER}),
    Right.READ_CASE: frozenset({Role.INVESTIGATOR, Role.EXAMINER, Role.AUDITOR}),
    Right.AUDIT: frozenset({Role.AUDITOR, Role.ADMINISTRATOR}),
    Right.USERS: frozenset({Role.ADMINISTRATOR}),
    Right.ENCRYPT: frozenset({Role.ADMINISTRATOR}),
    Right.BACKUP: frozenset({Role.ADMINISTRATOR}),
}


class Operator(NamedTuple):
    """Who is at work.

    Attributes:
        name: As it stands in the log.
        role: None where nobody signed in: then all is allowed in a gallery without users, and nothing in others.
        request: Number of the server's request that they make, for the log; empty elsewhere.
    """

    name: str
    role: Role | None = None
    request: str = ""

    @classmethod
    def of_system(cls) -> Operator:
        """The account that runs this process, marked as such: nothing checked that it is a certain person."""
        try:
            return cls(f"account {getpass.getuser()}")
        except (OSError, KeyError, ImportError):  # a container's nameless account
            return cls("account without a name")


class Standing(NamedTuple):
    """What an operator is at a moment.

    Attributes:
        users: Whether the gallery has users, so that everybody has to sign in.
        role: The operator's; None for nobody who signed in, or whom somebody removed since.
    """

    users: bool
    role: Role | None


class Guarded(Protocol):
    """What a guarded call hangs on."""

    operator: Operator

    def standing(self) -> Standing:
        """What the operator is now."""
        ...


Call = TypeVar("Call", bound=Callable[..., Any])


def needs(right: Right) -> Callable[[Call], Call]:
    """Let a function of a gallery (its first argument) run only for operators with a right; it is its ``right``."""

    def guarded(call: Call) -> Call:
        @functools.wraps(call)
        def checked(gallery: Guarded, *arguments: Any, **settings: Any) -> Any:
            check(gallery, right)
            return call(gallery, *arguments, **settings)

        checked.right = right  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return guarded


def check(gallery: Guarded, right: Right) -> None:
    """Stop an operator who lacks a right.

    Raises:
        RightsError: Nobody signed in to a gallery with users, or the role lacks the right.
    """
    now = gallery.standing()
    if not now.users:
        return
    if now.role is None:
        raise RightsError("This gallery has users: say who you are with --as NAME (Gallery.sign_in in Python).")
    if now.role not in RIGHTS[right]:
        able = " or ".join(sorted(RIGHTS[right]))
        raise RightsError(f"{gallery.operator.name} is {now.role} here and may not {right}: that needs {able}.")
