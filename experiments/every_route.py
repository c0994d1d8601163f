"""Write docs/results/routes.md, every route alone, from the JSON reports of ``forensic evaluate``.

python experiments/every_route.py --out docs/results/routes.md cmc-cufs.svg=every-cufs.json cmc-fs2k.svg=every-fs2k.json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pages import markdown
from recognition import labelled, models, read

from forensic.evaluation.tables import gain, of_data, share

INTRODUCTION = """# Every route alone

Rank-k of the test sketches, each searched for along one route (or several with `+` between, as they ship). The first
row is the untrained embedder: a route that does not beat it has not helped. Square brackets hold 95 % bootstrap
intervals over people. The last columns are the papers' NLDA protocol: fitted on 150 people, the others tested, 20
repeats; all pictures of a person stand on one side, and each is a mate. Faces are found and aligned for it as a search
does it; [synthesis](synthesis.md) has the same protocol on the data set's own crops, and so other figures. What a
generator adds to the fused score is on [a page of its own](generators.md); by image, another photo of the right person
counts as wrong, and FS2K repeats people ([recognition](recognition.md) has it by person).

    forensic models fetch mobilefacenet        # the untrained embedder
    forensic evaluate --data cufs --routes direct,... --protocols closed-set,nlda --json every-cufs.json \\
        --plot cmc-cufs.svg
    python experiments/every_route.py --out docs/results/routes.md cmc-cufs.svg=every-cufs.json ...
"""
RANKS = ("1", "5", "10", "50")


def every_route(plot: str, report: Mapping[str, Any]) -> Iterator[str]:
    """All routes on one data set: ranks, NLDA, and the CMC, which ``forensic evaluate --plot`` drew."""
    yield f"## {of_data(report['data'])}\n"
    rows = [row for row in report["closed_set"] if row["subset"] == "all"]
    rows = [row for row in rows if row["by"] == rows[0]["by"]]
    analyses = list(dict.fromkeys((row["features"], row["analysis"]) for row in report["nlda"]))
    maxima = {(row["route"], row["features"]): share(row["maximum"]) for row in report["nlda"]}
    yield from markdown(
        ("route", "mate by"),
        (
            *(f"rank-{rank}, %" for rank in RANKS),
            "rank-1 over untrained",
            *(f"{analysis} on {features}, maximum, %" for features, analysis in analyses),
        ),
        [
            (
                f"`{row['route']}`",
                row["by"],
                *(share(row["ranks"][rank]) if rank in row["ranks"] else "" for rank in RANKS),
                gain(row["over_untrained"]),
                *(maxima.get((row["route"], features), "") for features, _ in analyses),
            )
            for row in rows
        ],
    )
    yield f"![CMC of every route]({plot})\n"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=labelled, nargs="+", metavar="PLOT=FILE")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    reports = {plot: read(file) for plot, file in options.reports}
    lines = [INTRODUCTION]
    for plot, report in reports.items():
        lines += every_route(plot, report)
    lines += models([(of_data(report["data"]), report) for report in reports.values()])
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
