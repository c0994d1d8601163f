"""Enrolling against the bare pipeline: decode, detect and embed in a loop on the same files, batched.

Both describe faces by the same network along the route ``direct``; the bare pipeline finds them with facenet-pytorch.

python -m benchmarks.enroll [--photos DIR] [--count 400]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from forensic import Gallery, Identifier, images
from forensic.faces import CROP, warp
from forensic.faces.detect import ATTEMPTS, MIN_FACE, lay_out
from forensic.faces.mtcnn import FACTOR

ROUNDS = 3
BATCH = 32


def bare(files: Sequence[Path], identifier: Identifier) -> float:
    """Images a second of what any script would do: no gallery, no checks, batches on all cores."""
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
    from facenet_pytorch.models.utils.detect_face import detect_face

    networks = [network().eval() for network in (PNet, RNet, ONet)]
    trunk = identifier.matcher.routes[0].embedder
    started = time.perf_counter()
    for start in range(0, len(files), BATCH):
        pictures = [Image.open(file).convert("RGB") for file in files[start : start + BATCH]]
        laid = [lay_out(picture, ATTEMPTS[0]) for picture in pictures]
        with torch.inference_mode():
            _, points = detect_face(
                np.stack([canvas for canvas, _, _ in laid]),
                MIN_FACE,
                *networks,
                ATTEMPTS[0].thresholds,
                FACTOR,
                "cpu",
            )
            crops = [
                warp(picture, (np.asarray(found[0], np.float32) - offset) / scale, CROP)
                for picture, found, (_, scale, offset) in zip(pictures, points, laid, strict=True)
                if len(found)
            ]
            faces = images.to_tensor(crops).contiguous(memory_format=torch.channels_last)
            trunk._trunk(torch.cat([faces, faces.flip(-1)]))
    return len(files) / (time.perf_counter() - started)


def enrolled(files: Sequence[Path], identifier: Identifier, folder: Path) -> float:
    """Images a second of enrolling the same files into a new gallery, everything on the disk at the end."""
    started = time.perf_counter()
    with Gallery(folder, create=True) as gallery:
        identifier.gallery = gallery
        summary = identifier.enroll(*files)
    assert summary.enrolled, summary.failures[:3]
    return len(files) / (time.perf_counter() - started)


def chosen(photos: Path | None, count: int, folder: Path) -> list[Path]:
    """Files to enroll: of a folder of photos, else of people who are drawn into another folder."""
    if photos is None:
        from forensic.datasets.synthetic import make_people

        make_people(folder / "people", count, seed=0)
        photos = folder / "people" / "photos"
    return sorted(photos.iterdir())[:count]


def main(arguments: Sequence[str] | None = None) -> str:
    """The table, in Markdown; the two take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="folder of photos; drawn people if not given")
    parser.add_argument("--count", type=int, default=400)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = chosen(options.photos, options.count, folder)
        with Gallery(folder / "first", create=True) as gallery:
            identifier = Identifier(gallery, "direct")
        bare(files[:BATCH], identifier)  # warm up
        pairs = [(enrolled(files, identifier, folder / f"g{k}"), bare(files, identifier)) for k in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return "\n".join(
        [
            f"| {len(files)} photos, median of {ROUNDS} rounds | images/s |",
            "|---|---|",
            f"| bare pipeline, batches of {BATCH} | {theirs:.1f} |",
            f"| `forensic enroll` | {ours:.1f} |",
            f"| ratio | {ratio:.2f} |",
            "",
        ]
    )


if __name__ == "__main__":
    print(main())
