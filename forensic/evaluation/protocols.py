"""The protocols of the field: closed set, distractors, null-space LDA; the composition behind ``evaluate``.

Probes are sketches and the gallery is photos, as in a search. The untrained embedder is always the first
route: a route that does not beat it has not helped.
"""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensic.errors import UsageError
from forensic.evaluation.accuracy import ClosedSet, Curve, Distractors, Report
from forensic.evaluation.null_space import null_space
from forensic.evaluation.trials import Finder, Route, Side, describe, distractors_in, pairs_of, sides
from forensic.recognition import evaluation

Array = NDArray[np.float64]

PROTOCOLS = ("closed-set", "nlda", "distractors")
UNTRAINED = "untrained"
RANKS = (1, 5, 10, 20, 50, 100)
SWEEP_RANKS = (1, 10, 50)


def with_untrained(names: Sequence[str]) -> list[str]:
    """Names of routes without repetition, the untrained embedder first.

    >>> with_untrained(["direct", "sketch-to-photo:pix2pix", "direct"])
    ['untrained', 'direct', 'sketch-to-photo:pix2pix']
    """
    return list(dict.fromkeys([UNTRAINED, *names]))


def evaluate(
    folder: Path,
    routes: Sequence[Route],
    finder: Finder,
    *,
    protocols: Sequence[str] = ("closed-set", "nlda"),
    split: str = "test",
    distractors: Path | None = None,
    repeats: int = 20,
    seed: int = 0,
    quiet: bool = True,
) -> Report:
    """Run protocols for routes on a data set; faces are found and aligned once for all routes.

    Args:
        folder: CUFS, FS2K or a folder of pairs.
        routes: routes under test, the untrained embedder first.
        finder: finds and aligns faces; a face that it misses is a miss of every route.
        protocols: which of ``PROTOCOLS`` to run.
        split: ``test``, ``train`` or ``all``.
        distractors: folder of photos of other people, for the protocol of that name.
        repeats: random splits of the NLDA protocol.
        seed: of every random choice.
        quiet: whether to leave progress bars out.

    Raises:
        UsageError: if a protocol is unknown or lacks what it needs, or the first route is not the untrained.
        DataError: if the data set cannot be used.
    """
    _check(routes, protocols, distractors, repeats)
    entries, photos = sides(pairs_of(folder, split))
    pixels = "nlda" in protocols
    probes = describe(entries, "probe", routes, finder, pixels=pixels, label="Sketches", quiet=quiet)
    gallery = describe(photos, "gallery", routes, finder, pixels=pixels, label="Photos", quiet=quiet)
    described = {"probes": probes, "gallery": gallery}
    if distractors is not None:
        crowd = distractors_in(distractors)
        described["distractors"] = describe(crowd, "gallery", routes, finder, label="Distractors", quiet=quiet)
    names = [route.name for route in routes]
    sweep = distractor_sweep(names, **described, seed=seed) if "distractors" in described else ()
    return Report(
        data=_data(folder, split, probes, gallery),
        faces={name: _faces(side) for name, side in described.items()},
        routes=tuple({"name": r.name, "space": r.space, "models": dict(r.models)} for r in routes),
        seed=seed,
        made_by=_versions(),
        closed_set=closed_set(names, probes, gallery, seed) if "closed-set" in protocols else (),
        distractors=sweep,
        nlda=null_space(names, probes, gallery, repeats=repeats, seed=seed, quiet=quiet) if pixels else (),
    )


def closed_set(routes: Sequence[str], probes: Side, gallery: Side, seed: int) -> tuple[ClosedSet, ...]:
    """Closed-set identification of every route, on the whole data set and within each of its subsets.

    Within a subset its probes search its own photos: a route that recognizes a subset's paper or lighting
    instead of a face gains on the whole set and nothing here.
    """
    names = np.unique(probes.subsets)
    rows = []
    for subset in ["all", *(names if len(names) > 1 else [])]:
        chosen = np.ones(len(probes.found), bool) if subset == "all" else probes.subsets == subset
        people = probes.identities[chosen]
        among = (subset == "all") | np.isin(gallery.identities, people)
        baseline: Array | None = None
        for route in routes:
            scores = compare(route, probes, gallery)[np.ix_(chosen, among)]
            ranks = evaluation.mate_ranks(scores, people, gallery.identities[among])
            baseline = ranks if baseline is None else baseline
            rows.append(_closed_row(route, str(subset), ranks, baseline, people, int(among.sum()), seed))
    return tuple(rows)


