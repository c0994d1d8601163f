import dataclasses
import random

import numpy as np
import pytest
import spaces

from forensic.errors import GalleryError, UsageError
from forensic.gallery import Gallery, Outcome
from forensic.gallery.enrolling import DATED, KEPT, PAST
from forensic.gallery.log import trail
from forensic.gallery.records import Repeated


def test_what_is_enrolled_comes_back(gallery, making):
    record = making.record(
        4,
        warnings=("two faces", "small"),
        metadata={"Name": "Ada", "birth year": "1815", "case_reference": "K-1", "source": "booking", "eyes": "grey"},
    )
    assert gallery.enroll([record]) == [Outcome("enrolled", "P0002", record.sha256)]
    person, (photo,) = gallery.person("P0002"), gallery.photos("P0002")
    assert (person.name, person.sex, person.birth_year, person.case_reference) == ("Ada", None, 1815, "K-1")
    assert (person.extra, person.photo_count) == ({"eyes": "grey"}, 1)
    assert (photo.person.label, photo.sha256, photo.file_name, photo.format) == ("P0002", record.sha256, "4.png", "PNG")
    assert (photo.width, photo.height, photo.source, photo.date_taken) == (200, 250, "booking", None)
    assert np.array_equal(photo.landmarks, record.landmarks)
    assert (photo.detector, photo.detector_score, photo.warnings) == ("mtcnn", 0.99, ["two faces", "small"])
    assert photo.enrolled_at.utcoffset().total_seconds() == 0
    assert gallery.photo(photo.id).sha256 == gallery.photo(np.int64(photo.id)).sha256 == record.sha256
    assert gallery.photo_bytes(photo) == gallery.photo_bytes(photo.id) == record.data
    assert gallery.known([record.sha256, "0" * 64]) == {record.sha256: "P0002"}
    assert gallery.size() == (1, 1)
    assert gallery.verify() == []


def test_a_photo_is_enrolled_once(gallery, making):
    first, again, other = making.record(0), making.record(0), making.record(0, person="Q")
    assert [outcome.status for outcome in gallery.enroll([first, again, other])] == ["enrolled", "already", "conflict"]
    before = gallery.digest()
    outcomes = gallery.enroll([making.record(0, metadata={"name": "changed"}), other, making.record(1)])
    assert [outcome.status for outcome in outcomes] == ["already", "conflict", "enrolled"]
    assert "name stays 'Name 0', not 'changed'" in outcomes[0].message
    assert "enrolled as 'P0000', so not as 'Q'" in outcomes[1].message
    assert gallery.size() == (1, 2)
    gallery.expunge_photo(next(p.id for p in gallery.photos() if p.sha256 == outcomes[2].sha256))
    assert gallery.digest() == before


def again(record, **metadata):
    return Repeated(record.person, record.sha256, record.file_name, metadata)


def test_a_row_of_a_known_photo_tells_what_was_not_known(gallery, making):
    """As a row with another photo does: what is lacking is filled, what differs stays and is remarked."""
    first = making.record(0, metadata={"birth_year": "1980", "source": "booking"})
    gallery.enroll([first, making.record(2)])
    said = {"name": "Ada", "birth_year": "1970", "hair": "red", "Source": "web", "date_taken": "2020", "sex": ""}
    (outcome,) = gallery.enroll([again(first, **said)])
    assert (outcome.status, outcome.findings) == ("already", (KEPT,))
    assert "birth_year stays 1980, not 1970" in outcome.message
    assert "source stays 'booking', not 'web'" in outcome.message
    person, (photo,) = gallery.person("P0000"), gallery.photos("P0000")
    assert (person.name, person.sex, person.birth_year, person.extra) == ("Ada", None, 1980, {"hair": "red"})
    assert (photo.source, photo.date_taken) == ("booking", "2020")
    entries = [entry["details"] for entry in trail.entries(gallery, action="update")]
    assert sorted(entries, key=lambda entry: "photo" in entry) == [
        {"person": person.id, "fields": ["name"], "own_columns": 1},
        {"photo": photo.id, "fields": ["date_taken"], "own_columns": 0},
    ]
    assert gallery.verify() == []


def test_a_row_of_a_known_photo_without_news_writes_nothing(gallery, making, monkeypatch):
    first = making.record(0, metadata={"name": "Ada", "hair": "red"})
    gallery.enroll([first])
    entries, revision = trail.entries(gallery), gallery.person("P0000").updated_at

    def locked(*arguments, **options):
        raise AssertionError("the writer's lock was taken")

    monkeypatch.setattr(Gallery, "_lock", locked)
    rows = [again(first, name="Ada"), again(first, hair="red", eyes=""), again(first, hair="grey")]
    outcomes = gallery.enroll(rows)
    assert [outcome.status for outcome in outcomes] == ["already"] * 3
    assert [bool(outcome.message) for outcome in outcomes] == [False, False, True]
    assert "hair stays 'red', not 'grey'" in outcomes[2].message
    assert (trail.entries(gallery), gallery.person("P0000").updated_at) == (entries, revision)


