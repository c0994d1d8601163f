"""Cases: sketches, searches on record, and decisions that are made independently."""

import pytest

from forensic.errors import GalleryError, UsageError
from forensic.gallery.casework import cases
from forensic.gallery.casework.cases import Drawing, Kind, Verdict
from forensic.gallery.log import trail
from forensic.gallery.rights import Operator, Role

RECORD = {
    "operator": "x",
    "candidates": [
        {"rank": 1, "person_id": 1, "photo_id": 1},
        {"rank": 2, "person_id": 2, "photo_id": 3},
        {"rank": 3, "person_id": 77, "photo_id": 99},
    ],
}
DRAWING = Drawing(b"sketch", "sketch.png", Kind.FORENSIC, made_by="M. Ito", described_by="witness 2")


@pytest.fixture
def case(gallery, making):
    gallery.enroll([making.record(number) for number in range(4)])
    cases.open_case(gallery, "2026-1", purpose="robbery", legal_basis="warrant")
    return gallery


def by(gallery, name, role=Role.EXAMINER):
    gallery.operator = Operator(name, role)


def test_a_case_holds_its_sketches(case):
    number = cases.add_sketch(case, "2026-1", DRAWING)
    assert cases.add_sketch(case, "2026-1", DRAWING) == number  # the same bytes are one sketch
    (sketch,) = cases.sketches(case, "2026-1")
    assert (sketch.data, sketch.kind, sketch.made_by, sketch.described_by) == (
        b"sketch",
        "forensic",
        "M. Ito",
        "witness 2",
    )
    assert case.size() == (2, 4)  # it is not enrolled
    assert [entry["action"] for entry in trail.entries(case, limit=2)] == ["case-sketch", "case-open"]
    assert case.verify() == []


def test_what_was_said_of_a_sketch_is_not_replaced_in_silence(case):
    cases.add_sketch(case, "2026-1", DRAWING)
    with pytest.raises(UsageError, match="is sketch 1 of the case already, with kind 'forensic', not 'viewed'"):
        cases.add_sketch(case, "2026-1", DRAWING._replace(kind=Kind.VIEWED))
    with pytest.raises(UsageError, match="with drawn on 'not stated', not '2026-11-02'"):
        cases.add_sketch(case, "2026-1", DRAWING._replace(drawn_on="2026-11-02"))
    for field in ("made_by", "described_by"):
        with pytest.raises(UsageError, match=f"with {field.replace('_', ' ')} .*, not 'somebody else'"):
            cases.add_sketch(case, "2026-1", DRAWING._replace(**{field: "somebody else"}))
    assert cases.add_sketch(case, "2026-1", DRAWING._replace(made_by=None)) == 1


def test_a_sketch_of_a_case_is_never_enrolled(case, making):
    record = making.record(9, data=DRAWING.data)
    cases.add_sketch(case, "2026-1", DRAWING)
    (outcome,) = case.enroll([record])
    assert (outcome.status, "a probe is never enrolled" in outcome.message) == ("refused", True)
    assert case.size() == (2, 4)


def test_a_case_states_purpose_and_legal_basis(gallery):
    for purpose, basis in (("", "warrant"), ("robbery", " ")):
        with pytest.raises(UsageError, match="purpose and a legal basis"):
            cases.open_case(gallery, "1", purpose=purpose, legal_basis=basis)


def test_a_reference_is_taken_once(case):
    with pytest.raises(UsageError, match="already"):
        cases.open_case(case, "2026-1", purpose="p", legal_basis="l")
    with pytest.raises(GalleryError, match="no case '2026-2'"):
        cases.add_sketch(case, "2026-2", DRAWING)


def test_a_search_is_shown_with_those_who_are_still_enrolled(case):
    number = cases.record_search(case, RECORD, case="2026-1")
    assert cases.searched(case, number).people == {1: "P0000", 3: "P0001"}
    case.expunge("P0001")
    found = cases.searched(case, number)
    assert found.people == {1: "P0000"}
    assert found.record == RECORD  # what was found stays on record
    assert [one.number for one in cases.searches(case, "2026-1")] == [number]
    assert case.verify() == []


