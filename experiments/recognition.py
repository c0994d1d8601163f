"""Write docs/results/recognition.md from the JSON reports of ``forensic evaluate``, so that no figure is typed.

python experiments/recognition.py --out docs/results/recognition.md cufs.json fs2k.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

INTRODUCTION = """# Recognition

Sketches are the probes, photos the gallery; each route as it ships. Square brackets hold 95 % bootstrap intervals over
identities. The first row is the untrained embedder: a route that does not beat it has not helped. A sketch or photo
without a found face would count as a miss. Nothing was chosen on test identities.

    forensic models fetch mobilefacenet        # the untrained embedder
    forensic evaluate --data cufs --routes direct,... --distractors distractors --json cufs.json
    python experiments/recognition.py --out docs/results/recognition.md cufs.json ...

Read these with care. CUFS's sketches were drawn from the very photos of the gallery, in three studios; within a
subset (its own photos as gallery) backdrop and paper tell nothing. **FS2K repeats people**: about half of its test
photos have another photo of, probably, the same person in the test split, which counts as a wrong answer here, and
half have one in the training split, so that the shipped embedder may know the person. The distractors are
machine-made faces, easier to tell apart from real people than real people are.
"""


def cell(figure: Mapping[str, float]) -> str:
    """A share in per cent with its interval."""
    return f"{100 * figure['value']:.1f} [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"


def gain(row: Mapping[str, Any]) -> str:
    """Rank-1 over the untrained embedder's on the same probes, and what that means."""
    figure = row["over_untrained"]
    if figure is None:
        return ""
    verdict = "" if figure["low"] > 0 else ", **worse**" if figure["high"] < 0 else ", adds nothing"
    return cell(figure) + verdict


def section(report: Mapping[str, Any], seen: set[tuple[str, str]]) -> Iterator[str]:
    """One report's tables, in Markdown; a closed set that an earlier report showed is not shown again."""
    data = report["data"]
    closed_set = [] if (data["name"], data["split"]) in seen else report["closed_set"]
    seen.add((data["name"], data["split"]))
    overall = [row for row in closed_set if row["subset"] == "all"]
    if overall:
        first = overall[0]
        yield f"## {data['name']} ({data['split']}): {first['probes']} sketches, {first['gallery']} photos\n"
        yield "| route | rank-1 % | rank-5 % | rank-10 % | rank-50 % | missed | rank-1 over untrained |"
        yield "|---|---|---|---|---|---|---|"
        for row in overall:
            yield (
                f"| `{row['route']}` | "
                + " | ".join(cell(row["ranks"][k]) for k in ("1", "5", "10", "50"))
                + f" | {row['missed']} | {gain(row)} |"
            )
        yield ""
    parts = [row for row in closed_set if row["subset"] != "all"]
    if parts:
        routes = list(dict.fromkeys(row["route"] for row in parts))
        yield "Rank-1 within each subset, its own photos as gallery:\n"
        yield (
            "| subset | photos | "
            + " | ".join(f"`{route}`" for route in routes)
            + " |\n|---|---|"
            + "---|" * len(routes)
        )
        for subset in dict.fromkeys(row["subset"] for row in parts):
            own = {row["route"]: row for row in parts if row["subset"] == subset}
            figures = " | ".join(cell(own[route]["ranks"]["1"]) for route in routes)
            yield f"| {subset} | {own[routes[0]]['gallery']} | {figures} |"
        yield ""
    if report["distractors"]:
        yield f"Gallery enlarged by synthetic distractors ({data['name']}):\n"
        yield "| route | gallery | rank-1 % | rank-10 % | rank-50 % |\n|---|---|---|---|---|"
        for row in report["distractors"]:
            yield (
                f"| `{row['route']}` | {row['gallery']} | "
                + " | ".join(cell(row["ranks"][k]) for k in ("1", "10", "50"))
                + " |"
            )
        yield ""
    if report["nlda"]:
        row = report["nlda"][0]
        sizes = f"{row['fitting']} identities fitted, {row['testing']} tested, {row['repeats']} repeats"
        yield f"The field's NLDA protocol ({sizes}; probe: {row['probe']})."
        yield "'Maximum' is that of the mean curve, the field's figure, chosen on the test identities; 'chosen' is at"
        yield "the dimension that the fitting identities choose.\n"
        yield "| route | features | analysis | maximum % | at | chosen % |\n|---|---|---|---|---|---|"
        for row in report["nlda"]:
            yield (
                f"| `{row['route']}` | {row['features']} | {row['analysis']} | {cell(row['maximum'])}"
                f" | {row['maximum_at']} | {cell(row['chosen'])} |"
            )
        yield ""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    lines, models, seen = [INTRODUCTION], {}, set()
    for file in options.reports:
        report = json.loads(file.read_text(encoding="utf-8"))
        lines += section(report, seen)
        models |= {name: digest for route in report["routes"] for name, digest in route["models"].items()}
    versions = ", ".join(f"{name} {version}" for name, version in report["made_by"].items())
    lines += ["## Models\n", *(f"- `{name}` {digest}" for name, digest in sorted(models.items())), "", versions]
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
