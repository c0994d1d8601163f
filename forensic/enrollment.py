"""Enroll photos: read, find the face, describe it, store it. One bad file never stops the others.

Photos are prepared one by one, by worker threads (`forensic.parallel`), so that a template depends on nothing but
its photo. They are stored in batches, each one transaction, while the workers go on. An interrupted enrollment loses
at most the batches in flight; started again, it passes over what is already there, by content.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple

from forensic import images, parallel
from forensic.errors import DataError, FaceError, ForensicError, ImageError, UsageError
from forensic.faces import Finder
from forensic.faces.policy import Policy
from forensic.faces.policy import load as load_policy
from forensic.gallery import Enrollment, Gallery, Space, exchange, nist
from forensic.gallery.records import with_default
from forensic.routes import Route

BATCH = 64
WINDOW = 2 * BATCH
"""Photos that may be under way at once: it bounds memory, and keeps the workers busy during a commit."""


class Item(NamedTuple):
    """One photo to enroll: a file, or a record in an ANSI/NIST-ITL file."""

    person: str
    path: Path
    metadata: Mapping[str, str]
    record: nist.Record | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return images.display_name(self.path) + self._place

    @property
    def file_name(self) -> str:
        """What the gallery keeps of where it came from."""
        return self.path.name + self._place

    @property
    def _place(self) -> str:
        return f", record {self.record.number}" if self.record else ""


class _Maker(NamedTuple):
    """What makes a record of a photo."""

    routes: Sequence[Route]
    finder: Finder
    policy: Policy
    keep_until: date | None


@dataclass(frozen=True)
class Failure:
    """A file that was not enrolled, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Passed:
    """A record of a file that is no face by its own word, so that nothing went wrong."""

    image_type: str


Result = Enrollment | Failure | Passed | None
"""What became of an item; None for a photo that is enrolled already."""


@dataclass
class Summary:
    """What an enrollment did.

    Attributes:
        enrolled: Photos that are new in the gallery.
        already: Photos that were there before.
        passed: Records of ANSI/NIST-ITL files that show no face but, say, a tattoo; a warning names each.
        failures: Files that were not enrolled.
        warnings: What a person should look at, a line each.
    """

    enrolled: int = 0
    already: int = 0
    passed: int = 0
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Photos that have been dealt with."""
        return self.enrolled + self.already + self.passed + len(self.failures)


def items_of(paths: Iterable[str | os.PathLike[str]], columns: Mapping[str, str] | None = None) -> list[Item]:
    """Files, and the files of folders; each names its person by its stem.

    Args:
        paths: Photos, ANSI/NIST-ITL files, folders.
        columns: Column -> field of an ANSI/NIST-ITL file that fills it, such as ``{"person": "2.054"}``.

    Raises:
        UsageError: A path does not exist, there is no file at all, or a field cannot be one.
    """
    fields = nist.parse_columns(columns or {})
    items: list[Item] = []
    for path in map(Path, paths):
        if not os.path.lexists(path):
            raise UsageError(f"{images.display_name(path)} does not exist. Give files or folders of photos.")
        for file in images.find_files(path):
            items += _items(Item(file.stem, file, {}), fields)
    if not items:
        raise UsageError("There is no file to enroll. Give files, folders of photos, or --csv FILE.")
    return items


def items_of_csv(path: str | os.PathLike[str], columns: Mapping[str, str] | None = None) -> list[Item]:
    """The rows of a table with the columns ``person,file`` and any metadata; files are relative to the table.

    Args:
        path: The table.
        columns: As for `items_of`; what the table says of an ANSI/NIST-ITL file overrules what the file says.

    Raises:
        DataError: The table cannot be read, lacks a column, or has no rows.
        UsageError: A field cannot be one.
    """
    # The table names the people.
    fields = {key: name for key, name in nist.parse_columns(columns or {}).items() if key != nist.PERSON}
    items: list[Item] = []
    for row in exchange.read_table(Path(path)):
        items += _items(Item(row.person, row.file, row.metadata), fields)
    if not items:
        raise DataError(f"{images.display_name(path)}: the table has no rows.")
    return items


def _items(item: Item, fields: Mapping[str, str]) -> list[Item]:
    """The item itself, or one for each face record of an ANSI/NIST-ITL file."""
    if not nist.is_nist(item.path):
        return [item]
    try:
        records = nist.read(item.path, fields)
    except (DataError, ImageError) as error:
        records = [nist.Record(1, problem=_reason(error, item))]
    return [
        Item(record.person or item.person, item.path, {**record.metadata, **item.metadata}, record)
        for record in records
    ]


def enroll(
    gallery: Gallery,
    items: Sequence[Item],
    routes: Sequence[Route],
    finder: Finder,
    *,
    policy: Policy | None = None,
    keep_until: date | None = None,
    progress: Callable[[Summary], None] = lambda summary: None,
    workers: int | None = None,
) -> Summary:
    """Enroll files with a template of each route's space.

    Args:
        gallery: Where to.
        items: What to enroll.
        routes: Routes whose gallery side is described.
        finder: Finds the faces.
        policy: What is good enough: what it warns of becomes a warning, what it refuses a failure. By default the
            shipped one.
        keep_until: Last day (UTC) on which new people may be kept, where their item says nothing of it.
        progress: Called as photos are dealt with.
        workers: Threads that prepare photos; by default one a core.

    Raises:
        GalleryError: The gallery cannot be written; what was stored before stays.
    """
    maker = _Maker(list({route.space: route for route in routes}.values()), finder, policy or load_policy(), keep_until)
    summary = Summary(warnings=_shared_names(items))
    with parallel.workers(workers) as pool:
        batch: list[Enrollment] = []
        for item, prepared in _prepared(pool, gallery, items, maker):
            if isinstance(prepared, Enrollment):
                batch.append(prepared)
                summary.warnings += [f"{item.name}: {text}" for text in prepared.warnings]
            elif prepared is None:
                summary.already += 1
            elif isinstance(prepared, Passed):
                summary.passed += 1
                summary.warnings.append(f"{item.name}: passed over, it shows {prepared.image_type!r} and no FACE.")
            else:
                summary.failures.append(prepared)
            if len(batch) == BATCH:
                _store(gallery, batch, summary)
                batch = []
            progress(summary)
        _store(gallery, batch, summary)
        progress(summary)
    return summary


def gallery_space(route: Route) -> Space:
    """A route's template space as the gallery records it."""
    made_by = route.models if route.translated == "gallery" else {route.embedder.name: route.embedder.digest}
    return Space(route.space, route.gallery_route, route.embedder.dimension, made_by)


