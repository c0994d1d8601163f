"""SSD: a mapping from exemplars' pixels at every place of the photo, and the mean of what all near mappings draw.

Song, Bao, Yang, Yang: Real-Time Exemplar-Based Face Sketch Synthesis, ECCV 2014.

A patch T_p of the photo is a linear combination of its K nearest photo patches, by least squares; the same combination
of the pixels that lie there in the sketches is the estimate E_p of the coarse sketch, which is noisy. Spatial sketch
denoising draws each pixel by the mappings of all places q around it, E_p^q, and takes their mean. Choices here:

- The mappings that draw a pixel are those of all patches that it lies in, so that the mean of patches is the denoised
  sketch. K = 5, and patches of 17 pixels.
- The paper has a mapping at each pixel (``step=1``). Here there is one every 4 pixels, a sixteenth of the time;
  neighbouring mappings say much the same.
- A combination has no constraint in the paper. Pixels count from 0, black, as its images do: counted from a middle grey
  the same least squares would be another mapping.
- Candidates are sought by luminance, and a person may give several.
"""

import torch
from torch import Tensor

from forensic.synthesis.patchwork import Patchwork, cut, cut_one
from forensic.synthesis.registry import method
from forensic.synthesis.translator import Modality

RIDGE = 1e-6  # in units of the candidates' mean square: for candidates that are the same patch


@method("ssd")
class SSD(Patchwork):
    """Spatial sketch denoising.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        neighbours: Candidates of a mapping, K.
        patch: Pixels a side of a patch, and of the region that a mapping draws.
        step: Pixels from a mapping to the next.
        search: Pixels around the same place in which candidates are sought.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Song et al., Real-Time Exemplar-Based Face Sketch Synthesis, ECCV 2014"

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        neighbours: int = 5,
        patch: int = 17,
        step: int = 4,
        search: int = 5,
    ) -> None:
        super().__init__(source, target, patch=patch, step=step, search=search, fewest=neighbours)
        self.neighbours, self.step = neighbours, step

    def made(self, x: Tensor, part: slice) -> Tensor:
        """What the mappings of some of the places draw."""
        places = self.places[part]
        nearest = self.nearest(x, places, self.neighbours, self.patch)
        I = 1 + cut(self.grey, nearest, self.patch).flatten(2)  # noqa: E741, the paper's name
        mapping = least_squares(1 + cut_one(x, places, self.patch).flatten(1), I)
        return torch.einsum("lk,lkcij->lcij", mapping, 1 + cut(self.targets, nearest, self.patch)) - 1


def least_squares(t: Tensor, C: Tensor) -> Tensor:
    """Factors (l, k) that bring the sum of the candidates (l, k, d) nearest to the patch (l, d)."""
    C, t = C.double(), t.double()
    gram = C @ C.mT
    unit = gram.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(1e-9)
    gram = gram + RIDGE * torch.diag_embed(unit[:, None].expand(gram.shape[:2]))
    factors: Tensor = torch.linalg.solve(gram, (C @ t[..., None])[..., 0])
    return factors.float()
