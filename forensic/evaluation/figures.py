"""Figures of the accuracy page: SVG to stand inside HTML, in colours that the page's style chooses."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensic.evaluation.plots import BASELINE, COLOURS, INK
from forensic.evaluation.tables import of_data, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]

GRID = "#e5e7eb"
UNTRAINED = "untrained"


class Line(NamedTuple):
    """One curve.

    Attributes:
        label: What the legend calls it.
        x: Places.
        y: Values.
        band: Lower and upper ends of its interval; None without.
        figure: What the legend says beside the label.
        colour: Number of its colour; 0 is the baseline's grey, drawn with dashes.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    band: tuple[Sequence[float], Sequence[float]] | None = None
    figure: str = ""
    colour: int = 0


class Figure(NamedTuple):
    """A picture with its legend, which HTML shows so that it can be read, scaled and searched.

    Attributes:
        section: The protocol that it belongs to.
        title: What it shows.
        svg: The picture.
        legend: For every curve its colour's number, its name and its figure.
    """

    section: str
    title: str
    svg: str
    legend: tuple[tuple[int, str, str], ...]


class Frame(NamedTuple):
    """Axes: labels, which of them are logarithmic, which hold shares, and the ends of y."""

    x: str
    y: str
    log_x: bool = False
    share_x: bool = False
    share_y: bool = True
    low: float = 0.0
    high: float = 1.005
    step: bool = False
    mark: float | None = None


def figures(report: Row) -> Iterator[Figure]:
    """Every figure of a report (``Report.to_dict()``)."""
    colours = colours_of([row["name"] for row in report["systems"]])
    for by in ("image", "person"):
        rows = [row for row in report["closed_set"] if (row["by"], row["subset"]) == (by, "all")]
        title = f"CMC, {of_data(report['data'])}{_by(by)}: sketches whose mate is found"
        yield from _cmc("closed-set", title, rows, colours)
    for size in dict.fromkeys(row["distractors"] for row in report["cross_photo"]):
        rows = [row for row in report["cross_photo"] if row["distractors"] == size]
        yield from _cmc("cross-photo", f"CMC, cross-photo{_crowd(size)}", rows, colours)
    yield from _tradeoffs(report["open_set"], "DET, identification", ("FPIR", "FNIR"), colours)
    yield from _tradeoffs(report["verification"], "DET, verification", ("FMR", "FNMR"), colours)
    for row in report["evidence"]:
        yield from _evidence(row)
    for by in ("image", "person"):
        for rank in ("1", "50"):
            yield from _sweep([row for row in report["distractors"] if row["by"] == by], by, rank, colours)


def colours_of(names: Sequence[str]) -> dict[str, int]:
    """Number of each system's colour: 0 for the untrained one, then 1, 2, ... and round again.

    >>> colours_of(["untrained", "direct", "a"])
    {'untrained': 0, 'direct': 1, 'a': 2}
    """
    others = [name for name in names if name != UNTRAINED]
    return {UNTRAINED: 0, **{name: 1 + at % len(COLOURS) for at, name in enumerate(others)}}


def _by(by: str) -> str:
    return "" if by == "image" else " by person"


def _crowd(distractors: int) -> str:
    return f", with {distractors:,} distractors" if distractors else ""


def _cmc(section: str, title: str, rows: Sequence[Row], colours: Mapping[str, int]) -> Iterator[Figure]:
    rows = [row for row in rows if row["gallery"]]
    if not rows:
        return
    lines = []
    for row in rows:
        curve = row["curve"]
        x = range(1, len(curve["value"]) + 1)
        label = f"rank-1 {share(row['ranks']['1'])} %"
        lines.append(Line(row["route"], x, curve["value"], (curve["low"], curve["high"]), label, colours[row["route"]]))
    floor = np.floor(20 * min(row["curve"]["low"][0] for row in rows)) / 20
    frame = Frame("rank (candidates looked at)", "sketches", log_x=True, low=float(floor), step=True)
    yield drawn(section, title, lines, frame)


def _tradeoffs(rows: Sequence[Row], title: str, words: tuple[str, str], colours: Mapping[str, int]) -> Iterator[Figure]:
    for size in dict.fromkeys(row["distractors"] for row in rows):
        own = [row for row in rows if row["distractors"] == size and min(row["curve"]["alarms"], default=0) > 0]
        if not own:  # a threshold without any alarm has no place on a logarithmic axis
            continue
        lines = [
            Line(row["route"], row["curve"]["alarms"], row["curve"]["misses"], colour=colours[row["route"]])
            for row in own
        ]
        top = min(1.005, 1.05 * max(max(row["curve"]["misses"]) for row in own) + 0.01)
        frame = Frame(*words, log_x=True, share_x=True, high=top)
        yield drawn("open-set", f"{title}{_crowd(size)}: lower is better", lines, frame)