def _prepared(
    pool: ThreadPoolExecutor, gallery: Gallery, items: Sequence[Item], maker: _Maker
) -> Iterator[tuple[Item, Result]]:
    """Items in their order, each with what became of it."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    for start in range(0, len(items), BATCH):
        chunk = items[start : start + BATCH]
        contents = list(pool.map(_read, chunk))
        enrolled = gallery.known([content[1] for content in contents if isinstance(content, tuple)])
        for item, content in zip(chunk, contents, strict=True):
            waiting.append((item, pool.submit(_prepare, item, content, enrolled, maker)))
        del contents
        while len(waiting) > WINDOW - BATCH:
            item, future = waiting.popleft()
            yield item, future.result()
    for item, future in waiting:
        yield item, future.result()


def _read(item: Item) -> tuple[bytes, str] | Failure | Passed:
    start, stop = 0, None
    if item.record:
        if item.record.passed:
            return Passed(item.record.passed)
        if item.record.problem:
            return Failure(item.name, item.record.problem)
        start, stop = item.record.start, item.record.stop
    try:
        data = images.read_bytes(item.path, start, stop)
    except ImageError as error:
        return Failure(item.name, _reason(error, item))
    return data, hashlib.sha256(data).hexdigest()


def _prepare(
    item: Item, content: tuple[bytes, str] | Failure | Passed, enrolled: dict[str, str], maker: _Maker
) -> Result:
    if not isinstance(content, tuple):
        return content
    data, sha256 = content
    if sha256 in enrolled:
        if enrolled[sha256] == item.person.strip():
            return None
        reason = f"the same image is already enrolled as {enrolled[sha256]!r}; expunge that one first"
        return Failure(item.name, reason)
    try:
        decoded = images.decode(data, item.name)
        aligned = maker.finder.one(decoded.image)
    except (ImageError, FaceError) as error:
        return Failure(item.name, _reason(error, item))
    assessed = maker.policy.assess(decoded.image, aligned.face)
    if assessed.verdict == "refuse":
        return Failure(item.name, f"the policy on quality refuses it: {'; '.join(assessed.reasons)}.")
    until = maker.keep_until
    remarks = (*(f"{reason}." for reason in assessed.reasons), *(item.record.warnings if item.record else ()))
    return Enrollment(
        person=item.person,
        data=data,
        sha256=sha256,
        file_name=item.file_name,
        format=decoded.format,
        size=decoded.image.size,
        landmarks=aligned.face.landmarks,
        method=aligned.face.method,
        score=aligned.face.score,
        warnings=(*aligned.warnings, *remarks),
        metadata=with_default(item.metadata, "keep_until", until.isoformat()) if until else item.metadata,
        templates={gallery_space(route): route.describe([aligned], "gallery")[0] for route in maker.routes},
        quality=assessed.to_json(),
    )


def _store(gallery: Gallery, batch: list[Enrollment], summary: Summary) -> None:
    for record, outcome in zip(batch, gallery.enroll(batch), strict=True):
        if outcome.status == "enrolled":
            summary.enrolled += 1
        elif outcome.status == "already":
            summary.already += 1
        else:
            summary.failures.append(Failure(images.display_name(record.file_name), outcome.message))
            continue
        if outcome.message:
            summary.warnings.append(f"{images.display_name(record.file_name)}: {outcome.message}")


def _reason(error: ForensicError, item: Item) -> str:
    """The error in words that do not name the item again; of a record, with the format that it claims to have."""
    reason = str(error).removeprefix(f"{item.name}: ").removeprefix(f"{images.display_name(item.path)}: ")
    if isinstance(error, ImageError) and item.record and item.record.compression:
        reason += f" The record says {item.record.compression[:20]!r} of its compression (10.011)."
    return reason


def _shared_names(items: Sequence[Item]) -> list[str]:
    """Stems name people: files of one stem in several folders may be several people by mistake."""
    if any(item.metadata and not item.record for item in items):  # a table, which names people on purpose
        return []
    folders = {(item.person, item.path.parent) for item in items if item.person == item.path.stem}
    counts = Counter(person for person, _ in folders)
    return [
        f"{count} folders have a file named {person!r}: its photos were enrolled as one person. Use --csv if not so."
        for person, count in counts.items()
        if count > 1
    ]
