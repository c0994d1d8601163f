"""People a page at a time, against the lists that they are cut from."""

import pytest

from forensic.errors import UsageError
from forensic.gallery import browsing, people
from forensic.gallery.log import trail


@pytest.fixture
def peopled(gallery, making):
    """Nine people of whom one has two photos, with and without metadata."""
    records = [
        making.record(n, person=f"P{n % 9}", metadata={"sex": "FM"[n % 2], "eye colour": f"{n % 3}"}) for n in range(10)
    ]
    gallery.enroll([*records, making.record(10, person="100%", metadata={"name": "Öz_"})])
    return gallery


@pytest.mark.parametrize(
    "where", [{}, {"sex": "F"}, {"eye colour": "1"}, {"sex": "M", "eye colour": "0"}, {"name": ""}, {"person": "p*"}]
)
def test_pages_are_parts_of_the_whole(peopled, where):
    whole = [person.label for person in peopled.people(where)]
    pages = [browsing.page(peopled, where, limit=2, offset=offset) for offset in range(0, 12, 2)]
    assert [card.person.label for page in pages for card in page.cards] == whole
    assert {page.total for page in pages} == {len(whole)}
    for card in (card for page in pages for card in page.cards):
        assert card.photo == min(photo.id for photo in peopled.photos(card.person.label))
    assert trail.entries(peopled, action="list", limit=1)[0]["details"]["people"] == []  # behind the last page


@pytest.mark.parametrize(
    ("where", "labels"),
    [
        ({"person": "P*"}, 9),
        ({"person": "p1*"}, 1),
        ({"person": "100%*"}, 1),
        ({"person": "1_*"}, 0),
        ({"person": "%*"}, 0),
        ({"person": "*"}, 10),
        ({"name": "Öz_*"}, 1),
        ({"name": "z*"}, 0),
    ],
)
def test_a_star_asks_for_what_begins_so_and_nothing_else_is_a_pattern(peopled, where, labels):
    assert len(peopled.people(where)) == browsing.page(peopled, where, limit=1).total == labels


def test_a_value_that_none_can_have_is_refused(peopled):
    with pytest.raises(UsageError, match="birth year"):
        browsing.page(peopled, {"birth_year": "about 1970"}, limit=1)


def test_what_goes_with_a_person_is_what_an_expunge_removes(peopled):
    person = peopled.person("P0")
    held = browsing.holdings(peopled, person.id)
    space = peopled.spaces()[0]
    photos, templates = len(peopled.photos()), len(peopled.templates(space.digest).people)
    assert (held.photos, held.templates, held.backup_keys) == (2, 2, 0)
    peopled.expunge("P0")
    assert photos - len(peopled.photos()) == held.photos
    assert templates - len(peopled.templates(space.digest).people) == held.templates
    assert browsing.holdings(peopled, person.id) == (0, 0, 0)


def test_what_there_is_to_do(peopled):
    assert browsing.upkeep(peopled).spaces == [(peopled.spaces()[0].route, 0)]
    peopled.update("P1", {"keep_until": "2001-01-01"})
    assert browsing.upkeep(peopled).due == 1
    assert browsing.upkeep(peopled).unmeasured == len(peopled.unassessed())
    photo = peopled.photos("P1")[0]
    assert browsing.routes_of(peopled, [photo.id, 999]) == {photo.id: [peopled.spaces()[0].route], 999: []}
    assert browsing.numbers(peopled, [photo.sha256, "0" * 64]) == {photo.sha256: (photo.id, photo.person_id)}
    assert people.described(photo.person)["keep_until"] == "2001-01-01"
