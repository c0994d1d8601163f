"""Matchers: one or more routes, and what makes one score of their templates.

A matcher's name is its routes' names with ``+`` between: ``direct``, ``direct+direct@patches``. Cohorts, fusion
weights and calibrations are data (``weights/scoring.safetensors``, made by ``experiments/fit_scoring.py``): for every
set of routes that was fitted one line, found by the digests of the routes' models. A set that was not fitted compares
by the mean of its cosines, without likelihood ratios, and says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forensic import routes, weights
from forensic.errors import DataError, ModelError, UsageError
from forensic.faces import Aligned
from forensic.recognition.calibration import Calibration
from forensic.recognition.cohort import Cohort
from forensic.recognition.fusion import Scoring
from forensic.routes import Route, Side
from forensic.search_records import models_of

DEFAULT = "direct+direct@patches"
KIND = "scoring"
UNCALIBRATED = (
    "these routes have no calibration: scores order the candidates, but no likelihood ratio can be stated for them."
)

Templates = Sequence[NDArray[np.floating]]


@dataclass(frozen=True)
class Matcher:
    """Compares sketches with photos along one or more routes.

    Attributes:
        routes: In the order of the name.
        scoring: Cohorts, weights and calibration.
    """

    routes: tuple[Route, ...]
    scoring: Scoring

    @cached_property
    def name(self) -> str:
        """The routes' names with ``+`` between."""
        return name_of(self.routes)

    @property
    def models(self) -> dict[str, str]:
        """Name and SHA-256 of every model that takes part, see `forensic.search_records.models_of`."""
        return models_of({route.name: route.models for route in self.routes}) | (
            {} if self.scoring.digest is None else {KIND: self.scoring.digest}
        )

    def describe(self, face: Aligned, side: Side) -> Templates:
        """The face's template under every route."""
        return [route.describe([face], side)[0] for route in self.routes]

    def own_scores(self, probes: Sequence[Templates], photo: NDArray[np.float32]) -> dict[str, float]:
        """Each route's own similarity of probes and a photo, -1 to 1, for the reader.

        Args:
            probes: As `describe` gives them; their similarities are averaged.
            photo: Its templates one behind the other, as an index holds them.
        """
        ends = np.cumsum([len(template) for template in probes[0]])
        parts = np.split(photo, ends[:-1])
        return {
            route.name: float(np.mean([templates[k] @ part for templates in probes]))
            for k, (route, part) in enumerate(zip(self.routes, parts, strict=True))
        }

    def among(self, kept: Iterable[Route]) -> Matcher:
        """The matcher of some of the routes, with the scoring that was fitted to them."""
        chosen = tuple(kept)
        return self if chosen == self.routes else Matcher(chosen, _scoring(chosen))

    def with_cohort(self, sketches: Mapping[str, NDArray[np.float32]]) -> Matcher:
        """The matcher with further sketches in its cohorts; its calibration is gone, since scores are others.

        Args:
            sketches: For a route's `key` the templates of sketches as its probes are described, unit rows (n, d).
        """
        cohorts = tuple(
            cohort
            if cohort is None or not len(sketches.get(key(route), ()))
            else cohort._replace(sketches=np.vstack([cohort.sketches, sketches[key(route)]]))
            for route, cohort in zip(self.routes, self.scoring.cohorts, strict=True)
        )
        return replace(self, scoring=replace(self.scoring, cohorts=cohorts, calibration=None))


def load(name: str = DEFAULT, *, device: str = "cpu", plain: bool = False) -> Matcher:
    """The matcher of that name, with its models loaded and their hashes checked.

    Args:
        name: Routes with ``+`` between.
        device: Where their models run.
        plain: Whether the score is the mean of the routes' cosines, whatever was fitted to them.

    Raises:
        UsageError: A route is unknown or named twice.
        ModelError: Weights are missing or damaged.
    """
    names = [part.strip() for part in name.split("+")]
    if len(set(names)) < len(names):
        raise UsageError(f"{name!r} names a route twice. Expected different routes with + between.")
    found = tuple(routes.load(part, device=device) for part in names)
    if len({key(route) for route in found}) < len(found):
        raise UsageError(f"{name!r} names one route in two ways. Expected different routes with + between.")
    return Matcher(found, Scoring.plain(len(found)) if plain else _scoring(found))


def name_of(chosen: Iterable[Route]) -> str:
    """The name of the matcher of some routes."""
    return "+".join(route.name for route in chosen)


def key(route: Route) -> str:
    """Digest of all that makes a route's probes and gallery: what its cohort belongs to."""
    made_by = {"alignment": routes.ALIGNMENT, "translated": route.translated, "models": route.models}
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:16]


def pack(cohorts: Mapping[str, Cohort], fitted: Mapping[str, tuple[Sequence[float], Calibration]]) -> bytes:
    """The content of a scoring file.

    Args:
        cohorts: For each route's `key` its cohort; stored in half precision.
        fitted: For each set of routes, their keys with ``+`` between, the weights and the calibration.
    """
    import torch

    tensors = {}
    for of, cohort in cohorts.items():
        tensors[f"{of}.sketches"] = torch.from_numpy(cohort.sketches).half()
        tensors[f"{of}.photos"] = torch.from_numpy(cohort.photos).half()
    lines = {
        keys: {"weights": list(shares), "calibration": calibration.to_dict()}
        for keys, (shares, calibration) in fitted.items()
    }
    return weights.pack(tensors, {"kind": KIND, "fitted": lines})


def _scoring(chosen: Sequence[Route]) -> Scoring:
    """The stored scoring of a set of routes, in the routes' order; the plain one where there is none."""
    keys = [key(route) for route in chosen]
    order = np.argsort(keys)
    for entry in weights.entries(KIND):
        tensors, about = weights.read(weights.verified(entry))
        line = about.get("fitted", {}).get("+".join(keys[k] for k in order))
        if line is None:
            continue
        try:
            shares = dict(zip((keys[k] for k in order), line["weights"], strict=True))
            cohorts = tuple(
                Cohort(tensors[f"{of}.sketches"].float().numpy(), tensors[f"{of}.photos"].float().numpy())
                for of in keys
            )
            for route, cohort in zip(chosen, cohorts, strict=True):
                if {table.shape[1] for table in cohort} != {route.embedder.dimension}:
                    raise ValueError(f"the cohort of {route.name} has another dimension than its templates")
            calibration = Calibration.from_dict(line["calibration"])
            return Scoring(tuple(shares[of] for of in keys), cohorts, calibration, entry.sha256)
        except (KeyError, ValueError, TypeError, IndexError, DataError) as problem:
            raise ModelError(
                f"{entry.path} is no scoring file that fits its routes: {problem}. Make it again."
            ) from None
    return Scoring.plain(len(chosen))
