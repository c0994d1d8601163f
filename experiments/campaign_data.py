"""Pairs of a campaign: aligned once and kept, or out of a pack.

A pack holds them re-encoded as JPEG does it (blocks of 8 x 8, cosine transform, quantization, colour at half the
sides), written with NumPy alone: the machine that unpacks them need have no image library.
"""

import hashlib
import json
import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from forensic import weights
from forensic.datasets import Pair
from forensic.errors import DataError, UsageError
from forensic.synthesis.examples import Examples

STYLES = 3  # of FS2K; data without them state none, and methods without styles do not look
_LUMINANCE = "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 \
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
_COLOUR = "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99 \
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99"
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_COSINE = np.array([[np.cos((2 * x + 1) * u * np.pi / 16) / 2 for x in range(8)] for u in range(8)])
_COSINE[0] /= np.sqrt(2)

Array = NDArray[np.generic]


class Pairs(NamedTuple):
    """What is trained on, and what the training never sees."""

    kept: Examples
    held: Examples | None


class Chosen(NamedTuple):
    """A data set's pairs before any image is decoded.

    Attributes:
        kept: Those to train on.
        held: Those that the training never sees.
        digest: SHA-256 (hex) of both: who is in them, in which style, and what the files hold.
    """

    kept: list[Pair]
    held: list[Pair]
    digest: str


def choose(folder: Path, hold_out: int, *, resplit: bool = False) -> Chosen:
    """The training split of a data set; with ``resplit``, of the split that keeps people apart.

    Raises:
        DataError: The folder is missing or holds no pair of it.
        UsageError: It has no more people than are to be held out.
    """
    from forensic.datasets import split_pairs  # a bare machine has neither this nor a data set

    kept, held = split_pairs(folder, "train", hold_out, resplit=resplit)
    content = hashlib.sha256()
    for part, pairs in (("kept", kept), ("held", held)):
        for pair in pairs:
            files = [weights.sha256(path) for path in (pair.photo, pair.sketch)]
            content.update(json.dumps([part, pair.identity, pair.attributes.get("style"), *files]).encode())
    return Chosen(kept, held, content.hexdigest())


def prepared(name: str, chosen: Chosen, size: int, cache: Path) -> Pairs:
    """The pairs of a data set, aligned; read once, then kept as pixels in ``cache``.

    Raises:
        DataError: None of them is usable.
    """
    path = cache / f"{name}-{size}-{chosen.digest[:16]}.safetensors"
    if not path.is_file():
        from forensic.synthesis.examples import load

        parts = {"kept": load(chosen.kept, size, styles=STYLES)[0]}
        if chosen.held:
            parts["held"] = load(chosen.held, size, styles=STYLES)[0]
        tensors = {f"{part}/{key}": value for part, made in parts.items() for key, value in _fields(made).items()}
        weights.write(path, tensors, {"pairs": {part: len(made) for part, made in parts.items()}})
    tensors, _ = weights.read(path)
    return Pairs(_of(tensors, "kept"), _of(tensors, "held") if "held/photo" in tensors else None)


def unpacked(name: str, folder: Path, size: int) -> Pairs:
    """A data set out of a pack.

    Raises:
        DataError: The pack does not hold it.
    """
    kept, *held = _packed(name, folder)
    return Pairs(read_examples(kept, size), read_examples(held[0], size) if held else None)


def packed_digest(name: str, folder: Path) -> str:
    """SHA-256 (hex) of a data set in a pack.

    Raises:
        DataError: The pack does not hold it.
    """
    return hashlib.sha256("".join(map(weights.sha256, _packed(name, folder))).encode()).hexdigest()


def write_examples(path: Path, examples: Examples, quality: int) -> None:
    """Write pairs of one size, re-encoded."""
    arrays: dict[str, Array] = {}
    for side in ("photo", "sketch"):
        arrays |= {f"{side}/{key}": value for key, value in encode(getattr(examples, side).numpy(), quality).items()}
    if examples.style is not None:
        arrays["style"] = examples.style.numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **arrays)


