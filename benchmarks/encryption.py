"""What encryption at rest costs: enrolling made-up records, reading originals and templates, plain and encrypted.

python -m benchmarks.encryption [--count 500]
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.made_up import record, space, template
from forensic import Gallery
from forensic.gallery import Enrollment
from forensic.gallery.cipher import encrypting
from forensic.gallery.cipher.keys import UserKey

ROUNDS = 5
BATCH = 64
DIMENSION = 512
ORIGINAL = 100_000
"""Bytes of a photo."""
SPACES = [space(f"route {n}", DIMENSION) for n in range(20)]
"""Several, so that there are many templates without as many photos."""


class Cost(NamedTuple):
    """Seconds by the clock, and of processor time in all threads."""

    wall: float
    processor: float


def records(count: int) -> list[Enrollment]:
    """Photos with a template each."""
    random = np.random.default_rng(0)
    return [record(number, ORIGINAL, SPACES[:1], random) for number in range(count)]


def cost(act: Callable[[], object]) -> Cost:
    """Of one run."""
    wall, processor = time.perf_counter(), time.process_time()
    act()
    return Cost(time.perf_counter() - wall, time.process_time() - processor)


def measure(folder: Path, made: Sequence[Enrollment], key: UserKey | None) -> dict[str, Cost]:
    """What each act costs on a new gallery."""
    generator = np.random.default_rng(1)
    if key is not None:
        encrypting.create(folder, key)
    with Gallery(folder, create=True, key=key) as gallery:

        def enroll() -> None:
            for start in range(0, len(made), BATCH):
                gallery.enroll(made[start : start + BATCH])

        costs = {"enroll": cost(enroll)}
        photos = gallery.photos()
        costs["read all originals"] = cost(lambda: [gallery.photo_bytes(photo) for photo in photos])
        vectors = {photo.id: template(DIMENSION, generator) for photo in photos}
        costs["add 19 templates a photo"] = cost(
            lambda: [gallery.add_templates(space, vectors) for space in SPACES[1:]]
        )
    with Gallery(folder, key=key) as gallery:
        costs["load all templates"] = cost(lambda: [gallery.templates(space.digest) for space in SPACES])
    costs["open"] = cost(lambda: Gallery(folder, key=key).close())
    return costs


def main(arguments: Sequence[str] | None = None) -> str:
    """The table, in Markdown; plain and encrypted galleries take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    made = records(parser.parse_args(arguments).count)
    key = UserKey(secrets.token_bytes(32), "the benchmark")
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name) / "warm", made[:BATCH], key)
        for number in range(ROUNDS):
            pair = [measure(Path(name) / f"{number}{side}", made, key if side else None) for side in range(2)]
            rounds.append(pair)
    rows = []
    for act in rounds[0][0]:
        cells = [act]
        for kind in range(2):
            plain, sealed = (statistics.median(pair[side][act][kind] for pair in rounds) for side in range(2))
            ratio = statistics.median(pair[1][act][kind] / pair[0][act][kind] for pair in rounds)
            cells += [f"{1000 * plain:.0f}", f"{1000 * sealed:.0f}", f"{ratio:.2f}"]
        rows.append(f"| {' | '.join(cells)} |")
    what = f"{len(made)} photos of {ORIGINAL // 1000} kB, median of {ROUNDS} rounds"
    head = f"| {what} | plain, ms | encrypted | ratio | processor, ms | encrypted | ratio |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows, ""])


if __name__ == "__main__":
    print(main())
