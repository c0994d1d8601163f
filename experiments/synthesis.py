"""Quality of synthesized faces on the test parts of CUFS and FS2K: docs/results/synthesis.md and .json.

    python experiments/synthesis.py --data $FORENSIC_DATA/cufs --json synthesis.json pencil "sdgan, compact=sdgan"
    python experiments/synthesis.py --data $FORENSIC_DATA/fs2k --json synthesis.json pencil "hida, compact=hida"
    python experiments/synthesis.py --data $FORENSIC_DATA/cufs --json synthesis.json --campaign runs/campaign
    python experiments/synthesis_page.py --json synthesis.json --page docs/results/synthesis.md

Each system is ``TITLE=WEIGHTS``, a weight file or the name of a method whose weights are installed or shipped, or the
name of a filter alone; ``@photo`` or ``@sketch`` at the end says what a method that goes either way is given.
``--campaign`` takes every run of a campaign's folder on that data set. The field's way: crops of 200 x 250 are padded
to 256 x 256, translated, and cropped again before anything is measured; other images are aligned first, photo and
sketch each by its own landmarks, and cropped likewise. Methods with styles draw in the style of the true sketch. A row
of the same weight file keeps its metrics; NLDA is computed again, and so is all of a filter and of exemplar methods,
whose hash does not know the code that they are.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from campaign_training import read_record
from numpy.typing import NDArray
from PIL import Image
from published import ABLATIONS
from torch import Tensor

from forensic import datasets, images, weights
from forensic.datasets import Pair
from forensic.evaluation.null_space import Samples, in_own_span, rank_one_curve
from forensic.images import to_image
from forensic.progress import bar
from forensic.provenance import made_by
from forensic.quality.measuring import measure
from forensic.quality.pairing import cropped, to_grey
from forensic.recognition.nlda import NLDA
from forensic.synthesis import Translator, create, examples, load
from forensic.synthesis.examples import Examples
from forensic.synthesis.styles import Styled
from forensic.synthesis.translator import Exemplary, Modality

METRICS = ("fsim", "fsimc", "ssim", "scoot", "embedding-cosine", "embedding-frechet", "lpips-alex", "fid")
COMPARED = ("fsim", "ssim", "scoot", "embedding-cosine")
"""What the rows of ablations are compared by."""
STYLES = 3  # of FS2K
FITTED, REPEATS = 150, 20  # people that NLDA is fitted to, and how often
TRAINING = (
    *("commit", "seed", "epochs", "pairs", "held_out", "held_out_l1", "size", "width", "recipe", "seconds"),
    *("device", "device_name", "threads", "precision", "images_per_second", "consulted"),
)
"""What a row keeps of the record of its run."""


class System(NamedTuple):
    """What is judged.

    Attributes:
        title: Its name in the table.
        given: A weight file, or a method's name.
        source: What a method that goes either way is given; empty: what it states.
        record: The campaign's record of the run; empty of weights that ship.
    """

    title: str
    given: str
    source: str = ""
    record: Mapping[str, Any] = MappingProxyType({})


def named(text: str) -> System:
    """The system that ``TITLE=WEIGHTS@SOURCE`` names."""
    title, _, given = text.partition("=")
    given, _, source = (given or title).partition("@")
    return System(title, given, source)


def of_campaign(folder: Path, data: str) -> Iterator[System]:
    """The runs of a campaign on a data set: two-way methods each way, their rows where their paper's table has them."""
    for run in sorted((folder / "runs" / data).iterdir()):
        record = read_record(run)
        if "weights" not in record:
            print(f"{run.name} has no weights yet: left out")
            continue
        method, row, given = record["method"], record["row"], str(run / record["weights"]["file"])
        with torch.device("meta"):  # no memory: only its settings are asked for
            two_way = create(method, **record["settings"]).two_way
        for source in ("photo", "sketch"):
            there = two_way if row is None else row in ABLATIONS.get((method, source), {})
            if there or source == record["settings"]["source"]:
                epochs = f"{record['epochs']['done']} of {record['epochs']['paper']} epochs"
                what = row or f"width {record['width']}, {epochs}"
                yield System(f"{method}: {what}, from {source}", given, source, record)


def pairs(data: Path, split: str) -> list[Pair]:
    """The pairs of a split."""
    return [pair for pair in datasets.pairs(data) if pair.split == split]


def synthesize(translator: Translator, faces: Examples, names: list[str], folder: Path) -> None:
    """Write what a translator makes of every pair's source."""
    with bar("synthesizing", len(faces)) as shown, torch.inference_mode():
        for index, name in enumerate(names):
            pair = faces.batch(slice(index, index + 1))
            if isinstance(translator, Styled) and pair.style is not None:
                translator.style = translator.styles[int(pair.style)]
            made = to_image(translator.translate(pair.of(translator.source))[0])
            made.save(folder / f"{name}.png")
            shown(index + 1)


def write_crops(faces: Tensor, names: list[str], folder: Path) -> None:
    """Write the crops of faces, uint8 (n, 3, 256, 256)."""
    folder.mkdir()
    for name, face in zip(names, faces, strict=True):
        cropped(Image.fromarray(face.permute(1, 2, 0).numpy())).save(folder / f"{name}.png")


