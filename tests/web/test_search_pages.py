"""From a sketch with landmarks that a person moved to the list of candidates, and the same list again."""

import io
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from web.programs import add_jobs

from forensic.datasets.synthetic import Made
from forensic.errors import FaceError
from forensic.faces.detect import plausible
from forensic.gallery import Filter, Gallery, users
from forensic.gallery.casework import cases
from forensic.gallery.casework.cases import Drawing, Kind
from forensic.web import pictures
from forensic.web.jobs import Lane, Work
from forensic.web.landmarks import NAMES
from forensic.web.server import Server

Browser = Callable[[str], TestClient]
Form = dict[str, Any]
JOB = re.compile(r"/jobs/([0-9a-f]{32})")


@pytest.fixture
def examiner(browser: Browser, people: list[Made]) -> TestClient:
    """An examiner with case 1, which has sketches 1 and 2."""
    client = browser("examiner")
    client.post("/cases", data={"reference": "C-1", "purpose": "robbery", "legal_basis": "warrant"})
    for made in people[3:5]:
        assert made.sketch is not None
        given = [("file", (made.sketch.name, made.sketch.read_bytes()))]
        assert client.post("/cases/1/sketches", data={"kind": "forensic"}, files=given).status_code == 303
    return client


def landmarks_of(client: TestClient, sketch: int) -> list[float]:
    """The landmarks as the form holds them: x, y, x, y, ..."""
    fields = re.findall(rf'name="landmark-{sketch}" value="([\d.]+)"', client.get(f"/sketches/{sketch}/face").text)
    return [float(value) for value in fields]


def form(*sketches: int, **further: object) -> Form:
    return {"sketch": list(sketches), "route": "direct@patches", "top": "4", **further}


def ended(client: TestClient, address: str) -> str:
    """Where the page of a job's progress leads a browser, once the job is done."""
    for _ in range(600):
        answer = client.get(f"{address}/progress", headers={"HX-Request": "true"})
        if "hx-redirect" in answer.headers:
            return answer.headers["hx-redirect"]
        assert "<progress" in answer.text
        time.sleep(0.1)
    raise AssertionError("The job did not end.")


def test_a_search_with_moved_landmarks_and_its_repetition(
    examiner: TestClient, server: Server, people: list[Made], browser: Browser
) -> None:
    page = examiner.get("/cases/1/search?sketch=1").text
    assert 'hx-get="/sketches/1/face"' in page
    detected = landmarks_of(examiner, 1)
    part = examiner.get("/sketches/1/face").text
    assert [part.count(f'role="slider" aria-label="{name} of sketch 1"') for name in NAMES] == [1] * 5
    assert "as detected" in part
    moved = [*detected[:4], detected[4] + 3, detected[5] - 2, *detected[6:]]
    texts = [str(value) for value in detected]
    given = {"landmark-1": moved, "detected-1": ",".join(texts)}
    both = given | {
        "landmark-2": landmarks_of(examiner, 2),
        "detected-2": ",".join(map(str, landmarks_of(examiner, 2))),
    }

    answer = examiner.post("/cases/1/searches", data=form(1, 2, **both))
    assert (answer.status_code, bool(JOB.fullmatch(answer.headers["location"]))) == (303, True)
    assert ended(examiner, answer.headers["location"]) == "/searches/1"
    assert examiner.get(answer.headers["location"]).headers["location"] == "/searches/1"
    found = cases.searched(acting(server, "examiner"), 1)
    # Only what a person moved is theirs; the other sketch's face is found again.
    expected = [[moved[k], moved[k + 1]] for k in range(0, 10, 2)]
    assert found.record["landmarks"][1] is None
    assert found.record["landmarks"][0] == [pytest.approx(point, abs=1e-4) for point in expected]
    assert found.record["asked_for"] == 4

    page = examiner.get("/searches/1").text
    assert [int(rank) for rank in re.findall(r'aria-label="Rank (\d)"', page)] == [1, 2, 3, 4]
    for candidate in found.record["candidates"]:
        assert found.people[candidate["photo_id"]] in page
        assert f"/photos/{candidate['photo_id']}/thumbnail.jpg" in page
        assert f"/searches/1/compare/{candidate['rank']}" in page
    assert "placed by hand" in page
    assert "sketches, of one person" in page
    for shown in ("probe", "aligned"):
        picture = examiner.get(f"/searches/1/pictures/{shown}.jpg?sketch=1")
        assert Image.open(io.BytesIO(picture.content)).format == "JPEG"
    assert examiner.get("/searches/1/pictures/synthesized.jpg").status_code == 404  # this route makes none
    assert examiner.get("/searches/1/pictures/probe.jpg?sketch=2").status_code == 404
    assert "Search 1" in browser("auditor").get("/searches?case=1").text
    assert "Repeat the search" not in browser("auditor").get("/searches/1").text

    # With changes: the form begins with what the search was made with.
    again = examiner.get("/cases/1/search?like=1").text
    assert f'name="landmark-1" value="{moved[4]}"' in again
    assert "placed by hand" in again

    answer = examiner.post("/searches/1/repetitions")
    assert ended(examiner, answer.headers["location"]) == "/searches/2"
    page = " ".join(examiner.get("/searches/2").text.split())
    assert "the same list, to the byte. Nothing else on record differs." in page


