"""What a generator adds to the fused score, on a source that neither the embedders nor its pairs were of.

    python experiments/generators.py --data DATA --runs OUT --json generators.json --page docs/results/generators.md

OUT is what ``train_recognizers.py`` wrote with FS2K left out (``OUT/fs2k-0``). The generators that ship were trained on
CUFS alone. FS2K's training sketches are searched for among FS2K's training photos; fusion weights are fitted to the
searches of half of the people and judged on the other half, and the other way round. Test identities are not read.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fit_scoring import Comparisons, fused, measure, read
from numpy.typing import NDArray
from pages import made, points

from forensic import routes
from forensic.provenance import made_by
from forensic.recognition.evaluation import paired_difference
from forensic.recognition.fusion import fit_weights

BASE = ["direct", "direct@patches"]
ADDED = [
    *("photo-to-sketch:pencil", "photo-to-sketch:genre", "photo-to-sketch:sdgan", "photo-to-sketch:msg-sarl"),
    *("sketch-to-photo:pix2pix", "sketch-to-photo:isegan", "sketch-to-photo:msg-sarl"),
]
LEFT_OUT = "fs2k"
INTRODUCTION = """# What generators add

    python experiments/generators.py --data DATA --runs OUT --json generators.json --page docs/results/generators.md

FS2K's {sketches} training sketches of {people} people, searched for among their photos, by embedders that have never
seen FS2K and generators that were trained on CUFS alone. Two things were not left out: the face priors that SDGAN,
ISEGAN and GENRE consult, and the shipped embedder in the perceptual loss of SDGAN and ISEGAN, have seen FS2K's training
images. Fusion weights were fitted to half of the people and judged on the other half, and the other way round. The gain
is paired, with its 95 % bootstrap interval over people, in percentage points of rank-1. Test identities were not read.
"""


def halves(people: NDArray[np.str_]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Which sketches to fit to and which to judge, twice: no person is on both sides."""
    names = np.unique(people)
    np.random.default_rng(0).shuffle(names)
    first = np.isin(people, names[::2])
    yield first, ~first
    yield ~first, first


def cross_fitted(found: Comparisons, system: list[str], people: NDArray[np.str_]) -> tuple[NDArray[Any], list[Any]]:
    """Whether each sketch's person comes first, and the weights of both halves."""
    hits, shares = np.zeros(len(people), dtype=bool), []
    for fitted, judged in halves(people):
        searches = [search for search, wanted in zip(found.searches(system), fitted, strict=True) if wanted]
        shares.append(fit_weights(searches))
        scores = fused(found, system, shares[-1])
        right = ~found.strangers[np.arange(len(scores)), scores.argmax(axis=1)]
        hits[judged] = right[judged]
    return hits, shares


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True)
    options = parser.parse_args()
    faces = read(options.data)
    _, found = measure(options.runs / f"{LEFT_OUT}-0", LEFT_OUT, [*BASE, *ADDED], faces)
    assert found is not None
    people = faces.people[faces.sources == LEFT_OUT]
    rows = []
    for base in (["direct"], BASE):
        before, shares = cross_fitted(found, base, people)
        rows.append(_row(base, before, shares, None))
        for route in ADDED:
            after, shares = cross_fitted(found, [*base, route], people)
            gain = paired_difference(after, before, people)
            rows.append(_row([*base, route], after, shares, gain))
            print(rows[-1], flush=True)
    results = {
        "sketches": len(people),
        "people": found.people,
        "alone": {name: found.rank_one(found.scores[name]) for name in (*BASE, *ADDED)},
        "rows": rows,
        "models": models_of([*BASE, *ADDED]),
        "made_by": made_by(),
    }
    options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    options.page.write_text("\n".join(page(results)) + "\n", encoding="utf-8")


def models_of(names: Iterable[str]) -> dict[str, str]:
    """Names of all models that take part in routes, by their hashes: two weights of one method are two."""
    return {digest: model for name in names for model, digest in routes.load(name).models.items()}


def _row(system: list[str], hits: NDArray[Any], shares: list[Any], gain: Any) -> dict[str, Any]:
    return {
        "system": "+".join(system),
        "rank1": float(hits.mean()),
        "weights": [[round(float(share), 3) for share in half] for half in shares],
        "gain": None if gain is None else [gain.value, gain.low, gain.high],
    }


def preferred(results: dict[str, Any]) -> Iterator[str]:
    """What these people, who are nobody's test identities, say ought to be shipped and to be the default."""
    alone = results["alone"]

    def best(names: list[str]) -> str:
        first = max(names, key=lambda name: alone[name])
        return f"`{first}` ({100 * alone[first]:.1f} %)"

    ways = {way: [name for name in alone if name.startswith(way)] for way in ("photo-to-sketch", "sketch-to-photo")}
    learned = [name for name in ways["photo-to-sketch"] if not name.endswith("pencil")]
    both = {name.partition(":")[2] for name in learned} & {name.partition(":")[2] for name in ways["sketch-to-photo"]}
    yield f"The best generator from photo to sketch is {best(learned)}, from sketch to photo"
    yield f"{best(ways['sketch-to-photo'])};"
    yield f"of those that go both ways there is {', '.join(sorted(both))} alone."
    rows = sorted(results["rows"], key=lambda row: -row["rank1"])
    default = next(row for row in rows if row["system"] == "+".join(BASE))
    above = [row for row in rows if row["gain"] and row["gain"][1] > 0 and row["system"].startswith(default["system"])]
    yield (
        f"The default of `forensic match` is `{default['system']}`: "
        + ("no generator adds to it with an interval above 0." if not above else f"{above[0]['system']} adds to it.")
    )


def page(results: dict[str, Any]) -> Iterator[str]:
    """The page in Markdown."""
    yield INTRODUCTION.format(**results)
    yield "| route alone | rank-1, % |\n|---|---:|"
    for name, value in results["alone"].items():
        yield f"| `{name}` | {100 * value:.1f} |"
    yield "\n" + "\n".join(preferred(results))
    yield "\n| system | rank-1, % | gain | weights of the two halves |\n|---|---:|---:|---|"
    for row in results["rows"]:
        gain = row["gain"]
        shown = "" if gain is None else points(*gain)
        weights = "; ".join(" ".join(f"{share:g}" for share in half) for half in row["weights"])
        yield f"| `{row['system']}` | {100 * row['rank1']:.1f} | {shown} | {weights} |"
    yield "\nModels: " + "; ".join(f"`{name}` {digest[:12]}" for digest, name in results["models"].items()) + "."
    yield made(results["made_by"])


if __name__ == "__main__":
    main()
