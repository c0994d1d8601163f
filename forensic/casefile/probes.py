"""What a search's models saw: its sketches with their landmarks, aligned, and translated, made again for a report.

A record keeps the landmarks that were used, and no pictures but the case's own sketches. Older records have none but
those that a person gave; there the others are found again, and the same program finds the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from forensic import images, provenance
from forensic.candidates import SYNTHETIC
from forensic.casefile.shown import Picture
from forensic.errors import FaceError, ImageError, ModelError, UsageError
from forensic.gallery.casework.casework_models import Sketch
from forensic.report import PROBE_SIDE, jpeg, stamped, with_landmarks
from forensic.search_records import faces_of, made_with

if TYPE_CHECKING:
    from forensic.faces import Aligned, Finder
    from forensic.routes import Route

Points = Sequence[Sequence[float]] | None
"""Five landmarks that a search used, [x, y] each; None where they have to be found again."""
Decode = Callable[[bytes, str], images.Decoded]
"""Opens a picture, as `images.decode` does."""
TRANSLATING = "sketch-to-photo:"
OTHER_CODE = "; found again by another version of the program than the one that searched"


class Probes:
    """Makes the pictures of a search's probes.

    Args:
        face: The face of a case's sketch, at its landmarks or found; raises `ImageError` or `FaceError`.
        route: The route of a name.
    """

    def __init__(self, face: Callable[[Sketch, Points], Aligned], route: Callable[[str], Route]) -> None:
        self._face, self._route = face, route

    @classmethod
    def of_models(cls, *, decode: Decode = images.decode) -> Probes:
        """With models of their own, which are loaded when they are first needed."""

        @cache
        def finder() -> Finder:
            from forensic.faces import Finder

            return Finder()

        def face(sketch: Sketch, points: Points) -> Aligned:
            picture = decode(sketch.data, sketch.file_name).image
            return finder().one(picture) if points is None else finder().again(picture, np.array(points))

        @cache
        def route(name: str) -> Route:
            from forensic import routes

            return routes.load(name)

        return cls(face, route)

    def shown(self, record: Mapping[str, Any], held: Mapping[str, Sketch]) -> Iterator[Picture]:
        """The pictures of a search.

        Args:
            record: Of the search.
            held: SHA-256 of a file -> the sketch that the case holds.
        """
        probes = zip(record["probes"], record["landmarks"], faces_of(record), strict=True)
        for number, (sha256, by_hand, used) in enumerate(probes):
            sketch = held.get(sha256)
            if sketch is None:
                yield Picture("Probe", None, f"The gallery does not hold this probe; its SHA-256 is {sha256}.")
                continue
            name = f"sketch {sketch.id}"
            try:
                face = self._face(sketch, used["landmarks"] if used else by_hand)
            except (ImageError, FaceError, UsageError) as error:
                yield Picture(f"Probe: {name}", None, f"It cannot be shown: {error}")
                continue
            method, score = (used["method"], used["score"]) if used else (face.face.method, face.face.score)
            how = "set by hand" if by_hand is not None else f"found ({method}, {score:.2f})"
            if used and used["asked"] is not None:
                how = f"of face {used['asked']}, {how}"
            again = "" if used or record["code"] == provenance.code() else OTHER_CODE
            yield Picture(f"Probe: {name}, with its landmarks, {how}{again}", jpeg(with_landmarks(face), PROBE_SIDE))
            yield Picture(f"Aligned probe: {name} as it is compared", jpeg(face.portrait, PROBE_SIDE))
            if number == 0:
                yield from self._synthesized(record, face)

    def _synthesized(self, record: Mapping[str, Any], face: Aligned) -> Iterator[Picture]:
        """What each translating route makes of the first probe, as the search did."""
        for name in record["route"].split("+"):
            if not name.startswith(TRANSLATING):
                continue
            caption = f"Synthesized image of {name}: {SYNTHETIC}"
            try:
                route = self._route(name)
            except (ModelError, UsageError) as error:
                yield Picture(caption, None, f"It cannot be made again: {error}", synthetic=True)
                continue
            if not made_with(record, name, route.models):
                words = "It is not made again: the models installed now are not those of the search."
                yield Picture(caption, None, words, synthetic=True)
                continue
            picture: Image.Image = stamped(route.synthesize(face))
            yield Picture(caption, jpeg(picture, PROBE_SIDE), synthetic=True)
