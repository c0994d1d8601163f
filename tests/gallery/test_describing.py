"""Templates by space, their revisions, and the files of the indexes over them."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import spaces

from forensic.errors import GalleryError
from forensic.gallery import Gallery
from forensic.gallery.checks import repairing
from forensic.gallery.storage import Storage


def test_templates_are_those_of_the_photos_in_hash_order(gallery, making):
    records = [making.record(number) for number in range(40)]
    gallery.enroll(records)
    found = gallery.templates(making.space().digest)
    records.sort(key=lambda record: record.sha256)
    assert found.vectors.dtype == np.float32
    assert found.vectors.flags.c_contiguous
    assert np.array_equal(found.vectors, [record.templates[making.space()] for record in records])
    assert found.people == [record.person for record in records]
    assert found.photo_ids.dtype == np.int64
    assert [gallery.photo(int(number)).sha256 for number in found.photo_ids] == [r.sha256 for r in records]
    assert found.revision == gallery.revision(making.space().digest)
    owners = {photo: owner.label for photo, owner in gallery.owners(found.photo_ids).items()}
    assert owners == dict(zip(found.photo_ids.tolist(), found.people, strict=True))
    assert gallery.owners([10**6]) == {}
    nothing = gallery.templates("unknown")
    assert (nothing.vectors.shape, nothing.people, nothing.revision) == ((0, 0), [], 0)


def test_templates_of_many_photos_are_fetched_in_chunks(gallery, making):
    from sqlalchemy import insert

    from forensic.gallery.models import Person, Photo, Template
    from forensic.gallery.templates import seal

    gallery.enroll([making.record(0)])
    rng = np.random.default_rng(0)
    count, digest = 9000, making.space().digest
    vectors = rng.standard_normal((count, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    hashes = [f"{number:064x}" for number in rng.permutation(count)]
    shared = {c.key: getattr(gallery.photos()[0], c.key) for c in Photo.__table__.columns if c.key != "id"}
    with gallery.writing() as session:
        session.execute(insert(Person), [{"id": 2, "label": "many", "extra": {}}])
        rows = [shared | {"id": 2 + i, "sha256": sha256, "person_id": 2} for i, sha256 in enumerate(hashes)]
        session.execute(insert(Photo), rows)
        blobs = [
            {"space_id": 1, "photo_id": 2 + i, "vector": blob, "seal": seal(digest, hashes[i], blob)}
            for i, blob in enumerate(vector.tobytes() for vector in vectors)
        ]
        session.execute(insert(Template), blobs)
    found = gallery.templates(digest)
    order = np.argsort(hashes)
    assert np.array_equal(found.vectors[:count], vectors[order])
    assert np.array_equal(found.photo_ids[:count], 2 + order)
    assert len(gallery.owners(found.photo_ids)) == count + 1
    assert len(gallery.known(hashes)) == count


def test_a_second_space_is_filled_later(gallery, making):
    gallery.enroll([making.record(number) for number in range(5)])
    other = making.space("other")
    missing = [*gallery.missing(other.digest)]
    assert [photo.sha256 for photo in missing] == sorted(making.record(number).sha256 for number in range(5))
    vectors = {photo.id: making.template(photo.sha256, other) for photo in missing}
    gallery.expunge_photo(missing[4].id)
    assert gallery.add_templates(other, {photo.id: vectors[photo.id] for photo in missing[:3]}) == 3
    assert [photo.id for photo in gallery.missing(other.digest)] == [missing[3].id]
    assert gallery.add_templates(other, vectors) == 4  # the expunged one is passed over
    assert not gallery.missing(other.digest)
    assert [space.route for space in gallery.spaces()] == ["direct", "other"]
    assert gallery.spaces()[1].models == {"embedder": "e" * 64}
    assert gallery.verify() == []
    with pytest.raises(GalleryError, match="two models share one digest"):
        gallery.add_templates(dataclasses.replace(other, dimension=2), {missing[0].id: np.array([1, 0])})


def test_revisions_never_come_back(gallery, making):
    digest = making.space().digest
    seen = [gallery.revision(digest)]

    def changed() -> bool:
        seen.append(gallery.revision(digest))
        return len(set(seen)) == len(seen)

    gallery.enroll([making.record(number) for number in range(4)])
    assert changed()
    gallery.enroll([making.record(0)])
    gallery.update("P0000", {"name": "x"})
    assert gallery.revision(digest) == seen[-1]
    gallery.expunge("P0001")
    assert changed()
    spaces.drop(gallery, digest)
    photos = gallery.missing(digest)
    gallery.add_templates(making.space(), {photo.id: making.template(photo.sha256, making.space()) for photo in photos})
    assert changed()


def test_the_state_of_searches_changes_with_photos_templates_and_people(gallery, making):
    spaces = [making.space().digest, "f" * 64]
    seen = [gallery.state(spaces)]

    def changed() -> bool:
        seen.append(gallery.state(spaces))
        return len(set(seen)) == len(seen)

    gallery.enroll([making.record(number) for number in range(4)])
    assert changed()
    gallery.enroll([making.record(0)])  # known already
    assert gallery.state(spaces) == seen[-1]
    gallery.enroll([making.record(4, spaces=())])  # no space is complete any more
    assert changed()
    gallery.expunge("P0002")
    gallery.expunge("P0001")
    assert changed()
    gallery.update("P0000", {}, rename="P0009")
    assert changed()


def test_an_index_is_kept_unless_its_space_has_changed(gallery, making):
    gallery.enroll([making.record(0)])
    revision = gallery.revision(making.space().digest)
    assert gallery.save_index("i.bin", b"index", space=making.space().digest, revision=revision)
    assert gallery.load_index("i.bin") == b"index"
    gallery.enroll([making.record(2)])
    assert not gallery.save_index("i.bin", b"stale", space=making.space().digest, revision=revision)
    gallery.expunge("P0001")
    assert list(gallery.index_folder.iterdir()) == []


def test_a_folder_that_a_system_left_among_the_indexes_stops_nothing(gallery, making):
    gallery.enroll([making.record(number) for number in range(4)])
    space = making.space().digest
    assert gallery.save_index("i.bin", b"index", space=space, revision=gallery.revision(space))
    folder = gallery.index_folder / "@eaDir"
    folder.mkdir()
    (folder / "i.bin").write_bytes(b"")
    gallery.expunge("P0001")
    assert list(gallery.index_folder.iterdir()) == [folder]
    gallery.enroll([making.record(20)])
    gallery.update("P0000", {"eyes": "grey"})
    assert [problem.subject for problem in gallery.verify() if problem.kind == "index"] == ["@eaDir"]
    repairing.repair(gallery)
    with Gallery(gallery.folder) as again:
        assert again.size().photos == 3
    assert (folder / "i.bin").exists()


def test_an_index_that_was_written_to_since_is_hashed_before_it_is_used(gallery, making):
    gallery.enroll([making.record(0)])
    space = making.space().digest
    assert gallery.save_index("i.bin", b"index", space=space, revision=gallery.revision(space))
    path = gallery.index_folder / "i.bin"
    stored = path.read_bytes()
    for moment in (path.stat().st_mtime_ns, 0):
        os.utime(path, ns=(moment, moment))
        assert bytes(gallery.map_index("i.bin")) == b"index"
    path.write_bytes(bytes(len(stored)))
    assert gallery.map_index("i.bin") is None
    assert gallery.map_index("none") is None


def test_an_end_amid_the_removal_of_old_indexes_leaves_none_that_looks_altered(gallery, making, monkeypatch):
    gallery.enroll([making.record(0)])
    space = making.space().digest
    assert gallery.save_index("i.bin", b"index", space=space, revision=gallery.revision(space))

    class Killed(BaseException):
        """Nothing of the program goes on."""

    def die(*arguments, **settings):
        raise Killed

    for where, act in ((Path, "unlink"), (Storage, "_transaction")):
        with monkeypatch.context() as patch:
            patch.setattr(where, act, die)
            with pytest.raises(Killed):
                gallery.drop_stale_indexes()
        assert gallery.verify() == []
    gallery.drop_stale_indexes()
    assert list(gallery.index_folder.glob("*")) == []
    assert gallery.load_index("i.bin") is None
