"""Check an explanation by deletion: does hiding what it points at hurt more than hiding as much elsewhere?

After Samek et al. 2017, Evaluating the Visualization of What a Deep Neural Network Has Learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from forensic.explanation import SIDES, Explanation, Score, Side, check_portraits, fall_of
from forensic.faces import regions
from forensic.faces.hiding import soften
from forensic.faces.regions import Parser

Mask = NDArray[np.bool_]
What = Literal["pixels", "regions"]


class Deletion(NamedTuple):
    """Whether hiding what an explanation points at hurts more than hiding as much elsewhere.

    Attributes:
        side: Where it was hidden.
        what: ``pixels``, the map's highest, or ``regions``, those that carry most.
        area: Share of the head that was hidden.
        fall: By how much the score fell.
        random: By how much it fell on average when a random spot of that area was hidden.
        beaten: Share of the random spots that hurt less.
    """

    side: Side
    what: What
    area: float
    fall: float
    random: float
    beaten: float


def deletion_check(
    score: Score,
    probe: Image.Image,
    candidate: Image.Image,
    explanation: Explanation,
    *,
    areas: Sequence[float] = (0.1, 0.2),
    top_regions: int = 3,
    repeats: int = 10,
    seed: int = 0,
    parse: Parser = regions.from_landmarks,
) -> tuple[Deletion, ...]:
    """Hide what an explanation points at, and as much at random spots, and compare how far the score falls.

    Only the head counts, for both: at random spots of the backdrop any map would win.

    Args:
        score: As `explain` had it.
        probe: As `explain` had it.
        candidate: As `explain` had it.
        explanation: What `explain` gave.
        areas: Shares of the head that are hidden where the map is highest.
        top_regions: How many regions are hidden together, those with the largest falls.
        repeats: Random spots for each.
        seed: Chooses the spots.
        parse: Finds the regions.

    Returns:
        For each side one of each area, then one of the regions.

    Raises:
        ValueError: A portrait is not 256 x 256, an area is not between 0 and 1, or a number is below 1.
    """
    check_portraits(probe, candidate)
    if not all(0 < area < 1 for area in areas) or min(repeats, top_regions) < 1:
        raise ValueError(
            f"Expected areas between 0 and 1 and at least one region and repeat, got {tuple(areas)}, {top_regions} "
            f"and {repeats}."
        )
    rng, found = np.random.default_rng(seed), []
    portraits = (probe, candidate)
    maps = (explanation.probe_map, explanation.candidate_map)
    for side, portrait, values in zip(SIDES, portraits, maps, strict=True):
        masks = parse(portrait)
        head = ~masks[regions.SURROUNDINGS]
        pixels = [_first(-values, head, round(area * head.sum())) for area in areas]
        together = np.logical_or.reduce([masks[name] for name in _heaviest(explanation, side, top_regions)])
        told: list[tuple[What, Mask]] = [*(("pixels", mask) for mask in pixels), ("regions", together)]
        for what, mask in told:
            spots = [_spot(head, int(mask.sum()), rng) for _ in range(repeats)]
            fall = fall_of(score, probe, candidate, side, [soften(hidden) for hidden in (mask, *spots)])[1]
            area, random = float(mask.sum() / head.sum()), fall[1:]
            beaten = float((random < fall[0]).mean())
            found.append(Deletion(side, what, area, float(fall[0]), float(random.mean()), beaten))
    return tuple(found)


def _heaviest(explanation: Explanation, side: Side, count: int) -> list[str]:
    """Names of the regions of the head whose hiding hurts most."""
    falls = {region.name: getattr(region, f"{side}_fall") for region in explanation.regions}
    del falls[regions.SURROUNDINGS]
    return sorted(falls, key=lambda name: -falls[name])[:count]


def _first(order: NDArray[np.floating], allowed: Mask, count: int) -> Mask:
    """The ``count`` allowed pixels of lowest order."""
    chosen = np.zeros(allowed.size, dtype=bool)
    chosen[np.argsort(np.where(allowed, order, np.inf), axis=None, kind="stable")[:count]] = True
    return chosen.reshape(allowed.shape)


def _spot(head: Mask, count: int, rng: np.random.Generator) -> Mask:
    """The ``count`` pixels of the head nearest to a random one of it: a disc, cut where the head ends."""
    y, x = rng.choice(np.argwhere(head))
    rows, columns = np.ogrid[: head.shape[0], : head.shape[1]]
    return _first((rows - y) ** 2.0 + (columns - x) ** 2.0, head, count)
