"""An accuracy report as rows: one a figure, for a table of numbers (``--csv``)."""

from collections.abc import Iterator, Mapping
from typing import Any

from forensic.evaluation.accuracy import Report
from forensic.recognition.evaluation import Interval

COLUMNS = ("protocol", "route", "part", "probes", "gallery", "metric", *Interval._fields)


def rows(report: Report) -> Iterator[dict[str, Any]]:
    """One row a figure: protocol, route, part, probes, gallery, metric, value, low, high.

    Where comparisons are counted and not probes, ``probes`` are the mated and ``gallery`` the other ones.
    """
    for closed in report.closed_set:
        part = closed.subset if closed.by == "image" else f"{closed.subset}, by person"
        yield from _ranks("closed-set", closed.route, part, closed.probes, closed.gallery, closed.ranks)
    for cross in report.cross_photo:
        part = _crowd(cross.distractors)
        yield from _ranks("cross-photo", cross.route, part, cross.probes, cross.gallery, cross.ranks)
    for group in report.groups:
        part = f"{group.attribute}={group.value}" + ("" if group.by == "image" else ", by person")
        yield from _ranks("groups", group.route, part, group.probes, "", group.ranks)
    for pair in report.paired:
        part = f"{pair.protocol} by {pair.by}, over {pair.against}"
        figure = Interval(*pair.difference[:3])
        yield _row("paired", pair.route, part, pair.probes, "", "rank-1 difference", figure)
    yield from _open_set(report)
    yield from _evidence(report)
    for sweep in report.distractors:
        part = f"{sweep.distractors} distractors" + ("" if sweep.by == "image" else ", by person")
        yield from _ranks("distractors", sweep.route, part, sweep.probes, sweep.gallery, sweep.ranks)
    for unlike in report.differentials:
        part = f"{unlike.attribute}={unlike.value}"
        for metric in ("first", "ratio", "best"):
            yield _row("differentials", unlike.route, part, "", unlike.photos, metric, getattr(unlike, metric))
    for row in report.nlda:
        for metric in ("maximum", "chosen"):
            part, name = f"{row.analysis} on {row.features}", f"rank-1 ({metric} dimension)"
            yield _row("nlda", row.route, part, row.testing, row.testing, name, getattr(row, metric))


def _open_set(report: Report) -> Iterator[dict[str, Any]]:
    for found in report.open_set:
        about = "open-set", found.route, _crowd(found.distractors), found.mated, found.gallery
        for fpir, rate in found.fnir.items():
            yield _row(*about, f"FNIR at FPIR {fpir}" + _unresolved(rate.resolved), rate.figure)
        for rank, figure in found.no_threshold.items():
            yield _row(*about, f"FNIR at rank {rank}", figure)
    for pairs in report.verification:
        about = "open-set", pairs.route, _crowd(pairs.distractors), pairs.mated, pairs.nonmated
        for far, rate in pairs.tar.items():
            yield _row(*about, f"TAR at FAR {far}" + _unresolved(rate.resolved), rate.figure)
        yield _row(*about, "EER", pairs.eer)


def _evidence(report: Report) -> Iterator[dict[str, Any]]:
    for row in report.evidence:
        about = "calibration", row.route, _crowd(row.distractors), row.mated, row.nonmated
        yield _row(*about, "Cllr", row.cllr)
        yield {**_row(*about, "Cllr-min", Interval(row.cllr_min, 0, 0)), "low": "", "high": ""}
        yield _row(*about, "misleading, mated", row.misleading_mated)
        yield _row(*about, "misleading, non-mated", row.misleading_nonmated)


def _ranks(
    protocol: str, route: str, part: str, probes: int, gallery: int | str, ranks: Mapping[int, Interval]
) -> Iterator[dict[str, Any]]:
    for rank, figure in ranks.items():
        yield _row(protocol, route, part, probes, gallery, f"rank-{rank}", figure)


def _row(
    protocol: str, route: str, part: str, probes: int | str, gallery: int | str, metric: str, figure: Interval
) -> dict[str, Any]:
    cells = protocol, route, part, probes, gallery, metric, *figure
    return dict(zip(COLUMNS, cells, strict=True))


def _crowd(distractors: int) -> str:
    return f"{distractors} distractors" if distractors else "all"


def _unresolved(resolved: bool) -> str:
    return "" if resolved else " (not resolved)"
