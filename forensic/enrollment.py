"""Enroll photos: read, find the face, describe it, store it. One bad file never stops the others.

Photos are prepared one by one, by worker threads (`forensic.parallel`), so that a template depends on nothing but
its photo. They are stored in batches, each one transaction, while the workers go on. An interrupted enrollment loses
at most the batches in flight; started again, it passes over what is already there, by content.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, NamedTuple

from forensic import images, parallel
from forensic.errors import FaceError, ImageError, UsageError
from forensic.faces import Finder
from forensic.faces.policy import Policy
from forensic.faces.policy import load as load_policy
from forensic.gallery import Enrollment, Gallery, Space
from forensic.gallery.records import Outcome, parse_label, parse_metadata, with_default
from forensic.intake import Item, items_of, items_of_csv, reason_of, shared_names
from forensic.routes import Route
from forensic.text import printable

__all__ = ["Item", "items_of", "items_of_csv", "enroll", "gallery_space", "Summary", "Failure", "Fate"]
BATCH = 64
KEPT = "The person is enrolled already, and what is recorded stays where the new row says something else."
WINDOW = 2 * BATCH
"""Photos that may be under way at once: it bounds memory, and keeps the workers busy during a commit."""


class _Maker(NamedTuple):
    """What makes a record of a photo."""

    routes: Sequence[Route]
    finder: Finder
    policy: Policy
    keep_until: date | None
    decode: Callable[[bytes, str], images.Decoded]


@dataclass(frozen=True)
class Failure:
    """A file that was not enrolled, and why.

    Attributes:
        file: Its name.
        reason: In words, which may name a person.
    """

    file: str
    reason: str


@dataclass(frozen=True)
class Passed:
    """A record of a file that is no face by its own word, so that nothing went wrong."""

    image_type: str


@dataclass(frozen=True)
class Already:
    """A photo that is enrolled already, for the same person."""

    sha256: str


class Fate(NamedTuple):
    """What became of one item, in words that name neither a file nor a person.

    Attributes:
        status: "enrolled"; "already" for a photo that the same person has; "conflict" for one that somebody else has,
            or that is a case's sketch; "passed" for a record that shows no face; "refused".
        sha256: Content hash; empty where the file was not enrolled, nor is it there under another label.
        verdict: The quality policy's, "accept", "warn" or "refuse"; empty where the photo was not judged.
        reasons: Why it was refused, or what a person should look at.
    """

    status: Literal["enrolled", "already", "conflict", "passed", "refused"]
    sha256: str = ""
    verdict: str = ""
    reasons: tuple[str, ...] = ()


class _Refused(NamedTuple):
    """A failure of which more is to be told than its reason."""

    failure: Failure
    fate: Fate


Result = Enrollment | Failure | _Refused | Passed | Already
"""What became of an item before it came to the gallery."""


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
        GalleryError: The gallery cannot be written; what was stored before stays.
    """
    own_routes = list({route.space: route for route in routes}.values())
    maker = _Maker(own_routes, finder, policy or load_policy(), keep_until, decode)
    summary = Summary(warnings=shared_names(items))
    with parallel.workers(workers) as pool:
        batch: dict[int, Enrollment] = {}
        for place, (item, prepared) in enumerate(_prepared(pool, gallery, items, maker)):
            if isinstance(prepared, Enrollment):
                batch[place] = prepared
                summary.warnings += [f"{item.name}: {text}" for text in prepared.warnings]
            elif isinstance(prepared, Already):
                summary.already += 1
                told(place, Fate("already", prepared.sha256))
            elif isinstance(prepared, Passed):
                summary.passed += 1
                summary.warnings.append(f"{item.name}: passed over, it shows {prepared.image_type!r} and no FACE.")
                told(place, Fate("passed", reasons=(f"It shows {prepared.image_type!r} and no FACE.",)))
            elif isinstance(prepared, Failure):
                summary.failures.append(prepared)
                told(place, Fate("refused", reasons=(prepared.reason,)))
            else:
                summary.failures.append(prepared.failure)
                told(place, prepared.fate)
            if len(batch) == BATCH:
                _store(gallery, batch, summary, told)
                batch = {}
            progress(summary)
        _store(gallery, batch, summary, told)
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
        contents = list(pool.map(read, chunk))
        enrolled = gallery.known([content[1] for content in contents if isinstance(content, tuple)])
        for item, content in zip(chunk, contents, strict=True):
            waiting.append((item, pool.submit(_prepare, item, content, enrolled, maker)))
        del contents
        while len(waiting) > WINDOW - BATCH:
            item, future = waiting.popleft()
            yield item, future.result()
    for item, future in waiting:
        yield item, future.result()


