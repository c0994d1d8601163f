"""The composition behind ``forensic evaluate``: which protocols there are, and one report of those that were run.

Probes are sketches and the gallery is photos, as in a search. The untrained embedder is always the first system: one
that does not beat it has not helped.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from forensic import datasets
from forensic.errors import DataError, UsageError
from forensic.evaluation import closed_set as closed
from forensic.evaluation import open_set as opened
from forensic.evaluation.accuracy import Group, Paired, Report
from forensic.evaluation.cross_photo import cross_photo
from forensic.evaluation.differentials import differentials
from forensic.evaluation.evidence import evidence
from forensic.evaluation.null_space import FEWEST_PEOPLE, null_space, whole_people
from forensic.evaluation.systems import System, Trial, described, distinct_routes, trial
from forensic.evaluation.trials import By, Finder, Side, describe, distractors_in, pairs_of, sides
from forensic.provenance import made_by

PROTOCOLS = ("closed-set", "cross-photo", "open-set", "calibration", "nlda", "distractors")
UNTRAINED = "untrained"


def with_untrained(names: Sequence[str]) -> list[str]:
    """Names of systems without repetition, the untrained embedder first.

    >>> with_untrained(["direct", "sketch-to-photo:pix2pix", "direct"])
    ['untrained', 'direct', 'sketch-to-photo:pix2pix']
    """
    return list(dict.fromkeys([UNTRAINED, *names]))


def evaluate(
    folder: Path,
    systems: Sequence[System],
    finder: Finder,
    *,
    protocols: Sequence[str] | None = None,
    by: By | None = None,
    split: str = "test",
    resplit: bool = False,
    subset: str | None = None,
    distractors: Path | None = None,
    repeats: int = 20,
    seed: int = 0,
    quiet: bool = True,
    command: Sequence[str] = (),
) -> Report:
    """Run protocols for systems on a data set; faces are found, aligned and described once for all systems.

    Args:
        folder: CUFS, FS2K or a folder of pairs.
        systems: matchers under test, the untrained embedder first.
        finder: finds and aligns faces; a face that it misses is a miss of every system.
        protocols: which of ``PROTOCOLS`` to run; None for all that the data and the systems allow.
        by: what counts as a mate in the closed set; None for the exact image, and where people repeat the person too.
        split: ``test``, ``train`` or ``all``.
        resplit: whether to take the split that keeps people apart (FS2K).
        subset: the only part of the data set whose pairs are probes and gallery; None for all of it.
        distractors: folder of photos of other people, who enlarge the gallery.
        repeats: random splits of the NLDA protocol.
        seed: of every random choice.
        quiet: whether to leave progress bars out.
        command: the command line, to be kept in the report.

    Raises:
        UsageError: if a protocol is unknown or lacks what it needs, or the first system is not the untrained.
        DataError: if the data set cannot be used.
    """
    check(systems, protocols, distractors is not None, repeats)
    pairs = pairs_of(folder, split, resplit=resplit, subset=subset)
    chosen = _chosen(protocols, pairs, systems, distractors is not None, folder)
    entries, photos = sides(pairs)
    routes, pixels = distinct_routes(systems), "nlda" in chosen
    probes = describe(entries, "probe", routes, finder, pixels=pixels, label="Sketches", quiet=quiet)
    gallery = describe(photos, "gallery", routes, finder, pixels=pixels, label="Photos", quiet=quiet)
    told = {"probes": probes, "gallery": gallery}
    if distractors is not None:
        crowd = distractors_in(distractors)
        told["distractors"] = describe(crowd, "gallery", routes, finder, label="Distractors", quiet=quiet)
    compared = trial(systems, probes, gallery, told.get("distractors"), seed)
    names = [route.name for route in routes]
    splitting = pixels and (bool(protocols) or len(whole_people(probes, gallery)) >= FEWEST_PEOPLE)
    return Report(
        data={**_data(folder, split, probes, gallery), "resplit": resplit, "subset": subset},
        faces={name: _faces(side) for name, side in told.items()},
        systems=tuple(described(system) for system in systems),
        routes=tuple({"name": r.name, "space": r.space, "models": dict(r.models)} for r in routes),
        seed=seed,
        made_by=made_by(),
        command=tuple(command),
        **_results(compared, pairs, systems, chosen, by, seed),
        nlda=null_space(names, probes, gallery, repeats=repeats, seed=seed, quiet=quiet) if splitting else (),
    )


def check(systems: Sequence[System], protocols: Sequence[str] | None, distractors: bool, repeats: int) -> None:
    """Refuse what cannot be run, before any image is read.

    Raises:
        UsageError: as ``evaluate``.
    """
    if unknown := sorted(set(protocols or ()) - set(PROTOCOLS)):
        raise UsageError(f"Unknown protocol '{unknown[0]}'. Known: {', '.join(PROTOCOLS)}.")
    if "distractors" in (protocols or ()) and not distractors:
        raise UsageError("The protocol 'distractors' needs a folder of photos of other people.")
    if not systems or systems[0].name != UNTRAINED:
        raise UsageError(f"The first system must be '{UNTRAINED}', the row that every other one has to beat.")
    if "calibration" in (protocols or ()) and not _calibrations(systems):
        names = ", ".join(system.name for system in systems)
        raise UsageError(f"The protocol 'calibration' needs a system with a calibration; {names} have none.")
    if repeats < 1:
        raise UsageError(f"The NLDA protocol needs at least one repeat, {repeats} asked for.")


def _chosen(
    asked: Sequence[str] | None,
    pairs: Sequence[datasets.Pair],
    systems: Sequence[System],
    distractors: bool,
    folder: Path,
) -> Sequence[str]:
    """The protocols to run: those asked for, or all that there is enough for."""
    repeated = bool(datasets.cross_photo(pairs))
    people = len({pair.person or pair.identity for pair in pairs})
    if asked is None:
        lacking = {
            "cross-photo": not repeated,
            "calibration": not _calibrations(systems),
            "distractors": not distractors,
            "nlda": people < FEWEST_PEOPLE,
        }
        return [name for name in PROTOCOLS if not lacking.get(name)]
    if "nlda" in asked and people < FEWEST_PEOPLE:
        raise DataError(f"The protocol 'nlda' needs {FEWEST_PEOPLE} people, {folder} shows {people}. Leave it out.")
    if "cross-photo" in asked and not repeated:
        raise DataError(
            f"{folder} shows nobody in two pictures, so no sketch can search for another photo of its person. "
            "Leave the protocol 'cross-photo' out."
        )
    return asked


def _results(
    compared: Trial,
    pairs: Sequence[datasets.Pair],
    systems: Sequence[System],
    protocols: Sequence[str],
    by: By | None,
    seed: int,
) -> dict[str, Any]:
    """Every protocol's records, by the report's fields."""
    probes, results = compared.probes, dict[str, Any]()
    repeated = bool((probes.people != probes.identities).any())
    ways: tuple[By, ...] = (by,) if by else get_args(By) if repeated else ("image",)
    tests: list[Paired] = []
    groups: list[Group] = []
    if "closed-set" in protocols:
        results["closed_set"] = tuple(row for way in ways for row in closed.closed_set(compared, way, seed))
        for way in ways:
            ranks = closed.whole_ranks(compared, way)
            tests += closed.paired("closed-set", way, ranks, probes.people, seed)
            groups += closed.groups(probes, way, ranks, seed)
    if "cross-photo" in protocols:
        results["cross_photo"], more = cross_photo(compared, pairs, seed)
        tests += more
    if "open-set" in protocols:
        results["open_set"] = tuple(opened.open_set(compared, seed))
        results["verification"] = tuple(opened.verification(compared, seed))
    if "calibration" in protocols:
        results["evidence"] = tuple(evidence(compared, _calibrations(systems), seed))
    if "distractors" in protocols:
        results["distractors"] = tuple(row for way in ways for row in closed.distractor_sweep(compared, way, seed))
        results["differentials"] = tuple(differentials(compared, seed))
    return {**results, "paired": tuple(tests), "groups": tuple(groups)}


def _calibrations(systems: Sequence[System]) -> Mapping[str, Any]:
    found = {system.name: system.scoring.calibration for system in systems}
    return {name: fitted for name, fitted in found.items() if fitted is not None}


def _data(folder: Path, split: str, probes: Side, gallery: Side) -> dict[str, Any]:
    subsets, counts = np.unique(probes.subsets, return_counts=True)
    return {
        "name": folder.resolve().name,
        "split": split,
        "probes": len(probes.found),
        "photos": len(gallery.found),
        "identities": len(np.unique(probes.identities)),
        "people": len(np.unique(probes.people)),
        "subsets": dict(zip(subsets.tolist(), counts.tolist(), strict=True)),
    }


def _faces(side: Side) -> dict[str, Any]:
    return {
        "files": len(side.found),
        "found": int(side.found.sum()),
        "detectors": side.detectors,
        "failures": side.failures,
    }
