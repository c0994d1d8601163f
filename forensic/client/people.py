"""Who is enrolled at a server: the calls of `forensic.gallery.Gallery` about people."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from forensic.client import reading
from forensic.client.connection import Connection, Sent
from forensic.errors import NotFound
from forensic.gallery.models import Person, Photo
from forensic.gallery.records import Size


class People:
    """Who is enrolled. Every method does what that of `Gallery` does, with the same errors.

    Args:
        connection: The server's.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def size(self) -> Size:
        """How many people and photos are enrolled."""
        return self._connection.get("/gallery", reading.size)

    def look_through(self, where: Mapping[str, str], *, limit: int | None = None, offset: int = 0) -> list[Person]:
        """People in the order of their labels whose metadata equal ``where``; that is on record."""
        found = self._connection.pages_of("/people/search", reading.person, {"where": dict(where)})
        return list(islice(found, offset, None if limit is None else offset + limit))

    def person(self, label: str) -> Person:
        """The person with this label."""
        for person in self._connection.pages_of("/people/search", reading.person, {"where": {"person": label}}):
            return person
        raise NotFound(f"No person {label!r} in the gallery; 'forensic gallery list' shows who is enrolled.")

    def view(self, label: str) -> tuple[Person, list[Photo]]:
        """A person with all photos; that is on record."""
        return self._connection.get(f"/people/{self.person(label).id}", reading.person_with_photos)

    def expunge(self, *labels: str, reason: str = "") -> list[str]:
        """Remove people for good, one after the other; the content hashes of their photos."""
        found = [self.view(label) for label in dict.fromkeys(labels)]  # all of them are known, or nobody is removed
        for person, _ in found:
            self._connection.ask("DELETE", f"/people/{person.id}", reading.nothing, Sent(json={"reason": reason}))
        return [photo.sha256 for _, photos in found for photo in photos]

    def path(self, sha256: str) -> str | None:
        """None: no file of this machine is an original of the server's."""
        return None
