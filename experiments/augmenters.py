r"""What generators teach a recognizer: their drawings of photos as further training sketches.

    python experiments/augmenters.py --start mobilefacenet.pt --data DATA --json augmenters.json --left fs2k \
        --hands photo,filters-further,filters,pencil-wide,sdgan,msg-sarl,pix2pix=WEIGHTS,filters+sdgan
    python experiments/augmenters.py --json augmenters.json --page docs/results/augmenters.md

Both embedders are fitted again (``train_recognizers.py``: trunk, then heads) with one source left out, once for each
hand that draws photos which have no sketch, and search for that source's training sketches among all training photos.
Hands: ``photo``, the photo itself in place of a drawing; ``filters-further``, random pencil filters; the controls; and
generators with the weights that ship, or with others. All of these draw CelebAMask-HQ's photos alone, on which no
generator was trained: nothing is fitted to what it has memorized. ``filters``, which ships, draws the photos of pairs
as well; with ``filters+METHOD`` both draw. A generator that has seen the source that is left out is refused
(``TRAINED_ON``). Test identities are never read. Runs that the JSON holds are not made again: to go on with CUFS left
out, whose runs lie beside its page, name docs/results/augmenters-cufs.json, ``--left cufs --steps 100``.

What a generator consults is not left out: the face priors learned from CelebAMask-HQ's training photos and from all
training pairs, and the perceptual loss of SDGAN is on the shipped embedder, which has seen FS2K's training sketches.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from drawing import Camera, Filters, Hand
from numpy.typing import NDArray
from pages import made, points
from torch import Tensor
from train_recognizers import CUFS, WIDE, Faces, Lesson, floats, learn, read, searched, sources_of, teacher_from

from forensic import images
from forensic.errors import UsageError
from forensic.faces import Finder
from forensic.faces.align import PORTRAIT, warp
from forensic.parallel import workers
from forensic.provenance import made_by
from forensic.recognition import patches
from forensic.recognition.evaluation import paired_difference
from forensic.synthesis import Translator, weights
from forensic.synthesis.styles import Styled

TRAINED_ON: dict[str, tuple[str, ...]] = dict.fromkeys(("pix2pix", "genre", "sdgan", "msg-sarl"), CUFS)
TRAINED_ON |= {"hida": ("fs2k",), "pencil-wide": (), "blend": ()}
SYSTEMS = {"mobilefacenet": "embedder", "patch-gradients": "patches", "both": "both, summed 1 : 2"}
BASES = ("photo", "filters-further", "filters")
INTRODUCTION = """
Rank-1 of the sketches of a source that was left out of the fitting, among {gallery:,} training photos, by recognizers
whose further training sketches were drawn by the hand in the first column; {steps} steps for the trunk,
{seeds}. Gains are paired, in points, with 95 % bootstrap intervals over people: against the photo itself in place
of a drawing, against filters that draw the same photos, and against filters that draw the pairs' photos too (what
ships). Generators drew photos that they had not learned from; test identities were not read. Generators from sketch to
photo are no hands: what is wanting is sketches.{caveat}
"""
CONSULTED = {
    "genre": "the face priors that GENRE consults",
    "hida": "the face priors that give HIDA its depth",
    "sdgan": "the face priors that SDGAN consults and the shipped embedder in its perceptual loss",
}
"""What a generator learned by that has seen training images of all sources, the one that is left out among them."""


class Generated:
    """A translator's drawings of the further photos, made once; with ``filters`` these draw every other one."""

    def __init__(self, drawings: dict[int, NDArray[np.uint8]], *, filters: bool) -> None:
        self.drawings, self.filters = drawings, Filters() if filters else None
        self.draws_pairs = filters

    def __call__(self, photos: Tensor, rows: Iterable[int], rng: np.random.Generator) -> Tensor:
        """See `Hand`."""
        made = self.drawings[photos.shape[-1]]
        first = len(photos) - len(made)
        drawn = []
        for row in rows:
            if self.filters is not None and (row < first or rng.random() < 0.5):
                drawn.append(self.filters(photos, [row], rng))
            else:
                drawn.append(floats(made[row - first : row - first + 1]))
        return torch.cat(drawn)


