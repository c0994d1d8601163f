"""A gallery and its engine: an expunge reaches it, also when the process dies or the engine is away in between."""

import shutil

import numpy as np
import pytest
from PIL import Image
from user_keys import KEY

from forensic import Identifier
from forensic.engines import milvus as milvus_module
from forensic.errors import GalleryError, NotFound, StaleIndex, UsageError
from forensic.gallery import Gallery, Space, engines
from forensic.gallery.checks import proving
from forensic.gallery.cipher import encrypting
from forensic.gallery.log import trail
from forensic.recognition.index import Index


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.server) for name in ("milvus", "served_milvus", "pgvector")]
)
def url(request):
    """Of an engine without content."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def spaces(making):
    return making.space("direct"), making.space("patches")


@pytest.fixture
def gallery(tmp_path, making, spaces):
    with Gallery(tmp_path / "gallery", create=True) as made:
        made.enroll([making.record(number, spaces=spaces) for number in range(12)])
        yield made


@pytest.fixture
def digests(spaces):
    return [space.digest for space in spaces]


@pytest.fixture
def filled(gallery, url, digests):
    """The gallery, with its templates in the engine, once side by side and once of one route."""
    engines.choose(gallery, url)
    assert engines.synchronize(gallery, digests) == (12, 0)
    assert engines.synchronize(gallery, digests[:1]) == (12, 0)
    return gallery


def test_the_engine_answers_as_the_index_does(filled, digests):
    loaded = [filled.templates(digest) for digest in digests]
    vectors, ids = np.hstack([each.vectors for each in loaded]), loaded[0].photo_ids
    index = Index.build(vectors, ids)
    queries = np.concatenate([vectors[:2], vectors[:1] * 0.5])
    with engines.connected(filled) as engine:
        with filled.snapshot():
            served = engines.served(filled, digests, engine)
        np.testing.assert_array_equal(served.ids, ids)
        for found, expected in zip(served.search(queries, 7), index.search(queries, 7), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert engines.synchronize(filled, digests) == (0, 0)


def test_only_what_came_and_went_is_sent(filled, making, spaces, digests):
    filled.expunge("P0002")
    filled.enroll([making.record(20, spaces=spaces), making.record(21, spaces=spaces[:1])])
    with engines.connected(filled) as engine, pytest.raises(StaleIndex, match="engine --sync"):
        engines.served(filled, digests, engine)
    assert engines.synchronize(filled, digests) == (1, 0)  # the expunge removed the two itself
    assert engines.synchronize(filled, digests[:1]) == (2, 0)
    assert sorted(engines.status(filled).rows.values()) == [11, 12]


def engine_check(gallery, number):
    (check,) = [check for check in proving.prove(gallery, number) if check.name == "engine"]
    return check.passed


def test_an_expunge_reaches_every_collection(filled):
    number = filled.person("P0001").id
    photos = [photo.id for photo in filled.photos("P0001")]
    assert engines.held(filled, photos) == 4
    filled.expunge("P0001")
    assert engines.held(filled, photos) == 0
    assert engine_check(filled, number) is True
    last = filled.photos("P0002")
    filled.expunge_photo(last[0].id)
    assert engines.held(filled, [photo.id for photo in last]) == 2
    assert sorted(engines.status(filled).rows.values()) == [9, 9]
    assert filled.verify() == []


def test_rows_that_others_removed_are_missed(filled, digests):
    with engines.connected(filled) as engine:
        collection = engine.collection(engines.layout_of(digests))
        collection.remove([filled.photos()[0].id])
        with pytest.raises(StaleIndex, match="engine --sync"):
            engines.served(filled, digests, engine)
    assert engines.synchronize(filled, digests) == (1, 0)


@pytest.mark.server
def test_a_table_that_others_dropped_is_made_anew(gallery, pgvector, digests):
    engines.choose(gallery, pgvector)
    engines.synchronize(gallery, digests)
    with engines.connected(gallery) as engine:
        engine.collection(engines.layout_of(digests))
        with engine.session() as connection:
            (name,) = connection.execute("SELECT name FROM forensic_templates.collections").fetchone()
            connection.execute(f"DROP TABLE {name}")
        assert engine.layouts() == []
        with pytest.raises(GalleryError, match="no templates of layout"):
            engine.collection(engines.layout_of(digests))
    assert engines.synchronize(gallery, digests) == (12, 0)


class Killed(BaseException):
    """The end of a process."""


def test_killed_between_the_commit_and_the_engine(filled, digests, monkeypatch):
    number = filled.person("P0001").id
    photos = [photo.id for photo in filled.photos("P0001")]

    def die(gallery):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(engines, "settle", die)
        with pytest.raises(Killed):
            filled.expunge("P0001")
    filled.close()
    with Gallery(filled.folder) as again:
        assert engines.held(again, photos) == 4
        assert engines.status(again).owed == 2
        assert engine_check(again, number) is False
        assert [problem.kind for problem in again.verify()] == ["engine"]
        with engines.connected(again) as engine, pytest.raises(StaleIndex):  # never searched as it is
            engines.served(again, digests, engine)
        assert engines.synchronize(again, digests) == (0, 0)
        assert engines.held(again, photos) == 0  # in the other collection too
        assert (engines.status(again).owed, engine_check(again, number), again.verify()) == (0, True, [])


def unreachable(patch):
    def away(url, gallery):
        raise GalleryError(f"The engine {url} is away.")

    patch.setattr("forensic.engines.open_engine", away)


def test_an_engine_that_is_away_is_told_and_the_next_expunge_settles_it(filled, monkeypatch):
    number = filled.person("P0001").id
    photos = [photo.id for label in ("P0001", "P0002") for photo in filled.photos(label)]
    with monkeypatch.context() as patch:
        unreachable(patch)
        with pytest.raises(GalleryError, match=r"out of the gallery, but templates of 2 .*away.*engine --sync"):
            filled.expunge("P0001")
        assert engine_check(filled, number) is False
        with pytest.raises(GalleryError, match="cannot be brought up to date"):
            engines.synchronize(filled, ["a"])
    assert filled.size().photos == 10
    assert engines.held(filled, photos) == 8
    filled.expunge("P0002")
    assert (engines.held(filled, photos), engines.status(filled).owed) == (0, 0)
    with monkeypatch.context() as patch:
        unreachable(patch)
        assert engine_check(filled, number) is None


def test_choosing_another_removes_what_the_first_one_holds(filled, monkeypatch, tmp_path):
    with engines.connected(filled) as engine:
        name = engine.name
    with monkeypatch.context() as patch:
        unreachable(patch)
        with pytest.raises(GalleryError, match="away"):
            engines.choose(filled, None)
    assert engines.status(filled).url == name
    engines.choose(filled, f"milvus:{tmp_path / 'other.db'}")
    assert engines.status(filled).rows == {}
    engines.choose(filled, name)
    assert engines.status(filled).rows == {}
    with monkeypatch.context() as patch:
        unreachable(patch)
        engines.choose(filled, None, lost=True)
    assert engines.status(filled) == (None, {}, 0)
    with pytest.raises(NotFound, match="has no engine"), engines.connected(filled):
        pass
    said = [entry["details"] for entry in trail.entries(filled) if entry["action"] == "engine"]
    assert said[0] == {"url": "", "lost": True}
    filled.expunge("P0001")  # nobody is owed anything
    assert not milvus_module._users.total()


def test_an_encrypted_gallery_sends_nothing_unless_told_to(tmp_path, making, spaces, digests, milvus, monkeypatch):
    encrypting.create(tmp_path / "sealed", KEY)
    with Gallery(tmp_path / "sealed", key=KEY) as sealed:
        sealed.enroll([making.record(0, spaces=spaces)])
        with pytest.raises(UsageError, match="in the clear"):
            engines.choose(sealed, milvus)
        engines.choose(sealed, milvus, unencrypted=True)
        assert engines.synchronize(sealed, digests) == (1, 0)


def test_a_gallery_whose_engine_holds_templates_is_not_encrypted(gallery, milvus):
    engines.choose(gallery, milvus)
    with pytest.raises(GalleryError, match="engine --none"):
        encrypting.encrypt(gallery, KEY)


def test_altered_templates_are_not_sent(gallery, milvus, digests):
    engines.choose(gallery, milvus)
    from sqlalchemy import text

    with gallery.writing() as session:
        session.execute(text("UPDATE templates SET vector = zeroblob(128) WHERE id = 3"))
    with pytest.raises(GalleryError, match="altered or cut"):
        engines.synchronize(gallery, digests)


def test_a_copy_of_the_gallery_does_not_take_the_others_rows_for_its_own(filled, tmp_path, making, spaces, digests):
    """Both count their changes alike, and the engine's state is what it holds, not a count."""
    filled.close()
    shutil.copytree(filled.folder, tmp_path / "copy")
    with Gallery(filled.folder) as one, Gallery(tmp_path / "copy") as other:
        one.enroll([making.record(30, spaces=spaces)])
        other.enroll([making.record(31, spaces=spaces)])
        assert one.state(digests) == other.state(digests)
        assert engines.synchronize(one, digests) == (1, 0)
        with engines.connected(other) as engine, pytest.raises(StaleIndex):
            engines.served(other, digests, engine)
        assert engines.synchronize(other, digests) == (1, 0)


