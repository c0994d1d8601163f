"""A training's folder: one program holds it at a time, and the checkpoint in it is what a training goes on from."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from forensic import weights as store
from forensic.errors import ModelError, TrainingError

CHECKPOINT, LOG, SNAPSHOTS = "checkpoint.safetensors", "log.jsonl", "snapshots"
_SUM = "sha256"  # the checkpoint's own, in its description
_ADAM = {"step", "exp_avg", "exp_avg_sq"}


class Hold:
    """A program's hold on a training's folder: of two that write there, one would lose its work.

    Args:
        folder: None holds nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._lock = None if folder is None else FileLock(folder / ".lock", timeout=0, thread_local=False)

    def take(self) -> bool:
        """Whether this program has the folder now; it may have had it before."""
        if self._lock is None or self._lock.is_locked:
            return True
        Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Leave the folder to others."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class State(NamedTuple):
    """All tensors of a training that a checkpoint holds.

    Attributes:
        method: What learns.
        averaged: Its running mean; None without.
        optimizers: One of each player.
        device: Where they are.
    """

    method: nn.Module
    averaged: nn.Module | None
    optimizers: Mapping[str, torch.optim.Optimizer]
    device: torch.device

    def tensors(self) -> dict[str, Tensor]:
        """The networks, the optimizers and the random state, by name."""
        tensors = {f"method/{name}": value for name, value in self.method.state_dict().items()}
        if self.averaged is not None:
            tensors |= {f"averaged/{name}": value for name, value in self.averaged.state_dict().items()}
        for player, optimizer in self.optimizers.items():
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{player}/{index}/{key}": value for key, value in state.items()}
        tensors["random/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state(self.device)
        return tensors

    def restore(self, tensors: Mapping[str, Tensor], *, stepped: bool) -> None:
        """Take back what `tensors` gave.

        Args:
            tensors: By name.
            stepped: Whether a step was done before, so that every optimizer has a state.

        Raises:
            LookupError, RuntimeError, TypeError, ValueError: Tensors are missing, too many, or of other shapes.
        """
        groups: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, _, rest = key.partition("/")
            groups.setdefault(kind, {})[rest] = value
        self.method.load_state_dict(groups["method"])
        if self.averaged is not None:
            self.averaged.load_state_dict(groups["averaged"])
        states: dict[str, dict[int, dict[str, Tensor]]] = {player: {} for player in self.optimizers}
        for key, value in groups.get("optimizer", {}).items():
            player, index, entry = key.rsplit("/", 2)
            parameter = self.optimizers[player].param_groups[0]["params"][int(index)]
            if value.ndim and value.shape != parameter.shape:
                raise ValueError(f"{key} is {tuple(value.shape)}, expected {tuple(parameter.shape)}")
            states[player].setdefault(int(index), {})[entry] = laid_out_like(parameter, value)
        for player, state in states.items():
            if (stepped and not state) or any(entries.keys() != _ADAM for entries in state.values()):
                raise LookupError(f"the optimizer of {player} lacks tensors")
            optimizer = self.optimizers[player]
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        torch.set_rng_state(groups["random"]["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(groups["random"]["cuda"], self.device)


def laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """The value in the parameter's memory layout, as the fused optimizer takes both to lie alike."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def write(path: Path, state: State, description: dict[str, Any]) -> None:
    """Write a checkpoint, with a SHA-256 of all that is in it."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors().items()}
    store.write(path, tensors, description | {_SUM: _digest(tensors, description)})


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and description of a checkpoint.

    Raises:
        ModelError: There is none, it is damaged, or the file is something else.
    """
    tensors, description = store.read(path)
    if not {"configuration", "epoch", "steps_done"} <= description.keys():
        raise ModelError(
            f"{path} is not the checkpoint of a training (weights that were copied there?). Bring the checkpoint back,"
            " or train anew into another folder."
        )
    stated = description.pop(_SUM, None)  # an older one has none
    if stated not in (None, _digest(tensors, description)):
        raise damaged(path, "its SHA-256 is not the one that it states")
    return tensors, description


def damaged(path: Path, what: object) -> ModelError:
    """The error of a checkpoint that cannot be gone on from."""
    why = " ".join(str(what).split()).rstrip(" .")  # torch tells it in lines
    return ModelError(f"{path} is damaged: {why}. Bring the checkpoint back, or train anew into another folder.")


def _digest(tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> str:
    content = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        content.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        content.update(value.flatten().view(torch.uint8).numpy().data)
    return content.hexdigest()


def check_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise TrainingError, which names what differs, unless two trainings are configured alike."""
    if changed := list(_changes("", before, json.loads(json.dumps(now)))):
        raise TrainingError(
            "Cannot resume with a changed configuration: "
            + "; ".join(changed)
            + ". Give the settings of the interrupted run, or train anew into another folder."
        )


def _changes(name: str, before: Any, now: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from _changes(f"{name} {key}".strip(), before.get(key), now.get(key))
    elif before != now:
        yield f"{name} was {before}, is {now}"


def check_empty(folder: Path, weights: str) -> None:
    """Raise TrainingError if a training has written into a folder.

    Args:
        folder: The folder, which need not exist.
        weights: What its finished weights would be called.
    """
    if (folder / CHECKPOINT).exists():
        raise TrainingError(f"{folder} holds a training already. Go on with it (--resume) or choose another folder.")
    if left := [name for name in (weights, LOG, SNAPSHOTS) if (folder / name).exists()]:
        raise TrainingError(
            f"{folder} holds a training without its checkpoint ({', '.join(left)}), which a new one would write over."
            " Choose another folder, or remove this one."
        )
