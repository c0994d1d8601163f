"""What becomes a job, checked before it waits: pages and API ask through the same functions."""

from __future__ import annotations

from collections.abc import Sequence

from forensic.errors import NotFound, UsageError
from forensic.gallery import Filter, Gallery
from forensic.gallery.casework import cases, listing
from forensic.gallery.casework.casework_models import Case
from forensic.web.access import Visitor
from forensic.web.jobs import ENDED
from forensic.web.pairing import Pair
from forensic.web.state import Job

Points = Sequence[Sequence[float]]


def search(
    visitor: Visitor,
    case: int,
    sketches: Sequence[int],
    *,
    landmarks: Sequence[Points | None] | None = None,
    route: str | None = None,
    top: int = 10,
    where: Sequence[str] = (),
    justification: str = "",
) -> Job:
    """Ask for a search with sketches of a case, all of one person.

    Args:
        visitor: Who asks.
        case: The case's number.
        sketches: Their numbers.
        landmarks: For each sketch five points given by a person, or None.
        route: One that the agency offers; its first one by default.
        top: How many candidates.
        where: Conditions on people's metadata, such as ``sex=female``.
        justification: Why there are conditions.

    Raises:
        NotFound: There is no such case.
        UsageError: The case has no such sketch, the route is not offered, the list is longer than the agency allows,
            landmarks are not one set for each sketch, or a condition or its justification cannot be read.
        Busy: The queue is full.
    """
    visitor.server.jobs.check_room("search")  # a full queue refuses at once, before anything is looked up
    settings = visitor.server.settings
    found, route = _case_with(visitor.gallery, case, sketches), route or settings.routes[0]
    visitor.server.engine.check_offered(route)
    if not 1 <= top <= settings.longest_list:
        raise UsageError(f"{top} candidates were asked for; expected 1 to {settings.longest_list}.")
    if landmarks is not None and len(landmarks) != len(sketches):
        raise UsageError(
            f"There are {len(landmarks)} sets of landmarks for {len(sketches)} sketches; give null for none."
        )
    if justification and not where:
        raise UsageError("A justification is for a filter; no condition was given.")
    if where:
        Filter.parse(where, justification)
    asked = {
        "case": found.reference,
        "sketches": list(sketches),
        "landmarks": landmarks and [points and [list(point) for point in points] for points in landmarks],
        "route": route,
        "top": top,
        "where": list(where),
        "justification": justification,
    }
    return visitor.server.jobs.submit("search", asked, visitor.operator)


def _case_with(gallery: Gallery, number: int, sketches: Sequence[int]) -> Case:
    """A case, after a check that these are sketches of it."""
    with gallery.snapshot():
        case = cases.by_number(gallery, number)
        held = {sketch.id for sketch in listing.sketches(gallery, number)}
    if unknown := [sketch for sketch in sketches if sketch not in held]:
        raise UsageError(f"Case number {number} has no sketch {unknown[0]}.")
    if len(set(sketches)) < len(sketches) or not sketches:
        raise UsageError("Name the sketches to search with, at least one and each once.")
    return case


def repetition(visitor: Visitor, number: int) -> Job:
    """Ask for a search on record to be made again, with the sketches of its case.

    Raises:
        NotFound: There is no such search.
        Busy: The queue is full.
    """
    cases.searched(visitor.gallery, number)
    return visitor.server.jobs.submit("rerun", {"search": number}, visitor.operator)


def explanation(visitor: Visitor, pair: Pair) -> Job:
    """Ask what the score between a probe and a candidate hangs on; while the visitor's last such job is under way, it.

    Raises:
        NotFound: No case holds the sketch, or the candidate is no longer enrolled.
        UsageError: The search's route is not offered any more.
        Busy: The queue is full.
    """
    jobs = visitor.server.jobs
    if not pair.whole:
        raise NotFound("The sketch or the photo is not there any more, so there is nothing to explain.")
    visitor.server.engine.check_offered(pair.search.record["route"])
    last = jobs.latest(visitor.operator.name, "explain", pair.asked)
    if last is not None and last.status not in ENDED:
        return last.job
    return jobs.submit("explain", pair.asked, visitor.operator)
