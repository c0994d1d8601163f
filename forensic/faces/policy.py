"""What is good enough: a policy file sets limits on the measures of `forensic.faces.quality`.

The file is TOML, a table a measure, each with limits for ``warn``, ``refuse`` or both::

    [eye_distance]
    warn = {below = 30}
    refuse = {below = 12}

    [yaw]
    warn = {below = -30, above = 30}

A measure without a table is measured and never judged. A limit itself is within the limits.
"""

from __future__ import annotations

import hashlib
import math
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from forensic import regular
from forensic.errors import UsageError
from forensic.faces.quality import Quality, measure
from forensic.images import display_name

if TYPE_CHECKING:
    from PIL import Image

    from forensic.faces.detect import Face

Verdict = Literal["accept", "warn", "refuse"]

SHIPPED = Path(__file__).with_name("policy.toml")
MEASURES = tuple(field.name for field in fields(Quality))
_WORDS = {
    "width": ("the photo's width is", "pixels"),
    "height": ("the photo's height is", "pixels"),
    "face_height": ("the face's height is", "pixels"),
    "eye_distance": ("the eyes' distance is", "pixels"),
    "sharpness": ("the face's sharpness is", ""),
    "brightness": ("the face's brightness is", "(0 black, 1 white)"),
    "dark": ("the black share of the face is", ""),
    "light": ("the white share of the face is", ""),
    "yaw": ("the head is turned by", "degrees"),
    "pitch": ("the head is bowed by", "degrees"),
    "roll": ("the head is tilted by", "degrees"),
    "occlusion": ("the covered share of the face is", ""),
}


class Limits(NamedTuple):
    """The range that is good enough; None for no limit."""

    below: float | None = None
    above: float | None = None

    def broken(self, value: float) -> str | None:
        """Which limit a value breaks, in words."""
        if self.below is not None and value < self.below:
            return f"below {self.below:g}"
        if self.above is not None and value > self.above:
            return f"above {self.above:g}"
        return None


class Assessment(NamedTuple):
    """A face's measures and what a policy says of them.

    Attributes:
        measures: What was measured.
        verdict: The worst of all measures'.
        reasons: A sentence for each measure outside of its limits.
        policy: SHA-256 of the policy's file.
    """

    measures: Quality
    verdict: Verdict
    reasons: tuple[str, ...]
    policy: str

    def to_json(self) -> dict[str, Any]:
        """The assessment as a gallery keeps it."""
        return {
            "measures": self.measures.to_json(),
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "policy": self.policy,
        }


class Policy(NamedTuple):
    """Limits by measure.

    Attributes:
        warn: Outside of these a person should look at the photo.
        refuse: Outside of these the photo is of no use.
        digest: SHA-256 of the file, hexadecimal.
    """

    warn: Mapping[str, Limits]
    refuse: Mapping[str, Limits]
    digest: str

    def assess(self, picture: Image.Image, face: Face) -> Assessment:
        """Measure a face and judge it; arguments and errors are those of `quality.measure`."""
        return self.judge(measure(picture, face))

    def judge(self, measures: Quality) -> Assessment:
        """What the policy says of measures."""
        verdict: Verdict = "accept"
        reasons = []
        for name in MEASURES:
            value = getattr(measures, name)
            refused = self.refuse.get(name, Limits()).broken(value)
            broken = refused or self.warn.get(name, Limits()).broken(value)
            if broken is None:
                continue
            verdict = "refuse" if refused or verdict == "refuse" else "warn"
            words, unit = _WORDS[name]
            reasons.append(" ".join(filter(None, (words, f"{value:.3g}", unit))) + f", {broken}")
        return Assessment(measures, verdict, tuple(reasons), self.digest)


def load(path: str | os.PathLike[str] | None = None) -> Policy:
    """The policy of a file, by default the shipped one.

    Raises:
        UsageError: The file cannot be read, names an unknown measure or limit, or sets one that makes no sense.
    """
    file = SHIPPED if path is None else Path(path)
    name = display_name(file)
    try:
        content = regular.read(file)
        tables = tomllib.loads(content.decode())
    except OSError as error:
        raise UsageError(f"The policy {name} cannot be read: {error.strerror}. Give a TOML file.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"The policy {name} is no TOML file: {error}. Begin with a copy of {SHIPPED}.") from None
    for measure_name in tables:
        if measure_name not in MEASURES:
            raise UsageError(f"The policy {name} has limits for {measure_name!r}. Known: {', '.join(MEASURES)}.")
    verdicts = {key: _table(table, f"The policy {name}: {key}") for key, table in tables.items()}
    return Policy(
        {key: limits["warn"] for key, limits in verdicts.items() if "warn" in limits},
        {key: limits["refuse"] for key, limits in verdicts.items() if "refuse" in limits},
        hashlib.sha256(content).hexdigest(),
    )


def _table(table: Any, where: str) -> dict[str, Limits]:
    """The limits of one measure."""
    if not isinstance(table, dict) or not set(table) <= {"warn", "refuse"}:
        raise UsageError(f"{where} is {table!r}; expected a table with warn = {{...}}, refuse = {{...}} or both.")
    limits = {verdict: _limits(value, f"{where}.{verdict}") for verdict, value in table.items()}
    if {"warn", "refuse"} <= set(limits):
        for side, laxer in _laxer(limits["warn"], limits["refuse"]):
            raise UsageError(
                f"{where}.refuse.{side} is {laxer:g}, stricter than warn: nothing would get the warning. Swap the two."
            )
    return limits


def _laxer(warn: Limits, refuse: Limits) -> Iterator[tuple[str, float]]:
    """Limits of refusal that lie within those of warning: the two were mixed up."""
    if refuse.below is not None and warn.below is not None and refuse.below > warn.below:
        yield "below", refuse.below
    if refuse.above is not None and warn.above is not None and refuse.above < warn.above:
        yield "above", refuse.above


def _limits(value: Any, where: str) -> Limits:
    if not isinstance(value, dict) or not value or not set(value) <= set(Limits._fields):
        raise UsageError(f"{where} is {value!r}; expected {{below = NUMBER}}, {{above = NUMBER}} or both in one.")
    for side, number in value.items():
        if type(number) not in (int, float) or not math.isfinite(number):  # a bool is an int to isinstance
            raise UsageError(f"{where}.{side} is {number!r}; expected a finite number.")
    limits = Limits(**{side: float(number) for side, number in value.items()})
    if limits.below is not None and limits.above is not None and limits.below > limits.above:
        raise UsageError(f"{where} is {value!r}; nothing lies between. Swap the two.")
    return limits