def _evidence(row: Row) -> Iterator[Figure]:
    about = f"{row['route']}{_crowd(row['distractors'])}"
    ece, tippett = row["ece"], row["tippett"]
    prior = ece["prior_log_odds"]
    lines = [
        Line("these likelihood ratios", prior, ece["system"], figure=f"Cllr {row['cllr']['value']:.3f}", colour=1),
        Line("recalibrated (PAV)", prior, ece["pav"], figure=f"Cllr-min {row['cllr_min']:.3f}", colour=2),
        Line("no evidence (LR = 1)", prior, ece["reference"]),
    ]
    # A harmful system may cost any number of bits; twice the reference says enough.
    top = min(max(1.05, 1.05 * max(ece["system"])), 2.0)
    frame = Frame("prior log10 odds of 'same person'", "empirical cross entropy (bits)", share_y=False, high=top)
    yield drawn("calibration", f"ECE, {about}: above the grey line the LRs do harm", lines, frame)
    grid = tippett["log_lr"]
    pad = 0.06 * max(grid[-1] - grid[0], 1.0)
    # Everything is above the lowest LR and nothing above the highest: the bounds show as steps.
    x = [grid[0] - pad, *grid, grid[-1], grid[-1] + pad]
    misled = {"mated": "LR < 1", "nonmated": "LR > 1"}
    lines = [
        Line(
            words,
            x,
            [1.0, *tippett[name], 0.0, 0.0],
            figure=f"misleading ({misled[name]}): {share(row[f'misleading_{name}'])} %",
            colour=colour,
        )
        for colour, (name, words) in enumerate((("mated", "same person"), ("nonmated", "different people")), 1)
    ]
    frame = Frame("log10 LR", "comparisons with at least this LR", mark=0.0)
    yield drawn("calibration", f"Tippett, {about}", lines, frame)


def _sweep(rows: Sequence[Row], by: str, rank: str, colours: Mapping[str, int]) -> Iterator[Figure]:
    rows = [row for row in rows if row["gallery"]]
    if not rows:
        return
    lines = []
    for name in dict.fromkeys(row["route"] for row in rows):
        own = [row for row in rows if row["route"] == name]
        ends = [[row["ranks"][rank][key] for row in own] for key in ("value", "low", "high")]
        last = f"{share(own[-1]['ranks'][rank])} % at {own[-1]['gallery']:,}"
        lines.append(Line(name, [row["gallery"] for row in own], ends[0], (ends[1], ends[2]), last, colours[name]))
    low = min(min(line.band[0]) for line in lines if line.band)
    frame = Frame("photos in the gallery", "sketches", log_x=True, low=max(0.0, float(np.floor(20 * low) / 20)))
    yield drawn("distractors", f"Rank-{rank} in a growing gallery{_by(by)}", lines, frame)


def drawn(section: str, title: str, lines: Sequence[Line], frame: Frame) -> Figure:
    """Draw curves; the same curves give the same text."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    look: dict[Any, Any] = {
        "svg.hashsalt": title,
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    }
    with rc_context(look):
        canvas = Canvas(figsize=(5.6, 3.5), layout="constrained", facecolor="none")
        axes = canvas.subplots()
        for line in lines:
            _draw(axes, line, frame)
        _dress(axes, lines, frame)
        text = io.StringIO()
        canvas.savefig(text, format="svg", metadata={"Date": None})
    return Figure(
        section, title, _inline(text.getvalue(), title), tuple((line.colour, line.label, line.figure) for line in lines)
    )


def _draw(axes: "Axes", line: Line, frame: Frame) -> None:
    colour = COLOURS[line.colour - 1] if line.colour else BASELINE
    style: dict[str, Any] = {"color": colour, "linewidth": 1.8, "linestyle": "-" if line.colour else "--"}
    dots = "o" if len(line.x) < 12 else ""
    if line.band:
        axes.fill_between(
            line.x, *line.band, step="post" if frame.step else None, color=colour, alpha=0.15, linewidth=0
        )
    if frame.step:
        axes.step(line.x, line.y, where="post", **style)
    else:
        axes.plot(line.x, line.y, marker=dots, markersize=3.5, **style)


def _dress(axes: "Axes", lines: Sequence[Line], frame: Frame) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_facecolor("none")
    left, right = min(min(line.x) for line in lines), max(max(line.x) for line in lines)
    if frame.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(_ticks(left, right)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %" if frame.share_x else f"{value:,.0f}")
    axes.set_xlim(left, right if right > left else left * 2 or 1)
    axes.set_ylim(frame.low, frame.high)
    if frame.share_y:
        axes.yaxis.set_major_formatter(lambda value, _: f"{round(100 * value, 6):g} %")
    if frame.mark is not None:
        axes.axvline(frame.mark, color=BASELINE, linewidth=1, linestyle=":")
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(frame.x)
    axes.set_ylabel(frame.y)


def _ticks(left: float, right: float) -> list[float]:
    """1, 2 and 5 times the powers of ten; the powers alone where there are too many."""
    powers = range(int(np.floor(np.log10(left))), int(np.ceil(np.log10(max(right, left)))) + 1)
    every = [float(f"{part}e{power}") for power in powers for part in (1, 2, 5)]
    inside = [tick for tick in every if left <= tick <= right * (1 + 1e-9)]
    return inside if len(inside) <= 8 else [float(f"1e{power}") for power in powers if left <= 10.0**power <= right]


def _inline(svg: str, title: str) -> str:
    """The picture without its file's head, with ids of its own and colours that the page's style gives."""
    from html import escape

    prefix = "f" + "".join(character for character in title.casefold() if character.isascii() and character.isalnum())
    text = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\1{prefix}-", text)
    for number, colour in enumerate((BASELINE, *COLOURS)):
        text = text.replace(colour, f"var(--c{number})")
    text = text.replace(INK, "currentColor").replace(GRID, "var(--grid)")
    head = f'<svg role="img" aria-label="{escape(title)}"'
    return re.sub(r'^<svg([^>]*?) width="[^"]*"|^<svg', lambda found: head + (found[1] or ""), text, count=1).replace(
        ' height="252pt"', "", 1
    )
