"""Where models run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensic.errors import UsageError

if TYPE_CHECKING:
    import torch


def find(name: str) -> torch.device:
    """The device of that name, such as ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        UsageError: It is not there; another one is never taken in its place.
    """
    import torch

    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()  # 'meta' would take everything and give nothing back
    except (RuntimeError, AssertionError) as problem:
        reason = str(problem).splitlines()[0]
        raise UsageError(f"The device {name!r} cannot be used here ({reason}). Give --device cpu.") from None
    return device