def read(item: Item) -> tuple[bytes, str] | Failure | Passed:
    """A photo's bytes and their SHA-256; or why there are none."""
    start, stop = 0, None
    if item.record:
        if item.record.passed:
            return Passed(item.record.passed)
        if item.record.problem:
            return Failure(item.name, item.record.problem)
        start, stop = item.record.start, item.record.stop
    try:
        data = images.read_bytes(item.path, start, stop) if item.data is None else item.data[start:stop]
    except ImageError as error:
        return Failure(item.name, reason_of(error, item))
    return data, hashlib.sha256(data).hexdigest()


def _prepare(
    item: Item, content: tuple[bytes, str] | Failure | Passed, enrolled: dict[str, str], maker: _Maker
) -> Result:
    if not isinstance(content, tuple):
        return content
    data, sha256 = content
    if sha256 in enrolled:
        if enrolled[sha256] == item.person.strip():
            return Already(sha256)
        reason = f"the same image is already enrolled as {enrolled[sha256]!r}; expunge that one first"
        return _Refused(Failure(item.name, reason), Fate("conflict", sha256))
    try:
        decoded = maker.decode(data, item.name)
        aligned = maker.finder.one(decoded.image)
    except (ImageError, FaceError) as error:
        return Failure(item.name, reason_of(error, item))
    assessed = maker.policy.assess(decoded.image, aligned.face)
    if assessed.verdict == "refuse":
        failure = Failure(item.name, f"the policy on quality refuses it: {'; '.join(assessed.reasons)}.")
        return _Refused(failure, Fate("refused", "", assessed.verdict, assessed.reasons))
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


def _store(
    gallery: Gallery, batch: Mapping[int, Enrollment], summary: Summary, told: Callable[[int, Fate], None]
) -> None:
    for (place, record), outcome in zip(batch.items(), gallery.enroll(list(batch.values())), strict=True):
        told(place, _fate(record, outcome))
        if outcome.status == "enrolled":
            summary.enrolled += 1
        elif outcome.status == "already":
            summary.already += 1
        else:
            summary.failures.append(Failure(images.display_name(record.file_name), outcome.message))
            continue
        if outcome.message:
            summary.warnings.append(f"{images.display_name(record.file_name)}: {outcome.message}")


def _fate(record: Enrollment, outcome: Outcome) -> Fate:
    """What a gallery made of a record, without the values that its message may quote."""
    if outcome.status == "refused":
        return Fate("refused", reasons=(_fault(record),))
    verdict = str(record.quality["verdict"]) if record.quality else ""
    if outcome.status == "enrolled":
        return Fate("enrolled", outcome.sha256, verdict, (*record.warnings, *([KEPT] if outcome.message else [])))
    return Fate(outcome.status, outcome.sha256, verdict)


def _fault(record: Enrollment) -> str:
    """Why a gallery refuses a record."""
    try:
        parse_label(record.person)
    except UsageError:
        return "The person's label cannot be stored."
    for column, value in record.metadata.items():
        try:
            parse_metadata({column: value})
        except UsageError:
            return f"The column {printable(column[:40])!r}, or its value, cannot be stored."
    try:
        parse_metadata(record.metadata)
    except UsageError:
        return "Two columns name one field."
    return "It is the sketch of a case: a probe is never enrolled."
