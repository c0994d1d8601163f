"""Searches of a case, from its sketch to a repetition of the list."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from forensic import Gallery, Identifier, casework, images, provenance, search_records
from forensic.candidates import Search
from forensic.datasets.synthetic import Made
from forensic.errors import ImageError, UsageError
from forensic.gallery import Filter
from forensic.gallery.casework import cases
from forensic.gallery.casework.cases import Drawing, Kind

ROUTE = "direct@patches"


@pytest.fixture
def gallery(enrolled: Path, tmp_path: Path):
    with Gallery(shutil.copytree(enrolled, tmp_path / "gallery")) as opened:
        cases.open_case(opened, "C-1", purpose="robbery", legal_basis="warrant")
        yield opened


def add(gallery: Gallery, sketch: Path) -> int:
    return cases.add_sketch(gallery, "C-1", Drawing(sketch.read_bytes(), sketch.name, Kind.FORENSIC))


def test_a_search_records_what_is_needed_to_stand_by_it(gallery: Gallery, people: list[Made]) -> None:
    add(gallery, people[3].sketch)
    ((_, search),) = casework.search_case(Identifier(gallery, ROUTE), "C-1", k=4)
    found = cases.searched(gallery, search.number)
    record = found.record
    assert found.case == "C-1"
    assert record["probes"] == [search.sha256]
    assert record["started"] <= record["ended"]
    assert record["gallery"] == {
        "photos": gallery.size().photos,
        "root": gallery.root([Identifier(gallery, ROUTE).matcher.routes[0].space]),
    }
    assert (record["route"], record["models"], record["code"]) == (ROUTE, search.models, provenance.code())
    assert [found.people[c["photo_id"]] for c in record["candidates"]] == [c.person for c in search.candidates]
    assert [c["score"] for c in record["candidates"]] == [c.score for c in search.candidates]
    assert not any(people[3].label in str(value) for value in record.values())  # by number alone
    assert gallery.size().photos == record["gallery"]["photos"]  # the probe is not enrolled
    assert gallery.verify() == []


def test_a_repetition_gives_the_same_list(gallery: Gallery, people: list[Made]) -> None:
    add(gallery, people[3].sketch)
    only = Filter.parse(["birth_year=1900..2020"], "the witness was sure of the age")
    ((_, search),) = casework.search_case(Identifier(gallery, ROUTE), "C-1", k=5, only=only)
    again = casework.rerun(gallery, search.number)
    assert again.identical
    assert again.changed == ()
    assert again.search.number == search.number + 1
    assert cases.searched(gallery, again.search.number).record["purpose"] == f"repetition of search {search.number}"


def test_a_repetition_says_what_has_changed(gallery: Gallery, people: list[Made]) -> None:
    add(gallery, people[3].sketch)
    ((_, search),) = casework.search_case(Identifier(gallery, ROUTE), "C-1")
    gallery.expunge(search.candidates[0].person)
    again = casework.rerun(gallery, search.number)
    assert not again.identical
    assert "gallery" in again.changed


def test_ratios_that_are_stated_otherwise_make_no_other_list(gallery: Gallery, people: list[Made]) -> None:
    add(gallery, people[3].sketch)
    ((_, search),) = casework.search_case(Identifier(gallery, ROUTE), "C-1")
    after = cases.searched(gallery, search.number).record
    before = json.loads(json.dumps(after))
    before["calibration"] |= {"lower": -1.3, "measured": []}
    before["candidates"][-1] |= {"log_lr": -0.9, "bounded": False}
    assert casework.compared(before, after) == (True, (casework.RATIOS,))
    before["calibration"]["lower"], before["candidates"][-1] = 0.0, after["candidates"][-1]
    assert casework.compared(before, after) == (True, ())  # what was measured of it makes no figure another one
    before["candidates"][-1] = before["candidates"][-1] | {"score": 9.0}
    assert casework.compared(before, after)[0] is False


def test_a_search_of_an_approximate_index_is_repeated_with_one(gallery: Gallery, people: list[Made]) -> None:
    """Or else an exact list would differ from an approximate one, for no reason that is told."""
    sketch = people[0].sketch
    partly, exact = (Identifier(gallery, approximate=kind) for kind in ("hnsw", None))
    first = partly.search(sketch).number
    assert first is not None
    repeated = casework.rerun(gallery, first, [sketch])
    assert (repeated.identical, repeated.changed) == (True, ())
    assert [cases.searched(gallery, n).record["approximate"] for n in (first, repeated.search.number)] == ["hnsw"] * 2
    assert casework.rerun(gallery, first, [sketch], identifier=exact).changed == ("approximate",)


def test_a_search_without_a_case_is_repeated_from_its_file(gallery: Gallery, people: list[Made]) -> None:
    search = Identifier(gallery, ROUTE, purpose="test").search(people[2].sketch)
    assert search.number is not None
    with pytest.raises(UsageError, match="--probe FILE"):
        casework.rerun(gallery, search.number)
    with pytest.raises(UsageError, match="hashes differ"):
        casework.rerun(gallery, search.number, [people[3].sketch])
    assert casework.rerun(gallery, search.number, [people[2].sketch]).identical


def test_sketches_of_one_person_make_one_search(gallery: Gallery, people: list[Made]) -> None:
    numbers = [add(gallery, people[place].sketch) for place in (2, 3)]
    identifier = Identifier(gallery, ROUTE)
    assert len(list(casework.search_case(identifier, "C-1"))) == 2
    assert len(list(casework.search_case(identifier, "C-1", numbers[:1]))) == 1
    ((_, search),) = casework.search_case(identifier, "C-1", together=True)
    assert len(cases.searched(gallery, search.number).record["probes"]) == 2
    assert casework.rerun(gallery, search.number).identical
    with pytest.raises(UsageError, match="no sketch 99"):
        list(casework.search_case(identifier, "C-1", [99]))


def test_a_sketch_that_is_no_image_does_not_stop_the_others(gallery: Gallery, people: list[Made]) -> None:
    cases.add_sketch(gallery, "C-1", Drawing(b"no image", "x.png", Kind.VIEWED))
    add(gallery, people[3].sketch)
    answers = [answer for _, answer in casework.search_case(Identifier(gallery, ROUTE), "C-1")]
    assert isinstance(answers[0], ImageError)
    assert answers[1].candidates


def test_a_case_without_a_sketch_says_how_to_add_one(gallery: Gallery) -> None:
    with pytest.raises(UsageError, match="forensic case add C-1 FILE"):
        list(casework.search_case(Identifier(gallery, ROUTE), "C-1"))


def test_a_repetition_takes_models_and_a_decoder_that_are_there(gallery: Gallery, people: list[Made]) -> None:
    number, opened = add(gallery, people[3].sketch), []
    identifier = Identifier(gallery, ROUTE)
    ((_, search),) = casework.search_case(identifier, "C-1", [number], k=3)

    def decode(data: bytes, name: str) -> images.Decoded:
        opened.append(data)
        return images.decode(data, name)

    again = casework.rerun(gallery, search.number, identifier=identifier.acting(gallery), decode=decode)
    assert again.identical
    assert opened == [people[3].sketch.read_bytes()]
    records = [cases.searched(gallery, one.number).record for one in (search, again.search)]
    assert [search_records.repeats(record) for record in records] == [None, search.number]
    assert casework.compared(*records) == (True, ())
    other = records[1] | {"device": "cuda", "candidates": records[1]["candidates"][:2]}
    assert casework.compared(records[0], other) == (False, ("device",))


def test_the_time_line_has_every_act_in_its_order(gallery: Gallery, people: list[Made]) -> None:
    first = add(gallery, people[3].sketch)
    ((_, search),) = casework.search_case(Identifier(gallery, ROUTE), "C-1", k=3)
    second = add(gallery, people[4].sketch)
    cases.decide(gallery, search.number, 2, cases.Verdict.EXCLUDE, "other ears")
    case, found = cases.find(gallery, "C-1"), cases.searches(gallery, "C-1")
    events = casework.timeline(case, reversed(cases.sketches(gallery, "C-1")), found)
    acts = [(event.act, event.number, event.rank, event.verdict) for event in events]
    assert acts == [
        ("opened", None, None, None),
        ("sketch", first, None, None),
        ("search", search.number, None, None),
        ("sketch", second, None, None),
        ("decision", search.number, 2, cases.Verdict.EXCLUDE),
    ]
    assert {event.operator for event in events} == {gallery.operator.name}
    assert [event.at for event in events] == sorted(event.at for event in events)


def two_faces(people: list[Made]) -> bytes:
    """Two sketches on one sheet: the larger face is on the left, the smaller one on the right."""
    sheet, file = Image.new("RGB", (640, 400), "white"), io.BytesIO()
    for place, side, left in ((3, 360, 20), (5, 220, 400)):
        with Image.open(people[place].sketch) as opened:
            sheet.paste(opened.convert("RGB").resize((side * opened.width // opened.height, side)), (left, 20))
    sheet.save(file, "PNG")
    return file.getvalue()


def test_a_search_with_a_chosen_face_is_repeated_with_that_face(gallery: Gallery, people: list[Made]) -> None:
    data = two_faces(people)
    cases.add_sketch(gallery, "C-1", Drawing(data, "two.png", Kind.VIEWED))
    identifier = Identifier(gallery, ROUTE, case="C-1")
    first, second = (identifier.search(images.decode(data), k=4, face=number) for number in (1, 2))
    assert first.to_json()["candidates"] != second.to_json()["candidates"]
    record = cases.searched(gallery, second.number).record
    (used,) = record["faces"]
    assert (used["asked"], used["method"], record["landmarks"]) == (2, second.faces[0].face.method, [None])
    assert np.float32(used["landmarks"]).tolist() == second.faces[0].face.landmarks.tolist()
    assert min(x for x, _ in used["landmarks"]) > 400
    again = casework.rerun(gallery, second.number)
    assert (again.identical, again.changed) == (True, ())
    assert cases.searched(gallery, again.search.number).record["faces"] == [used]
    assert cases.searched(gallery, again.search.number).record["warnings"] == record["warnings"]


def test_landmarks_of_a_hand_stay_those_of_a_hand(gallery: Gallery, people: list[Made]) -> None:
    add(gallery, people[3].sketch)
    identifier = Identifier(gallery, ROUTE, case="C-1")
    found = identifier.search(people[3].sketch, k=4).faces[0].face.landmarks
    moved = identifier.search(people[3].sketch, k=4, landmarks=found + 2.5)
    records = [cases.searched(gallery, moved.number + step).record for step in (-1, 0)]
    assert [record["landmarks"] for record in records] == [[None], [(found + 2.5).tolist()]]
    assert records[1]["faces"] == [
        {"asked": None, "method": "manual", "score": 1.0, "landmarks": (found + 2.5).tolist()}
    ]
    again = casework.rerun(gallery, moved.number)
    assert (again.identical, again.changed) == (True, ())
    assert cases.searched(gallery, again.search.number).record["landmarks"] == records[1]["landmarks"]


def older(gallery: Gallery, search: int, *keys: str) -> int:
    """A copy of a search's record as an earlier version of the program made it, without some of its parts."""
    record: dict[str, Any] = json.loads(json.dumps(cases.searched(gallery, search).record))
    return cases.record_search(gallery, {key: part for key, part in record.items() if key not in keys}, case="C-1")


