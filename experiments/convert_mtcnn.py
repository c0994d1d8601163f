"""MTCNN's three networks, as facenet-pytorch's wheel brings them, as the one safetensors file that is shipped.

    python experiments/convert_mtcnn.py forensic/weights/mtcnn.safetensors

Nothing is rounded: the file has the same numbers in single precision.
"""

from __future__ import annotations

import argparse
import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch

from forensic import weights

PUBLISHED = {
    "pnet": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "rnet": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "onet": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}
"""SHA-256 of the files of facenet-pytorch 2.5.3."""


def convert(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors, each named by its network and its place there."""
    tensors: dict[str, torch.Tensor] = {}
    for name, expected in PUBLISHED.items():
        file = folder / f"{name}.pt"
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != expected:
            raise SystemExit(f"{file} has SHA-256 {found}, and facenet-pytorch 2.5.3 has {expected}.")
        state = torch.load(file, map_location="cpu", weights_only=True)
        tensors |= {f"{name}.{key}": value.float() for key, value in state.items()}
    return tensors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    found = find_spec("facenet_pytorch")
    if found is None or found.origin is None:
        raise SystemExit("facenet-pytorch is not installed: pip install --no-deps facenet-pytorch==2.5.3")
    weights.write(parser.parse_args().out, convert(Path(found.origin).parent / "data"), {"kind": "detector"})