def acting(server: Server, user: str) -> Gallery:
    return server.gallery.acting_as(users.as_operator(server.gallery, user))


WRONG: list[tuple[Form, str]] = [
    ({"sketch": []}, "Choose the sketch"),
    ({"sketch": [7]}, "has no sketch 7"),
    ({"top": "51"}, "expected 1 to 50"),
    ({"top": "many"}, "is &#39;many&#39;; expected 1 to 50"),
    ({"route": "another"}, "is not offered here"),
    ({"landmark-1": [1.0] * 10}, "landmarks are no face"),
    ({"landmark-1": ["1", "x"]}, "are not five points"),
    ({"landmark-1": ["nan"] * 10}, "are not five points"),
    ({"column": ["sex"], "value": ["female"], "justification": ""}, "justification is"),
    ({"column": ["shoes"], "value": ["42"], "justification": "the witness saw shoes"}, "Nobody in the gallery has"),
]


def test_what_is_wrong_is_said_and_nothing_entered_is_lost(examiner: TestClient) -> None:
    for wrong, words in WRONG:
        answer = examiner.post("/cases/1/searches", data=form(1) | {"justification": "it is so"} | wrong)
        assert (answer.status_code, words in answer.text) == (422, True), words
        assert str(wrong.get("justification", "it is so")) in answer.text
        for name in ("column", "value"):
            for entered in wrong.get(name, ()):
                assert f'name="{name}" value="{entered}"' in answer.text
    assert "You have asked for nothing" in examiner.get("/jobs").text
    assert examiner.get("/cases/7/search").status_code == 404
    assert examiner.get(f"/cases/1/search?sketch={2**40}").status_code == 422


def test_a_filter_says_whom_it_keeps(examiner: TestClient, server: Server) -> None:
    asked = {"column": ["sex", ""], "value": ["female", ""], "justification": ""}
    kept = acting(server, "examiner").matching(Filter.parse(["sex=female"], "the witness saw a woman"))
    part = examiner.post("/cases/1/filter", data=asked).text
    assert f"Searched: {kept.kept} people" in part
    assert f"Left out: {kept.left_out}" in part
    assert "Nobody in the gallery" in examiner.post("/cases/1/filter", data=asked | {"value": ["martian", ""]}).text
    assert "everybody" in examiner.post("/cases/1/filter", data={}).text


