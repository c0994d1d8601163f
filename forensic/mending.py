"""A gallery mended as far as it can be: what `forensic.gallery.checks.repairing` does, and templates made anew."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from forensic.errors import ModelError, UsageError
from forensic.gallery import Gallery, Problem
from forensic.gallery.checks import repairing
from forensic.gallery.log import audit
from forensic.identify import Identifier


class Mended(NamedTuple):
    """What came of it.

    Attributes:
        done: What was mended, and how.
        left: What is still wrong.
    """

    done: list[Problem]
    left: list[Problem]


def mend(gallery: Gallery, source: Path | None = None, exported: audit.Head | None = None) -> Mended:
    """Rebuild what can be rebuilt; what cannot be is named.

    Args:
        gallery: The gallery.
        source: A folder in which originals that are missing or altered may lie.
        exported: An earlier head of the audit log, as `Gallery.verify` takes it.
    """
    found = gallery.verify(exported)
    if any(problem.kind == "database" for problem in found):  # then nothing can be relied on
        return Mended([], found)
    done = repairing.repair(gallery, source) + _made_anew(gallery)
    return Mended(done, gallery.verify(exported))


def _made_anew(gallery: Gallery) -> list[Problem]:
    """Templates of photos that lack one, where the models that make them are still there."""
    done = []
    for space in gallery.spaces():
        lacking = gallery.missing(space.digest)
        if not lacking:
            continue
        try:
            identifier = Identifier(gallery, space.route)
        except (UsageError, ModelError):  # a route or models of another time: the space stays incomplete, and is named
            continue
        if space.digest in {route.space for route in identifier.matcher.routes}:
            identifier.reindex()
            still = {*gallery.missing(space.digest).numbers}
            done += [
                Problem("template", f"photo {number}", f"Its template of route {space.route} is made anew.")
                for number in lacking.numbers
                if number not in still
            ]
    return done
