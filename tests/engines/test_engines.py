"""What every engine has to do: the same answers as the flat index to the last bit, and rows as they were put."""

import numpy as np
import pytest
from made_templates import DIMENSION, filled, giver, hashed, same, some, templates

from forensic.engines import Served, fingerprint, forget, search, synchronize
from forensic.engines import searching as searching_module
from forensic.errors import GalleryError, StaleIndex
from forensic.recognition.index import Index


def test_the_answer_is_the_flat_indexes(opened):
    listed, vectors = templates(1500)
    collection = filled(opened(), listed, vectors)
    rng = np.random.default_rng(1)
    queries = np.concatenate([vectors[:3], rng.standard_normal((3, DIMENSION))]).astype(np.float32)
    index = Index.build(vectors, listed.ids)
    for k in (1, 20):
        same(search(collection, queries, k), index.search(queries, k))
    same(search(collection, queries[:1], 5000), index.search(queries[:1], 5000))
    served = Served(collection, listed.ids, fingerprint(listed))
    assert (len(served), served.dimensions) == (1500, DIMENSION)
    same([served.rows([int(listed.ids[7])])], [vectors[[7]]])
    with pytest.raises(KeyError):
        served.rows([10**6])


def test_a_part_is_searched_as_the_index_does(opened, monkeypatch):
    monkeypatch.setattr(searching_module, "FEW", 50)
    monkeypatch.setattr(searching_module, "PART", 300)
    listed, vectors = templates(800)
    served = Served(filled(opened(), listed, vectors), listed.ids, fingerprint(listed))
    index, rng = Index.build(vectors, listed.ids), np.random.default_rng(2)
    for size in (0, 1, 40, 700):
        chosen = rng.choice(listed.ids, size, replace=False)
        for k in (1, 60):
            same(served.only(chosen).search(vectors[:2], k), index.only(chosen).search(vectors[:2], k))
    assert served.only(listed.ids) is served
    same(served.only(listed.ids[:5]).only(listed.ids[3:]).ids[None], listed.ids[3:5][None])


def test_rows_come_back_to_the_last_bit(opened):
    listed, vectors = templates(20)
    vectors[3, :4] = [-0.0, 1e-42, np.float32(1) / 3, 2.0**-126]
    collection = filled(opened(), listed, vectors)
    found = collection.rows([*listed.ids.tolist(), 999, 0])
    order = np.argsort(found.ids)
    expected = np.argsort(listed.ids)
    same((found.ids[order], found.photos[order]), (listed.ids[expected], listed.photos[expected]))
    assert found.vectors[order].tobytes() == vectors[expected].tobytes()
    assert len(collection.rows([]).ids) == 0
    assert collection.nearest(vectors[0], 3, [999]).tolist() == []


def test_only_the_difference_is_sent(opened):
    engine = opened()
    listed, vectors = templates(60)
    collection = engine.collection("a", DIMENSION)
    assert (collection.state(), collection.count()) == ("", 0)
    steps: list[tuple[int, int]] = []
    assert synchronize(collection, listed, giver(listed, vectors), progress=lambda *at: steps.append(at)) == (60, 0)
    assert steps == [(60, 60)]
    assert synchronize(collection, listed, giver(listed, vectors)) == (0, 0)
    changed = vectors.copy()
    changed[5] = -vectors[5]
    seals = listed.seals.copy()
    seals[5] = hashed("another")
    kept = np.arange(60) % 10 != 0
    newer = some(listed._replace(seals=seals), kept)
    asked: list[int] = []

    def give(numbers):
        asked.extend(numbers)
        return giver(newer, changed[kept])(numbers)

    assert synchronize(collection, newer, give) == (1, 6)
    assert asked == [listed.ids[5]]
    same(search(collection, vectors[:3], 54), Index.build(changed[kept], newer.ids).search(vectors[:3], 54))
    assert engine.collection("a").state() == fingerprint(newer)
    assert synchronize(collection, some(newer, np.zeros(54, bool)), give) == (0, 54)
    assert collection.count() == 0
    assert search(collection, vectors[:1], 3)[1].shape == (1, 0)


class Killed(BaseException):
    """The end of a process."""


def test_a_killed_filling_is_gone_on_with(opened, monkeypatch):
    monkeypatch.setattr("forensic.engines.synchronizing.BATCH", 10)
    engine = opened()
    listed, vectors = templates(45)
    give = giver(listed, vectors)

    def die(done, total):
        if done == 20:
            raise Killed

    collection = engine.collection("a", DIMENSION)
    with pytest.raises(Killed):
        synchronize(collection, listed, give, progress=die)
    again = engine.collection("a", DIMENSION)
    assert again.state() == ""
    assert again.count() == 20
    assert synchronize(again, listed, give) == (25, 0)
    same(search(again, vectors[:2], 45), Index.build(vectors, listed.ids).search(vectors[:2], 45))


