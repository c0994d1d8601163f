"""LLE with as many exemplars as CUFS has training pairs: seconds a face. The exemplars are invented.

python -m benchmarks.lle
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from forensic.synthesis.methods.lle import LLE

EXEMPLARS = 268
SIZES = ((200, 250), (256, 256))
THREADS = 2
RUNS = 3


def faces(count: int, width: int, height: int, seed: int) -> torch.Tensor:
    """Smooth colour fields with noise, (count, 3, height, width) in [-1, 1]."""
    draw = torch.Generator().manual_seed(seed)
    coarse = 2 * torch.rand(count, 3, 16, 16, generator=draw) - 1
    smooth = F.interpolate(coarse, size=(height, width), mode="bilinear")
    return (smooth + 0.1 * torch.randn(smooth.shape, generator=draw)).clamp(-1, 1)


def main(arguments: Sequence[str] | None = None) -> str:
    """The table, in Markdown."""
    del arguments
    before = torch.get_num_threads()
    torch.set_num_threads(min(THREADS, before))
    rows = []
    for width, height in SIZES:
        photos, sketches = (faces(EXEMPLARS, width, height, seed) for seed in (0, 1))
        started = time.perf_counter()
        lle = LLE().fit(photos, sketches)
        fitted = time.perf_counter() - started
        probe = faces(1, width, height, seed=2)
        times = []
        with torch.inference_mode():
            for _ in range(RUNS):
                started = time.perf_counter()
                lle.translate(probe)
                times.append(time.perf_counter() - started)
        rows.append(f"| {width} x {height} | {fitted:.1f} | {statistics.median(times):.1f} |")
    head = f"| {EXEMPLARS} exemplars, {torch.get_num_threads()} threads, median of {RUNS} | fit, s | translate, s |"
    torch.set_num_threads(before)
    return "\n".join([head, "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    print(main())
