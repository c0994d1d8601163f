"""Cohort normalisation: what a score is worth beside the scores of people who are in no gallery.

Sketches are hubs: one with strong shading is near to many photos, and a photo with strong shadows is near to many
sketches. A **cohort** of sketches and photos of other people, drawn by several hands, tells how near is near. Two
corrections, both from the cohort's members that are nearest to the probe (adaptive, as in speaker verification: Sturim
and Reynolds, "Speaker adaptive cohort selection for T-norm", 2005):

- of the photo: what it gives to sketches like the probe, the mean of ``c . g`` over the nearest sketches ``c``, is
  taken away from its score ``p . g``;
- of the probe: its corrected scores with the nearest photos of the cohort become the zero and the unit of the scale.

Both are linear in the photo's template ``g``: the normalised score is ``q . g + b``. So nothing is stored beside a
template that could become stale, a normalised search is as fast as a plain one, and its answer depends neither on the
other probes nor on the other photos.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forensic.exact import inner_products

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

NEAREST = 50
"""Members of the cohort that count, of its sketches and of its photos."""
STRENGTH = 0.5
"""Share of the photo's correction that is made: chosen on sources that the embedders were not fitted to."""
SAME = 0.9999
"""Cosine from which a sketch of the cohort is the probe itself, which an agency's own cohort may hold."""
SMALLEST = 1e-6
"""Least unit of the scale: photos that are all one are no scale."""


class Query(NamedTuple):
    """A probe made ready: its score with a gallery's template ``g`` is ``vector . g + offset``."""

    vector: Array
    offset: float


class Cohort(NamedTuple):
    """Templates of people who are in no gallery.

    Attributes:
        sketches: Unit rows, as the probe's side is described, shape (m, d).
        photos: Unit rows, as the gallery's side is described, shape (n, d).
    """

    sketches: Floats
    photos: Floats

    def query(self, probe: NDArray[np.floating]) -> Query:
        """The probe with both corrections.

        Args:
            probe: A unit template, shape (d,).

        Raises:
            ValueError: The cohort has no sketch, or fewer than two photos, but the probe.
        """
        p = probe.astype(np.float64)
        likeness = inner_products([self.sketches], p)
        others = np.flatnonzero(likeness < SAME)
        if not len(others) or len(self.photos) < 2:
            raise ValueError(
                f"A cohort of {len(others)} sketches and {len(self.photos)} photos: at least 1 and 2 needed."
            )
        peers = others[np.argsort(-likeness[others], kind="stable")[:NEAREST]]
        corrected = p - STRENGTH * self.sketches[peers].astype(np.float64).mean(axis=0)
        near = np.sort(inner_products([self.photos], corrected))[-NEAREST:]
        zero, unit = near.mean(), max(near.std(), SMALLEST)
        return Query(corrected / unit, float(-zero / unit))
