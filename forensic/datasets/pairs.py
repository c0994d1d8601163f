"""Photo-sketch pairs as data: which files belong together, in which split, with which attributes.

Nothing here opens an image. Folders of the research data sets (CUFS, FS2K) are recognized by their
``pairs.csv``; any other folder holds ``photos/`` and ``sketches/`` with files of equal stems.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from forensic.datasets import fs2k
from forensic.datasets.tables import rows
from forensic.errors import DataError, UsageError

Split = Literal["train", "test"]

_REQUIRED = ("identity", "split", "photo", "sketch")
_OWN_FIELDS = ("identity", "subset", "split", "photo", "sketch")


class Pair(NamedTuple):
    """One photo and the sketch that was drawn from it (or of the same person).

    Attributes:
        identity: Opaque id of the exact image: a sketch and the photo that it was drawn from share it.
        subset: The part of the data set that is reported separately; empty where there is none.
        split: The side of the split: the official one, unless another was asked for.
        photo: Path of the photo.
        sketch: Path of the sketch.
        attributes: Every further column of the data set's ``pairs.csv``.
        person: Opaque id of the person, whom several photos may show (FS2K); elsewhere the identity.
        picture: Opaque id of the picture: photos that are crops or copies of one picture share it (FS2K);
            elsewhere the identity. ``pairs`` fills both; a pair made by hand may leave them empty.
    """

    identity: str
    subset: str
    split: Split
    photo: Path
    sketch: Path
    attributes: dict[str, str]
    person: str = ""
    picture: str = ""


def pairs(folder: Path | str, *, resplit: bool = False) -> list[Pair]:
    """Pairs of a data-set folder, in the order of its ``pairs.csv`` or of its file names.

    A ``subset`` column is taken as it is (CUFS); where there is none, the subset is the columns
    ``source`` and ``style`` joined by a hyphen (FS2K: ``"1-0"``). A folder without ``pairs.csv`` holds
    ``photos/`` and ``sketches/``; files of equal stems form a pair, all of them in the training split.

    Args:
        folder: The data set.
        resplit: Whether to keep people apart: FS2K shows people several times, and its official split has many
            of them on both sides. Of FS2K it gives the split of ``fs2k_people.csv``; every other data set keeps
            its split, in which no identity may be on both sides.

    Raises:
        DataError: The folder is missing, is laid out otherwise, names a file that is not there, or is empty; or
            it is another FS2K than the one whose people are known.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"No data folder at {folder}. Give the folder that holds pairs.csv or photos/ and sketches/.")
    table = folder / "pairs.csv"
    found = _listed(table) if table.is_file() else _matched(folder)
    if not found:
        raise DataError(f"{folder} holds no photo-sketch pair: expected files of equal stems in photos/ and sketches/.")
    if fs2k.is_fs2k([pair.identity for pair in found]):
        return _with_people(found, folder / "pairs.csv", resplit)
    return [pair._replace(person=pair.identity, picture=pair.identity) for pair in found]