def judge(system: System, faces: Examples, names: list[str], data: Path, known: dict[Any, Any]) -> dict[str, Any]:
    """One system's figures; ``known`` are those of the weights measured before, by hash and source."""
    translator = load_system(system)
    _fit(translator, data)
    digest = translator.digest
    with tempfile.TemporaryDirectory() as temporary:
        made, target = Path(temporary) / "made", Path(temporary) / "target"
        made.mkdir()
        synthesize(translator, faces, names, made)
        write_crops(getattr(faces, translator.target), names, target)
        figures = known.get((digest, translator.source)) if translator.file_digest else None
        if figures is None:
            with bar("measuring", len(names)) as shown:
                metrics = COMPARED if system.record.get("row") else METRICS
                found = measure(
                    made, target, metrics=metrics, modality=translator.target, progress=lambda done, _: shown(done)
                )
            figures = {figure.metric.name: figure.to_dict() for figure in found.figures}
        if data.name == "cufs":  # where nobody is there twice
            figures["nlda"] = nlda(names, made, target, translator.target)
    return {
        "title": system.title,
        "method": translator.name,
        "row": system.record.get("row"),
        "source": translator.source,
        "target": translator.target,
        "settings": translator.settings,
        "sha256": digest,
        "training": {name: system.record[name] for name in TRAINING if name in system.record},
        "figures": figures,
    }


def nlda(names: list[str], made: Path, true: Path, target: Modality) -> dict[str, Any]:
    """The field's protocol on grey crops: 150 people fitted, the others searched for, 20 times.

    The probe is the sketch (or the photo made of it), the gallery the photos (or the sketches made of them).

    Returns:
        ``value``: the highest rank-1 of the mean curve over the dimensions; ``sd`` over the repeats at that dimension.
    """

    def rows(folder: Path) -> NDArray[np.uint8]:
        return np.stack([to_grey(cropped(images.read(folder / f"{name}.png").image)).ravel() for name in names])

    probes, gallery = (rows(made), rows(true)) if target == "photo" else (rows(true), rows(made))
    people = np.array(names)
    coordinates = in_own_span(np.concatenate([probes, gallery]).astype(np.float32))
    samples = Samples(coordinates, np.tile(people, 2), np.ones(2 * len(people), dtype=bool), len(people))
    rng, curves = np.random.default_rng(0), []
    for _ in range(REPEATS):
        fitted = np.tile(np.isin(np.arange(len(people)), rng.permutation(len(people))[:FITTED]), 2)
        curves.append(rank_one_curve(samples, fitted, ~fitted, NLDA()).mean(axis=1))
    curve = np.stack([curve[: min(map(len, curves))] for curve in curves])
    best = int(curve.mean(axis=0).argmax())
    sd = float(curve[:, best].std(ddof=1))
    return {"value": float(curve[:, best].mean()), "sd": sd, "interval": None, "dimension": best + 1}


def load_system(system: System) -> Translator:
    """The system's translator."""
    path = Path(system.given)
    direction: dict[str, Any] = {"source": system.source} if system.source else {}
    if not path.is_file():
        return load(system.given, **direction)
    return load(weights.read(path)[1]["method"], weights=path, **direction)


def _fit(translator: Translator, data: Path) -> None:
    """Give a method that works by exemplars the training pairs."""
    if isinstance(translator, Exemplary):
        exemplars = examples.load(pairs(data, "train"))[0].batch()
        translator.fit(exemplars.photo, exemplars.sketch)


def shown(figure: dict[str, Any]) -> str:
    """A figure as a cell of a table: n/m, or the value with its interval or its spread."""
    value = figure.get("mean", figure.get("value"))
    if value is None:
        return "n/m"
    interval = figure["interval"]
    if "dimension" in figure:  # of NLDA: the spread over the repeats
        return f"{value:.4f} ± {figure['sd']:.3f}"
    return f"{value:.4f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def main() -> None:
    """Measure; every system is written as soon as it is judged."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", type=named)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--campaign", type=Path, help="a campaign's folder: every run of it on this data set")
    parser.add_argument("--json", type=Path, required=True, help="one file for all data sets")
    options = parser.parse_args()
    name = options.data.name
    systems = [*options.systems, *(of_campaign(options.campaign, name) if options.campaign else ())]
    chosen = pairs(options.data, options.split)
    faces, left_out = examples.load(chosen, styles=STYLES)
    missing = {one.pair.identity for one in left_out}
    names = [pair.identity for pair in chosen if pair.identity not in missing]
    for system in systems:
        results = json.loads(options.json.read_text()) if options.json.exists() else {}
        here = results.setdefault(name, {"systems": []})
        here |= {"pairs": len(names), "split": options.split, "versions": made_by()}
        known = {(row["sha256"], row["source"]): row["figures"] for row in here["systems"]}
        row = judge(system, faces, names, options.data, known)
        here["systems"] = [old for old in here["systems"] if old["title"] != row["title"]] + [row]
        print(row["title"], {metric: shown(figure) for metric, figure in row["figures"].items()}, flush=True)
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
