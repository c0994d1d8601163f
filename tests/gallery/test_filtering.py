"""Filters by metadata, against a brute-force reading of the rules over plain dictionaries."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensic.errors import UsageError
from forensic.gallery import Filter, Gallery

REASON = "the witness said so"
SEXES = (None, "F", "m", "Unknown")
YEARS = (None, 1960, 1975, 1990)
HAIR = (None, "dark", " Dark ", "BROWN", "?")
HEIGHTS = (None, "170", "about 180", "185")
SOURCES = ((None,), ("booking",), ("booking", "press"), ("press", None))


@pytest.fixture(scope="module")
def people(tmp_path_factory, making):
    """A gallery of people with and without values, and the same people as dictionaries by label."""
    known = {}
    rng = np.random.default_rng(0)
    combinations = list(itertools.product(SEXES, YEARS, HAIR, HEIGHTS, SOURCES))
    chosen = [combinations[k] for k in sorted(rng.choice(len(combinations), 120, replace=False))]
    records, number = [], 0
    for place, (sex, year, hair, height, sources) in enumerate(chosen):
        label = f"P{place:03}"
        known[label] = {"sex": sex, "birth_year": year, "Hair colour": hair, "height": height, "source": sources}
        own = {"sex": sex, "birth_year": year, "Hair colour": hair, "height": height}
        for source in sources:
            metadata = {key: str(value) for key, value in (own | {"source": source}).items() if value is not None}
            records.append(making.record(number, person=label, metadata=metadata))
            number += 1
    with Gallery(tmp_path_factory.mktemp("filtering") / "gallery", create=True) as gallery:
        assert {outcome.status for outcome in gallery.enroll(records)} == {"enrolled"}
        yield gallery, known


# The oracle: conditions as (column, text to parse, what the rules say of one value: True, False or None).

NONE = {None, "?", "Unknown"}


def equal(*texts):
    wanted = {text.lower() for text in texts}
    return lambda value: True if value and value.strip().lower() in wanted else None if value in NONE else False


def between(low, high):
    def judge(value):
        try:
            number = int(value)
        except (TypeError, ValueError):
            return None
        return low <= number <= high

    return judge


CONDITIONS = {
    "sex=F": ("sex", equal("F")),
    " Sex = f ": ("sex", equal("F")),
    "sex=M|F": ("sex", equal("F", "M")),
    "sex=unknown": ("sex", equal("unknown")),
    "birth_year=1975": ("birth_year", lambda year: None if year is None else year == 1975),
    "birth year=1970..1980": ("birth_year", between(1970, 1980)),
    "birth-year=..1975": ("birth_year", between(0, 1975)),
    "birth_year=1976 .. ": ("birth_year", between(1976, 9999)),
    "birth_year=1960|1980..": ("birth_year", lambda year: None if year is None else year == 1960 or year >= 1980),
    "age=30..44@2020": ("birth_year", between(1975, 1990)),
    "age=45@2020": ("birth_year", between(1974, 1975)),
    "hair colour=DARK": ("Hair colour", equal("dark")),
    "Hair colour=dark|brown": ("Hair colour", equal("dark", "brown")),
    "height=171..": ("height", between(171, 9999)),
    "source=Press": ("source", equal("press")),
    "source=booking": ("source", equal("booking")),
}


def expected(known, texts):
    """Verdict of each person, by the rules: any photo will do; not known is better than no; all conditions count."""
    verdicts = {}
    for label, person in known.items():
        of_conditions = []
        for text in texts:
            column, judge = CONDITIONS[text]
            values = person[column] if isinstance(person[column], tuple) else (person[column],)
            found = [judge(value) for value in values]
            of_conditions.append(True if True in found else None if None in found else False)
        verdicts[label] = False if False in of_conditions else None if None in of_conditions else True
    return verdicts


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.sampled_from(sorted(CONDITIONS)), min_size=1, max_size=4))
def test_filters_against_brute_force(people, texts):
    gallery, known = people
    verdicts = expected(known, texts)
    found = gallery.matching(Filter.parse(texts, REASON))
    kept = {label for label, verdict in verdicts.items() if verdict is not False}
    photos = [photo.id for photo in gallery.photos() if photo.person.label in kept]
    assert found.photo_ids.dtype == np.int64
    assert found.photo_ids.tolist() == sorted(photos)
    counts = [sum(verdict is value for verdict in verdicts.values()) for value in (True, None, False)]
    assert [found.fulfilling, found.unknown, found.left_out] == counts
    assert found.kept == len(kept)


def test_whoever_has_no_value_is_kept_and_counted(gallery, making):
    rows = [{"sex": "F"}, {"sex": "M"}, {}, {"sex": "unknown"}, {"sex": " "}]
    for number, metadata in enumerate(rows):
        gallery.enroll([making.record(number, person=f"P{number}", metadata=metadata)])
    found = gallery.matching(Filter.parse(["sex=F"], REASON))
    assert (found.fulfilling, found.unknown, found.left_out) == (1, 3, 1)
    assert {owner.label for owner in gallery.owners(found.photo_ids).values()} == {"P0", "P2", "P3", "P4"}


def test_all_photos_of_a_person_are_searched_when_one_fits(gallery, making):
    for number, source in enumerate(("booking", "press")):
        gallery.enroll([making.record(number, person="two", metadata={"source": source})])
    gallery.enroll([making.record(2, person="other", metadata={"source": "press"})])
    found = gallery.matching(Filter.parse(["source=booking"], REASON))
    assert {owner.label for owner in gallery.owners(found.photo_ids).values()} == {"two"}
    assert len(found.photo_ids) == 2


def test_two_spellings_of_a_column_are_one(gallery, making):
    gallery.enroll([making.record(0, person="A", metadata={"Eye  Colour": "grey"})])
    gallery.enroll([making.record(1, person="B", metadata={"eye colour": "blue"})])
    found = gallery.matching(Filter.parse(["EYE COLOUR=grey"], REASON))
    assert [owner.label for owner in gallery.owners(found.photo_ids).values()] == ["A"]
    assert found.left_out == 1


def test_accents_compare_however_they_are_composed(gallery, making):
    gallery.enroll([making.record(0, person="A", metadata={"name": "Jose\u0301  GARCI\u0301A"})])
    gallery.enroll([making.record(1, person="B", metadata={"name": "Ann"})])
    found = gallery.matching(Filter.parse(["name=josé garcía"], REASON))
    assert (found.fulfilling, found.left_out) == (1, 1)


def test_what_goes_into_the_record(people):
    gallery, _ = people
    found = gallery.matching(Filter.parse([" Sex = F ", "age=30..44@2020"], "  the witness \n said so  "))
    record = json.loads(json.dumps(found.to_json()))
    assert record == {
        "conditions": ["sex=F", "age=30..44@2020 (birth_year=1975..1990)"],
        "justification": "the witness said so",
        "people": {"kept": found.kept, "kept_for_want_of_a_value": found.unknown, "left_out": found.left_out},
        "photos": len(found.photo_ids),
    }


def test_an_unknown_column_names_those_there_are(people):
    gallery, _ = people
    message = r"'hair'.*Columns with values: 'sex', 'birth_year', 'source', 'hair colour', 'height'\."
    for column in ("hair", "HAIR "):
        with pytest.raises(UsageError, match=message):
            gallery.matching(Filter.parse([f"{column}=dark"], REASON))
    for column in ("person", "case_reference", "name", "date_taken"):
        with pytest.raises(UsageError, match="Nobody in the gallery has a value of"):
            gallery.matching(Filter.parse([f"{column}=x"], REASON))


def test_a_value_that_nobody_has_names_those_there_are(people):
    """`sex=female` where the gallery says F must not leave out every woman in silence."""
    gallery, _ = people
    with pytest.raises(UsageError, match=r"known to fulfil 'sex=female'\. Recorded there: 'F', 'm'|'m', 'F'"):
        gallery.matching(Filter.parse(["sex=female"], REASON))
    with pytest.raises(UsageError, match=r"integers from 1960 to 1990"):
        gallery.matching(Filter.parse(["birth_year=2000.."], REASON))
    with pytest.raises(UsageError, match="no integers"):
        gallery.matching(Filter.parse(["source=1..2"], REASON))


def test_an_empty_gallery(gallery):
    with pytest.raises(UsageError, match="Columns with values: none"):
        gallery.matching(Filter.parse(["sex=F"], REASON))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sex",
        "=F",
        "sex=",
        "sex= ",
        "sex=F|",
        "sex=|F",
        "birth_year=..",
        "birth_year=a..b",
        "birth_year=1990..1980",
        "date_taken=2019-01..2020-01",
        "birth_year=1..2..3",
        "age=30..40@",
        "age=x@2020",
        "age=40..30@2020",
        "age=..@2020",
        "age=30..40@20",
        "age=1|2@2020",
        f"n={'9' * 5000}..",
    ],
)
def test_conditions_that_state_nothing(text):
    with pytest.raises(UsageError):
        Filter.parse([text], REASON)


@pytest.mark.parametrize("reason", ["", "   ", "because", "two words", "x" * 2001, "1 " * 1001])
def test_a_justification_is_words(reason):
    with pytest.raises(UsageError, match="justification"):
        Filter.parse(["sex=F"], reason)


def test_filters_that_are_none():
    with pytest.raises(UsageError, match="needs a condition"):
        Filter.parse([], REASON)
    with pytest.raises(UsageError, match="justification"):
        Filter(Filter.parse(["sex=F"], REASON).conditions, "no")
    assert Filter.parse(["sex=F"], "目击者称嫌疑人为女性约三十岁").justification
    assert Filter.parse(["sex = F"], REASON) == Filter.parse(["sex=F"], f" {REASON} ")
    with pytest.raises(AttributeError):
        Filter.parse(["sex=F"], REASON).justification = "other"  # type: ignore[misc]
