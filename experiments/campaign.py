"""Train any set of methods and ablations to a time budget, here or on a bare machine: docs/campaign.md.

    python experiments/campaign.py plan --data cufs=$FORENSIC_DATA/cufs --device cuda --budget 6h --out runs/campaign
    python experiments/campaign.py run --data cufs=$FORENSIC_DATA/cufs --device cuda --budget 6h --out runs/campaign
    python experiments/campaign.py status --out runs/campaign

Every call of ``run`` ends after --chunk seconds with all saved and status 75; the same call goes on. Status 0 says that
nothing is left to do, 1 that a run failed. The folder will hold images of the data: keep it out of any repository.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from campaign_work import Campaign

HERE = Path(__file__).resolve().parent
MORE = 75  # EX_TEMPFAIL: call again
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def plan(campaign: Campaign, options: argparse.Namespace) -> int:
    """Measure images a second and print what fits the budget."""
    import campaign_plan

    if not campaign.plan(until=_end(options)):
        print("Not all runs are measured yet. The same command goes on.")
        return MORE
    print("\n".join(campaign_plan.table(campaign_plan.read(campaign.out) or {}, campaign.out)))
    return 0


def run(campaign: Campaign, options: argparse.Namespace) -> int:
    """Train the runs in their order; without a plan, plan first."""
    import campaign_plan

    if campaign.run(chunk=options.chunk, began=options.began, retry=options.retry):
        print("There is more to do. The same command goes on.")
        return MORE
    finished = campaign_plan.read(campaign.out) or {}
    print("\n".join(campaign_plan.table(finished, campaign.out)))
    return int(bool(_failed(campaign.out, finished)))


def pack(campaign: Campaign, options: argparse.Namespace) -> int:
    """Write code, aids and re-encoded data for a machine with PyTorch and nothing else."""
    packed = campaign.pack(options.pack, options.quality)
    parts = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in packed.parts.items())
    print(f"{options.pack}: {packed.total / 1e6:.1f} MB ({parts}). It holds images of the data.")
    print("There: tar -xf PACK.tar && python campaign/experiments/campaign.py run --packed campaign --out results ...")
    return 0


def status(options: argparse.Namespace) -> int:
    """Print the plan and what is done of it."""
    import campaign_plan

    print("\n".join(campaign_plan.table(_planned(options.out), options.out)))
    return 0


def collect(options: argparse.Namespace) -> int:
    """Write results as few files of at most 16 MB, 60 MB in all."""
    import campaign_pack

    names = [line["name"] for line in _planned(options.out)["runs"]]
    collected = campaign_pack.collect(options.out, options.into, names)
    print(f"{options.into}: {len(collected.files)} files, {collected.total / 1e6:.1f} MB.")
    for line in collected.left_out:
        print(f"left out, as it does not fit: {line}")
    return 0


def receive(options: argparse.Namespace) -> int:
    """Put collected results into a campaign's folder, and draw the curves."""
    import campaign_pack

    files = campaign_pack.receive(options.volumes, options.out)
    print(f"{options.out}: {len(files)} files.")
    return curves(options)


def curves(options: argparse.Namespace) -> int:
    """Draw every run's curve."""
    import campaign_work

    drawn = [campaign_work.draw_curve(path.parent) for path in sorted(options.out.glob("runs/*/*/log.jsonl"))]
    print(f"{len(drawn)} curves.")
    return 0


def configs(options: argparse.Namespace) -> int:
    """Write experiments/campaign/METHOD.toml and METHOD-ROW.toml from the methods' own rows."""
    import campaign_runs

    for name, content in campaign_runs.configs().items():
        (campaign_runs.CONFIGS / name).write_text(content, encoding="utf-8")
    return 0


def seconds(text: str) -> float:
    """A duration such as ``540``, ``25m`` or ``6h``."""
    matched = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not matched:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a duration such as 540, 25m or 6h")
    return float(matched[1]) * _UNITS[matched[2]]


