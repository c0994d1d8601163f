"""How often: sign-ins that failed, and requests of one user."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import deque
from datetime import timedelta

from sqlalchemy import delete, func, or_, select

from forensic.gallery import users
from forensic.gallery.models import now
from forensic.web.problems import TooMany
from forensic.web.sessions import AHEAD, digest
from forensic.web.state import Failure, State

WINDOW = timedelta(minutes=15)
FREE = 5
"""Failures of one name from one address in the window before both together have to wait."""
FREE_OF_ADDRESS = 30
"""Failures of one address, which many may share."""
FREE_OF_NAME = 60
"""Failures of one name from anywhere: so many that nobody keeps a user out from one or two addresses."""
CHECKS = threading.BoundedSemaphore(2)
"""Passwords that are checked at once: each check takes 64 MiB, on purpose."""
MINUTE = 60.0


def attempt(state: State, name: str, address: str) -> None:
    """Count a sign-in as failed before it is tried, so that many at once get no further than one by one.

    Raises:
        TooMany: Too many have failed of late; a right password does not help then, and this one is not counted.
    """
    moment = now()
    with state.writing() as session:
        for subject, free in _subjects(name, address).items():
            counted = select(func.count(Failure.id), func.max(Failure.at))
            # Those noted while the clock was ahead count no more once it is set back: nobody would wait that long.
            of_late = Failure.at > moment - WINDOW, Failure.at <= moment + AHEAD
            count, last = session.execute(counted.where(Failure.subject == digest(subject), *of_late)).one()
            if count >= free:
                pause = min(2 ** (count - free) * 5, WINDOW.total_seconds())
                left = pause - max((moment - last).total_seconds(), 0)
                if left > 0:
                    raise TooMany("Too many sign-ins have failed. Wait, or ask an administrator.", int(left) + 1)
        session.add_all(Failure(subject=digest(subject), at=moment) for subject in _subjects(name, address))


def succeeded(state: State, name: str, address: str) -> None:
    """Forget a name's failures from an address; of all others, only that this one was counted."""
    together, *others = (digest(subject) for subject in _subjects(name, address))
    with state.writing() as session:
        session.execute(delete(Failure).where(Failure.subject == together))
        for subject in others:
            last = select(func.max(Failure.id)).where(Failure.subject == subject).scalar_subquery()
            session.execute(delete(Failure).where(Failure.id == last))


def tidy(state: State) -> None:
    """Forget failures that count no more."""
    moment = now()
    with state.writing() as session:
        session.execute(delete(Failure).where(or_(Failure.at < moment - WINDOW, Failure.at > moment + AHEAD)))


def _subjects(name: str, address: str) -> dict[str, int]:
    """What failures are counted of, and how many of each are free."""
    name, address = users.normal(name).casefold(), _network(address)
    return {f"{address} {name}": FREE, f"address {address}": FREE_OF_ADDRESS, f"name {name}": FREE_OF_NAME}


def _network(address: str) -> str:
    """An address, or of IPv6 the network, in which one machine may take any address it likes.

    >>> _network("192.0.2.1"), _network("2001:db8::1"), _network("testclient")
    ('192.0.2.1', '2001:db8::/64', 'testclient')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)


class Rate:
    """Requests of each user within the last minute.

    Args:
        limit: How many a user may make in a minute.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._seen: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def count(self, user: str) -> dict[str, str]:
        """Count a request.

        Returns:
            Headers that say how many are left, and in how many seconds all will be.

        Raises:
            TooMany: It is one too many.
        """
        moment = time.monotonic()
        with self._lock:
            seen = self._seen.setdefault(user, deque())
            while seen and moment - seen[0] > MINUTE:
                seen.popleft()
            if len(seen) >= self.limit:
                pause = int(MINUTE - (moment - seen[0])) + 1
                raise TooMany(f"More than {self.limit} requests in a minute. Wait, then go on slower.", pause)
            seen.append(moment)
            left, first = self.limit - len(seen), seen[0]
        whole = int(MINUTE - (moment - first)) + 1
        return {"RateLimit-Limit": str(self.limit), "RateLimit-Remaining": str(left), "RateLimit-Reset": str(whole)}
