"""Who is enrolled at a server: the calls of `forensic.gallery.Gallery` about people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from forensic.client import reading
from forensic.client.connection import Connection, Sent
from forensic.errors import NotFound
from forensic.gallery import merging
from forensic.gallery.expunging import Due
from forensic.gallery.models import Person, Photo
from forensic.gallery.records import Shown, Size, parse_photo_metadata
from forensic.text import forms

if TYPE_CHECKING:
    from forensic.duplicates import Duplicates


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
        """People in the order of their labels whose metadata equal ``where``; that is on record.

        Nobody is asked for who is not shown: the record would name them.
        """
        asked = {"where": dict(where), **({"offset": offset} if offset else {})}  # an older server knows no offset
        return list(self._connection.pages_of("/people/search", reading.person, asked, most=limit))

    def person(self, label: str) -> Person:
        """The person with this label."""
        found = self._connection.pages_of("/people/search", reading.person, {"where": {"person": label}})
        there = {person.label: person for person in found}  # to a search, an end in * stands for all that begin so
        for form in forms(label):
            if form in there:
                return there[form]
        raise NotFound(f"No person {label!r} in the gallery; 'forensic gallery list' shows who is enrolled.")

    def view(self, label: str) -> tuple[Person, list[Photo]]:
        """A person with all photos; that is on record."""
        return self._connection.get(f"/people/{self.person(label).id}", reading.person_with_photos)

    def photo(self, number: int) -> Photo:
        """A photo with its person's number and label; that somebody looked at the person is on record."""
        return self._connection.get(f"/photos/{number}", reading.photo_with_owner)

    def update(self, whom: str | Shown, metadata: Mapping[str, str], *, rename: str | None = None) -> Person:
        """Change a person's metadata; an empty value takes one away."""
        asked = {"metadata": dict(metadata), "label": rename}
        return self._connection.ask("PATCH", self._path(whom), reading.person, Sent(json=asked))

    def update_photo(self, number: int, metadata: Mapping[str, str]) -> Photo:
        """Change a photo's ``date_taken`` or ``source``; an empty value takes it away."""
        asked = {key: value or "" for key, value in parse_photo_metadata(metadata).items()}
        return self._connection.ask("PATCH", f"/photos/{number}", reading.photo, Sent(json=asked))

    def merge(self, one: str | Shown, other: str | Shown) -> list[str]:
        """Make two people one. What is said of dropped values is of those that were there just before."""
        person, gone = self._meant(one), self._meant(other)
        apart = self._connection.post(f"/people/{person.id}/merge", lambda told: told["apart"], {"other": gone.id})
        return merging.inherit(person, gone) + ([merging.were_apart(person.label, gone.label)] if apart else [])

    def keep(self, one: str | Shown, other: str | Shown) -> bool:
        """Note that two people are two; whether that was new."""
        asked = {"other": self._meant(other).id}
        return self._connection.post(f"{self._path(one)}/keep-apart", lambda told: bool(told["new"]), asked)

    def split(self, whom: str | Shown, photo_ids: Sequence[int], new: str) -> Person:
        """Give some of a person's photos to a new person."""
        asked = {"photos": list(dict.fromkeys(photo_ids)), "label": new}
        made = self._connection.post(f"{self._path(whom)}/split", lambda told: int(told["person"]), asked)
        return self._by_number(made)

    def duplicates(self, route: str, above: float, limit: int) -> tuple[Duplicates, dict[int, str]]:
        """`forensic.duplicates.find`, and the names of the photos' files by the photos' numbers."""
        from forensic.client import comparing

        return comparing.duplicates(self._connection, route, above, limit)

    def expunge(self, *people_meant: str | Shown, reason: str = "") -> list[str]:
        """Remove people for good, one after the other; the content hashes of their photos."""
        # All of them are known, and as they were shown, or nobody is removed.
        found = [self._seen(whom) for whom in dict.fromkeys(people_meant)]
        for person, photos in found:
            asked = {"reason": reason, "photos": [photo.id for photo in photos]}
            self._connection.ask("DELETE", f"/people/{person.id}", reading.nothing, Sent(json=asked))
        return [photo.sha256 for _, photos in found for photo in photos]

    def expunge_photo(
        self, number: int, *, reason: str = "", owner: int | None = None, last: bool | None = None
    ) -> list[str]:
        """Remove one photo; its person too if it was the last one."""
        sha256 = self._connection.get(f"/photos/{number}", reading.photo).sha256
        asked = {"reason": reason, "person": owner, "last": last}
        self._connection.ask("DELETE", f"/photos/{number}", reading.nothing, Sent(json=asked))
        return [sha256]

    def due(self, before: date | None = None) -> list[Due]:
        """Whoever has a date until which they may be kept, the earliest first."""
        found = self._connection.pages("/retention", reading.due)
        return [one for one in found if before is None or one.keep_until < before]

    def expunge_due(self, shown: Collection[Due] | None = None) -> list[Due]:
        """Expunge everybody whose date has passed by the server's clock; nobody if others became due meanwhile."""
        today = self._connection.get("/retention", lambda told: date.fromisoformat(told["today"]), limit=1)
        found = self.due(today)
        told = None if shown is None else {(one.number, one.photo_ids) for one in shown}
        chosen = [one for one in found if told is None or (one.number, one.photo_ids) in told]
        if not chosen:
            return []
        asked = {"count": len(found), "people": [one.number for one in chosen]}
        gone = self._connection.post("/retention/apply", lambda answer: set(answer["people"]), asked)
        return [one for one in chosen if one.number in gone]

    def _path(self, whom: str | Shown) -> str:
        return f"/people/{self._meant(whom).id}"

    def _meant(self, whom: str | Shown) -> Person:
        return self.person(whom) if isinstance(whom, str) else self._seen(whom)[0]

    def _seen(self, whom: str | Shown) -> tuple[Person, list[Photo]]:
        """Somebody with all photos; one who was shown before only as they were then."""
        if isinstance(whom, str):
            return self.view(whom)
        try:
            person, photos = self._connection.get(f"/people/{whom.number}", reading.person_with_photos)
        except NotFound:
            whom.check(None, [])
            raise
        whom.check(person.id if person.label == whom.label else None, [photo.id for photo in photos])
        return person, photos

    def _by_number(self, number: int) -> Person:
        return self._connection.get(f"/people/{number}", reading.person)

    def path(self, sha256: str) -> str | None:
        """None: no file of this machine is an original of the server's."""
        return None
