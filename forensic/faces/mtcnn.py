"""MTCNN's cascade: squares of all sizes are proposed, refined, and the last of them give boxes and landmarks.

Zhang, Zhang, Li, Qiao: Joint Face Detection and Alignment Using Multi-task Cascaded Convolutional Networks, IEEE
Signal Processing Letters 2016. Rounding and the ends of boxes are those of facenet-pytorch, whose weights these are and
whose answers it gives (`tests/faces/test_mtcnn.py`), in half the time: all squares are cut at once, by a table of sums,
and the networks' features lie in memory as a CPU's convolutions want them. ``docs/results/speed.md`` has the figures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from forensic import weights
from forensic.backbones.mtcnn import ONet, PNet, RNet

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Sums = NDArray[np.int32]

NAME = "mtcnn"
"""What the weights are called."""
CELL, STRIDE = 12, 2
"""Side of the squares that the first network looks at, and the step between them, in pixels."""
FACTOR = 0.709
"""From one image of the pyramid to the next smaller: half the area."""
SAME, SAME_SCALE = 0.7, 0.5
"""Overlap above which two squares show one face, and within one image of the pyramid."""
BATCH = 512
"""Squares that a network looks at together; it bounds memory."""


class Found(NamedTuple):
    """Faces of an image.

    Attributes:
        boxes: Left, top, right, bottom, in pixels, (n, 4).
        landmarks: Left eye as seen in the image, right eye, nose, mouth corners left and right, in pixels, (n, 5, 2).
        scores: 0 to 1, (n,).
    """

    boxes: Floats
    landmarks: Floats
    scores: Floats


class Cascade:
    """The three networks; safe to share between threads.

    Args:
        device: Where to run, as torch names it.

    Raises:
        ModelError: The weights are missing or are not the known ones.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        networks = PNet(), RNet(), ONet()
        states, _ = weights.read(weights.verified(weights.shipped(NAME)))
        for network, name in zip(networks, ("pnet", "rnet", "onet"), strict=True):
            own = {key.removeprefix(f"{name}."): value for key, value in states.items() if key.startswith(f"{name}.")}
            weights.fit(network, own, f"MTCNN's weights do not fit {name}")
            network.requires_grad_(False).eval().to(device).to(memory_format=torch.channels_last)
        self._pnet, self._rnet, self._onet = networks

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8], thresholds: tuple[float, float, float], smallest: int) -> Found:
        """Faces of one image.

        Args:
            image: (h, w, 3).
            thresholds: How sure each network has to be, 0 to 1.
            smallest: Side of the smallest face to look for, in pixels.
        """
        sums = _sums(image)
        boxes = self._propose(sums, thresholds[0], smallest)
        (scores, moves), boxes = self._look(self._rnet, sums, boxes)
        sure = scores > thresholds[1]
        boxes, scores, moves = boxes[sure], scores[sure], moves[sure]
        kept = suppress(boxes, scores, SAME)
        boxes = squared(moved(boxes[kept], moves[kept]))

        (scores, moves, points), boxes = self._look(self._onet, sums, boxes)
        sure = scores > thresholds[2]
        boxes, scores, moves, points = boxes[sure], scores[sure], moves[sure], points[sure]
        corners, sides = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None] + 1
        landmarks = points.reshape(-1, 2, 5).transpose(0, 2, 1) * sides + corners - 1
        boxes = moved(boxes, moves)
        kept = suppress(boxes, scores, SAME, within=True)
        return Found(boxes[kept], np.ascontiguousarray(landmarks[kept]), scores[kept])

    def _propose(self, sums: Sums, threshold: float, smallest: int) -> Floats:
        """Squares that may hold a face, of all sizes."""
        height, width = (side - 1 for side in sums.shape[:2])
        scale = CELL / smallest
        boxes, scores, moves = [], [], []
        while min(height, width) * scale >= CELL:
            size = int(height * scale + 1), int(width * scale + 1)
            probability, sides = self._run(self._pnet, _areas(sums, np.array([[0, 0, width, height]]), size))
            row, column = np.nonzero(probability[0] >= threshold)
            corner = STRIDE * np.stack([column, row], axis=1).astype(np.float32)
            near, far = (np.floor((corner + step) / np.float32(scale)) for step in (1, CELL))
            box, score = np.concatenate([near, far], axis=1), probability[0, row, column]
            kept = suppress(box, score, SAME_SCALE)
            boxes.append(box[kept])
            scores.append(score[kept])
            moves.append(sides[0][:, row, column].T[kept])
            scale *= FACTOR
        if not boxes:
            return np.empty((0, 4), np.float32)
        box, score, move = np.concatenate(boxes), np.concatenate(scores), np.concatenate(moves)
        kept = suppress(box, score, SAME)
        box, move = box[kept], move[kept]
        return squared(box + move * np.tile(box[:, 2:] - box[:, :2], 2))

    def _look(self, network: RNet | ONet, sums: Sums, boxes: Floats) -> tuple[list[Floats], Floats]:
        """What a network says of the squares, and those of them that lie in the image at all."""
        height, width = (side - 1 for side in sums.shape[:2])
        # The first pixel has the number 1 here, and a box's sides belong to it.
        near = np.maximum(boxes[:, :2].astype(np.int64), 1) - 1
        far = np.minimum(boxes[:, 2:].astype(np.int64), [width, height])
        inside = (far > near).all(axis=1)
        cut = np.concatenate([near, far], axis=1)[inside]
        return self._run(network, _areas(sums, cut, (network.side, network.side))), boxes[inside]

    def _run(self, network: nn.Module, squares: Floats) -> list[Floats]:
        """A network's answers on pixels (n, h, w, 3) of 0 to 255."""
        batch = torch.from_numpy((squares - np.float32(127.5)) * np.float32(1 / 128)).permute(0, 3, 1, 2)
        answers = [network(part.to(self._device)) for part in torch.split(batch, BATCH)]
        return [torch.cat(parts).cpu().numpy() for parts in zip(*answers, strict=True)]


