"""Templates that are nobody's, for the tests of engines."""

import hashlib

import numpy as np

from forensic.engines import Listing, synchronize

DIMENSION = 32


def hashed(*words: object) -> bytes:
    return hashlib.sha256(repr(words).encode()).hexdigest().encode()


def templates(count: int, dimension: int = DIMENSION, seed: int = 0) -> tuple[Listing, np.ndarray]:
    """Unit vectors of which one in ten is another one's double, in the order of their photos' hashes."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, dimension))
    vectors[rng.integers(0, count, count // 10)] = vectors[rng.integers(0, count, count // 10)]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = rng.permutation(count) + 1
    photos = np.sort(np.array([hashed("photo", seed, int(number)) for number in ids], "S64"))
    seals = np.array([hashed("seal", row.tobytes()) for row in vectors], "S64")
    return Listing(ids.astype(np.int64), photos, seals), vectors


def giver(listed: Listing, vectors: np.ndarray):
    """The function that gives templates by number."""
    place = {number: at for at, number in enumerate(listed.ids.tolist())}
    return lambda numbers: vectors[[place[number] for number in numbers]]


def some(listed: Listing, kept: np.ndarray) -> Listing:
    return Listing(*(column[kept] for column in listed))


def filled(engine, listed, vectors, layout="a"):
    collection = engine.collection(layout, vectors.shape[1])
    synchronize(collection, listed, giver(listed, vectors))
    return collection


def same(given, expected) -> None:
    for one, other in zip(given, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