def test_the_command(gallery, milvus, tmp_path, monkeypatch, spaces):
    from types import SimpleNamespace

    from click.testing import CliRunner

    from forensic import matching
    from forensic.commands.engine import engine

    made = SimpleNamespace(routes=[SimpleNamespace(space=space.digest) for space in spaces])
    monkeypatch.setattr(matching, "load", lambda route: made)

    def run(*arguments):
        found = CliRunner().invoke(engine, [*arguments, "--gallery", str(gallery.folder)])
        return found.output if found.exit_code == 0 else repr(found.exception)

    assert "in memory" in run()
    assert "has no engine" in run("--sync")
    said = run(milvus, "--sync")
    assert said.startswith("12 templates sent, 0 removed.\n")
    assert f"{milvus}\n  {engines.layout_of([space.digest for space in spaces])}  12 templates" in said
    assert '"owed": 0' in run("--json")
    assert "UsageError" in run("--none", "--sync")
    assert "UsageError" in run("--lost")
    assert "in memory" in run("--none")


def gone(query, k, only):
    raise GalleryError("The collection is away.")


def test_a_search_brings_an_engine_up_to_date_that_others_changed(tmp_path, memory, making, monkeypatch):
    """A restored collection, say, of whose state the gallery knows nothing."""
    monkeypatch.setattr("forensic.engines.open_engine", lambda url, name: memory)
    points = np.array([[103, 128], [153, 128], [128, 158], [107, 187], [149, 187]], np.float32)
    picture = Image.effect_noise((256, 256), 60).convert("RGB")
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        identifier = Identifier(gallery, "direct")
        (route,) = identifier.matcher.routes
        spaces = (Space(route.space, route.name, route.embedder.dimension, {"embedder": "e" * 64}),)
        gallery.enroll([making.record(number, spaces=spaces) for number in range(20)])
        engines.choose(gallery, "milvus:https://m.example:19530")
        found = identifier.search(picture, 3, landmarks=points).candidates
        (kept,) = map(memory.collection, memory.layouts())
        kept.settle("")
        assert identifier.search(picture, 3, landmarks=points).candidates == found
        kept.destroy()
        monkeypatch.setattr(kept, "nearest", gone)
        assert identifier.search(picture, 3, landmarks=points).candidates == found
        (kept,) = map(memory.collection, memory.layouts())
        with monkeypatch.context() as patch:
            patch.setattr(kept, "nearest", gone)
            with pytest.raises(GalleryError, match="is away"):
                identifier.search(picture, 3, landmarks=points)
        nearest = kept.nearest

        def changed(query, k, only):
            """Somebody else is always faster."""
            kept.settle("")
            return nearest(query, k, only)

        monkeypatch.setattr(kept, "nearest", changed)
        with pytest.raises(StaleIndex, match="in a row"):
            identifier.search(picture, 3, landmarks=points)