def test_rows_that_others_removed_are_sent_again(opened):
    engine = opened()
    listed, vectors = templates(40)
    collection = filled(engine, listed, vectors)
    collection.remove(listed.ids[:3].tolist())
    assert collection.state() == fingerprint(listed)
    assert synchronize(collection, listed, giver(listed, vectors)) == (3, 0)
    same(search(collection, vectors[:2], 40), Index.build(vectors, listed.ids).search(vectors[:2], 40))


def test_what_changes_during_a_search_is_told(opened):
    listed, vectors = templates(30)
    collection = filled(opened(), listed, vectors)
    served = Served(collection, listed.ids, fingerprint(listed))
    synchronize(collection, some(listed, listed.ids != listed.ids[0]), giver(listed, vectors))
    with pytest.raises(StaleIndex, match="search again"):
        served.search(vectors[:1], 3)


def test_an_expunged_photo_leaves_every_collection_of_its_gallery_alone(opened):
    engine, other = opened("g1"), opened("g2")
    listed, vectors = templates(30)
    narrow = np.ascontiguousarray(vectors[:, :8])
    filled(engine, listed, vectors, "a")
    filled(engine, listed, narrow, "b")
    if other is not engine:  # the one in memory has one gallery
        filled(other, listed, vectors, "a")
        assert other.layouts() == ["a"]
    gone = listed.ids[:3].tolist()
    assert engine.layouts() == ["a", "b"]
    assert forget(engine, [*gone, 4711]) == 6
    for layout in ("a", "b"):
        collection = engine.collection(layout)
        assert (collection.count(), collection.state(), len(collection.rows(gone).ids)) == (27, "", 0)
    assert forget(engine, gone) == 0
    if other is not engine:
        assert other.collection("a").count() == 30
    engine.collection("a").destroy()
    assert engine.layouts() == ["b"]


def test_a_collection_of_another_dimension_is_refused(opened, request):
    if "memory" in request.node.name:
        pytest.skip("the engines themselves check it")
    engine = opened()
    engine.collection("a", 8)
    with pytest.raises(GalleryError, match=r"not.* 9"):
        engine.collection("a", 9)
    with pytest.raises(GalleryError, match="no templates of layout"):
        engine.collection("b")


@pytest.mark.parametrize(
    ("spoilt", "said"), [(np.nan, "not finite"), (9.0, "the length"), (None, r"expected \(5, 32\)")]
)
def test_templates_that_cannot_be_are_refused(memory, spoilt, said):
    listed, vectors = templates(5)
    if spoilt is None:
        vectors = vectors[:, :4]
    else:
        vectors[2, 2] = spoilt
    with pytest.raises(ValueError, match=said):
        synchronize(memory.collection("a", DIMENSION), listed, giver(listed, vectors))


def test_candidates_are_fetched_until_the_order_is_sure(memory):
    listed, vectors = templates(400)
    vectors[:] = vectors[0]
    vectors[300:] = -vectors[0]
    collection = filled(memory, listed, vectors)
    collection.asked.clear()
    same(search(collection, vectors[:1], 5), Index.build(vectors, listed.ids).search(vectors[:1], 5))
    assert [k for what, k in collection.asked if what == "nearest"] == [13, 52, 208, 832]
    collection.most = 100
    with pytest.raises(GalleryError, match="More than 100 templates score alike"):
        search(collection, vectors[:1], 5)
    with pytest.raises(GalleryError, match="100 candidates were asked for"):
        search(collection, vectors[:1], 100)


def test_an_engine_that_leaves_rows_out_is_found_out(memory, monkeypatch):
    listed, vectors = templates(30)
    collection = filled(memory, listed, vectors)
    monkeypatch.setattr(collection, "nearest", lambda query, k, only: listed.ids[:10])
    with pytest.raises(GalleryError, match="brought 10 of 30"):
        search(collection, vectors[:1], 5)
    monkeypatch.setattr(searching_module, "FEW", 10)
    with pytest.raises(GalleryError, match="brought 10 of 20"):
        search(collection, vectors[:1], 5, listed.ids[:20])
    monkeypatch.setattr(type(collection), "put", lambda self, listed, vectors: None)
    with pytest.raises(GalleryError, match="holds 0 templates after 30"):
        synchronize(memory.collection("b", DIMENSION), listed, giver(listed, vectors))


@pytest.mark.parametrize(
    ("queries", "k"),
    [(np.zeros((1, 9)), 1), (np.zeros(DIMENSION), 1), (np.zeros((1, 32)), 0), (np.full((1, 32), np.nan), 1)],
)
def test_questions_that_cannot_be_are_refused(memory, queries, k):
    with pytest.raises(ValueError, match=r"cannot search|at least one|not finite"):
        search(memory.collection("a", DIMENSION), queries, k)
