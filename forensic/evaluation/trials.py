"""The images of an evaluation: each file read, aligned once, and described by every route under test."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from forensic import datasets, images
from forensic.datasets.tables import rows
from forensic.errors import DataError, FaceError, ImageError
from forensic.faces.align import FIELD_BOX
from forensic.images import LUMINANCE
from forensic.parallel import workers
from forensic.progress import Bar, bar

Floats = NDArray[np.float32]
SideName = Literal["probe", "gallery"]
By = Literal["image", "person"]
"""What counts as a mate: the very photo that a sketch was drawn from, or any photo of the person."""


class Route(Protocol):
    """What an evaluation needs of a route (``forensic.routes``)."""

    @property
    def name(self) -> str:
        """For instance ``sketch-to-photo:pix2pix``."""

    @property
    def space(self) -> str:
        """Hash of everything that makes its templates."""

    @property
    def models(self) -> Mapping[str, str]:
        """SHA-256 of each model by its name."""

    @property
    def translated(self) -> SideName | None:
        """The side whose portraits it translates."""

    def describe(self, aligned: Sequence[Any], side: SideName) -> Floats:
        """Templates of aligned faces, unit rows (n, d)."""

    def portraits(self, aligned: Sequence[Any], side: SideName) -> Any:
        """The portraits as they are after translation, (n, 3, 256, 256) in [-1, 1]."""


class Finder(Protocol):
    """What an evaluation needs of ``forensic.faces.Finder``."""

    def find(self, images: Sequence[Any]) -> Sequence[Any]:
        """For each image its aligned face, or the ``FaceError`` that says why there is none."""


class Failure(NamedTuple):
    """A file without a template: it counts as a miss."""

    file: str
    reason: str


class Entry(NamedTuple):
    """A file of one side of the evaluation; fields as in ``datasets.Pair``."""

    file: Path
    identity: str
    subset: str = ""
    person: str = ""
    attributes: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Side:
    """Probes or gallery of an evaluation.

    Attributes:
        identities: exact image of each entry: a sketch and the photo that it was drawn from share it, shape (n,).
        people: person of each entry, whom several images may show, shape (n,).
        subsets: reported part of the data set that each entry belongs to, shape (n,).
        attributes: for each further column of the table its value of each entry, shape (n,), empty if unknown.
        found: whether there is a template, shape (n,).
        templates: for each route's name the unit rows (n, d), zeros where nothing was found.
        pixels: for each route's name grey rows (n, 50000) in [0, 1], or empty if they were not asked for.
        failures: the files without a template.
        detectors: how many faces each detection method found.
    """

    identities: NDArray[np.str_]
    people: NDArray[np.str_]
    subsets: NDArray[np.str_]
    attributes: Mapping[str, NDArray[np.str_]]
    found: NDArray[np.bool_]
    templates: Mapping[str, Floats]
    pixels: Mapping[str, Floats]
    failures: tuple[Failure, ...]
    detectors: Mapping[str, int]

    def labels(self, by: By) -> NDArray[np.str_]:
        """What makes an entry of the one side a mate of the other's."""
        return self.identities if by == "image" else self.people

    def take(self, rows: NDArray[np.intp]) -> "Side":
        """Some of the entries, in the order of the row numbers."""
        return replace(
            self,
            identities=self.identities[rows],
            people=self.people[rows],
            subsets=self.subsets[rows],
            attributes={name: values[rows] for name, values in self.attributes.items()},
            found=self.found[rows],
            templates={name: table[rows] for name, table in self.templates.items()},
            pixels={name: table[rows] for name, table in self.pixels.items()},
        )


def pairs_of(folder: Path, split: str, *, resplit: bool = False, subset: str | None = None) -> list[datasets.Pair]:
    """The pairs of one split, or of the whole folder for ``all``; of one subset, if it is named.

    Raises:
        DataError: if the folder is no data set, or the split or the subset is empty.
    """
    everything = datasets.pairs(folder, resplit=resplit)
    if subset is not None:
        known = sorted({pair.subset for pair in everything} - {""})
        everything = [pair for pair in everything if pair.subset == subset]
        if not everything:
            raise DataError(f"{folder} has no subset '{subset}'. It has: {', '.join(known) or 'none'}.")
    chosen = [pair for pair in everything if split in (pair.split, "all")]
    if not chosen:
        present = ", ".join(sorted({pair.split for pair in everything}))
        raise DataError(f"{folder} has no pair in the split '{split}'. Give --split {present} or all.")
    return chosen


def sides(pairs: Sequence[datasets.Pair]) -> tuple[list[Entry], list[Entry]]:
    """Sketches as probes, photos as gallery; a photo of several sketches is there once."""
    probes, photos = [], {}
    for pair in pairs:
        about = pair.identity, pair.subset, pair.person or pair.identity, pair.attributes
        probes.append(Entry(pair.sketch, *about))
        photos[pair.photo] = Entry(pair.photo, *about)
    return probes, list(photos.values())


