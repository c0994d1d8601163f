"""Synthetic people: photographs and drawings of faces that nobody has, made by this package alone.

They stand in for mugshots and sketches where there are none to show: in the demo, in tests, in examples. They
are drawn, not sampled from a model trained on faces, so that no real person's image is in them. They say nothing
about accuracy on real sketches.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from forensic.datasets.head import Head, Variation, View
from forensic.datasets.mugshot import draw_photo
from forensic.datasets.pencil import draw_sketch
from forensic.datasets.persons import Person
from forensic.errors import DataError

__all__ = ["Made", "Person", "Variation", "draw_photo", "draw_sketch", "files_of", "landmarks", "make_people"]

PREFIX = "synthetic-"
"""Every synthetic person's label in a gallery begins with this."""
TABLE = "people.csv"
FOLDERS = ("photos", "photos-later", "sketches")
MOST = 999_999
QUALITY = 92
COLUMNS = ("person", "file", "name", "sex", "birth_year", "case_reference", "source", "date_taken")
_SECOND_PHOTO = 0.12  # share of people with two photos
_STEADY = 0.4  # an artist sets a face straighter than a camera finds it


class Made(NamedTuple):
    """One synthetic person's files.

    Attributes:
        label: Label in the table and in a gallery.
        photos: One or two photographs.
        sketch: The drawing, where one was asked for.
    """

    label: str
    photos: tuple[Path, ...]
    sketch: Path | None


def landmarks(person: Person, variation: Variation) -> np.ndarray:
    """Where a picture's five landmarks truly are.

    Returns:
        Eyes, nose tip, mouth corners, left before right as the image shows them, in pixels, shape (5, 2).
    """
    return View(variation).project(Head(person, variation).landmarks())


def make_people(
    folder: Path | str,
    count: int,
    seed: int = 0,
    *,
    sketches: Collection[int] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Made]:
    """Write photographs, drawings and a table of people who do not exist.

    The folder gets ``photos/0001.jpg`` ..., ``sketches/0001.jpg`` ..., a few second photographs in
    ``photos-later/``, and ``people.csv``, fit for ``forensic enroll --csv``. With a sketch of everybody it is also
    a folder of photo-sketch pairs. The same arguments write the same bytes.

    Args:
        folder: Where to; made if it is not there. Files of the same names are replaced.
        count: How many people, up to 999,999.
        seed: Another seed gives other people.
        sketches: Numbers (from 1) of the people to draw; all of them by default.
        progress: Called with the number of people done.

    Raises:
        DataError: ``count`` or ``seed`` is out of range, or the folder cannot be written.
    """
    if not 1 <= count <= MOST or seed < 0:
        raise DataError(f"{count} people of seed {seed}: expected 1 to {MOST:,} people and a seed of 0 or more.")
    folder = Path(folder)
    made, rows = [], []
    try:
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(1, count + 1):
            person = Person.sample(seed * (MOST + 1) + number)
            drawn = sketches is None or number in sketches
            one = _write_pictures(folder, number, person, drawn=drawn)
            made.append(one)
            rows += _rows(one, number, person, folder)
            progress(number)
        with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}). Give another folder.") from None
    return made


def files_of(count: int) -> Iterator[Path]:
    """Every file that `make_people` may have made of so many people, relative to its folder."""
    yield Path(TABLE)
    for number in range(1, count + 1):
        for name in FOLDERS:
            yield Path(name, f"{number:04d}.jpg")


def _write_pictures(folder: Path, number: int, person: Person, *, drawn: bool) -> Made:
    stem = f"{number:04d}"
    photos = [folder / "photos" / f"{stem}.jpg"]
    if _chance(person, 0x2F0).random() < _SECOND_PHOTO:
        photos.append(folder / "photos-later" / f"{stem}.jpg")
    for which, path in enumerate(photos):
        draw_photo(person, Variation.sample(2 * person.seed + which)).save(path, quality=QUALITY)
    sketch = None
    if drawn:
        sketch = folder / "sketches" / f"{stem}.jpg"
        rng = _chance(person, 0x5E7C4)
        variation = Variation.sample(int(rng.integers(2**40)), _STEADY)
        draw_sketch(person, variation, rng).save(sketch, quality=QUALITY)
    return Made(f"{PREFIX}{stem}", tuple(photos), sketch)


def _rows(made: Made, number: int, person: Person, folder: Path) -> list[dict[str, str]]:
    """A person's lines of the table, one a photograph."""
    rng = _chance(person, 0xDA7E)
    taken = date(2019, 1, 1) + timedelta(days=int(rng.integers(5 * 365)))
    born = taken.year - person.age
    rows = []
    for photo in made.photos:
        values = (
            made.label,
            photo.relative_to(folder).as_posix(),
            f"Synthetic {number:04d}",
            person.sex,
            str(born),
            f"DEMO-{taken.year}-{number:04d}",
            "drawn by forensic demo",
            taken.isoformat(),
        )
        rows.append(dict(zip(COLUMNS, values, strict=True)))
        taken += timedelta(days=int(rng.integers(30, 300)))
    return rows


def _chance(person: Person, purpose: int) -> np.random.Generator:
    """Chances of a person's own, the same every time."""
    return np.random.default_rng([person.seed, purpose])
