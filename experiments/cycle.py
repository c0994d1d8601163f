"""Whether a face comes back from a two-way method, along its training: docs/results/cycle.md.

    python experiments/cycle.py RUN --data $FORENSIC_DATA/cufs --page docs/results/cycle.md [--montage FILE]

RUN is the folder of ``forensic train msg-sarl`` (or ``cyclegan``), whose ``snapshots/`` hold the weights along the way.
The cycle error is the mean absolute difference, in grey levels, between a face and what the method makes of what it
made of it, on the 200 x 250 crop. The baseline is the average training face, which knows nothing of the one at hand.
Nothing is chosen by these figures. A montage shows faces of the data: keep it out of any repository.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from pages import made
from PIL import Image
from torch import Tensor

from forensic import weights
from forensic.datasets import split_pairs
from forensic.faces.align import FIELD_BOX
from forensic.images import to_image
from forensic.progress import bar
from forensic.provenance import made_by
from forensic.recognition.evaluation import bootstrap_interval
from forensic.synthesis import Translator, load
from forensic.synthesis.examples import Examples
from forensic.synthesis.examples import load as load_examples
from forensic.synthesis.translator import Modality

OTHER: dict[Modality, Modality] = {"photo": "sketch", "sketch": "photo"}
BATCH = 16
SEEN, SNAPSHOTS = 60, 6  # training pairs and weights along the way that are judged
INTRODUCTION = """\
What comes back when a photo becomes a sketch and the sketch a photo again, and the other way round: mean absolute
difference in grey levels on the 200 x 250 crops, along the training of MSG-SARL, with 95 % bootstrap intervals over
pairs. The average face is the mean of the training part. Nothing was chosen by these figures.
"""


def ways(path: Path) -> dict[Modality, Translator]:
    """Both directions of a weight file, by their source."""
    name = weights.read(path)[1]["method"]
    return {source: load(name, source=source, target=target, weights=path) for source, target in OTHER.items()}


@torch.inference_mode()
def there_and_back(translators: dict[Modality, Translator], faces: Tensor, start: Modality) -> tuple[Tensor, Tensor]:
    """What becomes of faces, and what comes back."""
    between = translators[start].translate(faces)
    return between, translators[OTHER[start]].translate(between)


def differences(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of each pair of faces on the field's crop, in grey levels, (n,)."""
    left, top, right, bottom = FIELD_BOX
    return 127.5 * (a - b)[:, :, top:bottom, left:right].abs().mean(dim=(1, 2, 3))


def errors(translators: dict[Modality, Translator], faces: Examples, start: Modality) -> Tensor:
    """Cycle error of each face."""
    found = []
    for first in range(0, len(faces), BATCH):
        some = faces.batch(slice(first, first + BATCH)).of(start)
        found.append(differences(there_and_back(translators, some, start)[1], some))
    return torch.cat(found)


def average(examples: Examples, side: Modality) -> Tensor:
    """The average face of one side, (1, 3, h, w) in [-1, 1]."""
    faces: Tensor = getattr(examples, side)
    return faces.double().mean(dim=0, keepdim=True).float() / 127.5 - 1


def spread(count: int, most: int) -> list[int]:
    """At most so many of so many, evenly, with the first and the last."""
    places: list[int] = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()
    return places


def report(run: Path, data: Path) -> Iterator[str]:
    """The page in Markdown."""
    train, test = (load_examples(split_pairs(data, split, 0)[0])[0] for split in ("train", "test"))
    seen = Examples(*(side[spread(len(train), SEEN)] for side in train[:2]))
    found = sorted((run / "snapshots").glob("*.safetensors"), key=lambda path: int(path.stem))
    snapshots = [found[index] for index in spread(len(found), SNAPSHOTS)]
    columns = [(start, name, part) for start in OTHER for name, part in (("training", seen), ("test", test))]
    yield "| epochs | " + " | ".join(f"{start}, {name} part" for start, name, _ in columns) + " |"
    yield "|---:|" + "---:|" * len(columns)
    baseline = {
        (start, name): float(differences(average(train, start), part.batch().of(start)).mean())
        for start, name, part in columns
    }
    yield "| average face | " + " | ".join(f"{baseline[start, name]:.1f}" for start, name, _ in columns) + " |"
    with bar("going there and back", len(snapshots)) as shown:
        for done, path in enumerate(snapshots, 1):
            translators, cells = ways(path), []
            for start, _, part in columns:
                apart = errors(translators, part, start).numpy()
                value, low, high = bootstrap_interval(apart, np.arange(len(apart)))
                cells.append(f"{value:.1f} [{low:.1f}, {high:.1f}]")
            shown(done)
            yield f"| {int(path.stem)} | " + " | ".join(cells) + " |"
    yield f"\nTraining part: {len(seen)} pairs of {len(train)}; test part: {len(test)} pairs."
    yield f"\nWeights: {translators['photo'].digest[:12]}. {made(made_by())}"


def montage(path: Path, data: Path, out: Path) -> None:
    """Test faces, what becomes of them, and what comes back: photo and sketch side by side."""
    examples = load_examples(split_pairs(data, "test", 0)[0])[0]
    chosen = torch.linspace(0, len(examples) - 1, 8).long()
    faces, translators = examples.batch(chosen), ways(path)
    columns: list[Tensor] = []
    for start in OTHER:
        first = faces.of(start)
        columns += [first, *there_and_back(translators, first, start)]
    size = columns[0].shape[-1]
    sheet = Image.new("RGB", (size * len(columns), size * len(chosen)))
    for x, column in enumerate(columns):
        for y, face in enumerate(column):
            sheet.paste(to_image(face), (x * size, y * size))
    sheet.save(out)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--montage", type=Path)
    options = parser.parse_args()
    lines = [
        "# There and back\n",
        "    python experiments/cycle.py RUN --data $FORENSIC_DATA/cufs --page docs/results/cycle.md\n",
        INTRODUCTION,
        *report(options.run, options.data),
    ]
    options.page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if options.montage is not None:
        last = max((options.run / "snapshots").glob("*.safetensors"), key=lambda path: int(path.stem))
        montage(last, options.data, options.montage)


if __name__ == "__main__":
    main()
