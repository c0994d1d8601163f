from pathlib import Path
from typing import Any

import pytest
from invented import pair_folder, smooth_pairs

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(autouse=True)
def the_experiments_modules(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of ``experiments/``, in one thread."""
    if not EXPERIMENTS.is_dir():
        pytest.skip("experiments/ is not part of this copy")
    monkeypatch.syspath_prepend(EXPERIMENTS)


class Clock:
    """Shows what it is told to, and a little more at each look."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@pytest.fixture
def make_clock() -> Any:
    return Clock


@pytest.fixture
def make_pairs() -> Any:
    return smooth_pairs


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return pair_folder(tmp_path / "data", "abcdef")
