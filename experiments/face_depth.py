"""Depth maps of faces by 3DDFA_V2 (Guo et al. 2020): the teacher of the depth prior.

Needs ``onnxruntime``, and 3DDFA_V2's ``mb1_120x120.onnx``, its 62 means and deviations and the Basel face model
without neck in one npz file (``experiments/convert_3ddfa.py`` makes it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import grey_closing

INPUT = 120
Array = NDArray[np.float32]


class Teacher:
    """3DDFA_V2: a face's 62 parameters, its mesh, its depth map.

    Args:
        onnx: The network's file.
        model: npz with ``mean``, ``deviation`` (62), ``u`` (3 v), ``shape`` (3 v, 40), ``expression`` (3 v, 10).
    """

    def __init__(self, onnx: Path, model: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # its threads wait by spinning
        self.session: Any = onnxruntime.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])
        with np.load(model, allow_pickle=False) as arrays:
            self.mean, self.deviation = arrays["mean"], arrays["deviation"]
            self.u, self.shape, self.expression = arrays["u"], arrays["shape"], arrays["expression"]

    def vertices(self, image: Image.Image, landmarks: Array) -> Array:
        """The mesh in the image: x, y in pixels and z, larger nearer, shape (v, 3)."""
        eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
        size = 2.9 * (np.linalg.norm(landmarks[1] - landmarks[0]) + 0.9 * np.linalg.norm(mouth - eyes)) / 1.6
        left, top = (eyes + mouth) / 2 + [0, 0.04 * size] - size / 2
        box = (left, top, left + size, top + size)
        crop = image.convert("RGB").resize((INPUT, INPUT), Image.Resampling.BILINEAR, _clipped(box, image.size))
        pixels = (np.asarray(crop, np.float32)[:, :, ::-1] - 127.5) / 128  # trained on BGR
        (raw,) = self.session.run(None, {self.session.get_inputs()[0].name: pixels.transpose(2, 0, 1)[None]})
        parameters = raw.ravel() * self.deviation + self.mean
        pose = parameters[:12].reshape(3, 4)
        flat = self.u.ravel() + self.shape @ parameters[12:52] + self.expression @ parameters[52:]
        mesh = flat.reshape(-1, 3) @ pose[:, :3].T + pose[:, 3]
        (x0, y0, x1, y1), scale = _clipped(box, image.size), 1 / INPUT
        x = (mesh[:, 0] - 1) * (x1 - x0) * scale + x0
        y = (INPUT - mesh[:, 1]) * (y1 - y0) * scale + y0
        return np.stack([x, y, mesh[:, 2] * (x1 - x0) * scale], axis=1).astype(np.float32)

    def depth(self, image: Image.Image, landmarks: Array) -> NDArray[np.uint8]:
        """Nearness of the face's surface, 1 to 255, and 0 behind it, shape (height, width)."""
        x, y, z = self.vertices(image, landmarks).T
        nearness = 1 + 254 * (z - z.min()) / (z.max() - z.min())
        side = 2  # splat at half the resolution, where the 38,365 vertices leave no holes
        width, height = -(-image.width // side), -(-image.height // side)
        column, row = (x / side).astype(int), (y / side).astype(int)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        canvas = np.zeros((height, width), np.float32)
        np.maximum.at(canvas, (row[inside], column[inside]), nearness[inside])
        canvas = grey_closing(canvas, size=(5, 5))  # and the few that foreshortening leaves
        return np.asarray(
            Image.fromarray(canvas.round().astype(np.uint8)).resize(image.size, Image.Resampling.BILINEAR)
        )


def _clipped(box: tuple[float, ...], size: tuple[int, int]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return max(0.0, left), max(0.0, top), min(float(size[0]), right), min(float(size[1]), bottom)
