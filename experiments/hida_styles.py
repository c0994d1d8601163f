"""Whether HIDA's three styles are told apart: docs/results/styles.md.

    python experiments/hida_styles.py WEIGHTS --data $FORENSIC_DATA/fs2k --page docs/results/styles.md [--montage FILE]

A small network learns the styles of FS2K's real training sketches, is judged on real test sketches, and then names the
style of what HIDA draws of every test photo in each of the three. It sees the faces of grey sketches at the generator's
size (around them alignment leaves streaks in style 2), and learns from them moved, toned and blurred at random. A
second one learns from them as sharp as they are: a real training sketch of style 2 that is blurred by less than a pixel
it takes for one of style 3, so what it says of drawn ones is how sharp they are. Nothing is chosen on test photos or
sketches. A montage shows faces of the data: keep it out of any repository.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pages import made
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

from forensic.datasets import split_pairs
from forensic.images import luminance, to_image
from forensic.progress import bar
from forensic.provenance import made_by
from forensic.recognition.evaluation import bootstrap_interval
from forensic.synthesis import Recipe, load
from forensic.synthesis.examples import Examples, batches
from forensic.synthesis.examples import load as load_examples
from forensic.synthesis.methods.hida import HIDA

EPOCHS, BATCH, RATE, DECAY = 24, 16, 1e-3, 1e-4
BLUR = 2.0
"""Largest standard deviation of the blur, in pixels of a sketch of 128 x 128."""
FACE = (0.2, 0.9, 0.18, 0.82)
"""Top, bottom, left and right of what is seen, in units of a portrait's side."""
WIDTH = 16
SEED = 0
INTRODUCTION = """\
Small networks that learned the styles of FS2K's real training sketches name those of real test sketches and of what
HIDA draws of every test photo in each style. With 95 % bootstrap intervals over people. The first one learned from
faces that were blurred by up to {blur:g} pixels of 128, since a compact generator draws no sharper; the second sees how
sharp a sketch is, and takes blurred real sketches of style 2 for style 3 as well.
"""


class StyleClassifier(nn.Module):
    """Five halving convolutions and the mean over the places: logits of the styles, (n, styles)."""

    def __init__(self, styles: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for channels in (WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH, 4 * WIDTH):
            convolution = nn.Conv2d(before, channels, 3, stride=2, padding=1)
            layers += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
            before = channels
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, styles))

    def forward(self, sketches: Tensor) -> Tensor:
        """Logits of grey sketches (n, 1, h, w) in [-1, 1]."""
        logits: Tensor = self.layers(sketches)
        return logits


def seen(sketches: Tensor) -> Tensor:
    """The grey faces of sketches."""
    top, bottom, left, right = (round(share * sketches.shape[-1]) for share in FACE)
    return luminance(sketches)[..., top:bottom, left:right]


def blurred(faces: Tensor, size: int) -> Tensor:
    """Each face blurred by a standard deviation of its own, between 0 and `BLUR`; size is that of whole sketches."""
    deviations = (torch.rand(len(faces)) * BLUR * size / 128).clamp(min=0.05).tolist()
    return torch.stack([gaussian_blur(face, [9, 9], [s, s]) for face, s in zip(faces, deviations, strict=True)])


def learn(pairs: Examples, styles: int, *, sharp: bool) -> StyleClassifier:
    """A classifier of real training sketches."""
    torch.manual_seed(SEED)
    classifier = StyleClassifier(styles).train()
    steps = -(-len(pairs) // BATCH) * EPOCHS
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3 * RATE, total_steps=steps)
    recipe = Recipe(epochs=EPOCHS, batch=BATCH, flip=True, shift=12, tone=0.5)
    with bar("learning the styles", EPOCHS) as shown:
        for epoch in range(EPOCHS):
            for batch in batches(pairs, "sketch", recipe, seed=SEED, epoch=epoch):
                assert batch.style is not None
                faces = seen(batch.sketch)
                loss = F.cross_entropy(
                    classifier(faces if sharp else blurred(faces, batch.sketch.shape[-1])), batch.style
                )
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
            shown(epoch + 1)
    return classifier.eval()