def test_an_older_record_without_its_faces_is_repeated_as_ever(gallery: Gallery, people: list[Made]) -> None:
    add(gallery, people[3].sketch)
    ((_, search),) = casework.search_case(Identifier(gallery, ROUTE), "C-1", k=4)
    again = casework.rerun(gallery, older(gallery, search.number, "faces"))
    assert (again.identical, again.changed) == (True, ())


def test_a_repetition_says_that_another_face_was_found(gallery: Gallery, people: list[Made]) -> None:
    add(gallery, people[3].sketch)
    identifier = Identifier(gallery, ROUTE)
    ((_, search),) = casework.search_case(identifier, "C-1", k=4)
    found = identifier.finder.one

    def elsewhere(picture: Image.Image, **how: Any) -> Any:
        return identifier.finder.again(picture, found(picture).face.landmarks + 3)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identifier.finder, "one", elsewhere)
        assert "faces" in casework.rerun(gallery, search.number, identifier=identifier).changed


@pytest.mark.parametrize(("kind", "stated"), [(Kind.VIEWED, True), (Kind.COMPOSITE, False), (Kind.FORENSIC, False)])
def test_likelihood_ratios_are_stated_for_the_kind_that_they_hold_for(
    gallery: Gallery, people: list[Made], kind: Kind, stated: bool
) -> None:
    sketch = people[3].sketch
    cases.add_sketch(gallery, "C-1", Drawing(sketch.read_bytes(), sketch.name, kind))
    identifier = Identifier(gallery, case="C-1")
    alone, (among,) = identifier.search(sketch, k=3), identifier.search_all([sketch], 3)
    together = identifier.search_together([sketch, people[4].sketch], 3)  # the case does not hold the second one
    for search in (alone, among, together):
        assert isinstance(search, Search)
        assert (search.calibration is not None) is stated
        assert [candidate.log_lr is not None for candidate in search.candidates] == [stated] * 3
        assert any("take ranks alone" in text for text in search.warnings) is not stated
        record = cases.searched(gallery, search.number or 0).record
        assert record["calibration"]  # what was computed stays on record; what may be shown follows from the kind
    assert Identifier(gallery).search(sketch, k=3).calibration is not None  # nobody says what kind it is


