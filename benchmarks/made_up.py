"""Records of photos that never were: random bytes with random templates."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from forensic.gallery import Enrollment, Space


def space(name: str, dimension: int) -> Space:
    """A template space that no route has."""
    return Space(hashlib.sha256(name.encode()).hexdigest(), name, dimension, {"m": "e" * 64})


def template(dimension: int, random: np.random.Generator) -> np.ndarray:
    """A unit vector, float32."""
    vector = random.standard_normal(dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def record(number: int, size: int, spaces: Sequence[Space], random: np.random.Generator) -> Enrollment:
    """One photo of ``size`` bytes; two consecutive numbers are of one person."""
    data = random.bytes(size)
    return Enrollment(
        person=f"P{number // 2:06}",
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        file_name=f"{number}.jpg",
        format="JPEG",
        size=(600, 800),
        landmarks=np.arange(10, dtype=np.float32).reshape(5, 2),
        method="mtcnn",
        score=0.99,
        metadata={"name": f"Name {number // 2}"},
        templates={space: template(space.dimension, random) for space in spaces},
    )
