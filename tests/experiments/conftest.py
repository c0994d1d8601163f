from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

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
    """Invented pairs: smooth colour fields, and their grey negatives as 'sketches'."""
    from forensic.synthesis.examples import Examples

    def smooth(count: int, size: int = 32, seed: int = 0) -> Examples:
        draw = torch.Generator().manual_seed(seed)
        coarse = torch.rand(count, 3, 4, 4, generator=draw)
        photo = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
        sketch = 1 - photo.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
        return Examples((photo * 255).byte(), (sketch * 255).byte())

    return smooth


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A plain folder of six pairs of CUFS's size."""
    draw = np.random.default_rng(0)
    for side in ("photos", "sketches"):
        (tmp_path / "data" / side).mkdir(parents=True)
        for stem in "abcdef":
            image = Image.fromarray(draw.integers(0, 256, (5, 4, 3), dtype=np.uint8)).resize((200, 250))
            image.save(tmp_path / "data" / side / f"{stem}.png")
    return tmp_path / "data"