def portraits(data: Path) -> list[Any]:
    """Portraits of CelebAMask-HQ's training photos, in the order of `read`."""
    finder = Finder()

    def one(file: Path) -> Any:
        (face,) = finder.find([images.read(file).image])
        return None if isinstance(face, Exception) else face.portrait  # `read` says which

    with workers() as pool:
        found = pool.map(one, sorted((data / "celebamask" / "train" / "photos").glob("*")))
        return [portrait for portrait in found if portrait is not None]


def drawings(translators: list[Translator], faces: list[Any]) -> dict[int, NDArray[np.uint8]]:
    """Grey drawings as both embedders see them, by their size; several translators take turns."""

    @torch.inference_mode()
    def one(index: int) -> tuple[NDArray[np.uint8], ...]:
        translator = translators[index % len(translators)]
        drawn = images.to_image(translator.translate(images.to_tensor([faces[index]]))[0])
        cuts = (warp(drawn, PORTRAIT.landmarks, frame).convert("L") for frame in (WIDE, patches.FRAME))
        wide, portrait = map(np.asarray, cuts)
        return wide, portrait

    with workers() as pool:
        sizes = zip(*pool.map(one, range(len(faces))), strict=True)
        return {size[0].shape[-1]: np.stack(size) for size in sizes}


def hand_called(name: str, left: str, faces: list[Any]) -> tuple[Hand, str]:
    """The hand of that name, and the hash of its weights.

    Raises:
        UsageError: The generator was trained on the source that is left out.
    """
    if name in BASES:
        filters = Filters(draws_pairs=name == "filters")
        return Camera(draws_pairs=False) if name == "photo" else filters, ""
    title, _, path = name.partition("=")
    method = title.removeprefix("filters+")
    if method not in TRAINED_ON:
        raise UsageError(f"What {method} was trained on is not stated in TRAINED_ON: {', '.join(TRAINED_ON)}.")
    if set(TRAINED_ON[method]) & set(sources_of(left)):
        raise UsageError(f"{method} was trained on {', '.join(TRAINED_ON[method])}; {left} is left out.")

    def load() -> Any:
        return weights.load(method, source="photo", target="sketch", weights=Path(path) if path else None)

    translators = [load()]
    if isinstance(translators[0], Styled):
        translators = [load() for _ in translators[0].styles]
        for translator, style in zip(translators, translators[0].styles, strict=True):
            translator.style = style
    return Generated(drawings(translators, faces), filters=title != method), translators[0].digest


def run(teacher: torch.nn.Module, everything: tuple[Faces, Faces, Faces], hand: Hand, seed: int, options: Any) -> Any:
    """Hits of each system on the source that is left out."""
    sketches, photos, others = everything
    fitting = ~np.isin(sketches.sources, sources_of(options.left))
    lesson = Lesson(sketches.of(fitting), photos.of(fitting), others, hand, options.steps, seed)
    _, views, heads = learn(teacher, lesson)
    found = searched(views, heads, sketches.of(~fitting), photos, others)
    return {system: found[system].astype(int).tolist() for system in SYSTEMS}


def measure(options: argparse.Namespace) -> None:
    """Make the runs that are missing; the file is written after each."""
    results = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {"runs": {}}
    teacher, everything = teacher_from(options.start), read(options.data)
    faces = portraits(options.data)
    assert len(faces) == len(everything[2].people)
    results |= {"gallery": len(everything[1].people) + len(faces), "made_by": made_by()}
    held = everything[0].sources
    chosen = np.isin(held, sources_of(options.left))
    hands: dict[str, tuple[Hand, str]] = {}
    for seed, name in itertools.product(options.seeds, options.hands.split(",")):
        title = name.partition("=")[0]
        key = f"{options.left} {options.steps} {title} {seed}"
        if name not in hands:
            hands[name] = hand_called(name, options.left, faces)
        hand, digest = hands[name]
        if key in results["runs"]:
            if results["runs"][key]["sha256"] != digest:
                raise UsageError(f"{options.json} holds {key!r} with other weights.")
            continue
        hits = run(teacher, everything, hand, seed, options)
        people = np.unique(everything[0].people[chosen], return_inverse=True)[1].tolist()  # a number for each
        results["runs"][key] = {"people": people, "hits": hits, "sha256": digest}
        options.json.write_text(json.dumps(results), encoding="utf-8")
        print(key, {system: round(float(np.mean(some)), 4) for system, some in hits.items()}, flush=True)


