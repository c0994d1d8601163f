"""Accuracy reports as tables, from the plain data that is stored: ``forensic evaluate`` and ``reports``."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forensic.text import printable

if TYPE_CHECKING:
    from rich.table import Table

RANKS = ("1", "5", "10", "50")
WIDTH = 120
"""Columns of the tables where the output is no terminal."""


def show(report: Mapping[str, Any]) -> None:
    """Print the tables of a report (``Report.to_dict()``) on standard output."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    for table in tables(report):
        console.print(table)


def tables(report: Mapping[str, Any]) -> Iterable["Table"]:
    """One table for each protocol of the report, and one for the subsets."""
    overall = [row for row in report["closed_set"] if row["subset"] == "all"]
    parts = [row for row in report["closed_set"] if row["subset"] != "all"]
    if overall:
        yield _closed_set(report["data"], overall)
    if parts:
        yield _subsets(parts)
    if report["distractors"]:
        yield _distractors(report["distractors"])
    if report["nlda"]:
        yield _nlda(report["nlda"])


def _closed_set(data: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> "Table":
    first = rows[0]
    ranks = [rank for rank in RANKS if rank in first["ranks"]]
    table = _table(
        f"{data['name']} ({data['split']}): {first['probes']} sketches, gallery of {first['gallery']} photos"
        + (f"; {first['missed']} missed for want of a face" if first["missed"] else ""),
        ["route"],
        [*(f"rank-{rank}, %" for rank in ranks), "rank-1 over untrained"],
    )
    for row in rows:
        table.add_row(printable(row["route"]), *(_cell(row["ranks"][rank]) for rank in ranks), _gain(row))
    return table


def _gain(row: Mapping[str, Any]) -> str:
    gain = row["over_untrained"]
    if gain is None:
        return ""
    text = f"{100 * gain['value']:+.1f}\n[{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
    return text if gain["low"] > 0 else f"{text}\nworse" if gain["high"] < 0 else f"{text}\nno better"


def _subsets(rows: Sequence[Mapping[str, Any]]) -> "Table":
    routes = list(dict.fromkeys(row["route"] for row in rows))
    table = _table("Within each subset, its own photos as gallery: rank-1, %", ["subset"], ["photos", *routes])
    for subset in dict.fromkeys(row["subset"] for row in rows):
        own = {row["route"]: row for row in rows if row["subset"] == subset}
        figures = (_cell(own[route]["ranks"]["1"]) for route in routes)
        table.add_row(printable(subset), f"{own[routes[0]]['gallery']:,}", *figures)
    return table


def _distractors(rows: Sequence[Mapping[str, Any]]) -> "Table":
    ranks = list(rows[0]["ranks"])
    table = _table(
        "The same sketches in a gallery with distractors",
        ["route"],
        ["distractors", "gallery", *(f"rank-{rank}, %" for rank in ranks)],
    )
    for row in rows:
        sizes = f"{row['distractors']:,}", f"{row['gallery']:,}"
        table.add_row(printable(row["route"]), *sizes, *(_cell(row["ranks"][rank]) for rank in ranks))
    return table


def _nlda(rows: Sequence[Mapping[str, Any]]) -> "Table":
    first = rows[0]
    table = _table(
        f"NLDA protocol, rank-1, %: fitted on {first['fitting']} of the identities, {first['testing']} tested, "
        f"{first['repeats']} repeats; probe: {first['probe']}",
        ["route", "analysis"],
        ["maximum of the mean curve\n(the field's figure)", "dimension chosen\non fitting identities"],
    )
    for row in rows:
        table.add_row(
            printable(row["route"]),
            f"{row['analysis']}\non {row['features']}",
            f"{_cell(row['maximum'])}\nat {row['maximum_at']}",
            f"{_cell(row['chosen'])}\nat {row['chosen_at']:.0f}",
        )
    return table


def _table(title: str, names: Sequence[str], figures: Sequence[str]) -> "Table":
    from rich.table import Table

    table = Table(title=printable(title), title_justify="left", show_lines=True)
    for heading in names:
        table.add_column(heading, overflow="fold")
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _cell(figure: Mapping[str, float]) -> str:
    return f"{100 * figure['value']:.1f}\n[{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"