@torch.inference_mode()
def named(classifier: StyleClassifier, sketches: Tensor) -> NDArray[np.int64]:
    """Number of the style of each sketch, (n,)."""
    return torch.cat([classifier(seen(some)).argmax(dim=1) for some in torch.split(sketches, 64)]).numpy()


@torch.inference_mode()
def drawn(hida: HIDA, photos: Tensor, style: int) -> Tensor:
    """Sketches of photos in one style, as the generator makes them."""
    hida.style = style
    made = []
    with bar(f"drawing in style {style}", len(photos)) as shown:
        for some in torch.split(photos, 16):
            made.append(hida.translate(some))
            shown(sum(map(len, made)))
    return torch.cat(made)


def row(title: str, told: NDArray[np.int64], asked: int, people: NDArray[np.str_], styles: int) -> tuple[str, float]:
    """One line of the table, and the share that is named as asked."""
    right = bootstrap_interval(told == asked, people)
    counts = " | ".join(str(int((told == style).sum())) for style in range(styles))
    shown = f"{100 * right.value:.1f} [{100 * right.low:.1f}, {100 * right.high:.1f}]"
    return f"| {title} | {len(told)} | {counts} | {shown} |", right.value


def report(weights: Path, data: Path, montage: Path | None) -> Iterator[str]:
    """The page in Markdown."""
    hida = load("hida", weights=weights)
    assert isinstance(hida, HIDA)
    styles, size = len(hida.styles), hida.size
    train, test = (split_pairs(data, split, 0)[0] for split in ("train", "test"))
    learned, left_out = load_examples(train, size, styles=styles)
    judged, also_left_out = load_examples(test, size, styles=styles)
    missing = {one.pair.identity for one in also_left_out}
    people = np.array([pair.person or pair.identity for pair in test if pair.identity not in missing])
    real = judged.batch()
    assert real.style is not None
    assert len(people) == len(judged)
    given, sketches = real.style.numpy(), [drawn(hida, real.photo, style) for style in hida.styles]
    head = " | ".join(f"named {style}" for style in hida.styles)
    for sharp in (False, True):
        yield f"\n## Learned from {'sharp faces alone' if sharp else 'faces blurred at random'}\n"
        yield f"| sketches of FS2K's test part | n | {head} | named as asked, % |\n|---|---:|" + "---:|" * (styles + 1)
        classifier, shares = learn(learned, styles, sharp=sharp), []
        told = named(classifier, real.sketch)
        for index, style in enumerate(hida.styles):
            those = given == index
            yield row(f"real, style {style}", told[those], index, people[those], styles)[0]
        for index, style in enumerate(hida.styles):
            line, share = row(f"drawn, style {style} asked", named(classifier, sketches[index]), index, people, styles)
            shares.append(share)
            yield line
        right = f"Of all real sketches {100 * (told == given).mean():.1f} % are named right, of all drawn ones"
        yield f"\n{right} {100 * np.mean(shares):.1f} %."
    yield f"\nLeft out for want of a face: {len(left_out)} training and {len(also_left_out)} test pairs."
    yield f"Weights: {hida.digest[:12]}. " + made(made_by())
    if montage is not None:
        chosen = np.linspace(0, len(judged) - 1, 10).astype(int)
        columns = [real.photo, *sketches, real.sketch]
        sheet = Image.new("RGB", (size * len(columns), size * len(chosen)))
        for y, k in enumerate(chosen):
            for x, column in enumerate(columns):
                sheet.paste(to_image(column[k]), (x * size, y * size))
        sheet.save(montage)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--montage", type=Path)
    options = parser.parse_args()
    lines = [
        "# HIDA's styles\n",
        "    python experiments/hida_styles.py WEIGHTS --data $FORENSIC_DATA/fs2k --page docs/results/styles.md\n",
        INTRODUCTION.format(blur=BLUR),
        *report(options.weights, options.data, options.montage),
    ]
    options.page.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
