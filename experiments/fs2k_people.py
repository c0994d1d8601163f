"""Which photos of FS2K show the same person, and a split that keeps people apart: forensic/datasets/fs2k_people.csv.

FORENSIC_WEIGHTS=WEIGHTS python experiments/fs2k_people.py --data DATA --out forensic/datasets/fs2k_people.csv

WEIGHTS holds the untrained embedder `mobilefacenet`. Only photos are compared, no sketch and nothing that was
trained on FS2K. Photos are grouped by average linkage, which does not let a chain of look-alikes join two people;
pairs near the threshold were looked at, and what was seen overrules the embedder (``VERDICTS``).
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d
from torchvision.transforms.functional import gaussian_blur

from forensic import images, progress
from forensic.errors import DataError
from forensic.faces import Aligned, Finder
from forensic.recognition import embedding

THRESHOLD = 0.5
"""Mean similarity at which two groups are one person: the valley between the two humps of all pairs."""
BANDS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)

DUPLICATE_SIMILARITY = 0.9
DUPLICATE_TEXTURE = 0.87
"""Two photos are one picture if the embedder and the fine texture (see ``texture``) both say so."""

VERDICTS = """
same 1-0568 1-1596, 1-1485 1-1706, 1-0231 1-0648, 1-0137 1-0158, 1-0625 1-1107, 1-0219 1-0321, 1-0416 1-0727
same 1-0006 1-0302, 1-0330 1-0615, 1-0331 1-0563, 1-1029 1-1603, 1-0232 1-1561, 3-0151 3-0153, 2-0071 3-0448
same 3-0048 3-0448, 3-0045 3-0448
different 3-0088 3-0259, 3-0036 3-0443, 2-0027 3-0461, 2-0027 3-0367, 3-0367 3-0461, 3-0202 3-0385, 3-0407 3-0428
different 3-0423 3-0464, 3-0012 3-0422, 3-0139 3-0366, 3-0162 3-0366, 3-0123 3-0131, 3-0109 3-0206, 3-0145 3-0183
different 3-0217 1-1109, 3-0217 1-0965, 3-0217 1-0623, 3-0217 1-0259, 3-0217 1-1124, 3-0217 1-1100, 3-0217 1-0663
different 3-0217 1-1418, 1-0047 1-1471, 1-1411 3-0354, 2-0074 3-0303, 1-1568 3-0061, 1-0753 3-0018
different 2-0027 3-0479, 1-1584 3-0321, 1-0430 1-1644, 1-0003 1-1061, 1-0315 1-1124, 1-1344 2-0064, 1-0212 1-0627
different 1-0842 1-1661, 1-0439 1-1118, 3-0111 3-0185, 3-0156 3-0187, 3-0153 3-0162, 1-0955 1-1601, 1-0754 1-1399
different 1-1361 1-1534, 1-0016 1-0146, 1-0012 1-0014, 1-0863 1-1357, 1-1126 1-1631, 1-1353 1-1359, 1-0092 2-0066
different 1-0070 1-0230, 1-0237 1-0703, 1-0660 1-0869, 1-0932 1-1706, 1-0788 1-0892, 1-0185 1-0259, 1-1425 3-0342
undecided 1-1679 1-1701, 1-0229 1-1373, 1-0747 1-1396, 1-0215 1-0461, 1-0401 1-0753, 1-0553 1-0774, 1-0511 1-1665
undecided 1-0424 1-0866, 1-0639 1-0915, 1-0349 1-0857, 1-0349 1-1403, 1-0857 1-1403, 1-0349 1-1577, 1-1403 1-1577
undecided 1-0412 1-0732, 1-0535 1-1022, 1-0058 1-0142, 1-1525 1-1663, 1-1394 1-1571, 1-1394 1-1525, 1-0278 1-0386
undecided 1-0278 1-0695, 1-0026 1-1572, 1-0026 1-0861, 1-0026 1-1316, 3-0361 3-0442, 3-0361 3-0478, 3-0442 3-0478
undecided 3-0361 3-0420, 3-0420 3-0429, 3-0429 3-0440, 1-1570 1-1712
"""
"""What was seen, by photo: pairs that were looked at because the embedder was unsure. Undecided pairs do not count
as the same person, and stand on the same side of the split all the same, so that they cannot leak."""

Floats = NDArray[np.float32]
Numbers = tuple[int, int]


class Photo(NamedTuple):
    """A photo of FS2K, with its official side and the stratum that a new split keeps."""

    identity: str
    file: Path
    split: str
    stratum: str


def main() -> None:
    """Group, split, write the table and print what the documentation says of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with fs2k")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    photos = listed(options.data / "fs2k")
    number = {photo.identity: k for k, photo in enumerate(photos)}
    verdicts = {verdict: [(number[a], number[b]) for a, b in seen] for verdict, seen in read(VERDICTS).items()}
    templates, textures = describe([photo.file for photo in photos])
    similarity = templates @ templates.T

    duplicates = list(same_pictures(similarity, textures))
    pictures = components(len(photos), duplicates)
    people = cluster(similarity, [*verdicts["same"], *duplicates], [*verdicts["different"], *verdicts["undecided"]])
    together = components(len(photos), [*chains(people), *verdicts["undecided"]])
    sides = resplit(together, [photo.split == "test" for photo in photos], [photo.stratum for photo in photos])
    write(options.out, photos, people, sides, pictures)
    report(photos, similarity, people, sides, pictures)


