"""Milvus in a file and as a server, pgvector and the index in memory, side by side on the same 20,000 templates."""

import hashlib

import numpy as np
import pytest

from forensic.engines import Listing, open_engine, search, synchronize
from forensic.recognition.index import Index

COUNT, DIMENSION, PROBES = 20_000, 128, 10


@pytest.mark.server
def test_milvus_pgvector_and_the_flat_index_give_the_same_hundred(milvus, served_milvus, pgvector):
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((COUNT, DIMENSION))
    vectors[rng.integers(0, COUNT, 4000)] = vectors[rng.integers(0, COUNT // 100, 4000)]  # some twenty of a kind
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    photos = np.sort(np.array([hashlib.sha256(b"%d" % row).hexdigest().encode() for row in range(COUNT)], "S64"))
    seals = np.array([hashlib.sha256(row.tobytes()).hexdigest().encode() for row in vectors], "S64")
    listed = Listing(rng.permutation(COUNT).astype(np.int64) + 1, photos, seals)
    place = {number: row for row, number in enumerate(listed.ids.tolist())}
    queries = np.concatenate([vectors[: PROBES // 2], rng.standard_normal((PROBES // 2, DIMENSION))]).astype(np.float32)
    expected = Index.build(vectors, listed.ids).search(queries, 100)
    assert any(len(np.unique(row)) < 90 for row in expected[0]), "ties occur"
    kept = rng.choice(listed.ids, COUNT // 2, replace=False)
    expected_of_half = Index.build(vectors, listed.ids).only(kept).search(queries[:2], 100)
    for url in (milvus, served_milvus, pgvector):
        engine = open_engine(url, "g1")
        try:
            collection = engine.collection("a", DIMENSION)
            synchronize(collection, listed, lambda numbers: vectors[[place[number] for number in numbers]])
            found = search(collection, queries, 100)
            assert [part.tobytes() for part in found] == [part.tobytes() for part in expected]
            found = search(collection, queries[:2], 100, kept)
            assert [part.tobytes() for part in found] == [part.tobytes() for part in expected_of_half]
        finally:
            engine.close()
