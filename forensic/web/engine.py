"""The models, loaded once, and the faces of sketches that were looked at lately.

Faces are found again when they are asked for, and kept in memory alone, a few at a time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from forensic import matching, routes
from forensic.comparison import Comparer
from forensic.errors import ForensicError, UsageError
from forensic.faces import Aligned, Finder
from forensic.gallery import Gallery, serving
from forensic.gallery.casework.casework_models import Sketch
from forensic.identify import Identifier
from forensic.images import display_name
from forensic.routes import Route
from forensic.web.decoding import Decoder
from forensic.web.settings import Settings

KEPT = 128 * 1024 * 1024
"""Bytes that the engine remembers."""
FACE = 1024 * 1024
"""Bytes that a face is counted as beside its picture, and anything else that is no file, picture or array."""
PIXEL = 4
"""Bytes of a pixel in memory."""
ROUTES = 2
"""Routes that the models of are remembered for reports; those of searches are there anyway."""
Thing = TypeVar("Thing")


class Engine:
    """Identifiers by route, and faces that were just found.

    Args:
        gallery: The server's.
        settings: The agency's.
        decoder: Opens pictures.
    """

    def __init__(self, gallery: Gallery, settings: Settings, decoder: Decoder) -> None:
        self.gallery, self.settings, self.decoder = gallery, settings, decoder
        torch.set_num_threads(1)  # each worker computes with one; more would only fight for the cores
        self._identifiers: dict[str, Identifier] = {}
        self._forgotten = 0  # how often
        self._seen = serving.removals(gallery, 0)[0]  # the log's last entry
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._size = 0
        self._routes: OrderedDict[str, Route] = OrderedDict()
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._looking = threading.Semaphore(settings.workers)  # pages ask for many pictures at once

    def check_offered(self, route: str) -> None:
        """Stop who asks for a route that the agency does not offer.

        Raises:
            UsageError: It is not offered.
        """
        if route not in self.settings.routes:
            offered = ", ".join(self.settings.routes)
            raise UsageError(f"The route {route[:60]!r} is not offered here. Offered: {offered}.")

    def identifier(self, route: str = matching.DEFAULT) -> Identifier:
        """The identifier of a route that the agency offers; models are loaded at the first call.

        Raises:
            UsageError: The route is not offered.
            ModelError: A model is missing or damaged.
        """
        self.check_offered(route)
        with self._loading:
            if route not in self._identifiers:
                made = Identifier(
                    self.gallery,
                    route,
                    device=self.settings.device,
                    approximate=self.settings.approximate,
                    search_device=self.settings.search_device,
                )
                for other in self._identifiers.values():  # one face finder for all
                    made.finder = other.finder
                    break
                self._identifiers[route] = made
            return self._identifiers[route]

    def route(self, name: str) -> Route:
        """A route that a report is drawn of, offered or not: models are too large to lie among pictures.

        Raises:
            UsageError: No route has that name.
            ModelError: A model is missing or damaged.
        """
        with self._loading:
            searched = (one for found in self._identifiers.values() for one in found.matcher.routes)
            if (offered := next((one for one in searched if one.name == name), None)) is not None:
                return offered
            if name not in self._routes:
                self._routes[name] = routes.load(name, device=self.settings.device)
            self._routes.move_to_end(name)
            if len(self._routes) > ROUTES:
                self._routes.popitem(last=False)
            return self._routes[name]

    def warm(self) -> None:
        """Load the first route's models, so that nobody waits for them; what fails is told to whoever asks for them."""
        with suppress(ForensicError):
            _ = self.finder

    @property
    def finder(self) -> Finder:
        """Finds faces."""
        return self.identifier(self.settings.routes[0]).finder

    @cached_property
    def comparer(self) -> Comparer:
        """Compares portraits part by part."""
        return Comparer()

    def face(self, sketch: Sketch, landmarks: Sequence[Sequence[float]] | None = None) -> Aligned:
        """The face of a case's sketch, found or as a person says.

        Raises:
            ImageError: The sketch is no usable image.
            FaceError: No face was found.
            UsageError: The landmarks are no face's.
        """
        points = None if landmarks is None else np.array(landmarks, dtype=np.float32)

        def find() -> Aligned:
            picture = self._picture(sketch)
            with self._looking:
                return self.finder.one(picture, landmarks=points)

        return self.kept(_face(sketch.sha256, landmarks), find)

    def face_again(self, sketch: Sketch, landmarks: Sequence[Sequence[float]] | None) -> Aligned:
        """The face of a case's sketch as a search used it, or found where its record does not say.

        Raises:
            ImageError: The sketch is no usable image.
            FaceError: No face was found.
        """
        if landmarks is None:
            return self.face(sketch)
        points = np.array(landmarks, dtype=np.float32)
        return self.kept(_face(sketch.sha256, landmarks), lambda: self.finder.again(self._picture(sketch), points))

    def _picture(self, sketch: Sketch) -> Image.Image:
        return self.decoder.decode(sketch.data, display_name(sketch.file_name)).image

    def synthesized(self, route: str, face: Aligned, sha256: str) -> Image.Image | None:
        """The translated portrait of a probe's face, synthetic and not evidence; None where a route makes none.

        Args:
            route: The search's.
            face: The probe's, see `face`.
            sha256: Hash of the probe's file.

        Raises:
            UsageError: The route is not offered.
        """
        found = [one for one in self.identifier(route).matcher.routes if one.translated == "probe"]
        if not found:
            return None

        def make() -> Image.Image:
            with self._looking:
                return found[0].synthesize(face)

        return self.kept(_portrait(sha256, face, route), make)

    def remember(self, sha256: str, face: Aligned, route: str, made: Image.Image | None) -> None:
        """Keep what a search found, so that its page need not make it again.

        Args:
            sha256: Hash of the sketch's file.
            face: Of the sketch.
            route: The search's.
            made: The translated portrait, if there is one.
        """
        self.kept(_face(sha256, face.face.landmarks.tolist()), lambda: face)
        if made is not None:
            self.kept(_portrait(sha256, face, route), lambda: made)

    def kept(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """What was made for a key lately, or made now; nothing from before the last expunge, whoever did it."""
        self.heed_removals()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                found: Thing = self._kept[key]
                return found
            before = self._forgotten
        made = make()
        self.heed_removals()
        with self._lock:
            if key not in self._kept and self._forgotten == before:  # else it may be of somebody who was expunged since
                self._kept[key] = made
                self._size += _size(made)
            while self._size > KEPT:
                self._size -= _size(self._kept.popitem(last=False)[1])
        return made

    def find(self, key: Hashable) -> Any:
        """What was made for a key lately; None if it was dropped, or never made."""
        self.heed_removals()
        with self._lock:
            return self._kept.get(key)

    def forget(self) -> None:
        """Drop every picture and every index: somebody was expunged."""
        with self._lock:
            self._kept.clear()
            self._size = 0
            self._forgotten += 1
        for identifier in list(self._identifiers.values()):
            identifier.forget()

    def heed_removals(self) -> None:
        """Forget if somebody was expunged since the last call, by this server or by another program."""
        last, removed = serving.removals(self.gallery, self._seen)
        if removed:
            self.forget()
        self._seen = last


def _face(sha256: str, landmarks: Sequence[Sequence[float]] | None) -> Hashable:
    return "face", sha256, None if landmarks is None else np.array(landmarks, dtype=np.float32).tobytes()


def _portrait(sha256: str, face: Aligned, route: str) -> Hashable:
    return "synthesized", sha256, np.array(face.face.landmarks, dtype=np.float32).tobytes(), route


def _size(thing: object) -> int:
    if isinstance(thing, Aligned):
        return FACE + _size(thing.image)
    if isinstance(thing, Image.Image):
        return PIXEL * thing.width * thing.height
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    return len(thing) if isinstance(thing, bytes) else FACE
