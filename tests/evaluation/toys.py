"""Score tables of people who repeat, made without an image."""

from pathlib import Path

import numpy as np

from forensic.datasets import Pair
from forensic.evaluation.systems import Trial
from forensic.evaluation.trials import Side

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
