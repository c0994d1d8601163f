"""Rows are searched by SQL: what was put there is found, in its column and nowhere else."""

import random

import pytest

from forensic.gallery.casework import cases
from forensic.gallery.checks.traces import Traces


def where(gallery, traces):
    with gallery.reading() as session:
        return [(str(column), what) for column, what in traces.found_in_rows(session)]


@pytest.mark.parametrize("word", ["Anna", "Änne", "50%_/x", 'a"b\\c', "'; --"])
def test_words(enrolled, word):
    traces = Traces.of((word,))
    assert where(enrolled, traces) == []
    enrolled.update("P0000", {"notes": f"x {word} y"})
    assert where(enrolled, traces) == [("people.extra", "a text")]
    enrolled.update("P0000", {}, rename=f"{word} 1")
    assert where(enrolled, traces) == [("people.label", "a text"), ("people.extra", "a text")]


def test_a_photo_by_its_hash_and_by_most_of_its_content(enrolled, making, tmp_path):
    photo = tmp_path / "photo"
    photo.write_bytes(making.record(3).data)
    assert where(enrolled, Traces.of((), (photo,))) == [("photos.sha256", "a photo's hash")]
    data = random.Random(0).randbytes(9000)
    photo.write_bytes(data)
    traces = Traces.of((), (photo,))
    cases.open_case(enrolled, "C-1", purpose="p", legal_basis="l")
    cases.add_sketch(enrolled, "C-1", cases.Drawing(data[:4000], "s.png", cases.Kind.FORENSIC))
    assert where(enrolled, traces) == []
    cases.add_sketch(enrolled, "C-1", cases.Drawing(b"\0" + data[2000:], "s.png", cases.Kind.FORENSIC))
    assert where(enrolled, traces) == [("sketches.data", "a photo's content")]


def test_bytes(enrolled, making):
    vector = making.record(3).templates[making.space()].tobytes()
    assert where(enrolled, Traces(((vector, "a template"),))) == [("templates.vector", "a template")]
