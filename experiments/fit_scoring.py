"""Fit what makes one calibrated score of several routes: cohorts, fusion weights, calibrations.

    python experiments/fit_scoring.py --data DATA --runs OUT --name scoring \
        --systems direct,direct@patches,direct+direct@patches

OUT is what ``train_recognizers.py`` wrote: ``OUT/all-0`` ships, ``OUT/cuhk-0`` has never seen that source, and so on.
Weights and calibrations are fitted to comparisons of **sources that the embedders were not fitted to**: a search is
always of an unseen hand. A sketch of the left-out source is compared with the photos of all training pairs and
CelebAMask-HQ's; test identities are never read. The cohort is the pairs that the embedders were fitted to.

Each run's folder gets a scoring file: ``all`` fitted to all left-out sources, and a left-out run to the others, so
that ``FORENSIC_WEIGHTS=OUT/cuhk-0 forensic evaluate --data cufs --subset cuhk`` uses nothing of that source.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forensic import datasets, images, matching, routes, weights
from forensic.faces import Aligned, Finder
from forensic.parallel import workers
from forensic.recognition.calibration import Calibration, cllr
from forensic.recognition.cohort import Cohort
from forensic.recognition.fusion import Scoring, fit_weights

LEFT_OUT = ("cuhk", "ar", "xm2vts", "fs2k")
PARTS = {"cufs": ("cuhk", "ar", "xm2vts"), "all": ()}
POPULATION = "people photographed in studios and on the web (CUFS, FS2K, CelebAMask-HQ), each sketch by an unseen hand"


class Faces(NamedTuple):
    """Aligned training faces, row by row; further photos have no sketch."""

    sources: NDArray[np.str_]
    people: NDArray[np.str_]
    sketches: list[Aligned]
    photos: list[Aligned]
    further: list[Aligned]


class Comparisons(NamedTuple):
    """Normalised scores of each route, and whether a comparison is of one person."""

    scores: dict[str, NDArray[np.float64]]
    mated: NDArray[np.bool_]
    people: int


def read(data: Path) -> Faces:
    """The pairs that the embedders are fitted to, and CelebAMask-HQ's photos."""
    pairs = [pair for pair in datasets.pairs(data / "cufs") if pair.split == "train"]
    apart = {p.identity for p in datasets.pairs(data / "fs2k", resplit=True) if p.split == "train"}
    pairs += [p for p in datasets.pairs(data / "fs2k") if p.split == "train" and p.identity in apart]
    files = [pair.sketch for pair in pairs] + [pair.photo for pair in pairs]
    finder = Finder()
    with workers() as pool:
        found = list(pool.map(lambda file: finder.find([images.read(file).image])[0], files))
        celeb = sorted((data / "celebamask" / "train" / "photos").glob("*"))
        further = list(pool.map(lambda file: finder.find([images.read(file).image])[0], celeb))
    rows = [k for k in range(len(pairs)) if all(isinstance(found[j], Aligned) for j in (k, k + len(pairs)))]
    return Faces(
        np.array([pairs[k].subset if "cufs" in pairs[k].photo.parts else "fs2k" for k in rows]),
        np.array([pairs[k].person for k in rows]),
        [face for face in (found[k] for k in rows) if isinstance(face, Aligned)],
        [face for face in (found[k + len(pairs)] for k in rows) if isinstance(face, Aligned)],
        [face for face in further if isinstance(face, Aligned)],
    )


def describe(route: routes.Route, faces: list[Aligned], side: routes.Side) -> NDArray[np.float32]:
    """Templates of many faces, on all cores."""
    with workers() as pool:
        return np.concatenate(list(pool.map(lambda face: route.describe([face], side), faces)))


