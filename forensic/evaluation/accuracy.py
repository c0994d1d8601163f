"""Accuracy reports: what an evaluation found, as typed records, JSON and table rows.

A record's ``route`` is the name of the system under test: a route, or several with ``+`` between. ``by`` says what
counts as a mate: the ``image`` that the sketch was drawn from, or any photo of the ``person``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from forensic.recognition.evaluation import Difference, Interval

FORMAT = "forensic-accuracy-2"
RESOLVED = 10
"""False alarms that a bound has to allow: with fewer, the threshold hangs on a search or two."""


@dataclass(frozen=True)
class Curve:
    """A figure at each rank or dimension 1, 2, ... with its 95 % interval over people."""

    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Tradeoff:
    """A DET: the share of misses at each share of false alarms, alarms rising."""

    alarms: tuple[float, ...]
    misses: tuple[float, ...]


@dataclass(frozen=True)
class ClosedSet:
    """Closed-set identification by one system on the probes of one subset.

    Attributes:
        route: the system.
        by: what counts as a mate.
        subset: part of the data set; ``all`` for the whole of it. Its probes search its photos alone.
        probes: how many probes.
        gallery: how many photos were searched.
        missed: probes that could not be found at any rank: no face in the sketch or in the mate's photo.
        ranks: share of probes whose mate is among the first 1, 5, 10, ...
        over_untrained: gain in rank-1 over the untrained embedder on the same probes; None for itself.
        curve: the CMC.
    """

    route: str
    by: str
    subset: str
    probes: int
    gallery: int
    missed: int
    ranks: Mapping[int, Interval]
    over_untrained: Difference | None
    curve: Curve


@dataclass(frozen=True)
class CrossPhoto:
    """Search for a person whose drawn photo, with its copies, has left the gallery.

    Attributes:
        route: the system.
        distractors: how many photos of other people were added.
        probes: sketches of whose person there is another picture.
        people: how many people these are; intervals draw them anew.
        gallery: photos before any of them leaves.
        missed: probes that could not be found at any rank.
        ranks: share of probes with another photo of the person among the first 1, 10, 50 people.
        over_untrained: gain in rank-1 over the untrained embedder; None for itself.
        curve: the CMC.
    """

    route: str
    distractors: int
    probes: int
    people: int
    gallery: int
    missed: int
    ranks: Mapping[int, Interval]
    over_untrained: Difference | None
    curve: Curve


@dataclass(frozen=True)
class Paired:
    """Rank-1 of one system minus another's on the same probes; p is not corrected for the number of pairs."""

    protocol: str
    by: str
    route: str
    against: str
    probes: int
    difference: Difference


@dataclass(frozen=True)
class Group:
    """Probes of one value of an attribute, searched in the whole gallery.

    Attributes:
        route: the system.
        by: what counts as a mate.
        attribute: column of the data set, such as ``gender``, or ``subset``.
        value: its value.
        probes: how many probes have it.
        ranks: share of them whose mate is among the first 1, 10, 50.
    """

    route: str
    by: str
    attribute: str
    value: str
    probes: int
    ranks: Mapping[int, Interval]


@dataclass(frozen=True)
class Distractors:
    """The same probes in a gallery enlarged by other people.

    Attributes:
        route: the system.
        by: what counts as a mate.
        distractors: how many photos of other people were added.
        probes: how many probes.
        gallery: size of the enlarged gallery.
        ranks: share of probes whose mate is among the first 1, 10, 50.
    """

    route: str
    by: str
    distractors: int
    probes: int
    gallery: int
    ranks: Mapping[int, Interval]


@dataclass(frozen=True)
class Differential:
    """How often a group of the distractors stands first, beside how many of them there are.

    Attributes:
        route: the system.
        attribute: column of the distractors' table.
        value: the group.
        photos: how many distractors are of it.
        share: its share of the distractors whose group is known.
        first: its share of the best-scoring of these, one for each probe.
        ratio: ``first`` divided by ``share``; 1 where a group is mistaken as often as it is there.
        best: expected best score of ``sample`` random photos of the group, mean over the probes.
        sample: size of the smallest group, so that a larger one has no more chances.
    """

    route: str
    attribute: str
    value: str
    photos: int
    share: float
    first: Interval
    ratio: Interval
    best: Interval
    sample: int


@dataclass(frozen=True)
class AtRate:
    """An error rate at a bound on the other one.

    Attributes:
        figure: the rate.
        allowed: how many false alarms the bound lets through, rounded down.
        resolved: whether that is at least ``RESOLVED``. Else the figure is rough, and its interval too narrow.
    """

    figure: Interval
    allowed: int
    resolved: bool


@dataclass(frozen=True)
class OpenSet:
    """Identification where the person may not be in the gallery.

    Every probe is searched twice: in the gallery with its mates, and with all photos of its person taken out.

    Attributes:
        route: the system.
        distractors: how many photos of other people were added.
        gallery: N, photos with a face in the search with the mates.
        mated: searches with a mate.
        nonmated: searches without.
        failed: probes without a face: misses in the one, silent in the other.
        depth: length of the candidate list; a mate beyond it is missed.
        fnir: for FPIR 0.01 and 0.003 the FNIR.
        no_threshold: FNIR at rank 1 and 50 with no threshold.
        curve: FNIR over FPIR.
    """

    route: str
    distractors: int
    gallery: int
    mated: int
    nonmated: int
    failed: int
    depth: int
    fnir: Mapping[str, AtRate]
    no_threshold: Mapping[int, Interval]
    curve: Tradeoff


