"""A report of a case or a search: what the gallery holds of it, in words and pictures for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import forensic
from forensic import images
from forensic.candidates import LEAD, NO_SUPPORT, beyond, meaning_of_lr, strength, words
from forensic.casefile import method
from forensic.casefile.probes import Decode, Probes
from forensic.casefile.shown import CandidateShown, Fact, Picture, Report, SearchShown, SketchShown, Table
from forensic.errors import ImageError
from forensic.gallery.casework.cases import Opinion, Searched
from forensic.gallery.casework.casework_models import Case, Sketch
from forensic.gallery.casework.disclosing import Held
from forensic.gallery.log import audit
from forensic.gallery.log.audit import Head, Line
from forensic.gallery.rights import Operator
from forensic.report import PROBE_SIDE, jpeg
from forensic.text import printable

HIDDEN = "has decided; hidden from whoever has not decided on this candidate"
UNCALIBRATED = "not calibrated: the score only ranks"
BEYOND = "no likelihood ratio holds for this kind of sketch: the score only ranks"
GONE = "no longer enrolled: no photo"
SIGNED = (
    "The manifest of this export states length and SHA-256 of every file, this report among them, and is signed with "
    "the key of the gallery's audit log: 'forensic case verify FILE.zip --key KEY' checks it without the gallery."
)
REPRODUCED = (
    "This report states nothing of the moment at which it was printed: the same record, for the same reader and by the "
    "same program, gives the same file to the byte. When a copy was made and by whom is in the gallery's audit log, "
    "under the SHA-256 of its file. 'forensic case export' makes a signed copy that can be checked without the gallery."
)
CHAINED = (
    "An entry's hash covers the hash of the entry before, so that the last one stands for the whole log until then."
)
OPINIONS = "What examiners say is their own judgement of two pictures. None of it is a result of this program."
LOG_NAMES = ("entry", "time (UTC)", "by", "act", "SHA-256 of the entry")
LOG_WIDTHS = (0.07, 0.17, 0.16, 0.28, 0.32)


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


def exported(held: Held, thumbnails: Mapping[int, bytes], origin: Origin, decode: Decode = images.decode) -> Report:
    """The report in an export of a case, which says when it was made.

    Args:
        held: The case.
        thumbnails: Number of a photo -> JPEG.
        origin: Of the export.
        decode: Opens pictures.
    """
    head = origin.head
    facts = [
        Fact("Exported", f"{moment(origin.made)} by {line(origin.operator)}, forensic {origin.version}"),
        Fact("Gallery", head.gallery, code=True),
        Fact("Key of its log", head.public_key, code=True),
        Fact("End of its log", f"entry {head.number}, {head.hash}", code=True),
    ]
    return _of_case(held, thumbnails, facts, None, decode)._replace(notes=[OPINIONS, SIGNED], state=origin.made)


def of_case(
    held: Held, thumbnails: Mapping[int, bytes], operator: Operator, probes: Probes, decode: Decode = images.decode
) -> Report:
    """The report of a case as it is on record; the moment at which it is made leaves no trace in it.

    Args:
        held: The case.
        thumbnails: Number of a photo -> JPEG.
        operator: Who will read it.
        probes: Makes the pictures of what was searched with.
        decode: Opens sketches.
    """
    return _of_case(held, thumbnails, _standing(held, operator), probes, decode)


def of_search(held: Held, thumbnails: Mapping[int, bytes], operator: Operator, probes: Probes) -> Report:
    """The report of one search, see `of_case`."""
    (search,) = held.searches
    facts = (
        [Fact("Case", "none")] if held.case is None else [Fact("Case", line(held.case.reference)), *_case(held.case)]
    )
    whole = _report(f"Search {search.number}", held, thumbnails, [*facts, *_standing(held, operator)], probes)
    return whole._replace(searches=[whole.searches[0]._replace(title="The search")])


def _of_case(
    held: Held, thumbnails: Mapping[int, bytes], facts: list[Fact], probes: Probes | None, decode: Decode
) -> Report:
    assert held.case is not None
    whole = _report(f"Case {line(held.case.reference)}", held, thumbnails, [*_case(held.case), *facts], probes)
    return whole._replace(sketches=[_sketch(sketch, decode) for sketch in held.sketches])


def _report(
    title: str, held: Held, thumbnails: Mapping[int, bytes], facts: list[Fact], probes: Probes | None
) -> Report:
    records = [search.record for search in held.searches]
    return Report(
        title=title,
        lead=LEAD,
        facts=facts,
        sketches=None,
        searches=[_search(search, held, thumbnails, probes) for search in held.searches],
        method=list(method.method(records)),
        accuracy=list(method.accuracy(records, held.accuracy)),
        limitations=list(method.limitations(records, {sketch.kind for sketch in held.sketches})),
        log=Table(LOG_NAMES, [_entry(one) for one in held.lines], LOG_WIDTHS, frozenset({4})),
        notes=[OPINIONS, CHAINED, REPRODUCED],
        state=_last(held)["at"],
    )


def _case(case: Case) -> list[Fact]:
    return [
        Fact("Purpose", line(case.purpose)),
        Fact("Legal basis", line(case.legal_basis)),
        Fact("Opened", f"{moment(case.opened_at.isoformat())} by {line(case.opened_by)}"),
    ]


def _standing(held: Held, operator: Operator) -> list[Fact]:
    """Of which state of the record a report is, and for whom."""
    last, head = _last(held), held.head
    role = f" ({operator.role})" if operator.role else ""
    hidden = sum(opinion.verdict is None for search in held.searches for opinion in search.opinions)
    blind = f"; {hidden} verdicts are hidden from this reader" if hidden else ""
    return [
        Fact("State of", f"{moment(last['at'])}, the last act on record here, by {line(last['operator'])}"),
        Fact("Made for", f"{line(operator.name)}{role}{blind}"),
        Fact("Made by", f"forensic {forensic.__version__}"),
        Fact("Gallery", head.gallery, code=True),
        Fact("Key of its log", head.public_key, code=True),
        Fact("Log until then", f"entry {last['number']}, {held.lines[-1].hash if held.lines else ''}", code=True),
    ]


def _last(held: Held) -> audit.Entry:
    """The last act on record of what is shown; of the search itself where the log has lost it."""
    entry = audit.read(held.lines[-1].entry) if held.lines else {}
    lost = {"at": held.searches[0].record["ended"] if held.searches else "1970-01-01T00:00:00+00:00"}
    return entry or lost | {"operator": "somebody whom the log does not name", "number": "missing"}


def _entry(one: Line) -> tuple[str, ...]:
    """A line of the log as a row."""
    entry = audit.read(one.entry)
    if not entry:
        return str(one.number), "", "", "is no entry", one.hash
    return str(one.number), entry["at"][:19].replace("T", " "), line(entry["operator"]), _act(entry), one.hash


def _act(entry: audit.Entry) -> str:
    said = entry["details"]
    words = {
        "case-open": "case opened",
        "case-sketch": f"sketch {said.get('sketch')} added",
        "search": f"search {said.get('search')}",
        "decide": f"decision on rank {said.get('rank')} of search {said.get('search')}",
        "case-export": "case exported",
    }
    return words[entry["action"]]


def _sketch(sketch: Sketch, decode: Decode) -> SketchShown:
    facts = {
        "Kind": sketch.kind,
        "Made by": sketch.made_by,
        "Described by": sketch.described_by,
        "Drawn": sketch.drawn_on,
        "Added": f"{moment(sketch.added_at.isoformat())} by {sketch.added_by}",
    }
    shown = [Fact(name, line(value)) for name, value in facts.items() if value]
    title = f"Sketch {sketch.id}: {line(sketch.file_name)}"
    try:
        picture = Picture(title, jpeg(decode(sketch.data, sketch.file_name).image, PROBE_SIDE))
    except ImageError as error:
        picture = Picture(title, None, f"It cannot be shown: {error}")
    return SketchShown(title, [*shown, Fact("SHA-256", sketch.sha256, code=True)], picture)


def _search(search: Searched, held: Held, thumbnails: Mapping[int, bytes], probes: Probes | None) -> SearchShown:
    record = search.record
    sketches = {sketch.sha256: sketch for sketch in held.sketches}
    used = [sketches[probe] for probe in record["probes"] if probe in sketches]
    warning = beyond(record["calibration"], {sketch.kind for sketch in used})
    calibration = None if warning else record["calibration"]
    return SearchShown(
        title=f"Search {search.number}",
        notices=list(_notices(search, warning)),
        facts=list(_facts(search, sketches)),
        probes=[] if probes is None else list(probes.shown(record, sketches)),
        candidates=[_candidate(search, candidate, thumbnails, calibration) for candidate in record["candidates"]],
        calibration=f"{meaning_of_lr(calibration)} {method.meaning_of_cllr(calibration)}".strip(),
        worth=None if calibration is None else method.worth(calibration),
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
    yield from (f"Warning: {line(text)}" for text in record["warnings"])


def _facts(search: Searched, sketches: Mapping[str, Sketch]) -> Iterator[Fact]:
    record = search.record
    probes = [
        f"sketch {sketches[probe].id} ({sketches[probe].kind})" if probe in sketches else "a file that no case holds"
        for probe in record["probes"]
    ]
    yield Fact("Searched with", ", ".join(probes))
    yield Fact("By", line(record["operator"]))
    yield Fact("From", moment(record["started"]))
    yield Fact("To", moment(record["ended"]))
    if record["purpose"]:
        yield Fact("Purpose", line(record["purpose"]))
    yield Fact(
        "Photos searched", f"{record['gallery']['photos']:,}; the first {record['asked_for']} people were asked for"
    )
    if chosen := record["filter"]:
        people = chosen["people"]
        yield Fact("Only", line(", ".join(chosen["conditions"])))
        yield Fact("Justification", line(chosen["justification"]))
        yield Fact("Left out", f"{people['left_out']} people")
        yield Fact("Kept unknown", f"{people['kept_for_want_of_a_value']} people of whom nothing is recorded")
    yield Fact("Route", record["route"])
    if record["own_cohort"]:
        yield Fact("Own cohort", f"{record['own_cohort']} sketches")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(record["versions"].items()))
    yield Fact("With", f"{versions}, on {record['device']}")
    examiners = sorted({opinion.examiner for opinion in search.opinions})
    decided = f"{len(search.opinions)}, by {line(', '.join(examiners))}" if examiners else "none yet"
    yield Fact("Decisions", decided)


def _candidate(
    search: Searched, candidate: Mapping[str, Any], thumbnails: Mapping[int, bytes], calibration: Any
) -> CandidateShown:
    photo, log_lr = candidate["photo_id"], None if calibration is None else candidate["log_lr"]
    why = BEYOND if calibration is None and search.record["calibration"] else UNCALIBRATED
    gone = f"person {candidate['person_id']}, no longer enrolled"
    told = strength(log_lr, candidate["bounded"])
    routes = "".join(f", {name} {score:.3f}" for name, score in sorted(candidate["routes"].items()))
    return CandidateShown(
        rank=candidate["rank"],
        title=line(search.people.get(photo, gone)),
        picture=Picture(f"Photo of candidate {candidate['rank']}", thumbnails.get(photo), GONE),
        evidence=why if log_lr is None else f"log10 LR {told}: {words(log_lr)}",
        score=f"score {candidate['score']:.3f}{routes}; photo {photo}",
        decisions=[_decision(opinion) for opinion in search.opinions if opinion.rank == candidate["rank"]],
    )


def _decision(opinion: Opinion) -> str:
    said = HIDDEN if opinion.verdict is None else f"{opinion.verdict} ({line(opinion.reason)})"
    return f"{line(opinion.examiner)}, {moment(opinion.at.isoformat())}: {said}"


def moment(text: str) -> str:
    """An ISO time in UTC to the second, as a person reads it."""
    return f"{text[:10]} {text[11:19]} UTC"


def line(text: str) -> str:
    """What somebody wrote, on one line."""
    return printable(" ".join(text.split()))
