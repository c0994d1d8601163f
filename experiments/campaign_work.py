"""A campaign: its runs, data and plan together, as the commands of ``campaign.py`` need them."""

import contextlib
import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import campaign_data
import campaign_pack
import campaign_plan as plans
import campaign_training
import torch
from campaign_data import Pairs
from campaign_runs import Changes, Run, check_defaults, choose, make
from campaign_training import Clock, Speed

from forensic import devices
from forensic import weights as store
from forensic.errors import ForensicError, UsageError
from forensic.progress import bar
from forensic.synthesis import Adversarial, Recipe
from forensic.synthesis.trainer import Precision, recipe_json
from forensic.synthesis.translator import SIZE

PACKAGE = Path(store.__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """What a campaign is asked for; its plan keeps it, and a call that asks for something else is refused.

    Attributes:
        runs: Patterns of runs' names, or TOML files.
        budget: Seconds of training.
        device: Where to train.
        precision: Of the networks.
        seed: Of every run.
        hold_out: People of the training split whose faces are never trained on.
        resplit: Whether that is the split that keeps people apart.
        size: As of `Changes`.
        width: Likewise.
        defaults: Likewise.
    """

    runs: Sequence[str] = ()
    budget: float = 0.0
    device: str = "cpu"
    precision: Precision = "fp32"
    seed: int = 0
    hold_out: int = 20
    resplit: bool = False
    size: int | None = None
    width: Any = None
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Campaign:
    """Everything that is done in one campaign's folder.

    Args:
        out: The folder; it will hold images of the data sets.
        asked: What is asked for.
        data: Folders of data sets by name.
        packed: An unpacked pack, in place of ``data``.
        stand_ins: Libraries that are not here, for the record.
        clock: Seconds.

    Raises:
        UsageError: Both kinds of data are given or none, the device is not there, or no run is called so.
        DataError: ``packed`` is no unpacked pack.
    """

    def __init__(
        self,
        out: Path,
        asked: Asked,
        data: Mapping[str, Path],
        packed: Path | None = None,
        *,
        stand_ins: Sequence[str] = (),
        clock: Clock = time.monotonic,
    ) -> None:
        if bool(data) == (packed is not None):
            raise UsageError("Give the data sets, each as --data NAME=DIR, or a pack, --packed DIR.")
        self.about: dict[str, Any] = campaign_pack.about(packed) if packed else {"commit": _commit()}
        if packed:
            os.environ["FORENSIC_WEIGHTS"] = str(packed / "installed")  # the aids that came along
            resplit = self.about.get("resplit", False)
            asked = dataclasses.replace(asked, hold_out=self.about["hold_out"], resplit=resplit)
        self.names = sorted(data) if packed is None else sorted(self.about["data"])
        check_defaults(asked.defaults)
        self.out, self.asked, self.data, self.packed = out, asked, data, packed
        self.stand_ins, self.clock = list(stand_ins), clock
        self.changes = Changes(asked.size, asked.width, asked.defaults)
        self.runs = {run.name: run for run in choose(asked.runs, self.names)}
        self._pairs: dict[tuple[str, int], Pairs] = {}
        self._chosen: dict[str, campaign_data.Chosen] = {}

    def pairs(self, name: str, size: int) -> Pairs:
        """A data set at a size."""
        if (name, size) not in self._pairs:
            if self.packed is not None:
                self._pairs[name, size] = campaign_data.unpacked(name, self.packed, size)
            else:
                self._pairs[name, size] = campaign_data.prepared(name, self.chosen(name), size, self.out / "data")
        return self._pairs[name, size]

    def chosen(self, name: str) -> campaign_data.Chosen:
        """A data set's pairs, as files."""
        if name not in self._chosen:
            self._chosen[name] = campaign_data.choose(self.data[name], self.asked.hold_out, resplit=self.asked.resplit)
        return self._chosen[name]

    @cached_property
    def stated(self) -> dict[str, Any]:
        """What is asked for, what the runs' files say, and digests of their data, as the plan keeps it.

        Raises:
            DataError: A folder is missing or holds no pair to train on.
        """
        used = sorted({run.data for run in self.runs.values()})
        if self.packed is not None:
            data = {name: campaign_data.packed_digest(name, self.packed) for name in used}
        else:
            data = {name: self.chosen(name).digest for name in used}
        files = {
            name: {"method": run.method, "settings": run.settings, "recipe": run.recipe}
            for name, run in self.runs.items()
        }
        return {**dataclasses.asdict(self.asked), "pairs_sha256": data, "files": files}

    def made(self, run: Run) -> tuple[Adversarial, Recipe]:
        """A run's method and recipe."""
        return make(run, self.changes, self.asked.seed)

    def plan(self, *, until: float = float("inf"), say: Callable[[str], None] = print) -> bool:
        """Measure every run that was not yet measured, and write the plan.

        Returns:
            Whether it is whole: False where the clock showed ``until`` before all runs were measured.
        """
        devices.find(self.asked.device)
        self._check_begun()
        path = self.out / "measured.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        lines = []
        with bar("measuring runs", len(self.runs)) as shown:
            for index, run in enumerate(self.runs.values()):
                try:
                    line = self._measured(run, known, until)
                except ForensicError as problem:
                    line = {"error": plans.describe(problem)}
                    say(f"{run.name} cannot run: {line['error']}")
                except Exception as problem:  # such as too little memory: the other runs are not to suffer
                    line = {"error": f"{type(problem).__name__}: {plans.describe(problem)}"}
                    say(f"{run.name} cannot run: {line['error']}")
                if line is None:
                    return False
                store.write_bytes(path, json.dumps(known, indent=1).encode())
                lines.append({"name": run.name, **line})
                shown(index + 1)
        self._divide(lines)
        return True

    def _measured(self, run: Run, known: dict[str, Any], until: float) -> dict[str, Any] | None:
        """One run's line of the plan before the budget is divided; None where the time is up."""
        method, recipe = self.made(run)
        data = self.stated["pairs_sha256"][run.data]
        stated = [run.name, method.settings, vars(recipe), self.asked.device, self.asked.precision, self.about, data]
        key = hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()
        if key not in known:
            if self.clock() >= until:
                return None
            pairs = self.pairs(run.data, method.size)
            speed = campaign_training.measure(
                method, recipe, pairs, device=self.asked.device, precision=self.asked.precision, clock=self.clock
            )
            known[key] = {"speed": speed, "pairs": len(pairs.kept), "held_out": len(pairs.held or ())}
        training, inference, memory = speed = Speed(*known[key]["speed"])
        epoch = plans.epoch_seconds(speed, known[key]["pairs"], known[key]["held_out"])
        return {
            "training": training,
            "inference": inference["1"],
            "memory": memory,
            "epoch": epoch,
            "paper": type(method).recipe.epochs,
            "wanted": recipe.epochs,
        }

    def _divide(self, lines: list[dict[str, Any]]) -> None:
        """Divide the budget among the runs that can run, and write the plan."""
        costs = []
        for line in lines:
            if "error" not in line:
                run, record = self.runs[line["name"]], campaign_training.read_record(self.folder(line["name"]))
                group = run.name if run.row is None else f"{run.data}/{run.method}"
                begun = record.get("epochs", {}).get("of") if "steps_done" in record else None
                spent = record.get("seconds", 0.0)
                costs.append(plans.Cost(run.name, group, run.row is None, line["epoch"], line["wanted"], begun, spent))
        shares = plans.allocate(costs, self.asked.budget)
        for line in lines:
            line |= shares[line["name"]]._asdict() if line["name"] in shares else {"epochs": 0, "seconds": 0.0}
        plans.write(self.out, {"asked": self.stated, **self.about, "runs": lines})

    def folder(self, name: str) -> Path:
        """Where a run is written."""
        return self.out / "runs" / name

    def run(self, *, chunk: float, began: float, retry: bool, say: Callable[[str], None] = print) -> bool:
        """Plan where there is no plan, then train; returns whether something is left to do.

        Raises:
            UsageError: The folder holds the plan of another campaign.
        """
        plan = plans.read(self.out)
        if plan is None:
            if not self.plan(until=began + chunk if chunk else float("inf"), say=say):
                return True
            plan = plans.read(self.out) or {}
            for line in plans.table(plan, self.out):
                say(line)
        plans.check_same(plan, self.stated, self.out)
        return plans.work(plan, self.out, self.train, chunk=chunk, began=began, retry=retry, clock=self.clock, say=say)

    def train(self, planned: dict[str, Any], until: float) -> dict[str, Any]:
        """Train one run until the clock shows ``until``; an error is in the record."""
        run, folder = self.runs[planned["name"]], self.folder(planned["name"])
        about = {
            "run": run.name, "method": run.method, "row": run.row, "data": run.data, "resplit": self.asked.resplit,
            "pairs_sha256": self.stated["pairs_sha256"][run.data], **self._origin(),
        }  # fmt: skip
        try:
            method, recipe = self.made(run)
            pairs = self.pairs(run.data, method.size)
        except Exception as problem:  # what a later file or a missing weight breaks in one run, it breaks in one
            record = campaign_training.read_record(folder) or about
            record |= {"state": "failed", "error": f"{type(problem).__name__}: {problem}"}
            store.write_bytes(folder / campaign_training.RECORD, json.dumps(record, indent=1).encode())
            return record
        record = campaign_training.pursue(
            method,
            recipe.changed(epochs=planned["epochs"]),
            pairs,
            folder,
            until=until,
            device=self.asked.device,
            precision=self.asked.precision,
            seed=self.asked.seed,
            about=about,
            clock=self.clock,
        )
        with contextlib.suppress(ImportError):  # a bare machine has no matplotlib: `curves` draws them at home
            draw_curve(folder)
        return record

    def pack(self, path: Path, quality: int) -> campaign_pack.Packed:
        """Write a pack of all runs; see `campaign_pack.pack`."""
        methods = {name: self.made(run)[0] for name, run in self.runs.items()}
        used = sorted({run.data for run in self.runs.values()})
        data = {name: self.pairs(name, SIZE) for name in used}
        about = {**self.about, "quality": quality, "data": used}
        about |= {"hold_out": self.asked.hold_out, "resplit": self.asked.resplit}
        return campaign_pack.pack(path, PACKAGE, methods, data, about, quality=quality)

    def _check_begun(self) -> None:
        """Raise UsageError where a run has begun with what is no longer asked for: a new plan cannot change it."""
        pairs = self.stated["pairs_sha256"]
        for run in self.runs.values():
            record = campaign_training.read_record(self.folder(run.name))
            if "steps_done" not in record:
                continue
            now = {"pairs_sha256": pairs[run.data], **self._as_recorded(run, record["recipe"]["epochs"])}
            if changed := plans.changes(record, {name: value for name, value in now.items() if name in record}):
                raise UsageError(
                    f"{run.name} has begun with something else: {'; '.join(changed)}. Give what it began with, remove"
                    f" {self.folder(run.name)} to train it anew, or choose another --out."
                )

    def _as_recorded(self, run: Run, epochs: int) -> dict[str, Any]:
        """What decides a run's weights, as its record says it; a plan does not change its epochs."""
        with torch.device("meta"):  # no memory: only its settings are asked for
            method, recipe = self.made(run)
        stated = {
            "method": method.name,
            "settings": method.settings,
            "recipe": recipe_json(recipe.changed(epochs=epochs)),
            "seed": self.asked.seed,
            "precision": self.asked.precision,
            "device": torch.device(self.asked.device).type,
        }
        recorded: dict[str, Any] = json.loads(json.dumps(stated))
        return recorded

    def _origin(self) -> dict[str, Any]:
        encoded = {"quality": self.about["quality"]} if self.packed else {}
        return {"commit": self.about["commit"], "stand_ins": self.stand_ins, **encoded}


def draw_curve(folder: Path) -> Path | None:
    """Draw a run's held-out distance and its players' losses over the epochs; None where no epoch is done.

    Raises:
        ImportError: matplotlib is not here.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from forensic.evaluation.plots import COLOURS, INK

    log = campaign_training.log_of(folder)
    if not log:
        return None
    epochs = [line["epoch"] for line in log]
    terms = [name for name in log[-1] if "/" in name and not name.endswith("learning_rate")]
    held = [name for name in terms if name.startswith("held_out/")]
    panels = {"L1 to the held-out faces": held, "losses": [name for name in terms if name not in held]}
    panels = {title: names for title, names in panels.items() if names}
    with rc_context({"svg.hashsalt": "forensic", "font.size": 9, "text.color": INK}):
        figure = Figure(figsize=(10, 4), layout="constrained", facecolor="white")
        for axes, (title, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
            for index, name in enumerate(names):
                values = [line.get(name, float("nan")) for line in log]  # a stage has terms of its own
                axes.plot(epochs, values, color=COLOURS[index % len(COLOURS)], label=name, linewidth=1.2)
            axes.set_title(title, loc="left")
            axes.set_xlabel("epoch")
            axes.grid(color="#e5e7eb", linewidth=0.8)
            if len(names) > 1:
                axes.legend(fontsize=7, frameon=False)
                axes.set_yscale("symlog", linthresh=0.01)
        figure.savefig(folder / "curve.svg", metadata={"Date": None})
    return folder / "curve.svg"


def _commit() -> str | None:
    from forensic.provenance import commit

    return commit()
