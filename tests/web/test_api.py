"""The API's parts, as a program uses them."""

import re
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient
from web.programs import CASE, add_jobs, add_sketch, problem

from forensic.datasets.synthetic import Made
from forensic.gallery import reports
from forensic.gallery.log import trail
from forensic.gallery.rights import Operator, Role

Program = Callable[..., TestClient]


def test_a_token_tells_who_one_is_and_ends_when_it_is_revoked(program: Program) -> None:
    client = program("examiner", "read_case", "users")
    told = client.get("/api/v1/me").json()
    assert told == {
        "user": "examiner",
        "role": "examiner",
        "scopes": ["read_case", "users"],
        "rights": ["read_case"],  # an examiner has no right to change users, whatever the token says
    }
    (token,) = client.get("/api/v1/tokens").json()["items"]
    assert "token" not in token
    assert client.delete(f"/api/v1/tokens/{token['id']}").status_code == 204
    problem(client.get("/api/v1/me"), 401)


def test_a_token_ends_itself_alone(program: Program, browser: Callable[[str], TestClient]) -> None:
    client, other = program("examiner", "read_case"), program("examiner")
    second, first = (token["id"] for token in other.get("/api/v1/tokens").json()["items"])
    assert "may end itself alone" in problem(client.delete(f"/api/v1/tokens/{second}"), 403)
    assert other.get("/api/v1/me").status_code == 200
    assert client.delete(f"/api/v1/tokens/{first}").status_code == 204
    problem(browser("auditor").delete(f"/api/v1/tokens/{second}"), 404)
    assert browser("examiner").delete(f"/api/v1/tokens/{second}").status_code == 204  # in person
    problem(other.get("/api/v1/me"), 401)


def test_a_token_needs_the_right_password(browser: Callable[[str], TestClient]) -> None:
    asked = {"user": "examiner", "password": "a wrong password", "note": "x", "scopes": ["search"]}
    answer = browser("").post("/api/v1/tokens", json=asked)
    assert "token" not in problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    detail = problem(browser("").post("/api/v1/tokens", json=asked | {"scopes": ["everything"]}), 422)
    assert "a wrong password" not in detail


def test_a_case_is_opened_once_found_and_listed_in_pages(program: Program, examiner: TestClient) -> None:
    for number in range(2, 6):
        examiner.post("/api/v1/cases", json=CASE | {"reference": f"C-{number}"})
    problem(examiner.post("/api/v1/cases", json=CASE), 422)
    assert examiner.post("/api/v1/cases/lookup", json={"reference": "C-3"}).json()["id"] == 3
    assert examiner.get("/api/v1/cases/3").json()["reference"] == "C-3"
    problem(examiner.get("/api/v1/cases/99"), 404)
    first = examiner.get("/api/v1/cases", params={"limit": 3}).json()
    second = examiner.get("/api/v1/cases", params={"limit": 3, "cursor": first["next"]}).json()
    assert [case["id"] for case in first["items"] + second["items"]] == [5, 4, 3, 2, 1]
    assert second["next"] is None


def test_a_cursor_that_was_altered_or_is_another_lists_is_refused(examiner: TestClient) -> None:
    examiner.post("/api/v1/cases", json=CASE | {"reference": "C-2"})
    cursor = examiner.get("/api/v1/cases", params={"limit": 1}).json()["next"]
    assert examiner.get("/api/v1/cases", params={"cursor": cursor}).status_code == 200
    for altered in (cursor[:-2], "B" + cursor[1:], "%", "", "A" * 32):
        problem(examiner.get("/api/v1/cases", params={"cursor": altered}), 422)
    problem(examiner.get("/api/v1/searches", params={"cursor": cursor}), 422)


