"""Photos that are read when they are asked for."""

import pytest
from sqlalchemy import event

from forensic.errors import NotFound
from forensic.gallery import photos


@pytest.fixture
def eight(gallery, making, monkeypatch):
    monkeypatch.setattr(photos, "PAGE", 3)
    gallery.enroll([making.record(number) for number in range(8)])
    return gallery


def test_a_sequence_as_any_other(eight, making):
    found = eight.photos()
    expected = sorted(making.record(number).sha256 for number in range(8))
    assert [photo.sha256 for photo in found] == expected
    assert [found[at].sha256 for at in range(len(found))] == expected
    assert found[-1].sha256 == expected[-1]
    assert [photo.sha256 for photo in found[2:7:2]] == expected[2:7:2]
    assert [photo.sha256 for photo in reversed(found)] == expected[::-1]
    with pytest.raises(IndexError):
        found[8]


def test_who_is_expunged_meanwhile_is_passed_over(eight):
    found = eight.photos()
    walk = iter(found)
    first = next(walk)
    gone = found[6]
    eight.expunge_photo(gone.id)
    assert [first.id, *(photo.id for photo in walk)] == [number for number in found.numbers if number != gone.id]
    assert len(found[5:8]) == 2
    with pytest.raises(NotFound, match=f"Photo {gone.id} was expunged"):
        found[6]


def test_a_page_is_read_at_a_time(eight):
    found, rows = eight.photos(), []
    event.listen(photos.Photo, "load", lambda photo, _: rows.append(photo.id))
    for _ in zip(found, range(2), strict=False):
        assert len(rows) <= 3
    assert rows
