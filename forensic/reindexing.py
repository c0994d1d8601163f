"""Describe the photos of a gallery for a route, from the stored originals: translate them, where the route does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forensic import parallel
from forensic.enrollment import AHEAD, BATCH, Summary
from forensic.errors import GalleryError
from forensic.gallery import Gallery
from forensic.preparing import Failure, Preparer, Stored, by_space, gallery_space
from forensic.routes import Route

if TYPE_CHECKING:
    from forensic.gallery.models import Photo


def reindex(
    preparer: Preparer,
    gallery: Gallery,
    routes: Sequence[Route],
    *,
    everything: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Make the templates that routes lack; what is stored does not tell who described the photos.

    Args:
        preparer: Describes photos.
        gallery: Where they are.
        routes: In whose spaces.
        everything: Also the photos that have a template, in place of a damaged one.
        progress: Called with how many are done, of how many.

    Raises:
        GalleryError: The gallery cannot be written; what was stored before stays.
        ClusterError: The cluster does no more work.
    """
    spaces = by_space(routes)
    lists = {space: gallery.photos() if everything else gallery.missing(space) for space in spaces}
    total, summary = sum(map(len, lists.values())), Summary()
    with parallel.workers(preparer.threads) as pool:
        try:
            for space, photos in lists.items():
                window = max(AHEAD * BATCH, 2 * (preparer.threads or 1))
                described = parallel.ordered(pool, partial(_describe, preparer, gallery, space), photos, window)
                while some := list(islice(described, BATCH)):
                    summary.failures += [found for _, found in some if isinstance(found, Failure)]
                    templates = {number: found for number, found in some if not isinstance(found, Failure)}
                    summary.enrolled += gallery.add_templates(gallery_space(spaces[space]), templates)
                    progress(summary.done, total)
        except BaseException:
            preparer.stop()
            raise
    return summary


def _describe(
    preparer: Preparer, gallery: Gallery, space: str, photo: Photo
) -> tuple[int, NDArray[np.float32] | Failure]:
    """The photo's number, and its template."""
    try:
        data = gallery.photo_bytes(photo)
    except GalleryError as error:
        return photo.id, Failure(photo.file_name, str(error))
    return photo.id, preparer.describe(Stored(data, photo.file_name, photo.landmarks), space)