def test_a_search_goes_from_the_sketch_to_the_candidates(examiner: TestClient, people: list[Made]) -> None:
    file = people[0].sketch
    assert file is not None
    sketch = add_sketch(examiner, file, made_by="M. Ito")
    assert examiner.get(f"/api/v1/sketches/{sketch}").json()["made_by"] == "M. Ito"
    assert examiner.get(f"/api/v1/sketches/{sketch}/file").content == file.read_bytes()
    face = examiner.get(f"/api/v1/sketches/{sketch}/face").json()
    assert len(face["landmarks"]) == 5
    asked = {"case": 1, "sketches": [sketch], "top": 3, "landmarks": [face["landmarks"]]}
    answer = examiner.post("/api/v1/searches", json=asked, headers={"Prefer": "wait=60"})
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/v1/searches/1")
    found = answer.json()
    assert found == examiner.get("/api/v1/searches/1").json()
    assert [candidate["rank"] for candidate in found["candidates"]] == [1, 2, 3]
    assert (found["case"], found["sketches"]) == ({"id": 1, "reference": "C-1"}, [sketch])
    assert [one["search"] for one in examiner.get("/api/v1/searches", params={"case": 1}).json()["items"]] == [1]
    (job,) = examiner.get("/api/v1/jobs").json()["items"]
    assert (job["status"], job["answer"]) == ("done", {"search": 1})


def test_a_search_that_is_not_waited_for_is_a_job_that_is(
    examiner: TestClient, program: Program, people: list[Made]
) -> None:
    sketch = add_sketch(examiner, people[0].sketch)
    answer = examiner.post("/api/v1/searches", json={"case": 1, "sketches": [sketch]})
    assert answer.status_code == 202
    place = answer.headers["location"]
    assert place == f"/api/v1/jobs/{answer.json()['id']}"
    problem(program("investigator").get(place), 404)  # others' jobs are nobody's business
    ended = examiner.get(place, headers={"Prefer": "wait=60"}).json()
    assert (ended["status"], ended["answer"], ended["error"]) == ("done", {"search": 1}, None)
    problem(examiner.post(f"{place}/cancel"), 409)


def test_all_of_ones_jobs_are_listed_page_by_page(examiner: TestClient, app: FastAPI) -> None:
    numbers = add_jobs(app.state.server.state, "examiner")
    listed, window = [], {"limit": 60}
    while window:
        page = examiner.get("/api/v1/jobs", params=window).json()
        listed += [job["id"] for job in page["items"]]
        window = {"limit": 60, "cursor": page["next"]} if page["next"] else {}
    assert listed == numbers


def test_a_search_that_fails_says_why(examiner: TestClient, people: list[Made]) -> None:
    sketch = add_sketch(examiner, people[0].sketch)
    points = [[10.0, 10.0]] * 5  # no face's
    asked = {"case": 1, "sketches": [sketch], "landmarks": [points]}
    detail = problem(examiner.post("/api/v1/searches", json=asked, headers={"Prefer": "wait=60"}), 422)
    (job,) = examiner.get("/api/v1/jobs").json()["items"]
    assert (job["status"], job["error"]["detail"], job["error"]["status"]) == ("failed", detail, 422)


def test_a_wrong_search_is_refused_before_it_waits(examiner: TestClient, people: list[Made]) -> None:
    add_sketch(examiner, people[0].sketch)
    refused: list[dict[str, object]] = [
        {"sketches": []},
        {"sketches": [1, 1]},
        {"sketches": [7]},
        {"top": 51},
        {"route": "none"},
        {"landmarks": [None, None]},
        {"where": ["sex"]},
        {"where": ["sex=female"]},  # without a justification
        {"justification": "a filter would need it"},
        {"justification": "\0"},
        {"unknown": 1},
    ]
    for wrong in refused:
        problem(examiner.post("/api/v1/searches", json={"case": 1, "sketches": [1]} | wrong), 422)
    problem(examiner.post("/api/v1/searches", json={"case": 2, "sketches": [1]}), 404)
    assert examiner.get("/api/v1/jobs").json()["items"] == []


def test_health_needs_no_sign_in(browser: Callable[[str], TestClient]) -> None:
    assert browser("").get("/api/v1/health").json() == {"status": "ok"}


def test_the_requests_number_stands_in_the_audit_log(examiner: TestClient, program: Program) -> None:
    answer = examiner.post("/api/v1/cases", json=CASE | {"reference": "C-2"})
    auditor = program("auditor")
    entries = auditor.get("/api/v1/audit", params={"action": "case-open"}).json()["items"]
    assert [entry["details"]["case"] for entry in entries] == [2, 1]
    assert entries[0]["details"]["request"] == answer.headers["x-request-id"]
    told = auditor.get(f"/api/v1/audit/{entries[0]['number']}").json()
    assert (told["fault"], told["entry"]) == ("", entries[0])
    head = auditor.get("/api/v1/audit/head").json()
    assert auditor.post("/api/v1/audit/verification", json={"head": head}).json()["problems"] == []
    problem(auditor.post("/api/v1/audit/verification", json={"head": head | {"hash": "0" * 64}}), 422)


