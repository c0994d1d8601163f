"""Accuracy reports: what an evaluation found, as typed records, JSON and table rows."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from forensic.recognition.evaluation import Difference, Interval

FORMAT = "forensic-accuracy-1"


@dataclass(frozen=True)
class Curve:
    """A figure at each rank or dimension 1, 2, ... with its 95 % interval over identities."""

    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class ClosedSet:
    """Closed-set identification of one route on the probes of one subset.

    Attributes:
        route: name of the route.
        subset: part of the data set; ``all`` for the whole of it. Its probes search its photos alone.
        probes: how many probes.
        gallery: how many photos were searched.
        missed: probes that could not be found at any rank: no face in the sketch or in the mate's photo.
        ranks: share of probes whose mate is among the first 1, 5, 10, ...
        over_untrained: gain in rank-1 over the untrained embedder on the same probes; None for itself.
        curve: the CMC.
    """

    route: str
    subset: str
    probes: int
    gallery: int
    missed: int
    ranks: Mapping[int, Interval]
    over_untrained: Difference | None
    curve: Curve


@dataclass(frozen=True)
class Distractors:
    """The same probes in a gallery enlarged by other people.

    Attributes:
        route: name of the route.
        distractors: how many photos of other people were added.
        probes: how many probes.
        gallery: size of the enlarged gallery.
        ranks: share of probes whose mate is among the first 1, 10, 50.
    """

    route: str
    distractors: int
    probes: int
    gallery: int
    ranks: Mapping[int, Interval]


@dataclass(frozen=True)
class NullSpace:
    """The field's NLDA protocol: rank-1 after discriminant analysis, over random splits of the identities.

    Attributes:
        route: name of the route.
        features: ``pixels`` (grey, as the papers have it) or ``embeddings``.
        analysis: what was fitted.
        probe: which side is the probe.
        repeats: how many random splits.
        fitting: identities that each split fits on.
        testing: identities that are probe and gallery.
        mean: mean over the splits at dimension 1, 2, ...
        deviation: standard deviation over the splits.
        maximum: maximum of the mean curve, the field's figure. It is chosen on the test identities.
        maximum_at: its dimension.
        chosen: rank-1 at the dimension that each split's fitting identities choose, the honest figure.
        chosen_deviation: its standard deviation over the splits.
        chosen_at: the chosen dimension, mean over the splits.
    """

    route: str
    features: str
    analysis: str
    probe: str
    repeats: int
    fitting: int
    testing: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    maximum: Interval
    maximum_at: int
    chosen: Interval
    chosen_deviation: float
    chosen_at: float


@dataclass(frozen=True)
class Report:
    """An evaluation with all that is needed to run it again.

    Attributes:
        data: name, split and counts of the data set, and of the distractors.
        faces: how many faces were found by which detector, and every failure.
        routes: name, template space and model hashes of each route, the untrained embedder first.
        seed: of every random choice.
        made_by: versions of the package and of what it stands on, and the kind of machine.
        closed_set: closed-set identification.
        distractors: the sweep over gallery sizes.
        nlda: the field's protocol.
    """

    data: Mapping[str, Any]
    faces: Mapping[str, Any]
    routes: tuple[Mapping[str, Any], ...]
    seed: int
    made_by: Mapping[str, str]
    closed_set: tuple[ClosedSet, ...] = ()
    distractors: tuple[Distractors, ...] = ()
    nlda: tuple[NullSpace, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data that JSON can hold.

        Raises:
            ValueError: if a figure is not finite.
        """
        return {"format": FORMAT, "intervals": "95 % bootstrap over identities", **_plain(self)}

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row a figure: protocol, route, part, probes, gallery, metric, value, low, high."""
        for closed in self.closed_set:
            yield from _rank_rows("closed-set", closed, closed.subset)
        for sweep in self.distractors:
            yield from _rank_rows("distractors", sweep, f"{sweep.distractors} distractors")
        for row in self.nlda:
            for metric in ("maximum", "chosen"):
                part, size = f"{row.analysis} on {row.features}", row.testing
                metric_name = f"rank-1 ({metric} dimension)"
                yield _row("nlda", row.route, part, size, size, metric_name, getattr(row, metric))


def _rank_rows(protocol: str, result: ClosedSet | Distractors, part: str) -> Iterator[dict[str, Any]]:
    for rank, figure in result.ranks.items():
        yield _row(protocol, result.route, part, result.probes, result.gallery, f"rank-{rank}", figure)


def _row(
    protocol: str, route: str, part: str, probes: int, gallery: int, metric: str, figure: Interval
) -> dict[str, Any]:
    row = {"protocol": protocol, "route": route, "part": part, "probes": probes, "gallery": gallery}
    return {**row, "metric": metric, **figure._asdict()}


def _plain(value: Any) -> Any:
    """Records, tuples and numbers of numpy as what JSON has."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"A report holds the figure {value}; every figure must be finite.")
    return value
