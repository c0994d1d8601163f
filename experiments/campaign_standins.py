"""Stand-ins for what a bare machine lacks beside PyTorch and NumPy, so that the trainer runs there as it is.

A library that can be imported is never replaced. What stands in does the little that training asks of it: safetensors
reads and writes the same files, Pillow writes PNG and decodes nothing, torchvision has its deformable convolution,
progress bars and TensorBoard are silent (``log.jsonl`` holds the same figures).
"""

import importlib
import json
import struct
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def install() -> list[str]:
    """Put a stand-in in the place of each library that cannot be imported; returns their names."""
    absent = []
    for library, probe in _PROBES.items():
        try:
            importlib.import_module(probe)
        except (ImportError, RuntimeError, AttributeError):  # a torchvision of another torch raises the latter two
            absent.append(library)
            for name in [name for name in sys.modules if name.partition(".")[0] == library]:
                del sys.modules[name]  # what half an import left
            for name, content in _CONTENTS[library].items():
                module = ModuleType(name)
                module.__dict__.update(content)
                sys.modules[name] = module
                parent, _, child = name.rpartition(".")
                if parent in sys.modules:
                    setattr(sys.modules[parent], child, module)
    return absent


class SafetensorError(Exception):
    """A file that is no safetensors file."""


class SafeFile:
    """What ``safe_open`` opens."""

    def __init__(self, path: str | Path, framework: str = "pt") -> None:
        self._data = Path(path).read_bytes()
        try:
            (length,) = struct.unpack("<Q", self._data[:8])
            self._header: dict[str, Any] = json.loads(self._data[8 : 8 + length])
            self._metadata = self._header.pop("__metadata__", None)
            ends = [line["data_offsets"][1] for line in self._header.values()]
        except (struct.error, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise SafetensorError(f"invalid header ({problem})") from None
        self._start = 8 + length
        if self._start + max(ends, default=0) != len(self._data):
            raise SafetensorError("the tensors do not fill the file")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""

    def metadata(self) -> dict[str, str] | None:
        """The header's description."""
        return self._metadata  # type: ignore[no-any-return]

    def keys(self) -> list[str]:
        """Names of the tensors."""
        return list(self._header)

    def get_tensor(self, name: str) -> Tensor:
        """One tensor."""
        line = self._header[name]
        first, last = (self._start + offset for offset in line["data_offsets"])
        kind = TYPES[line["dtype"]]
        if first == last:
            return torch.empty(line["shape"], dtype=kind)
        return torch.frombuffer(bytearray(self._data[first:last]), dtype=kind).reshape(line["shape"])


def save(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The content of a safetensors file, the widest types first so that each tensor is aligned."""
    names = {kind: name for name, kind in TYPES.items()}
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    parts, at = [], 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
        parts.append(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at]}
        at += len(parts[-1])
        header[name]["data_offsets"][1] = at
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


class Picture:
    """RGB or grey pixels that can be written as PNG."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels

    def save(self, path: Path) -> None:
        """Write a PNG file."""
        height, width = self._pixels.shape[:2]
        lines = np.ascontiguousarray(self._pixels).reshape(height, -1)
        raw = np.concatenate([np.zeros((height, 1), np.uint8), lines], axis=1).tobytes()  # filter 0 before each line
        colour = 2 if self._pixels.ndim == 3 else 0
        chunks = [
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)),
            (b"IDAT", zlib.compress(raw)),
            (b"IEND", b""),
        ]
        content = b"\x89PNG\r\n\x1a\n"
        for kind, data in chunks:
            content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        Path(path).write_bytes(content)


def deform_conv2d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    padding: tuple[int, int] = (0, 0),
    mask: Tensor | None = None,
) -> Tensor:
    """Torchvision's deformable convolution at stride 1, by ``grid_sample``.

    Args:
        input: Features (n, c, h, w).
        offset: Down and right for each tap of each group, (n, 2 g k k, h, w), where the output has the input's sides.
        weight: Kernel (o, c, k, k).
        bias: Shape (o,).
        padding: k // 2, twice.
        mask: A weight of each tap, (n, g k k, h, w).
    """
    n, channels, height, width = input.shape
    taps = weight.shape[-1] ** 2
    groups = offset.shape[1] // (2 * taps)
    moved = offset.view(n * groups, taps, 2, height, width)
    steps = torch.arange(weight.shape[-1], device=input.device, dtype=input.dtype) - padding[0]
    down, right = (step.reshape(taps, 1, 1) for step in torch.meshgrid(steps, steps, indexing="ij"))
    y = moved[:, :, 0] + down + torch.arange(height, device=input.device).view(height, 1)
    x = moved[:, :, 1] + right + torch.arange(width, device=input.device)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    grouped = input.reshape(n * groups, channels // groups, height, width)
    seen = F.grid_sample(grouped, grid.view(n * groups, taps * height, width, 2), align_corners=False)
    seen = seen.view(n, groups, channels // groups, taps, height, width)
    if mask is not None:
        seen = seen * mask.view(n, groups, 1, taps, height, width)
    columns = seen.reshape(n, channels * taps, height * width)
    made = (weight.reshape(len(weight), -1) @ columns).view(n, len(weight), height, width)
    return made if bias is None else made + bias.view(1, -1, 1, 1)


class Silent:
    """Takes what progress bars and boards are told, and says nothing."""

    is_terminal = False
    elapsed = 0

    def __init__(self, *_: object, **__: object) -> None:
        self.tasks = [SimpleNamespace(elapsed=0)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""

    def add_task(self, *_: object, **__: object) -> int:
        """The only task."""
        return 0

    def update(self, *_: object, **__: object) -> None:
        """Nothing is shown."""

    add_scalar = close = start = stop = update


class _Bomb(Exception):
    """Pillow's name for an image that is too large."""


_PROBES = {
    "safetensors": "safetensors.torch",
    "PIL": "PIL.Image",
    "platformdirs": "platformdirs",
    "rich": "rich.progress",
    "tensorboard": "torch.utils.tensorboard",
    "torchvision": "torchvision.ops",
}
_COLUMNS = ("Progress", "BarColumn", "MofNCompleteColumn", "TextColumn", "TimeRemainingColumn")
_IMAGE = {
    "Image": Picture,
    "Resampling": SimpleNamespace(LANCZOS=1, BICUBIC=3),
    "fromarray": Picture,
    "DecompressionBombError": _Bomb,
    "DecompressionBombWarning": _Bomb,
}
_CONTENTS: dict[str, dict[str, dict[str, Any]]] = {
    "safetensors": {
        "safetensors": {"SafetensorError": SafetensorError, "safe_open": SafeFile},
        "safetensors.torch": {"save": save},
    },
    "PIL": {
        "PIL": {"UnidentifiedImageError": OSError},
        "PIL.Image": _IMAGE,
        "PIL.ImageOps": {},
        "PIL.ImageFilter": {},
        "PIL.PngImagePlugin": {},
    },
    "platformdirs": {"platformdirs": {"user_data_path": lambda name: Path.home() / ".local" / "share" / name}},
    "rich": {
        "rich": {},
        "rich.console": {"Console": Silent},
        "rich.progress": dict.fromkeys(_COLUMNS, Silent),
    },
    "tensorboard": {"torch.utils.tensorboard": {"SummaryWriter": Silent}},
    "torchvision": {"torchvision": {}, "torchvision.ops": {"deform_conv2d": deform_conv2d}},
}
