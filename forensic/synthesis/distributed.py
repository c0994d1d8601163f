"""Several processes that train one model: ``torchrun --nproc-per-node N -m forensic train ...``.

Each process takes its share of every batch, and before each step of an optimizer the gradients of the playing network
are averaged in one flat tensor. torch's DistributedDataParallel would wrap every network and averages in the backward
pass of one forward call; here a loss runs through several networks, and the backward pass serves one of them alone.

All processes draw the same random numbers (`shares`), hold the same weights and take the same steps; the first one
writes. So nothing but time depends on their number, and a checkpoint is gone on from by any number of them.
"""

import hashlib
import json
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous

from forensic.errors import ForensicError, TrainingError, UsageError
from forensic.synthesis.shares import Share, share

LOST = (
    "Another process of this training ended, or torchrun was told to end. What was saved last is whole: the same"
    " command with --resume goes on from there."
)
_INTERRUPTED = 130  # exit status, as of `forensic.cli`


class Processes:
    """The processes of a training, as one of them sees them.

    Args:
        device: Where this one trains.
        rank: Its number, counted from 0.
        world: How many there are. One alone needs no process group.
    """

    def __init__(self, device: str, rank: int = 0, world: int = 1) -> None:
        self.device, self.rank, self.world = device, rank, world

    @property
    def writes(self) -> bool:
        """Whether this is the one that shows progress and writes."""
        return self.rank == 0

    def check(self, batch: int) -> None:
        """Raise UsageError unless a batch of so many pairs can be shared evenly."""
        if batch % self.world:
            raise UsageError(
                f"{self.world} processes cannot share a batch of {batch} pairs evenly. Give a multiple of {self.world}"
                f", such as --set batch={(batch // self.world + 1) * self.world}, or start fewer processes."
            )

    def share(self, total: int) -> Share:
        """What this process has of a batch of so many pairs."""
        return share(total, self.rank, self.world, self._add)

    def align(self, network: nn.Module) -> None:
        """Give all processes the parameters and buffers of the first one."""
        if self.world == 1:
            return
        for tensor in network.state_dict().values():
            content = tensor.contiguous()
            _together(dist.broadcast, content, 0)
            tensor.copy_(content)

    def check_alike(self, facts: Mapping[str, Any]) -> None:
        """Raise TrainingError in all processes, where any was given something else than the others.

        Args:
            facts: As JSON can hold them, under the same names in all processes.
        """
        if self.world == 1:
            return
        told = torch.zeros(self.world, len(facts), dtype=torch.int64)
        told[self.rank] = torch.tensor([_hashed(fact) for fact in facts.values()])
        columns = self._add(told).T.tolist()
        differing = [name for name, column in zip(facts, columns, strict=True) if len(set(column)) > 1]
        if differing:
            raise TrainingError(
                f"The {self.world} processes of this training were not given the same {' and '.join(differing)}. Start"
                " all of them with the same arguments, images and files, on every machine."
            )

    def mean(self, values: list[float], weight: float) -> list[float]:
        """Means over the whole batch, of those over this process's share."""
        if self.world == 1:
            return values
        means: list[float] = self._add(torch.tensor(values, dtype=torch.float64) * weight).tolist()
        return means

    @torch.no_grad()
    def average(self, parameters: Iterable[nn.Parameter], weight: float) -> None:
        """Replace gradients of the mean over this process's share by those of the mean over the whole batch.

        A parameter that played no part in any process keeps having no gradient: for Adam that is not a gradient of 0.
        """
        if self.world == 1:
            return
        moved = list(parameters)
        own = [torch.zeros_like(each) if each.grad is None else weight * each.grad for each in moved]
        played = torch.tensor([each.grad is not None for each in moved]).to(own[0])
        flat = self._add(torch.cat([part.flatten() for part in (*own, played)]))
        *averaged, counts = flat.split_with_sizes([*(each.numel() for each in moved), len(moved)])
        for each, average, count in zip(moved, averaged, counts.tolist(), strict=True):
            if count:
                each.grad = torch.empty_like(each).copy_(average.view(each.shape))  # in the parameter's layout

    def anywhere(self, here: bool) -> bool:
        """Whether it is so in any of the processes."""
        return here if self.world == 1 else bool(self._add(torch.tensor(float(here))))

    def wait(self) -> None:
        """Until all processes are here."""
        self.anywhere(False)

    def _add(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, where the tensor was; the tensor itself may change."""
        there = tensor.to(self.device)
        _together(dist.all_reduce, there)
        return there.to(tensor.device)


def _hashed(fact: Any) -> int:
    """The first 64 bits of a SHA-256."""
    content = json.dumps(fact, sort_keys=True).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big", signed=True)


def _together(operation: Any, *arguments: Any) -> None:
    try:
        operation(*arguments)
    except RuntimeError as problem:  # as of gloo and NCCL alike
        raise TrainingError(f"{LOST} (torch: {str(problem).splitlines()[0]})") from problem


def alone(device: str) -> Processes:
    """This process on its own.

    Raises:
        UsageError: torchrun started several, which would overwrite each other's work.
    """
    if _started_together():
        raise UsageError("This training has no use for several processes: start it without torchrun.")
    return Processes(device)


@contextmanager
def start(device: str) -> Iterator[Processes]:
    """The processes that torchrun started, or this one alone, for as long as the training inside.

    An error that all of them have is told by the first to have it; the others end with its status and no word.

    Args:
        device: ``"cpu"``, or ``"cuda"``, of which each process takes one of its own.

    Raises:
        UsageError: Several processes were started, and the device is neither, or there are too few of it.
        TrainingError: Inside, when another process ended.
    """
    if not _started_together():
        yield alone(device)
        return
    store, rank, world = next(rendezvous("env://"))
    before = signal.signal(signal.SIGTERM, _told_to_end)
    try:
        processes = _joined(device, store, rank, world)
        processes.wait()  # one that ends while another still connects would leave that one waiting
        yield processes
        dist.destroy_process_group()
    except (ForensicError, KeyboardInterrupt) as problem:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun ends the others at once, and one is still telling
        if not _first_to_tell(problem, store):
            status = problem.exit_code if isinstance(problem, ForensicError) else _INTERRUPTED
            raise SystemExit(status) from None
        raise
    signal.signal(signal.SIGTERM, before)


def _started_together() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1


def _joined(device: str, store: Any, rank: int, world: int) -> Processes:
    here, number = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    if device not in ("cpu", "cuda"):
        raise UsageError(
            f"--device {device} with {world} processes: expected cpu or cuda, of which each process takes one."
        )
    if device == "cpu":
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
        return Processes("cpu", rank, world)
    if (there := torch.cuda.device_count()) < here:
        raise UsageError(
            f"{here} processes were started on a machine with {there} CUDA devices, and each takes one of its own."
            f" Give --nproc-per-node {there or 1}" + ("." if there else " and --device cpu.")
        )
    own = torch.device("cuda", number)
    torch.cuda.set_device(own)
    dist.init_process_group("nccl", store=store, rank=rank, world_size=world, device_id=own)
    return Processes(str(own), rank, world)


def _told_to_end(*_: object) -> NoReturn:
    raise TrainingError(LOST)


def _first_to_tell(problem: BaseException, store: Any) -> bool:
    """Whether no other process has told this error; its first sentence decides."""
    told = f"{type(problem).__name__}/{str(problem).partition('. ')[0]}"
    try:
        return bool(store.add(told, 1) == 1)
    except RuntimeError:  # torchrun itself is gone: twice is better than never
        return True
