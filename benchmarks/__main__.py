"""Run every benchmark, shortened where its own run takes minutes: all of them in less than ten minutes on two cores.

``python -m benchmarks.NAME`` is a benchmark's whole run, whose table is in ``docs/results/speed.md``.
"""

import time
from types import ModuleType

from benchmarks import approximate, backup, encryption, enroll, exemplars, nlda, search, serve, start

SHORT: tuple[tuple[ModuleType, list[str]], ...] = (
    (start, []),
    (search, []),
    (approximate, ["--templates", "20000"]),
    (nlda, []),
    (encryption, []),
    (backup, ["--count", "1000"]),
    (enroll, ["--count", "60"]),
    (exemplars, ["--sizes", "200x250"]),
    (serve, ["--templates", "10000", "--seconds", "8"]),
)

began = time.monotonic()
for benchmark, options in SHORT:
    name = benchmark.__name__.rpartition(".")[2]
    print(f"    python -m benchmarks.{' '.join([name, *options])}\n\n{benchmark.main(options)}", flush=True)
print(f"All of them took {time.monotonic() - began:.0f} s.")
