"""Jobs that look after a gallery: enrolling, describing anew, checking, proving. Answers name nobody.

What a job is asked or finds that does name somebody lies in the engine's memory for a while, under a key that the job
knows; it is gone when the server ends, or when somebody is expunged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from forensic import enrollment, images
from forensic.enrollment import Fate, Item
from forensic.gallery import browsing
from forensic.gallery.checks import proving
from forensic.gallery.checks.traces import Traces
from forensic.gallery.log import anchoring, trail
from forensic.gallery.log.audit import Head
from forensic.web import enrolling
from forensic.web.engine import Engine
from forensic.web.jobs import Handler, Lane, Work
from forensic.web.problems import Busy, Conflict

PATIENCE = 300.0
"""Seconds that an enrollment waits for a free decoding process."""
PAUSE = 0.5
"""Seconds between two tries to get one: where none can be started, that is said at once."""


def handlers(engine: Engine) -> Mapping[str, tuple[Handler, Lane]]:
    """Kind of job -> what does it; none of them keeps a search waiting."""
    kinds = {"enroll": enroll, "reindex": reindex, "verify": verify, "prove": prove, "duplicates": duplicates}
    return {kind: (lambda work, does=does: does(engine, work), Lane.SLOW) for kind, does in kinds.items()}  # type: ignore[misc]


def enroll(engine: Engine, work: Work) -> dict[str, Any]:
    """Enroll what `enrolling` made of an upload, with templates of every route that is offered.

    Returns:
        As ``files``, for each row: ``index`` (of the file) and ``line`` (of the table), ``status`` as
        `enrollment.Fate` has it, numbers of ``photo`` and ``person``, ``verdict`` and ``reasons``.
    """
    rows, uploaded = enrolling.rows_of(work.files[0]), work.files[1:]
    work.tell("loading models", 0, len(rows))
    routes = [route for name in engine.settings.routes for route in engine.identifier(name).matcher.routes]
    fates = {place: Fate("refused", reasons=(row.fault,)) for place, row in enumerate(rows) if row.fault}
    places = [place for place, row in enumerate(rows) if not row.fault and row.file is not None]
    items = [
        Item(rows[place].person, Path(file.name), rows[place].metadata, data=file.data)
        for place in places
        for file in [uploaded[rows[place].file or 0]]
    ]
    done = len(fates)

    def advance(summary: enrollment.Summary) -> None:
        nonlocal done
        done = min(done + 1, len(rows))
        work.tell("enrolling", done, len(rows))

    def waiting() -> None:
        work.tell("waiting for a process that opens photos", done, len(rows))

    until = work.asked.get("keep_until")  # a job of an older version says nothing of it
    enrollment.enroll(
        work.gallery,
        items,
        routes,
        engine.finder,
        keep_until=date.fromisoformat(until) if until else None,
        decode=lambda data, name: _decode(engine, data, name, waiting),
        progress=advance,
        told=lambda place, fate: fates.update({places[place]: fate}),
        workers=1,  # searches go on meanwhile
    )
    known = browsing.numbers(work.gallery, [fate.sha256 for fate in fates.values() if fate.sha256])
    return {"files": [_told(row, fates[place], known) for place, row in enumerate(rows)]}


def _told(row: enrolling.Row, fate: Fate, known: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    photo, person = known.get(fate.sha256, (None, None))
    return {
        "index": row.file,
        "line": row.line,
        "status": fate.status,
        "photo": photo,
        "person": person,
        "verdict": fate.verdict or None,
        "reasons": list(fate.reasons),
    }


def _decode(engine: Engine, data: bytes, name: str, waiting: Callable[[], None]) -> images.Decoded:
    """Open a photo, however many sketches and pages want the same processes: an enrollment can wait longer.

    Args:
        engine: Whose decoder opens it.
        data: The file.
        name: What errors call it.
        waiting: Is told before each further try, and ends the job if it was cancelled.

    Raises:
        ImageError: It is no usable image.
        Busy: No process came free for so long.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return engine.decoder.decode(data, name)
        except Busy:
            if time.monotonic() > deadline:
                raise
        waiting()
        time.sleep(PAUSE)


