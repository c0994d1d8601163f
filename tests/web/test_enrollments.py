"""Enrolling through the API."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from forensic.datasets.synthetic import Made, make_people

Program = Callable[..., TestClient]
AWAITED = {"Prefer": "wait=60"}


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Somebody who is not enrolled."""
    (made,) = make_people(tmp_path_factory.mktemp("stranger"), 1, seed=91)
    return made


def upload(file: Path) -> tuple[str, tuple[str, bytes]]:
    return "files", (file.name, file.read_bytes())


def test_photos_of_one_person_and_as_a_table_says(program: Program, stranger: Made, people: list[Made]) -> None:
    analyst = program("analyst")
    photo = stranger.photos[0]
    about = {"person": "N-1", "metadata": json.dumps({"sex": "female"})}
    answer = analyst.post("/api/v1/enrollments", files=[upload(photo)], data=about, headers=AWAITED)
    assert answer.status_code == 200
    (told,) = answer.json()["answer"]["files"]
    assert (told["status"], told["index"]) == ("enrolled", 0)
    assert analyst.get(f"/api/v1/people/{told['person']}").json()["metadata"] == {"sex": "female"}
    table = ("table", ("people.csv", f"person,file\nN-1,{photo.name}\nN-1,absent.jpg\n".encode()))
    answer = analyst.post("/api/v1/enrollments", files=[upload(photo), table], headers=AWAITED)
    assert [one["status"] for one in answer.json()["answer"]["files"]] == ["already", "refused"]


def test_who_is_on_the_photos_has_to_be_said_once(program: Program, stranger: Made) -> None:
    analyst, files = program("analyst"), [upload(stranger.photos[0])]
    table = ("table", ("people.csv", b"person,file\nN-2,x.jpg\n"))
    assert analyst.post("/api/v1/enrollments", files=files).status_code == 422
    assert analyst.post("/api/v1/enrollments", files=[*files, table], data={"person": "N-2"}).status_code == 422
    answer = analyst.post("/api/v1/enrollments", files=files, data={"person": "N-2", "metadata": "no JSON"})
    assert answer.status_code == 422
    for day in ("2001-12-31", "soon"):
        answer = analyst.post("/api/v1/enrollments", files=files, data={"person": "N-2", "keep_until": day})
        assert answer.status_code == 422, day
    assert program("examiner").post("/api/v1/enrollments", files=files, data={"person": "N-2"}).status_code == 403


def test_a_photo_that_is_there_brings_what_is_new(program: Program, people: list[Made]) -> None:
    """Of two values for one thing the first stays, and the answer says so without either of them."""
    analyst, photo = program("analyst"), people[0].photos[0]
    for eyes, reasons in (("brown", 0), ("brown", 0), ("grey", 1)):
        about = {"person": people[0].label, "metadata": json.dumps({"eyes": eyes})}
        answer = analyst.post("/api/v1/enrollments", files=[upload(photo)], data=about, headers=AWAITED)
        (told,) = answer.json()["answer"]["files"]
        assert (told["status"], len(told["reasons"])) == ("already", reasons)
        assert eyes not in " ".join(told["reasons"])
    assert analyst.get(f"/api/v1/people/{told['person']}").json()["metadata"]["eyes"] == "brown"
