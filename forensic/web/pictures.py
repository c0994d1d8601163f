"""Pictures as pages and API show them: decoded in a process that may die, scaled, as JPEG, for a while in memory."""

from __future__ import annotations

from enum import StrEnum

from PIL import Image

from forensic import report
from forensic.candidates import Explained
from forensic.errors import NotFound
from forensic.explanation import Side, overlay
from forensic.faces import Aligned
from forensic.gallery import Gallery
from forensic.gallery.casework import cases, listing
from forensic.gallery.casework.casework_models import Sketch
from forensic.images import display_name
from forensic.search_records import faces_of
from forensic.web.access import Visitor
from forensic.web.engine import Engine

CARD, THUMBNAIL, LARGE = 400, 240, 1600
"""Sides of the square that a picture is scaled to fit in, in pixels."""


class Shown(StrEnum):
    """A picture of a search's probe."""

    PROBE = "probe"
    ALIGNED = "aligned"
    SYNTHESIZED = "synthesized"


def of_photo(visitor: Visitor, number: int, side: int) -> bytes:
    """A photo of the gallery within a square of so many pixels.

    Raises:
        NotFound: It is no longer enrolled, whatever is in memory still.
        GalleryError: Its original is missing or was altered.
    """
    photo, server = visitor.gallery.photo(number), visitor.server

    def make() -> bytes:
        data = visitor.gallery.photo_bytes(photo)
        return report.jpeg(server.decoder.decode(data, display_name(photo.file_name)).image, side)

    return server.engine.kept(("photo", number, photo.sha256, side), make)


def of_sketch(visitor: Visitor, number: int, side: int) -> bytes:
    """A case's sketch within a square of so many pixels.

    Raises:
        NotFound: There is no such sketch.
        ImageError: It cannot be decoded.
    """
    sketch, server = cases.sketch(visitor.gallery, number), visitor.server

    def make() -> bytes:
        return report.jpeg(server.decoder.decode(sketch.data, display_name(sketch.file_name)).image, side)

    return server.engine.kept(("sketch", sketch.sha256, side), make)


def of_search(visitor: Visitor, number: int, shown: Shown, index: int = 0) -> bytes:
    """A picture of what a search was made with.

    Args:
        visitor: Who looks.
        number: The search's.
        shown: The sketch with the landmarks that were used, the aligned face, or the picture that a route made of it.
        index: Which of its sketches, from 0.

    Raises:
        NotFound: There is no such search or sketch, no case holds the sketch, or the search's models did not
            synthesize anything, or are others now.
        FaceError, ImageError: The face cannot be found again.
    """
    sketch, face = face_of(visitor.server.engine, visitor.gallery, number, index)
    if shown is Shown.PROBE:
        return report.jpeg(report.with_landmarks(face), 2 * CARD)
    if shown is Shown.ALIGNED:
        return report.jpeg(face.portrait, CARD)
    record, engine = cases.searched(visitor.gallery, number).record, visitor.server.engine
    made = engine.synthesized(record["route"], face, sketch.sha256) if index == 0 else None
    if made is None:
        raise NotFound(f"Search {number} was made without a synthesized picture of this sketch.")
    if engine.identifier(record["route"]).matcher.models != record["models"]:
        raise NotFound(f"The models of search {number} are not those that are installed now.")
    return report.jpeg(report.stamped(made), CARD)


def explained(told: Explained, side: Side) -> Image.Image:
    """A side's portrait with what the score hangs on."""
    picture, values = {
        "probe": (told.probe, told.explanation.probe_map),
        "candidate": (told.candidate, told.explanation.candidate_map),
    }[side]
    return overlay(picture, values, told.explanation.ceiling)


def face_of(engine: Engine, gallery: Gallery, number: int, index: int = 0) -> tuple[Sketch, Aligned]:
    """A search's sketch, with its bytes, and the face that was searched with; of an older record, found again.

    Raises:
        NotFound: There is no such search or sketch, or no case holds the sketch.
        FaceError, ImageError: The face cannot be found again.
    """
    found, case = cases.searched(gallery, number), listing.case_of(gallery, number)
    probes, used = found.record["probes"], faces_of(found.record)
    if not 0 <= index < len(probes):
        raise NotFound(f"Search {number} was made with {len(probes)} sketches; there is no sketch {index} of it.")
    held = [] if case is None else listing.sketches(gallery, case.id, hashes=[probes[index]])
    if not held:
        raise NotFound(f"No case holds this sketch of search {number}.")
    sketch = cases.sketch(gallery, held[0].id)
    face = used[index]
    return sketch, engine.face_again(sketch, face["landmarks"] if face else found.record["landmarks"][index])
