"""Fit what makes one calibrated score of several routes: cohorts, fusion weights, calibrations.

    python experiments/fit_scoring.py --data DATA --runs OUT --name scoring \
        --systems direct,direct@patches,direct+direct@patches

OUT is what ``train_recognizers.py`` wrote: ``OUT/all-0`` ships, ``OUT/cuhk-0`` has never seen that source, and so on.
Weights and calibrations are fitted to comparisons of **sources that the embedders were not fitted to**: a search is
always of an unseen hand. A sketch of the left-out source is compared with that source's photos, since the embedders
know all others. Weights are fitted to rank the photo that it was drawn from before strangers. The calibration's mates
are that photo **and every other photo of the person**: a mugshot is never the photo that a sketch was drawn from, and
likelihood ratios that expect it to be would speak against the right person. Test identities are never read. The cohort
is the pairs that the embedders were fitted to.

Each run's folder gets a scoring file: ``all`` fitted to all left-out sources, and a left-out run to the others, so
that with ``FORENSIC_WEIGHTS=OUT/cuhk-0`` (and the untrained embedder imported there) ``forensic evaluate --data cufs
--subset cuhk`` uses embedders and a cohort that have not seen that source, and weights and a calibration from searches
in the others.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from training_data import training_pairs

from forensic import images, matching, routes, weights
from forensic.faces import Aligned, Finder
from forensic.parallel import workers
from forensic.recognition.calibration import Calibration, cllr
from forensic.recognition.cohort import Cohort
from forensic.recognition.fusion import Scoring, fit_weights

LEFT_OUT = ("cuhk", "ar", "xm2vts", "fs2k")
PARTS = {"cufs": ("cuhk", "ar", "xm2vts"), "all": ()}
POPULATION = (
    "people photographed in studios and on the web (CUFS, FS2K), sketches by hands that the models have not seen, the "
    "photo being the one that was drawn or another of the person"
)


class Faces(NamedTuple):
    """Aligned training faces, row by row."""

    sources: NDArray[np.str_]
    people: NDArray[np.str_]
    sketches: list[Aligned]
    photos: list[Aligned]


class Comparisons(NamedTuple):
    """Searches of one source's sketches.

    Attributes:
        scores: Normalised scores of each route, shape (probes, photos).
        mates: Column of the photo that each sketch was drawn from, shape (probes,).
        strangers: Whether a photo shows somebody else, shape (probes, photos).
        people: How many people the sketches show.
    """

    scores: dict[str, NDArray[np.float64]]
    mates: NDArray[np.intp]
    strangers: NDArray[np.bool_]
    people: int

    def rank_one(self, scores: NDArray[np.float64]) -> float:
        """Share of sketches whose most similar photo shows their person."""
        return float(np.mean(~self.strangers[np.arange(len(scores)), scores.argmax(axis=1)]))

    def classes(self, scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores with any photo of the person, and with strangers'."""
        return scores[~self.strangers], scores[self.strangers]

    def searches(self, system: list[str]) -> Iterator[tuple[NDArray[np.float64], int]]:
        """Each search's scores by route, the mate first and then the strangers."""
        for k, mate in enumerate(self.mates.tolist()):
            rows = [np.r_[self.scores[name][k, mate], self.scores[name][k, self.strangers[k]]] for name in system]
            yield np.stack(rows, axis=1), 0


def read(data: Path) -> Faces:
    """The pairs that the embedders are fitted to."""
    sources, pairs = zip(*training_pairs(data), strict=True)
    files = [pair.sketch for pair in pairs] + [pair.photo for pair in pairs]
    finder = Finder()
    with workers() as pool:
        found = list(pool.map(lambda file: finder.find([images.read(file).image])[0], files))
    rows = [k for k in range(len(pairs)) if all(isinstance(found[j], Aligned) for j in (k, k + len(pairs)))]
    return Faces(
        np.array([sources[k] for k in rows]),
        np.array([pairs[k].person for k in rows]),
        [face for face in (found[k] for k in rows) if isinstance(face, Aligned)],
        [face for face in (found[k + len(pairs)] for k in rows) if isinstance(face, Aligned)],
    )


def describe(route: routes.Route, faces: list[Aligned], side: routes.Side) -> NDArray[np.float32]:
    """Templates of many faces, on all cores."""
    with workers() as pool:
        return np.concatenate(list(pool.map(lambda face: route.describe([face], side), faces)))


def measure(folder: Path, left: str, names: list[str], faces: Faces) -> tuple[dict[str, Cohort], Comparisons | None]:
    """A run's cohorts by route, and the comparisons of the source that it never saw."""
    os.environ["FORENSIC_WEIGHTS"] = str(folder)
    held = np.isin(faces.sources, PARTS.get(left, (left,)))
    found = Comparisons(
        scores={},
        mates=np.arange(held.sum()),
        strangers=faces.people[held][:, None] != faces.people[held][None],
        people=len(set(faces.people[held])),
    )
    cohorts = {}
    for name in names:
        route = routes.load(name)
        sketches, photos = describe(route, faces.sketches, "probe"), describe(route, faces.photos, "gallery")
        cohorts[name] = Cohort(sketches[~held], photos[~held])
        if held.any():
            scoring = Scoring((1.0,), (cohorts[name],))
            found.scores[name] = scoring.scores([sketches[held]], [photos[held]])
            print(f"{left}: {name} rank-1 {found.rank_one(found.scores[name]):.4f}", flush=True)
    return cohorts, found if held.any() else None


def fit(system: list[str], chosen: list[Comparisons]) -> tuple[tuple[float, ...], Calibration]:
    """Weights and calibration of a system on the searches of some left-out sources."""
    shares = fit_weights([search for found in chosen for search in found.searches(system)])
    mated, strangers = zip(*(found.classes(fused(found, system, shares)) for found in chosen), strict=True)
    scores = np.concatenate([*mated, *strangers])
    labels = np.arange(len(scores)) < sum(map(len, mated))
    people = sum(found.people for found in chosen)
    return shares, Calibration.fit(scores, labels, kind="viewed", population=POPULATION, people=people)


def fused(found: Comparisons, system: list[str], shares: tuple[float, ...]) -> NDArray[np.float64]:
    """A system's scores, shape (probes, photos)."""
    return np.tensordot(np.array(shares), np.stack([found.scores[name] for name in system]), axes=1)


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
    scores = fused(found, system, shares)
    mated, strangers = map(calibration.log_lr, found.classes(scores))
    print(f"  unseen {run}: rank-1 {found.rank_one(scores):.4f} Cllr {cllr(mated, strangers):.4f}", flush=True)


if __name__ == "__main__":
    main()
