"""A search's probe beside one of its candidates: which pictures they are, and what the two aligned portraits tell.

Addresses name a search, a rank, a sketch by its place in the search, and a photo; what does not belong together is not
found, so that a search's address opens nobody's photos but its candidates'.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from forensic.comparison import OTHERS, Described, Likeness
from forensic.errors import GalleryError, ImageError, NotFound
from forensic.faces import PORTRAIT
from forensic.faces.align import warp
from forensic.gallery import Gallery
from forensic.gallery.casework.casework_models import Sketch
from forensic.gallery.models import Photo
from forensic.images import display_name
from forensic.web import pictures, views
from forensic.web.engine import Engine
from forensic.web.views import Lead, SearchView

_measuring = threading.Lock()


class Pair(NamedTuple):
    """A probe and a candidate, as they are now.

    Attributes:
        search: The search on record.
        lead: The candidate.
        place: Which of the search's sketches, from 0.
        sketches: All of them, without bytes; None for one that no case holds.
        photos: The photos of the candidate's person, the one that was found first; none when no longer enrolled.
        photo: Which of them.
    """

    search: SearchView
    lead: Lead
    place: int
    sketches: Sequence[Sketch | None]
    photos: Sequence[Photo]
    photo: Photo | None

    @property
    def sketch(self) -> Sketch | None:
        """The sketch; None where no case holds it."""
        return self.sketches[self.place]

    @property
    def whole(self) -> bool:
        """Whether both are still there."""
        return self.sketch is not None and self.photo is not None

    @property
    def asked(self) -> dict[str, Any]:
        """What `find` makes the same pair of, by numbers alone."""
        photo = self.photo.id if self.photo else None
        return {"number": self.search.number, "rank": self.lead.rank, "sketch": self.place, "photo": photo}

    @property
    def key(self) -> Hashable:
        """Under which the engine keeps what the pair's score hangs on."""
        return "explained", *self.asked.values()

    @property
    def path(self) -> str:
        """The page of the candidate."""
        return f"/searches/{self.search.number}/compare/{self.lead.rank}"

    @property
    def query(self) -> str:
        """What chooses the sketch and the photo on that page."""
        return f"?sketch={self.place}" + (f"&photo={self.photo.id}" if self.photo else "")

    def probe_portrait(self, engine: Engine, gallery: Gallery) -> Image.Image:
        """The sketch's aligned portrait, by the landmarks that the search used.

        Raises:
            NotFound: No case holds the sketch.
            ImageError, FaceError: The face cannot be found again.
        """
        return pictures.face_of(engine, gallery, self.search.number, self.place)[1].portrait

    def portrait(self, engine: Engine, gallery: Gallery) -> Image.Image:
        """The candidate's aligned portrait, by the landmarks that were stored at enrollment.

        Raises:
            NotFound: The candidate is no longer enrolled.
            GalleryError, ImageError: The original is missing or altered, or cannot be decoded.
        """
        photo = self._photo
        return engine.kept(("portrait", photo.sha256), lambda: _portrait(engine, gallery, photo))

    def likeness(self, engine: Engine, gallery: Gallery) -> tuple[Likeness, ...]:
        """How alike the two are in each part of the face, beside other people of the gallery.

        Raises:
            NotFound, GalleryError, ImageError, FaceError: One of the two cannot be shown.
        """
        probe, candidate = self.probe_portrait(engine, gallery), self.portrait(engine, gallery)
        owner = self._photo.person_id
        strangers = [photo for photo in gallery.sample(OTHERS + 1) if photo.person_id != owner][:OTHERS]
        key = ("strangers", *(photo.id for photo in strangers))
        with _measuring:  # a hundred photos are opened once, and not by every page at the same time
            others = engine.kept(key, lambda: _described(engine, gallery, strangers))
        return engine.comparer.compare(probe, candidate, others)

    @property
    def _photo(self) -> Photo:
        if self.photo is None:
            raise NotFound(f"The candidate of rank {self.lead.rank} is no longer enrolled.")
        return self.photo


def find(gallery: Gallery, number: int, rank: int, sketch: int = 0, photo: int | None = None) -> Pair:
    """The pair that an address names.

    Args:
        gallery: Where the search is on record.
        number: Of the search.
        rank: The candidate's.
        sketch: Which of the search's sketches, from 0.
        photo: Which photo of the candidate's person; the one that was found if None.

    Raises:
        NotFound: The search has no such candidate or sketch, or the person no such photo.
    """
    search = views.search(gallery, number)
    lead = next((one for one in search.leads if one.rank == rank), None)
    if lead is None:
        raise NotFound(f"Search {number} has no candidate of rank {rank}; its list has {len(search.leads)}.")
    probes = search.record["probes"]
    if not 0 <= sketch < len(probes):
        raise NotFound(f"Search {number} was made with {len(probes)} sketches; there is no sketch {sketch} of it.")
    own: Sequence[Photo] = () if lead.person is None else gallery.photos(lead.person.label)
    photos = sorted(own, key=lambda one: one.id != lead.photo)
    chosen = next((one for one in photos if photo in (None, one.id)), None)
    if photo is not None and chosen is None:
        raise NotFound(f"The candidate of rank {rank} has no photo {photo}.")
    held = {one.sha256: one for one in search.sketches}
    return Pair(search, lead, sketch, [held.get(sha256) for sha256 in probes], photos, chosen)


def _portrait(engine: Engine, gallery: Gallery, photo: Photo) -> Image.Image:
    picture = engine.decoder.decode(gallery.photo_bytes(photo), display_name(photo.file_name)).image
    return warp(picture, np.array(photo.landmarks), PORTRAIT)


def _described(engine: Engine, gallery: Gallery, photos: Sequence[Photo]) -> Described:
    """Photos of strangers by their lines, without those whose originals cannot be opened."""
    portraits = []
    for photo in photos:
        try:
            portraits.append(_portrait(engine, gallery, photo))
        except (GalleryError, ImageError):
            continue
    return engine.comparer.describe(portraits, "photo")