def page(results: dict[str, Any]) -> Iterator[str]:
    """The page in Markdown."""
    runs: dict[tuple[str, str], dict[str, dict[int, Any]]] = {}
    for key, value in results["runs"].items():
        left, steps, name, seed = key.split()
        runs.setdefault((left, steps), {}).setdefault(name, {})[int(seed)] = value
    yield "# What generators teach\n"
    for (left, steps), hands in runs.items():
        yield f"    python experiments/augmenters.py --start mobilefacenet.pt --data DATA --json FILE --left {left} \\"
        yield f"        --steps {steps} --hands {','.join(hands)}"
    yield "    python experiments/augmenters.py --json FILE --page PAGE"
    for (left, steps), hands in runs.items():
        seeds = sorted(set.intersection(*(set(some) for some in hands.values())))
        which = f"mean of the seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]} alone"
        yield INTRODUCTION.format(gallery=results["gallery"], steps=steps, seeds=which, caveat=_caveat(hands))
        people = next(iter(next(iter(hands.values())).values()))["people"]
        yield f"## {left} left out: {len(people)} sketches of {len(set(people))} people"
        bases = [name for name in BASES if name in hands]
        hands = {name: hands[name] for name in [*bases, *sorted(hands.keys() - set(bases))]}
        for system, title in SYSTEMS.items():
            over = "".join(f" over `{name}` |" for name in bases)
            yield f"\n| {title}: hand | rank-1, % | each seed |{over}\n|---|---:|---|" + "---:|" * len(bases)
            means = {
                name: np.mean([some[seed]["hits"][system] for seed in seeds], axis=0) for name, some in hands.items()
            }
            better = []
            for name, hits in means.items():
                each = " ".join(f"{100 * np.mean(hands[name][seed]['hits'][system]):.1f}" for seed in seeds)
                gains = {base: paired_difference(hits, means[base], people) for base in bases if base != name}
                shown = "".join(f" {points(*gains[base][:3]) if base in gains else ''} |" for base in bases)
                yield f"| `{name}` | {100 * hits.mean():.1f} | {each} |{shown}"
                if name not in bases and gains[bases[-1]].low > 0:
                    better.append(f"`{name}`")
            yield f"\nMore than `{bases[-1]}`, with an interval above 0: {', '.join(better) or 'none'}."
    digests = {key.split()[2]: run["sha256"] for key, run in results["runs"].items() if run["sha256"]}
    yield "\nWeights: " + "; ".join(f"`{name}` {digest[:12]}" for name, digest in digests.items()) + "."
    yield made(results["made_by"])


def _caveat(hands: Iterable[str]) -> str:
    """What was not left out, by the hands that drew."""
    drew = {name.partition("=")[0] for hand in hands for name in hand.split("+")}
    told = [what for name, what in CONSULTED.items() if name in drew]
    return f"\nNot left out, as they have seen training images of all sources: {'; '.join(told)}." if told else ""


def main() -> None:
    """Measure, or write the page of what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="write it, and measure nothing")
    parser.add_argument("--start", type=Path, help="mobilefacenet.pt")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--left", default="fs2k", help="the source that is left out")
    parser.add_argument("--hands", default="photo,filters-further,filters")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    if options.page is None:
        measure(options)
    else:
        results = json.loads(options.json.read_text(encoding="utf-8"))
        options.page.write_text("\n".join(page(results)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