def test_the_second_examiner_is_blind(case):
    number = cases.record_search(case, RECORD, case="2026-1")
    by(case, "first")
    cases.decide(case, number, 1, Verdict.LEAD, "ears agree")
    assert cases.searched(case, number).opinions[0].verdict is Verdict.LEAD
    by(case, "second")
    (hidden,) = cases.searched(case, number).opinions
    assert (hidden.examiner, hidden.verdict, hidden.reason) == ("first", None, "")
    assert cases.searches(case)[0].opinions == [hidden]
    cases.decide(case, number, 2, Verdict.EXCLUDE, "another rank shows nothing")
    assert cases.searched(case, number).opinions[0].verdict is None
    assert cases.searched(case, number).disagreements == []
    cases.decide(case, number, 1, Verdict.EXCLUDE, "nose differs")
    said = [(o.rank, o.examiner, o.verdict) for o in cases.searched(case, number).opinions]
    assert said == [(1, "first", Verdict.LEAD), (1, "second", Verdict.EXCLUDE), (2, "second", Verdict.EXCLUDE)]
    assert cases.searched(case, number).disagreements == [1]
    by(case, "auditor", Role.AUDITOR)
    assert cases.searched(case, number).disagreements == [1]
    by(case, "third")
    assert cases.searched(case, number).disagreements == []
    assert case.verify() == []


def test_a_verdict_is_given_once_with_a_reason_on_a_rank_there_is(case):
    number = cases.record_search(case, RECORD)
    cases.decide(case, number, 1, Verdict.INCONCLUSIVE, "the mouth is hidden")
    with pytest.raises(UsageError, match="never changed"):
        cases.decide(case, number, 1, Verdict.LEAD, "on second thought")
    with pytest.raises(UsageError, match="reason"):
        cases.decide(case, number, 2, Verdict.LEAD, " ")
    with pytest.raises(UsageError, match="no candidate of rank 4"):
        cases.decide(case, number, 4, Verdict.LEAD, "ears")
    with pytest.raises(GalleryError, match="no search 9"):
        cases.decide(case, 9, 1, Verdict.LEAD, "ears")


TAMPERING = {
    "UPDATE searches SET record = replace(record, '\"rank\":1', '\"rank\":9')": "search 1",
    "UPDATE decisions SET verdict = 'exclude'": "decision on rank 1 of search 1 by",
    "UPDATE decisions SET reason = 'none'": "decision on rank 1 of search 1 by",
    "DELETE FROM decisions": "decision on rank 1 of search 1 by",
    "UPDATE cases SET legal_basis = 'none'": "case 1",
    "UPDATE sketches SET data = substr(data, 2)": "sketch 1",
    "DELETE FROM sketches": "sketch 1",
    "UPDATE sketches SET kind = 'viewed'": "sketch 1",
    "UPDATE searches SET case_id = NULL": "search 1",
}


def test_the_log_does_not_give_a_verdict_away(case):
    number = cases.record_search(case, RECORD)
    cases.decide(case, number, 1, Verdict.EXCLUDE, "nose differs")
    (entry,) = trail.entries(case, action="decide")
    assert set(entry["details"]) == {"search", "rank", "content"}
    by(case, "ines", Role.INVESTIGATOR)
    assert cases.searched(case, number).opinions[0].verdict is None


def test_an_enrolled_photo_is_no_sketch(case, making):
    with pytest.raises(UsageError, match="enrolled as a photo"):
        cases.add_sketch(case, "2026-1", DRAWING._replace(data=making.record(0).data))


@pytest.mark.parametrize("statement", TAMPERING)
def test_altered_records_are_found(case, statement):
    cases.add_sketch(case, "2026-1", DRAWING)
    cases.decide(case, cases.record_search(case, RECORD, case="2026-1"), 1, Verdict.LEAD, "ears")
    assert case.verify() == []
    with case.engine.begin() as connection:
        connection.exec_driver_sql(statement)
    (problem,) = case.verify()
    assert problem.subject.startswith(TAMPERING[statement])
