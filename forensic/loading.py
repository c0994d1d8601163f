"""What searches need of a gallery, in memory: the matcher as the gallery's templates allow it, and its index."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import NamedTuple

from forensic import matching
from forensic.errors import GalleryError, StaleIndex
from forensic.gallery import Gallery
from forensic.matching import Matcher
from forensic.recognition.index import Index


@dataclass(frozen=True)
class Loaded:
    """What a search needs of the gallery as it is now.

    Attributes:
        state: Of the gallery, see `Gallery.state`.
        matcher: With the routes whose templates are complete.
        own_cohort: Sketches of the gallery's own cohort that take part.
        index: Over all photos.
        people: Photo id -> label of its person.
        warnings: What a person must know of every search.
        root: Merkle root over the templates.
    """

    state: tuple[int, ...]
    matcher: Matcher
    own_cohort: int
    index: Index
    people: dict[int, str]
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
                    self.loaded = None  # what was expunged leaves the memory before what is there now comes in
                    self.loaded = self._load(gallery, state, fresh)
            for name, content, space, revision in fresh:
                gallery.save_index(name, content, space=space, revision=revision)
            return self.loaded

    def forget(self) -> None:
        """Drop what is loaded; a search that is under way keeps it until it ends."""
        with self._loading:
            self.loaded = None

    def _load(self, gallery: Gallery, state: tuple[int, ...], fresh: list[_Fresh]) -> Loaded:
        """The indexes of the routes whose templates are complete; a search goes on without the others, and says so."""
        photos = gallery.size().photos
        if not photos:
            raise GalleryError(f"The gallery {gallery.folder} is empty. Enroll photos: forensic enroll PATH...")
        indexes = [_index(gallery, route.space, fresh) for route in self.matcher.routes]
        complete = [len(index) >= photos for index in indexes]
        lacking = [
            f"{photos - len(index)} photos of the gallery have no template of the route {route.name!r} with its "
            f"present models. Make them: forensic gallery reindex --route {route.gallery_route}"
            for route, index in zip(self.matcher.routes, indexes, strict=True)
            if len(index) < photos
        ]
        if not any(complete):
            raise StaleIndex(" ".join(lacking))
        kept = [index for index, whole in zip(indexes, complete, strict=True) if whole]
        matcher = self.matcher.among(r for r, whole in zip(self.matcher.routes, complete, strict=True) if whole)
        warnings = [f"left out of this search: {text}" for text in lacking]
        known = zip(matcher.routes, matcher.scoring.cohorts, strict=True)
        own = gallery.cohort(matching.key(route) for route, cohort in known if cohort is not None)
        if own:
            matcher = matcher.with_cohort(own)
            warnings.append(
                "scores use the gallery's own cohort, for which no likelihood ratios were fitted: they only rank."
            )
        elif matcher.scoring.calibration is None:
            warnings.append(matching.UNCALIBRATED)
        index = Index.beside(kept)
        size = max(map(len, own.values()), default=0)
        people, root = gallery.labels(index.ids), gallery.root(route.space for route in matcher.routes)
        return Loaded(state, matcher, size, index, people, tuple(warnings), root)


class _Fresh(NamedTuple):
    """An index that was just built, to be kept."""

    name: str
    content: bytes
    space: str
    revision: int


def _index(gallery: Gallery, space: str, fresh: list[_Fresh]) -> Index:
    """A space's index from its cache, or, as ``fresh``, from the templates where that is missing or out of date."""
    revision = gallery.revision(space)
    name = f"{space[:16]}.safetensors"
    kept = gallery.load_index(name)
    index = None if kept is None else Index.load(kept, space=space, revision=str(revision))
    if index is not None:
        return index
    templates = gallery.templates(space)
    index = Index.build(templates.vectors, templates.photo_ids)
    if len(index):
        content = index.to_bytes(space=space, revision=str(templates.revision))
        fresh.append(_Fresh(name, content, space, templates.revision))
    return index