def distractors_in(folder: Path) -> list[Entry]:
    """Photos of people who are none of the probes: those of ``faces.csv``, else every file of the folder.

    Further columns of the table, such as gender, become attributes.

    Raises:
        DataError: if the folder is missing, holds no file, or its table cannot be read or has no column ``photo``.
    """
    if not folder.is_dir():
        raise DataError(f"No folder of distractors at {folder}. Give a folder of photos, or leave it out.")
    table = folder / "faces.csv"
    if table.is_file():
        known = {folder / row.pop("photo"): row for _, row in rows(table, ["photo"])}
    else:
        known = {file: {} for file in images.find_files(folder)}
    if not known:
        raise DataError(f"{folder} holds no photo to serve as a distractor.")
    entries = []
    for file, row in known.items():
        # The prefix keeps a distractor from being anybody's mate, whatever the data set calls its people.
        name = f"distractor:{file.relative_to(folder)}"
        about = {column: value for column, value in row.items() if column != "identity"}
        entries.append(Entry(file, name, person=name, attributes=about))
    return entries


def describe(
    entries: Sequence[Entry],
    side: SideName,
    routes: Sequence[Route],
    finder: Finder,
    *,
    pixels: bool = False,
    label: str = "",
    quiet: bool = True,
) -> Side:
    """Read, align and describe files; each face is aligned once for all routes.

    Args:
        entries: the files and their people.
        side: which side of a search they stand on.
        routes: every route under test.
        finder: finds and aligns faces.
        pixels: whether to keep the routes' grey portraits for the pixel protocol: 200 kB an image, once for all routes
            that do not translate this side.
        label: what the progress bar says.
        quiet: whether to leave the progress bar out.
    """
    results: list[_Described | Failure] = []
    with workers() as pool, counting(label, len(entries), quiet) as shown:
        for result in pool.map(lambda entry: _describe(entry, side, routes, finder, pixels), entries):
            results.append(result)
            shown(len(results))
    described = [result for result in results if isinstance(result, _Described)]
    found = np.array([isinstance(result, _Described) for result in results], dtype=bool)
    columns = dict.fromkeys(name for entry in entries for name in entry.attributes)
    return Side(
        identities=np.array([entry.identity for entry in entries], dtype=np.str_),
        people=np.array([entry.person or entry.identity for entry in entries], dtype=np.str_),
        subsets=np.array([entry.subset for entry in entries], dtype=np.str_),
        attributes={
            name: np.array([entry.attributes.get(name, "") for entry in entries], dtype=np.str_) for name in columns
        },
        found=found,
        templates={r.name: _table([one.templates[r.name] for one in described], found) for r in routes},
        pixels=_compared(described, found, routes, side) if pixels else {},
        failures=tuple(result for result in results if isinstance(result, Failure)),
        detectors=dict(Counter(one.detector for one in described)),
    )


def grey_rows(portraits: Any) -> Floats:
    """Portraits (n, 3, 256, 256) in [-1, 1] as rows of raw grey pixels, (n, 250 * 200) in [0, 1]."""
    colour = np.asarray(portraits, dtype=np.float32)
    left, top, right, bottom = FIELD_BOX
    grey = np.tensordot(colour[:, :, top:bottom, left:right], np.array(LUMINANCE, np.float32), axes=(1, 0))
    return ((grey.reshape(len(colour), -1) + 1) / 2).astype(np.float32)


def counting(label: str, total: int, quiet: bool) -> AbstractContextManager[Bar]:
    """A progress bar, or where it should be quiet nothing in its place."""
    return nullcontext(lambda done, total=None: None) if quiet else bar(label, total)


class _Described(NamedTuple):
    """One face under every route: the templates and, where asked for, the grey portraits by `_pictures`."""

    detector: str
    templates: dict[str, Floats]
    pixels: dict[str, Floats]


def _describe(
    entry: Entry, side: SideName, routes: Sequence[Route], finder: Finder, pixels: bool
) -> _Described | Failure:
    try:
        (face,) = finder.find([images.read(entry.file).image])
        if isinstance(face, FaceError):
            raise face
    except (ImageError, FaceError) as error:
        # The file's folder is nobody's business: reports are passed on.
        return Failure(entry.file.name, str(error).replace(str(entry.file), entry.file.name))
    showing = {_pictures(route, side): route for route in routes if pixels}
    return _Described(
        face.face.method,
        {route.name: route.describe([face], side)[0] for route in routes},
        {name: grey_rows(route.portraits([face], side))[0] for name, route in showing.items()},
    )


def _pictures(route: Route, side: SideName) -> str:
    """Which pictures a route compares on a side: its own, or those as they are, which have no name."""
    return route.name if route.translated == side else ""


def _compared(
    described: Sequence[_Described], found: NDArray[np.bool_], routes: Sequence[Route], side: SideName
) -> dict[str, Floats]:
    """The grey rows that each route compares; routes that compare the same pictures share them."""
    pictures = {route.name: _pictures(route, side) for route in routes}
    tables = {name: _table([one.pixels[name] for one in described], found) for name in set(pictures.values())}
    return {name: tables[shown] for name, shown in pictures.items()}


def _table(rows: Sequence[Floats], found: NDArray[np.bool_]) -> Floats:
    """The rows of the found entries at their places among all entries."""
    table = np.zeros((len(found), len(rows[0]) if rows else 1), dtype=np.float32)
    if rows:
        table[found] = rows
    return table
