"""How searches were made, in plain words; what was measured of it, and what none of it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from forensic.candidates import LEAD, PARTLY, SYNTHETIC
from forensic.casefile.shown import Passage, Table
from forensic.evaluation.tables import of_data, share
from forensic.gallery.models import AccuracyReport
from forensic.search_records import made_with
from forensic.text import printable

Record = Mapping[str, Any]
"""Of a search, as `forensic.search_records.record_of` makes it."""
SCORING = "scoring"
FACE = (
    "The face in the sketch is found by a detector (MTCNN, or face priors where that finds none), or lies where a "
    "person set five landmarks: eyes, tip of the nose, corners of the mouth. The landmarks bring it into the frame in "
    "which faces are compared; everything that follows hangs on them."
)
NETWORK = (
    "a neural network (MobileFaceNet) that was fine-tuned to drawings, followed by a projection to the directions that "
    "separate people (regularized linear discriminant analysis)"
)
PATCHES = (
    "no network but histograms of gradient directions over small patches, which know lines and not tone, followed by a "
    "projection to the directions that separate people (regularized linear discriminant analysis)"
)
UNTRAINED = "the network (MobileFaceNet) that training began with, which has never seen a drawing: it is for comparison"
FUSED = (
    "Each route's similarity is set against a cohort of sketches and photos of people who are in no gallery, so that "
    "routes and sketches are on one scale{several}. Cohort and weights were fixed before this search."
)
SEVERAL = "; the routes are then summed, with weights fitted to searches of hands that the models had not seen"
PLAIN = "Nothing was fitted to this route: the score is the cosine similarity itself."
PLAIN_MEAN = "Nothing was fitted to these routes together: the score is the mean of their cosine similarities."
EXACT = (
    "The probe was compared with every photo searched; no approximation left anybody out. A person with several "
    "photos counts once, by the most similar of them. The list depends neither on other searches nor on the order of "
    "enrollment."
)
APPROXIMATE = (
    "The probe was compared with a part of the photos alone, which an approximate index chose: somebody who is "
    "enrolled and like the sketch may have been left out. A person with several photos counts once, by the most "
    "similar of those that were looked at. A search by a server without '--approximate' compares all."
)
MEASURED_ON = (
    "What is known of this program's accuracy was measured on viewed sketches, which artists drew from "
    "a photo. For sketches from a witness's memory, and for composites made with software, neither accuracy nor a "
    "calibration was measured: they are harder, and their ranks alone may be used."
)
DEMOGRAPHICS = (
    "Accuracy by sex was measured on the sketches of one data set only. Whether people of some age, sex "
    "or origin are mistaken for others more often was measured among machine-made faces alone, never among mugshots: "
    "differences have to be reckoned with, and are not corrected."
)
PHOTOS = (
    "The gallery's photo is hardly ever the one that an artist or a witness saw. With another photo of the same "
    "person the first rank is right far less often, so read on down the list."
)
SCORES = (
    "Scores order the candidates of one search; they are no probabilities, and scores of different routes cannot be "
    "compared. No figure here is the probability that a candidate is the person."
)
SIZE = (
    "The person who was seen may not be among them; a list has candidates all the same. The larger a gallery, the more "
    "strangers look like a sketch by chance: of N photos about N / LR reach a likelihood ratio. A person with many "
    "photos counts by the most similar one, and is so taken for somebody else more often than a person with one."
)
FILTER = (
    "Only a part of the gallery was searched, chosen by recorded metadata. Somebody whose record is wrong was "
    "left out for good, and those who are left are more alike: likelihood ratios have to be read as less."
)
TRANSLATED = (
    f"A synthesized picture ({SYNTHETIC}) was made by a generator from the sketch. Whatever it shows beyond the "
    "sketch was invented. It must not be shown to witnesses or published."
)
NONE_STORED = (
    "The gallery holds no accuracy report of the agency's own for this route. What was measured on research data need "
    "not hold for this gallery's photos and these sketches; 'forensic evaluate' measures it on the agency's own."
)


def method(records: Sequence[Record]) -> Iterator[Passage]:
    """How each route that was searched along works, and what all have in common."""
    if not records:
        return
    yield Passage("The face", FACE)
    names = dict.fromkeys(name for record in records for name in record["route"].split("+"))
    for name in names:
        yield Passage(f"Route {printable(name)}", _route(name))
    for name, record in {record["route"]: record for record in records}.items():
        together = "+" in name
        fitted = FUSED.format(several=SEVERAL if together else "")
        plain = PLAIN_MEAN if together else PLAIN
        yield Passage(f"The score of {printable(name)}", fitted if SCORING in record["models"] else plain)
    partly = [any(text.startswith(PARTLY) for text in record["warnings"]) for record in records]
    if not all(partly):
        yield Passage("The list", EXACT)
    if any(partly):
        which = "" if all(partly) else f", where a search warns that {PARTLY}"
        yield Passage(f"The list{which}", APPROXIMATE)


def _route(name: str) -> str:
    """What translates, and what describes.

    >>> _route("sketch-to-photo:isegan").split(". ")[0]
    'The generator isegan translates the sketch into a synthetic photo, which is compared with the photos as they are'
    """
    rest, _, embedder = name.partition("@")
    form, _, generator = (printable(part) for part in rest.partition(":"))
    described = f"the embedder {printable(embedder)}" if embedder else NETWORK
    if embedder == "patches":
        described = PATCHES
    elif form == "untrained":
        described = UNTRAINED
    compared = {
        "sketch-to-photo": f"The generator {generator} translates the sketch into a synthetic photo, which is compared "
        "with the photos as they are",
        "photo-to-sketch": f"The generator {generator} translated the gallery's photos into synthetic sketches when "
        "they were enrolled, and the sketch is compared with these",
    }.get(form, "Sketch and photo are compared as they are, without translation")
    return f"{compared}. What describes a face, by a vector whose direction is compared: {described}."


def worth(calibration: Mapping[str, Any]) -> Table | None:
    """What was measured of a calibration's likelihood ratios; None where its record says nothing of that."""
    if not calibration.get("measured"):
        return None
    rows: list[tuple[str, ...]] = [
        (line["data"], f"{line['cllr']:.3f}", line["source"]) for line in calibration["measured"]
    ]
    return Table(("measured on", "Cllr, bits", "source"), rows, (0.56, 0.12, 0.32))


