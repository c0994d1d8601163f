"""MWF: for every patch a mean of its candidates, weighted for all patches together so that neighbours agree.

Zhou, Kuang, Wong: Markov Weight Fields for Face Sketch Synthesis, CVPR 2012.

MRF chooses one candidate a patch; here a node's state is the weights w_i of K candidates, none negative, sum 1. What is
minimized is

    Σ_i |t_i − P_i w_i|² + α Σ_(i,j) |O_i^j w_i − O_j^i w_j|²

with the photo's patch t_i, its candidates' photo patches P_i, and O_i^j the pixels that the candidates' sketch patches
share with neighbour j: a convex quadratic program. The cascade decomposition solves it part by part, the weights
elsewhere held, until they rest. Choices here:

- The numbers of the settings: patches of 10 pixels, half of which their neighbours share, K = 10, α = 1 (the ratio of
  the paper's variances).
- The decomposition's parts are single nodes. Those of a checkerboard's one colour have no edge between them, and are
  solved at once, each exactly; so the sum falls with every part, and its limit is the optimum.
- Candidates are sought by luminance, near the same place; patches are joined as MRF's.
"""

import math

import torch
from torch import Tensor

from forensic.errors import UsageError
from forensic.synthesis.patchwork import Patchwork, cut, cut_one, grid, quilted, seams
from forensic.synthesis.registry import method
from forensic.synthesis.translator import Modality

RESTS = 1e-3  # largest change of a weight at which the cascade ends
GAP = 1e-10  # complementarity at which a quadratic program is solved, in units of its mean curvature
RIDGE = 1e-9  # likewise: for candidates that are the same patch


