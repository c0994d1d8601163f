"""Pencil: dodge and burn, the darkroom's way from a photo to a drawing. Nothing is trained.

It is the baseline that every photo-to-sketch generator has to beat.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.images import luminance
from forensic.synthesis.registry import method
from forensic.synthesis.translator import SIZE, Modality, Translator


@method("pencil")
class Pencil(Translator):
    """Colour dodge of the grey photo by its blurred negative, then burned by the photo's own shadows.

    Args:
        radius: Standard deviation of the blur in pixels at 256 x 256; larger ones leave more shading.
        strokes: Exponent on the dodged image; larger ones draw darker lines.
        shading: How far the photo's dark areas (hair, beard) are burned in, 0 to 1.
    """

    paper = "none: the colour dodge of photo editors"
    source: Modality = "photo"
    target: Modality = "sketch"

    def __init__(self, *, radius: float = 6.0, strokes: float = 2.0, shading: float = 0.8) -> None:
        super().__init__()
        if radius <= 0 or strokes <= 0 or not 0 <= shading <= 1:
            raise UsageError(
                f"pencil: radius {radius} and strokes {strokes} must be above 0, shading {shading} in [0, 1]."
            )
        self.radius, self.strokes, self.shading = radius, strokes, shading

    def translate(self, images: Tensor) -> Tensor:
        """Sketches of photos, (n, 3, 256, 256) in [-1, 1], the three channels equal."""
        colour = (images + 1) / 2
        grey = luminance(colour)
        deviation = self.radius * images.shape[-1] / SIZE
        surround = gaussian_blur(grey, deviation)
        # Colour dodge: base / (1 - blurred negative). Where a pixel is no darker than its surround, paper.
        dodged = (grey / surround.clamp(min=1e-3)).clamp(max=1) ** self.strokes
        # The brightest channel spares saturated colours: an artist draws dark hair, not a blue backdrop.
        shadow = 1 - gaussian_blur(colour.amax(dim=1, keepdim=True), deviation / 2)
        burned = dodged * (1 - self.shading * shadow**2)
        return (2 * burned - 1).expand(-1, 3, -1, -1).clone()


def gaussian_blur(images: Tensor, deviation: float) -> Tensor:
    """Images (n, 1, h, w) blurred by a Gaussian of this standard deviation in pixels, edges replicated."""
    reach = max(1, round(3 * deviation))
    offsets = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(offsets**2) / (2 * deviation**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
