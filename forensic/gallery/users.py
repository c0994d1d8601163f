"""The gallery's users: names, roles, passwords. Each call is one transaction with its entry in the audit log."""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from forensic.errors import NotFound, RightsError, UsageError
from forensic.gallery.casework.casework_models import User
from forensic.gallery.log import audit
from forensic.gallery.records import Problem
from forensic.gallery.rights import Operator, Right, Role, needs
from forensic.gallery.storage import Storage

SHORTEST = 10
LONGEST = 60
_hasher = PasswordHasher()  # argon2id with the library's costs, which follow RFC 9106


def add(gallery: Storage, name: str, role: Role, password: str) -> int:
    """Name somebody a user. The first one is an administrator, and from then on everybody has to sign in.

    Returns:
        The user's number.

    Raises:
        UsageError: The name is taken or cannot be one, the password is short, or the first is no administrator.
        RightsError: The operator may not.
    """
    _may_change(gallery)
    name, hashed = _name(name), _hashed(password)
    with gallery.writing() as session:
        for other in session.scalars(select(User.name)):
            if other.casefold() == name.casefold():  # nobody could tell the two apart in a record
                raise UsageError(f"There is or was a user {other!r}; names are never given out again. Choose another.")
        if role is not Role.ADMINISTRATOR and not session.scalars(select(User.id).limit(1)).first():
            raise UsageError("The first user has to be an administrator, who can then name the others.")
        user = User(name=name, role=role, password=hashed, active=True)
        session.add(user)
        session.flush()
        gallery.note(session, "user-add", user=name, role=role, password=_digest(hashed))
        return user.id


@needs(Right.USERS)
def set_role(gallery: Storage, name: str, role: Role) -> None:
    """Give a user another role.

    Raises:
        RightsError: It is the operator's own, or that of the last administrator.
        NotFound: There is no such user.
    """
    with gallery.writing() as session:
        user = _find(session, name)
        if user.name == gallery.operator.name:
            raise RightsError("Nobody changes their own role: another administrator has to.")
        _keep_an_administrator(session, user, leaves=role is not Role.ADMINISTRATOR)
        gallery.note(session, "user-role", user=name, role=role, was=user.role)
        user.role = role


@needs(Right.USERS)
def remove(gallery: Storage, name: str) -> None:
    """Let a user in no more. What they did stays on record under their name.

    Raises:
        RightsError: It is the last administrator.
        NotFound: There is no such user.
    """
    with gallery.writing() as session:
        user = _find(session, name)
        _keep_an_administrator(session, user, leaves=True)
        user.active = False
        gallery.note(session, "user-remove", user=name)


def set_password(gallery: Storage, name: str, password: str) -> None:
    """Give a user another password: one's own, or anybody's as an administrator."""
    hashed = _hashed(password)
    if gallery.operator.role is None or gallery.operator.name != name:
        _may_change(gallery)
    with gallery.writing() as session:
        _find(session, name).password = hashed
        gallery.note(session, "user-password", user=name, password=_digest(hashed))


@needs(Right.USERS)
def listed(gallery: Storage) -> list[User]:
    """All users, removed ones too, by name."""
    with gallery.reading() as session:
        return list(session.scalars(select(User).order_by(User.name)))


@needs(Right.USERS)
def by_number(gallery: Storage, number: int) -> User:
    """The user with this number, which says nothing of who it is; a removed one too.

    Raises:
        NotFound: There is none.
    """
    with gallery.reading() as session:
        user = session.get(User, number)
    if user is None:
        raise NotFound(f"There is no user number {number}; 'forensic user list' shows those there are.")
    return user


def sign_in(gallery: Storage, name: str, password: str) -> Operator:
    """Who somebody is, after a check of the password; success and failure are both on record.

    Raises:
        RightsError: Name or password is wrong; which of both is not said.
    """
    name = normal(name)
    _ = _nobody()  # made before the clock of an observer starts
    with gallery.reading() as session:
        user = session.scalars(select(User).where(User.name == name, User.active)).first()
    # An unknown name takes as long as a wrong password.
    known = user.password if user else _nobody()
    try:
        right = _hasher.verify(known, password) and user is not None
    except (VerificationError, InvalidHashError):
        right = False
    with gallery.writing() as session:
        gallery.note(session, "login" if right else "login-refused", by=name if user else "unknown name")
    if user is None or not right:
        raise RightsError(f"No user {name!r} with this password. Check both, or ask an administrator.")
    return Operator(user.name, Role(user.role))


