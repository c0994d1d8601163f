"""A first backup, and a second one with nothing new, against a plain copy of the gallery's folder.

python -m benchmarks.backup [--count 3000] [--bytes 100000]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.made_up import record, space
from forensic.gallery import Gallery
from forensic.gallery.backup import backups, restoring

ROUNDS = 3
BATCH = 64
SPACES = [space(f"route {dimension}", dimension) for dimension in (127, 250)]
"""As long as the default route's."""


def seconds(act: Callable[[], object]) -> float:
    """Wall-clock time until what was written is on the disk."""
    os.sync()  # what others wrote is not ours to wait for
    started = time.perf_counter()
    act()
    os.sync()
    return time.perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> str:
    """The table, in Markdown; the acts take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3000, help="photos")
    parser.add_argument("--bytes", type=int, default=100_000, help="of each")
    options = parser.parse_args(arguments)
    names = ("plain copy", "first backup", "second backup, nothing new", "verify", "restore")
    times: dict[str, list[float]] = {name: [] for name in names}
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with Gallery(folder / "gallery", create=True) as gallery:
            for start in range(0, options.count, BATCH):
                some = range(start, min(start + BATCH, options.count))
                gallery.enroll([record(number, options.bytes, SPACES, random) for number in some])
            for turn in range(ROUNDS):
                copy, backup, keys, new = (folder / f"{what}{turn}" for what in ("copy", "backup", "keys", "new"))
                acts: list[Callable[[], object]] = [
                    partial(shutil.copytree, gallery.folder, copy),
                    partial(backups.make, gallery, backup, keys),
                    partial(backups.make, gallery, backup),
                    partial(restoring.check, backup, keys),
                    partial(restoring.restore, backup, keys, new),
                ]
                for name, act in zip(names, acts, strict=True):
                    times[name].append(seconds(act))
                for place in (copy, backup, new):
                    shutil.rmtree(place)
    plain = times["plain copy"]
    rows = [
        f"| {name} | {statistics.median(took):.1f} | "
        f"{statistics.median(a / b for a, b in zip(took, plain, strict=True)):.2f} |"
        for name, took in times.items()
    ]
    title = f"| {options.count:,} photos of {options.bytes:,} bytes, median of {ROUNDS} | s | ratio |"
    return "\n".join([title, "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    print(main())
