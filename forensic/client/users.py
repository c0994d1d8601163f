"""Who may use the gallery of a server: the calls of `forensic.gallery.users`."""

from __future__ import annotations

from collections.abc import Callable

from forensic.client import reading
from forensic.client.connection import Connection, Sent
from forensic.errors import NotFound
from forensic.gallery.casework.casework_models import User
from forensic.gallery.rights import Role


class Users:
    """Users; every method does what the function of its name does, with the same errors.

    Args:
        connection: The server's.
        present: Asks for the present password of whoever is at work.
    """

    def __init__(self, connection: Connection, present: Callable[[], str]) -> None:
        self._connection, self._present = connection, present

    def add(self, name: str, role: Role, password: str) -> None:
        """Name somebody a user."""
        asked = {"name": name, "role": role.value, "password": password}
        # Without an idempotency key: nothing of a password, a hash of the request neither, is kept by the server.
        self._connection.ask("POST", "/users", reading.nothing, Sent(json=asked, unkept=True))

    def listed(self) -> list[User]:
        """All users, removed ones too, by name."""
        found = self._connection.pages("/users", reading.user)
        return sorted(found, key=lambda user: user.name)

    def set_role(self, name: str, role: Role) -> None:
        """Give a user another role."""
        self._connection.ask("PATCH", self._path(name), reading.nothing, Sent(json={"role": role.value}))

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password: one's own, with the present one, or anybody's as an administrator.

        Their tokens end, so that one has to sign in again.
        """
        if self._connection.get("/me", lambda answer: answer["user"] == name):
            asked = {"password": password, "current": self._present()}
            self._connection.ask("PUT", "/me/password", reading.nothing, Sent(json=asked))
        else:
            path = f"{self._path(name)}/password"
            self._connection.ask("PUT", path, reading.nothing, Sent(json={"password": password}))

    def remove(self, name: str) -> None:
        """Let a user in no more."""
        self._connection.ask("DELETE", self._path(name), reading.nothing)

    def _path(self, name: str) -> str:
        """A user's address, which has a number in place of the name."""
        for user in self.listed():
            if user.name == name and user.active:
                return f"/users/{user.id}"
        raise NotFound(f"There is no user {name!r}; 'forensic user list' shows those there are.")
