"""``forensic train``: a synthesis method learns from pairs."""

import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensic.commands import files
from forensic.commands.options import Place

if TYPE_CHECKING:
    from forensic.synthesis.examples import Examples
    from forensic.synthesis.translator import Adversarial, Recipe

_FOLDER = Place(file_okay=False)
_FILE = Place(dir_okay=False, exists=True)
_MODALITY = click.Choice(["photo", "sketch"])


@click.command()
@click.argument("method", required=False)
@click.option("--data", required=True, type=_FOLDER, help="Folder with pairs.csv, or with photos/ and sketches/.")
@click.option("--out", required=True, type=_FOLDER, help="Folder for checkpoint, weights, log and sample images.")
@click.option("--source", type=_MODALITY, help="What the translator is given.")
@click.option("--target", type=_MODALITY, help="What it makes of it.")
@click.option("--size", type=int, help="Pixels a side inside the networks.")
@click.option("--width", type=int, help="Channels of the first layers; fewer make a smaller, faster model.")
@click.option("--epochs", type=int, help="Passes over the pairs, instead of the paper's number.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any setting of the method or its recipe; may be repeated.",
)
@click.option("--config", type=_FILE, help="TOML with tables [method], which may name METHOD, and [recipe].")
@click.option(
    "--split",
    type=click.Choice(["train", "test"]),
    default="train",
    show_default=True,
    help="Which pairs of the data set; test pairs are for judging, not for training.",
)
@click.option(
    "--resplit", is_flag=True, help="Take the split that keeps people apart (FS2K), as evaluate --resplit does."
)
@click.option("--hold-out", default=0, show_default=True, help="People kept back and measured every epoch.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="Of the arithmetic; bf16 is coarser, and faster on newer GPUs.",
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="Such as cpu or cuda; one that is not there is an error.",
)
@click.option("--seed", default=0, type=click.IntRange(0, 2**63 - 1), show_default=True, help="Of every random choice.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")
@click.option(
    "--install",
    is_flag=True,
    help="At the end, make the weights those that this method loads by name (undone by `forensic models remove`).",
)
def train(
    method: str | None,
    data: Path,
    out: Path,
    source: str | None,
    target: str | None,
    size: int | None,
    width: int | None,
    epochs: int | None,
    changes: tuple[str, ...],
    config: Path | None,
    split: str,
    resplit: bool,
    hold_out: int,
    precision: str,
    device: str,
    seed: int,
    resume: bool,
    install: bool,
) -> None:
    """Train a synthesis METHOD on photo-sketch pairs.

    \b
    forensic train pix2pix --data cufs --out runs/pix2pix
    forensic train pix2pix --source sketch --target photo --data cufs --out runs/s2p --device cuda
    forensic train pix2pix --data cufs --out runs/pix2pix --resume
    forensic train sdgan --data cufs --out runs/sdgan --size 128 --width 24 --set perceptual=embedder
    forensic train --config experiments/sdgan-compact.toml --data cufs --out runs/sdgan
    torchrun --nproc-per-node 2 -m forensic train pix2pix --data cufs --out runs/pix2pix --device cuda --set batch=2

    An option counts before the TOML file of --config, and what neither says has the paper's value: at full size many
    hours on a GPU, so begin with an experiments/*-compact.toml. Ctrl-C and SIGTERM save, as every five minutes do; the
    same command with --resume goes on from there and ends with the same weights as an uninterrupted run. One program
    at a time trains in --out. `forensic methods` lists the methods.

    With torchrun, N processes on the CPU or on one CUDA device each train one model and share every batch, which must
    be a multiple of N; --resume may have another N.

    FS2K's official split has people on both sides: what `evaluate --resplit` is to judge is trained with --resplit.

    --out receives sample images that show faces of the data: keep it out of any repository.
    """
    from forensic import devices
    from forensic.synthesis import distributed, weights
    from forensic.synthesis.trainer import Trainer

    given = {"source": source, "target": target, "size": size, "width": width, "epochs": epochs}
    with distributed.start(device) as processes:
        translator, recipe = _prepare(method, config, _read_changes(changes) | _given(given), seed)
        # What cannot be is said before the images are read, which may take long.
        processes.check(recipe.batch)
        devices.find(processes.device)
        files.make_folder(out)
        examples, held_out = _examples(translator, data, split, hold_out, resplit=resplit, told=processes.writes)
        trainer = Trainer(
            translator,
            recipe,
            examples,
            held_out=held_out,
            device=processes.device,
            precision="bf16" if precision == "bf16" else "fp32",
            seed=seed,
            out=out,
            processes=processes,
        )
        trainer.start(resume=resume)
        trainer.fit()
        if not processes.writes:
            return
    _tell_end(translator, out / f"{weights.name_of(translator)}.safetensors", install=install)


def _tell_end(translator: "Adversarial", path: Path, *, install: bool) -> None:
    """Say where the weights are, and what to do with them."""
    from forensic.synthesis import weights

    click.echo(f"Weights: {path}")
    if install:
        click.echo(f"Installed: {weights.install(path).path}")
        return
    way = " --source photo" if translator.two_way else ""
    with_them = f"--weights {shlex.quote(str(path))}{way}"
    click.echo(f"Try them: forensic synthesize {translator.name} IMAGES {with_them} --out FOLDER")


def _examples(
    translator: "Adversarial", data: Path, split: str, hold_out: int, *, resplit: bool, told: bool
) -> "tuple[Examples, Examples | None]":
    """What a method learns from, and what it is judged by; what is left out is told."""
    from forensic.datasets import split_pairs
    from forensic.synthesis.examples import load
    from forensic.synthesis.styles import Styled

    kept, held = split_pairs(data, split, hold_out, resplit=resplit)
    styles = len(translator.styles) if isinstance(translator, Styled) else 0
    examples, left_out = load(kept, translator.size, styles=styles)
    held_out, also_left_out = load(held, translator.size, styles=styles) if held else (None, [])
    for one in [*left_out, *also_left_out] if told else ():
        click.echo(f"left out: {one}", err=True)
    return examples, held_out


def _prepare(method: str | None, config: Path | None, given: dict[str, Any], seed: int) -> "tuple[Adversarial, Recipe]":
    """The method and its recipe: the options first, then the file, then the paper."""
    import torch

    from forensic.errors import UsageError
    from forensic.synthesis import Adversarial, Recipe, configuration, create

    stated = configuration.read(config) if config else configuration.Configuration(None, {}, {})
    name = stated.method_or(method, config)
    if ("source" in given) != ("target" in given):
        raise UsageError("Give --source and --target together, or neither.")
    recipe = {name: value for name, value in given.items() if name in Recipe.__dataclass_fields__}
    settings = {name: value for name, value in given.items() if name not in recipe}
    torch.manual_seed(seed)  # the weights to begin with
    translator = create(name, **{**stated.settings, **settings})
    if not isinstance(translator, Adversarial):
        raise UsageError(f"Method {name!r} has nothing to train.")
    return translator, translator.recipe.changed(**{**stated.recipe, **recipe})


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _read_changes(changes: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE each; a value is a number, true, false or a list as TOML writes them, else a word."""
    from forensic.errors import UsageError

    settings: dict[str, Any] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not (name and equals and value):
            raise UsageError(f"--set {change!r}: expected NAME=VALUE, such as perceptual=embedder.")
        try:
            settings[name] = tomllib.loads(f"value = {value}")["value"]
        except ValueError:
            settings[name] = value
    return settings
