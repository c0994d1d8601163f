"""How long the command line takes to start, against ``python -c pass``.

python -m benchmarks.start
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

RUNS = 7


def seconds(command: Sequence[str]) -> float:
    """Wall-clock time of one run."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> str:
    """The table, in Markdown; the commands take turns, so that a slow moment hits them all."""
    del arguments
    with tempfile.TemporaryDirectory() as folder:
        gallery = str(Path(folder) / "gallery")
        code = f"from forensic import Gallery; Gallery({gallery!r}, create=True).close()"
        subprocess.run([sys.executable, "-c", code], check=True)
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "forensic --help": [sys.executable, "-m", "forensic", "--help"],
            "forensic gallery list": [sys.executable, "-m", "forensic", "gallery", "list", "--gallery", gallery],
            "python -c 'import torch'": [sys.executable, "-c", "import torch"],
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
    return "\n".join([f"| start, median of {RUNS} | ms | ratio |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    print(main())