def test_where_no_face_is_found_a_person_places_the_landmarks(examiner: TestClient, server: Server) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (300, 400), "white").save(picture, "PNG")
    about = {"kind": "forensic", "searching": "true"}
    files = [("file", ("blank.png", picture.getvalue())), ("file", ("no.png", b"no picture"))]
    answer = examiner.post("/cases/1/sketches", data=about, files=files, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert 'name="sketch" value="3"' in answer.text
    assert "no.png: the content is no PNG" in answer.text
    part = examiner.get("/sketches/3/face").text
    assert "No face was found" in part
    assert part.count('role="slider"') == 5
    points = landmarks_of(examiner, 3)
    assert plausible(np.array(points).reshape(5, 2))
    assert all(0 < x < 300 for x in points[::2])
    assert all(0 < y < 400 for y in points[1::2])
    answer = examiner.post("/cases/1/searches", data=form(1, 3))  # as without a script
    until(examiner, answer.headers["location"], "No face was found in sketch 3. Place its five landmarks by hand")
    assumed = {"landmark-3": points, "assumed-3": ",".join(map(str, points))}
    answer = examiner.post("/cases/1/searches", data=form(3, **assumed))
    assert answer.status_code == 422  # nobody looked
    assert "move its five points" in answer.text
    points[0] += 2
    answer = examiner.post("/cases/1/searches", data=form(3, **(assumed | {"landmark-3": points})))
    assert ended(examiner, answer.headers["location"]) == "/searches/1"
    recorded = cases.searched(acting(server, "examiner"), 1).record["landmarks"][0]
    assert np.allclose(np.array(recorded).ravel(), points, atol=1e-4)


def test_a_job_is_watched_cancelled_and_asked_for_again(examiner: TestClient, server: Server, browser: Browser) -> None:
    goes_on = threading.Event()

    def stuck(work: Work) -> dict[str, object]:
        work.tell("finding the face")
        goes_on.wait(60)
        work.tell("searching")
        raise FaceError("sketch.png: no <face> was found.")

    server.jobs.handlers = {"search": (stuck, Lane.QUICK)}
    moved = [x + 1 for x in landmarks_of(examiner, 1)]
    asked = form(1, column=["sex"], value=["female"], justification="the witness saw a woman", top="7")
    asked["landmark-1"] = moved
    try:
        jobs = [examiner.post("/cases/1/searches", data=asked).headers["location"] for _ in range(4)]
        until(examiner, jobs[0], "Finding the face")
        assert "Cancel" in examiner.get(jobs[0]).text
        until(examiner, jobs[1], "Finding the face")
        assert "number <strong>2</strong> in the queue" in examiner.get(jobs[3]).text
        add_jobs(server.state, "examiner")
        assert "number 2 in the queue" in " ".join(examiner.get("/cases/1").text.split())
        assert browser("investigator").get(jobs[0]).status_code == 404  # somebody else's
        for job in (jobs[1], jobs[3]):
            assert examiner.post(f"{job}/cancel").headers["location"] == job
        assert "It was cancelled" in examiner.get(jobs[3]).text
    finally:
        goes_on.set()
    assert "no &lt;face&gt; was found" in until(examiner, jobs[0], "no &lt;face&gt;")
    until(examiner, jobs[1], "It was cancelled")
    failed = examiner.get(jobs[0]).text
    assert "every 1s" not in failed
    back = re.search(r'href="(/cases/1/search\?again=[0-9a-f]+)"', failed)
    assert back is not None
    page = examiner.get(back.group(1)).text
    assert 'name="top" value="7"' in page
    assert f'name="landmark-1" value="{moved[0]}"' in page
    assert "the witness saw a woman<" not in page  # an ended job keeps numbers alone
    assert "enter it again" in page
    assert examiner.post(f"{jobs[0]}/cancel").status_code == 303  # ended long ago: nothing to say
    assert examiner.get("/jobs/nothing").status_code == 422


def test_jobs_are_listed_page_by_page(examiner: TestClient, server: Server) -> None:
    numbers, seen, address = add_jobs(server.state, "examiner"), [], "/jobs"
    while address:
        text = examiner.get(address).text
        seen += JOB.findall(text)
        older = re.search(r'href="(/jobs\?before=\d+)" rel="next"', text)
        address = older[1] if older else ""
    assert seen == numbers
    assert examiner.get(f"/jobs/{numbers[-1]}").status_code == 200


def test_a_search_forms_fields_have_bounds(examiner: TestClient) -> None:
    for field, status in (("x" * 200, 200), ("x" * 300_000, 400)):
        parts = {"column": (None, "sex"), "value": (None, field)}
        assert examiner.post("/cases/1/filter", files=parts).status_code == status


def until(client: TestClient, address: str, words: str) -> str:
    for _ in range(300):
        text = client.get(f"{address}/progress").text
        if words in text:
            return text
        time.sleep(0.05)
    raise AssertionError(f"{words!r} never came: {text}")


def test_who_is_expunged_is_no_longer_shown(examiner: TestClient, server: Server) -> None:
    answer = examiner.post("/cases/1/searches", data=form(1))
    assert ended(examiner, answer.headers["location"]) == "/searches/1"
    found = cases.searched(acting(server, "examiner"), 1)
    photo = found.record["candidates"][0]["photo_id"]
    assert examiner.get(f"/photos/{photo}/thumbnail.jpg").status_code == 200
    assert examiner.get(f"/photos/{photo}/picture.jpg").status_code == 200
    acting(server, "analyst").expunge(found.people[photo])
    page = examiner.get("/searches/1").text
    assert "No longer enrolled" in page
    assert found.people[photo] not in page
    assert f"/photos/{photo}/" not in page
    assert examiner.get(f"/photos/{photo}/thumbnail.jpg").status_code == 404  # whatever is in memory still
    assert "no longer enrolled" in examiner.get("/searches").text


def test_likelihood_ratios_are_shown_for_the_sketches_that_they_hold_for(examiner: TestClient, server: Server) -> None:
    """The same figures on record, of a viewed sketch and of one drawn from memory."""
    gallery, calibration = acting(server, "examiner"), {"kind": "viewed", "population": "people"}
    calibration |= dict.fromkeys(("mated", "nonmated", "people", "lower", "upper"), 1)
    answer = examiner.post("/cases/1/searches", data=form(1))
    assert ended(examiner, answer.headers["location"]) == "/searches/1"
    record = cases.searched(gallery, 1).record | {"calibration": calibration, "supported": True}
    record["candidates"][0] |= {"log_lr": 2.0, "bounded": True}
    forensic = cases.record_search(gallery, record, case="C-1")
    number = cases.add_sketch(gallery, "C-1", Drawing(b"of a photo", "viewed.png", Kind.VIEWED))
    probes = [cases.sketch(gallery, number).sha256]
    viewed = cases.record_search(gallery, record | {"probes": probes}, case="C-1")
    shown, hidden = (examiner.get(f"/searches/{number}").text for number in (viewed, forensic))
    assert "moderately strong support: same person" in shown
    assert "≥ +2.0" in shown
    assert "support: same person" not in hidden
    assert "none is shown for forensic ones" in hidden
    assert examiner.get(f"/searches/{viewed}/pictures/probe.jpg").status_code == 422  # no picture, and no crash


def test_the_face_that_was_searched_with_is_shown_and_searched_with_again(examiner: TestClient, server: Server) -> None:
    """Another one than is found in the sketch: of a search in which a face was chosen by its number."""
    gallery = acting(server, "examiner")
    answer = examiner.post("/cases/1/searches", data=form(1))
    assert ended(examiner, answer.headers["location"]) == "/searches/1"
    record = cases.searched(gallery, 1).record
    chosen = [[x + 12.5, y - 4.0] for x, y in record["faces"][0]["landmarks"]]
    faces = [{"asked": 2, "method": "mtcnn", "score": 0.9, "landmarks": chosen}]
    second = cases.record_search(gallery, record | {"faces": faces}, case="C-1")
    _, face = pictures.face_of(server.engine, gallery, second)
    np.testing.assert_allclose(face.face.landmarks, chosen, atol=1e-3)
    shown = [examiner.get(f"/searches/{number}/pictures/aligned.jpg") for number in (1, second)]
    assert [one.status_code for one in shown] == [200, 200]
    assert shown[0].content != shown[1].content
    again = examiner.get(f"/cases/1/search?like={second}").text
    offered = [float(value) for value in re.findall(r'name="landmark-1" value="([\d.]+)"', again)]
    np.testing.assert_allclose(offered, np.ravel(chosen), atol=0.051)  # tenths of a pixel
    assert 'name="landmark-1" value' not in examiner.get("/cases/1/search?like=1").text  # found anew there


def test_a_found_landmark_outside_of_the_sketch_is_no_fault(examiner: TestClient, server: Server) -> None:
    gallery = acting(server, "examiner")
    answer = examiner.post("/cases/1/searches", data=form(1))
    ended(examiner, answer.headers["location"])
    record = cases.searched(gallery, 1).record
    record["faces"][0]["landmarks"][4][0] = 1e4
    number = cases.record_search(gallery, record, case="C-1")
    assert examiner.get(f"/searches/{number}/pictures/probe.jpg").status_code == 200
