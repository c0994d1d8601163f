"""Search and enrolling on a graphics card: one probe among ten million templates, and photos a second.

python -m benchmarks.device [--device cuda] [--templates 1e7] [--photos DIR] [--count 400]

The limit of a search is the time in which the device only reads the same bytes (a sum of them as floats). Ten million
templates of 512 numbers take 36 GB of its memory, and 27 GB of the processor's. ``--device cpu --templates 1e5`` shows
that it works where there is no card; its times then say nothing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.enroll import ROUNDS, chosen, enrolled
from benchmarks.search import RUNS, TOP, Calls, medians, unit
from forensic import Gallery, Identifier, devices
from forensic.recognition.device_index import NUMBERS, DeviceIndex
from forensic.recognition.index import Index


def read(index: DeviceIndex) -> None:
    """Do nothing but read all rows."""
    sums = [block.rows.view(torch.float32).sum() for block in index.blocks]
    torch.stack(sums).tolist()  # waits for the device


def searched(templates: int, dimension: int, device: torch.device) -> str:
    """The table of searches; every one's answer is the processor's."""
    index = Index.build(unit(templates, dimension), np.arange(templates), "int8")
    probe = index.rows([templates // 2]) + unit(1, dimension, seed=1)
    expected = index.search(probe, TOP)
    rows = [
        f"| {templates:,} templates of {dimension} numbers, one probe, top {TOP}; ms, median of {RUNS} | read alone "
        "| scan (share of the speed of reading) | with the exact second look | templates looked at twice |",
        "|---|---:|---:|---:|---:|",
    ]
    for numbers in NUMBERS:
        on_device = DeviceIndex(index, device, numbers)
        scores, ids = on_device.search(probe, TOP)
        same = np.array_equal(scores, expected[0]) and np.array_equal(ids, expected[1])
        assert same, f"the list by {numbers} is another one"
        calls: Calls = {
            "read": partial(read, on_device),
            "scan": partial(on_device.near, probe, TOP),
            "search": partial(on_device.search, probe, TOP),
        }
        taken = medians(calls)
        twice = len(on_device.near(probe, TOP)[0])
        rows.append(
            f"| {numbers} | {taken['read']:.2f} | {taken['scan']:.2f} ({taken['read'] / taken['scan']:.0%}) "
            f"| {taken['search']:.2f} | {twice} |"
        )
        del on_device, calls  # the next one needs the room
    return "\n".join(rows)


def compared(files: Sequence[Path], device: str, folder: Path) -> str:
    """The table of enrolling, on the processor and on the device by turns."""
    with Gallery(folder / "first", create=True) as gallery:
        here, there = (Identifier(gallery, "direct", device=name) for name in ("cpu", device))
    enrolled(files[:32], there, folder / "warm")
    pairs = [
        (enrolled(files, here, folder / f"here{k}"), enrolled(files, there, folder / f"there{k}"))
        for k in range(ROUNDS)
    ]
    slow, fast = (statistics.median(column) for column in zip(*pairs, strict=True))
    return "\n".join(
        [
            f"| enrolling {len(files)} photos, median of {ROUNDS} rounds | images/s |",
            "|---|---:|",
            f"| processor, {torch.get_num_threads()} threads | {slow:.1f} |",
            f"| {device} | {fast:.1f} |",
            f"| ratio | {statistics.median(b / a for a, b in pairs):.2f} |",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> str:
    """The tables, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--templates", type=float, default=1e7)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--photos", type=Path, help="folder of photos; drawn people if not given")
    parser.add_argument("--count", type=int, default=400)
    options = parser.parse_args(arguments)
    device = devices.find(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the processor"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        files = chosen(options.photos, options.count, folder)
        tables = [searched(int(options.templates), options.dimension, device), compared(files, options.device, folder)]
    return "\n\n".join([f"On {name}:", *tables, ""])


if __name__ == "__main__":
    print(main())