def reindex(engine: Engine, work: Work) -> dict[str, Any]:
    """Make the templates that a ``route`` lacks, from the stored originals; with ``everything`` all of them anew.

    Returns:
        How many photos were ``described``, and how many ``failed``; which ones stays in memory under a ``key``.
    """
    work.tell("loading models")
    identifier = engine.identifier(work.asked["route"]).acting(work.gallery)
    summary = identifier.reindex(
        everything=work.asked["everything"],
        progress=lambda done, total: work.tell("describing photos", done, total),
        workers=1,  # searches go on meanwhile
    )
    engine.kept(("failures", work.asked["key"]), lambda: summary.failures)
    told = {key: work.asked[key] for key in ("route", "key")}
    return told | {"described": summary.enrolled, "failed": len(summary.failures)}


def verify(engine: Engine, work: Work) -> dict[str, Any]:
    """Check the log, or the whole gallery with ``everything``; against an exported ``head`` where there is one.

    Returns:
        How many ``entries`` and ``problems`` there are, and what was asked; what the problems are stays in memory
        under a ``key``, since they may name people.
    """
    head = Head(**work.asked["head"]) if work.asked["head"] else None
    work.tell("checking the log")
    problems, size = trail.verify(work.gallery, head)
    certificates = work.asked["certificates"].encode()
    roots = anchoring.certificates_of(certificates, "What was sent") if certificates else []
    anchors = anchoring.verify(work.gallery, roots)
    problems = [*problems, *anchors.problems]
    if work.asked["everything"]:
        work.tell("checking originals, templates and index")
        found = work.gallery.verify(head)
        problems = [*found, *(problem for problem in problems if problem not in found)]
    engine.kept(("problems", work.asked["key"]), lambda: problems)
    return {
        "entries": size,
        "problems": len(problems),
        "anchors": anchors.checked + anchors.unchecked,
        "checked": anchors.checked,
        "everything": work.asked["everything"],
        "head": head.number if head else None,
        "key": work.asked["key"],
    }


def prove(engine: Engine, work: Work) -> dict[str, Any]:
    """Look for traces of an expunged ``person``, by the number; words to look for lie in memory.

    Returns:
        As ``checks``, each one's name, whether it passed (None where nobody can look), and what was found.

    Raises:
        Conflict: There were words, and the server was started anew since.
    """
    texts: tuple[str, ...] = engine.find(("traces", work.asked["key"])) or ()
    if len(texts) != work.asked["texts"]:
        raise Conflict("What was to be looked for is no longer in memory. Ask again.")
    work.tell("looking for traces")
    checks = proving.prove(work.gallery, work.asked["person"], traces=Traces.of(texts), wipe=work.asked["wipe"])
    return {"person": work.asked["person"], "checks": [[check.name, check.passed, check.said] for check in checks]}


def duplicates(engine: Engine, work: Work) -> dict[str, Any]:
    """Compare all photos of different people along a ``route``; at least ``above`` as log10 likelihood ratio.

    Returns:
        As ``pairs``, two photos' numbers, similarity, log10 likelihood ratio and whether it is bounded; how many were
        ``found`` and ``compared``, and how many are ``expected`` by chance; what the figures rest on.
    """
    from forensic import duplicates as alike

    work.tell("comparing photos")
    found = alike.find(work.gallery, work.asked["route"], work.asked["above"], work.asked["most"])
    return {
        "pairs": [[*pair.photos, pair.similarity, pair.log_lr, pair.bounded] for pair in found.pairs],
        "found": found.found,
        "compared": found.compared,
        "expected": round(found.expected, 1),
        "above": found.above,
        "least": found.least,
        "route": found.route,
        "calibration": found.calibration.to_dict(),
    }
