"""Train the default embedder: a MobileFaceNet that knows drawings, and its head.

    python experiments/train_embedder.py --start mobilefacenet.pt --data DATA --out DIR [--fold K]

(With glibc, MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 before it halves the time.)

Two steps, both on training identities of CUFS and FS2K alone:

1. **Adaptation.** The trunk starts from a face embedder trained on photos, which stays beside it, frozen, as the
   teacher. The teacher's features of every training photo are the bank. Drawings, and the photos themselves, are
   pulled to their own photo's entry by a margin softmax over the bank (Wang et al. 2018, CosFace, Eq. 4), so that
   a photo is described as before and a drawing as its photo. Batch-normalisation statistics stay frozen.
2. **Head.** Each modality's mean is removed, then a regularized LDA separates people (``recognition/lda.py``).

``--fold K`` leaves a fifth of the training identities out, and prints how they are recognised: settings are
chosen by that. Without it, the weights that ship are trained on all of them. Test identities are never read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from forensic import datasets, images, weights
from forensic.faces import CROP, Face, Finder, warp
from forensic.recognition import embedding
from forensic.recognition.lda import RegularizedLDA
from forensic.recognition.mobilefacenet import MobileFaceNet

TEACHER_SHA256 = "90a00ba1d8b0b688af3deb731ed53dca582e6106805d1bc3cfdef55f570493f4"
SCALE, MARGIN = 32.0, 0.2
PAIRS, DRAWN, KEPT = 20, 12, 8
"""A batch: artists' sketches, photos drawn by a filter, photos as they are."""
JITTER = 0.03
"""Standard deviation of a landmark's place in units of the eyes' distance; found landmarks differ by .05."""


class Faces:
    """Images with their landmarks, cropped anew each time, so that alignment errors are part of training."""

    def __init__(self, files: list[Path], finder: Finder) -> None:
        found = finder.find(images.read(file).image for file in files)
        self.kept = [k for k, face in enumerate(found) if not isinstance(face, Exception)]
        self.items = [face for face in found if not isinstance(face, Exception)]

    def crops(self, chosen: list[int] | None = None, rng: np.random.Generator | None = None) -> list[Image.Image]:
        """112 x 112 crops, of jittered landmarks where ``rng`` is given."""
        return [_crop(self.items[k].image, self.items[k].face, rng) for k in (chosen or range(len(self.items)))]


def _crop(image: Image.Image, face: Face, rng: np.random.Generator | None) -> Image.Image:
    landmarks = face.landmarks
    if rng is not None:
        eyes = float(np.linalg.norm(landmarks[1] - landmarks[0]))
        landmarks = landmarks + rng.normal(0, JITTER * eyes, landmarks.shape) + rng.normal(0, 0.5 * JITTER * eyes, 2)
    return warp(image, landmarks, CROP)


