from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from invented import pair_folder, smooth_pairs

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(autouse=True)
def the_campaigns_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The modules beside ``campaign.py``, one thread, and the random state as it was."""
    if not EXPERIMENTS.is_dir():
        pytest.skip("experiments/ is not part of this copy")
    monkeypatch.syspath_prepend(EXPERIMENTS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


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
