"""Train the network of the face priors: parsing, saliency, depth and landmarks, on photos and on drawings.

    python experiments/train_priors.py --data $FORENSIC_DATA --teacher mb1_120x120.onnx --model 3ddfa.npz --out DIR

CelebAMask-HQ's 1,000 training photos have parsing masks, and foreground is all but background; 3DDFA_V2 tells their
depth and MTCNN their landmarks. Pencil filters make drawings of them. After a part of the training the network itself
parses the training photos of CUFS and FS2K; a sketch has the labels of the photo that it was drawn from. Test
photos and sketches are not read. ``--measure FILE`` prints the card's figures instead.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from drawing import draw
from face_depth import Teacher
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from training_data import training_pairs

from forensic import datasets, images
from forensic.faces import PORTRAIT, Detector, warp
from forensic.faces.priors import MIRRORED, Maps, PriorNetwork, locate, pack
from forensic.synthesis.examples import pad

PARTS = ("masked", "paired")
SIDE = 256
SIGMA = 1.5  # of a landmark's target, in cells of a heatmap
RARE = {3: 3.0, 14: 2.0, 15: 3.0, 16: 3.0, 10: 2.0, 6: 2.0, 7: 2.0, 4: 2.0, 5: 2.0, 11: 1.5, 12: 1.5, 8: 1.5, 9: 1.5}


class Items(NamedTuple):
    """Faces with their labels, in one frame.

    Attributes:
        image: uint8 (n, 3, 256, 256).
        sketch: The sketch in the same frame, uint8 (n, 3, 256, 256); empty for photos without one.
        parsing: Class of every pixel, uint8 (n, 256, 256).
        depth: uint8 (n, 256, 256).
        landmarks: In pixels, (n, 5, 2).
    """

    image: Tensor
    sketch: Tensor
    parsing: Tensor
    depth: Tensor
    landmarks: Tensor


def celebamask(folder: Path, teacher: Teacher, detector: Detector) -> Items:
    """CelebAMask-HQ's faces; a face that MTCNN does not find is left out."""
    rows = []
    for photo in sorted((folder / "photos").iterdir()):
        image = images.read(photo).image
        faces = detector.detect(image)
        if faces:
            mask = np.asarray(Image.open(folder / "masks" / f"{photo.stem}.png"))
            depth = teacher.depth(image, faces[0].landmarks)
            rows.append((_pixels(image), mask, depth, faces[0].landmarks))
    pixels, masks, depths, landmarks = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
    return Items(pixels, torch.empty(0), masks, depths, landmarks)


def pairs(data: Path, teacher: Teacher, detector: Detector) -> Items:
    """CUFS's and FS2K's training pairs, each side aligned; the parsing is still to be filled in."""
    rows = []
    for _, pair in training_pairs(data):
        photo, sketch = (images.read(path).image for path in (pair.photo, pair.sketch))
        found = [detector.detect(image) for image in (photo, sketch)]
        if all(found):
            photo, sketch = (
                warp(image, faces[0].landmarks, PORTRAIT) for image, faces in zip((photo, sketch), found, strict=True)
            )
            depth = teacher.depth(photo, PORTRAIT.landmarks.astype(np.float32))
            rows.append((_pixels(photo), _pixels(sketch), depth))
    photos, sketches, depths = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
    places = torch.from_numpy(PORTRAIT.landmarks).float().expand(len(photos), -1, -1)
    return Items(photos, sketches, torch.zeros(len(photos), SIDE, SIDE, dtype=torch.uint8), depths, places)


def _pixels(image: Image.Image) -> np.ndarray:
    return np.array(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)).transpose(2, 0, 1)


