"""Measure a folder of synthesized images against their targets."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from forensic import __version__
from forensic.errors import FaceError, ImageError, ModelError, UsageError
from forensic.quality.gauges import Gauge, SetValue, prepare
from forensic.quality.metrics import METRICS, Metric
from forensic.quality.pairing import Files, Matched, match, read
from forensic.recognition.evaluation import bootstrap_interval

if TYPE_CHECKING:
    from forensic.recognition.embedding import Modality


@dataclass(frozen=True)
class Figure:
    """What was measured of one metric.

    Attributes:
        metric: Which one.
        n: Pairs that it is over.
        value: Mean over the pairs, or the value of the sets; None where it was not measured.
        sd: Standard deviation of the pairs' values, with n - 1; None below two pairs and for sets.
        interval: 95 % bootstrap interval of the mean over pairs; None below two pairs and for sets.
        implementation: What computed it; None where it was not measured.
        note: What to mind in reading it.
        missing: Why it was not measured; empty where it was.
    """

    metric: Metric
    n: int = 0
    value: float | None = None
    sd: float | None = None
    interval: tuple[float, float] | None = None
    implementation: str | None = None
    note: str = ""
    missing: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The figure for JSON."""
        return {
            "metric": self.metric.name,
            "better": self.metric.better,
            "over": self.metric.over,
            "n": self.n,
            "mean" if self.metric.over == "pair" else "value": self.value,
            "sd": self.sd,
            "interval": self.interval,
            "implementation": self.implementation,
            "note": self.note,
            "missing": self.missing,
        }


@dataclass(frozen=True)
class Quality:
    """What was measured of two folders.

    Attributes:
        matched: Which files belong together, and which are left over.
        rows: Values of each pair that could be read: its files and its metrics, as far as they exist.
        figures: One for each metric that was asked for.
        failures: File or pair, and what is wrong with it.
        sizes: How many pairs were compared at each size (width, height).
    """

    matched: Matched
    rows: list[tuple[Files, dict[str, float]]]
    figures: list[Figure]
    failures: list[tuple[str, str]] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pairs' own values, for JSON."""
        return {
            "forensic": __version__,
            "counts": {
                "matched": len(self.matched.pairs),
                "compared": len(self.rows),
                "failed": len(self.failures),
                "synthesized_without_target": len(self.matched.synthesized_only),
                "targets_without_synthesized": len(self.matched.target_only),
            },
            "sizes": {f"{width}x{height}": count for (width, height), count in sorted(self.sizes.items())},
            "metrics": [figure.to_dict() for figure in self.figures],
            "synthesized_without_target": [str(path) for path in self.matched.synthesized_only],
            "targets_without_synthesized": [str(path) for path in self.matched.target_only],
            "failures": [{"name": name, "reason": reason} for name, reason in self.failures],
        }


def measure(
    synthesized: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    metrics: Collection[str] = tuple(METRICS),
    modality: Modality = "photo",
    crop: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Quality:
    """Measure a folder of synthesized images against the folder of their targets.

    Args:
        synthesized: Folder of the synthesized images.
        target: Folder of what they should look like, under the same stems.
        metrics: Names in `forensic.quality.metrics.METRICS`.
        modality: What the images of both folders are, for the metrics on the project's embedder.
        crop: Cut 256 x 256 images to the 200 x 250 pixels that the field compares.
        progress: Is told how many pairs of how many are done.

    Raises:
        UsageError: A metric's name is unknown.
        DataError: Nothing belongs together, or two files claim one name.
        ModelError: Not one of the metrics can be measured, for want of weights.
        ImageError: Not one pair can be compared.
    """
    if unknown := sorted(set(metrics) - METRICS.keys()):
        raise UsageError(f"Unknown metric {unknown[0]!r}. Known: {', '.join(METRICS)}.")
    matched = match(synthesized, target)
    gauges, missing = prepare(metrics, modality)
    if not gauges:
        raise ModelError("Nothing can be measured: " + "; ".join(f"{name} {why}" for name, why in missing.items()))
    taken = _Taken(gauges)
    for done, files in enumerate(matched.pairs, 1):
        taken.add(files, crop=crop)
        if progress:
            progress(done, len(matched.pairs))
    if not taken.rows:
        raise ImageError(f"None of {len(matched.pairs)} pairs can be compared. The first: {taken.failures[0][1]}")
    figures = [
        Figure(METRICS[name], missing=missing[name]) if name in missing else figure
        for name, figure in taken.figures().items()
        if name in metrics
    ]
    return Quality(matched, taken.rows, figures, taken.failures, taken.sizes)


class _Taken:
    """Values as they come in, pair after pair."""

    def __init__(self, gauges: list[Gauge]) -> None:
        self.rows: list[tuple[Files, dict[str, float]]] = []
        self.failures: list[tuple[str, str]] = []
        self.sizes: Counter[tuple[int, int]] = Counter()
        self._gauges = gauges
        self._added = dict.fromkeys(gauges, 0)
        self._refused: dict[Gauge, Counter[str]] = {gauge: Counter() for gauge in gauges}

    def add(self, files: Files, *, crop: bool) -> None:
        """Measure one pair; what is wrong with it is kept."""
        try:
            pair = read(files, crop=crop)
        except ImageError as problem:
            self.failures.append((files.name, str(problem)))
            return
        self.sizes[pair.target.size] += 1
        values: dict[str, float] = {}
        for gauge in self._gauges:
            try:
                values |= gauge.add(pair)
            except (ImageError, FaceError) as problem:
                self._refused[gauge][str(problem)] += 1
                if isinstance(problem, ImageError):
                    self.failures.append((files.name, f"{', '.join(gauge.implementations)}: {problem}"))
            else:
                self._added[gauge] += 1
        self.rows.append((files, values))

    def figures(self) -> dict[str, Figure]:
        """A figure for every metric there is, in the metrics' order."""
        made = {name: Figure(metric) for name, metric in METRICS.items()}
        for gauge in self._gauges:
            sets = gauge.finish()
            refused = "; ".join(f"{count} left out: {why}" for why, count in self._refused[gauge].items())
            for name, implementation in gauge.implementations.items():
                value = sets.get(name)
                made[name] = (
                    self._over_pairs(name, implementation, refused)
                    if value is None
                    else _over_sets(name, value, self._added[gauge], implementation, refused)
                )
        return made

    def _over_pairs(self, name: str, implementation: str, refused: str) -> Figure:
        named = [(files.name, values[name]) for files, values in self.rows if name in values]
        if not named:
            return Figure(METRICS[name], missing=refused)
        values = np.array([value for _, value in named])
        mean = float(values.mean())
        if len(values) < 2:
            return Figure(METRICS[name], 1, mean, implementation=implementation, note=refused)
        interval = bootstrap_interval(values, [person for person, _ in named])
        bounds = (interval.low, interval.high)
        return Figure(METRICS[name], len(values), mean, float(values.std(ddof=1)), bounds, implementation, refused)


def _over_sets(name: str, measured: SetValue, count: int, implementation: str, refused: str) -> Figure:
    if measured.value is None:
        return Figure(METRICS[name], missing="; ".join(filter(None, [measured.note, refused])))
    note = "; ".join(filter(None, [measured.note, refused]))
    return Figure(METRICS[name], count, measured.value, implementation=implementation, note=note)
