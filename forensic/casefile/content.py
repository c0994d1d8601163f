"""What the export of a case says as plain data for programs; `wording` says it for people."""

from __future__ import annotations

import json
from typing import Any

from forensic.casefile.layout import FORMAT, LOG, file_name_of_sketch
from forensic.gallery.casework.cases import Searched
from forensic.gallery.casework.casework_models import Sketch
from forensic.gallery.casework.disclosing import Held
from forensic.gallery.log.audit import canonical


def thumbnail_name(photo: int) -> str:
    """Where a candidate's thumbnail lies."""
    return f"thumbnails/photo-{photo}.jpg"


def record_name(search: int) -> str:
    """Where a search's record lies."""
    return f"searches/{search}.json"


def plain(held: Held) -> bytes:
    """The case as canonical JSON; with the records and the log's entries, all that `verifying` compares."""
    case = held.case
    assert case is not None
    return canonical(
        {
            "format": FORMAT,
            "case": {
                "number": case.id,
                "reference": case.reference,
                "purpose": case.purpose,
                "legal_basis": case.legal_basis,
                "opened_by": case.opened_by,
                "opened_at": case.opened_at.isoformat(),
            },
            "sketches": [_sketch(sketch) for sketch in held.sketches],
            "searches": [_search(search, held) for search in held.searches],
        }
    ).encode()


def _sketch(sketch: Sketch) -> dict[str, Any]:
    return {
        "number": sketch.id,
        "file": file_name_of_sketch(sketch.id, sketch.file_name),
        "file_name": sketch.file_name,
        "sha256": sketch.sha256,
        "kind": sketch.kind,
        "made_by": sketch.made_by,
        "described_by": sketch.described_by,
        "drawn_on": sketch.drawn_on,
        "added_by": sketch.added_by,
        "added_at": sketch.added_at.isoformat(),
    }


def _search(search: Searched, held: Held) -> dict[str, Any]:
    return {
        "number": search.number,
        "file": record_name(search.number),
        "candidates": [
            {
                "rank": candidate["rank"],
                "photo": candidate["photo_id"],
                "person": search.people.get(candidate["photo_id"]),
                "thumbnail": thumbnail_name(candidate["photo_id"]) if candidate["photo_id"] in held.photos else None,
            }
            for candidate in search.record["candidates"]
        ],
        "decisions": [
            {
                "rank": opinion.rank,
                "examiner": opinion.examiner,
                "at": opinion.at.isoformat(),
                "verdict": opinion.verdict,
                "reason": opinion.reason,
                "salt": held.salts.get((search.number, opinion.rank, opinion.examiner)),
            }
            for opinion in search.opinions
        ],
    }


def records(held: Held) -> dict[str, bytes]:
    """Searches, sketches and the log's entries: the files that are what the gallery holds, to the byte."""
    lines = (json.dumps(line._asdict(), sort_keys=True, separators=(",", ":")) for line in held.lines)
    return {
        LOG: "".join(f"{line}\n" for line in lines).encode(),
        **{record_name(number): record.encode() for number, record in held.records.items()},
        **{file_name_of_sketch(sketch.id, sketch.file_name): sketch.data for sketch in held.sketches},
    }
