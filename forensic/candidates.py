"""What a search answers: candidates, and all that has to be known to stand by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from forensic.explanation import Explanation
from forensic.faces import Aligned
from forensic.recognition.calibration import SUPPORT, Calibration, verbal

if TYPE_CHECKING:
    from forensic.gallery.models import Photo

LEAD = (
    "A candidate is an investigative lead, not an identification: a trained examiner compares the faces, and a "
    "second one confirms independently."
)
SYNTHETIC = "synthetic, not evidence"
NO_SUPPORT = "no candidate supports the proposition that the sketched person is among those searched"


class Candidate(NamedTuple):
    """One person of the gallery who may be the mate of a probe.

    Attributes:
        rank: 1 for the most similar.
        person: The person's label in the gallery.
        photo: File name of the person's most similar photo.
        photo_sha256: Hash of that photo's file.
        score: Fused and normalised similarity; comparable within one matcher only.
        log_lr: Decimal logarithm of the likelihood ratio of 'the same person' to 'another person of the reference
            population'; None where the matcher has no calibration.
        bounded: Whether it lies at a bound of what the fitting data bear out: then it is 'at least' or 'at most'.
        routes: Each route's own similarity of probe and photo, -1 to 1.
        photo_id: That photo's number in the gallery.
        person_id: The person's.
    """

    rank: int
    person: str
    photo: str
    photo_sha256: str
    score: float
    log_lr: float | None
    bounded: bool
    routes: dict[str, float]
    photo_id: int
    person_id: int

    @classmethod
    def of(
        cls,
        rank: int,
        photo: Photo,
        person: str,
        score: float,
        own_scores: dict[str, float],
        calibration: Calibration | None,
    ) -> Candidate:
        """The candidate whose best photo has a score, with the likelihood ratio that a calibration gives it."""
        log_lr = None if calibration is None else float(calibration.log_lr(score))
        bounded = log_lr is not None and calibration is not None and bool(calibration.bounded(log_lr))
        return cls(
            rank, person, photo.file_name, photo.sha256, score, log_lr, bounded, own_scores, photo.id, photo.person_id
        )

    @property
    def strength(self) -> str | None:
        """The log10 likelihood ratio as a person reads it, with a sign where it lies at a bound."""
        return strength(self.log_lr, self.bounded)

    @property
    def words(self) -> str | None:
        """The likelihood ratio on the verbal scale."""
        return words(self.log_lr)

    def to_json(self) -> dict[str, Any]:
        """The candidate as plain data, figures rounded to what they hold."""
        plain = self._asdict()
        del plain["photo_id"], plain["person_id"]  # of one gallery; the same people elsewhere have others
        return {
            **plain,
            "score": round(self.score, 6),
            "log_lr": None if self.log_lr is None else round(self.log_lr, 3),
            "words": self.words,
            "routes": {name: round(score, 6) for name, score in self.routes.items()},
        }


def strength(log_lr: float | None, bounded: bool) -> str | None:
    """A log10 likelihood ratio as a person reads it, with a sign where it lies at a bound; None for none.

    What older records state below 1 is shown as it is stated now: it says nothing against a person.

    >>> strength(3.04, True), strength(0.0, False), strength(-0.9, False)
    ('≥ +3.0', '+0.0', '≤ 0')
    """
    if log_lr is None:
        return None
    if log_lr < 0 or (bounded and not log_lr):
        return "≤ 0"
    return f"{'≥ ' if bounded else ''}{log_lr:+.1f}"


def words(log_lr: float | None) -> str | None:
    """A candidate's log10 likelihood ratio on the verbal scale; below 1, as `strength`.

    >>> words(2.5), words(-2.5)
    ('moderately strong support: same person', 'no support for either')
    """
    return None if log_lr is None else verbal(max(log_lr, 0.0))


def narrowed(chosen: Mapping[str, Any]) -> str:
    """A search's filter in words, with whom it left out."""
    people = chosen["people"]
    return (
        f"only {', '.join(chosen['conditions'])} ({chosen['justification']}): {people['left_out']} people left out, "
        f"{people['kept_for_want_of_a_value']} kept because nothing is recorded of them"
    )


FILTERED = (
    "likelihood ratios were fitted to the whole reference population; those left by a filter are more alike, so read "
    "them as less."
)
PARTLY = "the index is approximate"
"""How the warning of a search begins that did not compare the probe with everybody."""
RANKS_ONLY = "Scores order the candidates; they are comparable within these routes only and are no probabilities."


def meaning_of_lr(calibration: Mapping[str, Any] | None) -> str:
    """What the likelihood ratios of a search mean and what they rest on, for a report; or that there are none."""
    if calibration is None:
        return RANKS_ONLY
    told = cost(calibration)
    measured = f" On data that it was not fitted to, ratios below 1 counted, it cost {told}." if told else ""
    return (
        "A likelihood ratio (LR) says how many times more probable this score is if sketch and photo show one person "
        "than if the photo shows another member of the reference population. It was fitted to {kind} sketches and "
        "{population}: {mated:,} comparisons of one person and {nonmated:,} of two, of {people:,} people. Its decimal "
        "logarithm is stated from 0 to {upper:.1f}; a ratio below 1 is given as 'at most 1', since another photo of "
        "the right person than the one that was drawn scores low as well.{measured} It is not the probability of a "
        "match: of N photos of strangers about N / LR reach it, so that in a large gallery even strong support can be "
        "a stranger's."
    ).format_map({**calibration, "measured": measured})


