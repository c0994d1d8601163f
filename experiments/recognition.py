"""Write docs/results/recognition.md from the JSON reports of ``forensic evaluate``, so that no figure is typed.

python experiments/recognition.py --out docs/results/recognition.md cufs.json fs2k.json \
    --left-out cuhk=without-cuhk.json --left-out ar=without-ar.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pages import markdown

from forensic.evaluation.tables import Table, adapted, gain, of_data, share, tables

INTRODUCTION = """# Recognition

Sketches are the probes, photos the gallery; each system (one route, or several with `+` between) as it ships. Square
brackets hold 95 % bootstrap intervals over people; where all or none were found there is none, as the bootstrap
cannot tell then (with n people up to 3.7 / n may be otherwise). The first row is the untrained embedder: a system
that does not beat it has not helped. A sketch or photo without a found face is a miss. Nothing was chosen on test
identities.

    forensic models fetch mobilefacenet        # the untrained embedder
    forensic evaluate --data cufs --routes direct,... --distractors distractors --json cufs.json
    python experiments/recognition.py --out docs/results/recognition.md cufs.json ...

Read these with care. CUFS's sketches were drawn from the very photos of the gallery, in three studios; within a
subset (the photos of its people as gallery) backdrop and paper tell nothing. **FS2K repeats people**: by exact image
another photo of the right person counts as a wrong answer, by person it counts as a right one, and the official split
has people on both sides, which the split that keeps people apart has not. The distractors are machine-made faces,
easier to tell apart from real people than real people are. Group differentials among them are of machine-made groups.

Every route alone, with its CMC and its rank-1 by the NLDA protocol, is on the page of [routes](routes.md), what each
generator adds to the fused score on the page of [what generators add](generators.md).
"""
LEFT_OUT = """\
Trained without a source and tried on it: what is to be expected of sketches by other hands. Training identities of
these sources decided how the shipped systems are trained and fused (`experiments/train_recognizers.py`), and are among
the sketches of cuhk, ar and xm2vts here: these rows are kinder than a source that nobody has looked at would be.
"""
RANKS = ("1", "10", "50")


def section(report: Mapping[str, Any], seen: set[str]) -> Iterator[str]:
    """One report's tables; a closed set that an earlier report showed is not shown again."""
    plain = "--plain" in report["command"]
    name = of_data(report["data"]) + (", plain means" if plain else "")
    repeated = name in seen
    seen.add(name)
    yield f"## {name}" + (" again" if repeated else "") + "\n"
    if plain:
        yield "Every score here is the plain mean of cosines (`--plain`), whatever was fitted to the routes.\n"
    elif unfitted := [system for system in report["systems"] if "+" in system["name"] and not system["calibration"]]:
        names = ", ".join(f"`{system['name']}`" for system in unfitted)
        yield f"Nobody fitted the scoring of {names}: each is the plain mean of its cosines.\n"
    yield from added(report)
    for table in islice(tables(report), 1 if plain else None):  # of plain means nothing is asked but what adds
        if not (repeated and table.section == "closed-set"):
            yield from of_table(table)


def of_table(table: Table) -> Iterator[str]:
    """A report's table with its title and its note; systems in the first column as code."""
    yield f"### {table.title}\n"
    code = table.names[0] in ("system", "route")
    rows = [(f"`{row[0]}`", *row[1:]) if code else row for row in table.rows]
    yield from markdown(table.names, table.figures, rows)
    if table.note:
        yield f"{table.note}\n"


def added(report: Mapping[str, Any]) -> Iterator[str]:
    """Whether each further system adds to the adapted embedder: one line a system and protocol."""
    base = adapted(system["name"] for system in report["systems"])
    rows = [row for row in report["paired"] if row["against"] == base]
    if not rows:
        return
    yield f"### Does it add to the adapted embedder (`{base}`)? Rank-1 on the same sketches, points\n"
    yield from markdown(
        ("system", "protocol"),
        ("gain", "p"),
        [
            (
                f"`{row['route']}`",
                f"{row['protocol']} by {row['by']}",
                gain(row["difference"]),
                f"{row['difference']['p']:.4f}",
            )
            for row in rows
        ],
    )


def left_out(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Leave-one-source-out: each system on the source that its training left out.

    Args:
        reports: by the name of the source left out, the evaluation on that source alone.
    """
    if reports:
        yield "## Leave one source out\n"
        yield LEFT_OUT
        yield from side_by_side("left out", reports)


def seeds(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The same training with other seeds, each system by the plain mean of its cosines."""
    if reports:
        yield "## Seeds\n"
        yield "The training that ships, repeated with other seeds; plain means of cosines, no cohort, equal weights.\n"
        yield from side_by_side("seed", reports)


def side_by_side(first: str, reports: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The closed sets of several evaluations in one table."""
    rows = []
    for name, report in reports.items():
        for row in report["closed_set"]:
            if row["subset"] != "all":
                continue
            figures = [share(row["ranks"][rank]) if rank in row["ranks"] else "" for rank in RANKS]
            sizes = f"{row['probes']}", f"{row['gallery']}"
            rows.append((name, f"`{row['route']}`", row["by"], *sizes, *figures, gain(row["over_untrained"])))
    ranks = (f"rank-{rank}, %" for rank in RANKS)
    yield from markdown((first, "system", "mate by"), ("sketches", "photos", *ranks, "rank-1 over untrained"), rows)


def models(reports: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Every model with its SHA-256, and what made each report."""
    yield "## Models\n"
    yield from sorted(
        {
            f"- `{name}` {digest}"
            for _, report in reports
            for route in report["routes"]
            for name, digest in route["models"].items()
        }
    )
    yield "\n## How each report was made\n"
    for name, report in reports:
        versions = ", ".join(f"{package} {version}" for package, version in report["made_by"].items())
        yield f"- {name}: `forensic {' '.join(report['command'])}`, seed {report['seed']}; {versions}"
    yield ""


def read(file: Path) -> dict[str, Any]:
    """A report that ``forensic evaluate --json`` wrote."""
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return report


def labelled(text: str) -> tuple[str, Path]:
    """The two sides of ``NAME=FILE``."""
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=FILE")
    return name, Path(file)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--left-out", type=labelled, action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--seed", type=labelled, action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    shown = [(of_data(report["data"]), report) for report in map(read, options.reports)]
    apart = {name: read(file) for name, file in options.left_out}
    lines, seen = [INTRODUCTION], set[str]()
    for _, report in shown:
        lines += section(report, seen)
    lines += left_out(apart)
    lines += seeds({name: read(file) for name, file in options.seed})
    lines += models([*shown, *((f"{name} left out", report) for name, report in apart.items())])
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
