"""What analysts do to people in the API: duplicates, merging, splitting; expunges proved, retention applied."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient
from web.programs import problem

from forensic import Gallery, duplicates
from forensic.datasets.synthetic import Made
from forensic.gallery.models import Person, Photo

Program = Callable[..., TestClient]
WAIT = {"Prefer": "wait=60"}


def test_duplicates_are_found_merged_and_kept_apart(
    program: Program, gallery: Gallery, suspected: list[tuple[Photo, Photo]]
) -> None:
    analyst = program("analyst")
    job = analyst.post("/api/v1/duplicates", json={"route": "direct"}, headers=WAIT)
    assert (job.status_code, job.json()["status"]) == (200, "done")
    where = f"/api/v1/duplicates/{job.json()['id']}"
    told = analyst.get(where).json()
    assert [pair["photos"] for pair in told["pairs"]] == [[a.id, b.id] for a, b in suspected]
    assert [pair["people"] for pair in told["pairs"]] == [[a.person_id, b.person_id] for a, b in suspected]
    assert [pair["labels"] for pair in told["pairs"]] == [[a.person.label, b.person.label] for a, b in suspected]
    assert [pair["files"] for pair in told["pairs"]] == [[a.file_name, b.file_name] for a, b in suspected]
    assert (told["found"], told["compared"], told["expected"], told["above"]) == (2, 66, 0.7, 2.0)
    looked = duplicates.find(gallery, "direct", 2.0, 1)  # what stands in its place
    assert (told["route"], told["least"], told["calibration"]) == ("direct", 0.5, looked.calibration.to_dict())

    (first, second), (third, fourth) = [(a.person_id, b.person_id) for a, b in suspected]
    merge, once = f"/api/v1/people/{first}/merge", {"Idempotency-Key": "one"}
    for _ in range(2):
        answer = analyst.post(merge, json={"other": second}, headers=once)
        assert (answer.status_code, answer.json()["person"], answer.json()["apart"]) == (200, first, False)
    problem(analyst.post(merge, json={"other": second}), 404)
    problem(analyst.post(merge, json={"other": first}), 422)
    assert gallery.photo(suspected[0][1].id).person_id == first
    for new in (True, False):
        answer = analyst.post(f"/api/v1/people/{third}/keep-apart", json={"other": fourth})
        assert answer.json() == {"people": [third, fourth], "new": new}
    assert analyst.get(where).json()["pairs"] == []
    apart = analyst.post(f"/api/v1/people/{third}/merge", json={"other": fourth}).json()
    assert (apart["apart"], apart["remarks"] > 0) == (True, True)
    problem(program("administrator").post(merge, json={"other": third}), 403)


def test_a_search_for_duplicates_needs_a_calibrated_route(program: Program) -> None:
    analyst = program("analyst")
    for route in (None, "direct@patches", "nothing"):
        assert "direct" in problem(analyst.post("/api/v1/duplicates", json={"route": route}), 422)
    problem(analyst.get(f"/api/v1/duplicates/{'0' * 32}"), 404)


def test_a_person_is_split_once(program: Program, gallery: Gallery, people: list[Made]) -> None:
    label = next(made.label for made in people if len(made.photos) > 1)
    person, photos = gallery.person(label).id, [photo.id for photo in gallery.photos(label)]
    analyst, where = program("analyst"), f"/api/v1/people/{person}/split"
    strange = max(photo.id for photo in gallery.photos()) + 1
    problem(analyst.post(where, json={"photos": [strange], "label": "apart"}), 404)
    problem(analyst.post(where, json={"photos": photos, "label": "apart"}), 422)
    problem(analyst.post(where, json={"photos": photos[:1], "label": label}), 409)
    answer = analyst.post(where, json={"photos": photos[:1], "label": "apart"})
    made = gallery.person("apart").id
    assert (answer.status_code, answer.json()) == (201, {"person": made})
    assert answer.headers["location"] == f"/api/v1/people/{made}"
    assert [photo.id for photo in gallery.photos("apart")] == photos[:1]
    assert analyst.post(f"/api/v1/people/{person}/keep-apart", json={"other": made}).json()["new"] is False


def test_an_expunge_is_listed_and_proved(program: Program, gallery: Gallery) -> None:
    gone, other = gallery.people()[:2]
    analyst, auditor = program("analyst"), program("auditor")
    for person, reason in ((other, "order 1"), (gone, "order 2")):
        where = f"/api/v1/people/{person.id}"
        assert analyst.request("DELETE", where, json={"reason": reason}).status_code == 204
    listed = auditor.get("/api/v1/expunged", params={"limit": 1}).json()
    (stone,) = listed["items"]
    assert (stone["people"], stone["reason"], stone["operator"]) == ([gone.id], "order 2", "analyst")
    rest = auditor.get("/api/v1/expunged", params={"limit": 1, "cursor": listed["next"]}).json()
    assert [stone["people"] for stone in rest["items"]] == [[other.id]]
    (only,) = auditor.get("/api/v1/expunged", params={"person": other.id}).json()["items"]
    assert only == rest["items"][0]
    still = gallery.people()[0].label
    for text, passed in ((gone.label, True), (still, False)):
        answer = auditor.post(f"/api/v1/expunged/{gone.id}/proof", json={"texts": [text, " "]}, headers=WAIT)
        checks = answer.json()["answer"]["checks"]
        assert all(found is not False for _, found, _ in checks) is passed
        assert text not in answer.text


def test_whoever_is_due_is_expunged_when_they_are_counted(program: Program, gallery: Gallery) -> None:
    due, later = gallery.people()[:2]
    gallery.update(due.label, {"keep_until": "2001-01-01"})
    gallery.update(later.label, {"keep_until": "2999-01-01"})
    analyst, where = program("analyst"), "/api/v1/retention"
    told = analyst.get(where, params={"limit": 1}).json()
    (first,) = told["items"]
    assert (told["due"], first["person"], first["keep_until"], first["due"]) == (1, due.id, "2001-01-01", True)
    (second,) = analyst.get(where, params={"limit": 1, "cursor": told["next"]}).json()["items"]
    assert (second["label"], second["due"]) == (later.label, False)
    assert "1 are due" in problem(analyst.post(f"{where}/apply", json={"count": 2}), 422)
    answer = analyst.post(f"{where}/apply", json={"count": 1})
    assert (answer.status_code, answer.json()) == (200, {"people": [due.id]})
    assert due.label not in [person.label for person in gallery.people()]
    problem(analyst.post(f"{where}/apply", json={"count": 1}), 422)


def test_a_photo_is_corrected(program: Program, gallery: Gallery) -> None:
    photo = gallery.photos()[0]
    analyst, where = program("analyst"), f"/api/v1/photos/{photo.id}"
    told = analyst.patch(where, json={"source": "booking"}).json()
    assert (told["id"], told["source"], told["date_taken"]) == (photo.id, "booking", photo.date_taken)
    assert analyst.patch(where, json={"source": ""}).json()["source"] is None
    problem(analyst.patch(where, json={"source": "x", "label": "y"}), 422)


def test_an_act_is_on_the_number_whoever_has_the_label_by_then(
    program: Program, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = gallery.people()[:3]
    analyst, found = program("analyst"), Gallery.person_by_number
    swaps = iter(range(100))

    def meanwhile(self: Gallery, number: int) -> Person:
        """The person; just after, an analyst swaps two labels."""
        person = found(self, number)
        if number == first.id:
            one, other, between = person.label, found(gallery, third.id).label, f"between {next(swaps)}"
            for label, new in ((one, between), (other, one), (between, other)):
                gallery.update(label, {}, rename=new)
        return person

    monkeypatch.setattr(Gallery, "person_by_number", meanwhile)
    where, photo = f"/api/v1/people/{first.id}", gallery.photos(third.label)[0].id
    before = gallery.size()
    for answer in (
        analyst.request("DELETE", where, json={}),
        analyst.post(f"{where}/merge", json={"other": second.id}),
        analyst.post(f"/api/v1/people/{second.id}/merge", json={"other": first.id}),
        analyst.post(f"{where}/keep-apart", json={"other": second.id}),
        analyst.post(f"{where}/split", json={"photos": [photo], "label": "apart"}),
        analyst.patch(where, json={"metadata": {"eyes": "grey"}}),
    ):
        assert "was changed since it was shown" in problem(answer, 409)
    assert gallery.size() == before
    assert gallery.kept() == set()


def test_an_expunge_may_name_the_photos_that_were_shown(program: Program, gallery: Gallery, people: list[Made]) -> None:
    label = next(made.label for made in people if len(made.photos) > 1)
    where, photos = f"/api/v1/people/{gallery.person(label).id}", [photo.id for photo in gallery.photos(label)]
    analyst = program("analyst")
    problem(analyst.request("DELETE", where, json={"photos": photos[1:]}), 409)
    assert len(gallery.photos(label)) == len(photos)
    assert analyst.request("DELETE", where, json={"photos": photos[::-1]}).status_code == 204


def test_an_expunge_of_a_photo_may_say_that_it_was_shown_as_the_last_one(
    program: Program, gallery: Gallery, people: list[Made]
) -> None:
    label = next(made.label for made in people if len(made.photos) > 1)
    (first, *others), analyst = gallery.photos(label), program("analyst")
    where = f"/api/v1/photos/{first.id}"
    assert "no longer the last one" in problem(analyst.request("DELETE", where, json={"last": True}), 409)
    gallery.split(label, [photo.id for photo in others], "apart")
    assert "the last one now" in problem(analyst.request("DELETE", where, json={"last": False}), 409)
    assert gallery.photo(first.id).person.label == label
    assert analyst.request("DELETE", where, json={"last": True}).status_code == 204
    assert label not in [person.label for person in gallery.people()]


def test_retention_may_be_applied_to_some(program: Program, gallery: Gallery) -> None:
    some, others = gallery.people()[:2]
    for person in (some, others):
        gallery.update(person.label, {"keep_until": "2001-01-01"})
    analyst, where = program("analyst"), "/api/v1/retention/apply"
    problem(analyst.post(where, json={"count": 1, "people": [some.id]}), 422)
    strange = max(person.id for person in gallery.people()) + 1
    assert analyst.post(where, json={"count": 2, "people": [some.id, strange]}).json() == {"people": [some.id]}
    assert [one.number for one in gallery.due()] == [others.id]
