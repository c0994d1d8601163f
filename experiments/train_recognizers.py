"""Train the two embedders that ship: a MobileFaceNet that knows drawings, and discriminant patches of gradients.

    python experiments/train_recognizers.py --start mobilefacenet.pt --data DATA --out OUT --runs all:0,cuhk:0,fs2k:0

(With glibc, MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 before it halves the time.)

A run is SOURCE:SEED. ``all`` learns from every source and is what ships; ``cuhk``, ``ar``, ``xm2vts``, ``fs2k`` and
``cufs`` leave that source out and print how its training identities are recognised among all training photos:
settings were chosen by that. Test identities are never read. Each run writes a folder of weights that the toolkit
takes in place of the shipped ones: ``FORENSIC_WEIGHTS=OUT/cuhk-0 forensic evaluate --subset cuhk ...``. What each
augmentation adds is found by ``--without`` it.

What is learnt from: the pairs of CUFS's training split, those of FS2K's that are training pairs both officially and
in the identity-disjoint re-split, and CelebAMask-HQ's training photos, which have no sketch: filters draw them anew.

1. **Trunk** (MobileFaceNet). It starts from a face embedder trained on photos, which stays beside it, frozen, as the
   teacher. The teacher's features of the photos are the bank; sketches, drawn photos and photos are pulled to their
   own photo's entry by a margin softmax over the bank (Wang et al., CosFace, 2018, Eq. 4). Batch-normalisation
   statistics stay frozen.
2. **Heads** of both embedders. Each modality's mean is removed, then a regularized LDA separates people.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from drawing import Camera, Filters, Hand, bend, disturb
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from training_data import training_pairs

from forensic import images, weights
from forensic.backbones.mobilefacenet import MobileFaceNet
from forensic.faces import CROP, Finder
from forensic.faces.align import Frame, warp
from forensic.parallel import workers
from forensic.recognition import embedding, patches
from forensic.recognition.lda import RegularizedLDA

TEACHER_SHA256 = "90a00ba1d8b0b688af3deb731ed53dca582e6106805d1bc3cfdef55f570493f4"
SCALE, MARGIN = 32.0, 0.2
PAIRS, DRAWN, KEPT = 20, 14, 6
"""A batch: artists' sketches, photos drawn by a filter, photos as they are."""
EXAGGERATION = 4.0
CUFS = ("cuhk", "ar", "xm2vts")
AUGMENTATIONS = ("drawings", "tone", "exaggeration", "misalignment")
WIDE = Frame(160, CROP.landmarks + 24.0)
"""The crop with a margin, for other alignments to be cut from."""
COMPONENTS = 2500
"""Principal components of patches before LDA: nearly all that the samples span."""

Floats = NDArray[np.float32]


class Faces(NamedTuple):
    """Images that are learnt from, row by row.

    Attributes:
        sources: ``cuhk``, ``ar``, ``xm2vts``, ``fs2k`` or ``celebamask``.
        people: Who it is.
        wide: Grey faces with a margin, shape (n, 160, 160), uint8.
        portraits: Grey heads, shape (n, 128, 128), uint8.
    """

    sources: NDArray[np.str_]
    people: NDArray[np.str_]
    wide: NDArray[np.uint8]
    portraits: NDArray[np.uint8]

    def of(self, chosen: NDArray[np.generic]) -> Faces:
        """Some of the rows."""
        return Faces(*(column[chosen] for column in self))


def read(data: Path) -> tuple[Faces, Faces, Faces]:
    """Sketches, their photos (same rows), and further photos."""
    sources, pairs = zip(*training_pairs(data), strict=True)
    people = [pair.person for pair in pairs]
    others = sorted((data / "celebamask" / "train" / "photos").glob("*"))
    sketches = _cut([pair.sketch for pair in pairs], sources, people)
    photos = _cut([pair.photo for pair in pairs], sources, people)
    both = np.array([a is not None and b is not None for a, b in zip(sketches, photos, strict=True)])
    print(f"{both.sum()} pairs of {len(set(people))} people, {len(others)} further photos", flush=True)
    further = _cut(others, ["celebamask"] * len(others), [file.stem for file in others])
    return (
        _stack([row for row, kept in zip(sketches, both, strict=True) if kept]),
        _stack([row for row, kept in zip(photos, both, strict=True) if kept]),
        _stack(further),
    )


