"""One run of a campaign: measured for a moment, or trained until its time is up, and what is written about it."""

import json
import math
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from campaign_data import Pairs

from forensic import weights as store
from forensic.errors import TrainingError
from forensic.synthesis import Adversarial, Recipe, weights
from forensic.synthesis.checkpoint import CHECKPOINT
from forensic.synthesis.trainer import Losses, Precision, Trainer
from forensic.synthesis.translator import SIZE, Batch

Clock = Callable[[], float]
RECORD = "run.json"
_WARM = 2  # steps at the beginning of a call that set things up and are not timed
_STAGES = 3  # moments of a training with stages at which it is measured: they are not equally fast


class ChunkOver(Exception):
    """The time is up; all is saved."""


class Chunked(Trainer):
    """A trainer that saves and stops when its time is up, and counts how fast it was.

    Args:
        *arguments: The trainer's.
        until: When to stop, by the clock; at least one step is done.
        clock: Seconds.
        **named: The trainer's.
    """

    def __init__(self, *arguments: Any, until: float = math.inf, clock: Clock = time.monotonic, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.until, self.clock = until, clock
        self.steps = 0  # of this call
        self.images, self.stepping = 0, 0.0

    def step(self, batch: Batch) -> Losses:
        """Every player's turns on one batch.

        Raises:
            ChunkOver: The time is up; this step is not done, and the checkpoint is written.
        """
        began = self.clock()
        if self.steps and began >= self.until:
            self.save()
            raise ChunkOver
        report = super().step(batch)
        self.steps += 1
        if self.steps > _WARM:
            self.images += len(batch.photo)
            self.stepping += self.clock() - began
        return report


class Speed(NamedTuple):
    """How fast a run is on this device.

    Attributes:
        training: Images a second.
        inference: Images a second, by batch size.
        memory: Bytes at the peak; on a CPU of the whole process so far.
    """

    training: float
    inference: dict[str, float]
    memory: int


def measure(
    method: Adversarial,
    recipe: Recipe,
    pairs: Pairs,
    *,
    device: str,
    precision: Precision,
    seconds: float = 2.0,
    clock: Clock = time.monotonic,
) -> Speed:
    """Time a few warm steps, of a method with stages early, in the middle and late; nothing is written."""
    trainer = Chunked(method, recipe, pairs.kept, device=device, precision=precision, clock=clock)
    _reset_memory(trainer.device)
    per_image: list[float] = []
    stages = 1 if type(method).begin is Adversarial.begin else _STAGES
    for stage in range(stages):
        trainer.epoch = (2 * stage + 1) * recipe.epochs // (2 * stages)
        trainer.steps, trainer.images, trainer.stepping = 0, 0, 0.0
        method.train()
        method.begin(trainer.epoch, recipe.epochs)
        end = math.inf
        while trainer.images == 0 or clock() < end:
            for batch in trainer._batches():
                trainer.step(batch)
                if trainer.steps == _WARM:
                    end = clock() + seconds / stages
                if trainer.images and clock() >= end:
                    break
        per_image.append(trainer.stepping / trainer.images)
    training = stages / max(sum(per_image), 1e-9)
    inference = {"1": time_inference(method, 1, seconds=seconds / 2, clock=clock)}
    return Speed(training, inference, _peak_memory(trainer.device))


@torch.inference_mode()
def time_inference(method: Adversarial, batch: int, *, seconds: float = 1.0, clock: Clock = time.monotonic) -> float:
    """Images a second of ``translate`` at 256 x 256, in float32."""
    where = next(method.parameters()).device
    faces = torch.rand(batch, 3, SIZE, SIZE, device=where) * 2 - 1
    method.eval()
    method.translate(faces)
    _wait(where)
    began, done = clock(), 0
    while done == 0 or clock() - began < seconds:
        method.translate(faces)
        _wait(where)
        done += batch
    return done / max(clock() - began, 1e-9)


def pursue(
    method: Adversarial,
    recipe: Recipe,
    pairs: Pairs,
    folder: Path,
    *,
    until: float,
    device: str,
    precision: Precision,
    seed: int,
    about: dict[str, Any],
    clock: Clock = time.monotonic,
) -> dict[str, Any]:
    """Train on until the time is up or the last epoch is done, and write ``run.json`` beside the training.

    An error is recorded, not raised. Ctrl-C is recorded and raised. Where the training in the folder cannot be gone on
    with, the record keeps what it says of that one, beside the error.

    Args:
        method: The method, freshly made.
        recipe: Its recipe, with the epochs of this campaign.
        pairs: Its data.
        folder: Where everything is written.
        until: When to stop, by the clock.
        device: Where to train.
        precision: Of the networks.
        seed: Of the training.
        about: What the record says beyond the training.
        clock: Seconds.

    Returns:
        The record.
    """
    began = clock()
    folder.mkdir(parents=True, exist_ok=True)  # TensorBoard makes it, and may not be here
    record = (read_record(folder) or about) | {"state": "unfinished", "error": None}
    trainer = None
    try:
        opened = Chunked(
            method, recipe, pairs.kept, held_out=pairs.held, device=device, precision=precision, seed=seed, out=folder,
            until=until, clock=clock,
        )  # fmt: skip
        _reset_memory(opened.device)
        opened.start(resume=(folder / CHECKPOINT).exists())
        trainer, record = opened, record | about
        trainer.fit()
        record["state"] = "finished"
    except ChunkOver:
        pass
    except Exception as problem:  # a run that fails must not stop the others
        record |= {"state": "failed", "error": f"{type(problem).__name__}: {problem}"}
    finally:
        if trainer is not None:
            record |= _described(trainer, record)
        record["seconds"] = record.get("seconds", 0.0) + clock() - began
        store.write_bytes(folder / RECORD, json.dumps(record, indent=1).encode())
    if trainer is not None and record["state"] != "failed":
        _close(trainer, folder, record, clock)
    return record


def read_record(folder: Path) -> dict[str, Any]:
    """What is written about a run; empty before it began.

    Raises:
        TrainingError: It is not readable.
    """
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise TrainingError(f"{path} is not a run's record ({problem}). Remove {folder} to train it anew.") from None
    return record


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The training's figures, a line an epoch."""
    path = folder / "log.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _described(trainer: Chunked, record: dict[str, Any]) -> dict[str, Any]:
    """What the record says about the training so far."""
    method, device = trainer.method, trainer.device
    images = record.get("images", 0) + trainer.images
    stepping = record.get("stepping", 0.0) + trainer.stepping
    speed = dict(record.get("images_per_second", {}))
    speed["training"] = images / stepping if stepping else None
    return {
        "settings": method.settings,
        "size": method.size,
        "width": method.settings.get("width"),
        "parameters": weights.count_parameters(method),
        "recipe": trainer.configuration["recipe"],
        "seed": trainer.seed,
        "precision": trainer.precision,
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "pairs": len(trainer.examples),
        "held_out": len(trainer.held_out) if trainer.held_out else 0,
        "data_sha256": trainer.configuration["data"],
        "consulted": trainer.configuration.get("consults", {}),
        "epochs": {"done": trainer.epoch, "of": trainer.recipe.epochs, "paper": type(method).recipe.epochs},
        "steps_done": trainer.steps_done,
        "images": images,
        "stepping": stepping,
        "images_per_second": speed,
        "memory": max(record.get("memory", 0), _peak_memory(device)),
    }


def _close(trainer: Chunked, folder: Path, record: dict[str, Any], clock: Clock) -> None:
    """What a stopped run leaves: weights as they are, and, of a finished one, how fast they translate."""
    trainer.result.eval()
    path = folder / f"{weights.name_of(trainer.result)}.safetensors"
    if record["state"] != "finished":
        weights.save(trainer.result, path)
    else:
        for batch in (1, 16):
            record["images_per_second"].setdefault("inference", {})[str(batch)] = time_inference(
                trainer.result, batch, clock=clock
            )
    curve = [[line["epoch"], line["held_out/l1"]] for line in log_of(folder) if "held_out/l1" in line]
    record |= {
        "weights": {"file": path.name, "bytes": path.stat().st_size, "sha256": store.sha256(path)},
        "held_out_l1": curve,
    }
    store.write_bytes(folder / RECORD, json.dumps(record, indent=1).encode())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes on Linux
