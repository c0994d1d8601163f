"""Accuracy reports as tables of text, from the plain data that is stored: for terminal, page and documents alike."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from forensic.errors import UsageError
from forensic.evaluation.accuracy import FORMAT, RESOLVED

Row = Mapping[str, Any]
RANKS = ("1", "5", "10", "50")


class Table(NamedTuple):
    """A table whose cells are text.

    Attributes:
        section: The protocol that it belongs to.
        title: What it shows.
        note: How it is to be read; may be empty.
        names: Headings of the columns of words.
        figures: Headings of the columns of figures, behind those.
        rows: The cells.
        headline: Whether a terminal shows it; the rest is for the page.
    """

    section: str
    title: str
    note: str
    names: tuple[str, ...]
    figures: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    headline: bool = True


def check(report: Row) -> None:
    """Refuse a report that another version wrote.

    Raises:
        UsageError: its format is unknown here.
    """
    if report.get("format") != FORMAT:
        raise UsageError(
            f"The report's format is {report.get('format')!r}, expected {FORMAT!r}: run the evaluation again to get "
            "tables and a page."
        )


def tables(report: Row) -> Iterator[Table]:
    """Every table of a report (``Report.to_dict()``), protocol by protocol.

    Raises:
        UsageError: as ``check``.
    """
    check(report)
    for by, rows in _by_mate(report["closed_set"]):
        if whole := [row for row in rows if row["subset"] == "all"]:
            yield _closed_set(report, whole, by)
        if parts := [row for row in rows if row["subset"] != "all"]:
            yield _subsets(parts, by)
    if report["cross_photo"]:
        yield _cross_photo(report["cross_photo"])
    if report["paired"]:
        yield _paired(report["paired"])
    if report["open_set"]:
        yield _open_set(report["open_set"])
        yield _verification(report["verification"])
    if report["evidence"]:
        yield _evidence(report["evidence"])
    for by, rows in _by_mate(report["distractors"]):
        yield _distractors(rows, by)
    for by, rows in _by_mate(report["groups"]):
        yield _groups(rows, by)
    if report["differentials"]:
        yield _differentials(report["differentials"])
    if report["nlda"]:
        yield _nlda(report["nlda"])


def _by_mate(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The rows of each kind of mate that there are rows of."""
    for by in ("image", "person"):
        if own := [row for row in rows if row["by"] == by]:
            yield by, own


def share(figure: Row) -> str:
    """A share in per cent with its interval; without one where all or none were found, of which it can tell nothing.

    >>> share({"value": 0.5, "low": 0.25, "high": 0.75}), share({"value": 1.0, "low": 1.0, "high": 1.0})
    ('50.0 [25.0, 75.0]', '100.0')
    """
    if figure["low"] == figure["high"]:
        return f"{100 * figure['value']:.1f}"
    return f"{100 * figure['value']:.1f} [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"


