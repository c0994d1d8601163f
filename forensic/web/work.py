"""What each kind of job does. Every answer is numbers and links: whose they are is looked up when it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forensic import casework
from forensic.candidates import Explained
from forensic.casework import chosen_sketches
from forensic.errors import FaceError, UsageError
from forensic.gallery import Filter
from forensic.gallery.casework import cases
from forensic.gallery.casework.casework_models import Sketch
from forensic.web import pairing, tending
from forensic.web.engine import Engine
from forensic.web.jobs import Handler, Lane, Work


def handlers(engine: Engine) -> Mapping[str, tuple[Handler, Lane]]:
    """Kind of job -> what does it, and in which lane."""
    return {
        "search": (lambda work: search(engine, work), Lane.QUICK),
        "rerun": (lambda work: rerun(engine, work), Lane.QUICK),
        "explain": (lambda work: explain(engine, work), Lane.QUICK),
        **tending.handlers(engine),
    }


def search(engine: Engine, work: Work) -> dict[str, Any]:
    """Search with sketches of a case, all of one person.

    What is asked: ``case``, ``sketches`` (numbers; none for all), ``landmarks`` (for each sketch five points or null),
    ``route``, ``top``, ``where`` (conditions) with ``justification``.

    Returns:
        The search's number, as ``search``.
    """
    asked = work.asked
    work.tell("loading models")
    identifier = engine.identifier(asked["route"]).acting(work.gallery, case=asked["case"], watch=work.tell)
    sketches = chosen_sketches(work.gallery, asked["case"], asked["sketches"])
    work.tell("opening the sketch")
    pictures = [engine.decoder.decode(sketch.data, sketch.file_name) for sketch in sketches]
    given = asked["landmarks"] or [None] * len(sketches)
    landmarks = [None if points is None else np.array(points, dtype=np.float32) for points in given]
    only = Filter.parse(asked["where"], asked["justification"]) if asked["where"] else None
    try:
        found = identifier.search_together(pictures, asked["top"], landmarks=landmarks, only=only)
    except FaceError:
        raise FaceError(_faceless(engine, sketches, given)) from None
    for index, (sketch, face) in enumerate(zip(sketches, found.faces, strict=True)):
        engine.remember(sketch.sha256, face, found.route, None if index else found.synthesized)
    return {"search": found.number}


def _faceless(engine: Engine, sketches: Sequence[Sketch], landmarks: Sequence[Any]) -> str:
    """Which of a search's sketches has no face, and what to do, in words for a page and for a program."""
    missing = []
    for sketch, points in zip(sketches, landmarks, strict=True):
        try:
            engine.face(sketch, points)
        except FaceError:
            missing.append(f"sketch {sketch.id}")
    return f"No face was found in {' and '.join(missing)}. Place its five landmarks by hand, or leave it out."


def rerun(engine: Engine, work: Work) -> dict[str, Any]:
    """Repeat a search on record.

    What is asked: ``search``, its number.

    Returns:
        The repetition's number as ``search``, whether the list is ``identical`` to the byte, and what else ``changed``.
    """
    number = work.asked["search"]
    work.tell("loading models")
    route = cases.searched(work.gallery, number).record["route"]
    identifier = engine.identifier(route).acting(work.gallery, watch=work.tell)
    again = casework.rerun(work.gallery, number, identifier=identifier, decode=engine.decoder.decode)
    return {"search": again.search.number, "identical": again.identical, "changed": list(again.changed)}


def explain(engine: Engine, work: Work) -> dict[str, Any]:
    """Tell what the score between a search's probe and a candidate hangs on; it is kept in memory, never on disk.

    What is asked: ``number`` of the search, ``rank``, ``sketch`` (from 0), ``photo`` (its number), as
    `pairing.find` takes them.

    Returns:
        What was asked: `pairing.Pair.key` finds the explanation by it.

    Raises:
        UsageError: The models are not those of the search, so that its score cannot be explained.
    """
    work.tell("loading models")
    pair = pairing.find(work.gallery, **work.asked)
    identifier = engine.identifier(pair.search.record["route"]).acting(work.gallery)
    installed = identifier.matcher.models
    if any(installed.get(name) != sha256 for name, sha256 in pair.search.record["models"].items()):
        raise UsageError(
            f"The models of search {pair.search.number} are not those that are installed now. Repeat the search, and "
            "have the repetition's score explained."
        )
    work.tell("finding the faces")
    probe, candidate = pair.probe_portrait(engine, work.gallery), pair.portrait(engine, work.gallery)
    person = pair.lead.person.label if pair.lead.person else ""

    def watch(done: int, total: int) -> None:
        work.tell("hiding parts of the faces", done, total)

    def told() -> Explained:
        return Explained(person, probe, candidate, identifier.explain_portraits(probe, candidate, watch=watch))

    engine.kept(pair.key, told)
    return dict(work.asked)
