"""Cases at a server: the calls of `forensic.gallery.casework.cases`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forensic.client import reading
from forensic.client.connection import Connection, File, Sent
from forensic.errors import DataError, GalleryError
from forensic.gallery.casework.cases import Drawing, Searched, Verdict
from forensic.gallery.casework.casework_models import Case, Sketch

if TYPE_CHECKING:
    from forensic.casefile.reporting import Form, Made
    from forensic.casefile.writing import Exported


class Cases:
    """Cases and what belongs to them.

    Every method does what the function of its name in `forensic.gallery.casework.cases` does, with the same errors.

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

    def report(self, reference: str, form: Form) -> Made:
        """The report of a case, as far as one may see it."""
        number = self.find(reference).id
        return self._made(f"/cases/{number}", f"case-{number}", form)

    def search_report(self, number: int, form: Form) -> Made:
        """The report of a search, as far as one may see it."""
        return self._made(f"/searches/{number}", f"search-{number}", form)

    def export(self, reference: str, out: Path) -> Exported:
        """Write a case as the server signed it to a new file, and check what came.

        Raises:
            GalleryError: It is not sound.
        """
        from forensic.casefile import verifying, writing

        with writing.reserved(out):
            content = self._connection.bytes(f"/cases/{self.find(reference).id}/export.zip")
            writing.write(out, content)
        try:
            found = verifying.verify(out)
        except DataError:
            found = None
        if found is None or found.manifest is None or found.problems:
            out.unlink()
            raise GalleryError(
                f"What {self._connection.address} sent is no sound export of the case, and was not kept. Try again; if "
                "it stays so, see 'forensic gallery verify'."
            )
        return writing.Exported(out, found.manifest, len(content), found.hidden)

    def _made(self, path: str, name: str, form: Form) -> Made:
        from forensic.casefile.reporting import Made

        return Made(self._connection.bytes(f"{path}/report.{form}"), f"{name}.{form}")
