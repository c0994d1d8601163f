"""Which parts of two faces carry the score between them.

A soft patch slides over one of the two portraits, what it hides is filled in from around it, and the fall of the
score is written where the patch lay (Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks,
section 4.2). The filling is a normalized blur of what the patch leaves visible: a grey square would be a thing drawn
on the face, and an embedder answers to it.

A map tells what the score hangs on, right or wrong. It is no evidence that two faces are one person's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from forensic import parallel
from forensic.faces import PORTRAIT, Aligned, Face, regions
from forensic.faces.hiding import hide, soften
from forensic.faces.regions import Parser

if TYPE_CHECKING:
    from forensic import routes
    from forensic.matching import Matcher
    from forensic.routes import Route

Score = Callable[[Sequence[Image.Image], Sequence[Image.Image]], NDArray[np.floating]]
"""Scores of 256 x 256 probe portraits with candidate portraits, higher for more alike, shape (probes, candidates)."""
Map = NDArray[np.float32]
Side = Literal["probe", "candidate"]
SIDES: tuple[Side, Side] = ("probe", "candidate")

PATCH = 40
"""Side of the sliding patch in pixels at half depth; the eyes are 51 apart."""
STEP = 24
"""Pixels from one place of the patch to the next."""
EDGE = 8.0
"""Pixels over which the patch fades out."""
RAISES, LOWERS = (0, 114, 178), (230, 120, 0)
"""Blue and orange, which people see apart however they see colours (after Okabe and Ito)."""

_FACE = Face(np.array([0, 0, 256, 256], np.float32), PORTRAIT.landmarks.astype(np.float32), 1.0, "aligned")
_PIXELS = np.arange(PORTRAIT.size) + 0.5


class Region(NamedTuple):
    """What one region carries.

    A share is the fall of the score when the region alone is hidden, of the sum of such falls over all regions;
    a region whose hiding raises the score has none. Shares tell what weighs more, not how much evidence there is.

    Attributes:
        name: One of `forensic.faces.regions.REGIONS`; left and right are the person's own.
        probe: Its share on the probe's side, 0 to 1.
        candidate: Its share on the candidate's side, 0 to 1.
        probe_fall: By how much the score falls when the region is hidden in the probe; negative where it rises.
        candidate_fall: The same for the candidate.
        area: Share of the two portraits that the region covers.
    """

    name: str
    probe: float
    candidate: float
    probe_fall: float
    candidate_fall: float
    area: float


@dataclass(frozen=True)
class Explanation:
    """What the score between a probe and a candidate hangs on.

    Attributes:
        score: The score of the two portraits as they are.
        regions: Every region, in the order of `forensic.faces.regions.REGIONS`.
        described: Portraits that were described for it, those as they are included.
        probe_map: By how much the score falls when a patch around the pixel is hidden in the probe's portrait;
            negative where hiding raises it; shape (256, 256).
        candidate_map: The same of the candidate's portrait.
    """

    score: float
    regions: tuple[Region, ...]
    described: int
    probe_map: Map = field(repr=False, compare=False)
    candidate_map: Map = field(repr=False, compare=False)

    @property
    def ceiling(self) -> float:
        """The strongest value of both maps: what `overlay` takes to show the two on one scale."""
        return float(max(np.abs(self.probe_map).max(), np.abs(self.candidate_map).max()))

    def to_json(self) -> dict[str, Any]:
        """The explanation as plain data, without the maps."""
        return {
            "portrait_score": round(self.score, 6),
            "largest_fall": {
                "probe": round(float(self.probe_map.max()), 6),
                "candidate": round(float(self.candidate_map.max()), 6),
            },
            "regions": [
                {key: value if isinstance(value, str) else round(value, 6) for key, value in region._asdict().items()}
                for region in self.regions
            ],
            "described": self.described,
        }


def explain(
    score: Score,
    probe: Image.Image,
    candidate: Image.Image,
    *,
    parse: Parser = regions.from_landmarks,
    patch: int = PATCH,
    step: int = STEP,
) -> Explanation:
    """Hide parts of the probe, then of the candidate, and tell how far the score falls.

    Each side takes one description for every place of the patch, ``ceil(256 / step) ** 2``, one for every region, one
    for the portrait as it is and one for the other side's (`portraits_of`). The same pair gives the same explanation,
    to the byte.

    Args:
        score: Compares portraits; `matcher_score` makes it of a matcher.
        probe: The probe's aligned portrait, 256 x 256.
        candidate: The candidate's.
        parse: Finds the regions.
        patch: Side of the patch in pixels. A smaller one shows more detail and misses what several parts carry
            together.
        step: Pixels between places.

    Raises:
        ValueError: A portrait is not 256 x 256, or patch or step are not positive.
    """
    check_portraits(probe, candidate)
    if patch < 1 or step < 1:
        raise ValueError(f"Expected a patch and a step of at least 1 pixel, got {patch} and {step}.")
    places = len(_centres(step)) ** 2
    parsed = {SIDES[0]: parse(probe), SIDES[1]: parse(candidate)}
    maps, falls, whole = {}, {}, 0.0
    for side in SIDES:
        whole_regions = (soften(parsed[side][name]) for name in regions.REGIONS)
        whole, fall = fall_of(score, probe, candidate, side, itertools.chain(_patches(patch, step), whole_regions))
        maps[side], falls[side] = _spread(fall[:places], step), fall[places:]
    shares = {side: np.maximum(fall, 0) / max(np.maximum(fall, 0).sum(), 1e-6) for side, fall in falls.items()}
    table = tuple(
        Region(
            name,
            float(shares["probe"][k]),
            float(shares["candidate"][k]),
            float(falls["probe"][k]),
            float(falls["candidate"][k]),
            float(np.mean([masks[name].mean() for masks in parsed.values()])),
        )
        for k, name in enumerate(regions.REGIONS)
    )
    return Explanation(whole, table, portraits_of(step), maps["probe"], maps["candidate"])


def portraits_of(step: int = STEP) -> int:
    """How many portraits an explanation takes, along each route."""
    return 2 * (len(_centres(step)) ** 2 + len(regions.REGIONS) + 2)


def matcher_score(matcher: Matcher, watch: Callable[[], None] = lambda: None) -> Score:
    """The score of a matcher, of portraits: copies at another scale, so it differs a little from a search's.

    Portraits that differ only where a route's embedder does not look are described once.

    Args:
        matcher: Compares the portraits.
        watch: Called before each portrait of each route. What it raises ends the work.
    """

    def score(probes: Sequence[Image.Image], candidates: Sequence[Image.Image]) -> NDArray[np.float64]:
        return matcher.scoring.scores(
            [_describe(route, probes, "probe", watch) for route in matcher.routes],
            [_describe(route, candidates, "gallery", watch) for route in matcher.routes],
        )

    return score


def _describe(
    route: Route, portraits: Sequence[Image.Image], side: routes.Side, watch: Callable[[], None]
) -> NDArray[np.float32]:
    faces = [Aligned(portrait, _FACE) for portrait in portraits]
    # A translator looks at the whole portrait, an embedder at its own square.
    looked_at = [(face.image if route.translated == side else route.embedder.view(face)).tobytes() for face in faces]
    differing = dict(zip(looked_at, faces, strict=True)).values()
    seen: dict[bytes, NDArray[np.float32]] = {}
    with parallel.workers() as pool:
        described = parallel.ordered(pool, lambda face: route.describe([face], side)[0], differing)
        for view in looked_at:
            watch()
            if view not in seen:
                seen[view] = next(described)
    return np.stack([seen[view] for view in looked_at])


def overlay(image: Image.Image, values: Map, ceiling: float | None = None) -> Image.Image:
    """A map over its portrait: orange where hiding lowers the score, blue where it raises it.

    The portrait goes grey, since colours of its own could be taken for the map's.

    Args:
        image: The portrait, of the map's size.
        values: One of an explanation's maps.
        ceiling: The value that is shown at full strength, by default the map's strongest; give
            `Explanation.ceiling` to show both maps on one scale.

    Raises:
        ValueError: The sizes differ.
    """
    if image.size != values.shape[::-1]:
        raise ValueError(f"Expected an image of the map's size {values.shape[::-1]}, got {image.size}.")
    strongest = float(np.abs(values).max()) if ceiling is None else ceiling
    strength = np.clip(values / (strongest or 1.0), -1, 1)[..., None]
    grey = np.asarray(image.convert("L").convert("RGB"), dtype=np.float32)
    colour = np.where(strength > 0, LOWERS, RAISES)
    # Paper-white and black portraits alike let a colour through at three quarters.
    mixed = grey + 0.75 * np.abs(strength) * (colour - grey)
    return Image.fromarray(mixed.round().astype(np.uint8))


def fall_of(
    score: Score, probe: Image.Image, candidate: Image.Image, side: Side, masks: Iterable[Map]
) -> tuple[float, NDArray[np.float64]]:
    """The score, and by how much it falls with each mask on one side hidden.

    The masks are as `forensic.faces.hiding.hide` takes them.
    """
    if side == "probe":
        scores = score([probe, *hide(probe, masks)], [candidate])[:, 0]
    else:
        scores = score([probe], [candidate, *hide(candidate, masks)])[0]
    exact = scores.astype(np.float64)
    return float(exact[0]), exact[0] - exact[1:]


def _centres(step: int) -> NDArray[np.float64]:
    """Where the patch's middle comes to lie along one side, in pixels."""
    count = math.ceil(PORTRAIT.size / step)
    centres: NDArray[np.float64] = PORTRAIT.size / 2 + (np.arange(count, dtype=np.float64) - (count - 1) / 2) * step
    return centres


def _patches(patch: int, step: int) -> Iterator[Map]:
    """The patch at every place, row by row."""
    distance = np.abs(_PIXELS - _centres(step)[:, None])
    ramp = np.clip((patch + EDGE) / 2 - distance, 0, EDGE) / EDGE
    windows = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
    return (np.outer(down, across) for down in windows for across in windows)


def _spread(falls: NDArray[np.float64], step: int) -> Map:
    """A map of the falls at the patch's places: means weighted by a Gaussian, which leaves no grid to be seen."""
    centres = _centres(step)
    weights = np.exp(-(((_PIXELS[:, None] - centres) / (0.6 * step)) ** 2) / 2)
    weights /= weights.sum(1, keepdims=True)
    spread: Map = (weights @ falls.reshape(len(centres), -1) @ weights.T).astype(np.float32)
    return spread


def check_portraits(*portraits: Image.Image) -> None:
    """Raise a ValueError for what is no aligned portrait."""
    for portrait in portraits:
        if portrait.size != (PORTRAIT.size, PORTRAIT.size):
            raise ValueError(
                f"Expected an aligned portrait of {PORTRAIT.size} x {PORTRAIT.size} pixels, got "
                f"{portrait.width} x {portrait.height}. Give `Aligned.portrait`."
            )
