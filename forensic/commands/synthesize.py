"""``forensic synthesize``: faces in the other modality."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensic.commands import files
from forensic.commands.options import Place, files_of

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

    from forensic.synthesis.translator import Translator

_FOLDER = Place(file_okay=False)
_FILE = Place(dir_okay=False, exists=True)
_MODALITY = click.Choice(["photo", "sketch"])
_NO_EXEMPLARS = (
    "Exemplars are training pairs: give another folder, or write train in the column split of its pairs.csv."
)


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

    inputs = _inputs(images, out)
    modality: Any = source
    translator = load(method, source=modality, weights=weights)
    _fit(translator, exemplars)
    styles = _styles(translator, style)
    files.make_folder(out)
    failures = _synthesize_all(translator, inputs, out, styles)
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
        for one in left_out:
            click.echo(f"left out: {one}", err=True)
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
    from forensic.synthesis.examples import without_advice
    from forensic.synthesis.styles import Styled

    finder = faces.Finder()
    failures = 0
    for path, name in zip(files, _names_of(files), strict=True):
        try:
            face = finder.one(read(path).image)
            for warning in face.warnings:
                click.echo(f"{display_name(path)}: {without_advice(warning)}.", err=True)
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
            advice = "Give a frontal face that fills a third of the picture or more."
            click.echo(f"{display_name(path)}: {without_advice(problem)}. {advice}", err=True)
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
