"""Calibrate photo-photo similarity, by which a gallery's duplicates are found: forensic/recognition/photo_pairs.json.

    python experiments/fit_photo_pairs.py --data DATA --out forensic/recognition/photo_pairs.json

Mates are two different pictures of one person, strangers two of different people. Fitted are FS2K's training people.
The embedder has seen them, so the fit is judged on the test people of the re-split that keeps people apart, whom it has
not: for `direct` it holds there (what is printed); `direct@patches` tells photos of strangers apart badly, and has no
calibration. Nothing is chosen by the test people's figures.

What the data cannot give: FS2K's people were told apart with the help of a face network (``fs2k_people.py``), so that
photos which look unlike are not known as mates; and web photos are no mugshots.
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forensic import datasets, images, routes
from forensic.datasets import Pair
from forensic.faces import Aligned, Finder
from forensic.parallel import workers
from forensic.recognition.calibration import Calibration, cllr, cllr_min, misleading
from forensic.routes import Route

ROUTES = ("direct",)
POPULATION = (
    "people photographed on the web (FS2K, training people), whose photos were grouped by person with the help of a "
    "face network: mates who look unlike are missing, and no mugshots are among them"
)
KIND = "photo with photo"
MOST = 10
"""Pairs of mates that one person's photos may make: few have many, and would be most of the mates."""


class Compared(NamedTuple):
    """Similarities of some people's photos.

    Attributes:
        scores: Cosines, shape (pairs,).
        mated: Whether the two show one person, shape (pairs,).
        people: How many people there are.
    """

    scores: NDArray[np.float64]
    mated: NDArray[np.bool_]
    people: int


def read(pairs: list[Pair]) -> tuple[list[Aligned], NDArray[np.str_]]:
    """Faces of different pictures, and whom they show."""
    pictures = list({pair.picture: pair for pair in pairs}.values())
    finder = Finder()
    with workers() as pool:
        found = list(pool.map(lambda pair: finder.find([images.read(pair.photo).image])[0], pictures))
    kept = [(face, pair.person) for face, pair in zip(found, pictures, strict=True) if isinstance(face, Aligned)]
    return [face for face, _ in kept], np.array([person for _, person in kept])


def compare(templates: NDArray[np.float32], people: NDArray[np.str_]) -> Compared:
    """All pairs of photos."""
    counted = people[:, None] != people[None]
    for person in np.unique(people):
        own = np.flatnonzero(people == person).tolist()
        for row, column in list(combinations(own, 2))[:MOST]:
            counted[row, column] = True
    counted &= np.triu(np.ones_like(counted), 1)
    rows, columns = np.nonzero(counted)
    scores = (templates.astype(np.float64) @ templates.T.astype(np.float64))[rows, columns]
    return Compared(scores, people[rows] == people[columns], len(np.unique(people)))


def fit(compared: Compared) -> Calibration:
    """The calibration of some people's comparisons."""
    return Calibration.fit(compared.scores, compared.mated, kind=KIND, population=POPULATION, people=compared.people)


def report(name: str, calibration: Calibration, on: Compared) -> None:
    """How a calibration does on other people than it was fitted to."""
    mated, strangers = (calibration.log_lr(on.scores[flags]) for flags in (on.mated, ~on.mated))
    wrong = misleading(mated, strangers)
    print(
        f"  {name}: Cllr {cllr(mated, strangers):.4f}, least {cllr_min(mated, strangers):.4f}, misleading mates "
        f"{wrong.mated:.4f}, strangers {wrong.nonmated:.4f}; at log10 LR 2 mates {np.mean(mated >= 2):.4f}, strangers "
        f"{np.mean(strangers >= 2):.6f}",
        flush=True,
    )


def _described(route: Route, faces: list[Aligned]) -> NDArray[np.float32]:
    """Templates of faces as the gallery has them, one by one, so that none depends on its neighbours."""
    with workers() as pool:
        return np.concatenate(list(pool.map(lambda face: route.describe([face], "gallery"), faces)))


def main() -> None:
    """Fit, judge and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with fs2k")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    every = datasets.pairs(options.data / "fs2k", resplit=True)
    # As training_data.training_pairs does: official test photos of training people were not trained on either.
    trained = {pair.identity for pair in datasets.pairs(options.data / "fs2k") if pair.split == "train"}
    apart = {
        "train": [pair for pair in every if pair.split == "train" and pair.identity in trained],
        "test": [pair for pair in every if pair.split == "test"],
    }
    faces = {split: read(pairs) for split, pairs in apart.items()}
    fitted = {}
    for name in ROUTES:
        route = routes.load(name)
        compared = {split: compare(_described(route, found), people) for split, (found, people) in faces.items()}
        for split, pairs in compared.items():
            counts = pairs.mated.sum(), (~pairs.mated).sum(), pairs.people
            print(f"{name}, {split}: {counts[0]} mates, {counts[1]} strangers, {counts[2]} people", flush=True)
        calibration = fit(compared["train"])
        report("training people on test people", calibration, compared["test"])
        fitted[route.space] = {"route": name, "calibration": calibration.to_dict()}
    options.out.write_text(json.dumps(fitted, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
