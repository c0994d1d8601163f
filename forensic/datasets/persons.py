"""Synthetic people: a person is a seeded vector of facial traits, and no real person.

Lengths are in millimetres on the face, near published anthropometric means; spreads are somewhat wider
than a population's, so that a few hundred people stay distinguishable when they are drawn small.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Sex = Literal["female", "male"]

HAIR_STYLES: dict[Sex, dict[str, float]] = {
    "female": {"long": 0.3, "bob": 0.2, "fringe": 0.15, "tied": 0.17, "curly": 0.12, "crop": 0.06},
    "male": {
        "crop": 0.26,
        "side": 0.24,
        "buzz": 0.15,
        "receding": 0.13,
        "curly": 0.1,
        "bald": 0.07,
        "long": 0.05,
    },
}
BEARDS = {"none": 0.5, "stubble": 0.17, "moustache": 0.09, "goatee": 0.1, "full": 0.14}
GLASSES = {"none": 0.8, "round": 0.08, "square": 0.12}


def _trait(mean: float, spread: float, male: float = 0.0) -> Any:
    """A trait with its mean and spread; ``male`` is added for men and subtracted for women."""
    return dataclasses.field(metadata={"mean": mean, "spread": spread, "male": male})


@dataclass(frozen=True, kw_only=True)
class Person:
    """A face as numbers. ``Person.sample(seed)`` makes one; the same seed always makes the same one."""

    seed: int
    sex: Sex
    age: int  # years
    hair_style: str
    beard: str
    glasses: str

    # The head's outline: heights from the line of the eyes, half widths.
    skull_height: float = _trait(106, 5.5)
    skull_width: float = _trait(67, 3.6, 1)
    temple_width: float = _trait(65.5, 3.4, 1)
    cheek_width: float = _trait(65, 4.2, 1)
    jaw_width: float = _trait(51, 5.4, 2.2)
    jaw_height: float = _trait(70, 6)
    chin_width: float = _trait(20, 4.6, 2.4)
    chin_height: float = _trait(112, 6, 3)
    neck_width: float = _trait(44, 3.8, 5)
    shoulder_height: float = _trait(140, 6)
    ear_size: float = _trait(27, 3.4, 1)
    ear_spread: float = _trait(5.5, 3)

    eye_distance: float = _trait(63, 4.8)  # between the pupils
    eye_width: float = _trait(29.5, 2.8)
    eye_height: float = _trait(10.2, 2.0, -0.5)
    eye_tilt: float = _trait(2.5, 3.6, -1)  # degrees, outer corner up
    eye_peak: float = _trait(0.0, 0.3)  # where the upper lid is highest: -1 inner corner, 1 outer corner
    lid_crease: float = _trait(4.6, 1.9, -0.6)
    iris_colour: float = _trait(0.45, 0.35)  # 0 dark brown ... 1 pale blue
    eye_bags: float = _trait(0.35, 0.35, 0.05)
    socket_depth: float = _trait(7, 2.4, 0.8)

    brow_height: float = _trait(20.5, 3.6, -1.6)
    brow_thickness: float = _trait(6, 2.1, 1.1)
    brow_arch: float = _trait(4, 2.8, -1)
    brow_tilt: float = _trait(0, 4.6)  # degrees, outer end up
    brow_length: float = _trait(42, 4.6, 0.8)
    brow_gap: float = _trait(11, 3.2, -0.8)  # from the middle to the brow's inner end
    brow_ridge: float = _trait(2.6, 1.7, 1.3)

    nose_length: float = _trait(44.5, 4.2, 0.8)  # from the line of the eyes to the base
    nose_width: float = _trait(34.5, 4.8, 1.6)
    nose_bridge: float = _trait(8, 1.8, 0.5)
    nose_tip: float = _trait(9, 1.9, 0.4)
    nose_projection: float = _trait(19, 4.2, 1.5)
    nose_upturn: float = _trait(0.5, 0.45)
    nose_skew: float = _trait(0, 1.3)

    mouth_width: float = _trait(51, 5.2, 1)
    mouth_gap: float = _trait(21, 2.7, 0.6)  # from the nose's base to the line of the lips
    upper_lip: float = _trait(6, 2.1, -0.7)
    lower_lip: float = _trait(8.6, 2.4, -0.7)
    lip_bow: float = _trait(1.7, 1.1)
    mouth_curve: float = _trait(0, 2.1)
    lip_colour: float = _trait(0.5, 0.3, -0.2)

    cheekbone: float = _trait(5, 2.8)
    cheek_hollow: float = _trait(1.5, 2.4)
    chin_bump: float = _trait(5, 2.2)
    chin_cleft: float = _trait(0.1, 0.5, 0.1)
    fold: float = _trait(0.3, 0.35)  # from the nose's wing to the mouth's corner
    wrinkles: float = _trait(0.1, 0.22)

    skin: float = _trait(0.42, 0.3)  # 0 pale ... 1 dark
    ruddiness: float = _trait(0.4, 0.3, 0.1)
    freckles: float = _trait(0.0, 0.4)
    hair_colour: float = _trait(0.3, 0.3)  # 0 black ... 1 fair
    hair_red: float = _trait(0.25, 0.3)
    grey: float = _trait(0.0, 0.15)
    hairline: float = _trait(61, 7)
    recession: float = _trait(2, 5, 2)
    hair_volume: float = _trait(1, 0.35)
    parting: float = _trait(0, 22)
    beard_density: float = _trait(0.8, 0.2)
    glasses_size: float = _trait(1, 0.12)
    glasses_weight: float = _trait(1.6, 0.7)

    @classmethod
    def sample(cls, seed: int) -> Person:
        """The person of a seed (any non-negative integer)."""
        rng = np.random.default_rng([seed, 0x0FACE])
        sex: Sex = "male" if rng.random() < 0.6 else "female"
        age = int(rng.integers(19, 76))
        hair_style = _choose(HAIR_STYLES[sex], rng)
        beard = _choose(BEARDS, rng)
        glasses = _choose(GLASSES, rng)
        values: dict[str, float] = {}
        for name, (mean, spread, male) in TRAITS.items():
            shift = male if sex == "male" else -male
            values[name] = mean + shift + spread * float(np.clip(rng.normal(), -2.2, 2.2))
        values["wrinkles"] += max(age - 38, 0) / 40
        values["fold"] += max(age - 30, 0) / 60
        values["eye_bags"] += max(age - 40, 0) / 70
        values["grey"] += max(age - 42, 0) / 42
        values["hair_colour"] *= 1.25 - min(max(values["skin"], 0), 1)
        values["iris_colour"] *= 1.3 - min(max(values["skin"], 0), 1)
        return cls(
            seed=seed,
            sex=sex,
            age=age,
            hair_style=hair_style,
            beard=beard if sex == "male" else "none",
            glasses=glasses,
            **_bounded(values),
        )

    def distorted(self, amount: float, rng: np.random.Generator) -> Person:
        """The person as a witness remembers: every trait off by ``amount`` of its spread (one sigma)."""
        values = {
            name: getattr(self, name) + amount * spread * float(np.clip(rng.normal(), -2.2, 2.2))
            for name, (_, spread, _) in TRAITS.items()
        }
        changes: dict[str, Any] = dict(_bounded(values))
        return dataclasses.replace(self, **changes)

    def vector(self) -> np.ndarray:
        """Every trait in units of its spread from its mean, shape (traits,)."""
        return np.array([(getattr(self, name) - mean) / spread for name, (mean, spread, _) in TRAITS.items()])


TRAITS: dict[str, tuple[float, float, float]] = {
    field.name: (field.metadata["mean"], field.metadata["spread"], field.metadata["male"])
    for field in dataclasses.fields(Person)
    if field.metadata
}

_LIMITS: dict[str, tuple[float, float]] = {
    "eye_height": (6, 15.5),
    "eye_peak": (-0.6, 0.6),
    "lid_crease": (1.5, 9),
    "brow_height": (13.5, 30),
    "brow_thickness": (2.2, 11.5),
    "brow_arch": (-1, 10),
    "brow_gap": (4, 18),
    "brow_ridge": (0, 7),
    "ear_spread": (0, 13),
    "nose_length": (35, 52),
    "nose_width": (25, 47),
    "upper_lip": (2.2, 11.5),
    "lower_lip": (3.6, 14.5),
    "lip_bow": (0, 4.5),
    "cheek_hollow": (-2, 7),
    "skin": (0, 1),
    "grey": (0, 1),
    "hairline": (46, 76),
    "recession": (0, 16),
    "hair_volume": (0.35, 1.8),
    "hair_colour": (0, 1),
    "hair_red": (0, 1),
    "iris_colour": (0, 1),
    "ruddiness": (0, 1),
    "freckles": (0, 1),
    "eye_bags": (0, 1.2),
    "chin_cleft": (0, 1.2),
    "fold": (0, 1.3),
    "wrinkles": (0, 1.2),
    "lip_colour": (0, 1),
    "beard_density": (0.4, 1),
    "nose_upturn": (0, 1.4),
    "glasses_weight": (0.8, 3.4),
}


def _bounded(values: dict[str, float]) -> dict[str, float]:
    """Traits within what can be drawn, and in proportion to one another."""
    bounded = {name: float(np.clip(value, *_LIMITS.get(name, (-np.inf, np.inf)))) for name, value in values.items()}
    bounded["jaw_width"] = min(bounded["jaw_width"], bounded["cheek_width"] - 3)
    bounded["chin_width"] = float(np.clip(bounded["chin_width"], 10, bounded["jaw_width"] - 14))
    bounded["jaw_height"] = min(bounded["jaw_height"], bounded["chin_height"] - 26)
    # The mouth stays clear of the chin, and the eyes of each other and of the temples.
    bounded["mouth_gap"] = float(
        np.clip(bounded["mouth_gap"], 15, bounded["chin_height"] - bounded["nose_length"] - 34)
    )
    bounded["eye_width"] = float(np.clip(bounded["eye_width"], 23, min(36, bounded["eye_distance"] - 23)))
    bounded["neck_width"] = float(np.clip(bounded["neck_width"], 34, bounded["jaw_width"] + 2))
    return bounded


def _choose(shares: dict[str, float], rng: np.random.Generator) -> str:
    names = list(shares)
    weights = np.array(list(shares.values()))
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]
