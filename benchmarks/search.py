"""Exact search of templates by the gallery's size, against the memory's speed, FAISS, numpy and others' loops.

python -m benchmarks.search [--sizes 1e3 1e4 1e5 1e6] [--dimension 512]

The limit is the time in which the same bytes are only read, by as many threads. The index's files are opened from the
disk's cache, as by a second start of the program. Of a gallery whose templates the memory does not hold, the bytes
alone are scanned (--sizes 1e7 writes 26 GB of files).
"""

from __future__ import annotations

import argparse
import mmap
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from forensic.recognition.index import ROWS, Index, Scan
from forensic.recognition.segments import pack, unpack

TOP = 100
PROBES = 64
RUNS = 9
SPACE = "benchmark"
PAUSE = 0.15
"""Seconds before a batch: threads of the library before go on looking for work for some tenth of a second."""
FEW = 20_000
"""Templates that Python's loops are run on."""
Calls = dict[str, Callable[[], object]]


def medians(calls: Calls, runs: int = RUNS, pause: float = 0) -> dict[str, float]:
    """Milliseconds of each call; they take turns, so that a slow moment hits them all."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(runs):
        for name, call in calls.items():
            time.sleep(pause)
            started = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}


def unit(rows: int, dimension: int, seed: int = 0) -> NDArray[np.float32]:
    """Random unit rows."""
    rng = np.random.default_rng(seed)
    made = np.empty((rows, dimension), np.float32)
    for start in range(0, rows, ROWS):
        part = made[start : start + ROWS]
        rng.standard_normal(out=part, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return made


def write(folder: Path, size: int, dimension: int) -> list[Path]:
    """The index's files, of random templates."""
    files = []
    for start in range(0, size, ROWS):
        part = unit(min(ROWS, size - start), dimension, seed=start)
        (segment,) = Index.build(part, np.arange(start, start + len(part))).segments
        files.append(folder / f"{start}.safetensors")
        files[-1].write_bytes(pack(segment, space=SPACE))
    return files


def opened(files: Sequence[Path], scan: Scan) -> Index:
    """An index over files that are mapped into memory."""
    segments = []
    for path in files:
        with path.open("rb") as file:
            segment = unpack(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), space=SPACE)
        assert segment is not None
        segments.append(segment)
    return Index(segments, scan)


def read_all(arrays: Sequence[NDArray[Any]], pool: ThreadPoolExecutor) -> None:
    """Do nothing but read arrays."""
    list(pool.map(lambda array: np.bitwise_or.reduce(array.reshape(-1).view(np.int64)), arrays))


def deepface_loop(vectors: NDArray[np.float32], probe: NDArray[np.float32]) -> list[float]:
    """The search of deepface 0.0.103's ``find``: a cosine distance for each row of a table, in Python."""
    distances = []
    for row in vectors:
        norms = np.linalg.norm(probe) * np.linalg.norm(row)
        distances.append(float(1 - np.dot(probe, row) / norms))
    return sorted(distances)[:TOP]


def face_recognition_loop(vectors: NDArray[np.float32], probe: NDArray[np.float32]) -> Any:
    """The search of face_recognition 1.3's ``face_distance``: Euclidean distances, then sorted."""
    return np.argsort(np.linalg.norm(vectors - probe, axis=1))[:TOP]


def measured(size: int, dimension: int, folder: Path, pool: ThreadPoolExecutor) -> tuple[str, str | None]:
    """A row of each table; of the second, None where the memory does not hold the templates."""
    files = write(folder, size, dimension)
    floats, codes = opened(files, "float32"), opened(files, "int8")
    at = np.linspace(0, size - 1, PROBES).astype(int)
    probes = floats.rows(at) + unit(PROBES, dimension, seed=1)
    parts = [segment.parts[0] for segment in floats.segments]
    calls: Calls = {
        "read int8": lambda: read_all([part.codes.codes for part in parts], pool),
        "int8": lambda: codes.search(probes[:1], TOP),
    }
    # FAISS's copy, the files in the disk's cache, and room for what works with them.
    fits = 10 * size * dimension < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    vectors = np.concatenate([part.vectors for part in parts if fits or part is parts[0]])
    flat = faiss.IndexFlatIP(dimension)
    if fits:
        flat.add(vectors)
        calls |= {
            "read float32": lambda: read_all([part.vectors for part in parts], pool),
            "float32": lambda: floats.search(probes[:1], TOP),
            "faiss": lambda: flat.search(probes[:1], TOP),
            "numpy": lambda: np.argsort(-(vectors @ probes[0]))[:TOP],
        }
    one = medians(calls)
    some = vectors[:FEW]
    slow = medians(
        {
            "deepface": lambda: deepface_loop(some, probes[0]),
            "face_recognition": lambda: face_recognition_loop(some, probes[0]),
        },
        1,
    )
    start = medians({"open": lambda: opened(files, "int8").search(probes[:1], TOP)}, 3)["open"]
    cells = [
        f"{size:,}",
        *(f"{one[s]:.2f} ({one['read ' + s] / one[s]:.0%})" if s in one else "" for s in ("float32", "int8")),
        *(f"{one[name]:,.2f}" if name in one else "" for name in ("faiss", "numpy")),
        *(f"{value * size / len(some):,.2f}" for value in slow.values()),
        f"{start:.0f}",
    ]
    row = f"| {' | '.join(cells)} |"
    return row, _batch(floats, codes, vectors, flat, probes) if fits else None


def _batch(floats: Index, codes: Index, vectors: NDArray[np.float32], flat: Any, probes: NDArray[np.float32]) -> str:
    """A row of the table of batches."""
    many = medians(
        {
            "product": lambda: vectors @ probes.T,
            "index": lambda: floats.search(probes, TOP),
            "faiss": lambda: flat.search(probes, TOP),
        },
        3,
        PAUSE,
    )
    found: list[Sequence[NDArray[Any]]] = [floats.search(probes, TOP), codes.search(probes[:7], TOP)]
    for mine, theirs in zip(*found, strict=True):
        assert np.array_equal(mine[:7], theirs), "scans of floats and of bytes differ"
    cells = [
        f"{len(floats):,}",
        *(f"{value:,.1f}" for value in many.values()),
        f"{many['product'] / many['index']:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> str:
    """The tables, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e3, 1e4, 1e5, 1e6])
    parser.add_argument("--dimension", type=int, default=512)
    options = parser.parse_args(arguments)
    rows = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for size in map(int, options.sizes):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measured(size, options.dimension, Path(folder), pool))
    one = (
        f"| templates of {options.dimension} numbers; one probe, top {TOP}; ms, median of {RUNS} "
        "| scan of floats (share of the speed of reading) | scan of bytes (likewise) "
        "| FAISS flat | numpy | deepface's loop | face_recognition's | opening and a search |"
    )
    many = (
        f"| {PROBES} probes; ms, median of 3 | BLAS product alone | index | FAISS flat | share of the product's speed |"
    )
    first, second = zip(*rows, strict=True)
    note = f"The loops of deepface and face_recognition had at most {FEW:,} templates; the rest is in proportion."
    return "\n".join([one, "|---:" * 8 + "|", *first, "", note, "", many, "|---:" * 5 + "|", *filter(None, second), ""])


if __name__ == "__main__":
    print(main())
