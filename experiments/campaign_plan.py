"""What fits a budget: how many epochs of each run, the main methods before the ablations, and then to keep to it."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from campaign_training import Clock, Speed, read_record

from forensic import weights as store
from forensic.errors import TrainingError, UsageError

PLAN = "plan.json"
MARGIN = 0.1
"""Share of the budget that is kept for checkpoints, samples and loading."""


class Cost(NamedTuple):
    """What a run was measured to take.

    Attributes:
        name: The run's name.
        group: Runs of one group get equally many epochs: the rows of one table are compared with each other.
        main: Whether it goes before the ablations.
        epoch: Seconds.
        epochs: As many as the run's recipe asks for.
        fixed: Epochs of a run that has begun, which cannot change.
        spent: Seconds that it has had.
    """

    name: str
    group: str
    main: bool
    epoch: float
    epochs: int
    fixed: int | None = None
    spent: float = 0.0


class Share(NamedTuple):
    """What a run gets: epochs, 0 where it does not fit, and seconds."""

    epochs: int
    seconds: float


def allocate(costs: Sequence[Cost], budget: float) -> dict[str, Share]:
    """Epochs for every run, such that all fit the budget.

    Main methods share it evenly; what one of them does not need goes to the others, and what all of them leave goes to
    the ablations, group by group in the same way.

    Args:
        costs: What the runs take.
        budget: Seconds, with those spent.

    Returns:
        A share for each name; within one group equally many epochs, 0 where not even one fits.
    """
    left = budget * (1 - MARGIN)
    shares: dict[str, Share] = {}
    begun = [cost for cost in costs if cost.fixed is not None]
    for cost in begun:
        seconds = max(cost.spent, (cost.fixed or 0) * cost.epoch)
        shares[cost.name] = Share(cost.fixed or 0, seconds / (1 - MARGIN))
        left -= seconds
    for main in (True, False):
        groups: dict[str, list[Cost]] = {}
        for cost in costs:
            if cost.fixed is None and cost.main == main:
                groups.setdefault(cost.group, []).append(cost)
        # The groups that need least first: what they leave of an even share is then known to the others.
        order = sorted(groups.values(), key=lambda group: max(cost.epochs for cost in group) * _epoch(group))
        for index, group in enumerate(order):
            even = max(left, 0.0) / (len(order) - index)
            epochs = min(max(cost.epochs for cost in group), int(even / _epoch(group) + 1e-9))
            for cost in group:
                shares[cost.name] = Share(epochs, epochs * cost.epoch / (1 - MARGIN))
            left -= epochs * _epoch(group)
    return {cost.name: shares[cost.name] for cost in costs}


def _epoch(group: Sequence[Cost]) -> float:
    return max(sum(cost.epoch for cost in group), 1e-9)


def epoch_seconds(speed: Speed, pairs: int, held: int) -> float:
    """What one epoch takes: the pairs trained on, and the held-out ones translated."""
    return pairs / speed.training + held / speed.inference["1"]


def read(out: Path) -> dict[str, Any] | None:
    """The campaign's plan; None before there is one.

    Raises:
        TrainingError: It is not readable.
    """
    path = out / PLAN
    if not path.is_file():
        return None
    try:
        plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise TrainingError(f"{path} is not a plan ({problem}). Remove it and plan again.") from None
    return plan


def write(out: Path, plan: dict[str, Any]) -> None:
    """Write the plan, whole."""
    store.write_bytes(out / PLAN, json.dumps(plan, indent=1).encode())


def check_same(plan: dict[str, Any], asked: dict[str, Any], out: Path) -> None:
    """Raise UsageError where a call asks for another campaign than the one that is planned in ``out``."""
    if changed := changes(plan["asked"], json.loads(json.dumps(asked))):
        raise UsageError(
            f"{out} holds the plan of another campaign: {'; '.join(changed)}. Give what it was planned with,"
            " `plan` it again with the new values, or choose another --out."
        )


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is no longer as it was, one by one.

    >>> changes({"seed": 0, "pairs": {"cufs": "a1", "fs2k": "b2"}}, {"pairs": {"cufs": "a1", "fs2k": "c3"}})
    ['pairs fs2k is b2, given c3']
    """
    found = []
    for name, value in now.items():
        earlier = before.get(name)
        if isinstance(earlier, dict) and isinstance(value, dict):
            every = dict.fromkeys(earlier) | value
            found += [f"{name} {line}" for line in changes(earlier, every)]
        elif value != earlier:
            found.append(f"{name} is {earlier}, given {value}")
    return found