def test_rows_of_known_photos_beside_new_ones_and_wrong_ones(gallery, making):
    first, new = making.record(0, metadata={}), making.record(1, metadata={"eyes": "grey"})
    gallery.enroll([first])
    rows = [again(first, eyes="brown"), new, again(new, hair="red"), again(first, birth_year="x")]
    outcomes = gallery.enroll([*rows, again(making.record(8), name="gone"), again(first, keep_until="2001-01-01")])
    states = ["already", "enrolled", "already", "refused", "already", "already"]
    assert [outcome.status for outcome in outcomes] == states
    assert "eyes stays 'brown', not 'grey'" in outcomes[1].message
    assert "birth year" in outcomes[3].message
    assert outcomes[5].findings == (DATED, PAST)
    assert gallery.person("P0000").extra == {"eyes": "brown", "hair": "red"}
    assert gallery.size() == (1, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"person": "  "}, "1 to 200 characters"),
        ({"person": "a\nb"}, "none that nobody sees"),
        ({"person": "x" * 201}, "1 to 200"),
        ({"metadata": {"birth_year": "19"}}, "four digits"),
        ({"metadata": {"birth_year": "١٩٧٠"}}, "four digits"),
        ({"metadata": {"": "x"}}, "cannot name"),
        ({"metadata": {"Person": "x"}}, "cannot name"),
        ({"metadata": {"a": "\0"}}, "NUL"),
        ({"metadata": {"a": "\udc80"}}, "surrogate"),
        ({"metadata": {"a": "x" * 100_001}}, "at most 100000"),
        ({"metadata": {"Sex": "F", "sex": "M"}}, "one field twice"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_the_rest_goes_on(gallery, making, changes, message):
    outcomes = gallery.enroll([making.record(0, **changes), making.record(1)])
    assert [outcome.status for outcome in outcomes] == ["refused", "enrolled"]
    assert message in outcomes[0].message
    assert gallery.size() == (1, 1)


def test_a_records_maker_is_told_of_mistakes(gallery, making):
    good, space = making.record(0), making.space()
    nan, long = np.full(32, np.nan, np.float32), np.full(32, 0.2, np.float32)
    wrong = [
        (dataclasses.replace(good, data=b"other"), "is not the SHA-256"),
        (dataclasses.replace(good, landmarks=[[0, 0]] * 4), "not five finite points"),
        (dataclasses.replace(good, landmarks=np.full((5, 2), np.nan)), "not five finite points"),
        (dataclasses.replace(good, templates={space: np.ones(3, np.float32)}), "expected \\(32,\\) and 1"),
        (dataclasses.replace(good, templates={space: nan}), "length nan"),
        (dataclasses.replace(good, templates={space: long}), "length 1.13"),
    ]
    for record, message in wrong:
        with pytest.raises(GalleryError, match=message):
            gallery.enroll([making.record(1), record])
    assert gallery.size() == (0, 0)
    assert gallery.verify() == []


def test_a_file_name_that_is_no_unicode(gallery, making):
    gallery.enroll([making.record(0, file_name="caf\udce9.png")])
    assert gallery.photos()[0].file_name == "caf?.png"


def test_a_known_person_takes_only_what_was_lacking(gallery, making):
    gallery.enroll([making.record(0, metadata={"name": "Ada", "eyes": "grey"})])
    metadata = {"name": "Bea", "sex": "F", "eyes": "blue", "hair": "red"}
    (outcome,) = gallery.enroll([making.record(1, metadata=metadata)])
    assert outcome.status == "enrolled"
    assert "name stays 'Ada', not 'Bea'; eyes stays 'grey', not 'blue'" in outcome.message
    person = gallery.person("P0000")
    assert (person.name, person.sex, person.extra) == ("Ada", "F", {"eyes": "grey", "hair": "red"})


def test_the_order_of_enrollment_changes_nothing(tmp_path, making):
    records = [making.record(number, spaces=(making.space(), making.space("other"))) for number in range(30)]
    digests, templates = set(), []
    for seed, batch in ((0, 30), (1, 7), (2, 1)):
        random.Random(seed).shuffle(records)
        with Gallery(tmp_path / str(seed), create=True) as gallery:
            for start in range(0, 30, batch):
                gallery.enroll(records[start : start + batch])
            digests.add(gallery.digest())
            templates.append(gallery.templates(making.space().digest))
    assert len(digests) == 1
    for found in templates[1:]:
        assert np.array_equal(found.vectors, templates[0].vectors)
        assert found.people == templates[0].people


def test_the_digest_sees_every_change(gallery, making):
    gallery.enroll([making.record(number) for number in range(6)])
    photo = gallery.photos("P0000")[0]
    seen = [gallery.digest()]
    for change in (
        lambda: gallery.update("P0000", {"name": "x"}),
        lambda: gallery.update("P0000", {"eyes": "grey"}),
        lambda: gallery.update("P0000", {}, rename="Q"),
        lambda: gallery.update_photo(photo.id, {"source": "x"}),
        lambda: gallery.expunge_photo(photo.id),
        lambda: gallery.add_templates(
            making.space(), {gallery.photos("Q")[0].id: making.template("z", making.space())}
        ),
        lambda: spaces.drop(gallery, making.space().digest),
        lambda: gallery.expunge("Q"),
    ):
        change()
        seen.append(gallery.digest())
    assert len(set(seen)) == len(seen)


def test_people_are_filtered_and_paged(gallery, making):
    odd = 'eye "left" $[0].é'
    gallery.enroll([making.record(2 * n, metadata={"sex": "FM"[n % 2], odd: str(n % 3)}) for n in range(12)])
    gallery.enroll([making.record(100, metadata={"source": "prison"})])
    everyone = [f"P{n:04}" for n in range(12)] + ["P0050"]

    def labels(*args, **paging):
        return [person.label for person in gallery.people(*args, **paging)]

    assert labels() == everyone
    assert labels(limit=2, offset=3) == ["P0003", "P0004"]
    assert labels({"sex": "F"}) == everyone[0:12:2]
    assert labels({"sex": "F", odd: "0"}) == ["P0000", "P0006"]
    assert labels({odd: "1"}, limit=2, offset=1) == ["P0004", "P0007"]
    assert labels({"sex": ""}) == labels({"source": "prison"}) == labels({odd: ""}) == ["P0050"]
    assert labels({"person": "P0007"}) == ["P0007"]
    assert labels({"sex": "%"}) == labels({"person": "P%"}) == []


def test_updates(gallery, making):
    gallery.enroll([making.record(number) for number in range(4)])
    before = gallery.person("P0000")
    changed = gallery.update("P0000", {"birth year": "1980", "name": "", "eyes": "blue", "hair": "red"})
    assert (changed.birth_year, changed.name, changed.sex) == (1980, None, "F")
    assert gallery.update("P0000", {"hair": ""}).extra == {"eyes": "blue"}
    assert gallery.person("P0000").updated_at > before.updated_at
    assert gallery.person("P0000").created_at == before.created_at
    revision = gallery.revision(making.space().digest)
    assert gallery.update("P0000", {}, rename=" Q ").label == "Q"
    assert len(gallery.photos("Q")) == 2
    assert gallery.revision(making.space().digest) != revision
    assert "Q" in gallery.templates(making.space().digest).people
    with pytest.raises(GalleryError, match="'P0001' is already someone's label"):
        gallery.update("Q", {"name": "lost"}, rename="P0001")
    assert gallery.person("Q").name is None
    with pytest.raises(GalleryError, match="No person 'P0000'"):
        gallery.update("P0000", {})
    with pytest.raises(UsageError, match="source describes a photo"):
        gallery.update("Q", {"source": "x"})
    with pytest.raises(UsageError, match="none that nobody sees"):
        gallery.update("Q", {}, rename="\x1b")
    photo = gallery.photos("Q")[0]
    assert gallery.update_photo(photo.id, {"source": "x", "date taken": ""}).date_taken is None
    assert gallery.photo(photo.id).source == "x"
    with pytest.raises(UsageError, match="name describes a person"):
        gallery.update_photo(photo.id, {"name": "x"})


@pytest.mark.parametrize("label", ["nobody", "caf\udce9"])
def test_unknown_people_and_photos(gallery, label):
    for call in (gallery.person, gallery.photos, gallery.expunge, lambda x: gallery.update(x, {})):
        with pytest.raises(GalleryError):
            call(label)
    for call in (gallery.photo, gallery.photo_bytes, gallery.expunge_photo, lambda x: gallery.update_photo(x, {})):
        with pytest.raises(GalleryError, match="No photo 7"):
            call(7)


@pytest.mark.sqlite("on a server, the address is what must not be lost")
@pytest.mark.parametrize("left", ["empty", "missing"])
def test_a_lost_database_is_not_begun_anew(gallery, making, left):
    gallery.enroll([making.record(0)])
    gallery.close()
    database = gallery.home / "gallery.db"
    for path in gallery.home.glob("gallery.db*"):
        path.unlink()
    if left == "empty":
        database.touch(mode=0o600)
    with pytest.raises(GalleryError, match="originals are there"):
        Gallery(gallery.folder, create=True)
    assert gallery.objects.is_sound(making.record(0).sha256)


def test_ids_are_never_used_again(gallery, making):
    gallery.enroll([making.record(0), making.record(1)])
    gone = max(photo.id for photo in gallery.photos())
    gallery.expunge("P0000")
    gallery.enroll([making.record(0)])
    assert gallery.photos()[0].id > gone


def test_originals_are_checked_when_read(gallery, making):
    gallery.enroll([making.record(0)])
    (photo,) = gallery.photos()
    path = gallery.objects.path(photo.sha256)
    path.write_bytes(b"altered")
    with pytest.raises(GalleryError, match=r"original of photo 1 \(P0000\) was altered"):
        gallery.photo_bytes(photo)
    path.unlink()
    with pytest.raises(GalleryError, match=r"is missing: .*Restore it from a backup"):
        gallery.photo_bytes(photo)
    path.mkdir()
    with pytest.raises(GalleryError, match=r"cannot be read \(Is a directory\): .*See that it can be reached"):
        gallery.photo_bytes(photo)
