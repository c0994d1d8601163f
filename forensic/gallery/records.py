"""What goes into a gallery and what comes out of it, as plain typed records; and the checks on the way in."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from forensic.errors import Changed, GalleryError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensic.gallery.models import Person, Photo

PERSON_FIELDS = ("name", "sex", "birth_year", "case_reference", "keep_until")
PHOTO_FIELDS = ("date_taken", "source")
RESERVED = ("person", "file")
MEASURED = {
    "photo:sha256": "sha256",
    "photo:file_name": "file_name",
    "photo:format": "format",
    "photo:width": "width",
    "photo:height": "height",
    "photo:detector": "detector",
    "photo:detector_score": "detector_score",
    "photo:warnings": "warnings",
    "photo:enrolled_at": "enrolled_at",
}
"""Columns that an export writes for the reader, and enrolling passes over since it finds them anew -> photo's field."""
LABEL_LENGTH = 200
VALUE_LENGTH = 100_000  # below the limit of csv's reader
UNIT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Space:
    """A template space; two are equal when their digests are.

    Args:
        digest: hash of everything that made the templates (route, models, settings).
        route: the route's name.
        dimension: length of a template.
        models: name of each model -> SHA-256 of its weights.
    """

    digest: str
    route: str = field(compare=False)
    dimension: int = field(compare=False)
    models: Mapping[str, str] = field(compare=False)


@dataclass(frozen=True)
class Enrollment:
    """One photo to enroll, with everything that was measured on it.

    Args:
        person: the label that names the person.
        data: the file's bytes as they were read.
        sha256: hex digest of ``data``.
        size: width and height in pixels of the upright photo.
        landmarks: five points, shape (5, 2), in pixels of the upright photo.
        method: how the face was found ("mtcnn", "manual", ...).
        score: the detector's score.
        metadata: columns of the user's table; ``name``, ``sex``, ``birth_year``, ``case_reference``, ``keep_until`` and
            any unknown one describe the person, ``date_taken`` and ``source`` the photo. Empty values are left out.
        templates: unit vectors, shape (space.dimension,).
        quality: measures, verdict, reasons and the policy's hash as plain data; None where nothing was measured.
    """

    person: str
    data: bytes = field(repr=False)
    sha256: str
    file_name: str
    format: str
    size: tuple[int, int]
    landmarks: "NDArray[np.float32] | Sequence[Sequence[float]]" = field(repr=False)
    method: str
    score: float
    warnings: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    templates: "Mapping[Space, NDArray[np.float32]]" = field(default_factory=dict, repr=False)
    quality: Mapping[str, Any] | None = field(default=None, repr=False)


class Owner(NamedTuple):
    """Whose a photo is: the person's number, and the label, which may be given to somebody else later."""

    number: int
    label: str


class Shown(NamedTuple):
    """A person as somebody was shown them: what they decide then is done to this one alone.

    Between the two, another process may give the label to somebody else, or the person other photos.

    Attributes:
        label: As it is stored.
        number: Whose it was.
        photos: Ids of all their photos; None where the act is meant whatever photos they have by now.
    """

    label: str
    number: int
    photos: frozenset[int] | None = None

    @classmethod
    def of(cls, person: "Person", photos: "Iterable[Photo] | None" = None) -> "Shown":
        """A person, with all photos where the act is meant for these alone."""
        return cls(person.label, person.id, None if photos is None else frozenset(photo.id for photo in photos))

    def check(self, number: int | None, photos: Iterable[int]) -> None:
        """Stop an act on somebody, or on photos, that were not shown.

        Args:
            number: Whose the label is now; None for nobody's.
            photos: The ids of their photos now.

        Raises:
            Changed: It would be such an act.
        """
        if number != self.number:
            how = f"person {self.number} has another label now, or is gone"
        elif self.photos is not None and set(photos) != self.photos:
            how = "the photos are not the same"
        else:
            return
        raise Changed(f"{self.label!r} was changed since it was shown ({how}): look at it again. Nothing was done.")


class Repeated(NamedTuple):
    """A row whose photo is enrolled already: what it says may be news, and nothing else of it is looked at.

    Args:
        person: as of an enrollment.
        sha256: hex digest of the photo.
        file_name: as of an enrollment.
        metadata: as of an enrollment.
    """

    person: str
    sha256: str
    file_name: str
    metadata: Mapping[str, str]