def table(plan: dict[str, Any], out: Path) -> list[str]:
    """The plan and what is done of it, a line a run."""
    columns = ("epochs", "of", "paper", "train/s", "infer/s", "memory", "minutes")
    head = f"{'run':44} " + " ".join(f"{name:>8}" for name in columns) + "  state"
    lines = [head]
    for planned in plan["runs"]:
        record = read_record(out / "runs" / planned["name"])
        if planned.get("error"):
            lines.append(f"{planned['name']:44} cannot run: {planned['error']}")
            continue
        done = record.get("epochs", {}).get("done", 0)
        state = record.get("state", "waits" if planned["epochs"] else "does not fit")
        lines.append(
            f"{planned['name']:44} {done:8} {planned['epochs']:8} {planned['paper']:8} {planned['training']:8.2f}"
            f" {planned['inference']:8.2f} {planned['memory'] / 2**20:6.0f}MB {planned['seconds'] / 60:8.1f}  {state}"
        )
    spent = used(plan, out)
    lines.append(
        f"{spent / 60:.1f} of {plan['asked']['budget'] / 60:.1f} minutes are spent; device {plan['asked']['device']}."
    )
    return lines


def used(plan: dict[str, Any], out: Path) -> float:
    """Seconds that all runs have had."""
    spent: float = sum(read_record(out / "runs" / planned["name"]).get("seconds", 0.0) for planned in plan["runs"])
    return spent


def work(
    plan: dict[str, Any],
    out: Path,
    train: Callable[[dict[str, Any], float], dict[str, Any]],
    *,
    chunk: float,
    clock: Clock = time.monotonic,
    began: float | None = None,
    retry: bool = False,
    say: Callable[[str], None] = print,
) -> bool:
    """Go on with a campaign until its chunk or its budget is used up.

    First every run has its share; then those that took longer than measured have what is left, in the same order.

    Args:
        plan: What to do.
        out: The campaign's folder.
        train: Trains a planned run until the clock shows a time, and returns its record; errors are in the record.
        chunk: Seconds of this call; 0 for no end.
        clock: Seconds.
        began: When this call began, by the clock; now where None.
        retry: Try again what failed before.
        say: Told of every run that was worked on.

    Returns:
        Whether something is left to do within the budget.
    """
    began = clock() if began is None else began
    end = began + chunk if chunk else float("inf")
    tried: set[str] = set()
    for within_share in (True, False):
        for planned in plan["runs"]:
            record = read_record(out / "runs" / planned["name"])
            state = record.get("state")
            failed = state == "failed" and not (retry and planned["name"] not in tried)
            if planned.get("error") or not planned["epochs"] or state == "finished" or failed:
                continue
            left = plan["asked"]["budget"] - used(plan, out)
            if within_share:
                left = min(left, planned["seconds"] - record.get("seconds", 0.0))
            if left <= 0:
                continue
            if clock() >= end:
                return True
            tried.add(planned["name"])
            record = train(planned, min(end, clock() + left))
            done = record.get("epochs", {}).get("done", 0)
            error = f": {record['error']}" if record["error"] else ""
            say(f"{planned['name']}: {record['state']}, {done} of {planned['epochs']} epochs{error}")
            if record["state"] == "unfinished" and clock() >= end:
                return True
    return False


def describe(problem: Exception) -> str:
    """An error in one line."""
    return " ".join(str(problem).split())
