"""How long the command line takes to start, against ``python -c pass``, and a match against the import of torch.

python -m benchmarks.start
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

RUNS = 7


def seconds(command: Sequence[str]) -> float:
    """Wall-clock time of one run, with compiled modules kept from the run before, as on a user's machine."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def small_gallery(folder: Path) -> tuple[Path, Path, float]:
    """A gallery of eight drawn people, a sketch, and how long a search with it takes once all is loaded, in seconds."""
    from forensic import Gallery, Identifier
    from forensic.datasets.synthetic import make_people

    make_people(folder / "people", 8, seed=0)
    (sketch, *_) = sorted((folder / "people" / "sketches").iterdir())
    with Gallery(folder / "filled", create=True) as gallery:
        identifier = Identifier(gallery)
        identifier.enroll(folder / "people" / "photos")
        identifier.search(sketch)
        times = []
        for _ in range(RUNS):
            started = time.perf_counter()
            identifier.search(sketch)
            times.append(time.perf_counter() - started)
    return folder / "filled", sketch, statistics.median(times)


def main(arguments: Sequence[str] | None = None) -> str:
    """The table, in Markdown; the commands take turns, so that a slow moment hits them all."""
    del arguments
    python = [sys.executable]
    with tempfile.TemporaryDirectory() as name:
        gallery, sketch, searching = small_gallery(Path(name))
        where = ["--gallery", str(gallery)]
        commands = {
            "python -c pass": [*python, "-c", "pass"],
            "forensic --help": [*python, "-m", "forensic", "--help"],
            "forensic gallery list": [*python, "-m", "forensic", "gallery", "list", *where],
            "python -c 'import torch'": [*python, "-c", "import torch"],
            "python -c 'import torch, faiss'": [*python, "-c", "import torch, faiss"],
            "forensic match SKETCH": [*python, "-m", "forensic", "match", str(sketch), *where],
        }
        for command in commands.values():
            seconds(command)
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                times[name].append(seconds(command))
    base = statistics.median(times["python -c pass"])
    rows = [
        f"| `{name}` | {1000 * statistics.median(values):.0f} | {statistics.median(values) / base:.1f} |"
        for name, values in times.items()
    ]
    least = statistics.median(times["python -c 'import torch, faiss'"]) + searching
    ratio = statistics.median(times["forensic match SKETCH"]) / least
    note = (
        f"A search with everything loaded takes {1000 * searching:.0f} ms; a cold `forensic match` takes {ratio:.2f} "
        "times that and the import of torch and faiss together."
    )
    return "\n".join([f"| start, median of {RUNS} | ms | ratio |", "|---|---|---|", *rows, "", note, ""])


if __name__ == "__main__":
    print(main())