class Outcome(NamedTuple):
    """What became of one enrollment.

    ``already``: the same bytes are enrolled for the same person; what was lacking of the metadata is known now.
    ``conflict``: the same bytes are enrolled for another person. ``refused``: label or metadata cannot be stored.
    ``message`` says why, or what of the metadata a person should look at, such as what was kept although the new row
    says something else; else it is empty. ``findings`` say the same without a label or a value.
    """

    status: Literal["enrolled", "already", "conflict", "refused"]
    person: str
    sha256: str
    message: str = ""
    findings: tuple[str, ...] = ()


class Part(NamedTuple):
    """The templates of one segment of a space, in the order of the photos' content hashes.

    Args:
        vectors: float32, shape (n, dimension), C-contiguous.
        photo_ids: int64, shape (n,).
        hashes: SHA-256 of the photos.
        root: Merkle root over the templates' seals.
    """

    vectors: "NDArray[np.float32]"
    photo_ids: "NDArray[np.int64]"
    hashes: list[str]
    root: bytes


class Templates(NamedTuple):
    """All templates of a space, in the order of the photos' content hashes whatever the order of enrollment.

    Args:
        vectors: float32, shape (n, dimension), C-contiguous.
        photo_ids: int64, shape (n,).
        people: the label of each row's person.
        revision: the space's revision that these rows show.
    """

    vectors: "NDArray[np.float32]"
    photo_ids: "NDArray[np.int64]"
    people: list[str]
    revision: int


class Size(NamedTuple):
    """How much a gallery holds."""

    people: int
    photos: int


class Problem(NamedTuple):
    """One thing that ``verify`` found: its kind, what has it, and a sentence."""

    kind: str
    subject: str
    message: str


class Choice(NamedTuple):
    """Which entries of the audit log are asked for; None for any.

    Attributes:
        action: What was done.
        operator: Who did it, as the log names them.
        since: The first day, in UTC.
        until: The last day, in UTC.
        before: Entries of smaller numbers than this.
    """

    action: str | None = None
    operator: str | None = None
    since: date | None = None
    until: date | None = None
    before: int | None = None

    def holds(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry is asked for."""
        day = str(entry["at"])[:10]
        return (
            self.action in (None, entry["action"])
            and self.operator in (None, entry["operator"])
            and (self.since is None or day >= self.since.isoformat())
            and (self.until is None or day <= self.until.isoformat())
            and (self.before is None or entry["number"] < self.before)
        )


class Metadata(NamedTuple):
    """Checked metadata; None stands for an empty value."""

    person: dict[str, str | int | date | None]
    photo: dict[str, str | None]
    extra: dict[str, str | None]


UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of controls, marks of direction, halves of characters, ends of lines."""
JOINERS = "\u200c\u200d"
"""What Persian and Indian names are written with, although nobody sees it by itself."""
VIRAMA = 9
"""Unicode's class of the signs after which a joiner decides about a letter's form."""


def parse_label(label: str) -> str:
    """The label without surrounding blanks, composed (NFC): folders' names on macOS are not.

    Raises:
        UsageError: it is empty, longer than 200 characters, or holds what nobody sees: two labels would look alike.

    >>> parse_label(" A-17 ")
    'A-17'
    """
    label = unicodedata.normalize("NFC", label.strip())
    if not label or len(label) > LABEL_LENGTH or any(_unseen(label, at) for at in range(len(label))):
        raise UsageError(
            f"A person is named {label[:40]!a}; expected 1 to {LABEL_LENGTH} characters, and none that nobody sees."
        )
    return label


def _unseen(label: str, at: int) -> bool:
    """Whether nobody sees a character there: neither itself nor what it does to those beside it."""
    if label[at] in JOINERS:
        before, after = label[at - 1 : at], label[at + 1 : at + 2]
        arabic = [unicodedata.bidirectional(c) for c in (before, after) if c] == ["AL", "AL"]
        return not arabic and not (before and unicodedata.combining(before) == VIRAMA)
    return unicodedata.category(label[at]) in UNSEEN


def parse_metadata(columns: Mapping[str, str]) -> Metadata:
    """Sort a table's columns into those of the person and those of the photo.

    Raises:
        UsageError: an empty or reserved column name, a birth year or a date that is none, text that cannot be stored.

    >>> parse_metadata({"Birth year": "1970", "source": "", "eyes": "brown"})
    Metadata(person={'birth_year': 1970}, photo={'source': None}, extra={'eyes': 'brown'})
    """
    parsed = Metadata({}, {}, {})
    keys = {_key(column): value for column, value in columns.items()}
    if len(keys) < len(columns):
        raise UsageError(f"The columns {sorted(columns)} name one field twice; keep one of them.")
    for key, value in keys.items():
        if len(value) > VALUE_LENGTH:
            raise UsageError(f"The value of {key!r} has {len(value)} characters; at most {VALUE_LENGTH} can be stored.")
        if re.search("[\0\ud800-\udfff]", key + value):
            raise UsageError(f"The value of {key!r} holds a NUL character or half a surrogate pair; remove it.")
        if key in PHOTO_FIELDS:
            parsed.photo[key] = value or None
        elif key == "birth_year":
            parsed.person[key] = _birth_year(value) if value.strip() else None
        elif key == "keep_until":
            parsed.person[key] = parse_day(value) if value.strip() else None
        elif key in PERSON_FIELDS:
            parsed.person[key] = value or None
        else:
            parsed.extra[key] = value or None
    return parsed


def parse_day(text: str) -> date:
    """A date as ISO 8601 writes it.

    Raises:
        UsageError: it is none.

    >>> parse_day(" 2031-12-31 ")
    datetime.date(2031, 12, 31)
    """
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip(), re.ASCII):  # Python reads other forms of ISO 8601 too
            return date.fromisoformat(text.strip())
    except ValueError:  # such as the 30th of February
        pass
    raise UsageError(f"The date is {text[:40]!r}; expected a day as year-month-day, such as 2031-12-31.")


