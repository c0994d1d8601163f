"""Trivial controls: what costs nothing, and what every generator has to beat. Nothing is trained.

They stand in every table of routes: a second radius of the pencil, a blend of photo and pencil, and a sketch that was
only given a photo's tones.
"""

import torch
from torch import Tensor

from forensic.errors import UsageError
from forensic.images import luminance
from forensic.synthesis.methods.pencil import Pencil, gaussian_blur
from forensic.synthesis.registry import method
from forensic.synthesis.translator import SIZE, Modality, Translator

PHOTO_TONES = (
    0.025, 0.111, 0.168, 0.223, 0.272, 0.318, 0.367, 0.423, 0.476,
    0.525, 0.568, 0.613, 0.664, 0.713, 0.761, 0.813, 0.949,
)  # fmt: skip
"""Mean grey level of CUFS's and FS2K's training portraits at 17 quantiles, darkest first, in [0, 1]."""


@method("pencil-wide")
class WidePencil(Pencil):
    """The pencil with twice the radius: more shading, softer lines."""

    paper = "none: a control"

    def __init__(self, *, radius: float = 12.0, strokes: float = 2.0, shading: float = 0.8) -> None:
        super().__init__(radius=radius, strokes=strokes, shading=shading)


@method("blend")
class Blend(Translator):
    """Half the grey photo, half its pencil drawing.

    Args:
        share: Of the pencil, 0 to 1.
    """

    paper = "none: a control"
    source: Modality = "photo"
    target: Modality = "sketch"

    def __init__(self, *, share: float = 0.5) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise UsageError(f"blend: share {share} must be in [0, 1].")
        self.share = share
        self._pencil = Pencil()

    def translate(self, images: Tensor) -> Tensor:
        """Blends of photos, (n, 3, 256, 256) in [-1, 1], the three channels equal."""
        return self.share * self._pencil.translate(images) + (1 - self.share) * luminance(images)


@method("matched")
class Matched(Translator):
    """A sketch blurred, and its grey levels moved to those of the average photo.

    Args:
        radius: Standard deviation of the blur in pixels at 256 x 256: strokes become tone.
    """

    paper = "none: a control"
    source: Modality = "sketch"
    target: Modality = "photo"

    def __init__(self, *, radius: float = 1.5) -> None:
        super().__init__()
        if radius <= 0:
            raise UsageError(f"matched: radius {radius} must be above 0.")
        self.radius = radius

    def translate(self, images: Tensor) -> Tensor:
        """Toned sketches, (n, 3, 256, 256) in [-1, 1], the three channels equal."""
        grey = gaussian_blur(images.mean(dim=1, keepdim=True), self.radius * images.shape[-1] / SIZE)
        # Rank of every grey in its image, then the grey level that photos have at this rank.
        ranks = mid_ranks(grey.flatten(1).round(decimals=4))  # rounding noise is no difference of greys
        tones = images.new_tensor(PHOTO_TONES)
        place = ranks * (len(tones) - 1)
        low = place.long().clamp(max=len(tones) - 2)
        toned = torch.lerp(tones[low], tones[low + 1], place - low)
        return (2 * toned.view_as(grey) - 1).expand(-1, 3, -1, -1).clone()


def mid_ranks(values: Tensor) -> Tensor:
    """Rank of every value in its row, (n, k) from 0 to 1; equal values have the mean of their ranks.

    >>> mid_ranks(torch.tensor([[3.0, 1.0, 3.0]]))
    tensor([[0.7500, 0.0000, 0.7500]])
    """
    ordered = values.sort(dim=1).values
    below, up_to = (torch.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + up_to - 1).to(values.dtype) / (2 * (values.shape[1] - 1))