@method("mwf")
class MWF(Patchwork):
    """Markov weight field over the patches of exemplars.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        alpha: Weight of the neighbours' agreement beside the likeness to the input.
        neighbours: Candidates of a node, K.
        sweeps: Times that the cascade goes through all nodes, at most.
        patch: Pixels a side of a patch.
        overlap: Pixels that neighbouring patches share.
        search: Pixels around the same place in which candidates are sought.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Zhou, Kuang, Wong, Markov Weight Fields for Face Sketch Synthesis, CVPR 2012"

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        alpha: float = 1.0,
        neighbours: int = 10,
        sweeps: int = 50,
        patch: int = 10,
        overlap: int = 5,
        search: int = 5,
    ) -> None:
        super().__init__(source, target, patch=patch, step=patch - overlap, search=search, fewest=neighbours)
        if alpha < 0 or sweeps < 1:
            raise UsageError(f"mwf: alpha is {alpha}, expected 0 or more; sweeps is {sweeps}, expected 1 or more.")
        self.alpha, self.neighbours, self.sweeps, self.overlap = alpha, neighbours, sweeps, overlap

    def synthesized(self, x: Tensor) -> Tensor:
        """The face of one image (h, w), (3, h, w)."""
        height, width = x.shape
        where = grid(height, width, self.patch, self.patch - self.overlap)
        nearest = self.nearest(x, self.places, self.neighbours, self.patch)
        patches = cut_one(x, self.places, self.patch)[:, None]
        seen = (cut(self.grey, nearest, self.patch)[:, :, 0] - patches).flatten(2).double()
        drawn = cut(self.targets, nearest, self.patch)
        own = seen @ seen.mT  # t - P w is (t1' - P) w where the w sum to 1
        shared: list[tuple[Tensor, Tensor, Tensor]] = []
        for first, second, a, b in seams(drawn, where):
            # What all candidates have in common falls out where the w sum to 1, and would drown what they differ by.
            common = torch.cat([a, b], dim=1).mean(dim=1, keepdim=True)
            # The likeness is of luminance alone: the agreement's unit is one channel too.
            a, b = (math.sqrt(self.alpha / 3) * (side - common).double() for side in (a, b))
            own = own.index_add(0, first, a @ a.mT).index_add(0, second, b @ b.mT)
            shared.append((first, second, a @ b.mT))
        row, column = torch.arange(len(where.rows)), torch.arange(len(where.columns))
        colour = ((row[:, None] + column) % 2).flatten().to(x.device)
        ends, others, products = (torch.cat(part) for part in zip(*shared, strict=True))
        w = cascade(own, ends, others, products, colour, self.sweeps)
        return quilted(torch.einsum("lk,lkcij->lcij", w.to(drawn.dtype), drawn), where)


def cascade(own: Tensor, first: Tensor, second: Tensor, shared: Tensor, colour: Tensor, sweeps: int) -> Tensor:
    """Weights that minimize Σ_i w_i' own_i w_i − 2 Σ_edges w_first' shared w_second, each node's on the simplex.

    Args:
        own: Positive semidefinite, (n, k, k).
        first: Node at one end of each edge, (e,).
        second: Node at the other end, (e,).
        shared: (e, k, k).
        colour: Part of the cascade that a node belongs to, from 0, (n,); no edge joins nodes of one part.
        sweeps: Times that it goes through all parts, at most.

    Returns:
        (n, k).
    """
    n, k = own.shape[:2]
    w = own.new_full((n, k), 1 / k)
    edges = (torch.cat([first, second]), torch.cat([second, first]), torch.cat([shared, shared.mT]))
    parts = []
    for one in range(int(colour.max()) + 1):
        nodes = (colour == one).nonzero()[:, 0]
        here = (colour == one)[edges[0]]
        parts.append((nodes, *(part[here] for part in edges)))
    for _ in range(sweeps):
        before = w.clone()
        for nodes, to, of, matrix in parts:
            pull = torch.zeros_like(w).index_add(0, to, (matrix @ w[of][..., None])[..., 0])
            w[nodes] = on_simplex(own[nodes], pull[nodes])
        if (w - before).abs().max() < RESTS:
            break
    return w


def on_simplex(H: Tensor, c: Tensor, rounds: int = 50) -> Tensor:
    """Weights that minimize w'Hw/2 − c'w, none of them negative, sum 1: a primal-dual interior point method.

    Args:
        H: Positive semidefinite, (n, k, k).
        c: (n, k), of the same dtype.
        rounds: Newton steps, at most.

    Returns:
        (n, k).
    """
    k = c.shape[1]
    unit = H.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(torch.finfo(H.dtype).tiny)
    H, c = H / unit[:, None, None] + RIDGE * torch.eye(k, dtype=H.dtype, device=H.device), c / unit[:, None]
    w = torch.full_like(c, 1 / k)
    slope = (H @ w[..., None])[..., 0] - c
    s = slope - slope.amin(dim=1, keepdim=True) + 1  # of the w >= 0
    y = slope.amin(dim=1) - 1  # of the sum
    for _ in range(rounds):
        gap = (w * s).mean(dim=1, keepdim=True)
        if gap.max() < GAP:
            break
        residual = s + y[:, None] + c - (H @ w[..., None])[..., 0]
        aim = (0.1 * gap).clamp_min(GAP / 10)  # those that are solved wait
        factor = torch.linalg.cholesky(H + torch.diag_embed(s / w))
        right = torch.stack([residual + aim / w - s, torch.ones_like(w)], dim=2)
        a, b = torch.cholesky_solve(right, factor).unbind(2)
        dy = (1 - w.sum(dim=1) - a.sum(dim=1)) / b.sum(dim=1)
        dw = a + dy[:, None] * b
        ds = (aim - s * dw) / w - s
        step = 0.99 * torch.minimum(_room(w, dw), _room(s, ds))
        w, s, y = w + step * dw, s + step * ds, y + step[:, 0] * dy
    return w / w.sum(dim=1, keepdim=True)


def _room(value: Tensor, change: Tensor) -> Tensor:
    """Share of a change, at most 1 / 0.99, after which the first value is 0, (n, 1)."""
    ratio = torch.where(change < 0, -value / change, torch.inf)
    return ratio.amin(dim=1, keepdim=True).clamp_max(1 / 0.99)
