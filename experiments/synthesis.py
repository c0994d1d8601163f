"""Quality of synthesized faces on CUFS's test identities: docs/results/synthesis.md.

    python experiments/synthesis.py --data $FORENSIC_DATA/cufs --json synthesis.json pencil "sdgan, compact=sdgan"
    python experiments/synthesis.py --page docs/results/synthesis.md --json synthesis.json

Each system is ``TITLE=WEIGHTS``, a weight file or the name of a method whose weights are installed or shipped, or the
name of a filter alone. The field's way: the 200 x 250 crops are padded to 256 x 256, translated, and cropped again
before anything is measured. A row of the same weights keeps its metrics; NLDA is computed again.
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

from forensic import datasets, images, weights
from forensic.datasets import Pair
from forensic.evaluation.null_space import PRINCIPAL_COMPONENTS, Samples, in_own_span, rank_one_curve
from forensic.evaluation.provenance import made_by
from forensic.images import to_image, to_tensor
from forensic.progress import bar
from forensic.quality.measuring import measure
from forensic.quality.pairing import cropped, to_grey
from forensic.recognition.nlda import NLDA
from forensic.synthesis import Translator, examples, load
from forensic.synthesis.examples import pad
from forensic.synthesis.translator import Exemplary, Modality

METRICS = ("fsim", "fsimc", "ssim", "scoot", "embedding-cosine", "embedding-frechet", "lpips-alex", "fid")
FITTED, REPEATS = 150, 20  # people that NLDA is fitted to, and how often
PUBLISHED = {
    ("photo", "sketch"): {
        "CycleGAN": {"fsim": 0.6829, "ssim": 0.4638, "fid": 58.394, "lpips-alex": 0.2776},
        "Pix2Pix": {"fsim": 0.7356, "ssim": 0.5172, "fid": 44.272, "lpips-alex": 0.1654},
        "MSG-SARL": {"fsim": 0.7594, "ssim": 0.5288, "fid": 46.39},
        "SCA-GAN": {"fsim": 0.716, "fid": 34.2},
        "SDGAN": {"fsim": 0.7446, "ssim": 0.5360, "fid": 33.408, "lpips-alex": 0.1444},
    },
    ("sketch", "photo"): {
        "Pix2pix": {"fsim": 0.7678, "fid": 73.43, "lpips-alex": 0.1981, "nlda": 0.9332},
        "CycleGAN": {"fsim": 0.7682, "fid": 71.81, "lpips-alex": 0.1876, "nlda": 0.8729},
        "SCA-GAN": {"fsim": 0.7764, "fid": 60.72, "lpips-alex": 0.1790, "nlda": 0.9061},
        "CHAN": {"fsim": 0.7781, "fid": 41.44, "lpips-alex": 0.1788, "nlda": 0.8779},
        "ISEGAN": {"fsim": 0.7802, "fid": 58.30, "lpips-alex": 0.1668, "nlda": 0.9402},
    },
}
"""SDGAN's Table 1 and ISEGAN's Table 1: at 256 x 256 and full width."""


INTRODUCTION = """\
Published rows were made at 256 x 256, at full width, in hundreds of epochs; the compact ones at 128 x 128 on one CPU
core in half an hour (`experiments/*-compact*.toml`): they say what this toolkit ships, not what a method can do.
Square brackets hold 95 % bootstrap intervals over pairs. n/m: not measured, because the published backbone's weights
are not here; no other network stands in for them. The embedding columns favour the compact SDGAN and ISEGAN: the
perceptual loss of both was on the same embedder's trunk. nlda is the field's protocol on grey pixels of the crops,
the maximum of the mean curve over 20 repeats. How the others are computed: [quality](../quality.md).
"""


def pairs(data: Path, split: str) -> list[Pair]:
    """The pairs of a split."""
    return [pair for pair in datasets.pairs(data) if pair.split == split]


def synthesize(translator: Translator, chosen: list[Pair], folder: Path) -> None:
    """Write what a translator makes of every pair's source."""
    with bar("synthesizing", len(chosen)) as shown, torch.inference_mode():
        for done, pair in enumerate(chosen, 1):
            face = pad(images.read(getattr(pair, translator.source)).image)
            to_image(translator.translate(to_tensor([face]))[0]).save(folder / f"{pair.identity}.png")
            shown(done)


def link(chosen: list[Pair], side: str, folder: Path) -> None:
    """The images of one side under their identities."""
    folder.mkdir()
    for pair in chosen:
        path = getattr(pair, side)
        (folder / f"{pair.identity}{path.suffix}").symlink_to(path.resolve())