def as_operator(gallery: Storage, name: str) -> Operator:
    """Who a user is now, for a caller that has seen by other means, such as a cookie, that it is them.

    Raises:
        RightsError: There is no such user any more.
    """
    with gallery.asking() as connection:
        role = connection.scalars(select(User.role).where(User.name == name, User.active)).first()
    if role is None:
        raise RightsError(f"{name!r} is no user of this gallery any more.")
    return Operator(name, Role(role))


def fingerprint(gallery: Storage, name: str) -> str | None:
    """What changes with a user's password or role, so that who was let in by the earlier ones can be sent away.

    It changes too where they are changed back: what has ended does not begin again.

    Returns:
        64 hexadecimal digits, which tell neither; None if there is no such user any more.
    """
    with gallery.asking() as connection:
        user = connection.execute(select(User.role, User.password).where(User.name == name, User.active)).first()
        if user is None:
            return None
        # After the row: a change in between leaves a fingerprint that fits nobody, never one that outlasts the change.
        return _digest(f"{user.role} {user.password} {gallery.changes.last(connection, name)}")


def normal(name: str) -> str:
    """A name as users are looked up by it, however it was typed.

    >>> normal(" \uff41nna ")
    'anna'
    """
    return unicodedata.normalize("NFKC", name).strip()


def problems(session: Session, entries: Sequence[audit.Entry]) -> list[Problem]:
    """Users who are not as the entries of the audit log, newest first, have them."""
    logged: dict[str, tuple[object, object, bool]] = {}
    for entry in reversed(entries):
        said, action = entry["details"], entry["action"]
        name = str(said.get("user"))
        role, password, active = logged.get(name, (None, None, True))
        if action == "user-add":
            logged[name] = said.get("role"), said.get("password"), True
        elif action == "user-role":
            logged[name] = said.get("role"), password, active
        elif action == "user-password":
            logged[name] = role, said.get("password"), active
        elif action == "user-remove":
            logged[name] = role, password, False
    there = {user.name: (user.role, _digest(user.password), user.active) for user in session.scalars(select(User))}
    changed = [
        Problem("user", name, f"Is not as the audit log has it: {audit.RESTORE}")
        for name in sorted(logged.keys() | there.keys())
        if logged.get(name) != there.get(name)
    ]
    alike = Counter(name.casefold() for name, (_, _, is_active) in there.items() if is_active)
    return changed + [
        Problem("user", name, "Another name differs in case alone, as an older version let it: remove one of them.")
        for name, (_, _, is_active) in sorted(there.items())
        if is_active and alike[name.casefold()] > 1
    ]


@needs(Right.USERS)
def _may_change(gallery: Storage) -> None:
    """Passes for administrators, and for everybody where there are no users yet."""


def _find(session: Session, name: str) -> User:
    user = session.scalars(select(User).where(User.name == name, User.active)).first()
    if user is None:
        raise NotFound(f"There is no user {name!r}; 'forensic user list' shows those there are.")
    return user


def _keep_an_administrator(session: Session, user: User, *, leaves: bool) -> None:
    administrators = select(func.count(User.id)).where(User.role == Role.ADMINISTRATOR, User.active)
    if leaves and user.role == Role.ADMINISTRATOR and session.scalars(administrators).one() == 1:
        raise RightsError(f"{user.name!r} is the last administrator: name another one first.")


def _name(name: str) -> str:
    name = normal(name)
    if name.casefold() == audit.PROGRAM or name.casefold().startswith("account "):
        raise UsageError(f"{name!r} stands for the program or for a system's account in the log. Choose another name.")
    if not 0 < len(name) <= LONGEST or any(unicodedata.category(c)[0] == "C" for c in name):
        raise UsageError(f"A user is named {name[:40]!r}; expected 1 to {LONGEST} characters, no control characters.")
    return name


@functools.cache
def _nobody() -> str:
    return _hasher.hash("nobody")


def _digest(hashed: str) -> str:
    return hashlib.sha256(hashed.encode()).hexdigest()


def _hashed(password: str) -> str:
    if len(password) < SHORTEST:
        raise UsageError(f"The password has {len(password)} characters; expected at least {SHORTEST}.")
    return _hasher.hash(password)
