"""What the export of a case says: as plain data for programs, and in words and pictures for the two reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from forensic import images
from forensic.candidates import LEAD, NO_SUPPORT, beyond, meaning_of_lr, strength
from forensic.casefile.layout import FORMAT, LOG, file_name_of_sketch
from forensic.errors import ImageError
from forensic.gallery.audit import Head, canonical
from forensic.gallery.cases import Opinion, Searched
from forensic.gallery.casework_models import Sketch
from forensic.gallery.disclosing import Held
from forensic.recognition.calibration import verbal
from forensic.report import PROBE_SIDE, jpeg
from forensic.text import printable

HIDDEN = "has decided; hidden from whoever has not decided on this candidate"
UNCALIBRATED = "not calibrated: the score only ranks"
HEAD = (
    "The manifest of this export states length and SHA-256 of every file, this report among them, and is signed with "
    "the key of the gallery's audit log: 'forensic case verify FILE.zip --key KEY' checks it without the gallery."
)
OPINIONS = "What examiners say is their own judgement of two pictures. None of it is a result of this program."


class Fact(NamedTuple):
    """One line of a report: what, and what of it; hashes are set in a fixed-width face."""

    name: str
    value: str
    code: bool = False


class SketchShown(NamedTuple):
    """A sketch in a report; ``picture`` is a JPEG, or None with the reason in ``trouble``."""

    title: str
    facts: list[Fact]
    picture: bytes | None
    trouble: str


class CandidateShown(NamedTuple):
    """A candidate in a report.

    Attributes:
        rank: In the list.
        title: Label, or that the person is no longer enrolled.
        thumbnail: A JPEG; None where the person is no longer enrolled.
        evidence: The likelihood ratio and its words, or that there is none.
        score: The score with each route's.
        decisions: What examiners say, one a line.
    """

    rank: int
    title: str
    thumbnail: bytes | None
    evidence: str
    score: str
    decisions: list[str]


class SearchShown(NamedTuple):
    """A search in a report.

    Attributes:
        title: Its number and time.
        notices: What has to be read before the list.
        facts: Who, when, what, with what.
        candidates: The list.
        calibration: What likelihood ratios mean, or that there are none.
        hashes: Of models, code and gallery.
    """

    title: str
    notices: list[str]
    facts: list[Fact]
    candidates: list[CandidateShown]
    calibration: str
    hashes: list[Fact]


class Report(NamedTuple):
    """All that both reports show."""

    title: str
    lead: str
    facts: list[Fact]
    sketches: list[SketchShown]
    searches: list[SearchShown]
    notes: list[str]
    made: str


class Origin(NamedTuple):
    """Who made an export of what, when.

    Attributes:
        head: The end of the log, which names gallery and key.
        operator: Who made it.
        made: When, in ISO 8601.
        version: Of the program.
    """

    head: Head
    operator: str
    made: str
    version: str


def thumbnail_name(photo: int) -> str:
    """Where a candidate's thumbnail lies."""
    return f"thumbnails/photo-{photo}.jpg"


def record_name(search: int) -> str:
    """Where a search's record lies."""
    return f"searches/{search}.json"


def plain(held: Held) -> bytes:
    """The case as canonical JSON; with the records and the log's entries, all that `verifying` compares."""
    case = held.case
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


def report(held: Held, thumbnails: Mapping[int, bytes], origin: Origin) -> Report:
    """The case for people.

    Args:
        held: The case.
        thumbnails: Number of a photo -> JPEG.
        origin: Of the export.
    """
    case, head = held.case, origin.head
    kinds = {sketch.sha256: sketch.kind for sketch in held.sketches}
    names = {sketch.sha256: f"sketch {sketch.id}" for sketch in held.sketches}
    return Report(
        title=f"Case {_line(case.reference)}",
        lead=LEAD,
        facts=[
            Fact("Purpose", _line(case.purpose)),
            Fact("Legal basis", _line(case.legal_basis)),
            Fact("Opened", f"{_moment(case.opened_at.isoformat())} by {_line(case.opened_by)}"),
            Fact("Exported", f"{_moment(origin.made)} by {_line(origin.operator)}, forensic {origin.version}"),
            Fact("Gallery", head.gallery, code=True),
            Fact("Key of its log", head.public_key, code=True),
            Fact("End of its log", f"entry {head.number}, {head.hash}", code=True),
        ],
        sketches=[_shown_sketch(sketch) for sketch in held.sketches],
        searches=[_shown_search(search, kinds, names, thumbnails) for search in held.searches],
        notes=[OPINIONS, HEAD],
        made=origin.made,
    )


def _shown_sketch(sketch: Sketch) -> SketchShown:
    facts = {
        "Kind": sketch.kind,
        "Made by": sketch.made_by,
        "Described by": sketch.described_by,
        "Drawn": sketch.drawn_on,
        "Added": f"{_moment(sketch.added_at.isoformat())} by {sketch.added_by}",
    }
    shown = [Fact(name, _line(value)) for name, value in facts.items() if value]
    picture, trouble = None, ""
    try:
        picture = jpeg(images.decode(sketch.data, sketch.file_name).image, PROBE_SIDE)
    except ImageError as error:
        trouble = f"It cannot be shown: {error}"
    title = f"Sketch {sketch.id}: {_line(sketch.file_name)}"
    return SketchShown(title, [*shown, Fact("SHA-256", sketch.sha256, code=True)], picture, trouble)


