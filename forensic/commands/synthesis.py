"""``forensic train``, ``forensic synthesize`` and ``forensic methods``."""

import json
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensic.commands.options import Place, files_of

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

    from forensic.datasets import Pair
    from forensic.synthesis.examples import Examples
    from forensic.synthesis.translator import Adversarial, Recipe, Translator

_FOLDER = Place(file_okay=False)
_FILE = Place(dir_okay=False, exists=True)
_MODALITY = click.Choice(["photo", "sketch"])
_NO_EXEMPLARS = (
    "Exemplars are training pairs: give another folder, or write train in the column split of its pairs.csv."
)


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
    hours on a GPU, so begin with an experiments/*-compact.toml. Ctrl-C saves; the same command with
    --resume goes on from there and ends with the same weights as an uninterrupted run. `forensic methods` lists the
    methods.

    With torchrun, N processes on the CPU or on one CUDA device each train one model and share every batch, which must
    be a multiple of N; --resume may have another N.

    FS2K's official split has people on both sides: what `evaluate --resplit` is to judge is trained with --resplit.

    --out receives sample images that show faces of the data: keep it out of any repository.
    """
    from forensic import devices
    from forensic.datasets import split_pairs
    from forensic.synthesis import distributed, weights
    from forensic.synthesis.trainer import Trainer

    given = {"source": source, "target": target, "size": size, "width": width, "epochs": epochs}
    with distributed.start(device) as processes:
        translator, recipe = _prepare(method, config, _read_changes(changes) | _given(given), seed)
        # What cannot be is said before the images are read, which may take long.
        processes.check(recipe.batch)
        devices.find(processes.device)
        _make(out)
        examples, held_out = _examples(
            translator, *split_pairs(data, split, hold_out, resplit=resplit), told=processes.writes
        )
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
    path = out / f"{weights.name_of(translator)}.safetensors"
    click.echo(f"Weights: {path}")
    if install:
        click.echo(f"Installed: {weights.install(path).path}")
    else:
        way = " --source photo" if translator.two_way else ""
        with_them = f"--weights {shlex.quote(str(path))}{way}"
        click.echo(f"Try them: forensic synthesize {translator.name} IMAGES {with_them} --out FOLDER")


def _examples(
    translator: "Adversarial", kept: "Sequence[Pair]", held: "Sequence[Pair]", *, told: bool
) -> "tuple[Examples, Examples | None]":
    """What a method learns from, and what it is judged by; what is left out is told."""
    from forensic.synthesis.examples import load
    from forensic.synthesis.styles import Styled

    styles = len(translator.styles) if isinstance(translator, Styled) else 0
    examples, left_out = load(kept, translator.size, styles=styles)
    held_out, also_left_out = load(held, translator.size, styles=styles) if held else (None, [])
    for line in [*left_out, *also_left_out] if told else ():
        click.echo(f"left out: {line}", err=True)
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


@click.command()
@click.argument("method")
@click.argument("images", nargs=-1, required=True, type=Place())
@click.option("--out", required=True, type=_FOLDER, help="Folder for the synthesized faces.")
@click.option("--source", type=_MODALITY, help="What the images are, where the method goes both ways.")
@click.option("--style", type=click.Choice(["1", "2", "3", "all"]), help="Style of drawing, for methods with several.")
@click.option("--weights", type=_FILE, help="A weight file of your own, as `forensic train` writes it.")
@click.option("--exemplars", type=_FOLDER, help="Folder of pairs, for methods that put faces together from exemplars.")
@click.pass_context
def synthesize(
    context: click.Context,
    method: str,
    images: tuple[Path, ...],
    out: Path,
    source: str | None,
    style: str | None,
    weights: Path | None,
    exemplars: Path | None,
) -> None:
    """Translate faces with METHOD: sketches to photos, or photos to sketches.

    \b
    forensic synthesize pix2pix sketch.png --out faces
    forensic synthesize pencil photos/*.jpg --out sketches
    forensic synthesize hida photo.jpg --style 2 --out sketches
    forensic synthesize lle photo.jpg --exemplars cufs --out sketches

    Each image (or folder of images) is aligned and gives NAME-synthetic.png, 256 x 256. What comes out is
    made up by a model: it is no evidence, and the file says so. An image that fails is reported, and the
    rest goes on. With --style the file is NAME-style-2-synthetic.png; all makes one for every style.

    Where files of several folders have one name, the later ones give NAME-2-synthetic.png and so on. What lies
    in --out from an earlier call is no input where a folder is given.
    """
    from forensic.synthesis import load

    files = _inputs(images, out)
    modality: Any = source
    translator = load(method, source=modality, weights=weights)
    _fit(translator, exemplars)
    styles = _styles(translator, style)
    _make(out)
    failures = _synthesize_all(translator, files, out, styles)
    if failures:
        context.exit(3)


def _inputs(given: Sequence[Path], out: Path) -> list[Path]:
    """The files that are given, and those of folders but what this command wrote into ``out`` before."""
    from forensic.errors import UsageError
    from forensic.images import display_name
    from forensic.quality.pairing import SUFFIX

    def written(file: Path) -> bool:
        return file.name.endswith(f"{SUFFIX}.png") and file.resolve().is_relative_to(out.resolve())

    files = [file for place in given for file in files_of([place]) if file == place or not written(file)]
    if not files:
        raise UsageError(f"There is no file in {', '.join(map(display_name, given))}. Give images or their folders.")
    return files


def _make(folder: Path) -> None:
    """Make a folder for what a command writes.

    Raises:
        UsageError: It cannot be made, or is a gallery's.
    """
    from forensic.errors import UsageError
    from forensic.gallery.address import check_outside
    from forensic.images import display_name

    check_outside(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UsageError(
            f"{display_name(folder)} cannot be made ({problem.strerror}). Give another --out."
        ) from problem


def _fit(translator: "Translator", exemplars: Path | None) -> None:
    """Give a method that works by exemplars the training pairs of a folder."""
    from forensic.datasets import split_pairs
    from forensic.errors import UsageError
    from forensic.synthesis.examples import load
    from forensic.synthesis.translator import Exemplary

    if isinstance(translator, Exemplary) != (exemplars is not None):
        raise UsageError(
            f"Method {translator.name!r} puts faces together from exemplars: give the folder of pairs, --exemplars DIR."
            if exemplars is None
            else f"Method {translator.name!r} takes no exemplars: leave --exemplars {exemplars} out."
        )
    if isinstance(translator, Exemplary) and exemplars is not None:
        examples, left_out = load(split_pairs(exemplars, "train", 0, advice=_NO_EXEMPLARS)[0])
        for line in left_out:
            click.echo(f"left out: {line}", err=True)
        pairs = examples.batch()
        translator.fit(pairs.photo, pairs.sketch)


def _styles(translator: "Translator", asked: str | None) -> Sequence[int | None]:
    """The styles to draw in one after the other; None stands for the translator's own."""
    from forensic.errors import UsageError
    from forensic.synthesis.styles import Styled

    if asked is None:
        return [None]
    if not isinstance(translator, Styled):
        raise UsageError(f"Method {translator.name!r} has no styles to choose from: leave --style {asked} out.")
    if asked == "all":
        return translator.styles
    translator.style = int(asked)  # raises where it has no such style
    return [translator.style]


def _synthesize_all(translator: "Translator", files: Sequence[Path], out: Path, styles: Sequence[int | None]) -> int:
    """Translate file after file, in every style asked for; returns how many failed."""
    import torch

    from forensic import faces
    from forensic.errors import FaceError, ImageError
    from forensic.images import display_name, read, to_image, to_tensor
    from forensic.quality.pairing import SUFFIX
    from forensic.synthesis.styles import Styled

    finder = faces.Finder()
    failures = 0
    for path, name in zip(files, _names_of(files), strict=True):
        try:
            face = finder.one(read(path).image)
            for warning in face.warnings:
                click.echo(f"{display_name(path)}: {warning}", err=True)
            for style in styles:
                if style is not None and isinstance(translator, Styled):
                    translator.style = style
                with torch.inference_mode():
                    synthesized = to_image(translator.translate(to_tensor([face.portrait]))[0])
                drawn = f"-style-{style}" if style is not None else ""
                written = out / f"{name}{drawn}{SUFFIX}.png"
                synthesized.save(written, pnginfo=_provenance(translator))
                click.echo(display_name(written))
        except ImageError as problem:  # names the file itself
            failures += 1
            click.echo(problem, err=True)
        except FaceError as problem:
            failures += 1
            click.echo(f"{display_name(path)}: {problem}", err=True)
        except OSError as problem:
            if problem.filename is None:  # the disk is full
                raise
            failures += 1
            click.echo(f"{display_name(path)}: its face cannot be written ({problem.strerror}).", err=True)
    return failures


def _names_of(files: Sequence[Path]) -> Iterator[str]:
    """What each file's face is called: its stem, with a number behind where an earlier file has it.

    >>> list(_names_of([Path("x/a.jpg"), Path("y/a.jpg"), Path("y/a-2.jpg")]))
    ['a', 'a-3', 'a-2']
    """
    stems, taken = {file.stem for file in files}, set[str]()
    for file in files:
        name, number = file.stem, 1
        while name in taken or (number > 1 and name in stems):
            number += 1
            name = f"{file.stem}-{number}"
        taken.add(name)
        yield name


def _provenance(translator: "Translator") -> "PngInfo":
    """Text fields of a PNG that say what it is and what made it."""
    from PIL.PngImagePlugin import PngInfo

    from forensic.synthesis.styles import Styled

    info = PngInfo()
    info.add_text("Title", "synthetic, not evidence")
    style = f", style {translator.style}" if isinstance(translator, Styled) else ""
    info.add_text("Software", f"forensic: {translator.name}, {translator.source} to {translator.target}{style}")
    info.add_text("Model-SHA256", translator.digest)
    return info


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects for programs.")
def methods(as_json: bool) -> None:
    """List the synthesis methods, their papers and the weights at hand.

    Weights are those that ship, or the names of your own; --json has their paths, and the papers' titles.

    \b
    forensic methods
    forensic methods --json
    """
    listed = [_describe(name) for name in _names()]
    if as_json:
        click.echo(json.dumps(listed, indent=2))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("method", "goes", "parameters", "weights", "paper", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.columns[2].justify = "right"
    for line in listed:
        goes = "either way" if line["two_way"] else f"{line['source']} to {line['target']}"
        table.add_row(line["name"], goes, _count(line["parameters"]), _weights(line["weights"]), _cited(line["paper"]))
    Console().print(table)


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M" if parameters else "-"


def _weights(paths: Sequence[str]) -> str:
    from forensic.weights import SHIPPED

    return ", ".join("shipped" if Path(path).parent == SHIPPED else Path(path).stem for path in paths) or "-"


def _cited(paper: str) -> str:
    """Authors, venue and year of a citation.

    >>> _cited("Zhou, Kuang, Wong, Markov Weight Fields, CVPR 2012"), _cited("none: a control")
    ('Zhou et al., CVPR 2012', 'none: a control')
    """
    authors, *_, venue = paper.split(", ") if ", " in paper else (paper, "")
    first = authors if " " in authors else f"{authors} et al."
    return f"{first}, {venue}" if venue else paper


def _names() -> list[str]:
    from forensic.synthesis import names

    return names()


def _describe(name: str) -> dict[str, Any]:
    """One method at its paper's settings."""
    import torch

    from forensic.synthesis import create
    from forensic.synthesis.weights import count_parameters, entries

    with torch.device("meta"):  # no memory, no random numbers: only shapes are asked for
        translator = create(name)
    return {
        "name": name,
        "source": translator.source,
        "target": translator.target,
        "two_way": translator.two_way,
        "paper": translator.paper,
        "parameters": count_parameters(translator),
        "weights": [str(entry.path) for entry in entries(name)],
    }
