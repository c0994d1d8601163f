"""People leave when their time is over: not a day earlier, all of them in one act, and for good."""

import json
from datetime import UTC, date, datetime

import pytest
from click.testing import CliRunner

from forensic.commands.retention import retention as group
from forensic.errors import GalleryError, UsageError
from forensic.gallery import Gallery, expunging
from forensic.gallery.enrolling import DATED, PAST, check_day
from forensic.gallery.exchange import export, read_table
from forensic.gallery.log import trail
from forensic.gallery.records import parse_day

TODAY = date(2031, 5, 1)
DATES = ["2031-04-30", "2031-05-01", "2030-12-31", "", "2044-02-29"]
"""Of P0000 to P0004; those of P0000 and P0002 have passed."""


@pytest.fixture
def kept(gallery, making, monkeypatch):
    """Five people, two of whom are due."""
    monkeypatch.setattr(expunging, "now", lambda: datetime(2031, 5, 1, 23, 59, tzinfo=UTC))
    records = [making.record(2 * n, metadata={"Keep until": text, "eyes": f"of {n}"}) for n, text in enumerate(DATES)]
    gallery.enroll(records)
    return gallery


@pytest.mark.parametrize(
    "text", ["2031-2-1", "31.12.2031", "2031-02-29", "20311231", "2031-W01-1", "soon", "٢٠٣١-01-01"]
)
def test_what_is_no_day_is_an_error_in_words(kept, text):
    with pytest.raises(UsageError, match="expected a day as year-month-day"):
        parse_day(text)
    with pytest.raises(UsageError, match="expected a day as year-month-day"):
        kept.update("P0000", {"keep_until": text})
    assert kept.person("P0000").keep_until == date(2031, 4, 30)


def test_a_date_is_given_changed_taken_away_and_kept_where_it_is_known(kept, making):
    assert [person.keep_until for person in kept.people()] == [date.fromisoformat(d) if d else None for d in DATES]
    assert [person.label for person in kept.people({"keep_until": "2044-02-29"})] == ["P0004"]
    kept.update("P0003", {"keep-until": "2035-01-01"})
    kept.update("P0000", {"keep_until": " "})
    assert [kept.person(label).keep_until for label in ("P0003", "P0000")] == [date(2035, 1, 1), None]
    (outcome,) = kept.enroll([making.record(9, metadata={"keep_until": "2050-01-01"})])
    assert "keep_until stays '2044-02-29', not '2050-01-01'" in outcome.message
    assert kept.person("P0004").keep_until == date(2044, 2, 29)


def test_an_export_enrolled_again_has_the_dates(kept, making, tmp_path):
    rows = list(read_table(export(kept, tmp_path / "out")))
    with Gallery(tmp_path / "other", create=True) as other:
        for row in rows:
            data = row.file.read_bytes()
            other.enroll([making.record(0, person=row.person, data=data, metadata=row.metadata)])
        assert [(p.label, p.keep_until) for p in other.people()] == [(p.label, p.keep_until) for p in kept.people()]


def test_a_default_is_for_new_people_of_whom_nothing_is_said(kept, making):
    """P0003 is enrolled without a date, and stays so whatever is the default for others."""
    asked = [(7, {}), (20, {"keep until": " "}), (21, {}), (22, {"Keep-Until": "2033-03-03"})]
    outcomes = kept.enroll([making.record(n, metadata=said) for n, said in asked], keep_until=date(2050, 1, 1))
    assert [(outcome.status, outcome.message) for outcome in outcomes] == [("enrolled", "")] * 4
    dates = {person.label: person.keep_until for person in kept.people()}
    assert len(kept.photos("P0003")) == 2
    assert (dates["P0003"], dates["P0010"], dates["P0011"]) == (None, date(2050, 1, 1), date(2033, 3, 3))


def test_a_date_for_photos_that_were_there_is_pointed_out(kept, making):
    (outcome,) = kept.enroll([making.record(7, metadata={"keep_until": "2050-01-01"})])
    assert "P0003: keep_until is 2050-01-01 for all photos now, there was none before" in outcome.message
    assert outcome.findings == (DATED,)
    assert kept.person("P0003").keep_until == date(2050, 1, 1)


def test_a_date_that_has_passed_is_pointed_out(kept, making):
    rows = [(20, "2031-04-30"), (22, "2031-05-01"), (7, "2031-04-30")]
    outcomes = kept.enroll([making.record(n, metadata={"keep_until": text}) for n, text in rows])
    assert [outcome.findings for outcome in outcomes] == [(PAST,), (), (DATED, PAST)]
    assert "keep_until 2031-04-30 has passed" in outcomes[0].message
    check_day(TODAY)
    check_day(None)
    with pytest.raises(UsageError, match=r"2031-04-30 has passed.*today is 2031-05-01"):
        check_day(date(2031, 4, 30))


def test_who_is_due_and_when(kept):
    assert [person.label for person in kept.due()] == ["P0002", "P0000", "P0001", "P0004"]
    assert kept.due(TODAY) == [
        ("P0002", 3, date(2030, 12, 31), 1, {3}),
        ("P0000", 1, date(2031, 4, 30), 1, {1}),
    ]  # whose day is today is kept today
    assert [person.label for person in kept.due(date(2031, 5, 2))] == ["P0002", "P0000", "P0001"]


