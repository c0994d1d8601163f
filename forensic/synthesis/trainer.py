"""Training of any adversarial method: the only place with optimizers, precision, checkpoints and progress."""

import contextlib
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter

from forensic import devices
from forensic import weights as store
from forensic.errors import TrainingError, UsageError
from forensic.progress import bar
from forensic.synthesis import checkpoint, distributed, weights
from forensic.synthesis.checkpoint import CHECKPOINT, LOG, SNAPSHOTS
from forensic.synthesis.examples import Examples, batches, epoch_seed
from forensic.synthesis.interruption import Interruption
from forensic.synthesis.shares import Share, taken
from forensic.synthesis.styles import Styled
from forensic.synthesis.translator import Adversarial, Batch, Player, Recipe

Precision = Literal["fp32", "bf16"]
Losses = dict[str, float]  # "player/term" -> value

_SAVE_SECONDS = 60.0  # an epoch that ends this long after the last checkpoint writes one
_STEP_SAVE_SECONDS = 300.0  # a step likewise: an epoch may take hours, and a kill gives no word
_LOOKS = 20  # times in a training that sample images are drawn and weights are kept aside


class Trainer:
    """Trains a method on pairs in memory.

    In ``out`` it keeps ``checkpoint.safetensors``, ``log.jsonl`` (a line an epoch), ``tensorboard/``,
    ``samples/`` (they show faces of the data set: keep ``out`` out of any repository) and ``snapshots/``
    (half-precision weights along the way), and ``.lock``, by which one program at a time trains there; at the end the
    weights, named by method and direction.

    Args:
        method: The method, freshly made.
        recipe: Its training settings; ``method.recipe`` has the paper's.
        examples: Pairs of the method's size.
        held_out: Pairs that are never trained on; their L1 distance is logged every epoch.
        device: Where to train, such as ``"cpu"`` or ``"cuda"``.
        precision: ``"bf16"`` runs the networks in bfloat16; weights and optimizers stay in float32.
        seed: Decides the order, the augmentation and the dropout. The weights that the method begins with
            are the caller's: seed torch before making it.
        out: Folder of everything that is written; None writes nothing.
        processes: Those that train the method together, each with these arguments; None where this one trains alone.

    Raises:
        TrainingError: The examples are of another size than the method's, the processes were not given the same, or a
            player has parameters that do not learn.
        UsageError: The device is not there, the precision is unknown, the processes cannot share a batch evenly, or
            torchrun started several and each would train alone.
        ModelError: The weights of a frozen network that the method consults are missing.
    """

    def __init__(
        self,
        method: Adversarial,
        recipe: Recipe,
        examples: Examples,
        *,
        held_out: Examples | None = None,
        device: str = "cpu",
        precision: Precision = "fp32",
        seed: int = 0,
        out: Path | None = None,
        processes: distributed.Processes | None = None,
    ) -> None:
        self.device = devices.find(device)
        if precision not in ("fp32", "bf16"):
            raise UsageError(f"Unknown precision {precision!r}. Known: fp32, bf16.")
        self.processes = processes or distributed.alone(device)
        self.processes.check(recipe.batch)
        if examples.photo.shape[-2:] != (method.size, method.size):
            raise TrainingError(
                f"The examples are {examples.photo.shape[-1]} pixels wide, the method works at {method.size}."
            )
        self.configuration = {
            "method": method.name,
            "settings": method.settings,
            "recipe": recipe_json(recipe),
            "seed": seed,
            "precision": precision,
            "device": self.device.type,
            "pairs": len(examples),
            "data": examples.digest(),
            **({"consults": consulted} if (consulted := method.needs | method.consults) else {}),
        }
        self.processes.check_alike({"consults": None, **self.configuration})
        # Tensor cores want channels last; on a CPU it was a sixth slower (pix2pix, one core).
        self.layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        self.method: Adversarial = method.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
        self.processes.align(self.method)
        self.recipe, self.seed, self.precision, self.out = recipe, seed, precision, out
        self.examples = examples.to(self.device)
        self.held_out = held_out and held_out.to(self.device)
        self.optimizers = {name: self._optimizer(name, player) for name, player in method.players().items()}
        self.averaged: AveragedModel | None = None
        if recipe.average:
            mean = get_ema_multi_avg_fn(recipe.average)  # type: ignore[no-untyped-call]
            self.averaged = AveragedModel(self.method, multi_avg_fn=mean)  # buffers are copied
        self._hold = checkpoint.Hold(out if self.processes.writes else None)
        self._saved = time.monotonic()
        self.epoch = 0
        self.steps_done = 0  # of this epoch
        self.totals: Losses = {}  # of these steps
        self._set_learning_rate()

    def step(self, batch: Batch) -> Losses:
        """Every player's turns on one batch.

        Raises:
            TrainingError: A loss or its gradient is not finite; the player has not moved on it.
        """
        share = self.processes.share(len(batch.photo))
        own = share.of(batch)
        own = own._replace(
            photo=own.photo.contiguous(memory_format=self.layout),
            sketch=own.sketch.contiguous(memory_format=self.layout),
        )
        with taken(share):
            report = self._play(own, share)
        if self.averaged is not None:
            self.averaged.update_parameters(self.method)
        return report

    def _play(self, batch: Batch, share: Share) -> Losses:
        report: Losses = {}
        with self._autocast():
            faces = self.method(batch)
        for name, player in self.method.players().items():
            for turn in range(player.turns):
                with self._autocast():
                    if turn:
                        faces = self.method(batch)  # the earlier turn's backward freed the graph
                    losses = player.loss(batch, faces)
                values = self.processes.mean([float(value.detach()) for value in losses.values()], share.weight)
                report |= {f"{name}/{term}": value for term, value in zip(losses, values, strict=True)}
                if not all(map(math.isfinite, report.values())):
                    raise self._astray("A loss", report)
                self.optimizers[name].zero_grad()
                total = torch.stack(list(losses.values())).sum()
                torch.autograd.backward(total, inputs=list(player.network.parameters()))
                self.processes.average(player.network.parameters(), share.weight)
                if not _moves_by_numbers(player.network):  # as where the root of 0 is differentiated
                    raise self._astray(f"The gradient of {name}", report)
                self.optimizers[name].step()
        return report

    def _astray(self, what: str, report: Losses) -> TrainingError:
        return TrainingError(
            f"{what} in epoch {self.epoch}, step {self.steps_done} is not finite; the losses: {report}."
            " Try a lower learning rate, or precision fp32."
        )

    @property
    def result(self) -> Adversarial:
        """The method as it is judged, shown and saved: with averaged weights, where the recipe averages."""
        return self.method if self.averaged is None else cast(Adversarial, self.averaged.module)

    def fit(self) -> None:
        """Train up to the recipe's last epoch and write the weights.

        Ctrl-C (or SIGTERM, or SIGHUP) ends the step under way, saves and raises KeyboardInterrupt; ``resume`` goes on
        from there.

        Raises:
            TrainingError: A loss or its gradient is not finite, or another program trains in ``out``.
        """
        self._take_hold()
        self._saved = time.monotonic()
        done = self.epoch * self._steps() + self.steps_done
        remaining = self.recipe.epochs * self._steps() - done
        shown = bar("training, steps", remaining, shown=self.processes.writes)
        with self._hold, self._board() as board, shown as show, Interruption() as interruption:
            while self.epoch < self.recipe.epochs:
                began = time.monotonic()
                self.method.train()
                if self.steps_done == 0:
                    torch.manual_seed(epoch_seed(self.seed, self.epoch))  # dropout
                    self.totals = {}
                self.method.begin(self.epoch, self.recipe.epochs)
                rates = self._set_learning_rate()
                for batch in self._batches():
                    for term, value in self.step(batch).items():
                        self.totals[term] = self.totals.get(term, 0.0) + value
                    self.steps_done += 1
                    self._save_or_stop(interruption)
                    show(self.epoch * self._steps() + self.steps_done - done)
                figures = {term: total / self._steps() for term, total in self.totals.items()}
                self.epoch, self.steps_done = self.epoch + 1, 0
                figures |= {**self._judge(), **rates}
                self._report(board, figures, time.monotonic() - began)
                if time.monotonic() - self._saved > _SAVE_SECONDS or self.epoch == self.recipe.epochs:
                    self.save()
            self.result.eval()
            if self.out is not None and self.processes.writes:
                weights.save(self.result, self.out / self._weights_file())

    def _save_or_stop(self, interruption: Interruption) -> None:
        """After a step: stop where any process was asked to, and write the checkpoint where the last one is old."""
        if self.processes.anywhere(interruption.requested):
            self.save()
            self.processes.wait()
            raise KeyboardInterrupt(f"stopped in epoch {self.epoch + 1}; go on with --resume")
        if time.monotonic() - self._saved > _STEP_SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write the checkpoint: networks, optimizers, random state, position, the epoch's sums and configuration."""
        if self.out is None or not self.processes.writes:
            return
        totals = list(self.totals.items())  # in their order, which JSON written by name would lose
        position = {"epoch": self.epoch, "steps_done": self.steps_done, "totals": totals}
        checkpoint.write(self.out / CHECKPOINT, self._state(), {"configuration": self.configuration, **position})
        self._saved = time.monotonic()

    def start(self, *, resume: bool) -> None:
        """Make ``out`` ready and write a first checkpoint, or go back to the checkpoint in ``out``.

        From here to the end of ``fit`` no other program trains in ``out``.

        Raises:
            TrainingError: ``out`` holds a training already and ``resume`` is False, or another program trains there;
                or see ``resume``.
        """
        self._take_hold()
        try:
            if resume:
                self.resume()
            else:
                if self.out is not None:
                    checkpoint.check_empty(self.out, self._weights_file())
                self.processes.wait()  # until all have looked
                self.save()  # one that is killed at any time is gone on with, and none begins beside its log
        except BaseException:
            self._hold.release()
            raise

    def _take_hold(self) -> None:
        if self.processes.anywhere(not self._hold.take()):
            raise TrainingError(
                f"{self.out} is being trained by another program. Wait until it ends, or choose another folder."
            )

    def resume(self) -> None:
        """Go back to the checkpoint in ``out``; training on from it gives what an uninterrupted run gives.

        Raises:
            ModelError: There is no checkpoint, or it is damaged.
            TrainingError: It was made with another method, recipe, seed, precision or other data.
        """
        if self.out is None:
            raise TrainingError("Cannot resume without the folder that holds the checkpoint.")
        tensors, description = checkpoint.read(self.out / CHECKPOINT)
        checkpoint.check_same(description["configuration"], self.configuration)
        self.processes.check_alike({"checkpoint": description})
        self.epoch, self.steps_done = description["epoch"], description["steps_done"]
        try:
            self._state().restore(tensors, stepped=self.epoch + self.steps_done > 0)
        except (LookupError, RuntimeError, TypeError, ValueError) as problem:
            raise checkpoint.damaged(self.out / CHECKPOINT, problem) from problem
        self.totals = dict(
            description.get("totals", ())
        )  # an older checkpoint lacks them, and its epoch adds up fewer steps
        if self.processes.writes:
            self._forget_later_epochs()

    def _state(self) -> checkpoint.State:
        return checkpoint.State(self.method, self.averaged, self.optimizers, self.device)

    def _weights_file(self) -> str:
        return f"{weights.name_of(self.method)}.safetensors"

    def _forget_later_epochs(self) -> None:
        """Cut off the log's lines of epochs that ended after the checkpoint was written, and one that was cut short."""
        log = self.out / LOG if self.out else None
        if log and log.exists():
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and _epoch_of(line) <= self.epoch]
            store.write_bytes(log, "".join(kept).encode())

    def _optimizer(self, name: str, player: Player) -> torch.optim.Adam:
        frozen = [key for key, parameter in player.network.named_parameters() if not parameter.requires_grad]
        if frozen:
            raise TrainingError(
                f"Method {self.method.name!r}: the player {name!r} has parameters that do not learn (the first:"
                f" {frozen[0]}). A network that is only consulted is an Aid, and stays out of the player's."
            )
        decay = self.recipe.weight_decay
        optimizer = torch.optim.Adam(
            player.network.parameters(), betas=self.recipe.betas, weight_decay=decay, fused=True
        )
        if after := player.after:
            optimizer.register_step_post_hook(lambda *_: after())
        return optimizer

    def _steps(self) -> int:
        return math.ceil(len(self.examples) / self.recipe.batch)

    def _batches(self) -> Iterator[Batch]:
        return batches(
            self.examples,
            self.method.source,
            self.recipe,
            seed=self.seed,
            epoch=self.epoch,
            start=self.steps_done,
        )

    def _set_learning_rate(self) -> Losses:
        """Learning rate of each player, as the log names it."""
        rates = {
            name: self.recipe.learning_rate_at(self.epoch) * player.rate
            for name, player in self.method.players().items()
        }
        for name, rate in rates.items():
            for group in self.optimizers[name].param_groups:
                group["lr"] = rate
        return {f"{name}/learning_rate": rate for name, rate in rates.items()}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    @torch.no_grad()
    def _judge(self) -> Losses:
        """Mean L1 distance on the held-out pairs, of values in [-1, 1]."""
        if self.held_out is None or not self.processes.writes:
            return {}
        self.result.eval()
        distances = []
        for index in range(len(self.held_out)):
            pair = self.held_out.batch(slice(index, index + 1))
            distances.append(self._translated(pair) - pair.of(self.result.target))
        return {"held_out/l1": float(torch.cat(distances).abs().mean())}

    def _translated(self, pairs: Batch) -> Tensor:
        """The faces that the method makes of the pairs' sources, each in the style of its pair."""
        method, source = self.result, pairs.of(self.result.source)
        if pairs.style is None or not isinstance(method, Styled):
            return method.translate(source)
        usual, faces = method.style, []
        for face, style in zip(source, pairs.style.tolist(), strict=True):
            method.style = method.styles[style]
            faces.append(method.translate(face[None]))
        method.style = usual
        return torch.cat(faces)

    def _report(self, board: SummaryWriter | None, figures: Losses, seconds: float) -> None:
        """One line of the log; samples and a snapshot at every twentieth of the training."""
        if self.out is None or board is None:
            return
        for name, value in figures.items():
            board.add_scalar(name, value, self.epoch)
        with (self.out / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"epoch": self.epoch, "seconds": round(seconds, 2), **figures}) + "\n")
        if self.epoch % math.ceil(self.recipe.epochs / _LOOKS) == 0:
            self._draw_samples(self.out / "samples" / f"{self.epoch:04}.png")
            weights.save(self.result, self.out / SNAPSHOTS / f"{self.epoch:04}.safetensors")

    @torch.no_grad()
    def _draw_samples(self, path: Path, count: int = 6) -> None:
        """Columns of source, synthesized and true face."""
        from forensic.images import to_image

        shown = self.held_out or self.examples
        pairs = shown.batch(slice(count))
        self.result.eval()
        source, target = pairs.of(self.result.source), pairs.of(self.result.target)
        rows = [torch.cat(list(faces), dim=-1) for faces in (source, self._translated(pairs), target)]
        path.parent.mkdir(parents=True, exist_ok=True)
        to_image(torch.cat(rows, dim=-2).cpu()).save(path)

    @contextlib.contextmanager
    def _board(self) -> Iterator[SummaryWriter | None]:
        if self.out is None or not self.processes.writes:
            yield None
            return
        board = SummaryWriter(str(self.out / "tensorboard"), purge_step=self.epoch + 1)
        try:
            yield board
        finally:
            board.close()


def _epoch_of(line: str) -> float:
    """The epoch of a line of the log; of one that is damaged, none that is over."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return float(json.loads(line)["epoch"])
    return float("inf")


def _moves_by_numbers(network: nn.Module) -> bool:
    """Whether every gradient of a network is finite."""
    gradients = [each.grad for each in network.parameters() if each.grad is not None]
    return bool(nn.utils.get_total_norm(gradients, norm_type=math.inf).isfinite())


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON can hold it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(recipe).items()}
