"""Every synthesis method at its smallest, for tests that train."""

import inspect
from typing import Any

import torch
from invented import smooth_pairs

from forensic.synthesis import Translator, create, registry
from forensic.synthesis.translator import Exemplary

TINY = {"size": 32, "width": 4, "perceptual": "embedder", "pool": 0, "blocks": 1}
TINY_EXEMPLARY = {"patch": 32, "overlap": 8, "step": 24, "scales": 1, "sweeps": 3}
OWN: dict[str, dict[str, object]] = {
    "chan": {"depth": 3, "before": 1, "after": 1},
    "drit": {"attributes": 2, "scales": 1, "content_patch": 16, "content_turns": 1, "discriminator_rate": 0.2},
    "dualgan": {"lambda_U": 20.0, "lambda_V": 20.0, "clip": 0.1, "critic_turns": 1},
    "fsgan": {"blocks": 0, "scales": 1, "perceptual": "none"},
    "genre": {"depth": 3},
    "sca-gan": {"perceptual": "none"},  # ISEGAN has the same
    "u-gat-it": {"layers": (5, 4), "lambda_4": 10.0},
}
"""What only one method has; networks this small learn in few steps when less is asked of them than by the paper."""


def tiny(name: str, seed: int = 0, **settings: Any) -> Translator:
    """A method at the smallest size that its constructor offers."""
    known = inspect.signature(registry.find(name)).parameters
    torch.manual_seed(seed)
    small = TINY_EXEMPLARY if issubclass(registry.find(name), Exemplary) else TINY
    usual = {key: value for key, value in small.items() if key in known} | OWN.get(name, {})
    made = create(name, **usual | settings)
    if isinstance(made, Exemplary):
        exemplars = smooth_pairs(2, size=256).batch()
        made.fit(exemplars.photo, exemplars.sketch)
    return made
