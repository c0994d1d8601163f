"""How often a face is found, and how far a sketch's landmarks lie from its photo's: docs/results/alignment.md.

python experiments/alignment.py --data DATA --out docs/results/alignment.md
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from forensic import datasets, images
from forensic.faces import Aligned, Finder
from forensic.faces.detect import ATTEMPTS, BY_PRIORS, PRIORS_SURE, surest

NAMES = {"cufs": "CUFS", "fs2k": "FS2K"}
WAYS = [*(attempt.method for attempt in ATTEMPTS), BY_PRIORS]
PLURALS = {"photo": "photos", "sketch": "sketches"}


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with cufs and fs2k")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    finder, rows, distances = Finder(), [], {}
    for name, title in NAMES.items():
        pairs = datasets.pairs(options.data / name)
        found = {
            kind: finder.find(images.read(getattr(pair, kind)).image for pair in pairs) for kind in ("photo", "sketch")
        }
        for kind, results in found.items():
            methods = Counter(face.face.method if isinstance(face, Aligned) else "none" for face in results)
            share = 1 - methods["none"] / len(results)
            several = sum(
                isinstance(face, Aligned) and "faces were found" in " ".join(face.warnings) for face in results
            )
            counts = " | ".join(str(methods[name]) for name in WAYS)
            rows.append(f"| {title} {PLURALS[kind]} | {len(results)} | {100 * share:.2f} % | {counts} | {several} |")
        if name == "cufs":  # its pairs are aligned, so landmarks can be compared
            for subset in ("all", *sorted({pair.subset for pair in pairs})):
                chosen = [k for k, pair in enumerate(pairs) if subset in ("all", pair.subset)]
                distances[subset] = [distance(found["sketch"][k], found["photo"][k]) for k in chosen]
    options.out.write_text(page(rows, distances, *sureness(options.data)), encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


def sureness(data: Path) -> tuple[list[float], list[float]]:
    """The priors' least confidence in drawings of training pairs, and in cuttings of them without a face."""
    rng = np.random.default_rng(0)
    drawings, cuttings = [], []
    for name, step in (("cufs", 5), ("fs2k", 10)):
        chosen = [pair for pair in datasets.pairs(data / name) if pair.split == "train"][::step]
        for pair, face in zip(chosen, Finder().find(images.read(pair.sketch).image for pair in chosen), strict=True):
            sketch = images.read(pair.sketch).image
            drawings.append(surest(sketch)[1])
            if isinstance(face, Aligned) and (box := _faceless(sketch, face.face.landmarks, rng)):
                cuttings.append(surest(sketch.crop(box))[1])
    return drawings, cuttings


def _faceless(
    image: Image.Image, landmarks: NDArray[np.floating], rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """A random square of the image with at most one landmark in it."""
    for _ in range(30):
        side = int(rng.integers(40, max(41, int(0.6 * min(image.size)))))
        left, top = int(rng.integers(image.width - side)), int(rng.integers(image.height - side))
        inside = ((landmarks > (left, top)) & (landmarks < (left + side, top + side))).all(axis=1)
        if inside.sum() <= 1:
            return left, top, left + side, top + side
    return None


def distance(sketch: object, photo: object) -> float:
    """Mean distance of five landmarks in units of the photo's inter-eye distance; infinite if one was not found."""
    if not isinstance(sketch, Aligned) or not isinstance(photo, Aligned):
        return float("inf")
    eyes = np.linalg.norm(photo.face.landmarks[0] - photo.face.landmarks[1])
    return float(np.linalg.norm(sketch.face.landmarks - photo.face.landmarks, axis=1).mean() / eyes)


def page(rows: list[str], distances: dict[str, list[float]], drawings: list[float], cuttings: list[float]) -> str:
    """The page in Markdown."""
    attempts = " | ".join(WAYS)
    lines = [
        "# Alignment",
        "",
        "    python experiments/alignment.py --data DATA --out docs/results/alignment.md",
        "",
        "All images of both data sets, no training. The columns count which attempt of `forensic/faces/detect.py`",
        "found the face; finds by the last four carry a warning. 'several' are images with more than one face.",
        "",
        f"| images | n | found | {attempts} | several |",
        "|---|---|---|" + "---|" * (len(WAYS) + 1),
        *rows,
        "",
        "Distance between the landmarks found in a sketch and in its photo (CUFS's pairs are aligned), mean of the",
        "five points, in units of the distance between the photo's eyes:",
        "",
        "| CUFS subset | pairs | median | 90 % | 99 % |",
        "|---|---|---|---|---|",
    ]
    for subset, values in distances.items():
        median, nine, most = np.quantile(values, [0.5, 0.9, 0.99])
        lines.append(f"| {subset} | {len(values)} | {median:.3f} | {nine:.3f} | {most:.3f} |")
    passed, wrong = (sum(value >= PRIORS_SURE for value in values) for values in (drawings, cuttings))
    lines += [
        "",
        "The priors' landmarks count from a confidence of the least sure one of "
        f"{PRIORS_SURE:g}. Without MTCNN, of drawings of",
        f"training pairs {passed} of {len(drawings)} pass; of squares cut from them with at most one landmark inside "
        f"{wrong} of {len(cuttings)}.",
        f"The drawings' lowest hundredth lies at {np.quantile(drawings, 0.01):.2f}, the squares' highest at "
        f"{np.quantile(cuttings, 0.99):.2f}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
