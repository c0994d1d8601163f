import fcntl
import os
import sys
from pathlib import Path

import pytest

from forensic import durable


@pytest.mark.parametrize(("able", "asked"), [(True, ["full"]), (False, ["full", "fsync"])])
def test_macos_is_asked_for_more_than_its_fsync(
    able: bool, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def full(descriptor: int, what: int) -> None:
        assert what == 51
        done.append("full")
        if not able:
            raise OSError("not here")

    with (tmp_path / "a").open("wb") as file, monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        patch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
        patch.setattr(fcntl, "fcntl", full)
        patch.setattr(os, "fsync", lambda descriptor: done.append("fsync"))
        durable.sync(file.fileno())
    assert done == asked
