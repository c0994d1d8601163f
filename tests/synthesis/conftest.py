import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from forensic.synthesis import Translator, create, registry
from forensic.synthesis.examples import Examples
from forensic.synthesis.methods.lle import LLE

TINY = {"size": 32, "width": 4, "perceptual": "embedder", "pool": 0, "overlap": 4}


@pytest.fixture(autouse=True)
def one_thread_and_no_installed_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[None]:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path / "installed"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


def tiny(name: str, seed: int = 0, **settings: Any) -> Translator:
    """A method at the smallest size that its constructor offers."""
    known = inspect.signature(registry.find(name)).parameters
    torch.manual_seed(seed)
    made = create(name, **{key: value for key, value in TINY.items() if key in known}, **settings)
    if isinstance(made, LLE):
        exemplars = smooth_pairs(2, size=256).batch()
        made.fit(exemplars.photo, exemplars.sketch)
    return made


def smooth_pairs(count: int, size: int = 32, seed: int = 0) -> Examples:
    """Invented pairs: smooth colour fields, and their grey negatives as 'sketches'."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=draw)
    photo = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    sketch = 1 - photo.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    return Examples((photo * 255).byte(), (sketch * 255).byte())


@pytest.fixture
def make_tiny() -> Any:
    return tiny


@pytest.fixture
def make_pairs() -> Any:
    return smooth_pairs
