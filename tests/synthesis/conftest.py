import inspect
from typing import Any

import pytest
import torch
from invented import smooth_pairs

from forensic.synthesis import Translator, create, registry
from forensic.synthesis.methods.lle import LLE

TINY = {"size": 32, "width": 4, "perceptual": "embedder", "pool": 0, "overlap": 4}
OWN: dict[str, dict[str, Any]] = {
    "dualgan": {"lambda_U": 20.0, "lambda_V": 20.0, "clip": 0.1, "critic_turns": 1},
    "drit": {
        "blocks": 1,
        "attributes": 2,
        "scales": 1,
        "content_patch": 16,
        "content_turns": 1,
        "discriminator_rate": 0.2,
    },
    "u-gat-it": {"blocks": 1, "layers": (5, 4), "lambda_4": 10.0},
}
"""What only one method has; networks this small learn in few steps when less is asked of them than by the paper."""


@pytest.fixture(autouse=True)
def one_thread_and_no_installed_weights(one_thread: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path / "installed"))


def tiny(name: str, seed: int = 0, **settings: Any) -> Translator:
    """A method at the smallest size that its constructor offers."""
    known = inspect.signature(registry.find(name)).parameters
    torch.manual_seed(seed)
    common = {key: value for key, value in TINY.items() if key in known}
    made = create(name, **{**common, **OWN.get(name, {}), **settings})
    if isinstance(made, LLE):
        exemplars = smooth_pairs(2, size=256).batch()
        made.fit(exemplars.photo, exemplars.sketch)
    return made


@pytest.fixture
def make_tiny() -> Any:
    return tiny


@pytest.fixture
def make_pairs() -> Any:
    return smooth_pairs