def listed(folder: Path) -> list[Photo]:
    """The photos of FS2K's ``pairs.csv``; the loader of the package would ask for the table that is made here."""
    with (folder / "pairs.csv").open(newline="", encoding="utf-8") as lines:
        return [
            Photo(row["identity"], folder / row["photo"], row["split"], f"{row['source']}-{row['style']}")
            for row in csv.DictReader(lines)
        ]


def read(table: str) -> dict[str, list[tuple[str, str]]]:
    """The pairs of photo ids of each verdict."""
    verdicts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in table.split("\n"):
        verdict, _, seen = line.partition(" ")
        for pair in filter(None, seen.split(", ")):
            first, second = pair.split()
            verdicts[verdict].append((f"fs2k-{first}", f"fs2k-{second}"))
    return verdicts


def describe(photos: Sequence[Path]) -> tuple[Floats, list[Tensor]]:
    """The unit vector of each photo, and its portrait's fine texture.

    Raises:
        DataError: a photo has no face; all of FS2K's have one.
    """
    finder, embedder = Finder(), embedding.load(embedding.UNTRAINED)
    templates, textures = [], []
    with progress.bar("photos", len(photos)) as shown:
        for at, photo in enumerate(photos):
            (face,) = finder.find([images.read(photo).image])
            if not isinstance(face, Aligned):
                raise DataError(f"{photo}: {face}")
            templates.append(embedder.embed([embedder.view(face)], "photo")[0])
            textures.append(fine(np.asarray(face.portrait.convert("L"), dtype=np.float32)))
            shown(at + 1)
    return np.array(templates), textures


def fine(grey: Floats) -> Tensor:
    """A grey picture without noise and coarse brightness: the difference of two Gaussian blurs, (256, 256)."""
    picture = torch.from_numpy(grey)[None, None]
    texture: Tensor = gaussian_blur(picture, [9, 9], [1.0]) - gaussian_blur(picture, [41, 41], [5.0])
    return texture[0, 0]


def texture(first: Tensor, second: Tensor, block: int = 32, reach: int = 10) -> float:
    """How well small blocks of one picture are found near the same place of another.

    The median over the blocks of the greatest normalized correlation within ``reach`` pixels: hair, folds and
    background of one picture agree whatever its crop and tone, those of two pictures of one sitting do not.
    """
    found = []
    for y in range(block, 256 - 2 * block + 1, block):
        for x in range(block, 256 - 2 * block + 1, block):
            part = first[y : y + block, x : x + block]
            if part.std() < 2.5:  # an even wall agrees with every other
                continue
            part = (part - part.mean())[None, None]
            place = second[y - reach : y + block + reach, x - reach : x + block + reach][None, None]
            mean = avg_pool2d(place, block, 1)
            spread = (avg_pool2d(place * place, block, 1) - mean * mean).clamp(min=1e-3).sqrt()
            matches = conv2d(place, part) / (spread * block * part.norm())
            found.append(float(matches.max()))
    return float(np.median(found)) if found else 0.0


def same_pictures(similarity: Floats, textures: Sequence[Tensor]) -> Iterable[Numbers]:
    """Pairs of photos that are one picture, in another crop, tone or mirrored."""
    for a, b in zip(*np.nonzero(np.triu(similarity >= DUPLICATE_SIMILARITY, 1)), strict=True):
        mirrored = textures[b].flip(-1)
        if max(texture(textures[a], textures[b]), texture(textures[a], mirrored)) >= DUPLICATE_TEXTURE:
            yield int(a), int(b)


def cluster(similarity: Floats, same: Sequence[Numbers], apart: Sequence[Numbers]) -> list[int]:
    """The group of each photo by average linkage, with pairs that belong together and pairs that do not."""
    mean = similarity.astype(np.float64)
    for a, b in apart:
        mean[a, b] = mean[b, a] = -np.inf  # and so stays the mean of every group that holds the pair
    np.fill_diagonal(mean, -np.inf)
    group, size = np.arange(len(mean)), np.ones(len(mean))

    def merge(a: int, b: int) -> None:
        mean[a] = mean[:, a] = (size[a] * mean[a] + size[b] * mean[b]) / (size[a] + size[b])
        mean[b] = mean[:, b] = -np.inf
        mean[a, a] = -np.inf
        size[a] += size[b]
        group[group == b] = a

    while mean.max() >= THRESHOLD:
        merge(*map(int, np.unravel_index(mean.argmax(), mean.shape)))
    # Last, because a photo that is like few others of its person would keep the rest of them away.
    for a, b in same:
        if group[a] != group[b]:
            merge(group[a], group[b])
    return [int(g) for g in group]


