"""Looking through people, correcting and expunging them; accuracy reports."""

import json
import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from evaluation.toys import whole_report
from fastapi import FastAPI
from starlette.testclient import TestClient
from web.form_fields import forms, pair
from web.test_enroll import wait

from forensic import Gallery
from forensic.datasets.synthetic import Made
from forensic.gallery import reports
from forensic.gallery.log import trail
from forensic.gallery.models import Photo
from forensic.gallery.rights import Operator, Role
from forensic.web.pages import pictures
from forensic.web.problems import Busy

Browser = Callable[[str], TestClient]
ORDER = {"reason": "order 5"}
SEARCHED = ("person", "name", "sex", "birth_year", "case_reference", "source", "column", "value")


def logged(app: FastAPI, action: str) -> list[dict[str, object]]:
    auditor = app.state.server.gallery.acting_as(Operator("auditor", Role.AUDITOR))
    return [entry["details"] for entry in trail.entries(auditor, action=action)]


def labels(page: str) -> list[str]:
    return re.findall(r"<strong>([^<]*)</strong>", page)


def test_everybody_is_shown_a_page_at_a_time_and_that_is_on_record(
    browser: Browser, app: FastAPI, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forensic.web.pages.gallery.PEOPLE", 5)
    everybody = [person.label for person in gallery.people()]
    analyst = browser("analyst")
    pages = [analyst.get("/gallery").text, *(analyst.post("/gallery", data={"page": n}).text for n in (2, 3, 4))]
    assert [label for page in pages for label in labels(page)] == everybody
    assert "Page 1 of 3" in pages[0]
    assert "Nobody here" in pages[3]
    seen = [number for details in reversed(logged(app, "list")) for number in details["people"]]  # type: ignore[attr-defined]
    assert seen == [person.id for person in gallery.people()]
    for wrong in ("0", "-1", "x", "99999999999999999999", "9" * 5000):
        assert analyst.post("/gallery", data={"page": wrong}).status_code == 422


def test_people_are_found_by_what_is_recorded_and_it_is_in_no_address(browser: Browser, gallery: Gallery) -> None:
    first, second = gallery.people()[:2]
    gallery.update(first.label, {"name": "Ann Other", "birth_year": "1950", "hair": "red"})
    gallery.update(second.label, {"name": "Annabel", "birth_year": ""})
    auditor = browser("auditor")

    def found(**fields: str) -> list[str]:
        answer = auditor.post("/gallery", data=dict.fromkeys(SEARCHED, "") | fields, headers={"HX-Request": "true"})
        assert "<html" not in answer.text
        return labels(answer.text)

    assert found(birth_year="1950", name="Ann Other") == [first.label]
    assert found(name="ann*") == [first.label, second.label]
    assert found(column="hair", value="red") == [first.label]
    assert found(column="birth_year") == [second.label]
    assert found(person=second.label) == [second.label]
    assert found(person="syn_hetic*") == []  # no pattern of the database's own
    assert auditor.post("/gallery", data={"birth_year": "soon"}).status_code == 422
    assert auditor.post("/gallery", data={"value": "red"}).status_code == 422
    assert "Ann Other" not in auditor.get("/gallery?name=Annabel").text.split('id="people"')[0]


def test_a_person_is_shown_with_photos_and_verdicts(browser: Browser, app: FastAPI, gallery: Gallery) -> None:
    person = gallery.people()[0]
    page = browser("examiner").get(f"/people/{person.id}").text
    photo = gallery.photos(person.label)[0]
    assert photo.sha256 in page
    assert "direct@patches" in page
    assert f"/photos/{photo.id}/thumbnail.jpg" in page
    assert "Correct what" not in page
    assert logged(app, "view")[0]["person"] == person.id
    assert browser("examiner").get("/people/999").status_code == 404
    assert browser("examiner").get("/people/99999999999").status_code == 422


def test_metadata_is_corrected_and_taken_away(browser: Browser, app: FastAPI, gallery: Gallery) -> None:
    person = gallery.people()[0]
    analyst, where = browser("analyst"), f"/people/{person.id}"
    form = {
        "person": "Renamed",
        "name": "<b>Ann</b>",
        "sex": "",
        "birth_year": "1950",
        "column": "eyes",
        "value": "grey",
    }

    def corrected(address: str, **fields: str) -> int:
        (known,) = forms(analyst.get(where).text, address)
        return analyst.post(address, data=known | fields).status_code

    assert corrected(where, **form) == 303
    changed = gallery.person_by_number(person.id)
    assert (changed.label, changed.name, changed.sex, changed.birth_year) == ("Renamed", "<b>Ann</b>", None, 1950)
    assert changed.extra["eyes"] == "grey"
    assert changed.case_reference == person.case_reference  # what the form does not have stays
    assert "<b>Ann" not in analyst.get(where).text
    before = len(logged(app, "update"))
    assert corrected(where, **form | {"column": "", "value": ""}) == 303
    assert len(logged(app, "update")) == before  # nothing differs
    assert corrected(where, **{"own.eyes": ""}) == 303
    assert "eyes" not in gallery.person_by_number(person.id).extra
    assert corrected(where, birth_year="x") == 422
    photo = gallery.photos("Renamed")[0]
    assert corrected(f"/photos/{photo.id}", source="booking", date_taken="") == 303
    assert (gallery.photo(photo.id).source, gallery.photo(photo.id).date_taken) == ("booking", None)
    assert browser("administrator").post(where, data=form).status_code == 403


def test_a_person_is_two_after_a_split(browser: Browser, gallery: Gallery, people: list[Made]) -> None:
    label = next(made.label for made in people if len(made.photos) > 1)
    person, photos = gallery.person(label), gallery.photos(label)
    analyst, where = browser("analyst"), f"/people/{person.id}"
    (shown,) = forms(analyst.get(where).text, f"{where}/split")
    assert analyst.post(f"{where}/split", data=shown | {"label": "Third"}).status_code == 422
    form = shown | {"photos": [photos[0].id], "label": "Other"}
    assert analyst.post(f"{where}/split", data=form).status_code == 303
    assert [photo.id for photo in gallery.photos("Other")] == [photos[0].id]


def test_an_expunge_wants_the_label_and_a_reason_and_proves_itself(
    browser: Browser, app: FastAPI, gallery: Gallery
) -> None:
    person = gallery.people()[0]
    where, analyst = f"/people/{person.id}/expunge", browser("analyst")
    asked = analyst.get(where).text
    assert "1 photo with its original" in asked
    form = forms(asked)[0] | {"label": person.label, "reason": "order 4 Gs 9/26"}
    for wrong, words in (
        ({"shown": ""}, "does not say what its page showed"),
        ({"label": "another"}, "another one"),
        ({"reason": " "}, "reason is needed"),
        ({"reason": f"{person.label.upper()} asked"}, "names the person"),
    ):
        answer = analyst.post(where, data=form | wrong)
        assert (answer.status_code, words in answer.text) == (422, True)
    assert gallery.person_by_number(person.id).label == person.label
    proof = wait(analyst, analyst.post(where, data=form))
    page = analyst.get(proof).text
    assert f"Person {person.id} is expunged" in page
    assert "order 4 Gs 9/26" in page
    assert "No trace was found" in page
    assert analyst.get(f"/people/{person.id}").status_code == 404
    assert logged(app, "expunge")[0]["reason"] == "order 4 Gs 9/26"
    assert not any(person.label in json.dumps(details) for details in logged(app, "expunge"))
    assert "order 4 Gs 9/26" in browser("auditor").get("/gallery/expunged").text
    assert browser("examiner").get("/gallery/expunged").status_code == 403
    assert browser("examiner").get(where.replace(str(person.id), str(person.id + 1))).status_code == 403


def test_a_person_is_gone_where_traces_cannot_be_looked_for_yet(
    browser: Browser, app: FastAPI, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*asked: object) -> None:
        raise Busy("The queue is full.", 5)

    monkeypatch.setattr(app.state.server.jobs, "submit", full)
    person, analyst = gallery.people()[0], browser("analyst")
    where = f"/people/{person.id}"
    form = forms(analyst.get(f"{where}/expunge").text)[0] | {"label": person.label, "reason": "order 4"}
    answer = analyst.post(f"{where}/expunge", data=form)
    assert answer.status_code == 303  # it was done: an error would say that it was not
    page = analyst.get(answer.headers["location"]).text
    assert f"Person {person.id} is expunged" in page
    assert "Traces could not be looked for at once" in page
    assert f'action="{where}/proof"' in page
    other = gallery.people()[0].id
    assert "person is gone" not in analyst.get(f"/people/{other}/proof?unproved=true").text  # whatever a link says


def test_whoever_sees_a_person_is_on_record(
    browser: Browser, app: FastAPI, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = gallery.photos()[:2]
    analyst, passed = browser("analyst"), [0.0]
    monkeypatch.setattr("forensic.web.pages.pictures.time", SimpleNamespace(monotonic=lambda: passed[0]))

    def looks(address: str) -> list[object]:
        """Whom the log names further after a request."""
        before = len(logged(app, "view"))
        assert analyst.get(address).status_code == 200
        after = logged(app, "view")
        return [details["person"] for details in after[: len(after) - before]]

    whole = "/photos/{}/picture.jpg".format
    assert looks(whole(first.id)) == [first.person_id]  # by its number, without any page
    assert looks(f"/people/{first.person_id}") == [first.person_id]
    assert looks(whole(first.id)) == []  # the page's look covers it
    assert looks(whole(second.id)) == [second.person_id]
    passed[0] = 2 * pictures.LOOK
    assert looks(whole(first.id)) == [first.person_id]
    assert looks(f"/people/{first.person_id}/expunge") == [first.person_id]
    assert looks(f"/photos/{first.id}/thumbnail.jpg") == []
    looks(f"/people/{second.person_id}")
    analyst = browser("analyst")  # another visit
    assert looks(whole(second.id)) == [second.person_id]


def test_words_that_one_still_has_are_looked_for_and_kept_nowhere(
    browser: Browser, app: FastAPI, gallery: Gallery
) -> None:
    person, other = gallery.people()[:2]
    gallery.expunge(person.label)
    auditor = browser("auditor")
    asked = auditor.post(f"/people/{person.id}/proof", data={"text": f"{person.label}\n"})
    assert "No trace was found" in auditor.get(wait(auditor, asked)).text
    asked = auditor.post(f"/people/{person.id}/proof", data={"text": other.label})
    assert "A trace was found: search" in auditor.get(wait(auditor, asked)).text


def test_a_photo_is_expunged_alone(browser: Browser, gallery: Gallery, people: list[Made]) -> None:
    label = next(made.label for made in people if len(made.photos) > 1)
    person, photo = gallery.person(label), gallery.photos(label)[0]
    administrator = browser("administrator")
    page = administrator.get(f"/photos/{photo.id}/expunge").text
    assert "other photos" in page
    answer = administrator.post(f"/photos/{photo.id}/expunge", data=forms(page)[0] | ORDER | {"label": label})
    assert answer.headers["location"] == f"/people/{person.id}"
    assert len(gallery.photos(label)) == person.photo_count - 1


def test_whoever_is_due_is_expunged_together(browser: Browser, gallery: Gallery) -> None:
    first, second = gallery.people()[:2]
    gallery.update(first.label, {"keep_until": "2001-01-01"})
    gallery.update(second.label, {"keep_until": "2999-01-01"})
    analyst = browser("analyst")
    page = analyst.get("/gallery/retention").text
    assert "1 is due" in page
    assert second.label in page
    assert "may be kept no longer" in analyst.get("/gallery").text
    (shown,) = forms(page, "/gallery/retention")
    assert analyst.post("/gallery/retention", data=shown | {"count": "2"}).status_code == 422
    assert browser("auditor").post("/gallery/retention", data=shown | {"count": "1"}).status_code == 403
    assert analyst.post("/gallery/retention", data=shown | {"count": "1"}).status_code == 303
    assert first.label not in [person.label for person in gallery.people()]
    assert "retention" in analyst.get("/gallery/expunged").text
    assert analyst.post("/gallery/retention", data={"count": "0"}).status_code == 422
    assert "holds a NUL" in analyst.post("/gallery", data={"name": "a\0b"}).text


def test_a_report_is_shown_with_its_tables_and_plots(browser: Browser, app: FastAPI, gallery: Gallery) -> None:
    number = reports.save(gallery, "toys", json.loads(json.dumps(whole_report().to_dict())))
    strange = reports.save(gallery, "another version's", {"format": "0"})
    examiner = browser("examiner")
    assert "toys" in examiner.get("/accuracy").text
    page = examiner.get(f"/accuracy/{number}").text
    assert "<model>" not in page
    assert "style=" not in page
    assert "<svg" not in page
    plots = re.findall(r'<img src="(/accuracy/[^"]*)" alt="(CMC|DET)', page)
    assert {kind for _, kind in plots} == {"CMC", "DET"}
    picture = examiner.get(plots[0][0])
    assert picture.headers["content-type"] == "image/svg+xml"
    assert "--c1: #" in picture.text
    assert "prefers-color-scheme: dark" in examiner.get("/accuracy/colours.css").text
    assert examiner.get(f"/accuracy/{number}/closed-set/99.svg").status_code == 404
    assert examiner.get(f"/accuracy/{number}/nothing/0.svg").status_code == 404
    assert examiner.get(f"/accuracy/{strange}").status_code == 422
    assert examiner.get("/accuracy/99").status_code == 404


def test_people_who_may_be_one_are_merged_or_kept_apart(
    browser: Browser, gallery: Gallery, suspected: list[tuple[Photo, Photo]]
) -> None:
    analyst = browser("analyst")
    where = wait(analyst, analyst.post("/gallery/duplicates", data={"route": "direct", "above": "2"}))
    page = analyst.get(where).text
    assert "2 wait for a decision" in page
    assert "at least 2.70" in page
    for verdict, (a, b) in zip(("merge", "keep"), suspected, strict=True):
        form = pair(analyst.get(where).text, where, a, b) | {"verdict": verdict}
        assert analyst.post(where, data=form).status_code == 303
    assert gallery.photo(suspected[0][1].id).person_id == suspected[0][0].person_id
    assert gallery.kept() == {frozenset(photo.person.label for photo in suspected[1])}
    assert "0 wait for a decision" in analyst.get(where).text
    assert analyst.post(where, data=form | {"verdict": "x"}).status_code == 422
    assert analyst.post(where, data=form | {"kept": "9" * 25}).status_code == 422
    assert browser("examiner").get(where).status_code == 403
