"""Second examinations: who is asked, and that nobody learns what was said."""

import itertools
import json

import pytest

from forensic.gallery.casework import cases, examinations
from forensic.gallery.casework.cases import Verdict
from forensic.gallery.rights import Operator, Role

RECORD = {
    "operator": "x",
    "candidates": [
        {"rank": 1, "person_id": 1, "photo_id": 1},
        {"rank": 2, "person_id": 2, "photo_id": 3},
        {"rank": 3, "person_id": 77, "photo_id": 99},
    ],
}


@pytest.fixture
def searched(gallery, making):
    """A gallery with a case, and two searches of which the second has no case."""
    gallery.enroll([making.record(number) for number in range(4)])
    cases.open_case(gallery, "2026-1", purpose="robbery", legal_basis="warrant")
    cases.record_search(gallery, RECORD, case="2026-1")
    cases.record_search(gallery, RECORD)
    return gallery


def decide(gallery, examiner, number, rank, verdict=Verdict.LEAD, reason="ears"):
    gallery.operator = Operator(examiner, Role.EXAMINER)
    cases.decide(gallery, number, rank, verdict, reason)


def due(gallery, examiner):
    gallery.operator = Operator(examiner, Role.EXAMINER)
    return examinations.due(gallery)


def test_another_examiner_is_asked_and_oneself_is_not(searched):
    assert due(searched, "anna") == []
    decide(searched, "anna", 1, 2)
    assert due(searched, "anna") == []
    (one,) = due(searched, "ben")
    assert one._replace(since=None) == (1, 2, 1, "2026-1", 1, None, True)
    assert one.since == cases.searched(searched, 1).opinions[0].at
    decide(searched, "ben", 1, 2, Verdict.EXCLUDE)
    assert due(searched, "ben") == []


def test_what_one_examiner_alone_has_seen_comes_first_then_the_oldest(searched):
    decide(searched, "anna", 2, 1)
    decide(searched, "anna", 1, 3)
    decide(searched, "anna", 1, 1)
    decide(searched, "ben", 2, 1)
    found = due(searched, "cleo")
    assert [(one.number, one.rank, one.others) for one in found] == [(1, 3, 1), (1, 1, 1), (2, 1, 2)]
    assert [(one.case, one.enrolled) for one in found] == [("2026-1", False), ("2026-1", True), (None, True)]


def test_the_list_is_the_same_whatever_was_said(searched):
    """So it cannot give a verdict away: two galleries' worth of verdicts, one list, and none of their words in it."""
    lists = []
    for number, verdict in zip(itertools.count(3), Verdict, strict=False):
        cases.record_search(searched, RECORD)
        decide(searched, "anna", number, 1, verdict, f"because of {verdict}")
        (one,) = [one for one in due(searched, "ben") if one.number == number]
        told = json.dumps(one._asdict(), default=str)
        assert not any(word in told for word in (*Verdict, "because", "anna"))
        lists.append(one._replace(number=0, since=None))
    assert len(lists) == 3
    assert len(set(lists)) == 1


def test_a_sample_of_people_is_one_photo_each_and_always_the_same(gallery, making):
    gallery.enroll([making.record(number) for number in range(8)])
    everybody = gallery.sample(100)
    assert sorted(photo.person_id for photo in everybody) == sorted({photo.person_id for photo in gallery.photos()})
    first = {}
    for photo in gallery.photos():  # by their hashes
        first.setdefault(photo.person_id, photo.id)
    assert [photo.id for photo in everybody] == list(first.values())
    assert [photo.id for photo in gallery.sample(2)] == list(first.values())[:2]
