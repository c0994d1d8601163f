"""Trainings that `test_distributed.py` starts by torchrun: ``shared_training.py OUT NAME ...`` of `TRAININGS`."""

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from invented import smooth_pairs
from tiny_methods import tiny

from forensic import weights as store
from forensic.errors import TrainingError
from forensic.synthesis import Adversarial, Batch, names, registry
from forensic.synthesis.distributed import Processes, start
from forensic.synthesis.examples import Examples
from forensic.synthesis.trainer import Trainer

TRAININGS: dict[str, dict[str, Any]] = {
    name: {} for name in names() if issubclass(registry.find(name), Adversarial)
} | {
    "cyclegan": {"pool": 2},
    "deepfacepencil": {"drawings": "boundaries", "d": 22.0},
}
"""Every trained method, with the settings by which it draws and remembers most."""


def trainer(name: str, processes: Processes | None = None, *, batch: int = 4, **named: Any) -> Trainer:
    """Two epochs of a step of four pairs and one of a single pair, of which the second process has no share."""
    method = tiny(name, seed=0 if processes is None else processes.rank, **TRAININGS[name])
    assert isinstance(method, Adversarial)
    recipe = method.recipe.changed(epochs=2, batch=batch, tone=0.3, average=0.5)
    return Trainer(method, recipe, smooth_pairs(5), seed=5, processes=processes, **named)


def whole_and_resumed(out: Path, processes: Processes) -> None:
    """The same training twice; the second time only the last process is interrupted, and a new one goes on."""
    trainer("pix2pix", processes, out=out / "whole").fit()
    cut = trainer("pix2pix", processes, out=out / "resumed")
    step = cut.step

    def step_then_interrupt(batch: Batch) -> dict[str, float]:
        report = step(batch)
        if (cut.epoch, cut.steps_done) == (1, 0) and processes.rank == processes.world - 1:
            signal.raise_signal(signal.SIGINT)
        return report

    cut.step = step_then_interrupt  # type: ignore[method-assign]
    try:
        cut.fit()
    except KeyboardInterrupt:
        torch.rand(7 + processes.rank)  # whatever else draws random numbers
    resumed = trainer("pix2pix", processes, out=out / "resumed")
    resumed.start(resume=True)
    assert (resumed.epoch, resumed.steps_done) == (1, 1)
    resumed.fit()


def told_apart(processes: Processes) -> None:
    """Processes that were given other things end in every one of them, and the group goes on."""
    cases: list[tuple[dict[str, Any], Examples, str]] = [
        ({}, smooth_pairs(5, seed=processes.rank), "data"),
        ({}, smooth_pairs(5 + processes.rank), "pairs and data"),
        ({"lambda_l1": 100.0 - processes.rank}, smooth_pairs(5), "settings"),
    ]
    for settings, pairs, what in cases:
        method = tiny("pix2pix", **settings)
        assert isinstance(method, Adversarial)
        with pytest.raises(TrainingError, match=f"were not given the same {what}[.] Start"):
            Trainer(method, method.recipe.changed(batch=2), pairs, processes=processes)


def main(out: Path, chosen: list[str]) -> None:
    torch.set_num_threads(1)
    with start("cpu") as processes:
        for name in chosen:
            shared = trainer(name, processes)
            shared.fit()
            if processes.writes:
                store.write(out / f"{name}.safetensors", shared.result.state_dict(), {})
        half = trainer("pix2pix", processes, precision="bf16")
        half.fit()
        if processes.writes:
            store.write(out / "bf16.safetensors", half.result.state_dict(), {})
        whole_and_resumed(out, processes)
        told_apart(processes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
