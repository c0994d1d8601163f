"""Enroll photos: read, find the face, describe it, store it. One bad file never stops the others.

Photos are prepared one by one, by worker threads (`forensic.parallel`), so that a template depends on nothing but
its photo. They are stored in batches, each one transaction, while the workers go on. An interrupted enrollment loses
at most the batches in flight; started again, it passes over what is already there, by content.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from forensic import images, parallel
from forensic.errors import DataError, FaceError, ForensicError, ImageError, UsageError
from forensic.faces import Finder
from forensic.faces.policy import Policy
from forensic.faces.policy import load as load_policy
from forensic.gallery import Enrollment, Gallery, Space, exchange
from forensic.routes import Route

BATCH = 64
WINDOW = 2 * BATCH
"""Photos that may be under way at once: it bounds memory, and keeps the workers busy during a commit."""


class Item(NamedTuple):
    """One file to enroll."""

    person: str
    path: Path
    metadata: dict[str, str]


class _Maker(NamedTuple):
    """What makes a record of a photo."""

    routes: Sequence[Route]
    finder: Finder
    policy: Policy


@dataclass(frozen=True)
class Failure:
    """A file that was not enrolled, and why."""

    file: str
    reason: str


@dataclass
class Summary:
    """What an enrollment did.

    Attributes:
        enrolled: Photos that are new in the gallery.
        already: Photos that were there before.
        failures: Files that were not enrolled.
        warnings: What a person should look at, a line each.
    """

    enrolled: int = 0
    already: int = 0
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Files that have been dealt with."""
        return self.enrolled + self.already + len(self.failures)


def items_of(paths: Iterable[str | os.PathLike[str]]) -> list[Item]:
    """Files, and the files of folders; each names its person by its stem.

    Raises:
        UsageError: A path does not exist, or there is no file at all.
    """
    items = []
    for path in map(Path, paths):
        if not os.path.lexists(path):
            raise UsageError(f"{images.display_name(path)} does not exist. Give files or folders of photos.")
        items += [Item(file.stem, file, {}) for file in images.find_files(path)]
    if not items:
        raise UsageError("There is no file to enroll. Give files, folders of photos, or --csv FILE.")
    return items


def items_of_csv(path: str | os.PathLike[str]) -> list[Item]:
    """The rows of a table with the columns ``person,file`` and any metadata; files are relative to the table.

    Raises:
        DataError: The table cannot be read, lacks a column, or has no rows.
    """
    items = [Item(row.person, row.file, row.metadata) for row in exchange.read_table(Path(path))]
    if not items:
        raise DataError(f"{images.display_name(path)}: the table has no rows.")
    return items


def enroll(
    gallery: Gallery,
    items: Sequence[Item],
    routes: Sequence[Route],
    finder: Finder,
    *,
    policy: Policy | None = None,
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
        progress: Called as photos are dealt with.
        workers: Threads that prepare photos; by default one a core.

    Raises:
        GalleryError: The gallery cannot be written; what was stored before stays.
    """
    maker = _Maker(list({route.space: route for route in routes}.values()), finder, policy or load_policy())
    summary = Summary(warnings=_shared_names(items))
    with parallel.workers(workers) as pool:
        batch: list[Enrollment] = []
        for item, prepared in _prepared(pool, gallery, items, maker):
            if isinstance(prepared, Enrollment):
                batch.append(prepared)
                summary.warnings += [f"{images.display_name(item.path)}: {text}" for text in prepared.warnings]
            elif prepared is None:
                summary.already += 1
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
) -> Iterator[tuple[Item, Enrollment | Failure | None]]:
    """Items in their order with their result: a record, a failure, or None for a photo that is enrolled already."""
    waiting: deque[tuple[Item, Future[Enrollment | Failure | None]]] = deque()
    for start in range(0, len(items), BATCH):
        chunk = items[start : start + BATCH]
        contents = list(pool.map(_read, chunk))
        enrolled = gallery.known([content[1] for content in contents if not isinstance(content, Failure)])
        for item, content in zip(chunk, contents, strict=True):
            waiting.append((item, pool.submit(_prepare, item, content, enrolled, maker)))
        del contents
        while len(waiting) > WINDOW - BATCH:
            item, future = waiting.popleft()
            yield item, future.result()
    for item, future in waiting:
        yield item, future.result()


def _read(item: Item) -> tuple[bytes, str] | Failure:
    try:
        data = images.read_bytes(item.path)
    except ImageError as error:
        return Failure(images.display_name(item.path), _reason(error, item))
    return data, hashlib.sha256(data).hexdigest()


def _prepare(
    item: Item, content: tuple[bytes, str] | Failure, enrolled: dict[str, str], maker: _Maker
) -> Enrollment | Failure | None:
    if isinstance(content, Failure):
        return content
    data, sha256 = content
    name = images.display_name(item.path)
    if sha256 in enrolled:
        if enrolled[sha256] == item.person.strip():
            return None
        return Failure(name, f"the same image is already enrolled as {enrolled[sha256]!r}; expunge that one first")
    try:
        decoded = images.decode(data, name)
        aligned = maker.finder.one(decoded.image)
    except (ImageError, FaceError) as error:
        return Failure(name, _reason(error, item))
    assessed = maker.policy.assess(decoded.image, aligned.face)
    if assessed.verdict == "refuse":
        return Failure(name, f"the policy on quality refuses it: {'; '.join(assessed.reasons)}.")
    return Enrollment(
        person=item.person,
        data=data,
        sha256=sha256,
        file_name=item.path.name,
        format=decoded.format,
        size=decoded.image.size,
        landmarks=aligned.face.landmarks,
        method=aligned.face.method,
        score=aligned.face.score,
        warnings=(*aligned.warnings, *(f"{reason}." for reason in assessed.reasons)),
        metadata=item.metadata,
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
    return str(error).removeprefix(f"{images.display_name(item.path)}: ")


def _shared_names(items: Sequence[Item]) -> list[str]:
    """Stems name people: files of one stem in several folders may be several people by mistake."""
    if any(item.metadata for item in items):
        return []
    folders = {(item.person, item.path.parent) for item in items if item.person == item.path.stem}
    counts = Counter(person for person, _ in folders)
    return [
        f"{count} folders have a file named {person!r}: its photos were enrolled as one person. Use --csv if not so."
        for person, count in counts.items()
        if count > 1
    ]
