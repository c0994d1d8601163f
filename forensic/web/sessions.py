"""Who is asking: browsers by a cookie, programs by a token. The server keeps hashes of both, never the values."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from forensic.errors import NotFound, UsageError
from forensic.gallery import users
from forensic.gallery.models import now
from forensic.gallery.rights import Right
from forensic.web.settings import Settings
from forensic.web.state import State, Token, Visit

PREFIX = "fst_"
"""Begins every token, so that programs which look for leaked secrets find it."""
LONGEST_DAYS = 366
SYSTEM = "system"
"""The fingerprint of the system's account."""
SEEN = timedelta(minutes=1)
"""How exactly it is known when somebody was last seen: fewer writes."""
AHEAD = timedelta(minutes=1)
"""How far ahead what was noted may lie, as a clock is set; what lies further was noted while the clock was wrong."""


def digest(secret: str) -> str:
    """What is kept of a secret; it is random, so that a plain hash serves.

    >>> digest("secret")[:12]
    '2bb80d537b1d'
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def begin(state: State, user: str | None) -> str:
    """Sign a browser in.

    Args:
        state: The server's.
        user: Whose password was right; None for the system's account, in a gallery without users.

    Returns:
        The cookie's value.
    """
    secret = secrets.token_urlsafe(32)
    visit = Visit(
        digest=digest(secret), user=user, fingerprint=_fingerprint(state, user) or "", csrf=secrets.token_urlsafe(24)
    )
    with state.writing() as session:
        session.add(visit)
    return secret


def find(state: State, secret: str, settings: Settings) -> Visit | None:
    """The visit of a cookie; None if there is none, or it has ended."""
    moment = now()
    with state.reading() as session:
        visit = session.get(Visit, digest(secret))
    if visit is None or _ended(visit, moment, settings) or not _same_user(state, visit):
        return None
    if moment - visit.seen_at > SEEN:
        with state.writing() as session:
            if (row := session.get(Visit, visit.digest)) is not None:
                row.seen_at = moment
    return visit


def end(state: State, secret: str) -> None:
    """Sign a browser out."""
    with state.writing() as session:
        session.execute(delete(Visit).where(Visit.digest == digest(secret)))


def end_all(state: State, user: str) -> None:
    """End every visit and token of a user whose password or role was changed, or who was removed."""
    with state.writing() as session:
        session.execute(delete(Visit).where(Visit.user == user))
        session.execute(delete(Token).where(Token.user == user))


def tidy(state: State, settings: Settings) -> None:
    """Forget visits and tokens that have ended."""
    moment = now()
    with state.reading() as session:
        rows = [*session.scalars(select(Visit)), *session.scalars(select(Token))]
    ended = [row for row in rows if _over(row, moment, settings) or not _same_user(state, row)]
    if ended:
        with state.writing() as session:
            for row in ended:
                session.execute(delete(type(row)).where(type(row).digest == row.digest))


def _fingerprint(state: State, user: str | None) -> str | None:
    """Of a user's password and role, or of the system's account; None for somebody who may sign in no more."""
    if user is not None:
        return users.fingerprint(state.gallery, user)
    return None if state.gallery.standing().users else SYSTEM


def _same_user(state: State, row: Visit | Token) -> bool:
    """Whether password and role are those of the sign-in, whoever changed them and by whatever program."""
    present = _fingerprint(state, row.user)
    return present is not None and secrets.compare_digest(present, row.fingerprint)


def _ended(visit: Visit, moment: datetime, settings: Settings) -> bool:
    if max(visit.began_at, visit.seen_at) > moment + AHEAD:  # the clock was set back: how old it is, nobody knows
        return True
    idle = moment - visit.seen_at > timedelta(minutes=settings.idle_minutes) + SEEN
    return idle or moment - visit.began_at > timedelta(hours=settings.session_hours)


def _over(row: Visit | Token, moment: datetime, settings: Settings) -> bool:
    return row.expires_at < moment if isinstance(row, Token) else _ended(row, moment, settings)


def issue(state: State, user: str | None, note: str, scopes: Iterable[Right], days: int) -> tuple[str, Token]:
    """Make a token for a program.

    Args:
        state: The server's.
        user: Whose rights it has, as far as its scopes go.
        note: What it is for.
        scopes: What it may do of that.
        days: Until it ends.

    Returns:
        The secret, which nobody can see again, and the row.

    Raises:
        UsageError: No scope, no note, or another number of days than 1 to ``LONGEST_DAYS``.
    """
    chosen = sorted({right.name.lower() for right in scopes})
    if not chosen or not note.strip() or not 1 <= days <= LONGEST_DAYS:
        raise UsageError(f"A token needs a note, at least one scope, and 1 to {LONGEST_DAYS} days to live.")
    secret = PREFIX + secrets.token_urlsafe(32)
    token = Token(
        digest=digest(secret),
        user=user,
        fingerprint=_fingerprint(state, user) or "",
        note=note.strip()[:100],
        scopes=" ".join(chosen),
        expires_at=now() + timedelta(days=days),
    )
    with state.writing() as session:
        session.add(token)
    return secret, token


def token(state: State, secret: str) -> Token | None:
    """The token with this secret; None if there is none, or it has ended."""
    moment = now()
    with state.reading() as session:
        found = session.scalars(select(Token).where(Token.digest == digest(secret))).first()
    if found is None or found.expires_at < moment or not _same_user(state, found):
        return None
    if found.used_at is None or moment - found.used_at > SEEN:
        with state.writing() as session:
            if (row := session.get(Token, found.id)) is not None:
                row.used_at = moment
    return found


def tokens(state: State, user: str | None) -> list[Token]:
    """A user's tokens, the newest first."""
    with state.reading() as session:
        return list(session.scalars(select(Token).where(Token.user == user).order_by(Token.id.desc())))


def revoke(state: State, user: str | None, number: int) -> None:
    """End a user's token.

    Raises:
        NotFound: The user has no such token.
    """
    with state.writing() as session:
        row = session.get(Token, number)
        if row is None or row.user != user:
            raise NotFound(f"You have no token {number}.")
        session.delete(row)
