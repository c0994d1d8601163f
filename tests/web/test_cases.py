"""Pages of cases: the list, a case with its sketches and what was done, adding sketches."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from forensic.datasets.synthetic import Made
from forensic.gallery import users
from forensic.gallery.casework import cases
from forensic.gallery.casework.cases import Drawing, Kind, Verdict
from forensic.gallery.models import now
from forensic.web.pages import cases as pages
from forensic.web.server import Server

Browser = Callable[[str], TestClient]


def opening(reference: str) -> dict[str, str]:
    return {"reference": reference, "purpose": "robbery", "legal_basis": "warrant"}


def file(path: Path | None) -> tuple[str, tuple[str, bytes]]:
    assert path is not None
    return "file", (path.name, path.read_bytes())


def open_case(client: TestClient, reference: str = "C-1") -> str:
    """The address of a new case."""
    return client.post("/cases", data=opening(reference)).headers["location"]


def test_the_list_begins_with_the_newest_and_goes_on(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LENGTH", 2)
    examiner = browser("examiner")
    for number in range(1, 6):
        assert open_case(examiner, f"C-{number}") == f"/cases/{number}"
    seen, address = [], "/cases"
    while address:
        text = examiner.get(address).text
        seen += re.findall(r"<strong>(C-\d)</strong>", text)
        older = re.search(r'href="(/cases\?before=\d+)" rel="next"', text)
        address = older.group(1) if older else ""
    assert seen == ["C-5", "C-4", "C-3", "C-2", "C-1"]


def test_a_case_that_cannot_be_opened_keeps_what_was_entered(browser: Browser) -> None:
    examiner = browser("examiner")
    open_case(examiner)
    answer = examiner.post("/cases", data=opening("C-1") | {"purpose": "<b>a second try</b>"})
    assert answer.status_code == 422
    assert "There is a case" in answer.text
    assert "<title>Error: Cases" in answer.text
    assert 'action="/cases#fault"' in answer.text  # where the words stand
    assert 'value="&lt;b&gt;a second try&lt;/b&gt;"' in answer.text
    for wrong in ({"legal_basis": " "}, {"purpose": "a\0b"}, {"reference": "x" * 201}, {"purpose": "x" * 4001}):
        assert examiner.post("/cases", data=opening("C-2") | wrong).status_code == 422
    assert examiner.get("/cases/2").status_code == 404


def test_one_bad_file_never_loses_the_others(browser: Browser, people: list[Made]) -> None:
    examiner = browser("examiner")
    case = open_case(examiner)
    about = {"kind": "composite", "made_by": "M. Ito", "described_by": "witness 2", "drawn_on": "2026-11-02"}
    files = [file(people[3].sketch), ("file", ("no.png", b"no picture")), file(people[4].sketch)]
    answer = examiner.post(f"{case}/sketches", data=about, files=files)
    assert answer.status_code == 422
    assert "2 sketches were added" in answer.text
    assert "no.png: the content is no PNG" in answer.text
    page = examiner.get(case).text
    assert page.count("made by M. Ito") == 2
    picture = examiner.get("/sketches/1/picture.jpg")
    assert picture.headers["content-type"] == "image/jpeg"
    assert max(Image.open(io.BytesIO(picture.content)).size) <= 400

    answer = examiner.post(f"{case}/sketches", data=about, files=[file(people[3].photos[0])])
    assert "is enrolled as a photo" in answer.text
    assert examiner.post(f"{case}/sketches", data=about, files=[file(people[3].sketch)]).status_code == 303
    assert examiner.get("/sketches/3/picture.jpg").status_code == 404  # the same bytes are one sketch
    assert examiner.post(f"{case}/sketches", data={"kind": "composite"}, files=[("file", ("", b""))]).status_code == 422
    assert examiner.post(f"{case}/sketches", data={"kind": "oil"}, files=[file(people[3].sketch)]).status_code == 422


def test_a_case_tells_what_was_done_and_by_whom(browser: Browser, server: Server, people: list[Made]) -> None:
    examiner, auditor = browser("examiner"), browser("auditor")
    case = open_case(examiner)
    gallery = server.gallery.acting_as(users.as_operator(server.gallery, "examiner"))
    assert people[3].sketch is not None
    cases.add_sketch(gallery, "C-1", Drawing(people[3].sketch.read_bytes(), "first.jpg", Kind.FORENSIC))
    cases.record_search(gallery, record(photo=1), case="C-1")
    cases.decide(gallery, 1, 1, Verdict.LEAD, "the ears agree")

    page = auditor.get(case).text
    line = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page[page.index('class="timeline"') :]))
    acts = ["opened the case", "added sketch 1", "made search 1", "decided on rank 1 of search 1: lead"]
    assert [act for act in acts if f"examiner {act}" in line] == acts
    assert sorted(acts, key=line.index) == acts
    assert "the ears agree" in page
    # Whoever may still have to decide does not see what others said.
    other = browser("investigator").get(case).text
    assert "the ears agree" not in other
    assert "has decided" in other
    # An auditor reads; an analyst, who looks after the gallery, has no business here.
    assert "Add sketches" not in page
    assert "Add sketches" in other
    assert auditor.post(f"{case}/sketches", data={"kind": "viewed"}, files=[file(people[3].sketch)]).status_code == 403
    assert browser("analyst").get(case).status_code == 403


def record(photo: int) -> dict[str, object]:
    """What a page reads of a search's record; its figures are made up."""
    candidate = {"rank": 1, "person_id": 1, "photo_id": photo, "score": 0.5, "log_lr": None, "bounded": False}
    return {
        "started": now().isoformat(),
        "ended": now().isoformat(),
        "operator": "examiner",
        "route": "direct@patches",
        "calibration": None,
        "candidates": [candidate | {"routes": {"direct@patches": 0.5}}],
    }