def test_all_who_are_due_go_in_one_act(kept, making):
    assert [person.label for person in kept.expunge_due()] == ["P0002", "P0000"]
    assert [person.label for person in kept.people()] == ["P0001", "P0003", "P0004"]
    (entry,) = trail.entries(kept, action="expunge")
    assert entry["details"] == {"people": [3, 1], "photos": [1, 3], "reason": "retention", "day": "2031-05-01"}
    files = [path.read_bytes() for path in kept.folder.rglob("*") if path.is_file()]
    for number in (0, 4):
        marks = (f"P{number // 2:04}", f"of {number // 2}", making.record(number).sha256)
        assert not [mark for mark in marks for data in files if mark.encode() in data]
    assert kept.verify() == []
    assert kept.expunge_due() == []
    assert len(trail.entries(kept, action="expunge")) == 1  # nobody was due: nothing is noted


def test_those_alone_go_who_were_shown_and_are_due_still(kept):
    shown = kept.due(date(2031, 5, 2))
    kept.update("P0002", {"keep_until": "2050-01-01"})
    kept.update("P0003", {"keep_until": "2001-01-01"})
    assert [one.label for one in shown] == ["P0002", "P0000", "P0001"]  # the last one's day is today
    assert [one.label for one in kept.expunge_due(shown)] == ["P0000"]
    assert [one.label for one in kept.due(TODAY)] == ["P0003"]
    shown = kept.due(TODAY)
    kept.merge("P0003", "P0002")
    kept.update("P0003", {"keep_until": "2001-01-01"})
    assert kept.expunge_due(shown) == []  # a photo came along that was not shown
    assert kept.size() == (3, 4)
    assert kept.expunge_due([]) == []
    assert [one.photos for one in kept.expunge_due()] == [2]


def test_a_merge_keeps_the_later_date_and_says_so(kept):
    assert "keep_until is 2031-05-01 for all photos now, the earlier 2031-04-30 is dropped" in kept.merge(
        "P0000", "P0001"
    )
    assert kept.person("P0000").keep_until == date(2031, 5, 1)
    remarks = kept.merge("P0003", "P0004")  # only the other one had a date
    assert "keep_until is 2044-02-29 for all photos now, only one of the two had a date" in remarks
    assert kept.person("P0003").keep_until == date(2044, 2, 29)
    kept.update("P0003", {"keep_until": "2031-05-01"})
    assert not [remark for remark in kept.merge("P0000", "P0003") if "keep_until" in remark]  # they are the same


def test_a_split_takes_the_date_along(kept, making):
    kept.enroll([making.record(8, person="P0004", data=b"another", metadata={})])
    made = kept.split("P0004", [kept.photos("P0004")[0].id], "Q")
    assert (made.keep_until, made.extra) == (date(2044, 2, 29), {})


def test_an_older_gallery_gets_no_dates_from_a_column_of_the_users_own(gallery, making):
    gallery.enroll([making.record(0, metadata={"eyes": "grey"}), making.record(2)])
    before = gallery.digest()
    with gallery.writing() as session:
        session.connection().exec_driver_sql(
            """UPDATE people SET extra = '{"Keep until": "2020-01-01"}' WHERE label = 'P0000'"""
        )
    with gallery.engine.begin() as connection:
        for table in ("backups", "backup_keys", "segments", "engine", "engine_debts", "originals"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("ALTER TABLE people DROP COLUMN keep_until")
        connection.exec_driver_sql("ALTER TABLE loose_objects DROP COLUMN rewritten")
        connection.exec_driver_sql("ALTER TABLE index_files DROP COLUMN modified_ns")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0004'")
    gallery.close()
    with Gallery(gallery.folder) as opened:
        assert opened.due() == []
        assert opened.person("P0000").extra == {"keep_until (earlier column)": "2020-01-01"}
        opened.update("P0000", {"keep_until (earlier column)": "", "eyes": "grey"})
        assert opened.digest() == before
        assert opened.verify() == []


@pytest.fixture
def run(kept, monkeypatch):
    monkeypatch.setenv("FORENSIC_GALLERY", str(kept.folder))
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments, **options):
        return CliRunner().invoke(group, arguments, **options)

    return invoke


def test_the_commands(run, kept):
    shown = run("list").output
    assert shown.index("P0002") < shown.index("P0000") < shown.index("P0004")
    assert "4 of 5 people have a date; 2 are due today (2031-05-01 in UTC)" in shown
    lines = [json.loads(line) for line in run("list", "--before", "2031-01-01", "--json").output.splitlines()]
    assert lines == [{"label": "P0002", "number": 3, "keep_until": "2030-12-31", "photos": 1, "photo_ids": [3]}]
    assert "2 people, due on 2031-05-01 (UTC), would be expunged." in run("apply", "--dry-run").output
    assert "Nothing was removed." in run("apply", input="n\n").output
    assert kept.size().people == 5
    done = run("apply", input="y\n").output
    assert "Expunge 2 people, due on 2031-05-01 (UTC), for good?" in done
    assert "2 people, due on 2031-05-01 (UTC), were expunged." in done
    assert kept.size().people == 3
    assert "0 people, due on" in run("apply", "--yes").output


def test_the_command_leaves_whoever_became_due_while_it_asked(run, kept, monkeypatch):
    def answer(question):
        assert question == "Expunge 2 people, due on 2031-05-01 (UTC), for good?"
        kept.update("P0001", {"keep_until": "2001-01-01"})
        kept.merge("P0000", "P0003")  # another photo of somebody who is due
        return True

    monkeypatch.setattr("forensic.commands.retention.sure", answer)
    told = run("apply").output
    assert "1 person, due on 2031-05-01 (UTC), were expunged." in told
    assert "2 people became due or changed since" in told
    assert [person.label for person in kept.people()] == ["P0000", "P0001", "P0004"]


def test_wrong_use(run, tmp_path):
    assert isinstance(run("list", "--before", "tomorrow").exception, UsageError)
    assert isinstance(run("apply", "--json").exception, UsageError)
    assert isinstance(run("apply", "--gallery", str(tmp_path / "none")).exception, GalleryError)