def _cut(files: list[Path], sources: Sequence[str], people: list[str]) -> list[tuple[object, ...] | None]:
    finder = Finder()

    def one(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
        (face,) = finder.find([images.read(file).image])
        if isinstance(face, Exception):
            print(f"left out: {file.name}: {face}", flush=True)
            return None
        cuts = (warp(face.image, face.face.landmarks, frame).convert("L") for frame in (WIDE, patches.FRAME))
        wide, portrait = map(np.asarray, cuts)
        return wide, portrait

    with workers() as pool:
        found = list(pool.map(one, files))
    return [f and (s, p, *f) for f, s, p in zip(found, sources, people, strict=True)]


def _stack(rows: list[tuple[object, ...] | None]) -> Faces:
    return Faces(*(np.array(column) for column in zip(*filter(None, rows), strict=True)))


def floats(pixels: NDArray[np.uint8]) -> Tensor:
    """Grey images (n, 1, h, w) in [0, 1]."""
    return torch.from_numpy(pixels.astype(np.float32) / 255)[:, None]


def middle(wide: Tensor) -> Tensor:
    """The 112 x 112 crops of wide ones."""
    return wide[..., 24:136, 24:136]


def prepared(crops: Tensor) -> Tensor:
    """Crops as the trunk takes them: three equal channels, scaled as the teacher was trained."""
    return ((crops * 255 - 127.5) / 128).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def features(trunk: nn.Module, crops: Tensor) -> Floats:
    """Unit features, mirror images averaged, shape (n, 128)."""
    rows = []
    for some in torch.split(crops, 8):
        both = trunk(prepared(torch.cat([some, some.flip(-1)])))
        rows.append(normalize(normalize(both).view(2, len(some), -1).sum(0)))
    found: Floats = torch.cat(rows).numpy()
    return found


@torch.inference_mode()
def gradients(portraits: Tensor) -> Floats:
    """Unit patch features, shape (n, PatchGradients.dimension)."""
    trunk = patches.PatchGradients()
    parts = [normalize(trunk(some.expand(-1, 3, -1, -1) * 2 - 1)) for some in torch.split(portraits, 64)]
    found: Floats = torch.cat(parts).numpy()
    return found


def augmented(images: Tensor, rng: np.random.Generator, without: frozenset[str], exaggeration: float = 0.0) -> Tensor:
    """Crops of wide images as another alignment, paper and hand would give them."""
    bent = 0.0 if "exaggeration" in without else exaggeration
    crops = middle(images) if "misalignment" in without else bend(images, rng, out=CROP.size, exaggeration=bent)
    return crops if "tone" in without else disturb(crops.clone(), rng)


class Lesson(NamedTuple):
    """What is learnt from, and how.

    Attributes:
        sketches: Artists' sketches.
        photos: What they show, row by row.
        others: Photos without a sketch.
        hand: Who draws photos anew; None is nobody.
        steps: Steps of the trunk; with 0 it stays the teacher's.
        seed: Decides batches, augmentation and filters.
        without: Names of augmentations that are left out.
    """

    sketches: Faces
    photos: Faces
    others: Faces
    hand: Hand | None
    steps: int
    seed: int
    without: frozenset[str] = frozenset()


def adapt(teacher: nn.Module, lesson: Lesson) -> nn.Module:
    """Step 1: the adapted trunk; without a hand, of photos as they are in place of drawings."""
    sketches, photos, others, hand, steps, seed, without = lesson
    hand = hand or Camera()
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    pool = floats(np.concatenate([photos.wide, others.wide]))
    people = np.concatenate([photos.people, others.people])
    bank = torch.from_numpy(features(teacher, middle(pool)))
    # Another photo of the same person is no wrong answer.
    same = torch.from_numpy((people[:, None] == people[None]) & ~np.eye(len(people), dtype=bool))
    student = MobileFaceNet().to(memory_format=torch.channels_last)  # twice as fast on a CPU
    student.load_state_dict(teacher.state_dict())
    student.eval()  # batch-normalisation statistics stay the teacher's
    optimizer = torch.optim.AdamW(student.parameters(), lr=2e-4, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-4, total_steps=steps, pct_start=0.1)
    # Hands count by the root of their sketches: else the largest source would be nearly all.
    sizes = {source: int((sketches.sources == source).sum()) for source in set(sketches.sources.tolist())}
    shares = np.array([sizes[source] ** -0.5 for source in sketches.sources.tolist()])
    first = 0 if hand.draws_pairs else len(photos.wide)
    started, smooth = time.time(), 0.0
    for step in range(steps):
        pairs = rng.choice(len(sketches.wide), PAIRS, p=shares / shares.sum())
        drawn, kept = rng.integers(first, len(pool), DRAWN), rng.integers(0, len(pool), KEPT)
        drawings = torch.cat([floats(sketches.wide[pairs]), hand(pool, drawn.tolist(), rng)])
        crops = torch.cat([augmented(drawings, rng, without, EXAGGERATION), augmented(pool[kept], rng, without)])
        target = torch.from_numpy(np.concatenate([pairs, drawn, kept]))
        cosines = normalize(student(prepared(crops))) @ bank.T
        cosines = cosines.masked_fill(same[target], -1)
        margins = torch.zeros_like(cosines).scatter_(1, target[:, None], MARGIN)
        loss = cross_entropy(SCALE * (cosines - margins), target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        smooth = loss.item() if step == 0 else 0.97 * smooth + 0.03 * loss.item()
        if step % 50 == 0:
            print(
                f"step {step}/{steps} loss {smooth:.3f} {(time.time() - started) / (step + 1):.2f} s/step", flush=True
            )
    return student


class Samples(NamedTuple):
    """Features that a head is fitted to."""

    sketches: Floats
    photos: Floats
    people: NDArray[np.str_]
    """Of sketches and photos, row by row."""
    drawings: Floats | None = None
    drawn: NDArray[np.str_] | None = None
    """Of the drawings, whose last rows are of the further photos."""
    further: Floats | None = None


def fit_head(samples: Samples, *, dimensions: int, shrinkage: float) -> embedding.Head:
    """Step 2: modality means and a regularized LDA, one class a person.

    Filters' drawings have a mean of their own, which is removed from them; the head's mean is the artists'.
    """
    means: dict[embedding.Modality, Tensor] = {
        "photo": torch.from_numpy(samples.photos.mean(0)),
        "sketch": torch.from_numpy(samples.sketches.mean(0)),
    }
    parts = [(samples.photos, samples.people), (samples.sketches, samples.people)]
    if samples.drawings is not None and samples.further is not None and samples.drawn is not None:
        parts += [(samples.drawings, samples.drawn), (samples.further, samples.drawn[-len(samples.further) :])]
    rows = np.concatenate([features - features.mean(0) for features, _ in parts])
    people = np.concatenate([names for _, names in parts])
    basis = principal(rows)
    available = min(dimensions, len(set(people.tolist())) - 1, basis.shape[1])
    lda = RegularizedLDA(available, shrinkage=shrinkage).fit(rows @ basis, people)
    return embedding.Head(means, torch.from_numpy(basis @ lda.projection_.astype(np.float32)))


def principal(rows: Floats) -> Floats:
    """An orthonormal basis (d, k) of the rows' principal components; all of them where there are few dimensions."""
    if rows.shape[1] <= COMPONENTS:
        return np.eye(rows.shape[1], dtype=np.float32)
    variances, axes = np.linalg.eigh(rows @ rows.T)  # in the space of the samples, which are fewer
    kept = np.argsort(-variances)[: min(COMPONENTS, int(np.sum(variances > 1e-6 * variances.max())))]
    basis: Floats = rows.T @ (axes[:, kept] / np.sqrt(variances[kept]))
    return basis


def project(features: Floats, modality: embedding.Modality, head: embedding.Head) -> Floats:
    """What an embedder's head makes of features."""
    templates: Floats = normalize((torch.from_numpy(features) - head.means[modality]) @ head.projection).numpy()
    return templates


def hits(scores: NDArray[np.floating], probes: NDArray[np.str_], gallery: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Whether the most similar photo of each probe shows the same person."""
    right: NDArray[np.bool_] = gallery[scores.argmax(1)] == probes
    return right


class View(NamedTuple):
    """How an embedder looks at the faces that it learns from, and how its head is fitted."""

    pixels: Callable[[Faces], Tensor]
    features: Callable[[Tensor], Floats]
    dimensions: int
    shrinkage: float

    def of(self, faces: Faces) -> Floats:
        """Features of faces as they are."""
        return self.features(self.pixels(faces))


def samples_of(view: View, lesson: Lesson, rng: np.random.Generator) -> Samples:
    """Features of pairs, of further photos, and of a hand's drawings; without a hand, of pairs alone."""
    photos, others, hand = lesson.photos, lesson.others, lesson.hand
    pairs = Samples(view.of(lesson.sketches), view.of(photos), photos.people)
    if hand is None:
        return pairs
    pixels, people = torch.cat([view.pixels(photos), view.pixels(others)]), [*photos.people, *others.people]
    rows = range(0 if hand.draws_pairs else len(photos.people), len(people))
    drawings = view.features(hand(pixels, rows, rng))
    return pairs._replace(drawings=drawings, drawn=np.array(people)[list(rows)], further=view.of(others))


def learn(teacher: nn.Module, lesson: Lesson) -> tuple[nn.Module, dict[str, View], dict[str, embedding.Head]]:
    """Both steps: the trunk, and both embedders' views and heads by architecture."""
    trunk = adapt(teacher, lesson) if lesson.steps else teacher
    views = {
        "mobilefacenet": View(lambda faces: floats(faces.wide), lambda x: features(trunk, middle(x)), 127, 1.0),
        "patch-gradients": View(lambda faces: floats(faces.portraits), gradients, 500, 0.3),
    }
    heads, rng = {}, np.random.default_rng(lesson.seed)
    for name, view in views.items():
        samples = samples_of(view, lesson, rng)
        heads[name] = fit_head(samples, dimensions=view.dimensions, shrinkage=view.shrinkage)
    return trunk, views, heads


def sources_of(left: str) -> tuple[str, ...]:
    """The sources that a run leaves out."""
    return CUFS if left == "cufs" else (left,)


def run(teacher: nn.Module, everything: tuple[Faces, Faces, Faces], left: str, options: argparse.Namespace) -> None:
    """One run: train, report on the source that was left out, write the weights."""
    sketches, photos, others = everything
    source, _, text = left.partition(":")
    seed, without = int(text or 0), frozenset(options.without)
    fitting = ~np.isin(sketches.sources, sources_of(source))
    hand = None if "drawings" in without else Filters()
    lesson = Lesson(sketches.of(fitting), photos.of(fitting), others, hand, options.steps, seed, without)
    trunk, views, heads = learn(teacher, lesson)
    if not fitting.all():
        report(left, views, heads, sketches.of(~fitting), photos, others)
    folder = options.out / f"{source}-{seed}"
    os.environ["FORENSIC_WEIGHTS"] = str(folder)
    for name, architecture, network in (
        (embedding.DEFAULT, "mobilefacenet", trunk),
        (embedding.PATCHES, "patch-gradients", patches.PatchGradients()),
    ):
        content = embedding.pack(network.state_dict(), architecture, heads[architecture])
        entry = weights.install(name, embedding.KIND, content, {})
        print(f"{entry.path}: {len(content):,} bytes, SHA-256 {entry.sha256}", flush=True)


def report(
    left: str,
    views: Mapping[str, View],
    heads: Mapping[str, embedding.Head],
    held: Faces,
    photos: Faces,
    others: Faces,
) -> None:
    """How the left-out sketches find their people among all training photos."""
    for name, found in searched(views, heads, held, photos, others).items():
        print(f"{left} {name}: rank-1 {found.mean():.4f}", flush=True)


def searched(
    views: Mapping[str, View], heads: Mapping[str, embedding.Head], held: Faces, photos: Faces, others: Faces
) -> dict[str, NDArray[np.bool_]]:
    """Whether each left-out sketch finds its person: by each embedder with its head and without, and by both, 1 : 2."""
    people = np.concatenate([photos.people, others.people])
    scores = {}
    for name, view in views.items():
        probes, gallery = view.of(held), np.concatenate([view.of(photos), view.of(others)])
        scores[f"{name}, cosine"] = probes @ gallery.T
        scores[name] = project(probes, "sketch", heads[name]) @ project(gallery, "photo", heads[name]).T
    scores["both"] = scores["mobilefacenet"] + 2 * scores["patch-gradients"]
    return {name: hits(some, held.people, people) for name, some in scores.items()}


def teacher_from(checkpoint: Path) -> nn.Module:
    """The embedder that training starts from."""
    if hashlib.sha256(checkpoint.read_bytes()).hexdigest() != TEACHER_SHA256:
        raise SystemExit(f"{checkpoint} is not the checkpoint that this script starts from")
    teacher = MobileFaceNet()
    teacher.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True))
    return teacher.eval().to(memory_format=torch.channels_last)


def main() -> None:
    """Make all runs that were asked for; faces are found once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="mobilefacenet.pt")
    parser.add_argument("--data", type=Path, required=True, help="folder with cufs, fs2k and celebamask")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", default="all:0", help="SOURCE:SEED, with commas between")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--without", choices=AUGMENTATIONS, action="append", default=[], help="leave these out")
    options = parser.parse_args()
    teacher = teacher_from(options.start)
    everything = read(options.data)
    for left in options.runs.split(","):
        run(teacher, everything, left, options)


if __name__ == "__main__":
    main()