def cost(calibration: Mapping[str, Any]) -> str | None:
    """What the ratios cost on data that they were not fitted to, those below 1 counted; None where it is not known."""
    costs = [line["cllr"] for line in calibration.get("measured", ())]
    if not costs:
        return None
    told = f"{min(costs):.2f}" if len(costs) == 1 else f"{min(costs):.2f} to {max(costs):.2f}"
    return f"{told} bits (Cllr: 0 is perfect, 1 is what no evidence costs, more misleads)"


def beyond(calibration: Mapping[str, Any] | None, kinds: Iterable[str]) -> str | None:
    """Why likelihood ratios are not shown: these kinds of sketches are not all what they hold for. None if they are.

    >>> beyond({"kind": "viewed"}, ["viewed", "forensic"])
    'likelihood ratios hold for viewed sketches alone; none is shown for forensic ones: take ranks alone.'
    """
    others = sorted({*kinds} - {calibration["kind"]}) if calibration else []
    if calibration is None or not others:
        return None
    return (
        f"likelihood ratios hold for {calibration['kind']} sketches alone; none is shown for {' or '.join(others)} "
        "ones: take ranks alone."
    )


WEAKEST = SUPPORT[-1][0]
"""Least log10 likelihood ratio that the verbal scale calls support."""


@dataclass(frozen=True)
class Explained:
    """A candidate's score explained: the portraits that were compared, and what their score hangs on."""

    person: str
    probe: Image.Image
    candidate: Image.Image
    explanation: Explanation


@dataclass(frozen=True)
class Search:
    """One search and its answer.

    Attributes:
        probe: The probe's path or name, or ``image`` where none was given; several with commas between.
        sha256: Hash of the probe's file; of its pixels where there is no file; several with commas between.
        route: Name of the matcher: its routes with ``+`` between.
        models: Name and SHA-256 of every model that took part.
        gallery_size: Photos that were searched.
        gallery_root: Merkle root over their templates.
        approximate: Kind of the index that compared only a part of them; None for an exact one.
        candidates: Most similar first, each person once.
        calibration: Which sketches and population the likelihood ratios hold for; None where there are none.
        own_cohort: Sketches of the gallery's own cohort that took part.
        filter: Who was left out by metadata, and why; None for nobody.
        warnings: What a person must know of this search.
        faces: The face of each probe.
        synthesized: The translated portrait of the first probe, where a route made one.
        explained: What a candidate's score hangs on, where `Identifier.explain` was asked.
        number: Under which it is on record in the gallery.
    """

    probe: str
    sha256: str
    route: str
    models: dict[str, str]
    gallery_size: int
    gallery_root: str
    approximate: str | None
    candidates: tuple[Candidate, ...]
    calibration: dict[str, Any] | None
    own_cohort: int
    filter: dict[str, Any] | None
    warnings: tuple[str, ...]
    faces: tuple[Aligned, ...] = field(repr=False, compare=False)
    synthesized: Image.Image | None = field(default=None, repr=False, compare=False)
    explained: Explained | None = field(default=None, repr=False, compare=False)
    number: int | None = field(default=None, compare=False)

    @property
    def supported(self) -> bool | None:
        """Whether any candidate has at least weak support; None where there are no likelihood ratios."""
        if self.calibration is None:
            return None
        return any(candidate.log_lr is not None and candidate.log_lr >= WEAKEST for candidate in self.candidates)

    def of_sketches(self, kinds: Iterable[str]) -> Search:
        """The search as it may be shown of sketches of these kinds: without likelihood ratios that do not hold."""
        warning = beyond(self.calibration, kinds)
        if warning is None:
            return self
        plain = tuple(candidate._replace(log_lr=None, bounded=False) for candidate in self.candidates)
        return replace(self, candidates=plain, calibration=None, warnings=(*self.warnings, warning))

    def to_json(self) -> dict[str, Any]:
        """The search as plain data; the same probe and gallery give the same, to the byte."""
        told = self.explained
        explanation = {} if told is None else {"explanation": {"person": told.person, **told.explanation.to_json()}}
        return {
            "probe": self.probe,
            "sha256": self.sha256,
            "route": self.route,
            "models": self.models,
            "gallery_size": self.gallery_size,
            "gallery_root": self.gallery_root,
            "approximate": self.approximate,
            "filter": self.filter,
            "calibration": self.calibration,
            "own_cohort": self.own_cohort,
            "supported": self.supported,
            "candidates": [candidate.to_json() for candidate in self.candidates],
            "warnings": list(self.warnings),
            **explanation,
        }