def measure(folder: Path, left: str, names: list[str], faces: Faces) -> tuple[dict[str, Cohort], Comparisons | None]:
    """A run's cohorts by route, and the comparisons of the source that it never saw."""
    os.environ["FORENSIC_WEIGHTS"] = str(folder)
    held = np.isin(faces.sources, PARTS.get(left, (left,)))
    mated = faces.people[held][:, None] == np.concatenate([faces.people, np.full(len(faces.further), "")])[None]
    cohorts, scores = {}, {}
    for name in names:
        route = routes.load(name)
        sketches, photos = describe(route, faces.sketches, "probe"), describe(route, faces.photos, "gallery")
        further = describe(route, faces.further, "gallery")
        cohorts[name] = Cohort(sketches[~held], photos[~held])
        if held.any():
            scoring = Scoring((1.0,), (cohorts[name],))
            scores[name] = scoring.scores([sketches[held]], [np.concatenate([photos, further])])
            rank_one = np.mean(mated[np.arange(held.sum()), scores[name].argmax(1)])
            print(f"{left}: {name} rank-1 {rank_one:.4f}", flush=True)
    return cohorts, Comparisons(scores, mated, len(set(faces.people[held]))) if held.any() else None


def fit(system: list[str], chosen: list[Comparisons]) -> tuple[tuple[float, ...], Calibration]:
    """Weights and calibration of a system on the comparisons of some left-out sources."""
    mated = np.concatenate([c.mated.ravel() for c in chosen])
    table = np.stack([np.concatenate([c.scores[name].ravel() for c in chosen]) for name in system], axis=1)
    shares = fit_weights(table, mated)
    fused = table @ np.array(shares)
    people = sum(c.people for c in chosen)
    return shares, Calibration.fit(fused, mated, kind="viewed", population=POPULATION, people=people)


def main() -> None:
    """Fit every system for every run, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="what train_recognizers.py wrote")
    parser.add_argument("--systems", required=True, help="matchers, with commas between")
    parser.add_argument("--name", default="scoring", help="name of the file; a second one adds further systems")
    parser.add_argument("--left-out", default=",".join(LEFT_OUT), help="sources to fit to")
    parser.add_argument("--write", default="all,cufs,cuhk,ar,xm2vts,fs2k", help="runs that get a file")
    options = parser.parse_args()

    systems = [system.split("+") for system in options.systems.split(",")]
    names = list(dict.fromkeys(name for system in systems for name in system))
    faces = read(options.data)
    written, fitted_to = options.write.split(","), options.left_out.split(",")
    cohorts: dict[str, dict[str, Cohort]] = {}
    comparisons: dict[str, Comparisons] = {}
    for run in dict.fromkeys([*fitted_to, *written]):
        cohorts[run], found = measure(options.runs / f"{run}-0", run, names, faces)
        if found is not None:
            comparisons[run] = found
    for run in written:
        chosen = [comparisons[left] for left in fitted_to if left not in (run, *PARTS.get(run, ()))]
        os.environ["FORENSIC_WEIGHTS"] = str(options.runs / f"{run}-0")
        keys = {name: matching.key(routes.load(name)) for name in names}
        lines = {}
        for system in systems:
            ordered = sorted(system, key=lambda name: keys[name])
            shares, calibration = fit(ordered, chosen)
            lines["+".join(keys[name] for name in ordered)] = (shares, calibration)
            print(f"{run}: {'+'.join(ordered)} weights {np.round(shares, 3)} {calibration}", flush=True)
            if run in comparisons:
                _report(run, ordered, shares, calibration, comparisons[run])
        content = matching.pack({keys[name]: cohort for name, cohort in cohorts[run].items()}, lines)
        print(weights.install(options.name, matching.KIND, content, {}).path, f"{len(content):,} bytes", flush=True)


def _report(
    run: str, system: list[str], shares: tuple[float, ...], calibration: Calibration, found: Comparisons
) -> None:
    """How a fit to the other sources does on the one that it has not seen."""
    fused = sum(share * found.scores[name] for share, name in zip(shares, system, strict=True))
    log_lr, rank_one = calibration.log_lr(fused), np.mean(found.mated[np.arange(len(found.mated)), fused.argmax(1)])  # type: ignore[union-attr]
    print(
        f"  unseen {run}: rank-1 {rank_one:.4f} Cllr {cllr(log_lr[found.mated], log_lr[~found.mated]):.4f}", flush=True
    )


if __name__ == "__main__":
    main()
