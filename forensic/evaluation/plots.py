"""The CMC of an accuracy report as a picture file. Pure drawing: every number comes from the report's JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forensic.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg", ".pdf")
BASELINE = "#6b7280"
COLOURS = (
    *("#0b6bcb", "#c2410c", "#15803d", "#7c3aed", "#be123c", "#0e7490", "#a16207", "#334155"),
    *("#c026d3", "#4d7c0f", "#7f1d1d", "#1e3a8a"),
)
"""Apart in hue and dark enough to read as text on white; the untrained baseline is grey."""
INK = "#1f2937"


def check(path: Path, protocols: Sequence[str]) -> None:
    """Refuse a plot that cannot be drawn, before an evaluation is run for it.

    Raises:
        UsageError: if the file's type is none of ``FORMATS``, or ``protocols`` lack the closed set.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"Cannot draw '{path.name}': give a file that ends in {', '.join(FORMATS)}.")
    if "closed-set" not in protocols:
        raise UsageError("The plot shows the CMC: run the protocol closed-set too.")


def cmc(report: Mapping[str, Any], path: Path) -> None:
    """Draw the closed-set CMC of every route with its 95 % interval, and save it.

    Args:
        report: ``Report.to_dict()``.
        path: a .png, .svg or .pdf file.

    Raises:
        UsageError: as ``check``.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    check(path, ["closed-set"] if report["closed_set"] else [])
    whole = [row for row in report["closed_set"] if row["subset"] == "all"]
    rows = [row for row in whole if row["by"] == whole[0]["by"]]  # by person only where it is all there is
    # Fixed ids and no date: the same report gives the same file.
    with rc_context({"svg.hashsalt": "forensic", "svg.fonttype": "none", "font.size": 10, "text.color": INK}):
        figure = Figure(figsize=(7.6, 4.6), dpi=160, layout="constrained", facecolor="white")
        axes = figure.subplots()
        hues = iter(COLOURS * (len(rows) // len(COLOURS) + 1))
        colours = [BASELINE if row["route"] == "untrained" else next(hues) for row in rows]
        for row, colour in zip(rows, colours, strict=True):
            _curve(axes, row, colour)
        _label_ends(axes, rows, colours)
        _frame(axes, report, rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def _curve(axes: "Axes", row: Mapping[str, Any], colour: str) -> None:
    curve = row["curve"]
    ranks = np.arange(1, len(curve["value"]) + 1)
    dashes = "--" if row["route"] == "untrained" else "-"
    axes.fill_between(ranks, curve["low"], curve["high"], step="post", color=colour, alpha=0.13, linewidth=0)
    axes.step(ranks, curve["value"], where="post", color=colour, linewidth=1.8, linestyle=dashes)


def _label_ends(axes: "Axes", rows: Sequence[Mapping[str, Any]], colours: Sequence[str]) -> None:
    """Name each curve in the right margin, in the order of rank-1, with its figure; no legend to look up."""
    order = sorted(range(len(rows)), key=lambda at: -rows[at]["curve"]["value"][0])
    for place, at in enumerate(order):
        value, low, high = (100 * rows[at]["curve"][key][0] for key in ("value", "low", "high"))
        axes.text(
            1.035,
            0.98 - place * min(0.13, 1 / len(rows)),
            f"{rows[at]['route']}\nrank-1 {value:.1f} % [{low:.1f}, {high:.1f}]",
            transform=axes.transAxes,
            color=colours[at],
            fontsize=9,
            va="top",
            linespacing=1.25,
        )


def _frame(axes: "Axes", report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.ticker import FixedLocator, MultipleLocator, NullLocator, PercentFormatter

    depth = max(len(row["curve"]["value"]) for row in rows)
    axes.set_xscale("log")
    axes.set_xlim(1, max(depth, 2))
    floor = _floor(rows)
    axes.set_ylim(floor, 1.004)
    axes.yaxis.set_major_locator(MultipleLocator(0.1 if floor < 0.6 else 0.05 if floor < 0.85 else 0.02))
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in (1, 2, 5, 10, 20, 50, 100) if tick <= depth]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("rank (candidates looked at)")
    axes.set_ylabel("probes whose mate is found")
    data, row = report["data"], rows[0]
    axes.set_title(
        f"{data['name']} ({data['split']}): {row['probes']} sketches, gallery of {row['gallery']} photos\n",
        loc="left",
        fontsize=11,
    )
    axes.text(
        0,
        1.02,
        "bands: 95 % bootstrap over people",
        transform=axes.transAxes,
        fontsize=8.5,
        color=BASELINE,
    )


def _floor(rows: Sequence[Mapping[str, Any]]) -> float:
    """Lower end of the axis: the lowest interval, rounded down to a twentieth."""
    lowest = min(row["curve"]["low"][0] for row in rows)
    return float(np.floor(lowest * 20) / 20)
