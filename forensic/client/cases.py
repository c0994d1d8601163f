"""Cases at a server: the calls of `forensic.gallery.cases`."""

from __future__ import annotations

from forensic.client import reading
from forensic.client.connection import Connection, File, Sent
from forensic.gallery.cases import Drawing, Searched, Verdict
from forensic.gallery.casework_models import Case, Sketch


class Cases:
    """Cases and what belongs to them.

    Every method does what the function of its name in `forensic.gallery.cases` does, with the same errors.

    Args:
        connection: The server's.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def open_case(self, reference: str, *, purpose: str, legal_basis: str) -> None:
        """Open a case."""
        asked = {"reference": reference, "purpose": purpose, "legal_basis": legal_basis}
        self._connection.post("/cases", reading.nothing, asked)

    def add_sketch(self, reference: str, drawing: Drawing) -> int:
        """Add a sketch to a case; its number."""
        about = {
            "kind": drawing.kind.value,
            "made_by": drawing.made_by,
            "described_by": drawing.described_by,
            "drawn_on": drawing.drawn_on,
        }
        sent = Sent(
            data={key: value for key, value in about.items() if value is not None},
            files=[("file", File(drawing.file_name, drawing.data))],
        )
        path = f"/cases/{self.find(reference).id}/sketches"
        return self._connection.ask("POST", path, reading.number, sent)

    def listed(self) -> list[Case]:
        """All cases, the newest first."""
        return list(self._connection.pages("/cases", reading.case))

    def find(self, reference: str) -> Case:
        """The case with this reference, which stands in no address."""
        sent = Sent(json={"reference": reference}, reads=True)
        return self._connection.ask("POST", "/cases/lookup", reading.case, sent)

    def sketches(self, reference: str) -> list[Sketch]:
        """A case's sketches without their bytes, in the order in which they were added."""
        return list(self._connection.pages(f"/cases/{self.find(reference).id}/sketches", reading.sketch))

    def searches(self, reference: str | None = None) -> list[Searched]:
        """The searches of a case, or all, in their order."""
        chosen = {} if reference is None else {"case": self.find(reference).id}
        found = self._connection.pages("/records", reading.searched, **chosen)
        return sorted(found, key=lambda search: search.number)

    def searched(self, number: int) -> Searched:
        """A search on record."""
        return self._connection.get(f"/records/{number}", reading.searched)

    def decide(self, number: int, rank: int, verdict: Verdict, reason: str) -> None:
        """Say what one thinks of a candidate."""
        asked = {"rank": rank, "verdict": verdict.value, "reason": reason}
        self._connection.post(f"/searches/{number}/decisions", reading.nothing, asked)
