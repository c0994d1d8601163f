"""Enroll photos: read, find the face, describe it, store it. One bad file never stops the others.

Photos are prepared one by one (`forensic.preparing`), by worker threads or by a cluster, so that a template depends on
nothing but its photo. They are stored in batches, each one transaction, while the workers go on. An interrupted
enrollment loses at most the batches in flight; started again, it passes over what is already there, by content.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date

from forensic import images, parallel
from forensic.errors import UsageError
from forensic.faces import Finder
from forensic.faces.policy import Policy
from forensic.faces.policy import load as load_policy
from forensic.gallery import Enrollment, Gallery
from forensic.gallery.enrolling import check_day
from forensic.gallery.records import Outcome, Repeated, parse_label, parse_metadata
from forensic.intake import Item, items_of, items_of_csv, shared_names
from forensic.preparing import Failure, Fate, Here, Passed, Prepared, Preparer, Refused, by_space, gallery_space, read
from forensic.routes import Route
from forensic.text import printable

__all__ = [
    "Item",
    "items_of",
    "items_of_csv",
    "enroll",
    "enroll_by",
    "gallery_space",
    "read",
    "Summary",
    "Failure",
    "Passed",
    "Fate",
]
BATCH = 64
AHEAD = 2
"""Batches under way at once, where no cluster has work for more: it bounds memory, and keeps the workers busy during a
commit."""

Result = Prepared | Passed | Repeated
"""What became of an item before it came to the gallery."""


@dataclass
class Summary:
    """What an enrollment did.

    Attributes:
        enrolled: Photos that are new in the gallery.
        already: Photos that were there before.
        passed: Records of ANSI/NIST-ITL files that show no face but, say, a tattoo, and links to folders; a warning
            names each.
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