def test_a_repetition_says_that_people_were_merged_or_split(gallery: Gallery, people: list[Made]) -> None:
    add(gallery, people[3].sketch)
    identifier = Identifier(gallery, ROUTE)
    ((_, search),) = casework.search_case(identifier, "C-1", k=4)
    first, second = (candidate.person for candidate in search.candidates[:2])
    before = cases.searched(gallery, search.number).record
    assert [photo for photo, _ in before["owners"]] == sorted(photo for photo, _ in before["owners"])
    assert {c["photo_id"]: c["person_id"] for c in before["candidates"]}.items() <= dict(before["owners"]).items()
    assert dict(before["owners"]) == {
        photo.id: photo.person_id for photo in gallery.photos_by_number(dict(before["owners"])).values()
    }
    gallery.merge(first, second)  # of the two, the second one's numbers are gone
    merged = casework.rerun(gallery, search.number)
    assert (merged.identical, merged.changed) == (False, (casework.OWNERS,))
    gallery.split(first, [search.candidates[1].photo_id], second)
    again = casework.rerun(gallery, merged.search.number)
    assert (again.identical, again.changed) == (False, (casework.OWNERS,))
    assert casework.rerun(gallery, older(gallery, search.number, "owners")).changed == ()
    assert casework.rerun(gallery, again.search.number).changed == ()