def read_examples(path: Path, size: int) -> Examples:
    """Pairs that `write_examples` wrote, at a size of one's own."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    photo, sketch = (
        resized(decode({key.partition("/")[2]: value for key, value in arrays.items() if key.startswith(side)}), size)
        for side in ("photo", "sketch")
    )
    return Examples(photo, sketch, torch.from_numpy(arrays["style"]) if "style" in arrays else None)


def resized(pixels: Array, size: int) -> torch.Tensor:
    """Pixels (n, 3, h, w) as a tensor of another size."""
    faces = torch.from_numpy(pixels)
    if faces.shape[-1] == size:
        return faces
    parts = [
        F.interpolate(some.float(), size=(size, size), mode="bilinear", antialias=True, align_corners=False)
        for some in torch.split(faces, 64)
    ]
    return torch.cat([part.round().clamp(0, 255).to(torch.uint8) for part in parts])


def encode(pixels: Array, quality: int) -> dict[str, Array]:
    """Images (n, 3, s, s) uint8, s a multiple of 16, as compressed coefficients.

    Args:
        pixels: The images.
        quality: As of JPEG, 1 to 100.

    Raises:
        UsageError: The quality is out of its range.
    """
    if not 1 <= quality <= 100:
        raise UsageError(f"--quality is {quality}, expected 1 to 100.")
    streams, counts = [], []
    for plane, table in zip(("y", "cb", "cr"), _tables(quality), strict=True):
        coefficients = np.concatenate([_forward(_plane(some, plane), table) for some in _parts(pixels)])
        coefficients = coefficients.reshape(-1, 64).T  # equal frequencies side by side
        coefficients[0, 1:] -= coefficients[0, :-1].copy()
        streams.append(lzma.compress(_bytes(coefficients), preset=1))
        counts.append(coefficients.shape[1])
    about = {"shape": list(pixels.shape), "quality": quality, "blocks": counts}
    made: dict[str, Array] = {f"plane-{index}": np.frombuffer(some, np.uint8) for index, some in enumerate(streams)}
    return made | {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}


def decode(arrays: Mapping[str, Array]) -> NDArray[np.uint8]:
    """What `encode` was given, but for what the quantization took."""
    about = json.loads(arrays["about"].tobytes())
    n, _, height, width = about["shape"]
    planes = []
    for index, table in enumerate(_tables(about["quality"])):
        sides = (height, width) if index == 0 else (height // 2, width // 2)
        raw = np.frombuffer(lzma.decompress(arrays[f"plane-{index}"].tobytes()), np.uint8)
        low, high = raw.reshape(2, 64, about["blocks"][index]).astype(np.int16)
        coefficients = (low | (high << 8)).copy()
        coefficients[0] = np.cumsum(coefficients[0], dtype=np.int16)
        planes.append((coefficients.T.reshape(n, sides[0] // 8, sides[1] // 8, 8, 8), table))
    made = np.empty((n, 3, height, width), np.uint8)
    for first in range(0, n, 64):
        some = slice(first, first + 64)
        ycc = [_backward(coefficients[some], table) for coefficients, table in planes]
        ycc[1:] = [_doubled(plane) for plane in ycc[1:]]
        rgb = np.einsum("ck,nkhw->nchw", np.linalg.inv(_TO_YCC), np.stack(ycc, axis=1)) + 128
        made[some] = rgb.round().clip(0, 255)
    return made


def _plane(pixels: Array, plane: str) -> NDArray[np.float64]:
    """One of luminance and two colours, around 0; colours at half the sides."""
    weights_of = _TO_YCC[("y", "cb", "cr").index(plane)]
    values = pixels.astype(np.float64)
    made: NDArray[np.float64] = np.einsum("k,nkhw->nhw", weights_of, values) - (128 if plane == "y" else 0)
    if plane == "y":
        return made
    n, height, width = made.shape
    halved: NDArray[np.float64] = made.reshape(n, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return halved


def _doubled(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    faces = torch.from_numpy(np.ascontiguousarray(plane))[:, None]
    return F.interpolate(faces, scale_factor=2, mode="bilinear", align_corners=False)[:, 0].numpy()


def _forward(plane: NDArray[np.float64], table: NDArray[np.float64]) -> NDArray[np.int16]:
    n, height, width = plane.shape
    blocks = plane.reshape(n, height // 8, 8, width // 8, 8).swapaxes(2, 3)
    coefficients: NDArray[np.float64] = (_COSINE @ blocks @ _COSINE.T) / table
    return coefficients.round().astype(np.int16)


def _backward(coefficients: NDArray[np.int16], table: NDArray[np.float64]) -> NDArray[np.float64]:
    blocks: NDArray[np.float64] = _COSINE.T @ (coefficients * table) @ _COSINE
    n, down, right = blocks.shape[:3]
    return blocks.swapaxes(2, 3).reshape(n, 8 * down, 8 * right)


def _tables(quality: int) -> list[NDArray[np.float64]]:
    """JPEG's example tables at a quality, as libjpeg scales them."""
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    tables = [np.array([int(step) for step in text.split()], float).reshape(8, 8) for text in (_LUMINANCE, _COLOUR)]
    luminance, colour = (((table * scale + 50) // 100).clip(1, 255) for table in tables)
    return [luminance, colour, colour]


def _bytes(coefficients: NDArray[np.int16]) -> bytes:
    """Low bytes, then high bytes: the latter are nearly all alike."""
    return (coefficients & 255).astype(np.uint8).tobytes() + (coefficients >> 8).astype(np.uint8).tobytes()


def _parts(pixels: Array) -> list[Array]:
    return [pixels[first : first + 64] for first in range(0, len(pixels), 64)]


def _packed(name: str, folder: Path) -> list[Path]:
    """The files of a data set in a pack: the pairs that are kept, then those held out, where there are any."""
    found = [folder / "data" / f"{name}-{part}.npz" for part in ("kept", "held")]
    if not found[0].is_file():
        here = sorted(path.name.removesuffix("-kept.npz") for path in (folder / "data").glob("*-kept.npz"))
        raise DataError(f"{folder} holds no data set {name!r}, but {', '.join(here) or 'none'}. Pack it too.")
    return [path for path in found if path.is_file()]


def _fields(examples: Examples) -> dict[str, torch.Tensor]:
    return {name: value for name, value in examples._asdict().items() if value is not None}


def _of(tensors: Mapping[str, torch.Tensor], part: str) -> Examples:
    return Examples(tensors[f"{part}/photo"], tensors[f"{part}/sketch"], tensors.get(f"{part}/style"))