def suppress(boxes: Floats, scores: Floats, most: float, *, within: bool = False) -> Ints:
    """Non-maximum suppression: boxes that overlap no surer one that is kept, the surest first.

    Args:
        boxes: Left, top, right, bottom, (n, 4).
        scores: (n,).
        most: Intersection over union, 0 to 1, above which two boxes show one face.
        within: Take the intersection over the smaller box, with sides that belong to the boxes.

    Returns:
        Indices, shape (kept,).
    """
    edge = np.float32(within)
    low, high = boxes[:, :2], boxes[:, 2:] + edge
    areas = (high - low).prod(axis=1)
    left, kept = np.argsort(-scores, kind="stable"), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        sides = np.minimum(high[best], high[left]) - np.maximum(low[best], low[left])
        common = np.maximum(sides, 0).prod(axis=1)
        either = np.minimum(areas[best], areas[left]) if within else areas[best] + areas[left] - common
        left = left[common <= np.float32(most) * either]
    return np.array(kept, np.int64)


def moved(boxes: Floats, moves: Floats) -> Floats:
    """Boxes whose sides are moved by shares of the boxes' own sides."""
    return boxes + moves * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)


def squared(boxes: Floats) -> Floats:
    """Squares around the boxes' middles, as large as their longer sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longer = sides.max(axis=1, keepdims=True)
    corners = boxes[:, :2] + sides / 2 - longer / 2
    return np.concatenate([corners, corners + longer], axis=1)


def _sums(image: NDArray[np.uint8]) -> Sums:
    """Sums of all that lies above and left of each pixel's corner, (h + 1, w + 1, 3).

    They may run over: differences come out right for parts of up to 2,900 x 2,900 pixels.
    """
    sums = np.zeros((image.shape[0] + 1, image.shape[1] + 1, 3), np.int32)
    sums[1:, 1:] = torch.from_numpy(image).cumsum(0, dtype=torch.int32).cumsum(1, dtype=torch.int32).numpy()
    return sums


def _areas(sums: Sums, boxes: Ints, size: tuple[int, int]) -> Floats:
    """Parts of an image, each shrunk or stretched to one size by the mean over each pixel's area.

    Args:
        sums: Of the image, by `_sums`.
        boxes: Left, top, right, bottom in whole pixels, within the image, (n, 4).
        size: Rows and columns wanted.

    Returns:
        (n, rows, columns, 3), 0 to 255.
    """
    left, top, right, bottom = boxes.T
    above, below = _ends(top, bottom, size[0])
    before, after = _ends(left, right, size[1])
    pixels, width = sums.reshape(-1, 3), sums.shape[1]

    def at(rows: Ints, columns: Ints) -> Sums:
        found: Sums = np.take(pixels, (rows * width)[:, :, None] + columns[:, None], axis=0)
        return found

    total = at(below, after)
    total -= at(above, after)
    total -= at(below, before)
    total += at(above, before)
    area = (below - above)[:, :, None, None] * (after - before)[:, None, :, None]
    means: Floats = np.divide(total, area, dtype=np.float32, casting="unsafe")
    return means


def _ends(start: Ints, stop: Ints, count: int) -> tuple[Ints, Ints]:
    """Where each of ``count`` pixels begins and ends in lengths of pixels, (n, count) each; they overlap by parts."""
    length, step = (stop - start)[:, None], np.arange(count)
    return start[:, None] + step * length // count, start[:, None] - (-(step + 1) * length // count)
