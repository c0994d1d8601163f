r"""By whose drawings strangers are found: the generators by rank-1 on identities to choose by.

    python experiments/validation.py --data DATA --json validation.json --page docs/results/validation.md \
        METHOD:FROM:TO=WEIGHTS ...

FS2K's training sketches are searched for among their photos, with photos or sketches translated, by MobileFaceNet as it
was before it saw a sketch (``forensic models import mobilefacenet.pt --name mobilefacenet``). All generators here
learned from CUFS alone. Test identities are not read. Systems that the JSON holds are not measured again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from fit_scoring import Faces, describe, read
from numpy.typing import NDArray
from pages import made, points

from forensic import routes
from forensic.provenance import made_by
from forensic.recognition.evaluation import paired_difference
from forensic.routes import Route
from forensic.synthesis import weights
from forensic.synthesis.translator import Modality

EMBEDDER = "direct@mobilefacenet"
SOURCE = "fs2k"
PLAIN = "direct"
SHIPPED = (
    *("sdgan:photo:sketch", "genre:photo:sketch", "msg-sarl:photo:sketch"),
    *("isegan:sketch:photo", "msg-sarl:sketch:photo"),
)
BASES = {"photo:sketch": "sdgan", "sketch:photo": "isegan"}
"""What the others are compared with."""
SIDES: dict[str, routes.Side] = {"photo": "gallery", "sketch": "probe"}
INTRODUCTION = """# By whose drawings strangers are found

    python experiments/validation.py --data DATA --json validation.json --page docs/results/validation.md \\
        METHOD:FROM:TO=WEIGHTS ...

Rank-1 of FS2K's {sketches} training sketches of {people} people among their photos, by MobileFaceNet as it was before
it saw a sketch, with the photos or the sketches translated by generators whose pairs were CUFS's alone. Two things were
not left out: the face priors that SDGAN, ISEGAN and GENRE consult, and the shipped embedder in the perceptual loss of
SDGAN and ISEGAN, have seen FS2K's training images. Differences are paired, in points, with 95 % bootstrap intervals
over people. These are the identities that shipped generators are chosen by; test identities were not read."""


def route_of(system: str) -> Route:
    """The route of ``METHOD:FROM:TO=WEIGHTS``, with shipped weights where none are named; or without a translator."""
    embedder = routes.load(EMBEDDER).embedder
    name, _, file = system.partition("=")
    if name == PLAIN:
        return Route(name, embedder)
    method, *way = name.split(":")
    source, target = cast(list[Modality], way)  # load refuses any others
    translator = weights.load(method, source=source, target=target, weights=Path(file) if file else None)
    return Route(name, embedder, translator, SIDES[source])


def first_is_right(route: Route, faces: Faces) -> NDArray[np.bool_]:
    """Whether each sketch's person comes first."""
    held = np.flatnonzero(faces.sources == SOURCE)
    probes = describe(route, [faces.sketches[k] for k in held], "probe")
    gallery = describe(route, [faces.photos[k] for k in held], "gallery")
    people = faces.people[held]
    right: NDArray[np.bool_] = people[(probes @ gallery.T).argmax(axis=1)] == people
    return right


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """What `first_is_right` says of each system; those that the JSON holds are not measured again."""
    results = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {"systems": {}}
    missing = [one for one in (PLAIN, *SHIPPED, *options.systems) if one.partition("=")[0] not in results["systems"]]
    if missing:
        faces = read(options.data)
        results["people"] = faces.people[faces.sources == SOURCE].tolist()
        results["made_by"] = made_by()
    for system in missing:
        route = route_of(system)
        right = first_is_right(route, faces)
        digest = "" if route.translator is None else route.translator.digest
        results["systems"][route.name] = {"right": right.tolist(), "sha256": digest}
        options.json.write_text(json.dumps(results), encoding="utf-8")
        print(route.name, f"{100 * right.mean():.1f}", flush=True)
    return results


def page(results: dict[str, Any]) -> Iterator[str]:
    """The tables, one for each way, the best first."""
    people = results["people"]
    yield INTRODUCTION.format(sketches=len(people), people=len(set(people)))
    systems = {name: np.array(one["right"]) for name, one in results["systems"].items()}
    yield f"\nWithout a generator: {100 * systems.pop(PLAIN).mean():.1f} %."
    for way, method in BASES.items():
        those, base = {name: right for name, right in systems.items() if name.endswith(way)}, f"{method}:{way}"
        yield f"\n| {way.replace(':', ' to ')} | rank-1, % | over {method} | SHA-256 |\n|---|---:|---:|---|"
        for name, right in sorted(those.items(), key=lambda one: -one[1].mean()):
            gain = paired_difference(right, those[base], people)
            shown = "" if name == base else points(*gain[:3])
            digest = results["systems"][name]["sha256"][:12]
            yield f"| {name.partition(':')[0]} | {100 * right.mean():.1f} | {shown} | {digest} |"
    yield "\n" + made(results["made_by"])


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", metavar="METHOD:FROM:TO=WEIGHTS")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True)
    options = parser.parse_args()
    options.page.write_text("\n".join(page(measure(options))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
