"""A server, asked as a gallery's folder is: the parts and calls of `forensic.commands.local.Local`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from forensic.client import credentials
from forensic.client.cases import Cases
from forensic.client.connection import Connection
from forensic.client.people import People
from forensic.client.records import Records
from forensic.client.users import Users
from forensic.errors import UsageError

if TYPE_CHECKING:
    from forensic.candidates import Search
    from forensic.casework import Repetition
    from forensic.client.searching import RemoteIdentifier
    from forensic.enrollment import Item, Summary
    from forensic.errors import ForensicError
    from forensic.gallery import Filter
    from forensic.ray_cluster import Cluster


class Remote:
    """A server of ``forensic serve``, for one user; use it as a context manager or call ``close``.

    What depends on this machine's models, such as a device or a policy, is the server's own: commands do not let it
    be given (`forensic.commands.options.FolderOption`), and what is passed here all the same counts for nothing.

    Args:
        connection: The server's.
        password: Asks for the user's present password, which is needed to change it.
    """

    def __init__(self, connection: Connection, password: Callable[[], str] = str) -> None:
        self._connection, self._password = connection, password

    @classmethod
    def signed_in(
        cls,
        address: str,
        user: str | None = None,
        *,
        tell: Callable[[str], None] = lambda sentence: None,
        password: Callable[[], str] = str,
    ) -> Remote:
        """The server at an address, with the token of ``FORENSIC_TOKEN`` or of the key ring.

        Args:
            address: As `forensic.client.address.parse` gives it.
            user: Whose token it has to be; None for whosever is there.
            tell: Is told why something takes longer.
            password: As for the class.

        Raises:
            RightsError: There is no token, or it is somebody else's.
        """
        login = credentials.needed(address, user)
        made = cls(Connection(address, login.token, tell=tell), password)
        if user is not None and not login.number:  # only the server knows whose a token of the environment is
            made._check_is(user)
        return made

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"at {self._connection.address}"

    @cached_property
    def cases(self) -> Cases:
        """Cases and what belongs to them."""
        return Cases(self._connection)

    @cached_property
    def people(self) -> People:
        """Who is enrolled."""
        return People(self._connection)

    @cached_property
    def records(self) -> Records:
        """The log and the reports."""
        return Records(self._connection)

    @cached_property
    def users(self) -> Users:
        """Who may use the gallery."""
        return Users(self._connection, self._password)

    def identifier(
        self, route: str, *, device: str, case: str | None, purpose: str, kind: str | None
    ) -> RemoteIdentifier:
        """What searches with files; see `RemoteIdentifier`.

        Raises:
            UsageError: No case is given.
        """
        from forensic.client.searching import RemoteIdentifier

        return RemoteIdentifier(self._connection, route, case, kind)

    def search_case(
        self,
        reference: str,
        numbers: Sequence[int],
        top: int,
        *,
        route: str,
        together: bool,
        only: Filter | None,
        device: str,
    ) -> Iterator[tuple[str, Search | ForensicError]]:
        """Search with sketches of a case: with each one, or with all of them together."""
        from forensic.client import searching

        yield from searching.search_case(
            self._connection, reference, numbers, top, route=route, together=together, only=only
        )

    def rerun(self, number: int, files: Sequence[Path], *, device: str) -> Repetition:
        """Repeat a search on record with the sketches of its case."""
        from forensic.client import searching

        return searching.rerun(self._connection, number)

    def write_report(self, searches: Sequence[Search], file: Path) -> None:
        """Write the server's report of one search.

        Raises:
            UsageError: There are several, or the file cannot be written.
        """
        from forensic import report

        if len(searches) != 1:
            raise UsageError("A server reports one search at a time: give --report with one sketch, or --same-person.")
        report.save(self._connection.bytes(f"/searches/{searches[0].number}/report.html"), file)

    def enroll(
        self,
        items: Sequence[Item],
        *,
        route_names: Sequence[str],
        policy: Path | None,
        keep_until: date | None,
        device: str,
        cluster: Cluster | None,
        progress: Callable[[Summary], None],
    ) -> Summary:
        """Enroll files, batch by batch; see `forensic.client.enrolling`."""
        from forensic.client import enrolling

        return enrolling.enroll(self._connection, items, keep_until=keep_until, progress=progress)

    def reindex(
        self,
        route: str,
        *,
        everything: bool,
        device: str,
        cluster: Cluster | None,
        progress: Callable[[int, int], None],
    ) -> Summary:
        """Make the templates that a route of the server's needs."""
        from forensic.client import enrolling

        return enrolling.reindex(self._connection, route, everything=everything, progress=progress)

    def _check_is(self, user: str) -> None:
        found = self._connection.get("/me", lambda answer: str(answer["user"]))
        if found != user:
            self.close()
            raise UsageError(
                f"The token of {credentials.VARIABLE} is {found}'s, not that of {user}: keep one of the two."
            )