def test_another_label_or_somebody_far_off_changes_no_list(gallery: Gallery, people: list[Made]) -> None:
    add(gallery, people[3].sketch)
    ((_, search),) = casework.search_case(Identifier(gallery, ROUTE), "C-1", k=3)
    everyone = Identifier(gallery, ROUTE).search(people[3].sketch, k=100).candidates
    gallery.update(search.candidates[0].person, {}, rename="renamed")
    gallery.merge(everyone[-2].person, everyone[-1].person)
    again = casework.rerun(gallery, search.number)
    assert (again.identical, again.changed) == (True, ())
    assert again.search.candidates[0].person == "renamed"


def test_a_repetition_says_that_a_filter_keeps_others(gallery: Gallery, people: list[Made]) -> None:
    add(gallery, people[3].sketch)
    single = [person.label for person in gallery.people() if len(gallery.photos(person.label)) == 1]
    for label in single:
        gallery.update(label, {"sex": "M"})
    gallery.update(single[0], {"sex": "F"})
    only = Filter.parse(["sex=F"], "the witness saw a woman")
    ((_, search),) = casework.search_case(Identifier(gallery, ROUTE), "C-1", k=9, only=only)
    gallery.update(single[0], {"sex": "M"})
    gallery.update(single[1], {"sex": "F"})
    again = casework.rerun(gallery, search.number)
    assert again.search.filter == search.filter  # as many are kept and left out
    assert (again.identical, again.changed) == (False, (casework.KEPT,))
    assert casework.rerun(gallery, older(gallery, search.number, "kept")).changed == ()
