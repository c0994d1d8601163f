"""What generators make of people who do not exist, as one picture that may be shown to anyone.

    python experiments/samples.py --out docs/results/samples.jpg
    python experiments/samples.py --out docs/results/samples-sdgan.jpg --campaign runs/campaign --runs 'sdgan-*'

The people, their photos and their sketches are drawn by `forensic.datasets.synthetic`. No generator has seen a drawn
person in training: how well it does here says little of how well it does on people.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from synthesis import System, load_system, named, of_campaign
from torch import Tensor

from forensic import datasets
from forensic.datasets.synthetic import make_people
from forensic.images import to_image
from forensic.synthesis import Translator, examples
from forensic.synthesis.styles import Styled
from forensic.synthesis.translator import Batch, Modality

SHIPPED = ("pencil", "genre", "sdgan", "msg-sarl@photo", "hida", "pix2pix@sketch", "isegan", "msg-sarl@sketch")
CELL = 128  # pixels of a face


def drawn_people(count: int, seed: int) -> Batch:
    """Aligned photos and sketches of people who do not exist."""
    with tempfile.TemporaryDirectory() as folder:
        make_people(folder, count, seed)
        faces, left_out = examples.load(list(datasets.pairs(Path(folder))))
    if left_out:
        print("no face was found in", *left_out)
    return faces.batch()


def rows_of(system: System, people: Batch) -> Iterator[tuple[Modality, str, Tensor]]:
    """What a system makes of everybody, a row for each style that it has."""
    translator = load_system(system)
    for style in translator.styles if isinstance(translator, Styled) else (0,):
        if isinstance(translator, Styled):
            translator.style = style
        title = f"{system.title.partition('@')[0].partition(', from ')[0]}{f', style {style}' if style else ''}"
        yield translator.source, title, _translated(translator, people)


def _translated(translator: Translator, people: Batch) -> Tensor:
    with torch.inference_mode():
        return torch.cat([translator.translate(face[None]) for face in people.of(translator.source)])


def grid(rows: list[tuple[str, Tensor]]) -> Image.Image:
    """Rows of faces, each with its name on the left."""
    names = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    margin = 16 + int(max(names.textlength(title, font_size=15) for title, _ in rows))
    sheet = Image.new("RGB", (margin + CELL * len(rows[0][1]), CELL * len(rows)), "white")
    write = ImageDraw.Draw(sheet)
    for line, (title, faces) in enumerate(rows):
        write.text((8, CELL * line + CELL // 2), title, fill="black", anchor="lm", font_size=15)
        for column, face in enumerate(faces):
            sheet.paste(
                to_image(face).resize((CELL, CELL), Image.Resampling.LANCZOS), (margin + CELL * column, CELL * line)
            )
    return sheet


def main() -> None:
    """Draw the people, translate them, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", help="TITLE=WEIGHTS, or methods; else all that ship")
    parser.add_argument("--campaign", type=Path, help="show a campaign's runs instead")
    parser.add_argument("--data", default="cufs", help="the data set of those runs")
    parser.add_argument("--runs", default="*", help="a pattern of their names")
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    systems = [named(name) for name in options.systems or SHIPPED]
    if options.campaign:
        runs = of_campaign(options.campaign, options.data)
        systems = [system for system in runs if fnmatch(Path(system.given).parent.name, options.runs)]
    people = drawn_people(options.people, options.seed)
    made = [row for system in systems for row in rows_of(system, people)]
    rows: list[tuple[str, Tensor]] = []
    for source in ("photo", "sketch"):
        own = [(title, faces) for given, title, faces in made if given == source]
        rows += [(f"drawn {source}", people.of(source)), *own] if own else []
    grid(rows).save(options.out, quality=88)


if __name__ == "__main__":
    main()