def test_verdicts_stay_hidden_until_ones_own(
    examiner: TestClient, app: FastAPI, program: Program, people: list[Made]
) -> None:
    asked = {"case": 1, "sketches": [add_sketch(examiner, people[0].sketch)], "top": 2}
    assert examiner.post("/api/v1/searches", json=asked, headers={"Prefer": "wait=60"}).status_code == 201
    verdict = {"rank": 1, "verdict": "lead", "reason": "the ears agree"}
    assert examiner.post("/api/v1/searches/1/decisions", json=verdict).json() == {"search": 1, "rank": 1}
    problem(examiner.post("/api/v1/searches/1/decisions", json=verdict), 422)
    problem(examiner.post("/api/v1/searches/1/decisions", json=verdict | {"rank": 9}), 422)
    problem(examiner.post("/api/v1/searches/9/decisions", json=verdict), 404)
    seen = {
        user: program(user).get("/api/v1/searches/1").json()["decisions"][0] for user in ("auditor", "investigator")
    }
    assert (seen["auditor"]["verdict"], seen["auditor"]["reason"]) == ("lead", "the ears agree")
    assert (seen["investigator"]["verdict"], seen["investigator"]["reason"]) == (None, "")
    record = examiner.get("/api/v1/records/1").json()
    assert record["record"]["asked_for"] == 2
    assert len(record["photos"]) == 2
    for name in ("probe", "aligned"):
        picture = examiner.get(f"/api/v1/searches/1/pictures/{name}.jpg")
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    again = examiner.post("/api/v1/searches/1/repetitions", headers={"Prefer": "wait=60"})
    assert (again.status_code, again.json()["answer"]) == (200, {"search": 2, "identical": True, "changed": []})


def test_people_are_looked_through_in_pages_changed_and_expunged(
    program: Program, people: list[Made], app: FastAPI
) -> None:
    analyst = program("analyst")
    found, cursor = [], None
    while True:
        page = analyst.post("/api/v1/people/search", json={"limit": 5, "cursor": cursor}).json()
        found += page["items"]
        if (cursor := page["next"]) is None:
            break
    assert [person["label"] for person in found] == sorted(made.label for made in people)
    first = analyst.get(f"/api/v1/people/{found[0]['id']}").json()
    photo = first["photos"][0]["id"]
    looked = views(app)
    assert analyst.get(f"/api/v1/photos/{photo}").json()["person"] == first["id"]
    assert views(app) == [first["id"], *looked]
    original = next(made for made in people if made.label == first["label"]).photos
    assert analyst.get(f"/api/v1/photos/{photo}/file").content in [path.read_bytes() for path in original]
    assert views(app) == [first["id"]] * 2 + looked
    assert analyst.get(f"/api/v1/photos/{photo}/thumbnail.jpg").headers["content-type"] == "image/jpeg"
    assert views(app) == [first["id"]] * 2 + looked, "lists show many of them"
    place = f"/api/v1/people/{first['id']}"
    changed = analyst.patch(place, json={"label": "renamed", "metadata": {"eyes": "brown"}}).json()
    assert (changed["label"], changed["metadata"]["eyes"]) == ("renamed", "brown")
    problem(analyst.patch(place, json={"label": found[1]["label"]}), 409)
    problem(analyst.patch(place, json={"metadata": {"birth_year": "soon"}}), 422)
    problem(analyst.request("DELETE", place, json={"reason": "as renamed asked"}), 422)  # names them
    assert analyst.request("DELETE", place, json={"reason": "order 9/26"}).status_code == 204
    problem(analyst.get(place), 404)
    problem(analyst.get(f"/api/v1/photos/{photo}/thumbnail.jpg"), 404)
    assert analyst.get("/api/v1/gallery").json()["people"] == len(people) - 1