def enroll(
    gallery: Gallery,
    items: Sequence[Item],
    routes: Sequence[Route],
    finder: Finder,
    *,
    policy: Policy | None = None,
    keep_until: date | None = None,
    decode: Callable[[bytes, str], images.Decoded] = images.decode,
    progress: Callable[[Summary], None] = lambda summary: None,
    told: Callable[[int, Fate], None] = lambda place, fate: None,
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
        decode: Opens a photo from its bytes and the name that errors call it, as `images.decode` does.
        progress: Called as photos are dealt with.
        told: Called with each item's place in ``items`` and what became of it, once that is settled.
        workers: Threads that prepare photos; by default one a core.

    Raises:
        UsageError: ``keep_until`` has passed.
        GalleryError: The gallery cannot be written; what was stored before stays.
    """
    prepare_here = Here(by_space(routes), finder, policy or load_policy(), decode, workers)
    return enroll_by(prepare_here, gallery, items, keep_until=keep_until, progress=progress, told=told)


def enroll_by(
    preparer: Preparer,
    gallery: Gallery,
    items: Sequence[Item],
    *,
    keep_until: date | None = None,
    progress: Callable[[Summary], None] = lambda summary: None,
    told: Callable[[int, Fate], None] = lambda place, fate: None,
) -> Summary:
    """Enroll files that somebody prepares, such as the machines of a cluster; what is stored does not tell who.

    Args:
        preparer: Makes the records.
        gallery: Where to.
        items: What to enroll.
        keep_until: As for `enroll`.
        progress: As for `enroll`.
        told: As for `enroll`.

    Raises:
        UsageError: As for `enroll`.
        GalleryError: The gallery cannot be written; what was stored before stays.
        ClusterError: The cluster does no more work.
    """
    check_day(keep_until)
    summary = Summary(warnings=shared_names(items))
    batch: dict[int, tuple[Item, Enrollment | Repeated]] = {}
    with parallel.workers(preparer.threads) as pool:
        try:
            for place, (item, prepared) in enumerate(_prepared(pool, gallery, items, preparer)):
                if isinstance(prepared, Enrollment):
                    batch[place] = item, prepared
                    summary.warnings += [f"{item.name}: {text}" for text in prepared.warnings]
                elif isinstance(prepared, Repeated) and any(prepared.metadata.values()):  # which may be news
                    batch[place] = item, prepared
                else:
                    _count(summary, item, prepared, lambda fate, place=place: told(place, fate))  # type: ignore[misc]
                if len(batch) == BATCH:
                    _store(gallery, batch, keep_until, summary, told)
                    batch = {}
                progress(summary)
            _store(gallery, batch, keep_until, summary, told)
            progress(summary)
        except BaseException:
            preparer.stop()
            raise
    return summary


def _count(
    summary: Summary, item: Item, prepared: Repeated | Passed | Failure | Refused, told: Callable[[Fate], None]
) -> None:
    """Put on the summary what will not be stored."""
    if isinstance(prepared, Repeated):
        summary.already += 1
        told(Fate("already", prepared.sha256))
    elif isinstance(prepared, Passed):
        summary.passed += 1
        summary.warnings.append(f"{item.name}: passed over, {prepared.reason}.")
        told(Fate("passed", reasons=(f"{prepared.reason[0].upper()}{prepared.reason[1:]}.",)))
    elif isinstance(prepared, Failure):
        summary.failures.append(prepared)
        told(Fate("refused", reasons=(prepared.reason,)))
    else:
        summary.failures.append(prepared.failure)
        told(prepared.fate)


@dataclass
class _Begun:
    """An item under way."""

    item: Item
    content: Failure | Passed | str  # of a photo that was read, its hash alone
    future: Future[Prepared] | None = None


@dataclass
class _Chunk:
    """Items under way, and what was known of them when ``asked`` items had been handed on."""

    begun: list[_Begun]
    known: Mapping[str, str]
    asked: int


def _prepared(
    pool: ThreadPoolExecutor, gallery: Gallery, items: Sequence[Item], preparer: Preparer
) -> Iterator[tuple[Item, Result]]:
    """Items in their order, each with what became of it.

    Whether a photo is there already is asked when all but one chunk before its own were handed on, however many chunks
    are under way: so what is told of a file that comes twice does not hang on how many workers there are.
    """
    most = max(AHEAD, -(-2 * (preparer.threads or 1) // BATCH) + 1)
    starts, waiting, handed = iter(range(0, len(items), BATCH)), deque[_Chunk](), 0
    while True:
        while len(waiting) < most and (start := next(starts, None)) is not None:
            waiting.append(_begin(pool, gallery, items[start : start + BATCH], preparer, handed))
        if not waiting:
            return
        chunk = waiting.popleft()
        if waiting:
            _ask_again(gallery, waiting[0], handed)
        for begun in chunk.begun:
            yield begun.item, _settled(begun, chunk.known, preparer)
            handed += 1


def _begin(
    pool: ThreadPoolExecutor, gallery: Gallery, items: Sequence[Item], preparer: Preparer, handed: int
) -> _Chunk:
    contents = list(pool.map(preparer.read, items))
    known = gallery.known([content[1] for content in contents if isinstance(content, tuple)])
    begun = []
    for item, content in zip(items, contents, strict=True):
        if not isinstance(content, tuple):
            begun.append(_Begun(item, content))
        elif content[1] in known:
            begun.append(_Begun(item, content[1]))
        else:
            begun.append(_Begun(item, content[1], pool.submit(preparer.prepare, item, content)))
    return _Chunk(begun, known, handed)


def _ask_again(gallery: Gallery, chunk: _Chunk, handed: int) -> None:
    """Bring up to date what is known of a chunk that was begun before others were handed on."""
    if chunk.asked != handed:
        chunk.known = gallery.known([begun.content for begun in chunk.begun if isinstance(begun.content, str)])


def _settled(begun: _Begun, known: Mapping[str, str], preparer: Preparer) -> Result:
    item, sha256 = begun.item, begun.content
    if not isinstance(sha256, str):
        return sha256
    if sha256 in known:
        if begun.future:
            begun.future.cancel()
        if known[sha256] == item.person.strip():
            return Repeated(item.person, sha256, item.file_name, item.metadata)
        reason = f"the same image is already enrolled as {known[sha256]!r}; expunge that one first"
        return Refused(Failure(item.name, reason), Fate("conflict", sha256))
    if begun.future:
        return begun.future.result()
    content = preparer.read(item)  # somebody expunged it meanwhile
    return preparer.prepare(item, content) if isinstance(content, tuple) else content


def _store(
    gallery: Gallery,
    batch: Mapping[int, tuple[Item, Enrollment | Repeated]],
    keep_until: date | None,
    summary: Summary,
    told: Callable[[int, Fate], None],
) -> None:
    outcomes = gallery.enroll([record for _, record in batch.values()], keep_until=keep_until)
    for (place, (item, record)), outcome in zip(batch.items(), outcomes, strict=True):
        told(place, _fate(record, outcome))
        if outcome.status == "enrolled":
            summary.enrolled += 1
        elif outcome.status == "already":
            summary.already += 1
        else:
            summary.failures.append(Failure(item.name, outcome.message))
            continue
        if outcome.message:
            summary.warnings.append(f"{item.name}: {outcome.message}")


def _fate(record: Enrollment | Repeated, outcome: Outcome) -> Fate:
    """What a gallery made of a record, without the values that its message may quote."""
    if outcome.status == "refused":
        return Fate("refused", reasons=outcome.findings or (_fault(record),))
    if isinstance(record, Repeated):
        return Fate(outcome.status, outcome.sha256, reasons=outcome.findings)
    verdict = str(record.quality["verdict"]) if record.quality else ""
    warnings = record.warnings if outcome.status == "enrolled" else ()
    return Fate(outcome.status, outcome.sha256, verdict, (*warnings, *outcome.findings))


def _fault(record: Enrollment | Repeated) -> str:
    """Why a gallery refuses a record whose label or metadata cannot be stored."""
    try:
        parse_label(record.person)
    except UsageError:
        return "The person's label cannot be stored."
    for column, value in record.metadata.items():
        try:
            parse_metadata({column: value})
        except UsageError:
            return f"The column {printable(column[:40])!r}, or its value, cannot be stored."
    return "Two columns name one field."
