"""Enrolling by upload: what comes in is what the command line enrolls, and one bad file never stops the others."""

import csv
import io
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spaces
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from forensic import Gallery, Identifier
from forensic.datasets.synthetic import Made
from forensic.gallery.rights import Operator, Role
from forensic.web.state import Job, Upload

Browser = Callable[[str], TestClient]
ROUTE = "direct@patches"
TABLE = "person,file,sex,birth year,eyes\nNew-1,one.jpg,F,1971,brown\n"


@pytest.fixture
def photo(people: list[Made], people_folder: Path) -> bytes:
    """A photo that is not enrolled: another file of somebody's face."""
    made = Image.open(people_folder / people[0].photos[0]).convert("RGB")
    stored = io.BytesIO()
    made.save(stored, "PNG")
    return stored.getvalue()


def wait(client: TestClient, answer: object) -> str:
    """The page that a job leads to, once it is done."""
    where = answer.headers["location"]  # type: ignore[attr-defined]
    assert where.startswith("/jobs/"), answer.text  # type: ignore[attr-defined]
    for _ in range(600):
        shown = client.get(where)
        if shown.status_code == 303:
            return str(shown.headers["location"])
        assert "error" not in shown.text.split("<main")[1], shown.text
        time.sleep(0.1)
    raise AssertionError("the job did not end")


def test_a_table_uploaded_and_the_same_on_the_command_line_make_the_same_gallery(
    browser: Browser, app: FastAPI, staffed: Path, photo: bytes, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "one.jpg").write_bytes(photo)
    (folder / "table.csv").write_text(TABLE)
    with Gallery(shutil.copytree(staffed, tmp_path / "other")) as other:
        other.operator = Operator("analyst", Role.ANALYST)
        assert Identifier(other, ROUTE).enroll(folder / "table.csv").enrolled == 1
        expected = other.digest()
    analyst = browser("analyst")
    sent = {"table": ("table.csv", TABLE.encode()), "photos": ("one.jpg", photo)}
    wait(analyst, analyst.post("/enroll/table", files=sent))
    gallery = app.state.server.gallery.acting_as(Operator("analyst", Role.ANALYST))
    assert gallery.digest() == expected
    assert gallery.person("New-1").extra == {"eyes": "brown"}


def test_names_come_as_browsers_send_them(browser: Browser, app: FastAPI) -> None:
    names = ['Jane "JD" Doe.png', "100%.png", "%22.png", "two\nlines.png", "x" * 251 + ".png"]
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("person", "file"), *(("New-1", name) for name in names)])
    files = [("table", ("t.csv", table.getvalue().encode())), *(("photos", (name, b"no picture")) for name in names)]
    analyst = browser("analyst")
    told = answer(app, wait(analyst, analyst.post("/enroll/table", files=files)))["files"]
    assert [one["index"] for one in told] == [0, 1, 2, 3, 4]
    assert all("no PNG" in " ".join(one["reasons"]) for one in told)


def test_one_bad_file_never_stops_the_others(
    browser: Browser, app: FastAPI, people: list[Made], people_folder: Path, photo: bytes
) -> None:
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)).save(noise, "PNG")
    known = (people_folder / people[1].photos[0]).read_bytes()
    table = "person,file,birth_year\n" + "".join(
        f"{person},{file},{year}\n"
        for person, file, year in (
            ("New-2", "good.png", ""),
            ("New-2", "text.png", ""),
            ("New-2", "noise.png", ""),
            ("New-3", "known.png", ""),
            (people[1].label, "known.png", ""),
            ("New-4", "absent.png", ""),
            ("New-5", "good.png", "long ago"),
        )
    )
    photos = [("good.png", photo), ("text.png", b"no picture"), ("noise.png", noise.getvalue()), ("known.png", known)]
    files = [("table", ("t.csv", table.encode())), *(("photos", one) for one in (*photos, ("empty.png", b"")))]
    analyst = browser("analyst")
    where = wait(analyst, analyst.post("/enroll/table", files=files))
    told = answer(app, where)["files"]
    expected = ["enrolled", "refused", "refused", "conflict", "already", "refused", "refused", "refused"]
    assert [one["status"] for one in told] == expected
    assert [one["index"] for one in told] == [0, 1, 2, 3, 3, None, 0, 4]
    reasons = [" ".join(one["reasons"]) for one in told]
    assert "no PNG" in reasons[1]
    assert "No face" in reasons[2] or "face" in reasons[2]
    assert "not sent" in reasons[5]
    assert "'birth_year'" in reasons[6]
    assert "long ago" not in reasons[6]
    assert "No row" in reasons[7]
    gallery = app.state.server.gallery.acting_as(Operator("analyst", Role.ANALYST))
    assert told[3]["person"] == told[4]["person"] == gallery.person(people[1].label).id
    page = analyst.get(where).text
    assert all(name in page for name in ("good.png", "noise.png", "New-2", "already enrolled", "1 enrolled"))