def number(figure: Row, digits: int = 2) -> str:
    """A figure with its interval."""
    value, low, high = (f"{figure[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def gain(figure: Row | None) -> str:
    """A difference of shares in points with its interval, and what that means."""
    if figure is None:
        return ""
    text = f"{100 * figure['value']:+.1f} [{100 * figure['low']:+.1f}, {100 * figure['high']:+.1f}]"
    return text if figure["low"] > 0 else f"{text} worse" if figure["high"] < 0 else f"{text} no better"


def of_data(data: Row) -> str:
    """The data set in words.

    >>> of_data({"name": "fs2k", "split": "test", "resplit": True, "subset": "1-0"})
    'fs2k, 1-0 alone (test, split that keeps people apart)'
    """
    apart = ", split that keeps people apart" if data["resplit"] else ""
    alone = f", {data['subset']} alone" if data["subset"] else ""
    return f"{data['name']}{alone} ({data['split']}{apart})"


def adapted(names: Iterable[str]) -> str | None:
    """The plain adapted embedder that other systems may be held against; None if it is not among them."""
    return "direct" if "direct" in names else None


def _by(by: str) -> str:
    return "" if by == "image" else ", by person"


def _closed_set(report: Row, rows: Sequence[Row], by: str) -> Table:
    first = rows[0]
    ranks = [rank for rank in RANKS if rank in first["ranks"]]
    base = adapted(row["route"] for row in rows) if len(rows) > 2 else None
    over = {
        row["route"]: row["difference"]
        for row in report["paired"]
        if (row["protocol"], row["by"], row["against"]) == ("closed-set", by, base)
    }
    title = f"{of_data(report['data'])}{_by(by)}: {first['probes']} sketches, gallery of {first['gallery']} photos" + (
        f"; {first['missed']} missed for want of a face" if first["missed"] else ""
    )
    note = {
        "image": "Only the very photo that the sketch was drawn from counts, also where the person has others.",
        "person": "Any photo of the right person counts.",
    }[by]
    return Table(
        "closed-set",
        title,
        note,
        ("system",),
        (*(f"rank-{rank}, %" for rank in ranks), "rank-1 over untrained", *([f"rank-1 over {base}"] if base else [])),
        tuple(
            (
                row["route"],
                *(share(row["ranks"][rank]) for rank in ranks),
                gain(row["over_untrained"]),
                *([gain(over.get(row["route"]))] if base else []),
            )
            for row in rows
        ),
    )


def _subsets(rows: Sequence[Row], by: str) -> Table:
    routes = _names(rows)
    lines = []
    for subset in dict.fromkeys(row["subset"] for row in rows):
        own = {row["route"]: row for row in rows if row["subset"] == subset}
        figures = (share(own[route]["ranks"]["1"]) for route in routes)
        lines.append((subset, f"{own[routes[0]]['gallery']:,}", *figures))
    title = f"Within each subset, the photos of its people as gallery{_by(by)}: rank-1, %"
    return Table("closed-set", title, "", ("subset",), ("photos", *routes), tuple(lines))


def _cross_photo(rows: Sequence[Row]) -> Table:
    first = rows[0]
    ranks = list(first["ranks"])
    return Table(
        "cross-photo",
        f"Cross-photo: {first['probes']} sketches of {first['people']} people",
        "The photo that the sketch was drawn from and its copies are taken out; another photo of the person is to be "
        "found.",
        ("system",),
        ("gallery", *(f"rank-{rank}, %" for rank in ranks), "rank-1 over untrained"),
        tuple(
            (
                row["route"],
                f"{row['gallery']:,}",
                *(share(row["ranks"][rank]) for rank in ranks),
                gain(row["over_untrained"]),
            )
            for row in rows
        ),
    )


def _paired(rows: Sequence[Row]) -> Table:
    return Table(
        "paired",
        "Rank-1 of one system minus another's on the same sketches, points",
        "p is two-sided, by bootstrap (2/2001 at the least), and not corrected for the number of pairs.",
        ("protocol", "system", "over"),
        ("difference", "p"),
        tuple(
            (
                f"{row['protocol']}{_by(row['by']) if row['protocol'] == 'closed-set' else ''}",
                row["route"],
                row["against"],
                gain(row["difference"]),
                f"{row['difference']['p']:.4f}",
            )
            for row in rows
        ),
        headline=False,
    )


def _open_set(rows: Sequence[Row]) -> Table:
    first = rows[0]
    rates, ranks = list(first["fnir"]), list(first["no_threshold"])
    return Table(
        "open-set",
        f"Open set: {first['mated']} searches with a mate, {first['nonmated']} without; FNIR, %"
        + (f"; {first['failed']} missed for want of a face" if first["failed"] else ""),
        "The searches without a mate are the same sketches with all photos of their person taken out. "
        f"With a threshold the mate must also be among the first {first['depth']}." + _resolution(rows, "fnir"),
        ("system",),
        ("N", *(f"at FPIR {rate}" for rate in rates), *(f"at rank {k}" for k in ranks)),
        tuple(
            (
                row["route"],
                f"{row['gallery']:,}",
                *(_at(row["fnir"][rate]) for rate in rates),
                *(share(row["no_threshold"][rank]) for rank in ranks),
            )
            for row in rows
        ),
    )


def _verification(rows: Sequence[Row]) -> Table:
    first = rows[0] if rows else {"tar": {}}
    rates = list(first["tar"])
    return Table(
        "open-set",
        "Verification, every sketch with every photo: true accept rate, %",
        "One threshold for all comparisons; a comparison without a face is never accepted." + _resolution(rows, "tar"),
        ("system",),
        ("mated", "non-mated", *(f"at FAR {rate}" for rate in rates), "EER, %"),
        tuple(
            (
                row["route"],
                f"{row['mated']:,}",
                f"{row['nonmated']:,}",
                *(_at(row["tar"][rate]) for rate in rates),
                share(row["eer"]),
            )
            for row in rows
        ),
        headline=False,
    )


def _at(rate: Row) -> str:
    return share(rate["figure"]) + ("" if rate["resolved"] else " *")


def _resolution(rows: Sequence[Row], name: str) -> str:
    """What a reader must know of bounds that allow few false alarms: how many, in the smallest and largest gallery."""
    if not rows:
        return ""
    allowed = []
    for rate in rows[0][name]:
        counts = dict.fromkeys(row[name][rate]["allowed"] for row in rows)
        allowed.append(f"{' or '.join(f'{count:,}' for count in counts)} at {rate}")
    text = f" False alarms that the bounds let through: {', '.join(allowed)}."
    if any(not rate["resolved"] for row in rows for rate in row[name].values()):
        text += f" * The bound allows fewer than {RESOLVED} of them: the figure is rough, and its interval too narrow."
    return text


def _evidence(rows: Sequence[Row]) -> Table:
    fitted = "; ".join(dict.fromkeys(f"{row['kind']} sketches, {row['population']}" for row in rows))
    return Table(
        "calibration",
        "Likelihood ratios, every sketch with every photo",
        "Cllr in bits: 0 is perfect, 1 says nothing, more misleads; Cllr-min is what the best recalibration leaves. "
        f"Misleading: LR below 1 for one person, above 1 for two. Mates by person. They were fitted to: {fitted}.",
        ("system",),
        ("mated", "non-mated", "Cllr", "Cllr-min", "misleading, mated, %", "misleading, non-mated, %"),
        tuple(
            (
                row["route"],
                f"{row['mated']:,}",
                f"{row['nonmated']:,}",
                number(row["cllr"], 3),
                f"{row['cllr_min']:.3f}",
                share(row["misleading_mated"]),
                share(row["misleading_nonmated"]),
            )
            for row in rows
        ),
    )


def _distractors(rows: Sequence[Row], by: str) -> Table:
    ranks = list(rows[0]["ranks"])
    return Table(
        "distractors",
        f"The same sketches in a gallery with distractors{_by(by)}",
        "",
        ("system",),
        ("distractors", "gallery", *(f"rank-{rank}, %" for rank in ranks)),
        tuple(
            (
                row["route"],
                f"{row['distractors']:,}",
                f"{row['gallery']:,}",
                *(share(row["ranks"][rank]) for rank in ranks),
            )
            for row in rows
        ),
    )


def _groups(rows: Sequence[Row], by: str) -> Table:
    routes = _names(rows)
    cells = {(row["attribute"], row["value"], row["route"]): row for row in rows}
    lines = []
    for attribute, value in dict.fromkeys((row["attribute"], row["value"]) for row in rows):
        own = [cells[attribute, value, route] for route in routes]
        lines.append((attribute, value, f"{own[0]['probes']:,}", *(share(row["ranks"]["1"]) for row in own)))
    return Table(
        "groups",
        f"Sketches by attribute, in the whole gallery{_by(by)}: rank-1, %",
        "Attributes and their values as the data set names them.",
        ("attribute", "value"),
        ("sketches", *routes),
        tuple(lines),
        headline=False,
    )


def _differentials(rows: Sequence[Row]) -> Table:
    return Table(
        "groups",
        "Distractors by group: who stands first",
        "For each sketch the best-scoring distractor of known group. Ratio: its group's share of these over its share "
        "of the distractors; 1 where a group is mistaken as often as it is there. Best score: expected best of as many "
        "random photos as the smallest group has, in the system's own units.",
        ("system", "attribute", "group"),
        ("photos", "share, %", "share of the first, %", "ratio", "best score"),
        tuple(
            (
                row["route"],
                row["attribute"],
                row["value"],
                f"{row['photos']:,}",
                f"{100 * row['share']:.1f}",
                share(row["first"]),
                number(row["ratio"]),
                f"{number(row['best'], 3)} of {row['sample']:,}",
            )
            for row in rows
        ),
        headline=False,
    )


def _nlda(rows: Sequence[Row]) -> Table:
    first = rows[0]
    return Table(
        "nlda",
        f"NLDA protocol, rank-1, %: fitted on {first['fitting']} of the people, {first['testing']} tested, "
        f"{first['repeats']} repeats; probe: {first['probe']}",
        "'Maximum' is that of the mean curve, the field's figure, chosen on the test people; 'chosen' is at the "
        "dimension that the fitting people choose; mates by person.",
        ("route", "analysis"),
        ("maximum", "at", "chosen", "at"),
        tuple(
            (
                row["route"],
                f"{row['analysis']} on {row['features']}",
                share(row["maximum"]),
                f"{row['maximum_at']}",
                share(row["chosen"]),
                f"{row['chosen_at']:.0f}",
            )
            for row in rows
        ),
    )


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["route"] for row in rows))
