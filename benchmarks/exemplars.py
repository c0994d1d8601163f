"""The exemplar methods with as many exemplars as CUFS has training pairs: seconds a face. The exemplars are invented.

python -m benchmarks.exemplars
python -m benchmarks.exemplars rslcr --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from forensic.synthesis import create
from forensic.synthesis.translator import Exemplary

EXEMPLARS = 268
SIZES = ("200x250", "256x256")
METHODS = ("lle", "mrf", "mwf", "ssd", "rslcr", "fast-rslcr")
RUNS = 3


def faces(count: int, width: int, height: int, seed: int) -> torch.Tensor:
    """Smooth colour fields with noise, (count, 3, height, width) in [-1, 1]."""
    draw = torch.Generator().manual_seed(seed)
    coarse = 2 * torch.rand(count, 3, 16, 16, generator=draw) - 1
    smooth = F.interpolate(coarse, size=(height, width), mode="bilinear")
    return (smooth + 0.1 * torch.randn(smooth.shape, generator=draw)).clamp(-1, 1)


def row(name: str, width: int, height: int) -> str:
    """A method's row of the table."""
    method = create(name)
    assert isinstance(method, Exemplary)
    photos, sketches = (faces(EXEMPLARS, width, height, seed) for seed in (0, 1))
    started = time.perf_counter()
    method.fit(photos, sketches)
    fitted = time.perf_counter() - started
    probe = faces(1, width, height, seed=2)
    times = []
    with torch.inference_mode():
        for _ in range(RUNS):
            started = time.perf_counter()
            method.translate(probe)
            times.append(time.perf_counter() - started)
    return f"| {name} | {width} x {height} | {fitted:.1f} | {statistics.median(times):.1f} |"


def main(arguments: Sequence[str] | None = None) -> str:
    """The table, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=METHODS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="width x height, such as 200x250")
    options = parser.parse_args(arguments)
    before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    sizes = [tuple(map(int, size.split("x"))) for size in options.sizes]
    rows = [row(name, *size) for name in options.methods for size in sizes]
    torch.set_num_threads(before)
    head = f"| {EXEMPLARS} exemplars, {options.threads} threads, median of {RUNS} | size | fit, s | translate, s |"
    return "\n".join([head, "|---|---|---|---|", *rows, ""])


if __name__ == "__main__":
    print(main())
