"""What becomes a job that looks after the gallery, checked before it waits, for pages and API alike."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import NamedTuple

from forensic.enrollment import Failure
from forensic.gallery import Gallery
from forensic.gallery.log import anchoring
from forensic.gallery.log.audit import Head
from forensic.gallery.models import Photo
from forensic.gallery.records import Problem
from forensic.gallery.rights import Right, check
from forensic.recognition.duplicates import calibrated, uncalibrated
from forensic.web.access import Visitor
from forensic.web.state import Job

MOST_PAIRS = 100
"""Of duplicates that a page shows, and a program that asks for no other number."""
ABOVE = 2.0
"""Least log10 likelihood ratio of 'one person' that is asked for, where nobody says."""


class Pair(NamedTuple):
    """Two photos of people who are still two, and not known to be two.

    Attributes:
        photos: The photos.
        log_lr: Decimal logarithm of the likelihood ratio of 'one person'.
        bounded: Whether it is at least that.
        similarity: Cosine of the templates, -1 to 1.
    """

    photos: tuple[Photo, Photo]
    log_lr: float
    bounded: bool
    similarity: float


def reindex(visitor: Visitor, route: str, *, everything: bool = False) -> Job:
    """Make the templates that a route lacks, or with ``everything`` all of them anew.

    Raises:
        RightsError: The visitor may not.
        UsageError: The route is not offered.
        Busy: The queue is full.
    """
    check(visitor.gallery, Right.ENROLL)
    visitor.server.engine.check_offered(route)
    asked = {"route": route, "everything": everything, "key": secrets.token_hex(16)}
    return visitor.server.jobs.submit("reindex", asked, visitor.operator)


def verify(visitor: Visitor, *, everything: bool = False, head: Head | None = None, certificates: str = "") -> Job:
    """Check the audit log, or the whole gallery.

    Args:
        visitor: Who asks.
        everything: Originals, templates and index too.
        head: The log's end as it was exported once.
        certificates: Roots of time-stamping authorities, PEM; without one, anchors' signatures are not checked.

    Raises:
        RightsError: The visitor may not.
        DataError: The certificates are none.
        Busy: The queue is full.
    """
    check(visitor.gallery, Right.AUDIT)
    if certificates:
        anchoring.certificates_of(certificates.encode(), "What was sent")
    asked = {
        "everything": everything,
        "head": head._asdict() if head else None,
        "certificates": certificates,
        "key": secrets.token_hex(16),
    }
    return visitor.server.jobs.submit("verify", asked, visitor.operator)


def prove(visitor: Visitor, number: int, texts: Sequence[str] = (), *, wipe: bool = False) -> Job:
    """Look for traces of an expunged person.

    Args:
        visitor: Who asks.
        number: The person's.
        texts: What one still knows of them; it is kept in memory alone.
        wipe: Write the database's file anew before.

    Raises:
        RightsError: The visitor may not.
        Busy: The queue is full.
    """
    check(visitor.gallery, Right.PROVE)
    key = secrets.token_hex(16)
    visitor.server.engine.kept(("traces", key), lambda: tuple(texts))
    asked = {"person": number, "texts": len(texts), "wipe": wipe, "key": key}
    return visitor.server.jobs.submit("prove", asked, visitor.operator)


def comparable(visitor: Visitor) -> list[str]:
    """Names of the routes that are offered here and can tell how alike two photos are."""
    offered = {part.strip() for route in visitor.server.settings.routes for part in route.split("+")}
    return [route for route in calibrated() if route in offered]


def duplicates(visitor: Visitor, route: str, above: float, most: int = MOST_PAIRS) -> Job:
    """Compare all photos of different people.

    Args:
        visitor: Who asks.
        route: Whose templates are compared.
        above: Least log10 likelihood ratio of 'one person'.
        most: How many pairs are kept.

    Raises:
        RightsError: The visitor may not.
        UsageError: The route has no calibration for two photos.
        Busy: The queue is full.
    """
    check(visitor.gallery, Right.ENROLL)
    if route not in calibrated():
        raise uncalibrated(route)
    asked = {"route": route, "above": above, "most": most}
    return visitor.server.jobs.submit("duplicates", asked, visitor.operator)


def undecided(gallery: Gallery, found: Sequence[tuple[int, int, float, float, bool]]) -> list[Pair]:
    """The pairs that such a job found, but for those that somebody has dealt with since.

    Args:
        gallery: The gallery, as the visitor sees it.
        found: Pairs of the job's answer, see `tending.duplicates`.
    """
    photos = gallery.photos_by_number(number for one in found for number in one[:2])
    apart, pairs = gallery.kept(), []
    for first, second, similarity, log_lr, bounded in found:
        if first not in photos or second not in photos:
            continue
        both = photos[first], photos[second]
        labels = frozenset(photo.person.label for photo in both)
        if len(labels) == 2 and labels not in apart:
            pairs.append(Pair(both, log_lr, bounded, similarity))
    return pairs


def failures(visitor: Visitor, key: str) -> list[Failure] | None:
    """Photos that could not be described by a job whose answer has this key, as long as they are in memory."""
    found: list[Failure] | None = visitor.server.engine.find(("failures", key))
    return found


def problems(visitor: Visitor, key: str) -> list[Problem] | None:
    """What a check found whose answer has this key, as long as it is in memory: it may name people."""
    found: list[Problem] | None = visitor.server.engine.find(("problems", key))
    return found
