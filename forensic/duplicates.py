"""Duplicates: photos enrolled for different people that are probably of one, for a person to merge or to keep apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from forensic import routes
from forensic.errors import StaleIndex, UsageError
from forensic.gallery import Gallery, Templates
from forensic.recognition import duplicates
from forensic.recognition.calibration import Calibration


class Pair(NamedTuple):
    """Two photos of different people.

    Attributes:
        people: Their labels.
        photos: The photos' ids, in the same order.
        similarity: Cosine of their templates, -1 to 1.
        log_lr: Decimal logarithm of the likelihood ratio of 'one person' to 'two people'.
        bounded: Whether it lies at the largest that the fitting data bear out, and so is 'at least'.
    """

    people: tuple[str, str]
    photos: tuple[int, int]
    similarity: float
    log_lr: float
    bounded: bool

    def to_json(self) -> dict[str, Any]:
        """The pair as plain data."""
        rounded = {"similarity": round(self.similarity, 4), "log10_lr": round(self.log_lr, 2)}
        return {"people": list(self.people), "photos": list(self.photos), **rounded, "bounded": self.bounded}


@dataclass(frozen=True)
class Duplicates:
    """What was found.

    Attributes:
        route: Name of the route.
        above: The log10 likelihood ratio that was asked for.
        least: The similarity that it stands for.
        pairs: The most similar pairs, best first.
        found: How many pairs there are in all.
        compared: Pairs of photos of different people.
        calibration: What the likelihood ratios rest on.
    """

    route: str
    above: float
    least: float
    pairs: tuple[Pair, ...]
    found: int
    compared: int
    calibration: Calibration

    @property
    def expected(self) -> float:
        """Pairs of different people that are to be expected above the limit among people like those of the fit.

        Among different people, a likelihood ratio of t or more has a probability of at most 1 / t, were it perfect.
        Where people resemble each other more, as students of one university do, there are several times as many.
        """
        return float(self.compared * 10.0**-self.above)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "route": self.route,
            "above": self.above,
            "least_similarity": round(self.least, 4),
            "compared": self.compared,
            "expected_by_chance": round(self.expected, 1),
            "found": self.found,
            "pairs": [pair.to_json() for pair in self.pairs],
            "calibration": self.calibration.to_dict(),
        }


def find(gallery: Gallery, route: str, above: float, most: int) -> Duplicates:
    """Photos of different people with at least a log10 likelihood ratio; pairs that were kept apart are left out.

    Args:
        gallery: An open gallery.
        route: Name of a single route with a calibration for two photos.
        above: The least log10 likelihood ratio.
        most: How many pairs come back.

    Raises:
        UsageError: The route has no such calibration, or the calibration bears out no such ratio.
        StaleIndex: Photos lack templates of the route.
    """
    space = routes.load(route).space
    calibration = duplicates.calibration(space)
    if calibration is None:
        raise duplicates.uncalibrated(route)
    if not 0 < above <= calibration.upper:
        raise UsageError(
            f"A log10 likelihood ratio of at least {above:g} was asked for; the calibration was fitted to "
            f"{calibration.people} people and bears out those up to {calibration.upper:.2f}. Give one above 0 and up "
            "to that."
        )
    gallery.looking_for_duplicates(route)
    templates = gallery.templates(space)
    if lacking := gallery.size().photos - len(templates.people):
        raise StaleIndex(
            f"{lacking} photos have no template of the route {route!r} with its present models. Make them: "
            f"forensic gallery reindex --route {route}"
        )
    least = (above - calibration.intercept) / calibration.slope
    return _search(gallery, templates, Duplicates(route, above, least, (), 0, 0, calibration), most)


def _search(gallery: Gallery, templates: Templates, asked: Duplicates, most: int) -> Duplicates:
    labels, owners = np.unique(np.array(templates.people, dtype=object), return_inverse=True)
    number = {label: k for k, label in enumerate(labels.tolist())}
    kept = [[number[label] for label in pair] for pair in gallery.kept() if pair <= number.keys()]
    apart = np.array(kept, np.int64).reshape(-1, 2)
    found = duplicates.alike(templates.vectors, owners, asked.least, most, apart=apart)
    log_lr = asked.calibration.log_lr(found.scores)
    pairs = tuple(
        Pair(
            (templates.people[first], templates.people[second]),
            (int(templates.photo_ids[first]), int(templates.photo_ids[second])),
            float(score),
            float(ratio),
            bool(bounded),
        )
        for first, second, score, ratio, bounded in zip(
            found.first, found.second, found.scores, log_lr, asked.calibration.bounded(log_lr), strict=True
        )
    )
    photos, own = len(owners), np.bincount(owners) if len(owners) else np.zeros(0, np.int64)
    compared = photos * (photos - 1) // 2 - int((own * (own - 1) // 2).sum())
    return Duplicates(asked.route, asked.above, asked.least, pairs, found.found, compared, asked.calibration)