def meaning_of_cllr(calibration: Mapping[str, Any] | None) -> str:
    """What the figures of `worth` mean, or that there are none."""
    if calibration is None:
        return ""
    if not calibration.get("measured"):
        return "How well these likelihood ratios hold (their Cllr) is not on record with this search."
    return (
        "Cllr says how well likelihood ratios hold: 0 bits is perfect, 1 says nothing, and more than 1 misleads. None "
        "of these figures is of the agency's own sketches and photos."
    )


def accuracy(records: Sequence[Record], stored: Iterable[AccuracyReport]) -> Iterator[Passage]:
    """The agency's newest report of each route; ``stored`` has the newest first."""
    stored = list(stored)
    for name, record in {record["route"]: record for record in records}.items():
        said = next((text for text in (_measured(name, record, report) for report in stored) if text), NONE_STORED)
        yield Passage(f"Route {printable(name)}", said)


def _measured(name: str, record: Record, report: AccuracyReport) -> str:
    """What a report says of a route; empty where it says nothing, or is written in another way."""
    try:
        systems = {system["name"]: system["routes"] for system in report.data["systems"]}
        if name not in systems:
            return ""
        lines = [
            _closed_set(row) for row in report.data["closed_set"] if (row["route"], row["subset"]) == (name, "all")
        ]
        lines += [_evidence(row) for row in report.data["evidence"] if (row["route"], row["distractors"]) == (name, 0)]
        used = [row for row in report.data["routes"] if row["name"] in systems[name]]
        same = all(made_with(record, row["name"], row["models"]) for row in used)
        about = f"Report {report.id}, made {report.created_at:%Y-%m-%d}, on {printable(of_data(report.data['data']))}. "
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return ""
    return (
        about + " ".join(lines) + ("" if same else " It was made with other models than the search: read it as theirs.")
    )


def _closed_set(row: Mapping[str, Any]) -> str:
    ranks = ", ".join(f"rank {rank} {share(figure)} %" for rank, figure in row["ranks"].items())
    return (
        f"Of {row['probes']:,} sketches searched in {row['gallery']:,} photos the right {printable(row['by'])} was "
        f"found up to {ranks}; brackets hold 95 % intervals over people."
    )


def _evidence(row: Mapping[str, Any]) -> str:
    compared = f"{row['mated']:,} comparisons of one person and {row['nonmated']:,} of two"
    return f"Cllr {row['cllr']['value']:.3f} bits over {compared}."


def limitations(records: Sequence[Record], kinds: Iterable[str]) -> Iterator[Passage]:
    """What these searches do not show."""
    yield Passage("A lead, no identification", LEAD)
    here = " and ".join(sorted({*kinds}))
    yield Passage("Kinds of sketches", MEASURED_ON + (f" The sketches here are {here} ones." if here else ""))
    yield Passage("Groups of people", DEMOGRAPHICS)
    sizes = sorted({record["gallery"]["photos"] for record in records})
    if sizes:
        told = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        yield Passage("Size of the gallery", f"{told} photos were searched. {SIZE}")
    yield Passage("Photos", PHOTOS)
    yield Passage("Scores", SCORES)
    if any(record["filter"] for record in records):
        yield Passage("Filter", FILTER)
    if any("-to-" in record["route"] for record in records):
        yield Passage("Synthesized pictures", TRANSLATED)
