"""How alike two faces are, part by part: where an examiner may look first.

Each portrait is described by where its lines run (`forensic.recognition.patches`), what drawings and photos have in
common among their own kind is taken away (the means of the embedder ``patches``), and what remains of the two faces is
correlated over the patches of one region of `forensic.faces.regions`.

Such a correlation has no unit: eyes are always more alike than hair, and a careful drawing is more like everybody. So
it is read beside the same figure of strangers, other people's photos that nobody chose for their likeness: 'more alike
than 93 of 100 others'.

It is no evidence by itself. It says where lines run alike, from five landmarks and without knowing what is rare: a part
can be like because it is common, because the hair was cut the same way or the light fell from the same side, and unlike
because the witness forgot it. The parts of one face are not independent, so their figures must not be multiplied or
added up. A search's own score, and its likelihood ratio, take no notice of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from forensic import images
from forensic.explanation import check_portraits
from forensic.faces import regions
from forensic.faces.regions import SURROUNDINGS, Parser
from forensic.recognition import embedding, patches
from forensic.recognition.embedding import Embedder, Modality
from forensic.recognition.patches import PatchGradients

Described = NDArray[np.float32]
"""Portraits by their lines, without what their kind has in common, shape (n, orientations, patches down, across)."""
PARTS = tuple(name for name in regions.REGIONS if name != SURROUNDINGS)
"""The regions that are compared: collar and backdrop are no part of a face."""
OTHERS = 100
"""Strangers that a likeness is read beside."""
_SHAPE = PatchGradients.down, PatchGradients.across


class Likeness(NamedTuple):
    """How alike two portraits are in one part of the face.

    Attributes:
        part: One of ``PARTS``; left and right are the person's own.
        value: Correlation of the two, -1 to 1; comparable within one part and one probe only.
        less_alike: How many of the others are less like the probe there.
        others: How many others there are.
    """

    part: str
    value: float
    less_alike: int
    others: int

    @property
    def words(self) -> str:
        """The likeness as a person reads it.

        >>> Likeness("nose", 0.41, 93, 100).words
        'more alike than 93 of 100 others'
        """
        if not self.others:
            return "nobody else is there to compare with"
        return f"more alike than {self.less_alike} of {self.others} others"


class Comparer:
    """Compares aligned portraits part by part.

    Args:
        embedder: Whose means are taken away; the shipped ``patches`` by default.
        parse: Finds the regions of a portrait.

    Raises:
        ModelError: The embedder's weights are missing or damaged.
    """

    def __init__(self, embedder: Embedder | None = None, *, parse: Parser = regions.from_landmarks) -> None:
        self.embedder = embedder or embedding.load(embedding.PATCHES)
        self.parse = parse

    def describe(self, portraits: Sequence[Image.Image], modality: Modality) -> Described:
        """Portraits as `compare` takes them, about 30 kB each.

        Args:
            portraits: 256 x 256, as `forensic.faces.Aligned.portrait` gives them.
            modality: What they are: drawings or photos.

        Raises:
            ValueError: A portrait is not 256 x 256.
        """
        check_portraits(*portraits)
        if not portraits:
            return np.empty((0, patches.ORIENTATIONS, *_SHAPE), np.float32)
        views = images.to_tensor([self.embedder.view(portrait) for portrait in portraits])
        own: Described = self.embedder.features(views).numpy()
        if self.embedder.head is not None:
            own = own - self.embedder.head.means[modality].numpy()
        return own.reshape(len(own), patches.ORIENTATIONS, *_SHAPE)

    def compare(
        self,
        probe: Image.Image,
        candidate: Image.Image,
        others: Described,
        *,
        kinds: tuple[Modality, Modality] = ("sketch", "photo"),
    ) -> tuple[Likeness, ...]:
        """How alike a probe and a candidate are in each part that both show, in the order of ``PARTS``.

        Args:
            probe: The probe's portrait, 256 x 256.
            candidate: The candidate's.
            others: Photos of strangers, from `describe`: neither the candidate's, nor chosen for their likeness.
            kinds: What the probe and the candidate are.

        Raises:
            ValueError: A portrait is not 256 x 256.
        """
        sketch = self.describe([probe], kinds[0])
        photos = np.concatenate([self.describe([candidate], kinds[1]), others])
        parsed = self.parse(probe), self.parse(candidate)
        found = []
        for part in PARTS:
            weights = np.minimum(*(_shares(masks[part]) for masks in parsed))
            if not weights.any():
                continue
            values = _correlations(sketch, photos, weights)
            less_alike = int((values[1:] < values[0]).sum())
            found.append(Likeness(part, float(values[0]), less_alike, len(others)))
        return tuple(found)


def _correlations(probe: Described, photos: Described, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosines of one description with others, each patch counting as much as it lies in the region."""
    rows = [(side * np.sqrt(weights)).reshape(len(side), -1).astype(np.float64) for side in (probe, photos)]
    lengths = [np.linalg.norm(side, axis=1) for side in rows]
    cosines: NDArray[np.float64] = (rows[1] @ rows[0][0]) / np.maximum(lengths[1] * lengths[0][0], 1e-12)
    return cosines


def _shares(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The share of each patch that lies in a region of the portrait, shape (patches down, across)."""
    pixels = torch.from_numpy(mask.astype(np.float32))[None]
    frame = torch.nn.functional.avg_pool2d(pixels, mask.shape[0] // patches.SIZE)
    inner = frame[:, patches.TOP : patches.BOTTOM, patches.LEFT : patches.RIGHT]
    shares: NDArray[np.float32] = torch.nn.functional.avg_pool2d(inner, patches.CELL, patches.STRIDE)[0].numpy()
    return shares