class Sampler:
    """Batches of photos and drawings, moved, toned and labelled."""

    def __init__(self, masked: Items, paired: Items, seed: int) -> None:
        self.masked, self.paired = masked, paired
        self.rng = np.random.default_rng(seed)

    def batch(self, size: int, side: int, *, with_pairs: bool) -> tuple[Tensor, Items]:
        """Faces (size, 3, side, side) in [-1, 1] and their labels at half the side."""
        faces, labels = [], []
        for _ in range(size):
            face, label = self._one(with_pairs)
            faces.append(face)
            labels.append(label)
        face = torch.stack(faces).float() / 255
        parsing, depth = (torch.stack([label[k] for label in labels])[:, None] for k in (0, 1))
        points = torch.stack([label[2] for label in labels])
        theta, mirrored = self._motions(size, side)
        grid = F.affine_grid(theta, [size, 3, side, side], align_corners=False)
        face = F.grid_sample(face, grid, padding_mode="border", align_corners=False)
        half = F.affine_grid(theta, [size, 1, side // 2, side // 2], align_corners=False)
        parsing = F.grid_sample(parsing.float(), half, mode="nearest", padding_mode="border", align_corners=False)
        depth = F.grid_sample(depth.float() / 255, half, padding_mode="border", align_corners=False)
        inverse = torch.linalg.inv(theta[:, :, :2])
        centred = 2 * points / SIDE - 1 - theta[:, None, :, 2]
        points = ((torch.einsum("nij,nkj->nki", inverse, centred) + 1) * side - 2) / 4  # in cells
        parsing = parsing[:, 0].long()
        table = torch.tensor(MIRRORED)
        parsing = torch.where(mirrored.view(-1, 1, 1), table[parsing], parsing)
        points = torch.where(mirrored.view(-1, 1, 1), points[:, [1, 0, 2, 4, 3]], points)
        return self._toned(face) * 2 - 1, Items(face, face, parsing, depth, points)

    def _one(self, with_pairs: bool) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        chance = self.rng.random()
        if with_pairs and chance < 0.35:
            k, items = self.rng.integers(len(self.paired.image)), self.paired
            face = items.sketch[k] if chance < 0.25 else items.image[k]
        else:
            k, items = self.rng.integers(len(self.masked.image)), self.masked
            face = items.image[k]
            if self.rng.random() < 0.45:
                grey = face.float().mean(dim=0, keepdim=True)[None] / 255
                face = (draw(grey, self.rng)[0] * 255).byte().expand(3, -1, -1)
        return face, (items.parsing[k], items.depth[k], items.landmarks[k])

    def _motions(self, size: int, side: int) -> tuple[Tensor, Tensor]:
        """Maps from the output square to the input square: turned, scaled, stretched, moved, mirrored."""

        def normal(deviation: float) -> Tensor:
            return torch.from_numpy(self.rng.normal(0, deviation, size)).float()

        angle, stretch = normal(0.14), normal(0.06).exp()
        zoom = torch.from_numpy(self.rng.uniform(-0.3, 0.3, size)).float().exp()
        far = torch.from_numpy(self.rng.random(size) < 0.15).float()
        zoom = zoom * (1 + far * torch.from_numpy(self.rng.uniform(0, 1.2, size)).float())
        right, down = normal(0.08) * zoom, normal(0.08) * zoom
        mirrored = torch.from_numpy(self.rng.random(size) < 0.5)
        sign = 1 - 2 * mirrored.float()
        cosine, sine = angle.cos() * zoom, angle.sin() * zoom
        rows = [
            torch.stack([cosine * stretch * sign, -sine, right], 1),
            torch.stack([sine * sign, cosine / stretch, down], 1),
        ]
        return torch.stack(rows, 1), mirrored

    def _toned(self, faces: Tensor) -> Tensor:
        n = len(faces)

        def uniform(low: float, high: float, channels: int = 1) -> Tensor:
            return torch.from_numpy(self.rng.uniform(low, high, (n, channels, 1, 1))).float()

        grey = faces.mean(dim=1, keepdim=True)
        faces = torch.lerp(faces, grey.expand_as(faces), (uniform(0, 1) < 0.3).float())
        faces = faces.clamp(1e-3, 1) ** uniform(-0.4, 0.4).exp() * uniform(0.75, 1.2) + uniform(-0.12, 0.12, 3)
        noisy = (uniform(0, 1) < 0.3).float() * uniform(0, 0.06)
        noise = torch.from_numpy(self.rng.standard_normal(faces.shape[2:])).float()
        return (faces + noisy * noise).clamp(0, 1)


def loss(maps: Maps, labels: Items, weights: Tensor) -> Tensor:
    """Cross-entropy and soft Dice of the parsing; BCE of saliency and landmarks; L1 of depth."""
    parsing = F.cross_entropy(maps.parsing, labels.parsing, weight=weights)
    likely = maps.parsing.softmax(dim=1)
    truth = F.one_hot(labels.parsing, likely.shape[1]).permute(0, 3, 1, 2).float()
    both, either = (likely * truth).sum(dim=(0, 2, 3)), (likely + truth).sum(dim=(0, 2, 3))
    present = truth.sum(dim=(0, 2, 3)) > 0
    dice = 1 - (2 * both / (either + 1))[present].mean()
    saliency = F.binary_cross_entropy_with_logits(maps.saliency[:, 0], (labels.parsing > 0).float())
    depth = F.l1_loss(maps.depth.sigmoid(), labels.depth)
    return parsing + dice + 0.3 * saliency + 2 * depth + 0.15 * _landmark_loss(maps.landmarks, labels.landmarks)


def _landmark_loss(heatmaps: Tensor, places: Tensor) -> Tensor:
    """Cross-entropy of a heatmap's softmax against a Gaussian, of the landmarks that are in the picture."""
    height, width = heatmaps.shape[2:]
    x = torch.arange(width).view(1, 1, 1, -1) - places[..., 0, None, None]
    y = torch.arange(height).view(1, 1, -1, 1) - places[..., 1, None, None]
    target = torch.exp(-(x.square() + y.square()) / (2 * SIGMA**2)).flatten(2)
    total = target.sum(dim=2, keepdim=True)
    inside = total[..., 0] > 1
    entropy = -(target / total.clamp(min=1e-6) * heatmaps.flatten(2).log_softmax(dim=2)).sum(dim=2)
    return entropy[inside].mean()


def train(masked: Items, paired: Items, minutes: float, out: Path, seed: int) -> PriorNetwork:
    """AdamW with one cycle of the learning rate over the time given; an average of the weights ships."""
    torch.manual_seed(seed)
    network = PriorNetwork().to(memory_format=torch.channels_last).train()
    average = copy.deepcopy(network).eval()
    sampler = Sampler(masked, paired, seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-3, fused=True)
    weights = torch.tensor([RARE.get(k, 1.0) for k in range(19)])
    began, step, labelled, running = time.monotonic(), 0, False, 0.0
    while (done := (time.monotonic() - began) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(done / 0.05, 0.5 * (1 + np.cos(np.pi * done))) + 1e-5
        if done > 0.35 and not labelled:
            label(average, paired)
            labelled = True
        faces, labels = sampler.batch(*((8, 256) if step % 3 == 0 else (16, 128)), with_pairs=labelled)
        value = loss(network(faces.to(memory_format=torch.channels_last)), labels, weights)
        optimizer.zero_grad()
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        keep = min(0.995, (1 + step) / (10 + step))
        for mine, theirs in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - keep)
        running = 0.98 * running + 0.02 * float(value.detach())
        step += 1
        if step % 100 == 0:
            print(f"step {step} done {done:.2f} loss {running / (1 - 0.98**step):.3f}", flush=True)
            (out / "priors.safetensors").write_bytes(pack(average))
    (out / "priors.safetensors").write_bytes(pack(average))
    return average


@torch.inference_mode()
def label(network: PriorNetwork, items: Items) -> None:
    """Fill in the parsing of photos by the network itself, averaged over the mirror image."""
    for k, image in enumerate(items.image):
        faces = torch.stack([image, image.flip(-1)]).float() / 127.5 - 1
        straight, mirrored = network(faces).parsing.softmax(dim=1)
        likely = straight + mirrored.flip(-1)[list(MIRRORED)]
        items.parsing[k] = F.interpolate(likely[None], size=(SIDE, SIDE), mode="bilinear")[0].argmax(dim=0)


@torch.inference_mode()
def measure(network: PriorNetwork, test: Items, title: str) -> None:
    """Print mIoU and pixel accuracy, the depth's error and the landmarks' against their teachers."""
    confusion = torch.zeros(19, 19, dtype=torch.long)
    depth, far = [], []
    for k in range(len(test.image)):
        maps = network(test.image[k : k + 1].float() / 127.5 - 1)
        whole = F.interpolate(maps.parsing, size=(SIDE, SIDE), mode="bilinear")
        truth, found = test.parsing[k].long(), whole.argmax(dim=1)[0]
        confusion += torch.bincount(19 * truth.flatten() + found.flatten(), minlength=361).view(19, 19)
        near = F.interpolate(maps.depth.sigmoid(), size=(SIDE, SIDE), mode="bilinear")[0, 0]
        face = test.depth[k] > 0
        depth.append((float((near - test.depth[k] / 255).abs()[face].mean()), _correlation(near, test.depth[k], face)))
        places = locate(maps.landmarks).places[0]
        eyes = (test.landmarks[k, 0] - test.landmarks[k, 1]).norm()
        far.append(float(((places - test.landmarks[k]).norm(dim=1) / eyes).mean()))
    union = confusion.sum(0) + confusion.sum(1) - confusion.diag()
    iou = confusion.diag() / union.clamp(min=1)
    print(f"{title}: mIoU {iou[union > 0].mean():.3f}, pixel accuracy {confusion.diag().sum() / confusion.sum():.3f}")
    print("  IoU by class: " + ", ".join(f"{k} {value:.2f}" for k, value in enumerate(iou.tolist())))
    error, correlation = np.mean(depth, axis=0)
    print(f"  depth: mean error {error:.3f}, correlation {correlation:.3f} on the face")
    print(f"  landmarks: median {np.median(far):.3f}, 90 % {np.quantile(far, 0.9):.3f} of the eyes' distance")


@torch.inference_mode()
def measure_pairs(network: PriorNetwork, folder: Path, detector: Detector) -> None:
    """Print how far a sketch's landmarks lie from its photo's: CUFS's test pairs are aligned."""
    far: dict[str, list[float]] = {"priors": [], "MTCNN": []}
    agree = []
    for pair in (pair for pair in datasets.pairs(folder) if pair.split == "test"):
        both = [images.read(path).image for path in (pair.photo, pair.sketch)]
        found = [detector.detect(image)[0].landmarks for image in both]
        eyes = float(np.linalg.norm(found[0][0] - found[0][1]))
        far["MTCNN"].append(float(np.linalg.norm(found[0] - found[1], axis=1).mean()) / eyes)
        maps = network(images.to_tensor([pad(image) for image in both]))
        places = locate(maps.landmarks).places
        far["priors"].append(float((places[0] - places[1]).norm(dim=1).mean()) / eyes)
        photo, sketch = maps.parsing.argmax(dim=1)
        agree.append(float((photo == sketch).float().mean()))
    for name, values in far.items():
        print(
            f"CUFS test, sketch to photo, {name}: median {np.median(values):.3f}, 90 % {np.quantile(values, 0.9):.3f}"
        )
    print(f"CUFS test: {np.mean(agree):.3f} of the pixels have one class in sketch and photo")


def _correlation(near: Tensor, depth: Tensor, face: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([near[face], depth[face].float()]))[0, 1])


def main() -> None:
    """Train, or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/priors"))
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", type=Path, help="weights to measure on the test faces; nothing is trained")
    options = parser.parse_args()
    teacher, detector = Teacher(options.teacher, options.model), Detector()
    if options.measure:
        from forensic.faces import priors

        network = priors.read(options.measure, "")
        test = celebamask(options.data / "celebamask" / "test", teacher, detector)
        measure(network, test, "CelebAMask-HQ test")
        measure_pairs(network, options.data / "cufs", detector)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    cache = options.out / "items.safetensors"
    if cache.exists():
        kept = load_file(cache)
        masked, paired = (Items(**{name: kept[f"{part}.{name}"] for name in Items._fields}) for part in PARTS)
    else:
        masked = celebamask(options.data / "celebamask" / "train", teacher, detector)
        paired = pairs(options.data, teacher, detector)
        parts = zip(PARTS, (masked, paired), strict=True)
        save_file({f"{part}.{name}": rows for part, items in parts for name, rows in items._asdict().items()}, cache)
    print(f"{len(masked.image)} photos with masks, {len(paired.image)} pairs", flush=True)
    train(masked, paired, options.minutes, options.out, options.seed)


if __name__ == "__main__":
    main()
