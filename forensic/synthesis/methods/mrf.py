"""MRF: for every patch one candidate of the exemplars', chosen for all patches together by belief propagation.

Wang, Tang: Face Photo-Sketch Synthesis and Recognition, IEEE TPAMI 31(11), 2009.

A Markov random field has a node for every patch. Its states are K sketch patches, those of the photo patches nearest to
the photo's. The local evidence says how near they are, the neighbouring compatibility how alike two neighbours' sketch
patches are in the pixels that they share. In the multiscale field a second layer of patches twice as large stands over
the first, and each patch has the larger one that it lies in as a neighbour too. Max-product belief propagation finds
the states (MAP, which the paper prefers to the MMSE mean: that blurs), and cuts of least error join them.
Choices here:

- The numbers of the settings: patches of 10 pixels, half of which their neighbours share, K = 20, two scales, and both
  variances equal.
- Candidates are sought by luminance, near the same place, and a person may give several.
- Products of exponentials are sums of squares. All messages are sent at once, and mixed with the last ones, which
  settles those that would go to and fro.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from forensic.errors import UsageError
from forensic.synthesis.patchwork import Grid, Patchwork, cut, cut_one, grid, quilted, seams
from forensic.synthesis.registry import method
from forensic.synthesis.translator import Modality

MIXED = 0.5  # of the last message in the next


@method("mrf")
class MRF(Patchwork):
    """Multiscale Markov random field over the patches of exemplars.

    Args:
        source: Modality of the input.
        target: Modality of the output.
        patch: Pixels a side of a patch of the finest scale; each scale above has patches twice as large.
        overlap: Pixels that neighbouring patches of the finest scale share; with several scales at least half a patch.
        scales: Layers of the field.
        candidates: States of a node, K.
        search: Pixels around the same place in which candidates are sought.
        compatibility: Weight of the neighbouring compatibility beside the local evidence, σ_e² / σ_c².
        rounds: Times that all messages are sent.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Wang and Tang, Face Photo-Sketch Synthesis and Recognition, TPAMI 2009"

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        scales: int = 2,
        candidates: int = 20,
        compatibility: float = 1.0,
        rounds: int = 30,
        patch: int = 10,
        overlap: int = 5,
        search: int = 5,
    ) -> None:
        if scales < 1 or compatibility < 0 or rounds < 1 or (scales > 1 and 2 * overlap < patch):
            raise UsageError(
                f"mrf: scales {scales} and rounds {rounds} must be 1 or more, compatibility {compatibility} 0 or more,"
                f" and with several scales overlap {overlap} at least half of patch {patch}."
            )
        sizes = [patch * 2**n for n in range(scales)]
        super().__init__(
            source, target, patch=patch, step=patch - overlap, search=search, fewest=candidates, sizes=sizes
        )
        self.overlap, self.scales, self.candidates = overlap, scales, candidates
        self.compatibility, self.rounds = compatibility, rounds

    def synthesized(self, x: Tensor) -> Tensor:
        """The face of one image (h, w), (3, h, w)."""
        layers = [self._layer(x, n) for n in range(self.scales)]
        first, second, costs = field(layers)
        evidence = torch.cat([layer.evidence for layer in layers])
        # The evidence is of luminance alone: the compatibility's unit is one channel too.
        chosen = propagated(evidence, first, second, self.compatibility / 3 * costs, self.rounds)
        finest = layers[0]
        nodes = torch.arange(len(finest.states), device=x.device)
        return quilted(finest.states[nodes, chosen[: len(nodes)]], finest.grid)

    def _layer(self, x: Tensor, scale: int) -> "Layer":
        size, (height, width) = self.patch * 2**scale, x.shape
        where = grid(height, width, size, (self.patch - self.overlap) * 2**scale)
        places = where.places.to(x.device)
        nearest = self.nearest(x, places, self.candidates, size)
        difference = cut(self.grey, nearest, size)[:, :, 0] - cut_one(x, places, size)[:, None]
        return Layer(where, cut(self.targets, nearest, size), difference.square().sum(dim=(2, 3)))


class Layer(NamedTuple):
    """The nodes of one scale.

    Attributes:
        grid: Where their patches are.
        states: Their candidates in the target modality, (nodes, K, 3, size, size).
        evidence: Squared distance of the photo's patch to the candidates', (nodes, K).
    """

    grid: Grid
    states: Tensor
    evidence: Tensor


def field(layers: list[Layer]) -> tuple[Tensor, Tensor, Tensor]:
    """The edges of the field, within the layers and from each to the next.

    Returns:
        The nodes at either end, (edges,) each, numbered through the layers; and what two states cost, the squared
        distance of the pixels that they share, (edges, K, K).
    """
    edges = []
    count = 0
    for layer, above in zip(layers, [*layers[1:], None], strict=True):
        for first, second, a, b in seams(layer.states, layer.grid):
            edges.append((first + count, second + count, torch.cdist(a, b).square()))
        below, count = count, count + len(layer.states)
        if above is not None:
            for child, parent, a, b in nested(layer, above):
                edges.append((child + below, parent + count, torch.cdist(a, b).square()))
    ends, others, costs = zip(*edges, strict=True)
    return torch.cat(ends), torch.cat(others), torch.cat(costs)


def nested(layer: Layer, above: Layer) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """What patches and the larger patches that they lie in say of the pixels that they share; as `seams` yields it."""
    size = layer.states.shape[-1]
    (up, down), (left, right) = (
        _parents(below, over, size) for below, over in zip(layer.grid, above.grid, strict=True)
    )
    shape = len(layer.grid.rows), len(layer.grid.columns)
    child = torch.arange(len(layer.states)).view(shape)
    parent = up[:, None] * len(above.grid.columns) + left
    for y in sorted(set(down.tolist())):
        for x in sorted(set(right.tolist())):
            chosen = (down == y)[:, None] & (right == x)
            if chosen.any():
                small, large = child[chosen].to(layer.states.device), parent[chosen].to(layer.states.device)
                inside = above.states[large, ..., y : y + size, x : x + size]
                yield small, large, layer.states[small].flatten(2), inside.flatten(2)


def _parents(below: list[int], above: list[int], size: int) -> tuple[Tensor, Tensor]:
    """For patches along a side, which of those above, twice as large, has the nearest middle, and where it has them."""
    offset = torch.tensor(below)[:, None] - torch.tensor(above)
    parent = (2 * offset - size).abs().argmin(dim=1)
    return parent, offset.gather(1, parent[:, None])[:, 0]


def propagated(evidence: Tensor, first: Tensor, second: Tensor, costs: Tensor, rounds: int) -> Tensor:
    """States of little cost by max-product belief propagation; of least cost where the edges make a tree.

    Args:
        evidence: What each state of each node costs, (n, k).
        first: Node at one end of each edge, (e,).
        second: Node at the other end, (e,).
        costs: What the state of ``first`` costs beside that of ``second``, (e, k, k).
        rounds: Times that all messages are sent.

    Returns:
        A state for each node, (n,).
    """
    e = len(first)
    sender, receiver = torch.cat([first, second]), torch.cat([second, first])
    costs = torch.cat([costs, costs.mT])
    messages = evidence.new_zeros(2 * e, evidence.shape[1])
    for _ in range(rounds):
        belief = evidence.index_add(0, receiver, messages)
        others = belief[sender] - messages.roll(e, dims=0)  # all that the sender hears but from the receiver
        sent = (others[:, :, None] + costs).amin(dim=1)
        messages = torch.lerp(sent - sent.amin(dim=1, keepdim=True), messages, MIXED)
    return evidence.index_add(0, receiver, messages).argmin(dim=1)
