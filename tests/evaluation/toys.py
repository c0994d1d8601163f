"""Score tables of people who repeat, made without an image."""

from pathlib import Path

import numpy as np

from forensic.datasets import Pair
from forensic.evaluation import closed_set, cross_photo, differentials, evidence, open_set
from forensic.evaluation.accuracy import Report
from forensic.evaluation.systems import Trial
from forensic.evaluation.trials import Side
from forensic.recognition.calibration import Calibration

HERE = Path()


def side(
    identities: list[str],
    people: list[str],
    *,
    subsets: list[str] | None = None,
    found: list[bool] | None = None,
    **attributes: list[str],
) -> Side:
    """A side of an evaluation with labels alone."""
    return Side(
        identities=np.array(identities),
        people=np.array(people),
        subsets=np.array(subsets or [""] * len(people)),
        attributes={name: np.array(values) for name, values in attributes.items()},
        found=np.array(found if found is not None else [True] * len(people)),
        templates={},
        pixels={},
        failures=(),
        detectors={},
    )


def repeated(seed: int, people: int = 12, crowd: int = 30) -> tuple[Trial, list[Pair]]:
    """People of one to four photos; some photos are copies of a picture, one sketch has no face, one photo neither."""
    generator = np.random.default_rng(seed)
    pairs = []
    for person in range(people):
        for photo in range(1 + person % 4):
            name = f"p{person:02}-{photo}"
            picture = f"p{person:02}-0" if (person % 4, photo) == (2, 1) else name
            about = {"gender": "fm"[person % 2]}
            pairs.append(
                Pair(name, "ab"[person % 2], "test", HERE / f"{name}.jpg", HERE, about, f"p{person:02}", picture)
            )
    identities, owners = [pair.identity for pair in pairs], [pair.person for pair in pairs]
    known = {"subsets": [pair.subset for pair in pairs], "gender": [pair.attributes["gender"] for pair in pairs]}
    count = len(pairs)
    found = [at != 3 for at in range(count)]
    probes = side(identities, owners, found=found, **known)
    gallery = side(identities, owners, found=[at != 7 for at in range(count)], **known)
    names = [f"distractor:{at}" for at in range(crowd)]
    strangers = side(names, names, group=["x" if at % 3 else "y" for at in range(crowd)])
    same = np.array(owners)[:, None] == np.array(owners)[None]
    own, added = {}, {}
    for system, strength in (("untrained", 0.8), ("direct", 1.5), ("other", 1.3)):
        scores = np.round(generator.normal(size=(count, count)) + strength * same, 1)  # rounding makes ties
        scores[~probes.found] = -np.inf
        scores[:, ~gallery.found] = -np.inf
        own[system] = scores
        added[system] = np.where(probes.found[:, None], np.round(generator.normal(size=(count, crowd)), 1), -np.inf)
    return Trial(probes, gallery, strangers, own, added), pairs


FITTED = Calibration(
    kind="viewed", population="toys", people=9, mated=20, nonmated=90, slope=0.7, intercept=-0.6, lower=-1.2, upper=1.1
)


def whole_report() -> Report:
    """A report of every protocol but NLDA's, on toys."""
    trial, pairs = repeated(0)
    crossed, tests = cross_photo.cross_photo(trial, pairs, 0)
    ranks = closed_set.whole_ranks(trial, "image")
    counts = {"probes": 30, "photos": 30, "people": 12}
    system = {"weights": [1.0], "normalised": [False], "calibration": None}
    return Report(
        data={**counts, "name": "toys", "split": "test", "resplit": False, "subset": None},
        faces={"probes": {"files": 30, "found": 29, "detectors": {"fake": 29}, "failures": []}},
        systems=tuple({"name": name, "routes": [name], **system} for name in trial.own),
        routes=({"name": "direct", "space": "s", "models": {"<model>": "00"}},),
        seed=0,
        made_by={"numpy": "2"},
        command=("evaluate", "--data", "toys"),
        closed_set=closed_set.closed_set(trial, "image", 0) + closed_set.closed_set(trial, "person", 0),
        cross_photo=crossed,
        paired=(*closed_set.paired("closed-set", "image", ranks, trial.probes.people, 0), *tests),
        groups=tuple(closed_set.groups(trial.probes, "image", ranks, 0)),
        open_set=tuple(open_set.open_set(trial, 0)),
        verification=tuple(open_set.verification(trial, 0)),
        evidence=tuple(evidence.evidence(trial, {"direct": FITTED}, 0)),
        distractors=tuple(closed_set.distractor_sweep(trial, "image", 0)),
        differentials=tuple(differentials.differentials(trial, 0)),
    )
