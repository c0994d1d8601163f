import json

import pytest

from forensic.errors import Changed, GalleryError, UsageError
from forensic.gallery.log import audit
from forensic.gallery.people import described, described_photo
from forensic.gallery.records import Shown


@pytest.fixture
def three(gallery, making):
    """P0000, P0001 and P0002 with two photos each."""
    gallery.enroll([making.record(number) for number in range(6)])
    return gallery


def labels(gallery, making):
    """The person of each photo, by the number of its record."""
    known = gallery.known([making.record(number).sha256 for number in range(6)])
    return [known[making.record(number).sha256] for number in range(6)]


def test_merge(three, making):
    three.update("P0001", {"birth_year": "1970", "eyes": "grey", "hair": "dark"})
    three.update("P0000", {"hair": "red", "name": ""})
    before = three.revision(making.space().digest)
    remarks = three.merge("P0000", "P0001")
    assert labels(three, making) == ["P0000"] * 4 + ["P0002"] * 2
    person = three.person("P0000")
    assert (person.name, person.sex, person.birth_year) == ("Name 1", "F", 1970)
    assert person.extra == {"hair": "red", "eyes": "grey"}
    assert remarks == ["sex stays 'F', not 'M'", "hair stays 'red', not 'dark'"]
    with pytest.raises(GalleryError, match="P0001"):
        three.person("P0001")
    assert three.size() == (2, 6)
    assert three.revision(making.space().digest) > before
    assert three.templates(making.space().digest).people.count("P0000") == 4
    assert three.verify() == []


def test_merge_needs_two_people(three):
    before = three.digest()
    for other, error in (("P0000", UsageError), ("nobody", GalleryError)):
        with pytest.raises(error):
            three.merge("P0000", other)
        with pytest.raises(error):
            three.keep("P0000", other)
    assert three.digest() == before


def test_a_correction_is_of_what_was_shown(three):
    person, photo = three.person("P0000"), three.photos("P0000")[0]
    known, seen = audit.digest(described(person)), audit.digest(described_photo(photo))
    three.update("P0000", {"name": "Ann"}, known=known)
    three.update_photo(photo.id, {"source": "booking"}, known=seen)
    for act in (
        lambda: three.update("P0000", {"name": "Bea"}, rename="Q", known=known),
        lambda: three.update_photo(photo.id, {"source": "other"}, known=seen),
    ):
        with pytest.raises(Changed, match="What is recorded was changed"):
            act()
    assert (three.person("P0000").name, three.photo(photo.id).source) == ("Ann", "booking")


def test_nothing_is_done_to_others_than_were_shown(three):
    one, other = (Shown(label, three.person(label).id) for label in ("P0000", "P0001"))
    assert three.keep(one, other)
    three.update("P0001", {}, rename="Q")
    three.update("P0002", {}, rename="P0001")
    before = three.digest()
    photo = three.photos("P0001")[0].id
    for act in (
        lambda: three.merge(one, other),
        lambda: three.merge(other, one),
        lambda: three.keep(one, other),
        lambda: three.split(other, [photo], "R"),
        lambda: three.update(other, {"eyes": "grey"}),
    ):
        with pytest.raises(Changed, match="'P0001' was changed since"):
            act()
    assert three.digest() == before
    assert three.merge(one, other._replace(label="Q"))


def test_kept_apart_is_symmetric_and_goes_with_a_person(three):
    assert three.keep("P0000", "P0001")
    assert not three.keep("P0001", "P0000")
    assert three.kept() == {frozenset(("P0000", "P0001"))}
    three.update("P0001", {}, rename="Q")
    assert three.kept() == {frozenset(("P0000", "Q"))}
    three.expunge("Q")
    assert three.kept() == set()


def test_merge_inherits_who_is_kept_apart(three):
    three.keep("P0002", "P0001")
    three.keep("P0001", "P0000")
    remarks = three.merge("P0000", "P0001")
    assert "'P0000' and 'P0001' had been kept apart; that note is gone" in remarks
    assert three.kept() == {frozenset(("P0000", "P0002"))}


def test_split_undoes_a_merge(three, making):
    three.merge("P0000", "P0001")
    before = three.revision(making.space().digest)
    moved = [photo.id for photo in three.photos("P0000") if photo.file_name in ("2.png", "3.png")]
    person = three.split("P0000", [*moved, moved[0]], " New ")
    assert (person.label, person.name, person.extra) == ("New", None, {})
    assert labels(three, making) == ["P0000"] * 2 + ["New"] * 2 + ["P0002"] * 2
    assert three.kept() == {frozenset(("P0000", "New"))}
    assert three.revision(making.space().digest) > before
    assert three.verify() == []


def test_split_is_all_or_nothing(three):
    own, strange = [photo.id for photo in three.photos("P0000")], three.photos("P0001")[0].id
    before = three.digest()
    cases = [
        ([own[0], strange], "New", GalleryError, "is none of 'P0000'"),
        (own, "New", UsageError, "2 of the 2 photos"),
        ([], "New", UsageError, "0 of the 2 photos"),
        (own[:1], "P0002", GalleryError, "is someone's label"),
        (own[:1], "", UsageError, "1 to 200 characters"),
    ]
    for photos, label, error, message in cases:
        with pytest.raises(error, match=message):
            three.split("P0000", photos, label)
        assert three.digest() == before


def test_quality_is_kept_with_the_photo(gallery, making):
    told = {"measures": {"yaw": 3.5}, "verdict": "warn", "reasons": ["x"], "policy": "0" * 64}
    gallery.enroll([making.record(0, quality=told), making.record(1)])
    by_name = {photo.file_name: photo for photo in gallery.photos()}
    assert by_name["0.png"].quality == told
    assert [photo.file_name for photo in gallery.unassessed()] == ["1.png"]
    assert gallery.assess({by_name["1.png"].id: told | {"verdict": "accept"}, 999: told}) == 1
    assert gallery.photo(by_name["1.png"].id).quality["verdict"] == "accept"
    assert not gallery.unassessed()


def test_an_older_gallery_is_brought_up_and_loses_nothing(gallery, making):
    """Adding the column must not touch templates, which hang on photos by a cascade."""
    from forensic.gallery import Gallery

    gallery.enroll([making.record(number) for number in range(4)])
    digest = gallery.digest()
    with gallery.engine.begin() as connection:
        for table in ("distinct_people", "backups", "backup_keys", "segments", "engine", "engine_debts", "originals"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("ALTER TABLE photos DROP COLUMN quality")
        connection.exec_driver_sql("ALTER TABLE people DROP COLUMN keep_until")
        connection.exec_driver_sql("ALTER TABLE loose_objects DROP COLUMN rewritten")
        connection.exec_driver_sql("ALTER TABLE index_files DROP COLUMN modified_ns")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0003'")
    gallery.close()
    with Gallery(gallery.folder) as opened:
        assert opened.digest() == digest
        assert len(opened.unassessed()) == 4
        assert json.dumps(opened.photos()[0].quality) == "null"
        assert opened.verify() == []
