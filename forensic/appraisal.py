"""Appraise photos that are enrolled already: measure them from the stored originals and judge them by a policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from forensic import images, parallel
from forensic.enrollment import BATCH, Failure
from forensic.errors import GalleryError, ImageError
from forensic.faces.detect import Face
from forensic.faces.policy import Policy
from forensic.gallery import Gallery

if TYPE_CHECKING:
    from forensic.gallery.models import Photo


@dataclass
class Appraisal:
    """What was done.

    Attributes:
        measured: Photos that were measured now.
        failures: Photos that could not be, with the reason.
    """

    measured: int = 0
    failures: list[Failure] = field(default_factory=list)


def appraise(
    gallery: Gallery,
    policy: Policy,
    *,
    everything: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Appraisal:
    """Measure photos that have no measures yet; batches are stored one by one, so that an interruption loses little.

    Args:
        gallery: An open gallery.
        policy: What is good enough; a photo that it refuses stays enrolled, and the verdict says so.
        everything: Also the photos that have measures, by this policy.
        progress: Called with how many are done, of how many.

    Raises:
        GalleryError: The gallery cannot be written.
        ModelError: The weights of the face priors are missing or damaged.
    """
    photos = gallery.photos() if everything else gallery.unassessed()
    result = Appraisal()

    def one(photo: Photo) -> tuple[int, dict[str, Any] | Failure]:
        try:
            picture = images.decode(gallery.photo_bytes(photo), photo.file_name).image
        except (GalleryError, ImageError) as error:
            return photo.id, Failure(photo.file_name, str(error))
        return photo.id, policy.assess(picture, stored_face(photo)).to_json()

    with parallel.workers() as pool:
        outcomes, done = parallel.ordered(pool, one, photos), 0
        while some := list(islice(outcomes, BATCH)):
            result.failures += [outcome for _, outcome in some if isinstance(outcome, Failure)]
            result.measured += gallery.assess({n: found for n, found in some if not isinstance(found, Failure)})
            done += len(some)
            progress(done, len(photos))
    return result


def stored_face(photo: Photo) -> Face:
    """The face of an enrolled photo. Its box is not stored: it is that of the landmarks, as if they came by hand."""
    points = np.array(photo.landmarks, dtype=np.float32)
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    return Face(box, points, photo.detector_score, photo.detector)
