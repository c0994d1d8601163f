"""An agency's own cohort: unlabelled sketches described as probes, and kept in the gallery as templates alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forensic import images, matching, parallel
from forensic.enrollment import Failure, Summary
from forensic.errors import FaceError, ImageError
from forensic.faces import Finder
from forensic.gallery import Gallery
from forensic.matching import Matcher

BATCH = 16
"""Sketches that are stored at once; an interruption loses at most those that are under way."""


class _Described(NamedTuple):
    """One sketch, with its template under every route; none where the cohort holds it already."""

    sha256: str
    templates: Sequence[NDArray[np.floating]]
    warnings: Sequence[str]


def add(
    gallery: Gallery,
    matcher: Matcher,
    finder: Finder,
    files: Iterable[Path],
    progress: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Describe sketches as probes under every route of a matcher and add them to the gallery's own cohort.

    Raises:
        GalleryError: The gallery cannot be written; what was stored before stays.
    """
    files, summary = list(files), Summary()
    batch: list[_Described] = []
    with parallel.workers() as pool:
        described = parallel.ordered(pool, partial(_describe, gallery, matcher, finder), files)
        for file, found in zip(files, described, strict=True):
            if isinstance(found, Failure):
                summary.failures.append(found)
            elif not found.templates:
                summary.already += 1
            else:
                batch.append(found)
                summary.warnings += [f"{images.display_name(file)}: {text}" for text in found.warnings]
            if len(batch) == BATCH:
                _store(gallery, matcher, batch, summary)
                batch = []
            progress(summary)
        if batch:  # else nothing is done that the log should tell of
            _store(gallery, matcher, batch, summary)
        progress(summary)
    return summary


def _describe(gallery: Gallery, matcher: Matcher, finder: Finder, file: Path) -> _Described | Failure:
    """One sketch's templates, or why there are none."""
    name = images.display_name(file)
    try:
        data = images.read_bytes(file)
        sha256 = hashlib.sha256(data).hexdigest()
        if all(gallery.in_cohort(matching.key(route), [sha256]) for route in matcher.routes):
            return _Described(sha256, (), ())
        if sha256 in gallery.known([sha256]):
            return Failure(name, "it is enrolled as a photo of a person; a cohort holds sketches that are not.")
        face = finder.one(images.decode(data, name).image)
    except (ImageError, FaceError) as error:
        return Failure(name, str(error).removeprefix(f"{name}: "))
    return _Described(sha256, matcher.describe(face, "probe"), face.warnings)


def _store(gallery: Gallery, matcher: Matcher, batch: Sequence[_Described], summary: Summary) -> None:
    """Add a batch to the cohort of every route; a sketch is new where one of them lacked it."""
    fresh = 0
    for place, route in enumerate(matcher.routes):
        vectors = {sketch.sha256: sketch.templates[place].astype(np.float32) for sketch in batch}
        fresh = max(fresh, gallery.add_cohort(matching.key(route), vectors, route=route.name))
    summary.enrolled += fresh
    summary.already += len(batch) - fresh
