"""Who is who in FS2K: its photos show people repeatedly, and ``fs2k_people.csv`` says which are of one person.

The table names nobody: it groups FS2K's own photo ids under opaque ones. How it was made, how sure it is and what
was left undecided stands in ``docs/data.md``; ``experiments/fs2k_people.py`` makes it.
"""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, NamedTuple

from forensic.errors import DataError

DIGEST = "1435f7c97e54c1d95f9348d3064e77a7a7074d0e9ca5cce46471eb46dff3cb3f"
"""SHA-256 of FS2K's photo ids with their source, style and official side, as ``digest`` makes it."""

_PREFIX = "fs2k-"


class Photo(NamedTuple):
    """What is known of a photo.

    Attributes:
        person: Opaque id of the person.
        split: The side of the split that keeps people apart.
        duplicate_of: Id of the first photo that is the same picture; empty if this is the first.
    """

    person: str
    split: Literal["train", "test"]
    duplicate_of: str


def is_fs2k(identities: Sequence[str]) -> bool:
    """Whether these are ids of FS2K's photos, such as ``fs2k-1-0001``."""
    return all(identity.startswith(_PREFIX) for identity in identities)


@cache
def people() -> Mapping[str, Photo]:
    """The published table, by FS2K's photo id."""
    text = (files("forensic.datasets") / "fs2k_people.csv").read_text(encoding="utf-8")
    return {
        row["identity"]: Photo(row["person"], "test" if row["split"] == "test" else "train", row["duplicate_of"])
        for row in csv.DictReader(text.splitlines())
    }


def digest(rows: Mapping[str, Sequence[str | None]]) -> str:
    """SHA-256 of photo ids with their source, style and official side, whatever their order."""
    lines = sorted(",".join([identity, *(field or "" for field in fields)]) for identity, fields in rows.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def check(rows: Mapping[str, Sequence[str | None]], table: Path, *, whole: bool) -> None:
    """See to it that the people of these photos are known.

    Args:
        rows: Source, style and official side by photo id.
        table: Where they were read, for the message.
        whole: Whether a part of FS2K will not do: a split of a part is another split.

    Raises:
        DataError: A photo is not in the table of people, one is missing, or their attributes are not FS2K's.
    """
    known = people()
    advice = "Take FS2K as it was published (2,104 pairs), or name the ids otherwise if this is another data set."
    strange = sorted(rows.keys() - known.keys())
    if strange:
        raise DataError(f"{table}: nothing is known of the person on {len(strange)} photos ({strange[0]}). {advice}")
    missing = sorted(known.keys() - rows.keys())
    if missing and whole:
        raise DataError(
            f"{table} lacks {len(missing)} of FS2K's photos ({missing[0]}), so people cannot be split. {advice}"
        )
    if not missing and digest(rows) != DIGEST:
        raise DataError(
            f"{table} has FS2K's photo ids with another source, style or split than FS2K, so the people behind "
            f"the ids may be others. {advice}"
        )
