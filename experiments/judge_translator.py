"""Figures of a translator's card, on identities that it was not trained on.

    python experiments/judge_translator.py WEIGHTS --data $FORENSIC_DATA/cufs --hold-out 20 [--montage FILE]
    python experiments/judge_translator.py WEIGHTS --data $FORENSIC_DATA/cufs --judge $FORENSIC_DATA/fs2k --every 8

Without --hold-out or --judge these are the test identities, and the whole training split was trained on. With --judge
they are training pairs of another data set, which the weights have not seen: what may be chosen by.

L1 is the mean absolute difference of RGB values in [0, 255]; SSIM and FSIM are those of `forensic quality`, on grey
200 x 250 crops. The nearest-neighbour check compares each synthesized face with every photo that was trained on and
with its own true photo, by the correlation of grey 64 x 64 crops: of the whole image, where hair and backdrop decide,
and of the inner face alone. A montage shows faces of the data: keep it out of any repository.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from forensic import weights
from forensic.datasets import split_pairs
from forensic.faces.align import FIELD_BOX
from forensic.images import to_image
from forensic.quality import gauges
from forensic.quality.pairing import Pair, cropped
from forensic.synthesis import create, examples
from forensic.synthesis.weights import load


def crops(faces: Tensor) -> Tensor:
    """The field's 200 x 250 crops of 256 x 256 faces, (n, 3, 250, 200)."""
    left, top, right, bottom = FIELD_BOX
    return faces[:, :, top:bottom, left:right]


def grey_crops(faces: Tensor) -> Tensor:
    """The same in grey, in [0, 1], of faces in [-1, 1], (n, 1, 250, 200)."""
    return ((crops(faces) + 1) / 2).mean(dim=1, keepdim=True).clamp(0, 1)


def marks(crops: Tensor) -> Tensor:
    """Rows of zero mean and unit norm, whose products are correlations, (n, 4096)."""
    rows = F.interpolate(crops, size=(64, 64), mode="area").flatten(1)
    return F.normalize(rows - rows.mean(dim=1, keepdim=True))


def inner_faces(faces: Tensor) -> Tensor:
    """From the brows to the chin, the eyes at (103, 128) and (153, 128): (n, 1, 100, 90)."""
    return grey_crops(faces)[:, :, 102:202, 55:145]


def nearest_neighbours(title: str, synthesized: Tensor, true: Tensor, trained_on: Tensor, kind: str) -> str:
    """How near the synthesized faces are to their own true images and to those that were trained on."""
    outputs, truth, trained = marks(synthesized), marks(true), marks(trained_on)
    own, nearest = (outputs * truth).sum(dim=1), (outputs @ trained.T).amax(dim=1)
    between = (truth @ trained.T).amax(dim=1)
    return (
        f"\n{title}, correlation: mean (largest)\n"
        f"  synthesized to its own true {kind}:           {own.mean():.3f} ({own.max():.3f})\n"
        f"  synthesized to the nearest trained {kind}:    {nearest.mean():.3f} ({nearest.max():.3f})\n"
        f"  true {kind} to the nearest trained {kind}:    {between.mean():.3f} ({between.max():.3f})\n"
        f"  nearer to the own than to any trained {kind}: {int((own > nearest).sum())} of {len(own)}"
    )


def row(name: str, faces: Tensor, truth: Tensor) -> str:
    """One line of the card's table."""
    distance = 127.5 * crops(faces - truth).abs().mean()
    pairs = [Pair(name, *(cropped(to_image(each)) for each in both)) for both in zip(faces, truth, strict=True)]
    ssim, fsim = (sum(map(gauge, pairs)) / len(pairs) for gauge in (gauges.ssim, gauges.fsim))
    return f"| {name} | {distance:.1f} | {ssim:.4f} | {fsim:.4f} |"


def montage(*sides: Tensor) -> Tensor:
    """Up to twenty faces (n, 3, h, w) of each side, evenly spread: columns of ten, those of one face side by side."""
    chosen = [side[:: max(1, len(side) // 20)][:20] for side in sides]
    groups = zip(*(torch.split(side, 10) for side in chosen), strict=True)
    return torch.cat([torch.cat(list(column), dim=-2) for group in groups for column in group], dim=-1)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hold-out", type=int, default=0)
    parser.add_argument("--judge", type=Path, help="another data set, whose training pairs are judged on")
    parser.add_argument("--every", type=int, default=1, help="of the pairs of --judge, every so manieth")
    parser.add_argument("--source", choices=("photo", "sketch"), help="of a method that goes either way")
    parser.add_argument("--montage", type=Path)
    arguments = parser.parse_args()
    translator = load(weights.read(arguments.weights)[1]["method"], weights=arguments.weights, source=arguments.source)
    kept, held = split_pairs(arguments.data, "train", arguments.hold_out)
    if arguments.judge:
        held = split_pairs(arguments.judge, "train", 0)[0][:: arguments.every]
    held = held or split_pairs(arguments.data, "test", 0)[0]
    parts = ([examples.normalized(side) for side in examples.load(pairs)[0][:2]] for pairs in (kept, held))
    learned, (photos, sketches) = parts
    if translator.target == "photo":
        source, target, trained_on = sketches, photos, learned[0]
    else:
        source, target, trained_on = photos, sketches, learned[1]
    with torch.inference_mode():
        synthesized = torch.cat([translator.translate(face[None]) for face in source])
    print(f"{len(photos)} pairs, {len(trained_on)} trained on\n")
    print("| image | L1 to the true image | SSIM to it | FSIM to it |\n|---|---|---|---|")
    print(row(f"synthesized {translator.target}", synthesized, target))
    print(row(f"the {translator.source} as it is", source, target))
    print(row(f"the mean training {translator.target}", trained_on.mean(dim=0).expand_as(target), target))
    if translator.target == "sketch":
        print(row("pencil of the photo", create("pencil").translate(photos), target))
    for title, part in (("whole image", grey_crops), ("inner face", inner_faces)):
        print(nearest_neighbours(title, part(synthesized), part(target), part(trained_on), translator.target))
    if arguments.montage:
        to_image(montage(source, synthesized, target)).save(arguments.montage)


if __name__ == "__main__":
    main()