def distractor_sweep(
    routes: Sequence[str], probes: Side, gallery: Side, distractors: Side, seed: int
) -> tuple[Distractors, ...]:
    """The same probes against galleries that grow by nested random subsets of the distractors."""
    present = np.flatnonzero(distractors.found)
    order = np.random.default_rng(seed).permutation(present)
    rows = []
    for route in routes:
        own, added = compare(route, probes, gallery), compare(route, probes, distractors)
        for size in sweep_sizes(len(order)):
            crowd = order[:size]
            ranks = evaluation.mate_ranks(
                np.hstack([own, added[:, crowd]]),
                probes.identities,
                np.concatenate([gallery.identities, distractors.identities[crowd]]),
            )
            figures = {
                rank: evaluation.bootstrap_interval(ranks <= rank, probes.identities, seed=seed) for rank in SWEEP_RANKS
            }
            rows.append(Distractors(route, size, len(ranks), int(gallery.found.sum()) + size, figures))
    return tuple(rows)


def sweep_sizes(available: int) -> list[int]:
    """No distractor, then 250, 500, 1000, ... doubled, and all that there are.

    >>> sweep_sizes(1200)
    [0, 250, 500, 1000, 1200]
    """
    sizes = [0, 250]
    while sizes[-1] < available:
        sizes.append(2 * sizes[-1])
    return [*(size for size in sizes if size < available), available]


def compare(route: str, probes: Side, gallery: Side) -> Array:
    """Scores (probes, gallery) of a route; ``-inf`` where either side has no face."""
    left, right = (side.templates[route].astype(np.float64) for side in (probes, gallery))
    comparable = probes.found[:, None] & gallery.found[None]
    return np.where(comparable, left @ right.T, -np.inf)


def _closed_row(
    route: str, subset: str, ranks: Array, baseline: Array, people: NDArray[np.str_], gallery: int, seed: int
) -> ClosedSet:
    found = evaluation.hits(ranks, min(RANKS[-1], gallery))
    low, high = np.quantile(evaluation.bootstrap_means(found, people, seed=seed), (0.025, 0.975), axis=0)
    curve = Curve(tuple(found.mean(axis=0).tolist()), tuple(low.tolist()), tuple(high.tolist()))
    gain = evaluation.paired_difference(ranks <= 1, baseline <= 1, people, seed=seed)
    return ClosedSet(
        route=route,
        subset=subset,
        probes=len(ranks),
        gallery=gallery,
        missed=int(np.isinf(ranks).sum()),
        ranks={
            rank: evaluation.Interval(curve.value[rank - 1], curve.low[rank - 1], curve.high[rank - 1])
            for rank in RANKS
            if rank <= gallery
        },
        over_untrained=None if ranks is baseline else gain,
        curve=curve,
    )


def _check(routes: Sequence[Route], protocols: Sequence[str], distractors: Path | None, repeats: int) -> None:
    if unknown := sorted(set(protocols) - set(PROTOCOLS)):
        raise UsageError(f"Unknown protocol '{unknown[0]}'. Known: {', '.join(PROTOCOLS)}.")
    if ("distractors" in protocols) != (distractors is not None):
        raise UsageError("The protocol 'distractors' and a folder of photos of other people go together.")
    if not routes or routes[0].name != UNTRAINED:
        raise UsageError(f"The first route must be '{UNTRAINED}', the row that every other one has to beat.")
    if repeats < 1:
        raise UsageError(f"The NLDA protocol needs at least one repeat, {repeats} asked for.")


def _data(folder: Path, split: str, probes: Side, gallery: Side) -> dict[str, Any]:
    subsets, counts = np.unique(probes.subsets, return_counts=True)
    return {
        "name": folder.resolve().name,
        "split": split,
        "probes": len(probes.found),
        "photos": len(gallery.found),
        "identities": len(np.unique(probes.identities)),
        "subsets": dict(zip(subsets.tolist(), counts.tolist(), strict=True)),
    }


def _faces(side: Side) -> dict[str, Any]:
    return {
        "files": len(side.found),
        "found": int(side.found.sum()),
        "detectors": side.detectors,
        "failures": side.failures,
    }


def _versions() -> dict[str, str]:
    packages = ("forensic-sketch", "torch", "numpy", "scikit-learn", "facenet-pytorch")
    return {**{name: version(name) for name in packages}, "machine": platform.machine()}
