import os
from pathlib import Path

import pytest

from forensic import regular
from forensic.errors import DataError, UsageError
from forensic.faces import policy
from forensic.faces.finder import read_landmarks
from forensic.gallery.checks.traces import Traces
from forensic.gallery.log.audit import Head


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    assert regular.read(path, 10) == b"0123456789"
    with pytest.raises(OSError, match="more than 9 bytes"):
        regular.read(path, 9)


@pytest.mark.timeout(20)
def test_nothing_waits_for_a_pipe_or_reads_a_device_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"no regular file|directory"):
            regular.read(path)
        with pytest.raises(DataError, match="cannot be read"):
            Traces.of((), (path,))
        with pytest.raises(DataError, match="no exported head"):
            Head.read(path)
        with pytest.raises(UsageError, match="cannot be read"):
            policy.load(path)
        with pytest.raises(UsageError, match="expected five points"):
            read_landmarks(path)


def test_a_file_of_points_is_no_large_one(tmp_path: Path) -> None:
    path = tmp_path / "points.json"
    with path.open("wb") as file:
        file.truncate(regular.TEXT + 1)
    with pytest.raises(UsageError, match="expected five points"):
        read_landmarks(path)
