"""A label is one, whatever the Unicode form in which a folder's name or a keyboard gives it."""

import dataclasses

import pytest

from forensic.errors import DuplicateError, NotFound, UsageError
from forensic.gallery import browsing, people
from forensic.gallery.casework import cases
from forensic.gallery.casework.casework_models import Case
from forensic.gallery.checks import proving
from forensic.gallery.checks.traces import Traces
from forensic.gallery.models import Person

NFC, NFD = "Jos\u00e9 \u00c9mile", "Jose\u0301 E\u0301mile"


def stored_as(gallery, label: str, form: str) -> None:
    """Write a label as an earlier version did, which took it as it came."""
    with gallery.writing() as session:
        people.find(session, label).label = form


@pytest.fixture(params=[NFC, NFD], ids=["composed", "decomposed"])
def old(request, gallery, making):
    """A gallery that has a label in either form."""
    gallery.enroll([making.record(0, person=NFC)])
    stored_as(gallery, NFC, request.param)
    return gallery


def test_two_forms_are_one_person(gallery, making):
    outcomes = gallery.enroll([making.record(0, person=NFD), making.record(1, person=NFC)])
    assert [outcome.person for outcome in outcomes] == [NFC, NFC]
    assert [person.label for person in gallery.people()] == [NFC]
    assert gallery.enroll([making.record(0, person=NFD)])[0].status == "already"


@pytest.mark.parametrize("unseen", ["\u200b", "\u202e", "\ufeff", "\xad", "\u2066", "\x07", "\u200d", "\u200c"])
def test_no_two_labels_look_alike(gallery, making, unseen):
    for label in (unseen, f"A-17{unseen}", f"{unseen}A-17", f"A-{unseen}-17"):
        (outcome,) = gallery.enroll([making.record(0, person=label)])
        assert outcome.status == "refused"
        assert "none that nobody sees" in str(outcome)
        with pytest.raises(UsageError, match="printable characters"):
            cases.open_case(gallery, label, purpose="p", legal_basis="l")
    assert gallery.size() == (0, 0)


@pytest.mark.parametrize(
    "name", ["\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "\u0d30\u0d3e\u0d1c\u0d28\u0d4d\u200d \u0d15"]
)
def test_names_that_are_written_with_joiners_are_taken(gallery, making, name):
    assert gallery.enroll([making.record(0, person=name)])[0].person == name


@pytest.mark.parametrize("given", [NFC, NFD])
def test_lookups_take_either_form(old, making, given):
    stored = old.people()[0].label
    assert old.person(given).label == stored
    assert len(old.photos(given)) == 1
    for where in ({"person": given}, {"person": f"{given[:3]}*"}, {"person": "JOS\u00c9*"}):
        assert [card.person.label for card in browsing.page(old, where, limit=5).cards] == [stored]
    assert old.enroll([making.record(0, person=given)])[0].status == "already"
    assert old.enroll([making.record(1, person=given)])[0].status == "enrolled"
    assert old.size().people == 1
    assert len(old.expunge(given)) == 2
    assert old.size() == (0, 0)


@pytest.mark.parametrize("given", [NFC, NFD])
def test_no_second_person_by_renaming_or_splitting(old, making, given):
    old.enroll([making.record(2, person="B"), making.record(3, person="B")])
    with pytest.raises(DuplicateError):
        old.update("B", {}, rename=given)
    with pytest.raises(DuplicateError):
        old.split("B", [old.photos("B")[0].id], given)
    with pytest.raises(UsageError, match="named twice"):
        old.merge(NFC, NFD)
    assert old.update(given, {}, rename=given).label == NFC  # one's own label, as it is stored today


def test_two_forms_of_an_earlier_version_are_told(gallery, making):
    gallery.enroll([making.record(0, person=NFC), making.record(2, person="B")])
    stored_as(gallery, "B", NFD)
    assert [gallery.person(form).label for form in (NFC, NFD)] == [NFC, NFD]
    assert [(found.kind, found.subject) for found in gallery.verify()] == [("person", NFC)]
    for form in (NFC, NFD):
        with pytest.raises(UsageError, match="two Unicode forms"):
            gallery.expunge(form)
    gallery.merge(NFC, NFD)
    assert gallery.verify() == []
    assert len(gallery.expunge(NFD)) == 2


BEGINNINGS = [
    ("émile*", "Émile"),
    ("E\u0301M*", "Émile"),
    ("weiss*", "Weiß"),
    ("ΣΊΣΥΦΟΣ*", "Σίσυφος"),
    ("иван*", "ИВАН"),
    ("a_*", "A_1"),
    ("100%*", "100%"),
]


@pytest.mark.parametrize(("asked", "label"), BEGINNINGS)
def test_beginnings_are_found_whatever_the_case(gallery, making, asked, label):
    """Labels, names and what is recorded of photos alike, page by page."""
    others = [making.record(2 * k + 10, person=f"Q{k}", metadata={}) for k in range(3)]
    own = making.record(0, person=label, metadata={"name": label, "source": label, "eyes": "1"})
    gallery.enroll([own, dataclasses.replace(making.record(2, person="Z"), metadata={"name": label}), *others])
    expected = {"person": [label], "name": sorted([label, "Z"]), "source": [label]}
    for key, found in expected.items():
        assert [person.label for person in gallery.people({key: asked})] == found
        assert browsing.page(gallery, {key: asked}, limit=1).total == len(found)
        pages = [gallery.people({key: asked}, limit=1, offset=k) for k in range(len(found) + 1)]
        assert [person.label for page in pages for person in page] == found
    assert [person.label for person in gallery.people({"name": asked, "eyes": "1"})] == [label]
    assert gallery.people({"name": asked, "eyes": "2"}) == []
    assert gallery.people({"name": f"x{asked}"}) == []


def test_a_case_is_found_by_either_form(gallery):
    number = cases.open_case(gallery, NFD, purpose="p", legal_basis="l")
    assert cases.find(gallery, NFC).reference == NFC
    with pytest.raises(UsageError, match="already"):
        cases.open_case(gallery, NFC, purpose="p", legal_basis="l")
    with gallery.writing() as session:
        session.get_one(Case, number).reference = NFD  # as an earlier version took it
    assert {cases.find(gallery, f" {form} ").id for form in (NFC, NFD)} == {number}
    with pytest.raises(UsageError, match="already"):
        cases.open_case(gallery, NFC, purpose="p", legal_basis="l")
    with pytest.raises(NotFound):
        cases.find(gallery, "Jose Emile")


@pytest.mark.parametrize("text", [NFC, NFD])
@pytest.mark.parametrize("left", [NFC, NFD])
def test_a_proof_searches_for_both_forms(gallery, making, text, left):
    gallery.enroll([making.record(0, person=NFC, metadata={}), making.record(2, person="B", metadata={})])
    number = gallery.person(NFC).id
    gallery.expunge(NFC)
    with gallery.writing() as session:
        session.get_one(Person, gallery.person("B").id).name = left
    found = {check.name: check for check in proving.prove(gallery, number, traces=Traces.of((text,)))}
    assert found["search"].passed is False