@dataclass(frozen=True)
class Verification:
    """Every probe compared with every photo, one threshold for all.

    Attributes:
        route: the system.
        distractors: how many photos of other people were added.
        mated: comparisons of one person.
        nonmated: comparisons of two; of one without a face nothing is accepted.
        tar: for FAR 0.01, 0.001 and 0.0001 the true accept rate.
        eer: equal error rate.
        curve: FNMR over FMR.
    """

    route: str
    distractors: int
    mated: int
    nonmated: int
    tar: Mapping[str, AtRate]
    eer: Interval
    curve: Tradeoff


@dataclass(frozen=True)
class Evidence:
    """How good a system's likelihood ratios are, over all comparisons of probes with photos.

    Attributes:
        route: the system.
        distractors: how many photos of other people were added.
        kind: kind of sketch that the calibration was fitted on.
        population: its reference population.
        mated: comparisons of one person, by the person and not by the image.
        nonmated: comparisons of two.
        left_out: comparisons that could not be made for want of a face.
        cllr: cost of the log LRs in bits.
        cllr_min: the part of it that no recalibration removes.
        misleading_mated: share of mated comparisons with LR < 1.
        misleading_nonmated: share of the others with LR > 1.
        ece: empirical cross entropy in bits over the prior log10 odds.
        tippett: shares of comparisons with at least each log10 LR.
    """

    route: str
    distractors: int
    kind: str
    population: str
    mated: int
    nonmated: int
    left_out: int
    cllr: Interval
    cllr_min: float
    misleading_mated: Interval
    misleading_nonmated: Interval
    ece: Mapping[str, tuple[float, ...]]
    tippett: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class NullSpace:
    """The field's NLDA protocol: rank-1 after discriminant analysis, over random splits of the people.

    Attributes:
        route: name of the route.
        features: ``pixels`` (grey, as the papers have it) or ``embeddings``.
        analysis: what was fitted.
        probe: which side is the probe.
        repeats: how many random splits.
        fitting: people that each split fits on.
        testing: people who are probe and gallery.
        mean: mean over the splits at dimension 1, 2, ...
        deviation: standard deviation over the splits.
        maximum: maximum of the mean curve, the field's figure. It is chosen on the test people.
        maximum_at: its dimension.
        chosen: rank-1 at the dimension that each split's fitting people choose, the honest figure.
        chosen_deviation: its standard deviation over the splits.
        chosen_at: the chosen dimension, mean over the splits.
    """

    route: str
    features: str
    analysis: str
    probe: str
    repeats: int
    fitting: int
    testing: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    maximum: Interval
    maximum_at: int
    chosen: Interval
    chosen_deviation: float
    chosen_at: float


@dataclass(frozen=True)
class Report:
    """An evaluation with all that is needed to run it again.

    Attributes:
        data: name, split and counts of the data set, and of the distractors.
        faces: how many faces were found by which detector, and every failure.
        systems: name, routes, weights and calibration of each system under test, the untrained embedder first.
        routes: name, template space and model hashes of each route that takes part in one.
        seed: of every random choice.
        made_by: versions of the package and of what it stands on, the kind of machine, and the commit in a checkout.
        command: arguments of the command line, files and folders by name.
        closed_set: closed-set identification.
        cross_photo: the same with the drawn photo taken out.
        paired: differences between the systems.
        groups: rank-1 by the probes' attributes.
        open_set: identification with a threshold.
        verification: one probe and one photo.
        evidence: likelihood ratios.
        distractors: the sweep over gallery sizes.
        differentials: groups of distractors.
        nlda: the field's protocol.
    """

    data: Mapping[str, Any]
    faces: Mapping[str, Any]
    systems: tuple[Mapping[str, Any], ...]
    routes: tuple[Mapping[str, Any], ...]
    seed: int
    made_by: Mapping[str, str]
    command: tuple[str, ...] = ()
    closed_set: tuple[ClosedSet, ...] = ()
    cross_photo: tuple[CrossPhoto, ...] = ()
    paired: tuple[Paired, ...] = ()
    groups: tuple[Group, ...] = ()
    open_set: tuple[OpenSet, ...] = ()
    verification: tuple[Verification, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    distractors: tuple[Distractors, ...] = ()
    differentials: tuple[Differential, ...] = ()
    nlda: tuple[NullSpace, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data that JSON can hold.

        Raises:
            ValueError: if a figure is not finite.
        """
        return {"format": FORMAT, "intervals": "95 % bootstrap over people", **_plain(self)}


def _plain(value: Any) -> Any:
    """Records, tuples and numbers of numpy as what JSON has."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"A report holds the figure {value}; every figure must be finite.")
    return value
