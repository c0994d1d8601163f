r"""How photos made of freehand sketches suffer when strokes are off: DeepFacePencil against pix2pixHD, as a number.

    python experiments/freehand.py train deepfacepencil --data $FORENSIC_DATA/cufs --out runs/freehand-dfp
    python experiments/freehand.py train pix2pixhd --data $FORENSIC_DATA/cufs --out runs/freehand-hd
    python experiments/freehand.py judge --data $FORENSIC_DATA/cufs --json freehand.json \
        --page docs/results/freehand.md "DeepFacePencil=runs/freehand-dfp/WEIGHTS" "pix2pixHD=runs/freehand-hd/WEIGHTS"

Figure 5 of Li et al. 2020 shows sketches whose strokes are shifted by up to d = 30; training knew 11. Both methods
learn from line drawings of the same photos, edge-aligned and deformed alike (the paper's 'baseline_deform'; with
``--aligned`` pix2pixHD sees edge-aligned ones alone, its 'baseline'). Settings: experiments/freehand-METHOD.toml.
Sample images and weights are made from the data's faces: keep OUT out of any repository.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pages import made
from torch import Tensor

from forensic import weights
from forensic.datasets import split_pairs
from forensic.faces import priors
from forensic.faces.priors import Priors
from forensic.images import to_image
from forensic.provenance import made_by
from forensic.recognition import embedding
from forensic.recognition.evaluation import bootstrap_interval, paired_difference
from forensic.synthesis import Adversarial, Translator, configuration, create, load, strokes
from forensic.synthesis.examples import Examples, normalized
from forensic.synthesis.examples import load as load_examples
from forensic.synthesis.trainer import Trainer
from forensic.synthesis.translator import SIZE

TRAINED = 11.0  # the paper's d
DEGREES = (0.0, 11.0, 20.0, 30.0)
DRAWINGS = 1  # of each test photo at each d
COPIES = 3  # drawings of each training photo and kind, for a method that does not draw them itself

INTRODUCTION = """
Cosine of the embedder between the photo made of a line drawing and the true photo, for {people} test people of CUFS and
{drawings} drawing of each at each d; in parentheses the mean cosine to the other people's true photos. d is the largest
shift of a stroke's points, in pixels of a face of 512 x 512; training knew 0 and 11. The fall from d = 0 to the largest
d, and by how much more than the first system's, with 95 % bootstrap intervals over people; between them the fall as a
share of the similarity at d = 0. Compact networks at {size} x {size}, an hour of one core for both: their faces are
blurred and their similarities low, so a system that begins lower also has less to lose.
"""


def photos_of(data: Path, split: str) -> tuple[Tensor, list[str]]:
    """Aligned photos of a split, (n, 3, 256, 256) in [-1, 1], and whose they are."""
    pairs = split_pairs(data, split, 0)[0]
    examples, left_out = load_examples(pairs)
    missing = {one.pair.identity for one in left_out}
    return normalized(examples.photo), [pair.identity for pair in pairs if pair.identity not in missing]


class Draughtsman:
    """Draws the boundaries of the regions that the priors see in a photo, by strokes that are off by up to d."""

    def __init__(self, photos: Tensor) -> None:
        parsing = Priors({"parsing": priors.OWN})
        with torch.inference_mode():
            self.labels = torch.cat([parsing(some)["parsing"].argmax(dim=1) for some in torch.split(photos, 8)])

    def draw(self, d: float) -> tuple[Tensor, Tensor]:
        """Edge-aligned and deformed drawings, each (n, 3, 256, 256) in [-1, 1]."""
        aligned, deformed = strokes.sketches(self.labels, d * SIZE / strokes.MASK)
        return aligned.expand(-1, 3, -1, -1), deformed.expand(-1, 3, -1, -1)


def examples(method: Adversarial, photos: Tensor, *, aligned: bool) -> Examples:
    """What a method is trained on: DeepFacePencil deforms drawings itself, a method of pairs is given them."""
    draughtsman = Draughtsman(photos)
    if method.name == "deepfacepencil":
        drawings = [draughtsman.draw(0)[0]]
    else:
        drawings = [draughtsman.draw(TRAINED)[kind] for _ in range(COPIES) for kind in ((0,) if aligned else (0, 1))]
    small = [_bytes(some, method.size) for some in (photos, *drawings)]
    return Examples(small[0].repeat(len(drawings), 1, 1, 1), torch.cat(small[1:]))


def _bytes(faces: Tensor, size: int) -> Tensor:
    faces = torch.nn.functional.interpolate(faces, size=(size, size), mode="area")
    return ((faces + 1) * 127.5).round().to(torch.uint8)


def train(options: argparse.Namespace) -> None:
    """Train one method."""
    file = Path(__file__).parent / f"freehand-{options.method}.toml"
    stated = configuration.read(file)
    torch.manual_seed(options.seed)
    method = create(stated.method_or(options.method, file), source="sketch", target="photo", **stated.settings)
    assert isinstance(method, Adversarial)
    photos, _ = photos_of(options.data, "train")
    pairs = examples(method, photos, aligned=options.aligned)
    recipe = dataclasses.replace(method.recipe, **stated.recipe)
    trainer = Trainer(method, recipe, pairs, seed=options.seed, out=options.out)
    trainer.start(resume=options.resume)
    trainer.fit()


def judge(options: argparse.Namespace) -> None:
    """Similarity of each system's photos to the true ones and to strangers, at each d."""
    photos, people = photos_of(options.data, "test")
    embedder = embedding.load()

    def embedded(faces: Tensor) -> NDArray[np.float32]:
        return embedder.embed([embedder.view(to_image(face)) for face in faces], "photo")

    true, draughtsman = embedded(photos), Draughtsman(photos)
    torch.manual_seed(options.seed)
    drawn = {d: [draughtsman.draw(d)[1] for _ in range(DRAWINGS if d else 1)] for d in DEGREES}
    results: dict[str, Any] = {"people": len(people), "drawings": DRAWINGS, "systems": []}
    own: dict[str, dict[float, NDArray[np.float64]]] = {}
    for title, _, path in (system.partition("=") for system in options.systems):
        translator = load(weights.read(Path(path))[1]["method"], weights=Path(path))
        own[title], strangers = {}, {}
        for d, repeats in drawn.items():
            scores = [_scores(translator, sketches, true, embedded) for sketches in repeats]
            own[title][d] = np.mean([score.diagonal() for score in scores], axis=0)
            others = ~np.eye(len(true), dtype=bool)
            strangers[d] = float(np.mean([score[others].mean() for score in scores]))
        results["systems"].append(_row(title, translator, own[title], strangers, people))
    first = next(iter(own))
    for row in results["systems"][1:]:
        theirs = own[row["title"]]
        less = paired_difference(theirs[0.0] - theirs[DEGREES[-1]], own[first][0.0] - own[first][DEGREES[-1]], people)
        row["falls_more"] = [less.value, less.low, less.high]
    results |= {"embedder": f"{embedder.name} {embedder.digest[:12]}", "made_by": made_by()}
    options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    options.page.write_text("\n".join(page(results)) + "\n", encoding="utf-8")


