"""What becomes a job in the API: enrolling by upload, an explanation, a check of the gallery; and reports."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from web.programs import add_sketch, problem

from forensic.datasets.synthetic import Made

Program = Callable[..., TestClient]
WAIT = {"Prefer": "wait=60"}


def test_photos_are_enrolled_by_upload_and_each_file_is_told_of(program: Program, people: list[Made]) -> None:
    analyst = program("analyst")
    label, photo = people[0].label, people[0].photos[0].read_bytes()
    there = analyst.post("/api/v1/people/search", json={"where": {"person": label}}).json()["items"][0]["id"]
    assert analyst.request("DELETE", f"/api/v1/people/{there}", json={"reason": "order 1/26"}).status_code == 204
    files = [("files", ("face.png", photo)), ("files", ("notes.txt", b"no picture"))]
    answer = analyst.post(
        "/api/v1/enrollments", files=files, data={"person": "new", "metadata": '{"sex": "female"}'}, headers=WAIT
    )
    assert answer.status_code == 200, answer.text
    good, bad = answer.json()["answer"]["files"]
    assert (good["index"], good["status"], bad["index"]) == (0, "enrolled", 1)
    assert bad["photo"] is None
    assert bad["reasons"]
    person = analyst.get(f"/api/v1/people/{good['person']}").json()
    assert (person["label"], person["metadata"], person["photos"][0]["id"]) == ("new", {"sex": "female"}, good["photo"])
    assert "new" not in answer.text  # numbers alone


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"person": "new", "metadata": "sex=female"},
        {"person": "new", "metadata": '{"sex": 1}'},
        {"person": "new", "metadata": "[" * 100_000},
        {"person": "\0"},
    ],
)
def test_an_enrollment_that_says_too_little_is_refused(program: Program, data: dict[str, str]) -> None:
    files = {"files": ("face.png", b"a file")}
    analyst = program("analyst")
    assert problem(analyst.post("/api/v1/enrollments", files=files, data=data), 422)
    assert analyst.get("/api/v1/jobs").json()["items"] == []  # and nothing waits


def test_a_score_is_explained_and_a_search_reported(examiner: TestClient, program: Program, people: list[Made]) -> None:
    asked = {"case": 1, "sketches": [add_sketch(examiner, people[0].sketch)], "top": 2}
    assert examiner.post("/api/v1/searches", json=asked, headers=WAIT).status_code == 201
    place = "/api/v1/searches/1/explanations"
    problem(examiner.get(f"{place}/1"), 404)
    problem(examiner.post(place, json={"rank": 9}), 404)
    made = examiner.post(place, json={"rank": 1}, headers=WAIT)
    assert (made.status_code, made.headers["location"]) == (201, f"{place}/1")
    told = examiner.get(f"{place}/1").json()
    assert told == made.json()
    assert told["explanation"]["regions"]
    for link in told["links"].values():
        assert examiner.get(link["href"]).content.startswith(b"\x89PNG")
    report = examiner.get("/api/v1/searches/1/report.html")
    assert (report.status_code, report.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "C-1" in report.text
    assert examiner.get("/api/v1/examinations").json()["items"] == []
    assert program("auditor").get("/api/v1/examinations").status_code == 403


def test_an_auditor_has_the_gallery_checked(program: Program, app: FastAPI, gallery_folder: Path) -> None:
    auditor, check = program("auditor"), "/api/v1/gallery/check"
    head = auditor.get("/api/v1/audit/head").json()
    sound = auditor.post(check, json={"everything": True, "head": head}, headers=WAIT).json()
    assert (sound["kind"], sound["status"]) == ("verify", "done")
    told = auditor.get(f"{check}/{sound['id']}").json()
    assert told == {"entries": told["entries"], "anchors": 0, "checked": 0, "problems": []}
    assert told["entries"] >= head["number"]
    original = next(path for path in (gallery_folder / "objects").rglob("*") if path.is_file())
    original.chmod(0o644)
    job = auditor.post(check, json={"everything": True}, headers=WAIT).json()
    (found,) = auditor.get(f"{check}/{job['id']}").json()["problems"]
    assert (found["kind"], found["subject"]) == ("permissions", str(original))
    assert str(original) not in auditor.get(f"/api/v1/jobs/{job['id']}").text
    problem(auditor.get(f"/api/v1/gallery/indexing/{job['id']}"), 403)
    app.state.server.engine.forget()
    assert "no longer in memory" in problem(auditor.get(f"{check}/{job['id']}"), 409)
    assert auditor.get(f"{check}/{sound['id']}").json() == told  # there was nothing to forget
    problem(program("administrator").get(f"{check}/{job['id']}"), 404)  # somebody else's
    problem(program("analyst").post(check, json={}), 403)


@pytest.mark.parametrize("asked", [{"certificates": "none"}, {"certificates": "\0"}, {"head": {"number": 1}}])
def test_a_check_against_what_is_none_is_refused(program: Program, asked: dict[str, object]) -> None:
    auditor = program("auditor")
    assert problem(auditor.post("/api/v1/gallery/check", json=asked), 422)
    assert auditor.get("/api/v1/jobs").json()["items"] == []


def test_an_analyst_has_templates_made(program: Program, gallery_folder: Path) -> None:
    analyst, indexing = program("analyst"), "/api/v1/gallery/indexing"
    job = analyst.post(indexing, json={}, headers=WAIT).json()
    assert (job["kind"], job["status"]) == ("reindex", "done")
    assert analyst.get(f"{indexing}/{job['id']}").json() == {"described": 0, "failures": []}
    original = next(path for path in (gallery_folder / "objects").rglob("*") if path.is_file())
    original.unlink()
    job = analyst.post(indexing, json={"everything": True}, headers=WAIT).json()
    told = analyst.get(f"{indexing}/{job['id']}").json()
    assert (told["described"] > 10, len(told["failures"])) == (True, 1)
    assert told["failures"][0]["file"] not in analyst.get(f"/api/v1/jobs/{job['id']}").text
    problem(analyst.get(f"/api/v1/duplicates/{job['id']}"), 404)  # it is another job
    problem(analyst.post(indexing, json={"route": "none"}), 422)