def components(count: int, links: Iterable[Numbers]) -> list[int]:
    """The smallest member of the group that each of ``count`` things belongs to by its links."""
    group = list(range(count))
    for a, b in links:
        low, high = sorted((group[a], group[b]))
        group = [low if g == high else g for g in group]
    return group


def chains(groups: Sequence[int]) -> Iterable[Numbers]:
    """Links that hold each group together."""
    first: dict[int, int] = {}
    for k, g in enumerate(groups):
        yield first.setdefault(g, k), k


def resplit(groups: Sequence[int], test: Sequence[bool], strata: Sequence[str]) -> list[str]:
    """A side for each photo, one for each group: few photos change it, and each stratum keeps its numbers.

    Groups that are on one side stay there. The others begin on the side where most of their photos are; then
    the group is flipped that lowers the number of moved photos plus the strata's deviations most, until none does.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for k, g in enumerate(groups):
        members[g].append(k)
    side = {g: 2 * sum(test[k] for k in group) > len(group) for g, group in members.items()}
    mixed = [g for g, group in members.items() if len({test[k] for k in group}) == 2]
    excess: Counter[str] = Counter()
    for g in mixed:
        for k in members[g]:
            excess[strata[k]] += int(side[g]) - int(test[k])

    def gain(g: int) -> int:
        """What a flip of the group adds to the cost."""
        moves = sum(1 if side[g] == test[k] else -1 for k in members[g])
        change = Counter(strata[k] for k in members[g])
        step = -1 if side[g] else 1
        return moves + sum(abs(excess[s] + step * n) - abs(excess[s]) for s, n in change.items())

    while mixed and gain(best := min(mixed, key=gain)) < 0:
        for k in members[best]:
            excess[strata[k]] += -1 if side[best] else 1
        side[best] = not side[best]
    return ["test" if side[g] else "train" for g in groups]


def write(
    file: Path, photos: Sequence[Photo], people: Sequence[int], sides: Sequence[str], pictures: Sequence[int]
) -> None:
    """The table, people numbered in the order of their first photos."""
    order = {g: k for k, g in enumerate(dict.fromkeys(people), start=1)}
    with file.open("w", newline="", encoding="utf-8") as lines:
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(("identity", "person", "split", "duplicate_of"))
        for k, photo in enumerate(photos):
            original = photos[pictures[k]].identity if pictures[k] != k else ""
            table.writerow((photo.identity, f"p{order[people[k]]:04d}", sides[k], original))


def report(
    photos: Sequence[Photo],
    similarity: Floats,
    people: Sequence[int],
    sides: Sequence[str],
    pictures: Sequence[int],
) -> None:
    """Print the counts that docs/data.md gives."""
    sizes = Counter(people)
    print(f"people {len(sizes)}, with several photos {sum(n > 1 for n in sizes.values())}, most {max(sizes.values())}")
    print(f"photos of people with several {sum(n for n in sizes.values() if n > 1)}")
    print(f"duplicates {sum(original != k for k, original in enumerate(pictures))}")
    official = [photo.split for photo in photos]
    for name, split in (("official", official), ("new", sides)):
        train = {g for g, s in zip(people, split, strict=True) if s == "train"}
        test = [k for k, s in enumerate(split) if s == "test"]
        leaked = sum(people[k] in train for k in test)
        seen = Counter((people[k], pictures[k]) for k in test)
        other = Counter(person for person, _ in seen)
        mates = sum(other[people[k]] > 1 for k in test)
        print(f"{name}: train {len(split) - len(test)}, test {len(test)}, of a training person {leaked}, other {mates}")
        print(" ", sorted(Counter((photo.stratum, s) for photo, s in zip(photos, split, strict=True)).items()))
    print("moved", Counter(pair for pair in zip(official, sides, strict=True) if pair[0] != pair[1]))
    upper = np.triu(np.ones_like(similarity, dtype=bool), 1)
    same = np.equal.outer(people, people)
    for low, high in zip(BANDS, (*BANDS[1:], 1.1), strict=True):
        band = upper & (similarity >= low) & (similarity < high)
        print(f"similarity {low:.2f} to {high:.2f}: {band.sum()} pairs, {(band & same).sum()} of one person")


if __name__ == "__main__":
    main()
