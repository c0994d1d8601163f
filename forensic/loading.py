"""What searches need of a gallery: the matcher as its templates allow it, and an index, in memory or in an engine."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from forensic import devices, matching
from forensic.candidates import PARTLY
from forensic.errors import GalleryError, StaleIndex, UsageError
from forensic.gallery import Gallery, engines
from forensic.gallery.templates import root_of, segment_file
from forensic.matching import Matcher
from forensic.recognition.calibration import Calibration
from forensic.recognition.index import KINDS, Index, Kind, described
from forensic.recognition.segments import Segment, pack, unpack
from forensic.routes import Route

if TYPE_CHECKING:
    from forensic.engines import Engine, Served
    from forensic.recognition.approximate import Approximate
    from forensic.recognition.device_index import DeviceIndex


MISSING = "not everybody was compared, and somebody who is enrolled may be missing."
"""What an approximate index leaves out."""


class _Held(NamedTuple):
    """A segment of one space, and the revision of which it is."""

    segment: Segment
    revision: int


Segments = Mapping[str, Mapping[int, _Held]]
"""Each space's segments by number."""


class _Fresh(NamedTuple):
    """A segment that was just made, to be kept."""

    name: str
    segment: Segment
    space: str
    revision: int


@dataclass(frozen=True)
class _Connected:
    """An engine, connected until neither a memory nor what was loaded from it holds this any more.

    Attributes:
        url: The engine's.
        engine: The engine.
    """

    url: str
    engine: Engine


@dataclass(frozen=True)
class Loaded:
    """What a search needs of the gallery as it is now.

    Attributes:
        state: Of the gallery, see `Gallery.state`.
        engine: URL of the engine that has the index; None if it is in memory.
        matcher: With the routes whose templates are complete.
        own_cohort: Sketches of the gallery's own cohort that take part.
        index: Over all photos.
        segments: What an index in memory is made of.
        warnings: What a person must know of every search.
        root: Merkle root over the templates.
        approximate: Kind of the index, where it compares only a part of them.
        connected: Keeps the engine's connection open, where there is one.
    """

    state: tuple[int, ...]
    engine: str | None
    matcher: Matcher
    own_cohort: int
    index: Index | Served | Approximate | DeviceIndex
    segments: Segments
    warnings: tuple[str, ...]
    root: str
    approximate: Kind | None = None
    connected: _Connected | None = None

    @property
    def calibration(self) -> Calibration | None:
        """What states the candidates' likelihood ratios; None where there are none."""
        fitted = self.matcher.scoring.calibration
        return None if fitted is None else fitted.of_leads()