def split_pairs(
    data: Path, split: str, hold_out: int, *, resplit: bool = False, advice: str = "Choose another one with --split."
) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on, and those of people held out, evenly spread over all people in their sorted order.

    Args:
        data: The data set.
        split: The side of the split that they are of.
        hold_out: How many people are held out.
        resplit: As for `pairs`.
        advice: What an error says to do where that side is empty.

    Raises:
        DataError: As `pairs` does; or that side is empty.
        UsageError: Fewer people than are to be held out, or all of them.
    """
    chosen = [pair for pair in pairs(data, resplit=resplit) if pair.split == split]
    people = sorted({pair.person for pair in chosen})
    if not chosen:
        raise DataError(f"{data} has no pair in split {split!r}. {advice}")
    if not 0 <= hold_out < len(people):
        raise UsageError(f"--hold-out is {hold_out}, but {data} has {len(people)} people in split {split!r}.")
    held = {people[index * len(people) // hold_out] for index in range(hold_out)}
    return [pair for pair in chosen if pair.person not in held], [pair for pair in chosen if pair.person in held]


class CrossPhoto(NamedTuple):
    """A search for a person by a sketch that was drawn from a photo which is not in the gallery.

    Attributes:
        probe: Index of the pair whose sketch is searched for.
        excluded: Indices of the pairs whose photos leave the gallery for this probe alone: the sketch's own
            photo and every copy of that picture.
        mates: Indices of the pairs whose photos are other pictures of the person.
    """

    probe: int
    excluded: tuple[int, ...]
    mates: tuple[int, ...]


def cross_photo(pairs: Sequence[Pair]) -> list[CrossPhoto]:
    """The searches of the cross-photo protocol: every sketch of whose person there is another picture.

    The pairs are one side of a split that keeps people apart; their photos are the gallery, in this order.

    >>> here = Path()
    >>> mary = [Pair(name, "", "test", here, here, {}, "mary", name) for name in ("a", "b")]
    >>> cross_photo([*mary, Pair("c", "", "test", here, here, {}, "john", "c")])
    [CrossPhoto(probe=0, excluded=(0,), mates=(1,)), CrossPhoto(probe=1, excluded=(1,), mates=(0,))]
    """
    photos: dict[str, list[int]] = defaultdict(list)
    for index, pair in enumerate(pairs):
        photos[pair.person or pair.identity].append(index)
    pictures = [pair.picture or pair.identity for pair in pairs]
    searches = []
    for probe, pair in enumerate(pairs):
        own = photos[pair.person or pair.identity]
        excluded = tuple(index for index in own if pictures[index] == pictures[probe])
        mates = tuple(index for index in own if pictures[index] != pictures[probe])
        if mates:
            searches.append(CrossPhoto(probe, excluded, mates))
    return searches


def _with_people(found: list[Pair], table: Path, resplit: bool) -> list[Pair]:
    """FS2K's pairs with the people that they show and, if it is asked for, the split that keeps them apart."""
    known = fs2k.people()
    given = {pair.identity: (pair.attributes.get("source"), pair.attributes.get("style"), pair.split) for pair in found}
    fs2k.check(given, table, whole=resplit)
    return [
        pair._replace(
            person=known[pair.identity].person,
            picture=known[pair.identity].duplicate_of or pair.identity,
            split=known[pair.identity].split if resplit else pair.split,
        )
        for pair in found
    ]


def _listed(table: Path) -> list[Pair]:
    """Pairs that a ``pairs.csv`` lists; the paths in it are relative to its folder."""
    listed = [_pair(row, table, line) for line, row in rows(table, _REQUIRED)]
    shown: dict[tuple[Path, Split], tuple[int, str]] = {}
    sides: dict[str, tuple[int, Split]] = {}
    for line, pair in enumerate(listed, start=2):
        before, identity = shown.setdefault((pair.photo, pair.split), (line, pair.identity))
        if identity != pair.identity:
            whose = f"{identity!r} and {pair.identity!r}"
            raise DataError(f"{table}, lines {before} and {line}: one photo of two identities, {whose}.")
        before, split = sides.setdefault(pair.identity, (line, pair.split))
        if split != pair.split:
            raise DataError(f"{table}, lines {before} and {line}: {pair.identity!r} is on both sides of the split.")
    return listed


def _pair(row: dict[str, str], table: Path, line: int) -> Pair:
    if row.get("subset") == "all":
        raise DataError(f"{table}, line {line}: a subset cannot be called 'all', which stands for the whole data set.")
    split = row["split"]
    if split not in ("train", "test"):
        raise DataError(f"{table}, line {line}: split is {split!r}, expected 'train' or 'test'.")
    if not row["identity"].strip():
        raise DataError(f"{table}, line {line}: the identity is empty. Say who it is: a line is a pair of one person.")
    photo, sketch = table.parent / row["photo"], table.parent / row["sketch"]
    for path in (photo, sketch):
        if not path.is_file():
            raise DataError(f"{table}, line {line}: there is no file {path}. Is the data set complete?")
    attributes = {name: value for name, value in row.items() if name not in _OWN_FIELDS}
    subset = row.get("subset", "-".join(row[name] for name in ("source", "style") if name in row))
    return Pair(row["identity"], subset, "train" if split == "train" else "test", photo, sketch, attributes)


def _matched(folder: Path) -> list[Pair]:
    """Pairs of a plain folder: files of equal stems in ``photos/`` and ``sketches/``."""
    photos, sketches = (_stems(folder / name) for name in ("photos", "sketches"))
    lonely = sorted(photos.keys() ^ sketches.keys())
    if lonely:
        raise DataError(
            f"{folder}: {len(lonely)} files have no partner of the same stem in photos/ and sketches/,"
            f" the first is {lonely[0]!r}. Add the partner or remove the file."
        )
    return [Pair(stem, "", "train", photos[stem], sketches[stem], {}) for stem in sorted(photos)]


def _stems(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"No folder {folder}. Expected pairs.csv, or photos/ and sketches/ with files of equal stems.")
    files = [Path(entry.path) for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith(".")]
    twice = [stem for stem, count in Counter(path.stem for path in files).items() if count > 1]
    if twice:
        raise DataError(f"{folder} holds several files with the stem {min(twice)!r}; keep one of them.")
    return {path.stem: path for path in files}