def _scores(translator: Translator, sketches: Tensor, true: NDArray[Any], embedded: Any) -> NDArray[np.float64]:
    with torch.inference_mode():
        made = torch.cat([translator.translate(some) for some in torch.split(sketches, 10)])
    return np.asarray(embedded(made) @ true.T, dtype=np.float64)


def _row(
    title: str, translator: Translator, own: dict[float, Any], strangers: dict[float, float], people: list[str]
) -> dict[str, Any]:
    fall = bootstrap_interval(own[0.0] - own[DEGREES[-1]], people)
    return {
        "title": title,
        "method": translator.name,
        "settings": translator.settings,
        "sha256": translator.digest,
        "own": {f"{d:g}": float(value.mean()) for d, value in own.items()},
        "strangers": {f"{d:g}": value for d, value in strangers.items()},
        "fall": [fall.value, fall.low, fall.high],
    }


def page(results: dict[str, Any]) -> Iterator[str]:
    """The page in Markdown."""
    yield "# Freehand sketches\n"
    yield from (
        f"    {line.rstrip()}" for line in textwrap.dedent("\n".join((__doc__ or "").splitlines()[2:6])).splitlines()
    )
    yield INTRODUCTION.format(size=results["systems"][0]["settings"]["size"], **results)
    yield "| system | " + " | ".join(f"d = {d:g}" for d in DEGREES) + " | fall | share, % | falls more by |"
    yield "|---|" + "---:|" * (len(DEGREES) + 3)
    for row in results["systems"]:
        cells = [f"{row['own'][f'{d:g}']:.3f} ({row['strangers'][f'{d:g}']:.3f})" for d in DEGREES]
        more = _interval(row["falls_more"]) if "falls_more" in row else ""
        share = 100 * row["fall"][0] / row["own"]["0"]
        yield f"| {row['title']} | " + " | ".join(cells) + f" | {_interval(row['fall'])} | {share:.0f} | {more} |"
    weights = "; ".join(f"{row['title']} {row['sha256'][:12]}" for row in results["systems"])
    yield f"\nWeights (not shipped): {weights}. Embedder: {results['embedder']}."
    yield "\n" + made(results["made_by"])


def _interval(figure: list[float]) -> str:
    value, low, high = figure
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """Train a method, or judge trained ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train")
    training.add_argument("method", choices=("deepfacepencil", "pix2pixhd"))
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--aligned", action="store_true")
    training.add_argument("--resume", action="store_true")
    training.set_defaults(run=train)
    judging = commands.add_parser("judge")
    judging.add_argument("systems", nargs="+", metavar="TITLE=WEIGHTS")
    judging.add_argument("--json", type=Path, required=True)
    judging.add_argument("--page", type=Path, required=True)
    judging.set_defaults(run=judge)
    for command in (training, judging):
        command.add_argument("--data", type=Path, required=True)
        command.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
