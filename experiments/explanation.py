"""Whether explanations point at what the score hangs on, checked by deletion: docs/results/explanation.md.

python experiments/explanation.py --data DATA/cufs --out docs/results/explanation.md
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from forensic import datasets, images, matching
from forensic.datasets.pairs import Pair
from forensic.evaluation.deletion import Deletion, deletion_check
from forensic.explanation import PATCH, SIDES, STEP, Explanation, explain, matcher_score, overlay
from forensic.faces import Aligned, Finder
from forensic.faces.regions import REGIONS

AREAS = (0.1, 0.2)
REPEATS = 5


class Explained(NamedTuple):
    """A pair, its explanation, the checks of it and of a map that is not its own, and what it took."""

    pair: Pair
    told: Explanation
    checks: tuple[Deletion, ...]
    foreign: tuple[Deletion, ...]
    seconds: float


def main() -> None:
    """Explain, check and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of photo-sketch pairs, such as cufs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=40, help="test pairs, evenly from the subsets (default 40)")
    parser.add_argument("--route", default=matching.DEFAULT)
    parser.add_argument("--pictures", type=Path, help="folder for overlays, to look at; never to be published")
    options = parser.parse_args()

    finder, score = Finder(), matcher_score(matching.load(options.route))
    found: list[Explained] = []
    for pair in chosen(datasets.pairs(options.data), options.pairs):
        probe, candidate = (portrait(finder, file) for file in (pair.sketch, pair.photo))
        started = time.process_time()
        told = explain(score, probe.portrait, candidate.portrait)
        seconds = time.process_time() - started
        checks = deletion_check(score, probe.portrait, candidate.portrait, told, areas=AREAS, repeats=REPEATS)
        # What a map that every face would get is worth: the one of the pair before.
        other = found[-1].told if found else told
        foreign = deletion_check(score, probe.portrait, candidate.portrait, other, areas=AREAS, repeats=1)
        found.append(Explained(pair, told, checks, foreign, seconds))
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
            for side, face in (("probe", probe), ("candidate", candidate)):
                shown = overlay(face.portrait, getattr(told, f"{side}_map"), told.ceiling)
                shown.save(options.pictures / f"{pair.identity}-{side}.png")
    options.out.write_text(page(found, options.route), encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


def chosen(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Test pairs, as many from every subset as can be, spread evenly over it."""
    subsets = defaultdict(list)
    for pair in pairs:
        if pair.split == "test":
            subsets[pair.subset].append(pair)
    each = -(-count // len(subsets))
    return [
        subset[k]
        for _, subset in sorted(subsets.items())
        for k in np.unique(np.linspace(0, len(subset) - 1, each).astype(int))
    ][:count]


def portrait(finder: Finder, file: Path) -> Aligned:
    """The face of a file."""
    return finder.one(images.read(file).image)


def page(found: Sequence[Explained], route: str) -> str:
    """The page in Markdown."""
    cpu = float(np.median([one.seconds for one in found]))
    lines = [
        "# Explanation",
        "",
        f"    python experiments/explanation.py --data DATA/cufs --pairs {len(found)} --out docs/results/explanation.md",  # noqa: E501
        "",
        f"{len(found)} test pairs (sketch and photo of one person), evenly from the subsets, route `{route}`, a",
        f"patch of {PATCH} pixels every {STEP}. An explanation asks for {found[0].told.described} descriptions; those",
        f"that the embedder cannot tell apart are made once. It took {cpu:.1f} s of processor time here (median). The",
        f"mean score is {np.mean([one.told.score for one in found]):.3f}.",
        "",
        "What an explanation points at is hidden on one side, and how far the score falls is compared with",
        f"{REPEATS} random spots of the same area, all within the head. 'Holds' is the share of pairs in which it",
        "falls further than at the mean random spot; 'beaten' the share of random spots that hurt less. 'Another",
        "pair's map' is the fall at the places that the map of another pair names: what is the same for every face.",
        "",
        "| hidden | side | share of the head | fall | random spot | another pair's map | holds | beaten |",
        "|---|---|---|---|---|---|---|---|",
    ]
    labels = [f"map's highest {area:.0%}" for area in AREAS] + ["three regions that carry most"]
    for k, label in enumerate(labels):
        for s, side in enumerate(SIDES):
            place = s * len(labels) + k
            own = [one.checks[place] for one in found]
            foreign = [one.foreign[place] for one in found[1:]]
            lines.append(
                f"| {label} | {side} | {np.mean([one.area for one in own]):.2f} "
                f"| {np.mean([one.fall for one in own]):.3f} | {np.mean([one.random for one in own]):.3f} "
                f"| {np.mean([one.fall for one in foreign]):.3f} "
                f"| {100 * np.mean([one.fall > one.random for one in own]):.0f} % "
                f"| {100 * np.mean([one.beaten for one in own]):.0f} % |"
            )
    lines += [
        "",
        "Mean share of the regions (each hidden alone), and their area in the portrait:",
        "",
        "| region | probe | candidate | area |",
        "|---|---|---|---|",
    ]
    for k, name in enumerate(REGIONS):
        rows = [one.told.regions[k] for one in found]
        probe, candidate, area = (
            100 * np.mean([getattr(row, key) for row in rows]) for key in ("probe", "candidate", "area")
        )
        lines.append(f"| {name} | {probe:.0f} % | {candidate:.0f} % | {area:.0f} % |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
