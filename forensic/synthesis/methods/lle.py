"""LLE: a sketch put together from patches of other sketches. The exemplar baseline; nothing is trained.

Liu, Tang, Jin, Lu, Ma: A Nonlinear Approach for Face Sketch Synthesis and Recognition, CVPR 2005.

A patch of the photo is written as a combination of the K nearest photo patches (locally linear embedding), the same
combination of their sketch patches is its sketch, and where patches overlap they are averaged. Choices here:

- Patches of 20 pixels that overlap by 14, and a search of 5 pixels around the same place, are the settings of RSLCR
  (Wang, Gao, Li 2018), which compares with this method; K = 5.
- Neighbours are sought by luminance, and a person may give several.
"""

import torch
from torch import Tensor

from forensic.errors import UsageError
from forensic.synthesis.patchwork import Patchwork, cut, cut_one
from forensic.synthesis.registry import method
from forensic.synthesis.translator import Modality


@method("lle")
class LLE(Patchwork):
    """Locally linear embedding over the patches of exemplars.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        patch: Pixels a side of a patch.
        overlap: Pixels that neighbouring patches share.
        neighbours: Nearest patches that a patch is combined from, K.
        search: Pixels around the same place in which they are sought.
        ridge: Regularization of the combination, in units of the mean squared distance of the K neighbours (as Saul
            and Roweis 2003): near-equal neighbours share their weight.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Liu et al., A Nonlinear Approach for Face Sketch Synthesis and Recognition, CVPR 2005"

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        patch: int = 20,
        overlap: int = 14,
        neighbours: int = 5,
        search: int = 5,
        ridge: float = 1e-3,
    ) -> None:
        super().__init__(source, target, patch=patch, step=patch - overlap, search=search, fewest=neighbours)
        if ridge <= 0:
            raise UsageError(f"lle: ridge is {ridge}, expected more than 0.")
        self.overlap, self.neighbours, self.ridge = overlap, neighbours, ridge

    def made(self, x: Tensor, part: slice) -> Tensor:
        """The patches at some of the places: the combinations of their neighbours."""
        places = self.places[part]
        nearest = self.nearest(x, places, self.neighbours, self.patch)
        patches = cut_one(x, places, self.patch).flatten(1)
        w = combination(patches, cut(self.grey, nearest, self.patch).flatten(2), self.ridge)
        return torch.einsum("lk,lkcij->lcij", w, cut(self.targets, nearest, self.patch))


def combination(t: Tensor, C: Tensor, ridge: float) -> Tensor:
    """Weights that sum to 1 and bring the neighbours nearest to the patch (Saul and Roweis 2003).

    Args:
        t: Patches, (l, d).
        C: Their neighbours, (l, k, d).
        ridge: Regularization in units of the mean squared distance of the neighbours.

    Returns:
        (l, k).
    """
    differences = (t[:, None] - C).double()
    gram = differences @ differences.transpose(1, 2)
    distance = gram.diagonal(dim1=1, dim2=2).mean(dim=1)
    # Where all neighbours are the patch itself, any combination is right: the equal one.
    eye = torch.eye(C.shape[1], dtype=gram.dtype, device=gram.device)
    gram = gram + (ridge * distance + 1e-12)[:, None, None] * eye
    w: Tensor = torch.linalg.solve(gram, gram.new_ones(gram.shape[:2]))
    return (w / w.sum(dim=1, keepdim=True)).to(t.dtype)