def _folded(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip()).lower()


def _key(column: str) -> str:
    column = column.strip()
    known = _folded(column)
    if known in PERSON_FIELDS + PHOTO_FIELDS:
        return known
    if not column or known in RESERVED or column.lower() in MEASURED:
        raise UsageError(f"{column!r} cannot name a metadata column; call it something else.")
    return column


def parse_photo_metadata(metadata: Mapping[str, str]) -> dict[str, str | None]:
    """What is changed of a photo; None takes a value away.

    Raises:
        UsageError: Something in it describes a person, or cannot be stored.
    """
    parsed = parse_metadata(metadata)
    if others := [*parsed.person, *parsed.extra]:
        raise UsageError(f"{', '.join(others)} describes a person, not a photo: update it with PERSON.")
    return parsed.photo


def _birth_year(value: str) -> int:
    if not re.fullmatch(r"\s*(1[89]|2[01])\d\d\s*", value, re.ASCII):
        raise UsageError(f"The birth year is {value!r}; expected four digits from 1800 to 2199.")
    return int(value)


def template_bytes(space: Space, vector: "NDArray[np.float32]") -> bytes:
    """A template as it is stored: little-endian float32.

    Raises:
        GalleryError: another shape than (space.dimension,), not finite, or not of unit length.
    """
    import numpy as np

    array = np.asarray(vector, dtype="<f4")
    norm = float(np.linalg.norm(array.astype(np.float64)))
    if array.shape != (space.dimension,) or not abs(norm - 1.0) <= UNIT_TOLERANCE:  # NaN fails too
        raise GalleryError(
            f"A template of route {space.route!r} has shape {array.shape} and length {norm:.6g}; "
            f"expected ({space.dimension},) and 1. The route's embedder is at fault."
        )
    return array.tobytes()


def check(record: Enrollment) -> None:
    """Refuse a record that its maker got wrong.

    Raises:
        GalleryError: the hash is not that of the bytes, or the landmarks are not five finite points.
    """
    if hashlib.sha256(record.data).hexdigest() != record.sha256:
        raise GalleryError(
            f"{record.file_name}: {record.sha256[:12]}... is not the SHA-256 of its {len(record.data)} bytes."
        )
    points = landmarks(record)
    finite = all(abs(c) < float("inf") for point in points for c in point)
    if [len(point) for point in points] != [2] * 5 or not finite:
        raise GalleryError(f"{record.file_name}: landmarks {points} are not five finite points (x, y).")


def landmarks(record: Enrollment) -> list[list[float]]:
    """The record's landmarks as lists of plain floats."""
    return [[float(c) for c in point] for point in record.landmarks]
