"""A ``forensic serve`` process, as a benchmark starts, watches and ends it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 300.0
"""Seconds until it listens, or has ended."""
_LISTENS = re.compile(r"on (http://\S+:\d+)")


class Served:
    """The server of a gallery.

    Args:
        gallery: The gallery's folder.
        log: What it writes goes there.
        workers: Searches at once.
    """

    def __init__(self, gallery: Path, log: Path, *, workers: int) -> None:
        self._log = log
        command = [sys.executable, "-m", "forensic", "serve", "--gallery", str(gallery), "--port", "0"]
        with log.open("wb") as file:
            self._process = subprocess.Popen([*command, "--workers", str(workers)], stderr=file, stdout=file)
        self.url = self._listening()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def written(self) -> str:
        """What it wrote so far."""
        return self._log.read_text()

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def ended(self) -> int:
        """Its exit status, once it has ended; 0 too where it ended itself in order and passed SIGTERM on."""
        status = self._process.wait(PATIENCE)
        return 0 if status == -signal.SIGTERM else status

    def peak_mib(self) -> float:
        """Most memory that the process and its decoding processes ever held at once, each at its own worst moment."""
        processes = [self._process.pid, *_children(self._process.pid)]
        return sum(filter(None, map(_peak_kib, processes))) / 1024

    def processor_seconds(self) -> float:
        """Time that all cores together gave to the process and its decoding processes so far."""
        return sum(map(_processor_seconds, (self._process.pid, *_children(self._process.pid))))

    def _listening(self) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.alive:
            if found := _LISTENS.search(self.written):
                return found[1]
            time.sleep(0.05)
        self._process.kill()
        raise SystemExit(f"The server did not start:\n{self.written}")


def _children(process: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{process}/task").glob("*/children") for child in task.read_text().split()
    ]


def _peak_kib(process: int) -> int:
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _processor_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")  # own and of ended children, user and system


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