def test_the_record_names_who_was_shown_and_nobody_else(program: Program, app: FastAPI) -> None:
    analyst, cursor, shown = program("analyst"), None, []
    for _ in range(2):
        page = analyst.post("/api/v1/people/search", json={"limit": 2, "offset": 3, "cursor": cursor}).json()
        cursor = page["next"]
        shown.append([person["id"] for person in page["items"]])
    assert [entry["details"]["people"] for entry in noted(app, "list")] == shown[::-1]
    whole = [person["id"] for person in analyst.post("/api/v1/people/search", json={}).json()["items"]]
    assert shown == [whole[3:5], whole[5:7]], "the cursor takes the offset's place"
    behind = analyst.post("/api/v1/people/search", json={"offset": len(whole)}).json()
    assert behind == {"items": [], "next": None}


def test_users_are_added_changed_and_removed(program: Program, browser: Callable[[str], TestClient]) -> None:
    administrator = program("administrator")
    asked = {"name": "m.ito", "role": "examiner", "password": "a long password"}
    made = administrator.post("/api/v1/users", json=asked)
    place = made.headers["location"]
    assert administrator.get(place).json()["role"] == "examiner"
    problem(administrator.post("/api/v1/users", json=asked), 422)
    ito = program("m.ito")
    assert administrator.patch(place, json={"role": "auditor"}).json()["role"] == "auditor"
    problem(ito.get("/api/v1/me"), 401)  # a new role signs out
    ito = program("m.ito")
    own = {"current": "a long password", "password": "another long password"}
    problem(ito.put("/api/v1/me/password", json=own | {"current": "a wrong password"}), 403)
    assert ito.put("/api/v1/me/password", json=own).status_code == 204
    problem(ito.get("/api/v1/me"), 401)
    assert administrator.put(f"{place}/password", json={"password": "a long password"}).status_code == 204
    assert program("m.ito").get("/api/v1/me").json()["role"] == "auditor"
    assert administrator.delete(place).status_code == 204
    assert administrator.get(place).json()["active"] is False
    problem(browser("").post("/api/v1/tokens", json={"user": "m.ito", "note": "x", "scopes": ["audit"]}), 422)


def test_accuracy_reports_are_listed_and_shown(program: Program, app: FastAPI) -> None:
    for title in ("first", "second"):
        reports.save(app.state.server.gallery.acting_as(Operator("analyst", Role.ANALYST)), title, {"rank": [1, 2]})
    auditor = program("auditor")
    listed = auditor.get("/api/v1/reports").json()["items"]
    assert [(report["id"], report["title"]) for report in listed] == [(2, "second"), (1, "first")]
    assert auditor.get("/api/v1/reports/2").json()["data"] == {"rank": [1, 2]}
    problem(auditor.get("/api/v1/reports/3"), 404)


def test_the_reference_names_every_operation_and_needs_no_other_host(browser: Callable[[str], TestClient]) -> None:
    nobody = browser("")
    document, page = nobody.get("/openapi.json").json(), nobody.get("/docs").text
    operations = [
        (path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()
    ]
    for path, method, operation in operations:
        assert f'<details id="{operation["operationId"]}">' in page, f"{method} {path}"
        assert operation["tags"]
        assert operation["description"]
        assert "security" in operation
        for status, response in operation["responses"].items():
            if status >= "400":
                (content,) = response["content"].items()
                schema = {"$ref": "#/components/schemas/Problem"}
                assert content == ("application/problem+json", {"schema": schema}), f"{method} {path} {status}"
    assert len({operation["operationId"] for *_, operation in operations}) == len(operations)
    assert {"token", "session", "csrf"} == set(document["components"]["securitySchemes"])
    links = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert all(link.startswith(("/", "#")) for link in links)
    anchors = set(re.findall(r'id="([^"]+)"', page))
    assert all(link[1:] in anchors for link in links if link.startswith("#"))


def views(app: FastAPI) -> list[int]:
    """Whom somebody looked at, by the log, the latest first."""
    return [entry["details"]["person"] for entry in noted(app, "view")]


def noted(app: FastAPI, action: str) -> list[dict[str, Any]]:
    """Entries of the log, the latest first."""
    gallery = app.state.server.gallery.acting_as(Operator("auditor", Role.AUDITOR))
    return trail.entries(gallery, action=action)
