"""What is under test: systems of one or more routes, and their scores on the images of an evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from forensic.evaluation.trials import Route, Side
from forensic.recognition.fusion import Scoring

Array = NDArray[np.float64]


class System(Protocol):
    """What an evaluation needs of a matcher (``forensic.matching``)."""

    @property
    def name(self) -> str:
        """For instance ``direct+direct@patches``."""

    @property
    def routes(self) -> Sequence[Route]:
        """In the order of the name."""

    @property
    def scoring(self) -> Scoring:
        """What makes one score of the routes' templates."""


@dataclass(frozen=True)
class Named:
    """A system under another name: one with a cohort of its own."""

    name: str
    routes: Sequence[Route]
    scoring: Scoring


@dataclass(frozen=True)
class Trial:
    """All probes compared with all photos by every system.

    Attributes:
        probes: The sketches.
        gallery: Their mates' photos.
        crowd: Distractors with a face, in random order; None where there are none.
        own: For each system's name the scores with the gallery, shape (probes, gallery).
        added: The same with the crowd, shape (probes, crowd); empty without one.
    """

    probes: Side
    gallery: Side
    crowd: Side | None
    own: Mapping[str, Array]
    added: Mapping[str, Array]

    def sizes(self) -> tuple[int, ...]:
        """How many distractors the protocols with and without them add: none, and all that there are."""
        return (0,) if self.crowd is None else (0, len(self.crowd.found))

    def scores(self, name: str, distractors: int) -> Array:
        """A system's scores with the gallery and the first of the crowd."""
        return np.hstack([self.own[name], self.added[name][:, :distractors]]) if distractors else self.own[name]

    def photo_people(self, distractors: int) -> NDArray[np.str_]:
        """Person of every photo of that gallery."""
        return self.photo_labels(self.gallery.people, distractors)

    def photo_labels(self, own: NDArray[np.str_], distractors: int) -> NDArray[np.str_]:
        """Labels of the gallery's photos with those of the first of the crowd behind them."""
        return own if self.crowd is None else np.concatenate([own, self.crowd.people[:distractors]])

    def size(self, distractors: int) -> int:
        """How many photos with a face are searched."""
        return int(self.gallery.found.sum()) + distractors


def distinct_routes(systems: Sequence[System]) -> list[Route]:
    """Every route that takes part in a system, once."""
    return list({route.name: route for system in systems for route in system.routes}.values())


def trial(systems: Sequence[System], probes: Side, gallery: Side, distractors: Side | None, seed: int) -> Trial:
    """Compare everything with everything; distractors without a face enlarge no gallery."""
    crowd = None
    if distractors is not None:
        crowd = distractors.take(np.random.default_rng(seed).permutation(np.flatnonzero(distractors.found)))
    own = {system.name: compare(system, probes, gallery) for system in systems}
    added = {} if crowd is None else {system.name: compare(system, probes, crowd) for system in systems}
    return Trial(probes, gallery, crowd, own, added)


def compare(system: System, probes: Side, gallery: Side) -> Array:
    """Scores (probes, gallery) as a search has them; ``-inf`` where either side has no face."""
    left, right = ([side.templates[route.name] for route in system.routes] for side in (probes, gallery))
    scores = np.full((len(probes.found), len(gallery.found)), -np.inf)
    present = np.ix_(probes.found, gallery.found)
    if probes.found.any() and gallery.found.any():
        scores[present] = system.scoring.scores(
            [table[probes.found] for table in left], [table[gallery.found] for table in right]
        )
    return scores


def described(system: System) -> dict[str, Any]:
    """What a report says of a system."""
    scoring = system.scoring
    return {
        "name": system.name,
        "routes": [route.name for route in system.routes],
        "weights": list(scoring.weights),
        "normalised": [cohort is not None for cohort in scoring.cohorts],
        "calibration": None if scoring.calibration is None else scoring.calibration.to_dict(),
    }
