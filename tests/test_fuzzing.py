"""Mutated files end in a clean error or a success, in little time and memory; the same ones on every run."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzzing.py")
CLEAN = {"success", "failure", "DataError", "UsageError"}
SECONDS, MEGABYTES = 10, 1024
FEW, ALL = 12, 500


def fuzz(which: str, first: int, count: int, folder: Path) -> Counter[str]:
    """Enroll so many mutated inputs in a process of their own; check each, and count what became of them."""
    # An allocator that is told to keep freed memory would make it look used.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    command = [sys.executable, str(SCRIPT), which, str(first), str(count), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    sound, *lines = map(json.loads, done.stdout.splitlines())
    assert sound == {"kind": "success"}
    assert len(lines) == count
    for line in lines:
        assert line["kind"] in CLEAN, line
        assert line["message"].isprintable(), line
        assert line["seconds"] <= SECONDS, line
        assert line["megabytes"] <= MEGABYTES, line
    return Counter(line["kind"] for line in lines)


@pytest.mark.parametrize("which", ["image", "text"])
def test_mutated_inputs(which: str, tmp_path: Path) -> None:
    kinds = fuzz(which, 0, FEW, tmp_path)
    assert len(kinds) > 1, "all ended alike; the mutations try too little"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("which", ["image", "text"])
def test_many_mutated_inputs(which: str, tmp_path: Path) -> None:
    kinds = fuzz(which, FEW, ALL - FEW, tmp_path)
    assert kinds.total() == ALL - FEW
    assert {"success", "failure"} <= kinds.keys(), "all ended alike; the mutations try too little"