def judge(system: str, chosen: list[Pair], data: Path, known: dict[str, Any]) -> dict[str, Any]:
    """One system's figures; ``known`` are those of the weights measured before, by hash."""
    title, _, given = system.partition("=")
    translator = _load(given or title)
    _fit(translator, data)
    with tempfile.TemporaryDirectory() as temporary:
        made, target = Path(temporary) / "made", Path(temporary) / "target"
        made.mkdir()
        synthesize(translator, chosen, made)
        link(chosen, translator.target, target)
        figures = known.get(translator.digest)
        if figures is None:
            with bar("measuring", len(chosen)) as shown:
                found = measure(
                    made, target, metrics=METRICS, modality=translator.target, progress=lambda done, _: shown(done)
                )
            figures = {figure.metric.name: figure.to_dict() for figure in found.figures}
        figures["nlda"] = nlda(chosen, made, translator.target)
    return {
        "title": title,
        "method": translator.name,
        "source": translator.source,
        "target": translator.target,
        "settings": translator.settings,
        "sha256": translator.digest,
        "figures": figures,
    }


def nlda(chosen: list[Pair], made: Path, target: Modality) -> dict[str, Any]:
    """The field's protocol on grey crops: 150 people fitted, the others searched for, 20 times.

    The probe is the sketch (or the photo made of it), the gallery the photos (or the sketches made of them).

    Returns:
        ``value``: the highest rank-1 of the mean curve over the dimensions; ``sd`` over the repeats at that dimension.
    """

    def rows(files: list[Path]) -> NDArray[np.uint8]:
        return np.stack([to_grey(cropped(images.read(file).image)).ravel() for file in files])

    synthesized = rows([made / f"{pair.identity}.png" for pair in chosen])
    true = rows([getattr(pair, target) for pair in chosen])
    probes, gallery = (synthesized, true) if target == "photo" else (true, synthesized)
    people = np.array([pair.identity for pair in chosen])
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


def _load(given: str) -> Translator:
    path = Path(given)
    if not path.is_file():
        return load(given)
    return load(weights.read(path)[1]["method"], weights=path)


def _fit(translator: Translator, data: Path) -> None:
    """Give a method that works by exemplars the training pairs."""
    if isinstance(translator, Exemplary):
        exemplars = examples.load(pairs(data, "train"))[0].batch()
        translator.fit(exemplars.photo, exemplars.sketch)


def page(results: dict[str, Any]) -> Iterator[str]:
    """The page in Markdown."""
    yield "# Synthesis\n"
    yield "    python experiments/synthesis.py --data $FORENSIC_DATA/cufs --json synthesis.json TITLE=WEIGHTS ..."
    yield "    python experiments/synthesis.py --page docs/results/synthesis.md --json synthesis.json\n"
    yield f"CUFS, the {results['pairs']} pairs of the {results['split']} split; nothing was chosen on them."
    yield INTRODUCTION
    for (source, target), published in PUBLISHED.items():
        rows = [row for row in results["systems"] if (row["source"], row["target"]) == (source, target)]
        yield f"## {source} to {target}\n"
        columns = [*METRICS, "nlda"]
        yield "| system | " + " | ".join(columns) + " |"
        yield "|---|" + "---:|" * len(columns)
        for row in rows:
            yield f"| {row['title']} | " + " | ".join(_cell(row["figures"][name]) for name in columns) + " |"
        for name, figures in published.items():
            yield (
                f"| {name}, published | "
                + " | ".join(f"{figures[m]:g}" if m in figures else "" for m in columns)
                + " |"
            )
        yield ""
    yield "Weights: " + "; ".join(
        f"{row['title']} {row['sha256'][:12]}" for row in results["systems"] if row["settings"]
    )
    yield "\nMade by " + "; ".join(f"{name} {version}" for name, version in results["versions"].items()) + "."


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
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    results = json.loads(options.json.read_text()) if options.json.exists() else {"systems": []}
    if options.systems:
        chosen = pairs(options.data, options.split)
        results |= {"pairs": len(chosen), "split": options.split, "versions": made_by()}
        known = {row["sha256"]: row["figures"] for row in results["systems"]}
        for system in options.systems:
            row = judge(system, chosen, options.data, known)
            results["systems"] = [old for old in results["systems"] if old["title"] != row["title"]] + [row]
            print(row["title"], {name: _cell(figure) for name, figure in row["figures"].items()}, flush=True)
            options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    if options.page:
        options.page.write_text("\n".join(page(results)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