def _shown_search(
    search: Searched, kinds: Mapping[str, str], names: Mapping[str, str], thumbnails: Mapping[int, bytes]
) -> SearchShown:
    record = search.record
    calibration = record["calibration"]
    warning = beyond(calibration, {kinds[probe] for probe in record["probes"] if probe in kinds})
    return SearchShown(
        title=f"Search {search.number}",
        notices=list(_notices(search, warning)),
        facts=list(_facts(record, names)),
        candidates=[_candidate(search, candidate, thumbnails, warning is None) for candidate in record["candidates"]],
        calibration=meaning_of_lr(None if warning else calibration),
        hashes=[
            Fact("Merkle root", record["gallery"]["root"], code=True),
            *(Fact(f"Model {name}", sha256, code=True) for name, sha256 in sorted(record["models"].items())),
            Fact("Program's code", record["code"], code=True),
            *(Fact("Probe", probe, code=True) for probe in record["probes"]),
        ],
    )


def _notices(search: Searched, warning: str | None) -> Iterator[str]:
    record = search.record
    if warning:
        yield f"{warning[0].upper()}{warning[1:]}"
    elif record["supported"] is False:
        yield f"{NO_SUPPORT[0].upper()}{NO_SUPPORT[1:]}."
    if search.disagreements:
        yield f"The examiners disagree on rank {', '.join(map(str, search.disagreements))}."
    yield from (f"Warning: {_line(text)}" for text in record["warnings"])


def _facts(record: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Fact]:
    probes = [names.get(probe, "a file that the case does not hold") for probe in record["probes"]]
    yield Fact("Searched with", ", ".join(probes))
    yield Fact("By", _line(record["operator"]))
    yield Fact("From", _moment(record["started"]))
    yield Fact("To", _moment(record["ended"]))
    if record["purpose"]:
        yield Fact("Purpose", _line(record["purpose"]))
    yield Fact(
        "Photos searched", f"{record['gallery']['photos']:,}; the first {record['asked_for']} people were asked for"
    )
    if chosen := record["filter"]:
        people = chosen["people"]
        yield Fact("Only", _line(", ".join(chosen["conditions"])))
        yield Fact("Justification", _line(chosen["justification"]))
        yield Fact("Left out", f"{people['left_out']} people")
        yield Fact("Kept unknown", f"{people['kept_for_want_of_a_value']} people of whom nothing is recorded")
    yield Fact("Route", record["route"])
    if record["own_cohort"]:
        yield Fact("Own cohort", f"{record['own_cohort']} sketches")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(record["versions"].items()))
    yield Fact("With", f"{versions}, on {record['device']}")


def _candidate(
    search: Searched, candidate: Mapping[str, Any], thumbnails: Mapping[int, bytes], calibrated: bool
) -> CandidateShown:
    photo, log_lr = candidate["photo_id"], candidate["log_lr"] if calibrated else None
    gone = f"person {candidate['person_id']}, no longer enrolled"
    told = strength(log_lr, candidate["bounded"])
    routes = "".join(f", {name} {score:.3f}" for name, score in sorted(candidate["routes"].items()))
    return CandidateShown(
        rank=candidate["rank"],
        title=_line(search.people.get(photo, gone)),
        thumbnail=thumbnails.get(photo),
        evidence=UNCALIBRATED if log_lr is None else f"log10 LR {told}: {verbal(log_lr)}",
        score=f"score {candidate['score']:.3f}{routes}; photo {photo}",
        decisions=[_decision(opinion) for opinion in search.opinions if opinion.rank == candidate["rank"]],
    )


def _decision(opinion: Opinion) -> str:
    said = HIDDEN if opinion.verdict is None else f"{opinion.verdict} ({_line(opinion.reason)})"
    return f"{_line(opinion.examiner)}, {_moment(opinion.at.isoformat())}: {said}"


def _moment(text: str) -> str:
    """An ISO time in UTC to the second, as a person reads it."""
    return f"{text[:10]} {text[11:19]} UTC"


def _line(text: str) -> str:
    """What somebody wrote, on one line."""
    return printable(" ".join(text.split()))


def records(held: Held) -> dict[str, bytes]:
    """Searches, sketches and the log's entries: the files that are what the gallery holds, to the byte."""
    lines = (json.dumps(line._asdict(), sort_keys=True, separators=(",", ":")) for line in held.lines)
    return {
        LOG: "".join(f"{line}\n" for line in lines).encode(),
        **{record_name(number): record.encode() for number, record in held.records.items()},
        **{file_name_of_sketch(sketch.id, sketch.file_name): sketch.data for sketch in held.sketches},
    }
