"""One self-contained HTML file for a person to read, compare and keep: probes, candidates, models, hashes."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

import forensic
from forensic import images
from forensic.candidates import LEAD, NO_SUPPORT, SYNTHETIC, Candidate, Explained, Search, meaning_of_lr
from forensic.casefile import method
from forensic.errors import GalleryError, UsageError
from forensic.explanation import overlay
from forensic.faces import Aligned
from forensic.gallery import Gallery
from forensic.gallery.objects import partial, write_private
from forensic.templating import template
from forensic.text import printable

PROBE_SIDE = 360
CANDIDATE_SIDE = 220


def write(searches: Sequence[Search], gallery: Gallery, path: str | os.PathLike[str]) -> None:
    """Write the report of some searches, for its owner alone; a crash leaves the old file or the new one, never a part.

    Raises:
        UsageError: The file cannot be written.
        GalleryError: A candidate's photo is missing or altered.
    """
    save(render(searches, gallery).encode(), Path(path))


def save(page: bytes, file: Path) -> None:
    """Write a rendered report, as `write` does.

    Raises:
        UsageError: The file cannot be written.
    """
    try:
        write_private({file: page})
    except OSError as error:
        with suppress(OSError):
            partial(file).unlink(missing_ok=True)
        raise UsageError(f"The report {file} cannot be written ({error.strerror}). Give another --report.") from None


def render(searches: Sequence[Search], gallery: Gallery) -> str:
    """The report as HTML; pictures are inside, nothing is fetched from anywhere."""
    records = [_record(search) for search in searches]
    return template("report.html").render(
        meaning_of_lr=meaning_of_lr,
        searches=[_search(search, gallery) for search in searches],
        lead=LEAD,
        method=list(method.method(records)),
        limitations=list(method.limitations(records, ())),
        no_support=NO_SUPPORT,
        synthetic=SYNTHETIC,
        gallery={"folder": printable(str(gallery.folder)), "size": gallery.size()},
        version=forensic.__version__,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _search(search: Search, gallery: Gallery) -> dict[str, Any]:
    synthesized = None if search.synthesized is None else stamped(search.synthesized)
    return {
        **search.to_json(),
        "probes": [
            {
                "picture": _data_uri(with_landmarks(face), PROBE_SIDE),
                "aligned": _data_uri(face.portrait, PROBE_SIDE),
                "method": face.face.method,
                "score": face.face.score,
            }
            for face in search.faces
        ],
        "synthesized_image": synthesized and _data_uri(synthesized, PROBE_SIDE),
        "meaning_of_cllr": method.meaning_of_cllr(search.calibration),
        "worth": search.calibration and method.worth(search.calibration),
        "explanation": search.explained and _explanation(search.explained),
        "candidates": [
            {
                **candidate.to_json(),
                "strength": candidate.strength,
                "image": _photo(gallery, candidate),
                "known": _known(gallery, candidate.person),
            }
            for candidate in search.candidates
        ],
    }


def _record(search: Search) -> dict[str, Any]:
    """What of a search's record its method and its limitations are told from."""
    gallery = {"photos": search.gallery_size}
    told = {"route": search.route, "models": search.models, "filter": search.filter, "warnings": search.warnings}
    return told | {"gallery": gallery}


def _explanation(explained: Explained) -> dict[str, Any]:
    """The two maps as pictures, on one scale, and the regions by what they carry."""
    told = explained.explanation
    return {
        "person": explained.person,
        "probe": _data_uri(overlay(explained.probe, told.probe_map, told.ceiling), PROBE_SIDE),
        "candidate": _data_uri(overlay(explained.candidate, told.candidate_map, told.ceiling), PROBE_SIDE),
        "regions": sorted(told.regions, key=lambda region: -(region.probe + region.candidate)),
    }


def _photo(gallery: Gallery, candidate: Candidate) -> str:
    """The candidate's photo from the gallery, its hash checked."""
    for photo in gallery.photos(candidate.person):
        if photo.sha256 == candidate.photo_sha256:
            return _data_uri(images.decode(gallery.photo_bytes(photo), photo.file_name).image, CANDIDATE_SIDE)
    raise GalleryError(f"{candidate.person!r} was removed from the gallery after the search. Search again.")


def _known(gallery: Gallery, person: str) -> dict[str, str]:
    """What the gallery knows of a person, for the reader."""
    record = gallery.person(person)
    facts = {"name": record.name, "sex": record.sex, "born": record.birth_year, "case": record.case_reference}
    return {key: str(value) for key, value in facts.items() if value is not None}


def with_landmarks(face: Aligned) -> Image.Image:
    """The probe with the five points that everything else hangs on."""
    picture = face.image.copy()
    radius = max(2, max(picture.size) // 120)
    draw = ImageDraw.Draw(picture)
    for x, y in face.face.landmarks.tolist():
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=(200, 30, 30), width=max(1, radius // 2))
    return picture


def stamped(picture: Image.Image) -> Image.Image:
    """A synthesized picture with its mark burned in, so that it cannot be passed on without it."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    height = 18
    draw.rectangle([0, picture.height - height, picture.width, picture.height], fill=(160, 20, 20))
    draw.text((6, picture.height - height + 3), SYNTHETIC.upper(), fill=(255, 255, 255))
    return picture


def jpeg(picture: Image.Image, side: int) -> bytes:
    """A copy of a picture within a square of so many pixels, as a JPEG file."""
    picture = picture.copy()
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def data_uri(file: bytes) -> str:
    """A JPEG file as a page holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(file).decode()


def _data_uri(picture: Image.Image, side: int) -> str:
    return data_uri(jpeg(picture, side))