def draw(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A pencil drawing of a photo by dodging, with a radius of its own: further hands than the data sets' artists."""
    grey = photo.convert("L")
    blurred = np.asarray(grey.filter(ImageFilter.GaussianBlur(rng.uniform(1.5, 6)))).astype(np.float32)
    pixels = np.asarray(grey).astype(np.float32)
    dodged = np.clip(255 * (pixels + 8) / (blurred + 8), 0, 255)
    mixed = dodged * (1 - (shade := rng.uniform(0, 0.4))) + pixels * shade
    return Image.fromarray(np.clip(255 * (mixed / 255) ** rng.uniform(1, 3), 0, 255).astype(np.uint8)).convert("RGB")


def disturb(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Paper tone, contrast, blur of a batch (n, 3, 112, 112) in [-1, 1], and a mirror image half of the time."""
    n = len(crops)
    contrast = torch.from_numpy(rng.uniform(0.6, 1.1, (n, 1, 1, 1))).float()
    tone = torch.from_numpy(rng.uniform(-0.25, 0.25, (n, 1, 1, 1))).float()
    crops = (crops * contrast + tone).clamp(-1, 1)
    if rng.random() < 0.3:
        crops = nn.functional.avg_pool2d(crops, 3, 1, 1)
    mirrored = torch.from_numpy(rng.random(n) < 0.5)
    return torch.where(mirrored.view(-1, 1, 1, 1), crops.flip(-1), crops)


def grey(crops: list[Image.Image]) -> Tensor:
    """Crops as the trunk takes them: grey, scaled as the teacher was trained."""
    weight = torch.tensor(embedding.LUMINANCE).view(1, 3, 1, 1)
    return (images.to_tensor(crops) * weight).sum(1, keepdim=True).expand(-1, 3, -1, -1) * (127.5 / 128.0)


@torch.inference_mode()
def describe(trunk: nn.Module, crops: list[Image.Image]) -> Tensor:
    """Unit features, mirror images averaged, shape (n, 128)."""
    batches = torch.split(grey(crops).contiguous(memory_format=torch.channels_last), 8)
    return torch.cat([normalize(normalize(trunk(batch)) + normalize(trunk(batch.flip(-1)))) for batch in batches])


def adapt(teacher: nn.Module, photos: Faces, sketches: Faces, others: Faces, steps: int, seed: int) -> nn.Module:
    """Step 1: the adapted trunk."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    bank = describe(teacher, photos.crops() + others.crops()).clone()
    student = MobileFaceNet().to(memory_format=torch.channels_last)  # twice as fast on a CPU
    student.load_state_dict(teacher.state_dict())
    student.eval()  # batch-normalisation statistics stay the teacher's
    optimizer = torch.optim.AdamW(student.parameters(), lr=2e-4, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-4, total_steps=steps, pct_start=0.1)
    n, m = len(photos.items), len(others.items)
    started = time.time()
    for step in range(steps):
        pairs, drawn, kept = (
            rng.integers(0, n, PAIRS).tolist(),
            rng.integers(0, n + m, DRAWN).tolist(),
            rng.integers(0, n + m, KEPT).tolist(),
        )
        crops = sketches.crops(pairs, rng)
        pool = [(photos if k < n else others).crops([k if k < n else k - n], rng)[0] for k in drawn + kept]
        crops += [draw(photo, rng) for photo in pool[: len(drawn)]] + pool[len(drawn) :]
        target = torch.tensor(pairs + drawn + kept)
        features = student(disturb(grey(crops), rng).contiguous(memory_format=torch.channels_last))
        cosines = normalize(features) @ bank.T
        margins = torch.zeros_like(cosines).scatter_(1, target[:, None], MARGIN)
        loss = cross_entropy(SCALE * (cosines - margins), target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if step % 10 == 0:
            print(
                f"step {step}/{steps} loss {loss.item():.3f} {(time.time() - started) / (step + 1):.2f} s/step",
                flush=True,
            )
    return student.eval()


def fit_head(photos: Tensor, sketches: Tensor, shrinkage: float, dimensions: int) -> embedding.Head:
    """Step 2: modality means and a regularized LDA, one class a person."""
    means: dict[embedding.Modality, Tensor] = {"photo": photos.mean(0), "sketch": sketches.mean(0)}
    rows = torch.cat([photos - means["photo"], sketches - means["sketch"]]).double().numpy()
    people = np.tile(np.arange(len(photos)), 2)
    lda = RegularizedLDA(dimensions, shrinkage=shrinkage).fit(rows, people)
    return embedding.Head(means, torch.from_numpy(lda.projection_).float())


def project(features: Tensor, modality: embedding.Modality, head: embedding.Head) -> Tensor:
    """What the embedder's head makes of features."""
    return normalize((features - head.means[modality]) @ head.projection)


def rank_one(sketches: Tensor, photos: Tensor) -> float:
    """Share of sketches whose own photo (same row) is the most similar."""
    return float((sketches @ photos.T).argmax(1).eq(torch.arange(len(photos))).float().mean())


def main() -> None:
    """Train, and report on the held-out identities or write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="mobilefacenet.pt")
    parser.add_argument("--data", type=Path, required=True, help="folder with cufs, fs2k and celebamask")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--shrinkage", type=float, default=1.0)
    parser.add_argument("--dimensions", type=int, default=127)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fold", type=int, choices=range(5), help="leave this fifth of the identities out and report")
    options = parser.parse_args()

    if hashlib.sha256(options.start.read_bytes()).hexdigest() != TEACHER_SHA256:
        parser.error(f"{options.start} is not the checkpoint that this script starts from")
    teacher = MobileFaceNet()
    teacher.load_state_dict(torch.load(options.start, map_location="cpu", weights_only=True))
    teacher.eval().to(memory_format=torch.channels_last)

    finder = Finder()
    pairs = [pair for name in ("cufs", "fs2k") for pair in datasets.pairs(options.data / name) if pair.split == "train"]
    random.Random(0).shuffle(pairs)
    sketches, photos = Faces([p.sketch for p in pairs], finder), Faces([p.photo for p in pairs], finder)
    both = sorted(set(sketches.kept) & set(photos.kept))
    sketches.items = [sketches.items[sketches.kept.index(k)] for k in both]
    photos.items = [photos.items[photos.kept.index(k)] for k in both]
    held = [j for j in range(len(both)) if options.fold is not None and j % 5 == options.fold]
    sources = np.array([pairs[k].photo.parts[-3] for k in both])
    others = Faces(sorted((options.data / "celebamask" / "train" / "photos").glob("*")), finder)
    print(f"{len(both)} pairs, {len(held)} of them held out, {len(others.items)} further photos", flush=True)

    held_photos, held_sketches = photos.crops(held) if held else [], sketches.crops(held) if held else []
    kept = [j for j in range(len(both)) if j not in set(held)]
    sketches.items, photos.items = [sketches.items[j] for j in kept], [photos.items[j] for j in kept]
    trunk = adapt(teacher, photos, sketches, others, options.steps, options.seed) if options.steps else teacher

    options.out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, object] = {}
    features = {
        name: (describe(net, photos.crops()), describe(net, sketches.crops()))
        for name, net in (("teacher", teacher), ("adapted", trunk))
    }
    for name, net in (("teacher", teacher), ("adapted", trunk)) if held else ():
        photo, sketch = describe(net, held_photos), describe(net, held_sketches)
        for source in ("cufs", "fs2k"):
            of = torch.from_numpy(sources[held] == source)
            figures[f"{name} {source} cosine"] = rank_one(sketch[of], photo[of])
            for shrinkage in (0.3, 1.0, 3.0, 10.0, 30.0):
                for dimensions in (64, 96, 127):
                    head = fit_head(*features[name], shrinkage, dimensions)
                    figures[f"{name} {source} lda {shrinkage} {dimensions}"] = rank_one(
                        project(sketch[of], "sketch", head), project(photo[of], "photo", head)
                    )
    if held:
        print(json.dumps(figures, indent=1))
        (options.out / f"fold{options.fold}.json").write_text(json.dumps(figures, indent=1))
        torch.save({"trunk": trunk.state_dict()}, options.out / "fold.pt")
        return
    head = fit_head(*features["adapted"], options.shrinkage, options.dimensions)
    file = options.out / f"{embedding.DEFAULT}.safetensors"
    weights.write_bytes(file, embedding.pack(trunk.state_dict(), "mobilefacenet", head))
    print(f"{file}: {file.stat().st_size:,} bytes, SHA-256 {weights.sha256(file)}")


if __name__ == "__main__":
    main()