class Memory:
    """Keeps what is loaded of a gallery until the gallery changes; threads share it.

    Args:
        matcher: Whose templates.
        approximate: An index of this kind over them, see `forensic.recognition.approximate`; None for an exact one.
        device: Where all templates are looked at, see `forensic.recognition.device_index`; None for the processor.

    Raises:
        UsageError: There is no such kind or device, or both are given.
    """

    def __init__(self, matcher: Matcher, approximate: str | None = None, device: str | None = None) -> None:
        self.matcher, self.approximate = matcher, None if approximate is None else _kind(approximate)
        self.device = None if device is None else devices.find(device)
        if self.approximate is not None and self.device is not None:
            raise UsageError("An approximate index is the processor's: leave it out, or the device that is to search.")
        self.loaded: Loaded | None = None
        self._loading = threading.Lock()
        self._connected: _Connected | None = None
        self._on_device: DeviceIndex | None = None

    def of(self, gallery: Gallery) -> Loaded:
        """The matcher and its index, of the gallery as it is now.

        Raises:
            GalleryError: The gallery is empty, or its engine cannot be reached.
            StaleIndex: It lacks templates of every route.
        """
        with self._loading:  # the threads of one batch load it once
            fresh: list[_Fresh] = []
            try:
                loaded = self._up_to_date(gallery, fresh)
            except _Behind as behind:  # nothing is sent from within a snapshot
                engines.synchronize(gallery, behind.spaces)
                loaded = self._up_to_date(gallery, fresh)
            kept = [
                gallery.save_index(one.name, pack(one.segment, space=one.space), space=one.space, revision=one.revision)
                for one in fresh
            ]
            if any(kept):
                gallery.drop_stale_indexes()
            return loaded

    def forget(self) -> None:
        """Drop what is loaded; a search that is under way keeps it until it ends."""
        with self._loading:
            self.loaded = self._on_device = None

    def _up_to_date(self, gallery: Gallery, fresh: list[_Fresh]) -> Loaded:
        with gallery.snapshot():  # whatever is enrolled meanwhile is for the next search
            state = gallery.state(route.space for route in self.matcher.routes)
            engine = engines.url_of(gallery)
            if self.loaded is None or (self.loaded.state, self.loaded.engine) != (state, engine):
                known = self.loaded.segments if self.loaded else {}
                self.loaded = None  # what was expunged leaves the memory before what is there now comes in
                self.loaded = self._load(gallery, state, engine, known, fresh)
            return self.loaded

    def _load(
        self, gallery: Gallery, state: tuple[int, ...], engine: str | None, known: Segments, fresh: list[_Fresh]
    ) -> Loaded:
        photos = gallery.size().photos
        if not photos:
            raise GalleryError(f"The gallery {gallery.folder} is empty. Enroll photos: forensic enroll PATH...")
        spaces = [route.space for route in self.matcher.routes]
        segments: Segments = {}
        if engine is None:
            segments = {space: _segments(gallery, space, known.get(space, {}), fresh) for space in spaces}
            counts = [sum(len(one.segment) for one in segments[space].values()) for space in spaces]
        else:
            counts = [gallery.count(space) for space in spaces]
        whole, lacking = _complete(self.matcher, counts, photos)
        matcher, own_cohort, unfitted = _with_own_cohort(whole, gallery)
        index, root = self._index(gallery, engine, segments, [route.space for route in matcher.routes])
        approximate = self.approximate if engine is None else None  # an engine's answers are exact
        partly = [] if approximate is None else [f"{PARTLY} ({approximate}): {MISSING}"]
        return Loaded(
            state=state,
            engine=engine,
            matcher=matcher,
            own_cohort=own_cohort,
            index=index,
            segments=segments,
            warnings=(*lacking, *unfitted, *partly),
            root=root,
            approximate=approximate,
            connected=self._connected,
        )

    def _index(
        self, gallery: Gallery, engine: str | None, segments: Segments, spaces: Sequence[str]
    ) -> tuple[Index | Served | Approximate | DeviceIndex, str]:
        """An index over the templates of some spaces, and their Merkle root."""
        if engine is not None:
            if self.device is not None:
                raise UsageError(f"The templates are in an engine, which searches them: leave {self.device} out.")
            return self._in_engine(gallery, engine, spaces)
        self._connected = None
        index, root = _in_memory(segments, spaces)
        if self.device is not None:
            from forensic.recognition.device_index import DeviceIndex

            known = self._on_device.blocks if self._on_device else ()
            self._on_device = DeviceIndex(index, self.device, known=known)
            return self._on_device, root
        if self.approximate is None:
            return index, root
        from forensic.recognition.approximate import Approximate

        return Approximate(index, self.approximate), root

    def _in_engine(self, gallery: Gallery, url: str, spaces: Sequence[str]) -> tuple[Served, str]:
        if self._connected is None or self._connected.url != url:
            self._connected = None  # closes the one before, or whichever search still asks it does when it ends
            stack = ExitStack()
            connected = _Connected(url, stack.enter_context(engines.connected(gallery)))
            weakref.finalize(connected, stack.close)
            self._connected = connected
        try:
            return engines.served(gallery, spaces, self._connected.engine), gallery.root(spaces)
        except StaleIndex:
            raise _Behind(spaces) from None


def _kind(name: str) -> Kind:
    for kind in KINDS:
        if kind == name:
            return kind
    raise UsageError(f"There is no approximate index {name!r}; there is {', '.join(KINDS)}.")


class _Behind(Exception):
    """The engine does not hold what the gallery has."""

    def __init__(self, spaces: Sequence[str]) -> None:
        self.spaces = spaces


def _complete(matcher: Matcher, counts: Sequence[int], photos: int) -> tuple[Matcher, list[str]]:
    """The matcher of the routes that have a template of every photo, and what is said of those left out.

    Raises:
        StaleIndex: There is no such route.
    """
    counted = list(zip(matcher.routes, counts, strict=True))
    lacking = [(route, photos - count) for route, count in counted if count < photos]
    if len(lacking) == len(counted):
        raise StaleIndex(" ".join(_lacking(route, count, f"the route {route.name!r}") for route, count in lacking))
    kept = matcher.among(route for route, count in counted if count >= photos)
    return kept, [
        f"the route {route.name!r} is left out of this search: {_lacking(route, count, 'it')}"
        for route, count in lacking
    ]


def _lacking(route: Route, count: int, called: str) -> str:
    return (
        f"{count} photos of the gallery have no template of {called} with its present models. Make them: forensic "
        f"gallery reindex --route {route.gallery_route}"
    )


def _with_own_cohort(matcher: Matcher, gallery: Gallery) -> tuple[Matcher, int, list[str]]:
    """The matcher with the gallery's own cohort, the size of that, and what is said of a missing calibration."""
    cohorts = zip(matcher.routes, matcher.scoring.cohorts, strict=True)
    own = gallery.cohort(matching.key(route) for route, cohort in cohorts if cohort is not None)
    if own:
        warning = "scores use the gallery's own cohort, for which no likelihood ratios were fitted: they only rank."
        return matcher.with_cohort(own), max(map(len, own.values())), [warning]
    return matcher, 0, [matching.UNCALIBRATED] if matcher.scoring.calibration is None else []


def _in_memory(segments: Segments, spaces: Sequence[str]) -> tuple[Index, str]:
    """An index over the segments of some spaces, whose templates are of the same photos: all of them."""
    numbers = segments[spaces[0]]
    index = Index([Segment.beside([segments[space][number].segment for space in spaces]) for number in numbers], "int8")
    roots = {
        space: [bytes.fromhex(held.segment.parts[0].root) for _, held in sorted(segments[space].items())]
        for space in spaces
    }
    return index, root_of(roots)


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
