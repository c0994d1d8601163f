"""One self-contained HTML file for a person to read, compare and keep: probes, candidates, models, hashes."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image, ImageDraw

import forensic
from forensic import images, weights
from forensic.errors import GalleryError, UsageError
from forensic.gallery import Gallery
from forensic.identify import LEAD, SYNTHETIC, Candidate, Search

PROBE_SIDE = 360
CANDIDATE_SIDE = 220


def write(searches: Sequence[Search], gallery: Gallery, path: str | os.PathLike[str]) -> None:
    """Write the report of some searches; a crash leaves the old file or the new one, never a part.

    Raises:
        UsageError: The file cannot be written.
        GalleryError: A candidate's photo is missing or altered.
    """
    try:
        weights.write_bytes(Path(path), render(searches, gallery).encode())
    except OSError as error:
        raise UsageError(f"The report {path} cannot be written ({error.strerror}). Give another --report.") from None


def render(searches: Sequence[Search], gallery: Gallery) -> str:
    """The report as HTML; pictures are inside, nothing is fetched from anywhere."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("forensic"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    size = gallery.size()
    return environment.get_template("report.html").render(
        searches=[_search(search, gallery) for search in searches],
        lead=LEAD,
        synthetic=SYNTHETIC,
        gallery={"folder": str(gallery.folder), "size": size, "digest": gallery.digest()},
        version=forensic.__version__,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _search(search: Search, gallery: Gallery) -> dict[str, Any]:
    synthesized = None if search.synthesized is None else _stamped(search.synthesized)
    return {
        **search.to_json(),
        "probe_image": _data_uri(_with_landmarks(search), PROBE_SIDE),
        "aligned_image": _data_uri(search.face.portrait, PROBE_SIDE),
        "synthesized_image": synthesized and _data_uri(synthesized, PROBE_SIDE),
        "face": search.face.face,
        "candidates": [
            {
                **candidate._asdict(),
                "image": _photo(gallery, candidate),
                "known": _known(gallery, candidate.person),
            }
            for candidate in search.candidates
        ],
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


def _with_landmarks(search: Search) -> Image.Image:
    """The probe with the five points that everything else hangs on."""
    picture = search.face.image.copy()
    radius = max(2, max(picture.size) // 120)
    draw = ImageDraw.Draw(picture)
    for x, y in search.face.face.landmarks.tolist():
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=(200, 30, 30), width=max(1, radius // 2))
    return picture


def _stamped(picture: Image.Image) -> Image.Image:
    """A synthesized picture with its mark burned in, so that it cannot be passed on without it."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    height = 18
    draw.rectangle([0, picture.height - height, picture.width, picture.height], fill=(160, 20, 20))
    draw.text((6, picture.height - height + 3), SYNTHETIC.upper(), fill=(255, 255, 255))
    return picture


def _data_uri(picture: Image.Image, side: int) -> str:
    picture = picture.copy()
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