def seed(text: str) -> int:
    """A number that torch's generators take."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 0 to {2**63 - 1}")
    return int(text)


def setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE; a value is a number, true, false or a list as TOML writes them, else a word."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except ValueError:
        return name, value


def width(text: str) -> int | str:
    """Channels, or ``compact``."""
    if text != "compact" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number or compact")
    return text if text == "compact" else int(text)


def folder(text: str) -> tuple[str, Path]:
    """NAME=DIR."""
    name, _, path = text.partition("=")
    if not re.fullmatch(r"[a-z0-9_-]+", name) or not path:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=DIR, such as cufs=data/cufs")
    return name, Path(path)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(does: Any) -> argparse.ArgumentParser:
        made = commands.add_parser(does.__name__, help=does.__doc__, description=does.__doc__)
        made.set_defaults(does=does)
        return made

    does: Callable[..., int]
    for does in (plan, run, pack):
        made = command(does)
        made.add_argument("runs", nargs="*", help="patterns of runs such as 'cufs/sdgan*', or TOML files; else all")
        made.add_argument("--data", type=folder, action="append", default=[], metavar="NAME=DIR", help="a data set")
        made.add_argument("--out", type=Path, required=True, help="the campaign's folder")
        made.add_argument("--hold-out", type=int, default=20, help="people of the training split never trained on")
        made.add_argument("--resplit", action="store_true", help="the split that keeps people apart (FS2K)")
        made.add_argument("--seed", type=seed, default=0)
        made.add_argument("--size", type=int, help="pixels a side of the networks")
        made.add_argument("--width", type=width, help="channels, or compact: the shape of METHOD-compact*.toml")
        made.add_argument(
            "--default", type=setting, action="append", default=[], metavar="NAME=VALUE", dest="defaults",
            help="in place of the paper's value, wherever a method has the setting and its file does not set it",
        )  # fmt: skip
        made.add_argument("--device", default="cpu")
        made.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
        made.add_argument("--chunk", type=seconds, default=540.0, help="this call ends after so long; 0: never")
        made.set_defaults(packed=None, budget=0.0)
        if does is pack:
            made.add_argument("--pack", type=Path, required=True, metavar="PACK.tar", help="the file to write")
            made.add_argument("--quality", type=int, default=92, help="of the re-encoded images, as of JPEG")
        else:
            made.add_argument("--packed", type=Path, metavar="DIR", help="an unpacked pack, in place of --data")
            made.add_argument("--budget", type=seconds, required=True, help="of all training, such as 25m or 6h")
        if does is run:
            made.add_argument("--retry", action="store_true", help="try again what failed")
    for does in (status, collect, curves, receive):
        command(does).add_argument("--out", type=Path, required=True, help="the campaign's folder")
    commands.choices["collect"].add_argument("into", type=Path, metavar="DIR", help="where to write the files")
    commands.choices["receive"].add_argument("volumes", type=Path, metavar="DIR", help="what collect wrote")
    command(configs)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, call, print; returns the exit status."""
    options = parser().parse_args(arguments)
    options.began = time.monotonic()
    for path in (HERE, HERE.parent):  # the package of this checkout, or of the pack, whatever is installed
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
    import campaign_standins

    stand_ins = campaign_standins.install()
    from forensic.errors import ForensicError

    try:
        if options.does not in (plan, run, pack):
            return int(options.does(options))
        return int(options.does(_campaign(options, stand_ins), options))
    except ForensicError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    except OSError as problem:  # no such folder, a full disk
        print(f"{problem.filename or options.out}: {problem.strerror}. What was done before is kept.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; all is saved. The same command goes on.", file=sys.stderr)
        return 130


def _campaign(options: argparse.Namespace, stand_ins: Sequence[str]) -> Campaign:
    from campaign_work import Asked, Campaign

    from forensic.synthesis import distributed

    distributed.alone(options.device)  # or several would write into one folder
    asked = Asked(
        runs=options.runs,
        budget=options.budget,
        device=options.device,
        precision=options.precision,
        seed=options.seed,
        hold_out=options.hold_out,
        resplit=options.resplit,
        size=options.size,
        width=options.width,
        defaults=dict(options.defaults),
    )
    return Campaign(options.out, asked, dict(options.data), options.packed, stand_ins=stand_ins)


def _end(options: argparse.Namespace) -> float:
    return float(options.began + options.chunk) if options.chunk else float("inf")


def _planned(out: Path) -> dict[str, Any]:
    import campaign_plan

    from forensic.errors import UsageError

    found = campaign_plan.read(out)
    if found is None:
        raise UsageError(f"{out} holds no plan. Make one: campaign.py plan --out {out} ...")
    return found


def _failed(out: Path, planned: dict[str, Any]) -> list[str]:
    import campaign_training

    states = {line["name"]: campaign_training.read_record(out / "runs" / line["name"]) for line in planned["runs"]}
    return [
        line["name"] for line in planned["runs"] if line.get("error") or states[line["name"]].get("state") == "failed"
    ]


if __name__ == "__main__":
    sys.exit(main())
