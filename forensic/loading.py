"""What searches need of a gallery, in memory: the matcher as the gallery's templates allow it, and its index."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forensic import matching
from forensic.errors import GalleryError, StaleIndex
from forensic.gallery import Gallery
from forensic.gallery.templates import merkle_root, segment_file
from forensic.matching import Matcher
from forensic.recognition.index import Index, described
from forensic.recognition.segments import Segment, pack, unpack


@dataclass(frozen=True)
class Loaded:
    """What a search needs of the gallery as it is now.

    Attributes:
        state: Of the gallery, see `Gallery.state`.
        matcher: With the routes whose templates are complete.
        own_cohort: Sketches of the gallery's own cohort that take part.
        index: Over all photos.
        segments: What the index is made of: each space's segments by number, with their revisions.
        warnings: What a person must know of every search.
        root: Merkle root over the templates.
    """

    state: tuple[int, ...]
    matcher: Matcher
    own_cohort: int
    index: Index
    segments: Mapping[str, Mapping[int, _Held]]
    warnings: tuple[str, ...]
    root: str


class Memory:
    """Keeps what is loaded of a gallery until the gallery changes; threads share it."""

    def __init__(self, matcher: Matcher) -> None:
        self.matcher = matcher
        self.loaded: Loaded | None = None
        self._loading = threading.Lock()

    def of(self, gallery: Gallery) -> Loaded:
        """The matcher and its index, of the gallery as it is now.

        Raises:
            GalleryError: The gallery is empty.
            StaleIndex: It lacks templates of every route.
        """
        with self._loading:  # the threads of one batch load it once
            fresh: list[_Fresh] = []
            with gallery.snapshot():  # whatever is enrolled meanwhile is for the next search
                state = gallery.state(route.space for route in self.matcher.routes)
                if self.loaded is None or self.loaded.state != state:
                    known = self.loaded.segments if self.loaded else {}
                    self.loaded = None  # what was expunged leaves the memory before what is there now comes in
                    self.loaded = self._load(gallery, state, known, fresh)
            for name, segment, space, revision in fresh:
                gallery.save_index(name, pack(segment, space=space), space=space, revision=revision)
            if fresh:
                gallery.drop_stale_indexes()
            return self.loaded

    def forget(self) -> None:
        """Drop what is loaded; a search that is under way keeps it until it ends."""
        with self._loading:
            self.loaded = None

    def _load(
        self,
        gallery: Gallery,
        state: tuple[int, ...],
        known: Mapping[str, Mapping[int, _Held]],
        fresh: list[_Fresh],
    ) -> Loaded:
        """The indexes of the routes whose templates are complete; a search goes on without the others, and says so."""
        photos = gallery.size().photos
        if not photos:
            raise GalleryError(f"The gallery {gallery.folder} is empty. Enroll photos: forensic enroll PATH...")
        spaces = [route.space for route in self.matcher.routes]
        segments = {space: _segments(gallery, space, known.get(space, {}), fresh) for space in spaces}
        described = [sum(len(one.segment) for one in segments[space].values()) for space in spaces]
        complete = [count >= photos for count in described]
        lacking = [
            f"{photos - count} photos of the gallery have no template of the route {route.name!r} with its "
            f"present models. Make them: forensic gallery reindex --route {route.gallery_route}"
            for route, count in zip(self.matcher.routes, described, strict=True)
            if count < photos
        ]
        if not any(complete):
            raise StaleIndex(" ".join(lacking))
        matcher = self.matcher.among(r for r, whole in zip(self.matcher.routes, complete, strict=True) if whole)
        warnings = [f"left out of this search: {text}" for text in lacking]
        cohorts = zip(matcher.routes, matcher.scoring.cohorts, strict=True)
        own = gallery.cohort(matching.key(route) for route, cohort in cohorts if cohort is not None)
        if own:
            matcher = matcher.with_cohort(own)
            warnings.append(
                "scores use the gallery's own cohort, for which no likelihood ratios were fitted: they only rank."
            )
        elif matcher.scoring.calibration is None:
            warnings.append(matching.UNCALIBRATED)
        kept = [segments[route.space] for route in matcher.routes]
        # Several routes' templates of a segment are of the same photos: all of them.
        index = Index([Segment.beside([one[number].segment for one in kept]) for number in kept[0]], "int8")
        size = max(map(len, own.values()), default=0)
        return Loaded(state, matcher, size, index, segments, tuple(warnings), _root(segments, matcher))


class _Held(NamedTuple):
    """A segment of one space, and the revision of which it is."""

    segment: Segment
    revision: int


class _Fresh(NamedTuple):
    """A segment that was just made, to be kept."""

    name: str
    segment: Segment
    space: str
    revision: int


def _segments(gallery: Gallery, space: str, known: Mapping[int, _Held], fresh: list[_Fresh]) -> dict[int, _Held]:
    """A space's segments: those in memory that are up to date, the others from their files, or else made anew."""
    revision, held = gallery.revision(space), {}
    for number, its_revision in gallery.segments(space).items():
        if number in known and known[number].revision == its_revision:
            held[number] = known[number]
            continue
        name = segment_file(space, number, its_revision)
        kept = gallery.map_index(name)
        segment = None if kept is None else unpack(kept, space=space)
        if segment is None:
            part = gallery.segment(space, number)
            keys = np.array([int(sha256[:16], 16) for sha256 in part.hashes], np.uint64)
            segment = Segment([described(part.vectors, part.root.hex())], part.photo_ids, keys)
            fresh.append(_Fresh(name, segment, space, revision))
        held[number] = _Held(segment, its_revision)
    return held


def _root(held: Mapping[str, Mapping[int, _Held]], matcher: Matcher) -> str:
    """Merkle root over the roots of the segments that are searched: by space, then by number."""
    spaces = sorted(route.space for route in matcher.routes)
    return merkle_root([bytes.fromhex(one.segment.parts[0].root) for s in spaces for one in held[s].values()]).hex()