def test_what_a_job_keeps_names_nobody(browser: Browser, app: FastAPI, photo: bytes) -> None:
    analyst = browser("analyst")
    form = {"person": "Label-77", "name": "Jane Roe", "column": "eyes", "value": "brown", "date_taken": "2026-01"}
    where = wait(analyst, analyst.post("/enroll/person", data=form, files={"photos": ("roe-jane.png", photo)}))
    with app.state.server.state.reading() as session:
        job = session.get(Job, where.rpartition("/")[2])
        assert session.query(Upload).count() == 0
    kept = json.dumps([job.asked, job.answer])
    assert not any(word in kept for word in ("Label", "Roe", "roe", "brown"))
    gallery = app.state.server.gallery.acting_as(Operator("analyst", Role.ANALYST))
    person = gallery.person("Label-77")
    assert (person.name, person.extra) == ("Jane Roe", {"eyes": "brown"})
    assert gallery.photos("Label-77")[0].date_taken == "2026-01"
    app.state.server.engine.forget()
    assert "roe-jane.png" in analyst.get(where).text  # by the photo's row now
    assert analyst.get(f"/people/{person.id}").status_code == 200


@pytest.mark.parametrize(
    ("form", "words"),
    [({"person": " "}, "A person is named"), ({"person": "A", "birth_year": "x"}, "birth year"), ({}, "named")],
)
def test_a_form_that_cannot_be_met_is_told_at_once(
    browser: Browser, photo: bytes, form: dict[str, str], words: str
) -> None:
    answered = browser("analyst").post("/enroll/person", data=form, files={"photos": ("a.png", photo)})
    assert answered.status_code == 422
    assert words in answered.text


def test_a_table_that_is_none_is_told_at_once(browser: Browser, photo: bytes) -> None:
    analyst = browser("analyst")
    for table in (b"", b"name\nA\n", b"\xff\xfe", b"person,file\n"):
        answered = analyst.post("/enroll/table", files={"table": ("t.csv", table), "photos": ("a.png", photo)})
        assert answered.status_code == 422, table
    twice = [("table", ("t.csv", TABLE.encode())), ("photos", ("one.jpg", photo)), ("photos", ("one.jpg", photo))]
    assert "one name" in analyst.post("/enroll/table", files=twice).text


def test_a_file_that_is_too_large_is_refused_alone(browser: Browser, app: FastAPI, photo: bytes) -> None:
    object.__setattr__(app.state.server.settings, "upload_bytes", len(photo))
    analyst = browser("analyst")
    files = [("photos", ("good.png", photo)), ("photos", ("large.png", photo + b"\0"))]
    told = answer(app, wait(analyst, analyst.post("/enroll/person", data={"person": "New"}, files=files)))["files"]
    assert [one["status"] for one in told] == ["enrolled", "refused"]
    assert f"{len(photo):,} bytes" in told[1]["reasons"][0]


def test_only_analysts_enroll(browser: Browser, photo: bytes) -> None:
    for role in ("examiner", "auditor", "administrator"):
        client = browser(role)
        assert client.get("/enroll").status_code == 403
        sent = client.post("/enroll/person", data={"person": "A"}, files={"photos": ("a.png", photo)})
        assert sent.status_code == 403


def test_templates_of_a_route_are_made_anew(browser: Browser, app: FastAPI) -> None:
    gallery = app.state.server.gallery.acting_as(Operator("analyst", Role.ANALYST))
    before = gallery.digest()
    space = next(one.digest for one in gallery.spaces() if one.route == ROUTE)
    spaces.drop(gallery, space)
    analyst = browser("analyst")
    page = analyst.get(wait(analyst, analyst.post("/gallery/reindex", data={"route": ROUTE}))).text
    assert f"{gallery.size().photos} photos were described" in page
    assert gallery.digest() == before
    assert analyst.post("/gallery/reindex", data={"route": "untrained"}).status_code == 422
    assert browser("auditor").post("/gallery/reindex", data={"route": ROUTE}).status_code == 403


def answer(app: FastAPI, where: str) -> dict[str, list[dict[str, object]]]:
    with app.state.server.state.reading() as session:
        return dict(session.get_one(Job, where.rpartition("/")[2]).answer)
